//! The signatures of a signed request, and of `LoginBySign`.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::simulator::{credentials::kingdee as known, exchange::Request};

/// What the client part of an app id is masked with.
const MASK: &[u8; 24] = b"0054f397c6234378b09ca7d3";

/// Base64 of the lower-case hex text of HMAC-SHA256.
fn signature(key: &str, text: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return String::new() };
    mac.update(text.as_bytes());
    BASE64.encode(hex::encode(mac.finalize().into_bytes()))
}

/// The client's id and secret, both from the app id.
pub(super) fn client_of(app_id: &str) -> Option<(String, String)> {
    let (client, masked) = app_id.split_once('_')?;
    if masked.len() != 32 {
        return None;
    }
    let bytes = BASE64.decode(masked).ok()?;
    let secret: Vec<u8> = bytes.iter().zip(MASK).map(|(byte, mask)| byte ^ mask).collect();
    Some((client.to_owned(), BASE64.encode(secret)))
}

/// `X-Api-Signature` of a request to this path.
pub(super) fn api_signature(client_secret: &str, path: &str, nonce: &str, timestamp: &str) -> String {
    let path = path.replace('/', "%2F");
    let text = format!("POST\n{path}\n\nx-api-nonce:{nonce}\nx-api-timestamp:{timestamp}\n");
    signature(client_secret, &text)
}

/// `X-Kd-Signature` of the caller's data (account, user, language, organisation).
pub(super) fn app_signature(app_secret: &str, app_id: &str, app_data: &str) -> String {
    signature(app_secret, &format!("{app_id}{app_data}"))
}

/// The `sign` of `LoginBySign`.
pub(super) fn login_signature(
    acct: &str,
    user: &str,
    app_id: &str,
    app_secret: &str,
    timestamp: &str,
) -> String {
    let mut parts = [acct, user, app_id, app_secret, timestamp];
    parts.sort_unstable();
    hex::encode(Sha256::digest(parts.concat().as_bytes()))
}

/// Whether a request is signed at all.
pub(super) fn is_signed(request: &Request) -> bool {
    request.header("x-api-signature").is_some() || request.header("x-kd-signature").is_some()
}

/// Whether both signatures are right. Seconds and milliseconds are both in use as the timestamp, which is signed as
/// it was sent; how far it may be off is not documented, so it may.
pub(super) fn is_right(request: &Request) -> bool {
    checked(request).unwrap_or(false)
}

fn checked(request: &Request) -> Option<bool> {
    let (client, secret) = client_of(known::APP_ID)?;
    if request.header("x-api-clientid")? != client || request.header("x-kd-appkey")? != known::APP_ID {
        return Some(false);
    }
    let (nonce, timestamp) = (request.header("x-api-nonce")?, request.header("x-api-timestamp")?);
    if timestamp.is_empty() || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(false);
    }
    let api = api_signature(&secret, &request.path, nonce, timestamp);
    let data = String::from_utf8(BASE64.decode(request.header("x-kd-appdata")?).ok()?).ok()?;
    let mut parts = data.split(',');
    let known_caller = parts.next() == Some(known::ACCT_ID) && parts.next() == Some(known::USER);
    let app = app_signature(known::APP_SECRET, known::APP_ID, &data);
    Some(
        known_caller && request.header("x-api-signature")? == api && request.header("x-kd-signature")? == app,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_vector_is_reproduced() {
        let (client, secret) = client_of(known::APP_ID).unwrap();
        assert_eq!(client, "204399");
        assert_eq!(secret, "MDA1NGYzOTdjNjIzNDM3OGIwOWNhN2Qz");
        let path = "/k3cloud/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.View.common.kdsvc";
        assert_eq!(
            api_signature(&secret, path, "1700000000", "1700000000"),
            "MGI1NzkwOTU3M2NiZjRkNDQ5MDY2Y2MyNzA3YWM4ZmQxZGQzNzhjYzlkZDljYzk1MGU4NDQ4OTI4ODJkNzg0YQ=="
        );
        assert_eq!(
            app_signature(known::APP_SECRET, known::APP_ID, "5f1a2b3c4d5e6f,demo,2052,100"),
            "ODIyMGZkN2I3MThhYTFkZjExZmE5NGY3NjdhOTY4MjdjMGVlOGY3MjNhMjJhYWVmNGVlNWJiNTlhYjM1MDE4ZQ=="
        );
        assert_eq!(
            login_signature(known::ACCT_ID, known::USER, known::APP_ID, known::APP_SECRET, "1700000000"),
            "a65f74bb6c577111fa896dd6bdd98142e1f7be9f4dafa729e2c85fc695a31e92"
        );
    }

    fn signed(timestamp: &str, nonce: &str) -> Request {
        let (client, secret) = client_of(known::APP_ID).unwrap();
        let path = "/k3cloud/x.Save.common.kdsvc";
        let data = format!("{},{},2052,0", known::ACCT_ID, known::USER);
        let headers = [
            ("x-api-clientid", client),
            ("x-api-timestamp", timestamp.to_owned()),
            ("x-api-nonce", nonce.to_owned()),
            ("x-api-signature", api_signature(&secret, path, nonce, timestamp)),
            ("x-kd-appkey", known::APP_ID.to_owned()),
            ("x-kd-appdata", BASE64.encode(&data)),
            ("x-kd-signature", app_signature(known::APP_SECRET, known::APP_ID, &data)),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Request { path: path.to_owned(), headers, ..Request::default() }
    }

    #[test]
    fn seconds_and_milliseconds_are_both_taken_and_any_change_is_not() {
        for request in [signed("1700000000", "1700000000"), signed("1700000000123", "1700000000456")] {
            assert!(is_right(&request));
            for at in 0..request.headers.len() {
                let mut changed = request.clone();
                changed.headers[at].1.push('1');
                assert!(!is_right(&changed), "{}", changed.headers[at].0);
            }
            let moved = Request { path: "/other/x.Save.common.kdsvc".to_owned(), ..request };
            assert!(!is_right(&moved));
        }
        assert!(!is_right(&signed("soon", "1")));
        assert!(!is_right(&Request::default()));
    }
}
