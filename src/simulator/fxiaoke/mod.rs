//! Fxiaoke's open platform: both generations, HTTP status 200 for everything.

mod describe;
pub(super) mod person;
mod query;
mod refs;
mod schema;
mod sign_in;
mod write;

use serde_json::{Map, Value, json};

use super::{
    exchange::{Answer, Asked, Reply, Request},
    state::State,
};

pub(super) use sign_in::signed_in;

/// A parameter is missing or illegal; also an unknown path and a bad app secret.
const MISSING: i64 = 10006;
/// A parameter is invalid (of the family 11001 to 11018).
const INVALID: i64 = 11001;
/// The record is not there. The real code is (unverified); the page gives the family only.
const NO_RECORD: i64 = 11002;
/// A rule of the business refused it.
const BUSINESS: i64 = 40010;
/// A service exception, or a refusal such as a locked record: the real system uses one code for both.
const SERVICE: i64 = 50009;

/// Why a call is refused.
#[derive(Debug)]
struct Refusal {
    code: i64,
    message: String,
    description: Option<String>,
}

impl Refusal {
    fn new(code: i64, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), description: None }
    }

    fn missing(parameter: &str) -> Refusal {
        Refusal::new(MISSING, format!("the parameter {parameter} is missing or illegal"))
    }
}

fn trace_id() -> String {
    format!("E-O.demo.1000-{}", uuid::Uuid::new_v4().simple())
}

/// An error in the API's form.
pub(super) fn error_reply(code: i64, message: &str) -> Reply {
    Reply::json(&json!({
        "traceId": trace_id(), "errorCode": code, "errorMessage": message, "errorDescription": message,
    }))
}

/// What a wrong or expired token is answered with; the spelling is the real one.
pub(super) fn token_refused() -> Reply {
    Reply::json(&json!({
        "traceId": trace_id(), "errorCode": 20016,
        "errorMessage": "the cropId,cropAccessToken or authorization is error",
    }))
}

fn refuse(refusal: Refusal) -> Answer {
    let description = refusal.description.as_deref().unwrap_or("缺少参数或参数不合法");
    let reply = Reply::json(&json!({
        "traceId": trace_id(), "errorCode": refusal.code,
        "errorMessage": refusal.message, "errorDescription": description,
    }));
    Answer::failed(reply, format!("{}: {}", refusal.code, refusal.message))
}

/// The envelope of a success; what is not in `data` lies beside it.
fn success(extra: Value) -> Value {
    let mut envelope = Map::new();
    envelope.insert("errorCode".to_owned(), json!(0));
    envelope.insert("errorMessage".to_owned(), json!("OK"));
    envelope.insert("errorDescription".to_owned(), json!("success"));
    envelope.insert("traceId".to_owned(), json!(trace_id()));
    if let Value::Object(extra) = extra {
        envelope.extend(extra);
    }
    Value::Object(envelope)
}

/// The paths under `/cgi/crm/` and `/cgi/crm/custom/`, by the operation's name and role.
const DATA: [(&str, &str, &[&str]); 11] = [
    ("v2/data/create", "create", &["create"]),
    ("v2/data/update", "update", &["update"]),
    ("v2/data/query", "query", &["query"]),
    ("v2/data/get", "get", &["get"]),
    ("v2/data/findSimple", "findSimple", &["query"]),
    ("v2/data/findOne", "findOne", &["get"]),
    ("v2/data/changeOwner", "changeOwner", &["update"]),
    ("v2/data/invalid", "invalid", &["delete"]),
    ("data/invalid", "invalid", &["delete"]),
    ("v2/data/delete", "delete", &["delete"]),
    ("v2/data/recover", "recover", &["update"]),
];

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut asked = Asked { items: 1, interface: request.path.clone(), ..Asked::default() };
    let (operation, roles): (&str, &[&'static str]) = match request.path.as_str() {
        "/cgi/corpAccessToken/get/V2" | "/oauth2.0/token" => ("token", &["sign-in"]),
        "/cgi/user/getByMobile" => ("getByMobile", &[]),
        "/cgi/crm/v2/object/list" => ("list", &["describe"]),
        "/cgi/crm/v2/object/describe" => ("describe", &["describe"]),
        "/cgi/crm/v2/object/lock" => ("lock", &[]),
        "/cgi/crm/v2/object/unlock" => ("unlock", &[]),
        path => {
            let rest = path.strip_prefix("/cgi/crm/").unwrap_or("");
            let rest = rest.strip_prefix("custom/").unwrap_or(rest);
            match DATA.iter().find(|(known, ..)| *known == rest) {
                Some((_, operation, roles)) => (operation, roles),
                None => ("unknown", &[]),
            }
        }
    };
    asked.operation = operation.to_owned();
    asked.roles = roles.to_vec();
    let data = payload.get("data").unwrap_or(&Value::Null);
    let record = data.get("object_data").unwrap_or(&Value::Null);
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    asked.object = text(data, "dataObjectApiName")
        .or_else(|| text(record, "dataObjectApiName"))
        .or_else(|| text(data, "apiName"))
        .or_else(|| text(&payload, "apiName"))
        .unwrap_or_default();
    asked.ids = ["objectDataId", "object_data_id", "_id"]
        .iter()
        .filter_map(|name| text(data, name).or_else(|| text(record, name)))
        .chain(["idList", "dataIds"].iter().flat_map(|name| texts(data.get(*name))))
        .collect();
    if let Value::Object(record) = record {
        let sent = record.keys().filter(|name| !matches!(name.as_str(), "dataObjectApiName" | "_id"));
        asked.fields = sent.cloned().collect();
    }
    for (detail, lines) in data.get("details").and_then(Value::as_object).into_iter().flatten() {
        for line in lines.as_array().into_iter().flatten().filter_map(Value::as_object) {
            asked.lines += 1;
            for name in line.keys().map(|name| format!("{detail}.{name}")) {
                if !asked.fields.contains(&name) {
                    asked.fields.push(name);
                }
            }
        }
    }
    asked.payload = payload;
    asked
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(state: &mut State, request: &Request, asked: &Asked) -> Answer {
    answer(state, request, asked).unwrap_or_else(refuse)
}

fn answer(state: &mut State, request: &Request, asked: &Asked) -> Result<Answer, Refusal> {
    if asked.operation == "unknown" {
        let path = &request.path;
        return Err(Refusal::new(MISSING, format!("the request uri=[{path}], apiName=[null] is not exists")));
    }
    if asked.operation == "token" {
        return sign_in::token(state, request, asked);
    }
    if !asked.payload.is_object() {
        return Err(Refusal::new(12004, "the request body is empty or illegal"));
    }
    match asked.operation.as_str() {
        "getByMobile" => return Ok(describe::user(asked)),
        "list" => return Ok(describe::list(state)),
        _ => {}
    }
    if asked.object.is_empty() {
        return Err(Refusal::missing("apiName"));
    }
    check_family(request, asked)?;
    let data = asked.payload.get("data").unwrap_or(&Value::Null);
    match asked.operation.as_str() {
        "describe" => Ok(describe::describe(state, asked)),
        "query" | "findSimple" => query::query(state, asked, data),
        "findOne" => query::find_one(state, asked, data),
        "get" => query::get(state, asked, data),
        "create" => write::create(state, asked, data),
        "update" => write::update(state, asked, data),
        "changeOwner" => write::change_owner(state, asked, data),
        "invalid" => write::invalidate(state, asked),
        "delete" => write::delete(state, asked),
        "recover" => write::recover(state, asked),
        "lock" => write::lock(state, asked, "1"),
        _ => write::lock(state, asked, "0"),
    }
}

/// Preset and custom objects have different paths; `findSimple` and `findOne` are documented under `custom` only.
fn check_family(request: &Request, asked: &Asked) -> Result<(), Refusal> {
    if matches!(asked.operation.as_str(), "findSimple" | "findOne" | "describe" | "lock" | "unlock") {
        return Ok(());
    }
    let custom_path = request.path.starts_with("/cgi/crm/custom/");
    let custom_object = asked.object.ends_with("__c");
    if custom_path == custom_object { Ok(()) } else { Err(Refusal::missing("apiName")) }
}

/// Where a create or update names its object is not where a read does: a name in the wrong place does not count.
fn need_name_at(asked: &Asked, place: &Value) -> Result<(), Refusal> {
    match place.get("dataObjectApiName").and_then(Value::as_str) {
        Some(name) if name == asked.object => Ok(()),
        _ => Err(Refusal::missing("apiName")),
    }
}
