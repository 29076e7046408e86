//! Requests: from an operation's expressions and inputs to bytes.

use serde_json::{Map, Value};

use crate::connector::compiled::{Connector, Piece, SignIn, Step};
use crate::connector::expr::{Expr, ExprError};
use crate::connector::manifest::SignInKind;
use crate::remote::signature::{KingdeeIdentity, kingdee_headers};
use crate::remote::transport::HttpRequest;

/// Why a request could not be made: the manifest or the settings are wrong.
pub(super) type Reason = String;

fn explain(error: ExprError) -> Reason {
    error.to_string()
}

pub(super) fn first(expr: Option<&Expr>, input: &Value) -> Result<Value, Reason> {
    match expr {
        Some(expr) => Ok(expr.first(input).map_err(explain)?.unwrap_or(Value::Null)),
        None => Ok(Value::Null),
    }
}

/// The object's members as texts; members that are null are left out.
fn pairs(expr: Option<&Expr>, input: &Value) -> Result<Vec<(String, String)>, Reason> {
    match first(expr, input)? {
        Value::Null => Ok(Vec::new()),
        Value::Object(map) => {
            let present = map.into_iter().filter(|(_, value)| !value.is_null());
            Ok(present.map(|(name, value)| (name, as_text(&value))).collect())
        }
        _ => Err(format!("{}: an object was expected", expr.map_or("", Expr::place))),
    }
}

/// A text as it is, anything else as JSON.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn percent_encode(text: &str, keep: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || keep.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn encode_pairs(pairs: &[(String, String)]) -> String {
    let encoded = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name, b""), percent_encode(value, b"")));
    encoded.collect::<Vec<_>>().join("&")
}

/// The address: base, path with its holes filled, query.
fn url(connector: &Connector, step: &Step, input: &Value, shared: bool) -> Result<String, Reason> {
    let base = as_text(&first(Some(&connector.request.base), input)?);
    let mut url = base.trim_end_matches('/').to_owned();
    let mut path = String::new();
    for piece in &step.path {
        match piece {
            Piece::Text(text) => path.push_str(text),
            Piece::Hole(expr) => {
                let value = first(Some(expr), input)?;
                if value.is_null() {
                    return Err(format!("{}: the path needs a value here", expr.place()));
                }
                path.push_str(&percent_encode(&as_text(&value), b"/"));
            }
        }
    }
    if !path.starts_with('/') && !path.is_empty() {
        url.push('/');
    }
    url.push_str(&path);
    let mut query = if shared { pairs(connector.request.query.as_ref(), input)? } else { Vec::new() };
    query.extend(pairs(step.query.as_ref(), input)?);
    if !query.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&encode_pairs(&query));
    }
    Ok(url)
}

/// Builds one request. `shared` adds what the manifest adds to every operation; sign-in requests go without.
pub(super) fn build(
    connector: &Connector,
    step: &Step,
    input: &mut Value,
    shared: bool,
) -> Result<HttpRequest, Reason> {
    let url = url(connector, step, input, shared)?;
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
    if shared {
        headers.extend(pairs(connector.request.headers.as_ref(), input)?);
    }
    headers.extend(pairs(step.headers.as_ref(), input)?);
    let mut typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let mut content_type = |headers: &mut Vec<(String, String)>, value: &str| {
        if !std::mem::replace(&mut typed, true) {
            headers.push(("content-type".to_owned(), value.to_owned()));
        }
    };
    let body = if step.form.is_some() {
        content_type(&mut headers, "application/x-www-form-urlencoded");
        encode_pairs(&pairs(step.form.as_ref(), input)?).into_bytes()
    } else {
        let own = first(step.body.as_ref(), input)?;
        let body = match &connector.request.body {
            Some(expr) if shared => {
                if let Value::Object(map) = input {
                    map.insert("body".to_owned(), own);
                }
                let body = first(Some(expr), input)?;
                if let Value::Object(map) = input {
                    map.remove("body");
                }
                body
            }
            _ => own,
        };
        match body {
            Value::Null => Vec::new(),
            body => {
                content_type(&mut headers, "application/json");
                body.to_string().into_bytes()
            }
        }
    };
    Ok(HttpRequest { method: step.method.clone(), url, headers, body, timeout: connector.timeout })
}

/// Adds the signature's headers where the sign-in kind asks for them. `input` holds settings and secrets.
pub(super) fn sign(
    request: &mut HttpRequest,
    sign_in: &SignIn,
    input: &Value,
    seconds: i64,
) -> Result<(), Reason> {
    if sign_in.kind != SignInKind::Signed {
        return Ok(());
    }
    let Value::Object(parts) = first(sign_in.signature.as_ref(), input)? else {
        return Err("the sign-in's `signature` does not give an object".to_owned());
    };
    let part = |name: &str| parts.get(name).filter(|value| !value.is_null()).map(as_text).unwrap_or_default();
    let identity = KingdeeIdentity {
        app_id: part("app_id"),
        app_secret: part("app_secret"),
        account: part("account"),
        user: part("user"),
        language: part("language"),
        organisation: part("organisation"),
    };
    let after_scheme = request.url.split_once("://").map_or(request.url.as_str(), |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or("/");
    let path = path.split('?').next().unwrap_or(path);
    let headers = kingdee_headers(&identity, path, seconds, &seconds.to_string());
    request.headers.extend(headers.map_err(|error| error.to_string())?);
    Ok(())
}

/// An object of the given members.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
