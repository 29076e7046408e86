//! Odoo's external API: JSON-2, and the older JSON-RPC.

mod domain;
mod methods;
mod models;
pub(super) mod person;

use serde_json::{Map, Value, json};

use super::{
    credentials::odoo as known,
    exchange::{Answer, Asked, BatchTrouble, Reply, Request, error_status},
    state::State,
};

/// Why a call failed, as an exception of the server.
#[derive(Debug)]
struct Failure {
    status: u16,
    name: &'static str,
    message: String,
}

impl Failure {
    fn of(status: u16, name: &'static str, message: impl Into<String>) -> Failure {
        Failure { status, name, message: message.into() }
    }

    fn told(&self) -> Value {
        json!({"name": self.name, "message": self.message, "arguments": [self.message], "context": {},
            "debug": "Traceback (most recent call last): …"})
    }
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply::text(status, "application/json; charset=utf-8", body.to_string())
}

/// The proxy's answer to too many calls.
pub(super) fn throttled() -> Reply {
    Reply::text(429, "text/html", "<html><body>429 Too Many Requests</body></html>")
}

/// An error that was asked for by its status.
pub(super) fn api_error(code: i64) -> Reply {
    let status = error_status(code);
    let failure = Failure::of(status, "builtins.Exception", "the simulator was told to answer this error");
    reply(status, &failure.told())
}

/// What a key that is not known is answered with.
pub(super) fn key_refused() -> Reply {
    reply(401, &Failure::of(401, "werkzeug.exceptions.Unauthorized", "Invalid apikey").told())
}

/// The parts of a call, whichever way it came: the model, the method, the ids, the named arguments.
struct Called {
    model: String,
    method: String,
    ids: Vec<i64>,
    named: Map<String, Value>,
}

fn ids_of(value: Option<&Value>) -> Vec<i64> {
    match value {
        Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_i64).collect(),
        Some(Value::Number(id)) => id.as_i64().into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Methods that are called on a model and take no ids, with the names of their arguments.
const OF_MODELS: [(&str, &[&str]); 7] = [
    ("search_read", &["domain", "fields", "offset", "limit", "order"]),
    ("search", &["domain", "offset", "limit", "order"]),
    ("search_count", &["domain", "limit"]),
    ("create", &["vals_list"]),
    ("fields_get", &["allfields", "attributes"]),
    ("context_get", &[]),
    ("default_get", &["fields_list"]),
];

/// Methods that are called on records.
const OF_RECORDS: [(&str, &[&str]); 3] =
    [("read", &["fields", "load"]), ("write", &["vals"]), ("unlink", &[])];

fn called(request: &Request, payload: &Value) -> Option<Called> {
    if let Some(rest) = request.path.strip_prefix("/json/2/") {
        let (model, method) = rest.split_once('/')?;
        let mut named = payload.as_object().cloned().unwrap_or_default();
        let ids = ids_of(named.shift_remove("ids").as_ref());
        return Some(Called { model: model.to_owned(), method: method.to_owned(), ids, named });
    }
    let args = payload.get("params")?.get("args")?.as_array()?;
    let text = |at: usize| args.get(at).and_then(Value::as_str).map(str::to_owned);
    let (model, method) = (text(3)?, text(4)?);
    let mut given = args.get(5).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut named = args.get(6).and_then(Value::as_object).cloned().unwrap_or_default();
    let of_model = OF_MODELS.iter().find(|(name, _)| *name == method);
    let names = match of_model.or_else(|| OF_RECORDS.iter().find(|(name, _)| *name == method)) {
        Some((_, names)) => *names,
        None => &[],
    };
    let ids =
        if of_model.is_none() && !given.is_empty() { ids_of(Some(&given.remove(0))) } else { Vec::new() };
    for (name, value) in names.iter().zip(given) {
        named.insert((*name).to_owned(), value);
    }
    Some(Called { model, method, ids, named })
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut asked = Asked { items: 1, interface: "api".to_owned(), ..Asked::default() };
    match called(request, &payload) {
        Some(call) => {
            let role = match call.method.as_str() {
                "create" => "create",
                "write" => "update",
                "unlink" => "delete",
                "search_read" | "search" => "query",
                "read" => "get",
                "fields_get" => "describe",
                "context_get" => "sign-in",
                _ => "",
            };
            asked.roles = vec![role];
            asked.ids = call.ids.iter().map(ToString::to_string).collect();
            asked.operation = call.method;
            asked.object = call.model;
            let records = match call.named.get("vals_list").or_else(|| call.named.get("vals")) {
                Some(Value::Array(list)) => list.clone(),
                Some(one) => vec![one.clone()],
                None => Vec::new(),
            };
            for record in records.iter().filter_map(Value::as_object) {
                for (name, value) in record {
                    if let Value::Array(lines) = value {
                        asked.lines += lines.len();
                    }
                    if !asked.fields.contains(name) {
                        asked.fields.push(name.clone());
                    }
                }
            }
            asked.items = records.len().max(asked.ids.len()).max(1);
        }
        None => {
            let method =
                payload.get("params").and_then(|params| params.get("method")).and_then(Value::as_str);
            asked.operation = match (request.path.as_str(), method) {
                ("/jsonrpc", Some(method)) => method.to_owned(),
                ("/json/version" | "/web/version", _) => "version".to_owned(),
                (path, _) if path.starts_with("/doc-bearer/") => "doc".to_owned(),
                _ => "unknown".to_owned(),
            };
            asked.roles = if matches!(asked.operation.as_str(), "authenticate" | "login") {
                vec!["sign-in"]
            } else {
                Vec::new()
            };
        }
    }
    asked.payload = payload;
    asked
}

/// Checks the key of a call by JSON-2. Calls by JSON-RPC carry theirs in themselves.
pub(super) fn signed_in(request: &Request, asked: &Asked) -> Result<(), Answer> {
    if request.path == "/jsonrpc" || asked.operation == "version" {
        return Ok(());
    }
    let header = request.header("authorization").unwrap_or_default();
    let key =
        header.get(..7).filter(|word| word.eq_ignore_ascii_case("bearer ")).and_then(|_| header.get(7..));
    let database = request.header("x-odoo-database").is_none_or(|name| name == known::DATABASE);
    if key == Some(known::API_KEY) && database {
        return Ok(());
    }
    Err(Answer::failed(key_refused(), "Unauthorized"))
}

/// Does what is asked; the caller is signed in, where that is told by a header.
pub(super) fn perform(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Answer {
    if request.path == "/jsonrpc" {
        let id = asked.payload.get("id").cloned().unwrap_or(Value::Null);
        return match by_rpc(state, request, asked, trouble) {
            Ok((result, ids)) => {
                Answer::ok(&json!({"jsonrpc": "2.0", "id": id, "result": result})).with_ids(ids)
            }
            // Errors have status 200.
            Err(failure) => {
                let error = json!({"code": 0, "message": "Odoo Server Error", "data": failure.told()});
                Answer::failed(reply(200, &json!({"jsonrpc": "2.0", "id": id, "error": error})), failure.name)
            }
        };
    }
    match by_path(state, request, asked, trouble) {
        Ok((result, ids)) => Answer::ok(&result).with_ids(ids),
        Err(failure) => Answer::failed(reply(failure.status, &failure.told()), failure.name),
    }
}

type Done = (Value, Vec<String>);

fn version() -> Value {
    json!({"server_version": "19.0", "server_version_info": [19, 0, 0, "final", 0, ""], "server_serie": "19.0",
        "protocol_version": 1})
}

fn by_path(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Done, Failure> {
    let not_found = || Failure::of(404, "werkzeug.exceptions.NotFound", "404 Not Found");
    if asked.operation == "version" {
        return Ok((version(), Vec::new()));
    }
    if let Some(rest) = request.path.strip_prefix("/doc-bearer/") {
        let model = rest.trim_end_matches(".json");
        return Ok((doc(model).ok_or_else(not_found)?, Vec::new()));
    }
    let call = called(request, &asked.payload).ok_or_else(not_found)?;
    if OF_MODELS.iter().any(|(name, _)| *name == call.method) && !call.ids.is_empty() {
        let said = format!("cannot call {}.{} with ids", call.model, call.method);
        return Err(Failure::of(422, "werkzeug.exceptions.UnprocessableEntity", said));
    }
    let names = OF_MODELS.iter().chain(&OF_RECORDS).find(|(name, _)| *name == call.method);
    let (_, names) = names.ok_or_else(not_found)?;
    if let Some(unknown) =
        call.named.keys().find(|name| *name != "context" && !names.contains(&name.as_str()))
    {
        let said = format!("got an unexpected keyword argument '{unknown}'");
        return Err(Failure::of(422, "werkzeug.exceptions.UnprocessableEntity", said));
    }
    done(state, &call, trouble)
}

fn doc(model: &str) -> Option<Value> {
    models::MODELS.iter().find(|(name, _)| *name == model)?;
    let mut methods = Map::new();
    for (list, api) in [(&OF_MODELS[..], "model"), (&OF_RECORDS[..], "record")] {
        for (name, parameters) in list {
            let parameters: Map<String, Value> =
                parameters.iter().map(|parameter| ((*parameter).to_owned(), json!({}))).collect();
            methods.insert((*name).to_owned(), json!({"parameters": parameters, "api": [api]}));
        }
    }
    Some(json!({"model": model, "methods": methods}))
}

fn by_rpc(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Done, Failure> {
    let params = asked.payload.get("params").cloned().unwrap_or(Value::Null);
    let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let args = params.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
    let is = |at: usize, expected: Value| args.get(at) == Some(&expected);
    match (text("service").as_str(), text("method").as_str()) {
        ("common", "version") => Ok((version(), Vec::new())),
        ("common", "authenticate" | "login") => {
            // Wrong credentials are no error.
            let well =
                is(0, json!(known::DATABASE)) && is(1, json!(known::LOGIN)) && is(2, json!(known::API_KEY));
            Ok((if well { json!(known::USER_ID) } else { json!(false) }, Vec::new()))
        }
        ("object", "execute_kw") => {
            if !(is(0, json!(known::DATABASE))
                && is(1, json!(known::USER_ID))
                && is(2, json!(known::API_KEY)))
            {
                return Err(Failure::of(403, "odoo.exceptions.AccessDenied", "Access Denied"));
            }
            let unread = || Failure::of(500, "builtins.TypeError", "execute_kw needs a model and a method");
            let call = called(request, &asked.payload).ok_or_else(unread)?;
            done(state, &call, trouble)
        }
        _ => Err(Failure::of(500, "builtins.AttributeError", "there is no such service")),
    }
}

fn done(state: &mut State, call: &Called, trouble: Option<BatchTrouble>) -> Result<Done, Failure> {
    if call.method == "context_get" {
        return Ok((json!({"lang": "en_US", "tz": "Asia/Shanghai", "uid": known::USER_ID}), Vec::new()));
    }
    let model = call.model.as_str();
    if models::fields(model).is_empty() {
        return Err(Failure::of(
            404,
            "werkzeug.exceptions.NotFound",
            format!("the model {model} does not exist"),
        ));
    }
    if trouble == Some(BatchTrouble::Partial) {
        let said = "the simulator was told to refuse a record of this batch";
        return Err(Failure::of(422, "odoo.exceptions.ValidationError", said));
    }
    let argument = |name: &str| call.named.get(name).cloned().unwrap_or(Value::Null);
    let names = argument("fields").as_array().cloned().unwrap_or_default();
    let names: Vec<String> = names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let texts = |ids: &[i64]| ids.iter().map(ToString::to_string).collect::<Vec<String>>();
    let id_of = |record: &crate::model::record::Record| record.get("id").and_then(Value::as_i64);
    match call.method.as_str() {
        "create" => {
            let given = argument("vals_list");
            let ids = methods::create(state, model, &given)?;
            Ok((json!(ids), texts(&ids)))
        }
        "write" => methods::write(state, model, &call.ids, &argument("vals"))
            .map(|()| (json!(true), texts(&call.ids))),
        "unlink" => methods::unlink(state, model, &call.ids).map(|()| (json!(true), texts(&call.ids))),
        "search_read" | "search" | "search_count" => {
            let found = methods::search(state, model, &call.named)?;
            let ids: Vec<i64> = found.iter().filter_map(id_of).collect();
            let result = match call.method.as_str() {
                "search" => json!(ids),
                "search_count" => json!(ids.len()),
                _ => {
                    let shown = found.iter().map(|record| methods::shown(state, model, record, &names));
                    Value::Array(shown.collect::<Result<_, _>>()?)
                }
            };
            Ok((result, texts(&ids)))
        }
        "read" => {
            let mut shown = Vec::new();
            for id in &call.ids {
                // An id that nobody has is passed over.
                let record = state.table(model).get(&id.to_string()).map(|row| row.fields.clone());
                if let Some(record) = record {
                    shown.push(methods::shown(state, model, &record, &names)?);
                }
            }
            Ok((Value::Array(shown), texts(&call.ids)))
        }
        "fields_get" => Ok((methods::fields_get(state, model), Vec::new())),
        _ => Err(Failure::of(404, "werkzeug.exceptions.NotFound", "there is no such method")),
    }
}
