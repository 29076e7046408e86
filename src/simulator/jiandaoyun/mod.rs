//! Jiandaoyun's open API v5: forms as tables, POST everywhere, status 400 for every refusal.
//!
//! What the page calls tested is done as tested: conditions on system fields and unknown methods are left out without
//! a word, and a value of the wrong shape is stored as nothing.

mod form;
pub(super) mod person;
mod push;
mod read;
mod write;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    credentials::jiandaoyun as known,
    exchange::{Answer, Asked, BatchTrouble, Reply, Request},
    state::State,
};

/// A parameter is missing, or the request is not one.
const INVALID_REQUEST: i64 = 1;
/// A parameter has a value that is not taken.
const INVALID_PARAMETER: i64 = 3005;
/// There is no such record.
const NO_RECORD: i64 = 4001;
/// The key is not one.
const BAD_KEY: i64 = 8301;
/// Too many calls.
const TOO_MANY: i64 = 8303;
/// More than a batch may hold.
const BATCH_TOO_LARGE: i64 = 17024;
/// There is no such member.
const NO_MEMBER: i64 = 1010;

/// The most records of a batch or a page.
const MOST: usize = 100;

/// What only this system remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// When a transaction was first seen, and the records that it made.
    transactions: HashMap<String, (i64, Vec<String>)>,
}

/// Why a call is refused.
#[derive(Debug)]
struct Refusal {
    code: i64,
    message: String,
}

impl Refusal {
    fn new(code: i64, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }
}

/// An error in the API's form.
pub(super) fn error_reply(code: i64, message: &str) -> Reply {
    let mut reply = Reply::json(&json!({"code": code, "msg": message}));
    reply.status = 400;
    reply
}

pub(super) fn throttled() -> Reply {
    error_reply(TOO_MANY, "超出请求频率限制")
}

pub(super) fn key_refused() -> Reply {
    error_reply(BAD_KEY, "签名错误")
}

/// Calls of an interface within a second.
pub(super) fn per_second(asked: &Asked) -> u32 {
    match asked.operation.as_str() {
        "create" | "update" | "delete" => 20,
        operation if operation.starts_with("batch") => 10,
        _ => 30,
    }
}

/// The paths, by the operation's name and its roles.
const PATHS: [(&str, &str, &[&str]); 10] = [
    ("/api/v5/app/list", "apps", &["describe"]),
    ("/api/v5/app/entry/list", "forms", &["describe"]),
    ("/api/v5/app/entry/widget/list", "widgets", &["describe"]),
    ("/api/v5/app/entry/data/list", "list", &["query"]),
    ("/api/v5/app/entry/data/get", "get", &["get"]),
    ("/api/v5/app/entry/data/create", "create", &["create"]),
    ("/api/v5/app/entry/data/batch_create", "batch_create", &["create"]),
    ("/api/v5/app/entry/data/update", "update", &["update"]),
    ("/api/v5/app/entry/data/delete", "delete", &["delete"]),
    ("/api/v5/app/entry/data/batch_delete", "batch_delete", &["delete"]),
];

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut asked = Asked { items: 1, interface: request.path.clone(), ..Asked::default() };
    let found = PATHS.iter().find(|(path, ..)| *path == request.path);
    let (operation, roles) = found.map_or(("unknown", [].as_slice()), |(_, name, roles)| (name, roles));
    asked.operation = operation.to_owned();
    asked.roles = roles.to_vec();
    let text = |name: &str| payload.get(name).and_then(Value::as_str);
    if let (Some(app), Some(entry)) = (text("app_id"), text("entry_id")) {
        asked.object = format!("{app}/{entry}");
    }
    let many = |name: &str| payload.get(name).and_then(Value::as_array);
    let ids = many("data_ids").into_iter().flatten().filter_map(Value::as_str);
    asked.ids = text("data_id").into_iter().chain(ids).map(str::to_owned).collect();
    if let Some(items) = many("data_ids").or_else(|| many("data_list")) {
        asked.items = items.len();
    }
    if let Some(data) = payload.get("data").and_then(Value::as_object) {
        asked.fields = data.keys().cloned().collect();
    }
    asked.payload = payload;
    asked
}

/// Whether the key is the one that is known.
pub(super) fn signed_in(request: &Request) -> Result<(), Answer> {
    let key = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    match key == Some(known::API_KEY) {
        true => Ok(()),
        false => Err(Answer::failed(key_refused(), "8301")),
    }
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(state: &mut State, asked: &Asked, trouble: Option<BatchTrouble>) -> Answer {
    answer(state, asked, trouble).unwrap_or_else(|refusal| {
        let said = format!("{}: {}", refusal.code, refusal.message);
        Answer::failed(error_reply(refusal.code, &refusal.message), said)
    })
}

fn answer(state: &mut State, asked: &Asked, trouble: Option<BatchTrouble>) -> Result<Answer, Refusal> {
    if !asked.payload.is_object() {
        return Err(Refusal::new(INVALID_REQUEST, "请求体不是JSON对象"));
    }
    match asked.operation.as_str() {
        "unknown" => return Err(Refusal::new(INVALID_REQUEST, "无效的请求")),
        "apps" => return Ok(Answer::ok(&json!({"apps": [{"app_id": known::APP_ID, "name": "CRM"}]}))),
        "forms" => {
            let form = json!({"app_id": known::APP_ID, "entry_id": known::ENTRY_ID, "name": "客户信息"});
            return Ok(Answer::ok(&json!({"forms": [form]})));
        }
        _ if asked.object.is_empty() => {
            return Err(Refusal::new(INVALID_REQUEST, "缺少参数 app_id 或 entry_id"));
        }
        _ => {}
    }
    match asked.operation.as_str() {
        "widgets" => Ok(Answer::ok(&form::describe(state, &asked.object))),
        "list" => read::list(state, asked),
        "get" => read::get(state, asked),
        "create" => write::create(state, asked),
        "batch_create" => write::batch_create(state, asked),
        "update" => write::update(state, asked),
        "delete" => write::delete(state, asked),
        _ => write::batch_delete(state, asked, trouble),
    }
}
