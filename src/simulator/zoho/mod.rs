//! Zoho CRM's API: tokens, COQL, lists with page tokens, batches of records, fields.

mod lines;
pub(super) mod person;
mod read;
mod schema;
mod write;

use serde_json::{Map, Value, json};

use super::{
    credentials::zoho as known,
    exchange::{Answer, Asked, BatchTrouble, Reply, Request, error_status, pairs},
    state::{Session, State},
};

/// Records in one call of a write.
const BATCH: usize = 100;
/// How long a token lives.
const LIFE_MS: i64 = 3_600_000;
const ROOT: &str = "/crm/v8/";

/// Why a call, or one record of it, is refused.
#[derive(Debug)]
struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    details: Value,
}

impl Refusal {
    fn of(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), details: json!({}) }
    }

    fn with(mut self, details: Value) -> Refusal {
        self.details = details;
        self
    }

    fn told(&self) -> Value {
        json!({"code": self.code, "details": self.details, "message": self.message, "status": "error"})
    }
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply::text(status, "application/json;charset=UTF-8", body.to_string())
}

fn refuse(refusal: &Refusal) -> Answer {
    let told = format!("{}: {}", refusal.code, refusal.message);
    Answer::failed(reply(refusal.status, &refusal.told()), told)
}

/// The answer to too many calls; it has no `Retry-After`.
pub(super) fn throttled() -> Reply {
    let message = "You have crossed the maximum API call limit. Please try again later.";
    refuse(&Refusal::of(429, "TOO_MANY_REQUESTS", message)).reply
}

/// An error that was asked for by its status.
pub(super) fn api_error(code: i64) -> Reply {
    let status = error_status(code);
    refuse(&Refusal::of(status, "INTERNAL_ERROR", "the simulator was told to answer this error")).reply
}

/// What a token that is over is answered with.
pub(super) fn token_refused() -> Reply {
    refuse(&Refusal::of(401, "INVALID_TOKEN", "invalid oauth token")).reply
}

fn nothing(status: u16) -> Answer {
    Answer { reply: Reply { status, headers: Vec::new(), body: Vec::new() }, ids: Vec::new(), error: None }
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    pairs(&request.query).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut asked = Asked { items: 1, interface: "api".to_owned(), ..Asked::default() };
    let rest = request.path.strip_prefix(ROOT).unwrap_or("");
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let (operation, role, object) = match (request.method.as_str(), parts.as_slice()) {
        ("POST", []) if request.path == "/oauth/v2/token" => ("token", "sign-in", ""),
        ("POST", ["coql"]) => ("coql", "query", ""),
        ("GET", ["settings", "fields"]) => ("fields", "describe", ""),
        ("GET", ["settings", "modules"]) => ("modules", "describe", ""),
        ("GET", [module]) => ("list", "query", *module),
        ("GET", [module, "deleted"]) => ("deleted", "query", *module),
        ("GET", [module, _id]) => ("get", "get", *module),
        ("POST", [module]) => ("create", "create", *module),
        ("POST", [module, "upsert"]) => ("upsert", "create", *module),
        ("PUT", [module] | [module, _]) => ("update", "update", *module),
        ("DELETE", [module] | [module, _]) => ("delete", "delete", *module),
        _ => ("unknown", "", ""),
    };
    asked.operation = operation.to_owned();
    asked.roles = vec![role];
    asked.object = object.to_owned();
    match operation {
        "coql" => {
            let text = payload.get("select_query").and_then(Value::as_str).unwrap_or_default();
            let lower = text.to_lowercase();
            let from = lower.find(" from ").and_then(|at| text.get(at + 6..)).unwrap_or_default();
            asked.object = from.split_whitespace().next().unwrap_or_default().to_owned();
        }
        "fields" => asked.object = parameter(request, "module").unwrap_or_default(),
        "get" | "update" | "delete" => {
            asked.ids = match parts.get(1) {
                Some(id) => vec![(*id).to_owned()],
                None => {
                    let ids = parameter(request, "ids").unwrap_or_default();
                    ids.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect()
                }
            };
        }
        _ => {}
    }
    let records = payload.get("data").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    for record in records.iter().filter_map(Value::as_object) {
        asked.ids.extend(record.get("id").and_then(Value::as_str).map(str::to_owned));
        for name in record.keys().filter(|name| *name != "id") {
            if !asked.fields.contains(name) {
                asked.fields.push(name.clone());
            }
        }
    }
    asked.items = records.len().max(if operation == "delete" { asked.ids.len() } else { 0 }).max(1);
    asked.payload = payload;
    asked
}

/// Checks the token of a call.
pub(super) fn signed_in(state: &mut State, request: &Request, asked: &Asked) -> Result<(), Answer> {
    if asked.is("sign-in") {
        return Ok(());
    }
    let header = request.header("authorization").unwrap_or_default();
    let token =
        header.strip_prefix("Zoho-oauthtoken ").or_else(|| header.strip_prefix("Bearer ")).unwrap_or("");
    if state.knows(token, LIFE_MS) {
        return Ok(());
    }
    if header.is_empty() {
        return Err(refuse(&Refusal::of(401, "AUTHENTICATION_FAILURE", "Authentication failed")));
    }
    Err(Answer::failed(token_refused(), "INVALID_TOKEN"))
}

/// Gives a token; what is wrong is told with status 200. Parameters come as a form or in the address.
fn token(state: &mut State, request: &Request) -> Answer {
    let mut given = pairs(&String::from_utf8_lossy(&request.body));
    given.extend(pairs(&request.query));
    let given = |name: &str| given.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    let refused = |error: &str| Answer::failed(reply(200, &json!({ "error": error })), error);
    if given("client_id") != known::CLIENT_ID {
        return refused("invalid_client");
    }
    if given("client_secret") != known::CLIENT_SECRET {
        return refused("invalid_client_secret");
    }
    if given("grant_type") != "refresh_token" || given("refresh_token") != known::REFRESH_TOKEN {
        return refused("invalid_code");
    }
    let now = state.now_ms();
    state.sessions.retain(|session| session.lives(now, LIFE_MS));
    let value = format!("1000.{}", uuid::Uuid::new_v4().simple());
    state.sessions.push(Session { value: value.clone(), born_ms: now, ended: false });
    let host = request.header("host").unwrap_or("127.0.0.1");
    Answer::ok(&json!({
        "access_token": value, "api_domain": format!("http://{host}"), "token_type": "Bearer",
        "scope": "ZohoCRM.modules.ALL", "expires_in": LIFE_MS / 1000,
    }))
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
    match asked.operation.as_str() {
        "token" => return Ok(token(state, request)),
        "unknown" => {
            let message = "Please check if the URL trying to access is a correct one";
            return Err(Refusal::of(404, "INVALID_URL_PATTERN", message));
        }
        "coql" => return read::coql(state, asked),
        "modules" => return Ok(read::modules()),
        _ => {}
    }
    if schema::required(&asked.object).is_none() {
        let message = "the module name given seems to be invalid";
        return Err(Refusal::of(400, "INVALID_MODULE", message));
    }
    match asked.operation.as_str() {
        "fields" => Ok(read::fields(state, &asked.object)),
        "list" => read::list(state, request, asked),
        "deleted" => read::deleted(state, request, asked),
        "get" => read::get(state, asked),
        "delete" => batch(asked.ids.len()).map(|()| write::delete(state, asked, trouble)),
        _ => {
            let records = asked.payload.get("data").and_then(Value::as_array);
            let records: Vec<Map<String, Value>> = match records {
                Some(records) => records.iter().filter_map(Value::as_object).cloned().collect(),
                None => {
                    let details = json!({"expected_data_type": "jsonarray", "api_name": "data"});
                    return Err(
                        Refusal::of(400, "MANDATORY_NOT_FOUND", "required field not found").with(details)
                    );
                }
            };
            batch(records.len())?;
            Ok(write::save(state, asked, records, trouble))
        }
    }
}

fn batch(count: usize) -> Result<(), Refusal> {
    if count > BATCH {
        let message = "maximum number of records allowed is 100";
        return Err(Refusal::of(400, "LIMIT_EXCEEDED", message));
    }
    Ok(())
}
