//! Dynamics 365: the Web API of Dataverse, and the tokens of Entra ID. Every record has a version that writes may name.

mod batch;
pub(super) mod person;
mod read;
mod schema;
mod write;

use serde_json::{Value, json};

use super::{
    credentials::dynamics365 as known,
    exchange::{Answer, Asked, BatchTrouble, Reply, Request, decoded, error_status, pairs},
    odata::{self, Query, Version, Wrong},
    state::{Session, State},
    table::Row,
};
use crate::model::record::Record;
use schema::{Holds, Table};

/// How long a token lives.
const LIFE_MS: i64 = 3_599_000;
const JSON: &str = "application/json; odata.metadata=minimal";

/// Why a request is refused.
#[derive(Debug, Clone)]
struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn of(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into() }
    }

    fn missing(table: &str, id: &str) -> Refusal {
        Refusal::of(404, "0x80040217", format!("Entity '{table}' With Id = {id} Does Not Exist"))
    }

    fn property(table: &Table, name: &str) -> Refusal {
        let said = format!(
            "Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{}'.",
            table.name
        );
        Refusal::of(400, "0x80060888", said)
    }

    fn wrong(wrong: &Wrong) -> Refusal {
        Refusal::of(400, "0x80060888", format!("{wrong:?}"))
    }
}

fn reply_of(refusal: &Refusal) -> Reply {
    let body = json!({"error": {"code": refusal.code, "message": refusal.message}});
    Reply::text(refusal.status, JSON, body.to_string())
}

fn refuse(refusal: &Refusal) -> Answer {
    Answer::failed(reply_of(refusal), format!("{}: {}", refusal.code, refusal.message))
}

/// The answer to too many calls.
pub(super) fn throttled() -> Reply {
    let said = "Number of requests exceeded the limit of 6000 over the time window of 300 seconds.";
    reply_of(&Refusal::of(429, "0x80072322", said))
}

/// An error that was asked for by its status.
pub(super) fn api_error(code: i64) -> Reply {
    let status = error_status(code);
    reply_of(&Refusal::of(status, "0x80040216", "the simulator was told to answer this error"))
}

/// What a token that is over is answered with: no body.
pub(super) fn token_refused() -> Reply {
    let mut reply = Reply { status: 401, headers: Vec::new(), body: Vec::new() };
    let uri = "Bearer authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize";
    reply.headers.push(("www-authenticate".to_owned(), uri.to_owned()));
    reply
}

fn root(request: &Request) -> String {
    format!("http://{}/api/data/v9.2", request.header("host").unwrap_or("127.0.0.1"))
}

/// The system options of a request.
fn options(request: &Request) -> Vec<(String, String)> {
    pairs(&request.query)
}

fn etag(record: &Record) -> String {
    format!("W/\"{}\"", record.get("versionnumber").map(Value::to_string).unwrap_or_default())
}

/// A record as the API shows it.
fn shown_as(request: &Request, table: &Table, query: &Query, record: &Record, alone: bool) -> Record {
    let mut all = Record::new();
    if alone {
        let context = format!("{}/$metadata#{}/$entity", root(request), table.set);
        all.insert("@odata.context".to_owned(), json!(context));
    }
    all.insert("@odata.etag".to_owned(), json!(etag(record)));
    let value = |name: &str| record.get(name).cloned().unwrap_or(Value::Null);
    let whole: Record = table.columns().map(|(name, ..)| ((*name).to_owned(), value(name))).collect();
    let annotated =
        request.header("prefer").is_some_and(|prefer| prefer.contains("odata.include-annotations"));
    for (name, value) in query.shown(&whole, &[table.id]) {
        let is_choice = table.column(&name).is_some_and(|(_, holds, _)| *holds == Holds::Choice);
        if annotated && is_choice && !value.is_null() {
            let label = format!("{name}@OData.Community.Display.V1.FormattedValue");
            all.insert(label, json!(format!("Label {value}")));
        }
        all.insert(name, value);
    }
    all
}

/// The table that an address names, and the key of one record.
#[derive(Debug)]
struct Target {
    table: &'static Table,
    key: odata::Key,
}

impl Target {
    /// The key as it is named.
    fn named(&self) -> String {
        self.key.iter().map(|(_, literal)| literal.text()).collect::<Vec<_>>().join(",")
    }

    /// The record that the key names.
    fn find(&self, state: &mut State) -> Option<Row> {
        let [(name, literal)] = self.key.as_slice() else { return None };
        let text = literal.text();
        match name.as_deref().filter(|name| *name != self.table.id) {
            None => state.table(self.table.name).get(&text).cloned(),
            Some(name) => {
                let mut rows = state.table(self.table.name).rows();
                rows.find(|row| row.fields.get(name).is_some_and(|value| *value == json!(text))).cloned()
            }
        }
    }
}

fn target(request: &Request) -> Result<Target, Refusal> {
    let path = decoded(&request.path).unwrap_or_default();
    let last = path.rsplit_once("/v9.2/").map_or("", |(_, rest)| rest).to_owned();
    let unknown = || {
        let said = format!("Resource not found for the segment '{last}'.");
        Refusal::of(404, "0x80060888", said)
    };
    let (set, key) = odata::segment(Version::V4, &last).ok_or_else(unknown)?;
    Ok(Target { table: schema::of_set(&set).ok_or_else(unknown)?, key })
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut asked = Asked { items: 1, interface: "api".to_owned(), ..Asked::default() };
    let rest = decoded(&request.path).unwrap_or_default();
    let rest = rest.split_once("/api/data/v9.2/").map_or("", |(_, rest)| rest).to_owned();
    let found = target(request).ok();
    let (operation, role) = match (request.method.as_str(), rest.as_str(), &found) {
        ("POST", "", _) if request.path.ends_with("/oauth2/v2.0/token") => ("token", "sign-in"),
        ("POST", "$batch", _) => return batch::ask(request),
        ("GET", "WhoAmI" | "WhoAmI()", _) => ("whoami", ""),
        ("GET", _, None) if rest.starts_with("EntityDefinitions(") => ("describe", "describe"),
        ("GET", _, Some(target)) if target.key.is_empty() => ("list", "query"),
        ("GET", _, Some(_)) => ("get", "get"),
        ("POST", _, Some(target)) if target.key.is_empty() => ("create", "create"),
        ("PATCH", _, Some(_)) if request.header("if-match").is_some() => ("update", "update"),
        ("PATCH", _, Some(_)) => ("upsert", "update"),
        ("DELETE", _, Some(_)) => ("delete", "delete"),
        _ => ("unknown", ""),
    };
    asked.operation = operation.to_owned();
    asked.roles = vec![role];
    asked.object = match &found {
        Some(target) => target.table.name.to_owned(),
        None if operation == "describe" => rest.split('\'').nth(1).unwrap_or_default().to_owned(),
        None => String::new(),
    };
    asked.ids.extend(found.filter(|target| !target.key.is_empty()).map(|target| target.named()));
    if let Value::Object(body) = &payload {
        asked.fields = body.keys().cloned().collect();
        asked.lines = body.get(schema::LINES.1).and_then(Value::as_array).map_or(0, Vec::len);
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
    Err(Answer::failed(token_refused(), "the token is over, or none"))
}

fn token(state: &mut State, request: &Request) -> Answer {
    let form = pairs(&String::from_utf8_lossy(&request.body));
    let given = |name: &str| form.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    let well = request.path.starts_with(&format!("/{}/", known::TENANT))
        && given("grant_type") == "client_credentials"
        && given("client_id") == known::CLIENT_ID
        && given("client_secret") == known::CLIENT_SECRET
        && given("scope").ends_with("/.default");
    if !well {
        let body = json!({"error": "invalid_client", "error_codes": [7_000_215],
            "error_description": "AADSTS7000215: Invalid client secret provided.", "trace_id": "t", "correlation_id": "c"});
        return Answer::failed(Reply::text(401, JSON, body.to_string()), "invalid_client");
    }
    let now = state.now_ms();
    state.sessions.retain(|session| session.lives(now, LIFE_MS));
    let value = format!("eyJ0.{}.s", uuid::Uuid::new_v4().simple());
    state.sessions.push(Session { value: value.clone(), born_ms: now, ended: false });
    let life = LIFE_MS / 1000;
    Answer::ok(
        &json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": value}),
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
    answer.reply.headers.push(("odata-version".to_owned(), "4.0".to_owned()));
    answer
}

fn answer(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    let body = || {
        let object = asked.payload.as_object().cloned();
        object.ok_or_else(|| {
            Refusal::of(400, "0x80048d19", "Error identified in Payload provided by the user.")
        })
    };
    match asked.operation.as_str() {
        "token" => Ok(token(state, request)),
        "whoami" => Ok(Answer::ok(
            &json!({"BusinessUnitId": known::UNIT, "UserId": known::USER, "OrganizationId": known::ORGANIZATION}),
        )),
        "describe" => read::describe(state, &asked.object),
        "list" => read::list(state, request, &target(request)?),
        "get" => read::get(state, request, &target(request)?),
        "create" => write::create(state, request, &target(request)?, &body()?),
        "update" | "upsert" => write::update(state, request, &target(request)?, &body()?),
        "delete" => write::delete(state, request, &target(request)?),
        operation if operation.starts_with("batch") => batch::perform(state, request, trouble),
        _ => {
            target(request)?;
            Err(Refusal::of(405, "0x80060888", "The requested method is not supported here."))
        }
    }
}
