//! Signatures that no expression can compute or should compare: those of the K3Cloud gateway's `X-Api` and `X-Kd`
//! headers, and those that webhooks carry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// How a webhook is sealed by its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// The secret itself is sent along.
    Token,
    /// A plain hash of a text that has the secret in it.
    Sha1,
    Sha256,
    Md5,
    HmacSha1,
    HmacSha256,
}

impl Seal {
    /// The bytes that a text sealed with a secret must carry. For hashes the secret is a part of `text` already.
    pub fn of(self, secret: &[u8], text: &[u8]) -> Vec<u8> {
        fn mac<M: Mac + KeyInit>(secret: &[u8], text: &[u8]) -> Vec<u8> {
            // HMAC takes keys of any length, so this cannot fail.
            let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret) else { return Vec::new() };
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        }
        match self {
            Self::Token => secret.to_vec(),
            Self::Sha1 => Sha1::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Md5 => md5::Md5::digest(text).to_vec(),
            Self::HmacSha1 => mac::<Hmac<Sha1>>(secret, text),
            Self::HmacSha256 => mac::<Hmac<Sha256>>(secret, text),
        }
    }
}

/// Whether two texts are equal, in a time that depends on their lengths alone. Nothing equals an empty one.
pub fn same_secret(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() || left.is_empty() {
        return false;
    }
    let differing = left.iter().zip(right).fold(0, |all, (left, right)| all | (left ^ right));
    std::hint::black_box(differing) == 0
}

/// The gateway's fixed mask over the client secret inside an application id.
const MASK: &[u8] = b"0054f397c6234378b09ca7d3e5debce7";

/// What a K3Cloud signature is made of. Debug is left out on purpose.
#[derive(Clone)]
pub struct KingdeeIdentity {
    /// `<client id>_<masked client secret>`.
    pub app_id: String,
    pub app_secret: String,
    /// The data centre's id.
    pub account: String,
    pub user: String,
    /// Language, 2052 for simplified Chinese.
    pub language: String,
    /// Organisation number; empty or 0 for the user's own.
    pub organisation: String,
}

/// Why nothing can be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the application id is not of the form <client id>_<32 characters of base64>; copy it whole from the \
         third-party login page"
)]
pub struct BadApplicationId;

fn hmac_hex(key: &[u8], text: &str) -> String {
    // HMAC takes keys of any length, so this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn client_secret(masked: &str) -> Result<String, BadApplicationId> {
    if masked.len() != 32 {
        return Ok(masked.to_owned());
    }
    let bytes = STANDARD.decode(masked).map_err(|_| BadApplicationId)?;
    Ok(STANDARD.encode(bytes.iter().zip(MASK).map(|(byte, mask)| byte ^ mask).collect::<Vec<u8>>()))
}

/// Percent-encodes a path, slashes too.
fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len() + 16);
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The headers that sign a POST to `path` (the URL's path, as sent) at `seconds` since 1970.
pub fn kingdee_headers(
    identity: &KingdeeIdentity,
    path: &str,
    seconds: i64,
    nonce: &str,
) -> Result<Vec<(String, String)>, BadApplicationId> {
    let (client_id, masked) = identity.app_id.split_once('_').ok_or(BadApplicationId)?;
    let secret = client_secret(masked)?;
    let signed = format!("POST\n{}\n\nx-api-nonce:{nonce}\nx-api-timestamp:{seconds}\n", encode_path(path));
    let data =
        format!("{},{},{},{}", identity.account, identity.user, identity.language, identity.organisation);
    let kd_signature = hmac_hex(identity.app_secret.as_bytes(), &format!("{}{data}", identity.app_id));
    let headers = [
        ("X-Api-ClientID", client_id.to_owned()),
        ("X-Api-Auth-Version", "2.0".to_owned()),
        ("x-api-timestamp", seconds.to_string()),
        ("x-api-nonce", nonce.to_owned()),
        ("x-api-signheaders", "x-api-timestamp,x-api-nonce".to_owned()),
        ("X-Api-Signature", STANDARD.encode(hmac_hex(secret.as_bytes(), &signed))),
        ("X-Kd-Appkey", identity.app_id.clone()),
        ("X-Kd-Appdata", STANDARD.encode(&data)),
        ("X-Kd-Signature", STANDARD.encode(kd_signature)),
    ];
    Ok(headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> KingdeeIdentity {
        KingdeeIdentity {
            app_id: format!("204399_{}", "A".repeat(32)),
            app_secret: "0123456789abcdef0123456789abcdef".to_owned(),
            account: "5f1a2b3c4d5e6f".to_owned(),
            user: "demo".to_owned(),
            language: "2052".to_owned(),
            organisation: "100".to_owned(),
        }
    }

    #[test]
    fn the_signature_is_the_one_that_the_vendors_client_sends() {
        let path = "/k3cloud/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.View.common.kdsvc";
        let headers = kingdee_headers(&identity(), path, 1_700_000_000, "1700000000").expect("headers");
        let header = |name: &str| headers.iter().find(|(header, _)| header == name).map(|(_, v)| v.as_str());
        assert_eq!(
            header("X-Api-Signature"),
            Some("MGI1NzkwOTU3M2NiZjRkNDQ5MDY2Y2MyNzA3YWM4ZmQxZGQzNzhjYzlkZDljYzk1MGU4NDQ4OTI4ODJkNzg0YQ==")
        );
        assert_eq!(header("X-Kd-Appdata"), Some("NWYxYTJiM2M0ZDVlNmYsZGVtbywyMDUyLDEwMA=="));
        assert_eq!(
            header("X-Kd-Signature"),
            Some("ODIyMGZkN2I3MThhYTFkZjExZmE5NGY3NjdhOTY4MjdjMGVlOGY3MjNhMjJhYWVmNGVlNWJiNTlhYjM1MDE4ZQ==")
        );
    }

    #[test]
    fn seals_are_those_of_the_standards() {
        // RFC 2202 and RFC 4231, case 2; FIPS 180 for "abc"
        let text = b"what do ya want for nothing?";
        assert_eq!(hex::encode(Seal::HmacSha1.of(b"Jefe", text)), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(
            hex::encode(Seal::HmacSha256.of(b"Jefe", text)),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(hex::encode(Seal::Sha1.of(b"", b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex::encode(Seal::Md5.of(b"", b"abc")), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(Seal::Token.of(b"secret", b"abc"), b"secret");
    }

    #[test]
    fn secrets_are_the_same_only_when_they_are() {
        assert!(same_secret(b"abc", b"abc"));
        for (left, right) in [("abc", "abd"), ("abc", "ab"), ("", ""), ("", "a")] {
            assert!(!same_secret(left.as_bytes(), right.as_bytes()), "{left} {right}");
        }
    }

    #[test]
    fn a_broken_application_id_is_refused() {
        for app_id in ["", "204399", &format!("204399_{}", "*".repeat(32))] {
            let broken = KingdeeIdentity { app_id: app_id.to_owned(), ..identity() };
            assert_eq!(kingdee_headers(&broken, "/", 0, "n"), Err(BadApplicationId), "{app_id}");
        }
    }
}
