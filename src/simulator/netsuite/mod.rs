//! NetSuite: SuiteTalk's REST records, SuiteQL, and tokens for a signed assertion.

pub(super) mod person;
mod query;
mod records;
mod schema;

use base64::{Engine as _, engine::general_purpose};
use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use super::{
    credentials::{netsuite as known, salesforce},
    exchange::{Answer, Asked, Reply, Request, decoded, error_status, pairs},
    state::{Session, State},
    value::text_of,
};

const LIFE_MS: i64 = 3_600_000;
const ROOT: &str = "/services/rest/";

/// Why a call is refused.
#[derive(Debug, Clone)]
struct Refusal {
    status: u16,
    code: &'static str,
    detail: String,
    path: Option<String>,
}

impl Refusal {
    fn of(status: u16, code: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal { status, code, detail: detail.into(), path: None }
    }

    fn content(path: &str, detail: impl Into<String>) -> Refusal {
        Refusal { path: Some(path.to_owned()), ..Refusal::of(400, "INVALID_CONTENT", detail) }
    }

    fn missing() -> Refusal {
        Refusal::of(
            404,
            "NONEXISTENT_ID",
            "The record instance does not exist. Provide a valid record instance ID.",
        )
    }
}

fn reply_of(refusal: &Refusal) -> Reply {
    let mut detail = json!({"detail": refusal.detail, "o:errorCode": refusal.code});
    if let (Value::Object(detail), Some(path)) = (&mut detail, &refusal.path) {
        detail.insert("o:errorPath".to_owned(), json!(path));
    }
    let title =
        axum::http::StatusCode::from_u16(refusal.status).ok().and_then(|status| status.canonical_reason());
    let body = json!({"type": "https://www.rfc-editor.org/rfc/rfc9110.html", "title": title,
        "status": refusal.status, "o:errorDetails": [detail]});
    Reply::text(refusal.status, "application/vnd.oracle.resource+json; type=error", body.to_string())
}

fn refuse(refusal: &Refusal) -> Answer {
    Answer::failed(reply_of(refusal), format!("{}: {}", refusal.code, refusal.detail))
}

/// The answer to too many calls.
pub(super) fn throttled() -> Reply {
    let said = "Your request was rejected because it exceeded the concurrency limit of the account.";
    reply_of(&Refusal::of(429, "CONCURRENCY_LIMIT_EXCEEDED", said))
}

/// An error that was asked for by its status.
pub(super) fn api_error(code: i64) -> Reply {
    let status = error_status(code);
    reply_of(&Refusal::of(status, "UNEXPECTED_ERROR", "the simulator was told to answer this error"))
}

/// What a token that is over is answered with.
pub(super) fn token_refused() -> Reply {
    let said = "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI.";
    reply_of(&Refusal::of(401, "INVALID_LOGIN", said))
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut asked = Asked { items: 1, interface: "api".to_owned(), ..Asked::default() };
    let path = decoded(&request.path).unwrap_or_default();
    let parts: Vec<&str> = path.strip_prefix(ROOT).unwrap_or("").split('/').collect();
    let (operation, role, object) = match (request.method.as_str(), parts.as_slice()) {
        ("POST", ["auth", "oauth2", "v1", "token"]) => ("token", "sign-in", ""),
        ("POST", ["query", "v1", "suiteql"]) => ("suiteql", "query", ""),
        ("GET", ["record", "v1", "metadata-catalog", object]) => ("metadata", "describe", *object),
        ("GET", ["record", "v1", object]) => ("list", "query", *object),
        ("POST", ["record", "v1", object]) => ("create", "create", *object),
        ("GET", ["record", "v1", object, _]) => ("get", "get", *object),
        ("PATCH", ["record", "v1", object, _]) => ("update", "update", *object),
        // An id of one's own: what is not there is made.
        ("PUT", ["record", "v1", object, id]) if id.starts_with("eid:") => {
            ("create/upsert", "create", *object)
        }
        ("DELETE", ["record", "v1", object, _]) => ("delete", "delete", *object),
        _ => ("unknown", "", ""),
    };
    asked.operation = operation.to_owned();
    asked.roles = vec![role];
    asked.object = object.to_owned();
    if operation == "suiteql" {
        let text = payload.get("q").and_then(Value::as_str).unwrap_or_default();
        asked.object = query::object_of(text).to_owned();
        // A query by ids or keys reads what is known; a page of a list does not.
        if text.contains(" IN (") {
            asked.roles = vec!["get"];
        }
    }
    if let ["record", "v1", _, id] = parts.as_slice()
        && operation != "metadata"
    {
        asked.ids.push((*id).to_owned());
    }
    if let Value::Object(body) = &payload {
        asked.fields = body.keys().cloned().collect();
        let lines = body.get(schema::LINES).and_then(|list| list.get("items")).and_then(Value::as_array);
        asked.lines = lines.map_or(0, Vec::len);
    }
    asked.payload = payload;
    asked
}

/// Checks the bearer.
pub(super) fn signed_in(state: &mut State, request: &Request, asked: &Asked) -> Result<(), Answer> {
    if asked.is("sign-in") {
        return Ok(());
    }
    let token = request.bearer();
    if state.knows(token, LIFE_MS) {
        return Ok(());
    }
    Err(Answer::failed(token_refused(), "INVALID_LOGIN"))
}

/// Whether an assertion is signed by the known key with PS256, and says who it is for and of, and lives now.
fn asserts(assertion: &str, audience: &str, now: i64) -> bool {
    let decode = |text: &str| general_purpose::URL_SAFE_NO_PAD.decode(text).ok();
    let json = |text: &str| decode(text).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let parts: Vec<&str> = assertion.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return false };
    let Ok(key) = general_purpose::STANDARD.decode(salesforce::public_key()) else { return false };
    let (Some(head), Some(told), Some(signature)) = (json(header), json(claims), decode(signature)) else {
        return false;
    };
    let second = |name: &str| told.get(name).and_then(text_of).and_then(|text| text.parse::<i64>().ok());
    let (from, until) = (second("iat").unwrap_or_default(), second("exp").unwrap_or_default());
    let signed = format!("{header}.{claims}");
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key).verify(signed.as_bytes(), &signature).is_ok()
        && head.get("alg") == Some(&json!("PS256"))
        && head.get("typ") == Some(&json!("JWT"))
        && head.get("kid") == Some(&json!(known::CERTIFICATE))
        && told.get("iss") == Some(&json!(known::CLIENT_ID))
        && told.get("scope").is_some_and(|scope| scope.to_string().contains("rest_webservices"))
        && told.get("aud") == Some(&json!(audience))
        && from <= now
        && (now..=from + 3600).contains(&until)
}

fn token(state: &mut State, request: &Request) -> Answer {
    let form = pairs(&String::from_utf8_lossy(&request.body));
    let given = |name: &str| form.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    let audience = format!("http://{}{}", request.header("host").unwrap_or_default(), request.path);
    let now = state.now_ms();
    let well = given("grant_type") == "client_credentials"
        && given("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        && asserts(given("client_assertion"), &audience, now.div_euclid(1000));
    if !well {
        let body = json!({"error": "invalid_request", "error_description": "the assertion does not hold"});
        return Answer::failed(Reply::text(400, "application/json", body.to_string()), "invalid_request");
    }
    state.sessions.retain(|session| session.lives(now, LIFE_MS));
    let value = uuid::Uuid::new_v4().simple().to_string();
    state.sessions.push(Session { value: value.clone(), born_ms: now, ended: false });
    let life = (LIFE_MS / 1000).to_string();
    Answer::ok(&json!({"access_token": value, "expires_in": life, "token_type": "Bearer"}))
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(state: &mut State, request: &Request, asked: &Asked) -> Answer {
    answer(state, request, asked).unwrap_or_else(|refusal| refuse(&refusal))
}

fn answer(state: &mut State, request: &Request, asked: &Asked) -> Result<Answer, Refusal> {
    if asked.is("sign-in") {
        return Ok(token(state, request));
    }
    if asked.operation == "suiteql" {
        return query::run(state, request, asked);
    }
    let object = asked.object.as_str();
    if schema::fields(object).is_none() {
        return Err(Refusal::of(
            404,
            "NONEXISTENT_RECORD_TYPE",
            format!("Record type '{object}' does not exist."),
        ));
    }
    let empty = serde_json::Map::new();
    let body = asked.payload.as_object().unwrap_or(&empty);
    let id = asked.ids.first().cloned().unwrap_or_default();
    let replaces =
        pairs(&request.query).iter().any(|(name, value)| name == "replace" && value == schema::LINES);
    match asked.operation.as_str() {
        "metadata" => records::describe(state, object),
        "list" => records::list(state, request, object),
        "get" => records::get(state, request, object, &id),
        "create" | "create/upsert" => records::create(state, request, object, &id, body),
        "update" => records::update(state, object, &id, body, replaces),
        "delete" => records::delete(state, object, &id),
        _ => Err(Refusal::of(404, "NOT_FOUND", "The requested resource is not there.")),
    }
}
