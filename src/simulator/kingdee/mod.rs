//! Kingdee K3Cloud's WebAPI: `POST {base}{service}.common.kdsvc`, HTTP status 200 for everything.

mod describe;
mod entries;
mod envelope;
mod filter;
mod forms;
mod lifecycle;
mod lines;
pub(super) mod person;
mod push;
mod query;
mod save;
mod session;
mod sign;
mod values;
mod view;

use serde_json::{Map, Value, json};

use super::{
    exchange::{Answer, Asked, BatchTrouble, Reply, Request},
    state::State,
};

pub(super) use session::signed_in;

/// A field or value does not exist.
const UNKNOWN_FIELD: i64 = 9;
/// There is no such record.
const NO_DATA: i64 = 10;
/// A check of the form refused it.
const INVALID: i64 = 11;
/// The record's status does not allow it.
const NOT_OPERABLE: i64 = 12;
/// A parameter is wrong.
const PARAMETER: i64 = 8;

/// The text of a lost session; a wrong signature and a wrong data centre have the same.
const SESSION_LOST: &str = "会话信息已丢失，请重新登录";

/// Why an item is refused.
#[derive(Debug, Clone)]
struct Refusal {
    code: i64,
    field: String,
    message: String,
}

impl Refusal {
    fn new(code: i64, field: &str, message: impl Into<String>) -> Refusal {
        Refusal { code, field: field.to_owned(), message: message.into() }
    }

    fn no_field(key: &str) -> Refusal {
        Refusal::new(UNKNOWN_FIELD, key, format!("元数据中标识为{key}的字段不存在"))
    }
}

/// What became of one item of an operation, with the item's index in the request.
#[derive(Debug, Clone)]
enum Done {
    Entity { index: usize, id: u64, number: String },
    Refused { index: usize, refusal: Refusal },
}

/// `ResponseStatus` of a whole operation.
fn response_status(done: &[Done]) -> Value {
    let mut errors = Vec::new();
    let mut entities = Vec::new();
    let mut code = 0;
    for item in done {
        match item {
            Done::Entity { index, id, number } => {
                entities.push(json!({"Id": id, "Number": number, "DIndex": index}));
            }
            Done::Refused { index, refusal } => {
                code = refusal.code;
                let field = if refusal.field.is_empty() { Value::Null } else { json!(refusal.field) };
                errors.push(json!({"FieldName": field, "Message": refusal.message, "DIndex": index}));
            }
        }
    }
    let mut status = Map::new();
    if !errors.is_empty() {
        status.insert("ErrorCode".to_owned(), json!(500));
    }
    status.insert("IsSuccess".to_owned(), json!(errors.is_empty()));
    status.insert("Errors".to_owned(), Value::Array(errors));
    status.insert("SuccessEntitys".to_owned(), Value::Array(entities));
    status.insert("SuccessMessages".to_owned(), json!([]));
    status.insert("MsgCode".to_owned(), json!(code));
    Value::Object(status)
}

/// A failure of the whole call, in the shape that the service has: a list query shows it as a row.
pub(super) fn failure(asked: &Asked, code: i64, field: &str, message: &str) -> Reply {
    let refused = Done::Refused { index: 0, refusal: Refusal::new(code, field, message) };
    let result = json!({"Result": {"ResponseStatus": response_status(&[refused])}});
    if asked.operation == "ExecuteBillQuery" { Reply::json(&json!([[result]])) } else { Reply::json(&result) }
}

/// A lost session.
pub(super) fn session_lost(asked: &Asked) -> Reply {
    failure(asked, 1, "", SESSION_LOST)
}

fn refuse(asked: &Asked, refusal: &Refusal) -> Answer {
    let reply = failure(asked, refusal.code, &refusal.field, &refusal.message);
    Answer::failed(reply, format!("{}: {}", refusal.code, refusal.message))
}

/// A server exception: still HTTP 200, and no JSON.
fn exception(message: &str) -> Answer {
    let inner = json!({"Message": message, "InnerExWrapper": null});
    let text = format!("response_error:{}", json!({"Message": "系统发生异常", "InnerExWrapper": inner}));
    Answer::failed(Reply::text(200, "text/plain;charset=UTF-8", text), message)
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let service = request.path.rsplit('/').next().unwrap_or("");
    let service = service.strip_suffix(".common.kdsvc").unwrap_or("");
    let method = service.rsplit('.').next().unwrap_or("");
    let payload = envelope::open(method, request).unwrap_or(Value::Null);
    let data = payload.get("data").unwrap_or(&Value::Null);
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let object = text(&payload, "formid").or_else(|| text(data, "FormId")).unwrap_or_default();
    let mut asked = Asked { items: 1, interface: method.to_owned(), object, ..Asked::default() };
    asked.operation = method.to_owned();
    asked.ids = lifecycle::named(data);
    asked.roles = match method {
        "ExecuteBillQuery" | "BillQuery" => vec!["query"],
        "View" => vec!["get"],
        "Delete" => {
            asked.items = asked.ids.len().max(1);
            vec!["delete"]
        }
        "QueryBusinessInfo" => vec!["describe"],
        "ValidateUser" | "LoginByAppSecret" | "LoginBySign" => vec!["sign-in"],
        "Submit" | "Audit" | "UnAudit" | "CancelAssign" | "ExcuteOperation" | "ExecuteOperation" => {
            asked.items = asked.ids.len().max(1);
            vec!["operate"]
        }
        "Push" => vec!["operate"],
        "Save" | "BatchSave" => {
            let models = save::models(method, data);
            let pk = forms::form(&asked.object).pk;
            asked.items = models.len().max(1);
            asked.ids =
                models.iter().filter_map(|model| save::id_of(pk, model)).map(|id| id.to_string()).collect();
            for model in &models {
                let own = model.keys().filter(|name| !name.eq_ignore_ascii_case(pk)).cloned();
                let mut names: Vec<String> = own.collect();
                for (entry, line) in lines_sent(model) {
                    asked.lines += 1;
                    names.extend(line.keys().map(|name| format!("{entry}.{name}")));
                }
                for name in names {
                    if !asked.fields.contains(&name) {
                        asked.fields.push(name);
                    }
                }
            }
            let mut roles = Vec::new();
            if asked.ids.len() < models.len() {
                roles.push("create");
            }
            if !asked.ids.is_empty() {
                roles.push("update");
            }
            roles
        }
        _ => Vec::new(),
    };
    asked.payload = payload;
    asked
}

/// The detail lines of a model, each with the key of its table. Texts in several languages are lists too.
fn lines_sent(model: &Map<String, Value>) -> impl Iterator<Item = (&String, &Map<String, Value>)> {
    let lists = model.iter().filter_map(|(key, value)| Some((key, value.as_array()?)));
    let lines = lists.filter(|(_, list)| !values::is_multi_language(list));
    lines.flat_map(|(key, list)| list.iter().filter_map(move |line| Some((key, line.as_object()?))))
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Answer {
    if !request.path.ends_with(".common.kdsvc") {
        return Answer::failed(
            Reply::text(404, "text/html", "<h1>404 - File or directory not found.</h1>"),
            "404",
        );
    }
    if asked.payload.is_null() {
        return exception("请求参数不是合法的JSON");
    }
    let answer = answer(state, request, asked, trouble).unwrap_or_else(|refusal| refuse(asked, &refusal));
    // Work that is begun and asked for later.
    if asked.payload.get("begin") == Some(&Value::Bool(true)) {
        let task = uuid::Uuid::new_v4().to_string();
        state.tasks.insert(task.clone(), answer.reply.body.clone());
        let begun = task_answer(&task, 1, Value::Null);
        return Answer { reply: Reply::json(&begun), ids: answer.ids, error: answer.error };
    }
    answer
}

fn task_answer(task: &str, status: u8, result: Value) -> Value {
    json!({
        "Status": status, "TaskId": task, "Result": result, "Successful": status == 2, "Message": "",
        "Progress": if status == 2 { 100 } else { 0 }, "IsFaulted": false, "Cancelled": false,
    })
}

fn answer(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    let data = asked.payload.get("data").unwrap_or(&Value::Null);
    match asked.operation.as_str() {
        "ValidateUser" | "LoginByAppSecret" | "LoginBySign" => return Ok(session::log_in(state, asked)),
        "LogOut" => return Ok(session::log_out(state, request)),
        "GetDataCenterList" => return Ok(session::data_centres()),
        "QueryAsyncResult" => return query_task(state, asked),
        "SwitchOrg" => {
            let status = response_status(&[]);
            return Ok(Answer::ok(&json!({"Result": {"ResponseStatus": status}})));
        }
        "ExecuteBillQuery" | "BillQuery" | "QueryBusinessInfo" | "View" | "Save" | "BatchSave" | "Submit"
        | "Audit" | "UnAudit" | "CancelAssign" | "Delete" | "ExcuteOperation" | "ExecuteOperation"
        | "Push" => {}
        other => return Ok(exception(&format!("服务{other}不存在"))),
    }
    if asked.object.is_empty() {
        return Err(Refusal::new(PARAMETER, "", "业务对象不存在"));
    }
    match asked.operation.as_str() {
        "ExecuteBillQuery" => query::list(state, asked, data, false),
        "BillQuery" => query::list(state, asked, data, true),
        "QueryBusinessInfo" => Ok(describe::describe(state, asked)),
        "View" => view::view(state, asked, data),
        "Save" | "BatchSave" => save::save(state, asked, data, trouble),
        "Push" => push::push(state, asked, data),
        _ => lifecycle::operate(state, asked, data, trouble),
    }
}

fn query_task(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let info = asked.payload.get("queryInfo").cloned().unwrap_or(Value::Null);
    let info = match info {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
        other => other,
    };
    let task = info.get("TaskId").and_then(Value::as_str).unwrap_or("");
    let body = state.tasks.get(task).ok_or_else(|| Refusal::new(NO_DATA, "TaskId", "任务不存在"))?;
    let result = serde_json::from_slice(body).unwrap_or(Value::Null);
    Ok(Answer::ok(&task_answer(task, 2, result)))
}
