//! Salesforce's REST API: queries, single records, collections, trees, describes.

mod bulk;
mod describe;
pub(super) mod person;
mod query;
mod schema;
mod sign_in;
mod soql;
mod write;

use serde_json::{Map, Value, json};

use super::{
    exchange::{Answer, Asked, BatchTrouble, Reply, Request, error_status, pairs},
    state::State,
};

pub(super) use sign_in::signed_in;

/// Records in one call of the collections.
const COLLECTION: usize = 200;
/// Calls in 24 hours, of a developer's organisation.
const DAILY: u64 = 15_000;

/// Why something is refused: a whole call, or one record of it.
#[derive(Debug)]
struct Refusal {
    status: u16,
    code: String,
    message: String,
    fields: Vec<String>,
}

impl Refusal {
    fn of(status: u16, code: &str, message: impl Into<String>) -> Refusal {
        Refusal { status, code: code.to_owned(), message: message.into(), fields: Vec::new() }
    }

    fn naming(mut self, field: &str) -> Refusal {
        self.fields.push(field.to_owned());
        self
    }

    /// One record's error, which spells the code in another way than a call's.
    fn of_record(&self) -> Value {
        json!({"statusCode": self.code, "message": self.message, "fields": self.fields})
    }
}

fn json_reply(status: u16, body: &Value) -> Reply {
    Reply::text(status, "application/json;charset=UTF-8", body.to_string())
}

fn ok(body: &Value) -> Answer {
    Answer::ok(body)
}

fn with_status(status: u16, body: &Value) -> Answer {
    Answer { reply: json_reply(status, body), ids: Vec::new(), error: None }
}

fn nothing() -> Answer {
    Answer {
        reply: Reply { status: 204, headers: Vec::new(), body: Vec::new() },
        ids: Vec::new(),
        error: None,
    }
}

fn refuse(refusal: &Refusal) -> Answer {
    let mut error = json!({"message": refusal.message, "errorCode": refusal.code});
    if let (Value::Object(error), false) = (&mut error, refusal.fields.is_empty()) {
        error.insert("fields".to_owned(), json!(refusal.fields));
    }
    let told = format!("{}: {}", refusal.code, refusal.message);
    Answer::failed(json_reply(refusal.status, &json!([error])), told)
}

/// The answer when a limit is used up: there is no 429, and no word on how long to wait.
pub(super) fn throttled() -> Reply {
    refuse(&Refusal::of(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")).reply
}

/// An error that was asked for by its status.
pub(super) fn api_error(code: i64) -> Reply {
    let status = error_status(code);
    refuse(&Refusal::of(status, "UNKNOWN_EXCEPTION", "the simulator was told to answer this error")).reply
}

/// What a token that is over is answered with.
pub(super) fn token_refused() -> Reply {
    refuse(&Refusal::of(401, "INVALID_SESSION_ID", "Session expired or invalid")).reply
}

/// The table of an object's deleted records.
fn bin(object: &str) -> String {
    format!("bin of {object}")
}

/// The table of what was deleted lately, whether it lies in the bin or not.
fn log(object: &str) -> String {
    format!("log of {object}")
}

/// The path after `/services/data/vNN.0`, cut at its slashes.
fn parts(path: &str) -> Vec<String> {
    let rest = path.trim_start_matches('/').strip_prefix("services/data").unwrap_or("");
    let parts = rest.split('/').filter(|part| !part.is_empty()).skip(1);
    parts.map(|part| pairs(part).into_iter().next().map_or(String::new(), |(name, _)| name)).collect()
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut asked = Asked { items: 1, interface: "api".to_owned(), ..Asked::default() };
    let parts = parts(&request.path);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let method = request.method.as_str();
    let (operation, role, object) = match (method, parts.as_slice()) {
        ("POST", []) if request.path == "/services/oauth2/token" => ("token", "sign-in", ""),
        ("GET", []) if request.path.trim_end_matches('/') == "/services/data" => ("versions", "", ""),
        ("GET", ["limits"]) => ("limits", "", ""),
        ("GET", ["query", _locator]) => ("queryMore", "query", ""),
        ("GET", ["query"]) => ("query", "query", ""),
        ("GET", ["queryAll"]) => ("queryAll", "query", ""),
        ("GET", ["sobjects"]) => ("sobjects", "describe", ""),
        ("GET", ["sobjects", object, "describe"]) => ("describe", "describe", *object),
        ("GET", ["sobjects", object, "deleted"]) => ("deleted", "query", *object),
        ("GET", ["sobjects", object, "updated"]) => ("updated", "query", *object),
        ("POST", ["sobjects", object]) => ("create", "create", *object),
        ("GET", ["sobjects", object, _]) => ("get", "get", *object),
        ("PATCH", ["sobjects", object, _]) => ("update", "update", *object),
        ("DELETE", ["sobjects", object, _]) => ("delete", "delete", *object),
        ("PATCH", ["sobjects", object, _, _]) => ("upsert", "create", *object),
        ("POST", ["composite", "sobjects"]) => ("create", "create", ""),
        ("PATCH", ["composite", "sobjects"]) => ("update", "update", ""),
        ("DELETE", ["composite", "sobjects"]) => ("delete", "delete", ""),
        ("PATCH", ["composite", "sobjects", object, _]) => ("upsert", "create", *object),
        ("POST", ["composite", "tree", object]) => ("tree", "create", *object),
        (method, ["jobs", ..]) => {
            let (operation, role) = bulk::ask(method, &parts);
            (operation, role, payload.get("object").and_then(Value::as_str).unwrap_or_default())
        }
        _ => ("unknown", "", ""),
    };
    asked.operation = operation.to_owned();
    asked.roles = vec![role];
    asked.object = object.to_owned();
    let collection = matches!(parts.as_slice(), ["composite", ..]);
    if let (["sobjects", _, id], "get" | "update" | "delete") = (parts.as_slice(), operation) {
        asked.ids = vec![(*id).to_owned()];
    }
    let query = pairs(&request.query);
    let parameter =
        |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let of_job = payload.get("query").and_then(Value::as_str).map(str::to_owned);
    if let Some(text) = parameter("q").or(of_job) {
        let lower = text.to_lowercase();
        let from = lower.find(" from ").and_then(|at| text.get(at + 6..)).unwrap_or_default();
        asked.object = from.split_whitespace().next().unwrap_or_default().to_owned();
    }
    if let (true, Some(ids)) = (operation == "delete" && collection, parameter("ids")) {
        asked.ids = ids.split(',').map(str::to_owned).collect();
        asked.items = asked.ids.len();
        let prefix = asked.ids.first().and_then(|id| id.get(..3)).unwrap_or_default();
        asked.object = schema::KNOWN
            .iter()
            .find(|(_, known, ..)| *known == prefix)
            .map_or(String::new(), |(name, ..)| (*name).to_owned());
    }
    if asked.is("job") {
        asked.payload = payload;
        return asked;
    }
    let records: Vec<&Map<String, Value>> = match payload.get("records").and_then(Value::as_array) {
        Some(records) => records.iter().filter_map(Value::as_object).collect(),
        None => payload.as_object().into_iter().collect(),
    };
    for record in &records {
        let kind = record.get("attributes").and_then(|told| told.get("type")).and_then(Value::as_str);
        if let (Some(kind), true) = (kind, asked.object.is_empty()) {
            asked.object = kind.to_owned();
        }
        let id = record.get("id").or_else(|| record.get("Id")).and_then(Value::as_str);
        asked.ids.extend(id.map(str::to_owned));
        for name in record.keys().filter(|name| !matches!(name.as_str(), "attributes" | "id" | "Id")) {
            if let Some(lines) =
                record.get(name).and_then(|list| list.get("records")).and_then(Value::as_array)
            {
                asked.lines += lines.len();
            } else if !asked.fields.contains(name) {
                asked.fields.push(name.clone());
            }
        }
    }
    if collection && operation != "delete" {
        asked.items = records.len();
    }
    asked.payload = payload;
    asked
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Answer {
    let mut answer = answer(state, request, asked, trouble).unwrap_or_else(|refusal| refuse(&refusal));
    if !asked.is("sign-in") {
        let usage = format!("api-usage={}/{DAILY}", state.call_count() + 1);
        answer.reply.headers.push(("sforce-limit-info".to_owned(), usage));
    }
    answer
}

fn need_object(name: &str) -> Result<String, Refusal> {
    let unknown = || Refusal::of(404, "NOT_FOUND", "The requested resource does not exist");
    schema::object(name).map(|(name, ..)| name).ok_or_else(unknown)
}

fn answer(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    let parts = parts(&request.path);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let none = Map::new();
    let body = asked.payload.as_object().unwrap_or(&none);
    if matches!(request.method.as_str(), "POST" | "PATCH") && asked.operation != "token" && body.is_empty() {
        return Err(Refusal::of(
            400,
            "JSON_PARSER_ERROR",
            "The HTTP entity body is required, but this request has no entity body.",
        ));
    }
    match (asked.operation.as_str(), parts.as_slice()) {
        ("token", _) => Ok(sign_in::token(state, request)),
        ("versions", _) => {
            Ok(ok(&json!([{"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"}])))
        }
        ("limits", _) => {
            let left = DAILY.saturating_sub(state.call_count());
            Ok(ok(&json!({"DailyApiRequests": {"Max": DAILY, "Remaining": left}})))
        }
        (_, ["jobs", ..]) => bulk::perform(state, request, asked, &parts),
        ("query" | "queryAll", _) => query::query(state, request, asked),
        ("queryMore", [_, locator]) => query::more(state, locator),
        ("sobjects", _) => Ok(describe::list(state)),
        ("describe", _) => describe::describe(state, &asked.object),
        ("deleted" | "updated", _) => {
            let object = need_object(&asked.object)?;
            query::changed(state, request, &object, asked.operation == "deleted")
        }
        ("tree", _) => tree(state, &need_object(&asked.object)?, &asked.payload),
        ("delete", ["composite", ..]) => collection_delete(state, request, asked, trouble),
        (operation, ["composite", ..]) => collection(state, operation, &parts, asked, trouble),
        (operation, ["sobjects", object, rest @ ..]) => {
            let since = request.header("if-unmodified-since");
            single(state, operation, &need_object(object)?, rest, body, since)
        }
        _ => Err(Refusal::of(404, "NOT_FOUND", "The requested resource does not exist")),
    }
}

fn single(
    state: &mut State,
    operation: &str,
    object: &str,
    rest: &[&str],
    body: &Map<String, Value>,
    unmodified_since: Option<&str>,
) -> Result<Answer, Refusal> {
    match (operation, rest) {
        ("create", _) => {
            let id = write::create(state, object, body)?;
            let told = with_status(201, &json!({"id": id, "success": true, "errors": []}));
            Ok(told.with_ids(vec![id]))
        }
        ("get", [id]) => query::get(state, object, id),
        ("update", [id]) => {
            write::unmodified(state, object, id, unmodified_since)?;
            write::update(state, object, id, body).map(|()| nothing())
        }
        ("delete", [id]) => write::delete(state, object, id).map(|()| nothing()),
        ("upsert", [by, value]) => {
            let (id, created) = write::upsert(state, object, by, &json!(value), body)?;
            let status = if created { 201 } else { 200 };
            let told = json!({"id": id, "success": true, "created": created, "errors": []});
            Ok(with_status(status, &told).with_ids(vec![id]))
        }
        _ => Err(Refusal::of(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed")),
    }
}

fn too_many(count: usize) -> Result<(), Refusal> {
    if count > COLLECTION {
        let message =
            format!("record limit reached. cannot submit more than {COLLECTION} records in this call");
        return Err(Refusal::of(400, "EXCEEDED_ID_LIMIT", message));
    }
    Ok(())
}

fn struck(trouble: Option<BatchTrouble>, index: usize) -> Result<(), Refusal> {
    if trouble == Some(BatchTrouble::Partial) && index % 2 == 1 {
        let message = "the simulator was told to refuse this record";
        return Err(Refusal::of(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", message));
    }
    Ok(())
}

/// The results of a batch; without `allOrNone` each stands for itself. The simulator knows no other way.
fn told(results: Vec<Result<(String, Option<bool>), Refusal>>) -> Answer {
    let mut ids = Vec::new();
    let list: Vec<Value> = results
        .into_iter()
        .map(|result| match result {
            Ok((id, created)) => {
                let mut told = json!({"id": id, "success": true, "errors": []});
                if let (Some(created), Value::Object(told)) = (created, &mut told) {
                    told.insert("created".to_owned(), json!(created));
                }
                ids.push(id);
                told
            }
            Err(refusal) => json!({"success": false, "errors": [refusal.of_record()]}),
        })
        .collect();
    ok(&Value::Array(list)).with_ids(ids)
}

fn collection(
    state: &mut State,
    operation: &str,
    parts: &[&str],
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    let records = asked.payload.get("records").and_then(Value::as_array);
    let records = records.ok_or_else(|| Refusal::of(400, "INVALID_INPUT", "records must be specified"))?;
    too_many(records.len())?;
    let mut results = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let mut fields = record.as_object().cloned().unwrap_or_default();
        let kind = fields.get("attributes").and_then(|told| told.get("type")).and_then(Value::as_str);
        let kind = kind.unwrap_or_default().to_owned();
        let id = fields.shift_remove("id").or_else(|| fields.shift_remove("Id"));
        let mut work = || {
            struck(trouble, index)?;
            let unknown =
                || Refusal::of(400, "INVALID_TYPE", format!("sObject type '{kind}' is not supported."));
            let object = schema::object(&kind).map(|(name, ..)| name).ok_or_else(unknown)?;
            match (operation, parts, &id) {
                ("create", ..) if id.is_some() => {
                    let message = "cannot specify Id in an insert call";
                    Err(Refusal::of(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message).naming("Id"))
                }
                ("create", ..) => write::create(state, &object, &fields).map(|id| (id, None)),
                ("update", _, Some(Value::String(id))) => {
                    // A batch has a code of its own for an id that nobody ever had.
                    write::update(state, &object, id, &fields).map_err(of_batch)?;
                    Ok((schema::long_id(id), None))
                }
                ("upsert", [.., by], _) => {
                    let value = fields.get(*by).cloned().unwrap_or(Value::Null);
                    write::upsert(state, &object, by, &value, &fields).map(|(id, made)| (id, Some(made)))
                }
                _ => Err(Refusal::of(400, "MISSING_ARGUMENT", "Id not specified in an update call")),
            }
        };
        results.push(work());
    }
    Ok(told(results))
}

fn of_batch(refusal: Refusal) -> Refusal {
    match refusal.code.as_str() {
        "NOT_FOUND" => Refusal::of(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"),
        _ => refusal,
    }
}

fn collection_delete(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    too_many(asked.ids.len())?;
    if !request.query.contains("ids=") {
        return Err(Refusal::of(400, "MISSING_ARGUMENT", "ids must be specified"));
    }
    let mut results = Vec::new();
    for (index, id) in asked.ids.iter().enumerate() {
        let prefix = id.get(..3).unwrap_or_default();
        // Custom objects share a prefix here; the one that has the record is meant.
        let preset = schema::KNOWN.iter().find(|(_, known, ..)| *known == prefix).map(|(name, ..)| *name);
        let object = preset.map(str::to_owned).or_else(|| {
            let custom = state.objects.iter().filter(|(name, _)| name.ends_with("__c"));
            custom
                .filter(|(_, table)| table.get(&schema::long_id(id)).is_some())
                .map(|(n, _)| n.clone())
                .next()
        });
        let result = struck(trouble, index).and_then(|()| {
            write::delete(state, &object.unwrap_or_default(), id).map_err(of_batch)?;
            Ok((schema::long_id(id), None))
        });
        results.push(result);
    }
    Ok(told(results))
}

fn tree(state: &mut State, object: &str, payload: &Value) -> Result<Answer, Refusal> {
    let records = payload.get("records").and_then(Value::as_array).cloned().unwrap_or_default();
    too_many(records.len())?;
    let mut made: Vec<(String, String)> = Vec::new();
    for record in records.iter().filter_map(Value::as_object) {
        match write::tree(state, object, record) {
            Ok(ids) => made.extend(ids),
            Err((reference, refusal)) => {
                for (_, id) in made {
                    for line in write::lines(state, &id) {
                        state.remove_record("OrderItem", &line);
                    }
                    state.remove_record(object, &id);
                }
                let results = json!([{"referenceId": reference, "errors": [refusal.of_record()]}]);
                let reply = json_reply(400, &json!({"hasErrors": true, "results": results}));
                return Ok(Answer::failed(reply, refusal.code));
            }
        }
    }
    let results: Vec<Value> =
        made.iter().map(|(reference, id)| json!({"referenceId": reference, "id": id})).collect();
    let ids = made.into_iter().map(|(_, id)| id).collect();
    Ok(with_status(201, &json!({"hasErrors": false, "results": results})).with_ids(ids))
}
