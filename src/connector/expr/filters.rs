//! Native filters: jq's own, less those that reach out of the program, plus times, hashes and quoting.

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use jaq_core::native::{Fun, bome, run, v};
use jaq_core::{Error, ValR};
use jaq_json::Val;
use jaq_std::ValT as _;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Data, bounds, compile, csv, value, xml};

/// Everything that a program may call.
pub(super) fn all() -> impl Iterator<Item = Fun<Data>> {
    let offered = jaq_core::funs::<Data>()
        .chain(jaq_std::funs::<Data>())
        .chain(jaq_json::funs::<Data>())
        .filter(|(name, ..)| compile::is_offered(name));
    offered.chain([bounds::native()]).chain(own())
}

type RunPtr = jaq_core::RunPtr<Data>;

fn own() -> impl Iterator<Item = Fun<Data>> {
    let filters: [(&'static str, usize, RunPtr); 17] = [
        ("parse_time", 2, |mut cv| {
            let zone = cv.0.pop_var();
            let format = cv.0.pop_var();
            bome(parse_time(&cv.1, &format, &zone))
        }),
        ("format_time", 2, |mut cv| {
            let zone = cv.0.pop_var();
            let format = cv.0.pop_var();
            bome(format_time(&cv.1, &format, &zone))
        }),
        ("parse_iso", 0, |cv| bome(parse_iso(&cv.1))),
        ("sha1", 0, |cv| bome(hash(&cv.1, |bytes| hex::encode(Sha1::digest(bytes))))),
        ("sha256", 0, |cv| bome(hash(&cv.1, |bytes| hex::encode(Sha256::digest(bytes))))),
        ("md5", 0, |cv| bome(hash(&cv.1, |bytes| hex::encode(md5::Md5::digest(bytes))))),
        ("hmac_sha256", 1, |mut cv| {
            let key = cv.0.pop_var();
            bome(hmac_sha256(&cv.1, &key))
        }),
        ("jwt_rs256", 1, |mut cv| {
            let key = cv.0.pop_var();
            bome(jwt(&cv.1, &key, &Val::Null, "RS256", &RSA_PKCS1_SHA256))
        }),
        ("jwt_ps256", 2, |mut cv| {
            let header = cv.0.pop_var();
            let key = cv.0.pop_var();
            bome(jwt(&cv.1, &key, &header, "PS256", &RSA_PSS_SHA256))
        }),
        ("base64", 0, |cv| {
            bome(hash(&cv.1, |bytes| base64::engine::general_purpose::STANDARD.encode(bytes)))
        }),
        ("base64d", 0, |cv| bome(base64_decode(&cv.1))),
        ("urlencode", 0, |cv| bome(hash(&cv.1, percent_encode))),
        ("from_csv", 0, |cv| bome(from_csv(&cv.1))),
        ("from_xml", 0, |cv| bome(from_xml(&cv.1))),
        ("to_xml", 0, |cv| bome(to_xml(&cv.1))),
        ("as_list", 0, |cv| bome(Ok(as_list(cv.1)))),
        ("sql_quote", 0, |cv| bome(text(&cv.1).map(|text| Val::from(text.replace('\'', "''"))))),
    ];
    filters.into_iter().map(|(name, arity, filter)| run::<Data>((name, v(arity), filter)))
}

type Outcome = ValR<Val>;

fn failure(message: impl Into<String>) -> Error<Val> {
    Error::str(message.into())
}

fn text(value: &Val) -> Result<String, Error<Val>> {
    match value.as_utf8_bytes() {
        Some(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        None => Err(failure("a text was expected here")),
    }
}

/// Text as it is, anything else as its JSON, through `f`.
fn hash(value: &Val, f: impl FnOnce(&[u8]) -> String) -> Outcome {
    match value.as_bytes() {
        Some(bytes) => Ok(Val::from(f(bytes))),
        None => Ok(Val::from(f(value.to_string().as_bytes()))),
    }
}

fn hmac_sha256(value: &Val, key: &Val) -> Outcome {
    let key = text(key)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes())
        .map_err(|_| failure("hmac_sha256 cannot use this key"))?;
    mac.update(text(value)?.as_bytes());
    Ok(Val::from(hex::encode(mac.finalize().into_bytes())))
}

/// Claims as a JSON Web Token, signed with a private RSA key (PEM). `more` are further members of its header, such as the
/// key's id. Nothing of the key is in an error.
fn jwt(claims: &Val, key: &Val, more: &Val, algorithm: &str, padding: &'static dyn RsaEncoding) -> Outcome {
    let unusable = || {
        failure(format!(
            "jwt_{} cannot use this key: a private RSA key as a PEM text of at least 2048 bits was expected",
            algorithm.to_lowercase()
        ))
    };
    let key = PrivateKeyDer::from_pem_slice(text(key)?.as_bytes()).map_err(|_| unusable())?;
    let pair = match &key {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(unusable()),
    };
    let pair = pair.map_err(|_| unusable())?;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let mut header = serde_json::json!({"alg": algorithm, "typ": "JWT"});
    if !matches!(more, Val::Null) {
        let parsed = serde_json::from_str(&more.to_string()).ok();
        let Some((serde_json::Value::Object(more), header)) = parsed.zip(header.as_object_mut()) else {
            return Err(failure("a token's header is an object"));
        };
        header.extend(more);
    }
    let signed =
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(|_| unusable())?;
    Ok(Val::from(format!("{signed}.{}", encode(&signature))))
}

fn base64_decode(value: &Val) -> Outcome {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text(value)?)
        .map_err(|_| failure("base64d was given a text that is not base64"))?;
    Ok(Val::utf8_str(bytes))
}

fn percent_encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn from_csv(value: &Val) -> Outcome {
    let table = csv::from_csv(&text(value)?).map_err(|error| failure(error.to_string()))?;
    Ok(value::to_jq(&table))
}

fn from_xml(value: &Val) -> Outcome {
    let document = xml::from_xml(&text(value)?).map_err(|error| failure(error.to_string()))?;
    Ok(value::to_jq(&document))
}

fn to_xml(value: &Val) -> Outcome {
    let value = value::from_jq(value).map_err(failure)?;
    xml::to_xml(&value).map(Val::from).map_err(|error| failure(error.to_string()))
}

/// What may be there not at all, once, or several times (the elements of one name), as an array.
fn as_list(value: Val) -> Val {
    match value {
        Val::Null => Val::Arr(Vec::new().into()),
        Val::Arr(_) => value,
        one => std::iter::once(one).collect(),
    }
}

fn zone(value: &Val) -> Result<TimeZone, Error<Val>> {
    let name = text(value)?;
    TimeZone::get(&name).map_err(|_| failure(format!("there is no time zone {name}")))
}

fn milliseconds(stamp: Timestamp) -> Outcome {
    isize::try_from(stamp.as_millisecond()).map(Val::from).map_err(|_| failure("a time is out of range"))
}

/// A local time as text to epoch milliseconds. A text without a time of day means its midnight.
fn parse_time(value: &Val, format: &Val, zone_name: &Val) -> Outcome {
    let (value, format, zone) = (text(value)?, text(format)?, zone(zone_name)?);
    let broken = || failure(format!("a time is not of the form {format}"));
    let parsed = jiff::fmt::strtime::parse(&format, &value).map_err(|_| broken())?;
    if let Ok(stamp) = parsed.to_timestamp() {
        return milliseconds(stamp);
    }
    let local = match parsed.to_datetime() {
        Ok(local) => local,
        Err(_) => parsed.to_date().map(DateTime::from).map_err(|_| broken())?,
    };
    let zoned = local.to_zoned(zone).map_err(|_| broken())?;
    milliseconds(zoned.timestamp())
}

fn format_time(value: &Val, format: &Val, zone_name: &Val) -> Outcome {
    let (format, zone) = (text(format)?, zone(zone_name)?);
    let milliseconds = value.as_isize().and_then(|number| i64::try_from(number).ok());
    let milliseconds = milliseconds.ok_or_else(|| failure("format_time was not given milliseconds"))?;
    let stamp = Timestamp::from_millisecond(milliseconds).map_err(|_| failure("a time is out of range"))?;
    let local = Zoned::new(stamp, zone);
    let text = jiff::fmt::strtime::format(&format, &local)
        .map_err(|_| failure(format!("{format} is not a form of time")))?;
    Ok(Val::from(text))
}

/// An ISO 8601 time to epoch milliseconds; without an offset it is taken as UTC.
fn parse_iso(value: &Val) -> Outcome {
    let value = text(value)?;
    if let Ok(stamp) = value.parse::<Timestamp>() {
        return milliseconds(stamp);
    }
    let local = value
        .parse::<DateTime>()
        .or_else(|_| value.parse::<Date>().map(DateTime::from))
        .map_err(|_| failure("a time is not of an ISO 8601 form"))?;
    let zoned = local.to_zoned(TimeZone::UTC).map_err(|_| failure("a time is out of range"))?;
    milliseconds(zoned.timestamp())
}
