//! Tokens: client credentials, signed assertions, refresh tokens.

use base64::{Engine as _, engine::general_purpose};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use super::{Refusal, refuse, token_refused};
use crate::simulator::{
    credentials::salesforce as known,
    exchange::{Answer, Asked, Reply, Request, pairs},
    state::{Session, State},
    value::text_of,
};

/// The organisation's session timeout; the default one.
const LIFE_MS: i64 = 7_200_000;
/// The longest life of an assertion.
const ASSERTION_S: i64 = 300;

fn refused(error: &str, description: &str) -> Answer {
    let body = json!({"error": error, "error_description": description}).to_string();
    Answer::failed(Reply::text(400, "application/json;charset=UTF-8", body), error)
}

/// Gives a token. A reply tells no life: a client learns from a 401 that it is over.
pub(super) fn token(state: &mut State, request: &Request) -> Answer {
    let form = pairs(&String::from_utf8_lossy(&request.body));
    let given = |name: &str| form.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    let basic = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let expected = format!("{}:{}", known::CLIENT_ID, known::CLIENT_SECRET);
    let by_header = basic == Some(general_purpose::STANDARD.encode(expected).as_str());
    let client = by_header || given("client_id") == known::CLIENT_ID;
    let secret = by_header || given("client_secret") == known::CLIENT_SECRET;
    let well = match given("grant_type") {
        "client_credentials" | "refresh_token" if !client => {
            return refused("invalid_client_id", "client identifier invalid");
        }
        "client_credentials" if !secret => return refused("invalid_client", "invalid client credentials"),
        "client_credentials" => true,
        "refresh_token" => refreshes(state, given("refresh_token")),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => asserts(given("assertion"), state.now_ms() / 1000),
        _ => return refused("unsupported_grant_type", "grant type not supported"),
    };
    if !well {
        return refused("invalid_grant", "expired access/refresh token, or an assertion that does not hold");
    }
    let now = state.now_ms();
    state.sessions.retain(|session| session.lives(now, LIFE_MS));
    let value = format!("{}!{}", known::ORG_ID, uuid::Uuid::new_v4().simple());
    state.sessions.push(Session { value: value.clone(), born_ms: now, ended: false });
    let rotated = state.refresh_token.clone().filter(|_| given("grant_type") == "refresh_token");
    let host = request.header("host").unwrap_or("127.0.0.1");
    let mut told = json!({
        "access_token": value, "instance_url": format!("http://{host}"), "token_type": "Bearer",
        "id": format!("https://login.salesforce.com/id/{}/{}", known::ORG_ID, known::USER_ID),
        "issued_at": now.to_string(), "signature": "c2lnbmF0dXJl", "scope": "api",
    });
    if let (Value::Object(told), Some(rotated)) = (&mut told, rotated) {
        told.insert("refresh_token".to_owned(), json!(rotated));
    }
    super::ok(&told)
}

/// Whether a refresh token is good. Where they rotate it is used up by this, and one that was used up before ends all of
/// them: somebody else has it.
fn refreshes(state: &mut State, given: &str) -> bool {
    match &state.refresh_token {
        None => given == known::REFRESH_TOKEN,
        Some(current) if current == given && !given.is_empty() => {
            state.refresh_token = Some(format!("5Aep861.{}", uuid::Uuid::new_v4().simple()));
            true
        }
        Some(_) => {
            state.refresh_token = Some(String::new());
            false
        }
    }
}

/// Whether an assertion is signed with the known key, names the known client and user, and lives now.
fn asserts(assertion: &str, now: i64) -> bool {
    let decode = |text: &str| general_purpose::URL_SAFE_NO_PAD.decode(text).ok();
    let json = |text: &str| decode(text).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return false };
    let Ok(key) = general_purpose::STANDARD.decode(known::public_key()) else { return false };
    let (Some(head), Some(told), Some(signature)) = (json(header), json(claims), decode(signature)) else {
        return false;
    };
    let signed = format!("{header}.{claims}");
    // Clients write the end as a number or as a text.
    let end = told.get("exp").and_then(text_of).and_then(|text| text.parse::<i64>().ok());
    let life = end.map_or(-1, |end| end - now);
    let audience = told.get("aud").and_then(Value::as_str).unwrap_or_default();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(signed.as_bytes(), &signature).is_ok()
        && head.get("alg") == Some(&json!("RS256"))
        && told.get("iss") == Some(&json!(known::CLIENT_ID))
        && told.get("sub") == Some(&json!(known::USERNAME))
        && ["https://login.salesforce.com", "https://test.salesforce.com"].contains(&audience)
        && (0..=ASSERTION_S).contains(&life)
}

/// Checks the bearer of a call.
pub(in crate::simulator) fn signed_in(
    state: &mut State,
    request: &Request,
    asked: &Asked,
) -> Result<(), Answer> {
    // The list of versions is open to everybody.
    if asked.is("sign-in") || asked.operation == "versions" {
        return Ok(());
    }
    let token = request.bearer();
    if state.knows(token, LIFE_MS) {
        return Ok(());
    }
    if token.is_empty() {
        return Err(refuse(&Refusal::of(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")));
    }
    Err(Answer::failed(token_refused(), "INVALID_SESSION_ID"))
}
