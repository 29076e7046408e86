//! HubSpot's CRM API: tokens, properties, lists, searches, batches.

mod objects;
pub(super) mod person;
mod search;
mod write;

use serde_json::{Map, Value, json};

use super::{
    credentials::hubspot as known,
    exchange::{Answer, Asked, BatchTrouble, Reply, Request, error_status, pairs},
    state::{Session, State},
};
use crate::model::record::Record;

/// Records in one call of a batch.
const BATCH: usize = 100;
/// How long a token of an app lives.
const LIFE_MS: i64 = 1_800_000;
/// Calls in a day.
const DAILY: u64 = 250_000;
const ROOT: &str = "/crm/v3/objects/";

/// Why a call, or one record of it, is refused.
#[derive(Debug)]
struct Refusal {
    status: u16,
    category: &'static str,
    message: String,
    errors: Vec<Value>,
}

impl Refusal {
    fn of(status: u16, category: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, category, message: message.into(), errors: Vec::new() }
    }

    fn validation(message: impl Into<String>) -> Refusal {
        Refusal::of(400, "VALIDATION_ERROR", message)
    }

    fn because(mut self, code: &str, property: &str) -> Refusal {
        let context = json!({"propertyName": [property]});
        self.errors.push(json!({"message": self.message, "code": code, "in": property, "context": context}));
        self
    }
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply::text(status, "application/json;charset=utf-8", body.to_string())
}

fn empty() -> Reply {
    Reply { status: 204, headers: Vec::new(), body: Vec::new() }
}

fn refuse(refusal: &Refusal) -> Answer {
    let correlation = uuid::Uuid::new_v4().to_string();
    let mut body = json!({"status": "error", "message": refusal.message, "correlationId": correlation,
        "category": refusal.category});
    if let (Value::Object(body), false) = (&mut body, refusal.errors.is_empty()) {
        body.insert("errors".to_owned(), Value::Array(refusal.errors.clone()));
    }
    Answer::failed(reply(refusal.status, &body), format!("{}: {}", refusal.category, refusal.message))
}

/// The answer to too many calls.
pub(super) fn throttled() -> Reply {
    let body = json!({"status": "error", "message": "You have reached your ten_secondly_rolling limit.",
        "errorType": "RATE_LIMIT", "correlationId": "c033cdaa-2c40-4a64-ae48-b4cec88dad24",
        "policyName": "TEN_SECONDLY_ROLLING", "category": "RATE_LIMITS"});
    reply(429, &body)
}

/// An error that was asked for by its status.
pub(super) fn api_error(code: i64) -> Reply {
    let status = error_status(code);
    refuse(&Refusal::of(status, "INTERNAL_ERROR", "the simulator was told to answer this error")).reply
}

/// What a token that is over is answered with.
pub(super) fn token_refused() -> Reply {
    let message = "The OAuth token used to make this call expired 5 minute(s) ago.";
    refuse(&Refusal::of(401, "EXPIRED_AUTHENTICATION", message)).reply
}

/// The table of an object's archived records.
fn bin(object: &str) -> String {
    format!("archive of {object}")
}

fn need_object(object: &str) -> Result<(), Refusal> {
    if objects::properties(object).is_some() {
        return Ok(());
    }
    Err(Refusal::validation(format!("Unable to infer object type from: {object}")))
}

/// The inputs of a batch.
fn inputs(asked: &Asked) -> Result<Vec<Map<String, Value>>, Refusal> {
    let list = asked.payload.get("inputs").and_then(Value::as_array);
    let list = list.ok_or_else(|| Refusal::validation("Invalid input JSON: inputs is missing"))?;
    if list.len() > BATCH {
        return Err(Refusal::validation(format!("The maximum batch size is {BATCH}")));
    }
    Ok(list.iter().filter_map(|input| input.as_object().cloned()).collect())
}

/// What a batch that was worked on is answered with.
fn done(results: Vec<Value>) -> Value {
    json!({"status": "COMPLETE", "startedAt": "2026-03-01T10:11:12.123Z", "completedAt": "2026-03-01T10:11:12.456Z",
        "results": results})
}

/// A record as the API shows it: the properties that were asked for, and the three that always come.
fn shown(object: &str, record: &Record, names: &[String]) -> Value {
    let stamp = objects::stamp_of(object);
    let value = |name: &str| record.get(name).cloned().unwrap_or(Value::Null);
    let mut properties = Map::new();
    for name in names.iter().map(String::as_str).chain(["createdate", stamp, "hs_object_id"]) {
        // An unknown name is passed over in silence.
        if objects::property(object, name).is_some() {
            properties.insert(name.to_owned(), value(name));
        }
    }
    json!({"id": value("hs_object_id"), "properties": properties, "createdAt": value("createdate"),
        "updatedAt": value(stamp), "archived": false})
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut asked = Asked { items: 1, interface: "api".to_owned(), ..Asked::default() };
    let rest = request.path.strip_prefix(ROOT).unwrap_or("");
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let (operation, role, object) = match (request.method.as_str(), parts.as_slice()) {
        ("POST", []) if matches!(request.path.as_str(), "/oauth/v1/token" | "/oauth/v3/token") => {
            ("token", "sign-in", "")
        }
        ("GET", []) if request.path == "/account-info/v3/details" => ("account", "", ""),
        ("GET", []) => match request.path.strip_prefix("/crm/v3/properties/") {
            Some(object) => ("properties", "describe", object),
            None => ("unknown", "", ""),
        },
        ("GET", [object]) => ("list", "query", *object),
        ("POST", [object]) => ("create", "create", *object),
        ("POST", [object, "search"]) => ("search", "query", *object),
        ("POST", [object, "batch", "read"]) => ("batch/read", "get", *object),
        ("POST", [object, "batch", "create"]) => ("batch/create", "create", *object),
        ("POST", [object, "batch", "update"]) => ("batch/update", "update", *object),
        ("POST", [object, "batch", "archive"]) => ("batch/archive", "delete", *object),
        ("GET", [object, _id]) => ("get", "get", *object),
        ("PATCH", [object, _id]) => ("update", "update", *object),
        ("DELETE", [object, _id]) => ("archive", "delete", *object),
        _ => ("unknown", "", ""),
    };
    asked.operation = operation.to_owned();
    asked.roles = vec![role];
    asked.object = object.to_owned();
    if let ([_, id], "get" | "update" | "archive") = (parts.as_slice(), operation) {
        asked.ids.push((*id).to_owned());
    }
    let inputs = payload.get("inputs").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    for input in inputs {
        asked.ids.extend(input.get("id").and_then(Value::as_str).map(str::to_owned));
    }
    for record in inputs.iter().chain([&payload]) {
        for name in record.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            if !asked.fields.contains(name) {
                asked.fields.push(name.clone());
            }
        }
    }
    asked.items = inputs.len().max(1);
    asked.payload = payload;
    asked
}

/// Checks the bearer: the token of a private app, which does not end, or that of an app.
pub(super) fn signed_in(state: &mut State, request: &Request, asked: &Asked) -> Result<(), Answer> {
    if asked.is("sign-in") {
        return Ok(());
    }
    let token = request.bearer();
    if token == known::ACCESS_TOKEN || state.knows(token, LIFE_MS) {
        return Ok(());
    }
    if state.sessions.iter().any(|session| session.value == token) {
        return Err(Answer::failed(token_refused(), "EXPIRED_AUTHENTICATION"));
    }
    let message = "Authentication credentials not found.";
    Err(refuse(&Refusal::of(401, "INVALID_AUTHENTICATION", message)))
}

fn token(state: &mut State, request: &Request) -> Answer {
    let form = pairs(&String::from_utf8_lossy(&request.body));
    let given = |name: &str| form.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    let well = given("grant_type") == "refresh_token"
        && given("client_id") == known::CLIENT_ID
        && given("client_secret") == known::CLIENT_SECRET
        && given("refresh_token") == known::REFRESH_TOKEN;
    if !well {
        let body = json!({"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"});
        return Answer::failed(reply(400, &body), "BAD_REFRESH_TOKEN");
    }
    let now = state.now_ms();
    let value = format!("CN{}", uuid::Uuid::new_v4().simple());
    state.sessions.push(Session { value: value.clone(), born_ms: now, ended: false });
    Answer::ok(
        &json!({"access_token": value, "refresh_token": known::REFRESH_TOKEN, "expires_in": LIFE_MS / 1000,
        "token_type": "bearer", "hub_id": known::PORTAL_ID}),
    )
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Answer {
    let mut answer = answer(state, request, asked, trouble).unwrap_or_else(|refusal| refuse(&refusal));
    // A search tells nothing of the limits.
    if !asked.is("sign-in") && asked.operation != "search" {
        let left = DAILY.saturating_sub(state.call_count() + 1);
        let headers = [("x-hubspot-ratelimit-daily", DAILY), ("x-hubspot-ratelimit-daily-remaining", left)];
        answer.reply.headers.extend(headers.map(|(name, value)| (name.to_owned(), value.to_string())));
    }
    answer
}

fn answer(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    match asked.operation.as_str() {
        "token" => Ok(token(state, request)),
        "account" => Ok(Answer::ok(&json!({"portalId": known::PORTAL_ID, "accountType": "DEVELOPER_TEST",
            "timeZone": "Asia/Shanghai", "companyCurrency": "CNY", "uiDomain": "app.hubspot.com"}))),
        "properties" => properties(state, &asked.object),
        "list" => search::list(state, request, asked),
        "search" => search::search(state, asked),
        "batch/read" => search::batch(state, asked),
        "batch/create" | "batch/update" | "batch/archive" => write::batch(state, asked, trouble),
        "create" | "update" | "archive" => write::single(state, asked),
        "get" => get(state, request, asked),
        _ => Err(Refusal::of(404, "OBJECT_NOT_FOUND", "resource not found")),
    }
}

fn get(state: &mut State, request: &Request, asked: &Asked) -> Result<Answer, Refusal> {
    need_object(&asked.object)?;
    let id = asked.ids.first().cloned().unwrap_or_default();
    let given = pairs(&request.query);
    let names = given.iter().find(|(name, _)| name == "properties").map_or("", |(_, value)| value);
    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
    let record = state.table(&asked.object).get(&id).map(|row| row.fields.clone());
    let record = record.ok_or_else(|| Refusal::of(404, "OBJECT_NOT_FOUND", "Object not found."))?;
    Ok(Answer::ok(&shown(&asked.object, &record, &names)).with_ids(vec![id]))
}

fn properties(state: &State, object: &str) -> Result<Answer, Refusal> {
    let known = objects::properties(object);
    let known =
        known.ok_or_else(|| Refusal::validation(format!("Unable to infer object type from: {object}")))?;
    let mut results = Vec::new();
    for (name, holds, by_system, unique) in known {
        let kind = match state.described.get(&(object.to_owned(), (*name).to_owned())) {
            Some(None) => continue,
            Some(Some(kind)) => kind.as_str(),
            None => holds.type_name(),
        };
        results.push(json!({
            "name": name, "label": name, "type": kind, "fieldType": "text", "groupName": "information",
            "description": "", "options": [], "hasUniqueValue": unique, "hidden": false, "calculated": false,
            "externalOptions": false, "formField": true, "displayOrder": -1, "archived": false,
            "modificationMetadata": {"archivable": true, "readOnlyDefinition": true, "readOnlyValue": by_system},
        }));
    }
    Ok(Answer::ok(&json!({ "results": results })))
}
