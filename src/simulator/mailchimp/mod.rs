//! Mailchimp's Marketing API: the members of one audience, with its merge fields.

mod members;
pub(super) mod person;

use base64::{Engine as _, engine::general_purpose};
use serde_json::{Value, json};

use super::{
    credentials::mailchimp as known,
    exchange::{Answer, Asked, BatchTrouble, Reply, Request, decoded, error_status, pairs},
    state::State,
};

/// Why a call is refused: status, title, what is wrong, and with which field.
#[derive(Debug, Clone)]
struct Refusal {
    status: u16,
    title: &'static str,
    detail: String,
    field: Option<String>,
}

impl Refusal {
    fn of(status: u16, title: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal { status, title, detail: detail.into(), field: None }
    }

    fn field(field: &str, detail: impl Into<String>) -> Refusal {
        Refusal { field: Some(field.to_owned()), ..Refusal::of(400, "Invalid Resource", detail) }
    }

    fn missing() -> Refusal {
        Refusal::of(404, "Resource Not Found", "The requested resource could not be found.")
    }
}

fn reply_of(refusal: &Refusal) -> Reply {
    let (detail, errors) = match &refusal.field {
        Some(field) => (
            "The resource submitted could not be validated. For field-specific details, see the 'errors' array.",
            vec![json!({"field": field, "message": refusal.detail})],
        ),
        None => (refusal.detail.as_str(), Vec::new()),
    };
    let mut body = json!({"type": "https://mailchimp.com/developer/marketing/docs/errors/", "title": refusal.title,
        "status": refusal.status, "detail": detail, "instance": uuid::Uuid::new_v4().to_string()});
    if let (Value::Object(body), false) = (&mut body, errors.is_empty()) {
        body.insert("errors".to_owned(), Value::Array(errors));
    }
    Reply::text(refusal.status, "application/problem+json; charset=utf-8", body.to_string())
}

fn refuse(refusal: &Refusal) -> Answer {
    Answer::failed(reply_of(refusal), format!("{}: {}", refusal.title, refusal.detail))
}

/// The answer to too many calls at once.
pub(super) fn throttled() -> Reply {
    let said = "You have exceeded the limit of 10 simultaneous connections.";
    reply_of(&Refusal::of(429, "Too Many Requests", said))
}

/// An error that was asked for by its status.
pub(super) fn api_error(code: i64) -> Reply {
    let status = error_status(code);
    reply_of(&Refusal::of(status, "Internal Server Error", "the simulator was told to answer this error"))
}

/// What a key that is not known is answered with.
pub(super) fn key_refused() -> Reply {
    let said = "Your API key may be invalid, or you've attempted to access the wrong datacenter.";
    reply_of(&Refusal::of(401, "API Key Invalid", said))
}

/// The object of an audience's members, as the door and the log name it.
fn object_of(list: &str) -> String {
    format!("{list}/members")
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut asked = Asked { items: 1, interface: "api".to_owned(), ..Asked::default() };
    let path = decoded(&request.path).unwrap_or_default();
    let rest = path.strip_prefix("/3.0").unwrap_or("");
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let (operation, role, list) = match (request.method.as_str(), parts.as_slice()) {
        ("GET", []) if path.starts_with("/3.0") => ("root", "", ""),
        ("GET", ["ping"]) => ("ping", "", ""),
        ("GET", ["lists"]) => ("lists", "", ""),
        ("GET", ["lists", list, "merge-fields"]) => ("merge-fields", "describe", *list),
        ("GET", ["lists", list, "members"]) => ("list", "query", *list),
        ("POST", ["lists", list, "members"]) => ("create", "create", *list),
        ("POST", ["lists", list]) => ("batch/create", "create", *list),
        ("GET", ["lists", list, "members", _]) => ("get", "get", *list),
        ("PUT", ["lists", list, "members", _]) => ("upsert", "update", *list),
        ("PATCH", ["lists", list, "members", _]) => ("update", "update", *list),
        ("DELETE", ["lists", list, "members", _]) => ("archive", "delete", *list),
        ("POST", ["lists", list, "members", _, "actions", "delete-permanent"]) => ("delete", "delete", *list),
        _ => ("unknown", "", ""),
    };
    asked.operation = operation.to_owned();
    asked.roles = vec![role];
    asked.object = if list.is_empty() { String::new() } else { object_of(list) };
    if let [_, _, "members", id, ..] = parts.as_slice() {
        asked.ids.push((*id).to_owned());
    }
    let members = payload.get("members").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    for member in members.iter().chain([&payload]).filter_map(Value::as_object) {
        let merged = member.get("merge_fields").and_then(Value::as_object);
        let merged = merged.into_iter().flat_map(|fields| fields.keys());
        for name in member.keys().filter(|name| *name != "merge_fields" && *name != "members").chain(merged) {
            if !asked.fields.contains(name) {
                asked.fields.push(name.clone());
            }
        }
    }
    asked.items = members.len().max(1);
    asked.payload = payload;
    asked
}

/// Checks the key: the password of a basic sign-in with any name, or a bearer.
pub(super) fn signed_in(request: &Request) -> Result<(), Answer> {
    let given = request.header("authorization").unwrap_or("");
    let basic = given.strip_prefix("Basic ").and_then(|text| general_purpose::STANDARD.decode(text).ok());
    let basic = basic.and_then(|bytes| String::from_utf8(bytes).ok());
    let by_password =
        basic.is_some_and(|text| text.split_once(':').is_some_and(|(_, key)| key == known::API_KEY));
    if by_password || given.strip_prefix("Bearer ") == Some(known::API_KEY) {
        return Ok(());
    }
    Err(Answer::failed(key_refused(), "API Key Invalid"))
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Answer {
    answer(state, request, asked, trouble).unwrap_or_else(|refusal| refuse(&refusal))
}

fn answer(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    if !asked.object.is_empty() && asked.object != object_of(known::LIST) {
        return Err(Refusal::missing());
    }
    let id = asked.ids.first().cloned().unwrap_or_default();
    match asked.operation.as_str() {
        "root" => Ok(Answer::ok(
            &json!({"account_id": known::ACCOUNT, "account_name": "Demo", "total_subscribers": 0}),
        )),
        "ping" => Ok(Answer::ok(&json!({"health_status": "Everything's Chimpy!"}))),
        "lists" => {
            Ok(Answer::ok(&json!({"lists": [{"id": known::LIST, "name": "Customers"}], "total_items": 1})))
        }
        "merge-fields" => Ok(members::merge_fields(state, &asked.object)),
        "list" => members::list(state, &asked.object, &pairs(&request.query)),
        "get" => members::get(state, &asked.object, &id),
        "create" => members::create(state, &asked.object, &asked.payload),
        "batch/create" => members::batch(state, &asked.object, &asked.payload, trouble),
        "upsert" | "update" => {
            members::update(state, &asked.object, &id, &asked.payload, asked.operation == "upsert")
        }
        "archive" | "delete" => members::remove(state, &asked.object, &id, asked.operation == "delete"),
        _ => Err(Refusal::missing()),
    }
}
