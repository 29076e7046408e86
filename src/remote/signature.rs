//! Request signatures that no expression can compute: the K3Cloud gateway's `X-Api` and `X-Kd` headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

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
    fn a_broken_application_id_is_refused() {
        for app_id in ["", "204399", &format!("204399_{}", "*".repeat(32))] {
            let broken = KingdeeIdentity { app_id: app_id.to_owned(), ..identity() };
            assert_eq!(kingdee_headers(&broken, "/", 0, "n"), Err(BadApplicationId), "{app_id}");
        }
    }
}
