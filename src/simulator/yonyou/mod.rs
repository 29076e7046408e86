//! 用友 YonBIP's gateway: addresses of the tenant, signed requests for a token, customers, products, sales orders.
//!
//! Errors have status 200 and a code; an unknown address has 404, which is told before the token is looked at.

mod catalogue;
mod orders;
pub(super) mod person;
mod push;
mod read;
mod write;

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    credentials::yonyou as known,
    exchange::{Answer, Asked, Reply, Request, pairs},
    state::{Session, State},
};

pub(super) use push::encrypted;

/// How long a token lives.
const LIFE_MS: i64 = 7_200_000;
/// How long the key of a save is remembered.
const KEPT_MS: i64 = 3_600_000;
/// How far the moment of a signature may be from now (unverified).
const CLOCK_MS: i64 = 600_000;

/// What only this system remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Keys of saves by interface: when, and the record that was made.
    keys: HashMap<String, (i64, String)>,
}

/// Why a call is refused. A code of the business is a number, one of the gateway a text.
#[derive(Debug)]
struct Refusal {
    code: String,
    of_business: bool,
    message: String,
}

impl Refusal {
    fn gateway(code: &str, message: impl Into<String>) -> Refusal {
        Refusal { code: code.to_owned(), of_business: false, message: message.into() }
    }

    fn business(message: impl Into<String>) -> Refusal {
        Refusal::of_code("999", message)
    }

    fn of_code(code: &str, message: impl Into<String>) -> Refusal {
        Refusal { code: code.to_owned(), of_business: true, message: message.into() }
    }

    fn reply(&self) -> Reply {
        let code = if self.of_business { super::value::number(&self.code) } else { json!(self.code) };
        let mut reply = Reply::json(&json!({"code": code, "message": self.message, "data": null}));
        if self.code == "310404" {
            reply.status = 404;
        }
        reply
    }

    fn answer(&self) -> Answer {
        Answer::failed(self.reply(), format!("{}: {}", self.code, self.message))
    }
}

/// The answer to too many calls.
pub(super) fn throttled() -> Reply {
    Refusal::gateway("310046", "超出接口调用频率限制").reply()
}

/// An error that was asked for by its code.
pub(super) fn api_error(code: i64) -> Reply {
    Refusal::gateway(&code.to_string(), "the simulator was told to answer this error").reply()
}

/// What a token that is over is answered with. One interface says it without any JSON.
pub(super) fn token_refused(asked: &Asked) -> Reply {
    if asked.operation == "detail" {
        return Reply::text(200, "text/plain;charset=UTF-8", "非法token");
    }
    Refusal::gateway("310036", "非法token").reply()
}

const GATEWAY: &str = "/iuap-api-gateway";
const TOKENS: &str = "/iuap-api-auth/open-auth/";

/// Addresses behind the gateway: the operation, its role, its object.
const PATHS: [(&str, &str, &str, &str, &str); 10] = [
    ("POST", "/yonbip/digitalModel/merchant/newlist", "newlist", "query", "merchant"),
    ("GET", "/yonbip/digitalModel/merchant/detail", "detail", "get", "merchant"),
    ("POST", "/yonbip/digitalModel/merchant/idempotent/newinsert", "newinsert", "create", "merchant"),
    ("POST", "/yonbip/digitalModel/merchant/newupdate", "newupdate", "update", "merchant"),
    ("POST", "/yonbip/digitalModel/merchant/stop", "stop", "update", "merchant"),
    ("GET", "/yonbip/digitalModel/product/detail", "detail", "get", "product"),
    ("POST", "/yonbip/sd/voucherorder/list", "list", "query", "voucherorder"),
    ("GET", "/yonbip/sd/voucherorder/detail", "detail", "get", "voucherorder"),
    ("POST", "/yonbip/sd/voucherorder/singleSave", "singleSave", "create", "voucherorder"),
    ("POST", "/yonbip/sd/voucherorder/delete", "delete", "delete", "voucherorder"),
];

fn parameter(request: &Request, name: &str) -> Option<String> {
    pairs(&request.query).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let mut asked = Asked { items: 1, interface: request.path.clone(), ..Asked::default() };
    if request.path == "/open-auth/dataCenter/getGatewayAddress" {
        asked.operation = "getGatewayAddress".to_owned();
        asked.roles = vec!["sign-in"];
        return asked;
    }
    if request.path.starts_with(TOKENS) {
        asked.operation = "getAccessToken".to_owned();
        asked.roles = vec!["sign-in"];
        return asked;
    }
    let path = request.path.strip_prefix(GATEWAY).unwrap_or(&request.path);
    let found = PATHS.iter().find(|(method, known, ..)| *known == path && *method == request.method);
    let Some((_, _, operation, role, object)) = found else {
        asked.operation = "unknown".to_owned();
        return asked;
    };
    asked.operation = (*operation).to_owned();
    asked.object = (*object).to_owned();
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let data = payload.get("data").unwrap_or(&payload);
    // one address makes orders and changes them
    let role = if *operation == "singleSave" && data.get("_status") == Some(&json!("Update")) {
        "update"
    } else {
        role
    };
    asked.roles = vec![role];
    if let Some(fields) = data.as_object().filter(|_| matches!(role, "create" | "update")) {
        let own = ["resubmitCheckKey", "_status", "id", catalogue::LINES];
        asked.fields = fields.keys().filter(|name| !own.contains(&name.as_str())).cloned().collect();
        asked.lines = fields.get(catalogue::LINES).and_then(Value::as_array).map_or(0, Vec::len);
    }
    let ids = match data.get("id") {
        Some(Value::Array(ids)) => ids.clone(),
        Some(id) => vec![id.clone()],
        None => parameter(request, "id").map(Value::from).into_iter().collect(),
    };
    asked.ids = ids.iter().filter_map(super::value::text_of).collect();
    asked.payload = payload;
    asked
}

/// Checks the token of a call, which is in its query or in a header. An unknown address is told before.
pub(super) fn signed_in(state: &mut State, request: &Request, asked: &Asked) -> Result<(), Answer> {
    if asked.is("sign-in") {
        return Ok(());
    }
    if asked.operation == "unknown" {
        let message = format!("网关上没有注册此API[{}]", request.path);
        return Err(Refusal::gateway("310404", message).answer());
    }
    let given = parameter(request, "access_token");
    let Some(token) = given.or_else(|| request.header("access_token").map(str::to_owned)) else {
        return Err(Refusal::gateway("310001", "access_token不能为空。").answer());
    };
    if state.knows(&token, LIFE_MS) {
        return Ok(());
    }
    Err(Answer::failed(token_refused(asked), "310036"))
}

/// Where a tenant's own addresses are.
fn addresses(request: &Request) -> Answer {
    if parameter(request, "tenantId").as_deref() != Some(known::TENANT_ID) {
        return Refusal::gateway("500", "租户所在数据中心不存在").answer();
    }
    let host = request.header("host").unwrap_or("127.0.0.1");
    Answer::ok(&json!({"code": "00000", "message": "成功", "data": {
        "gatewayUrl": format!("http://{host}{GATEWAY}"), "tokenUrl": format!("http://{host}/iuap-api-auth")}}))
}

/// Gives a token to an app that signs its parameters.
fn token(state: &mut State, request: &Request) -> Answer {
    let own = ["selfAppAuth/getAccessToken", "selfAppAuth/base/v1/getAccessToken"];
    let path = request.path.strip_prefix(TOKENS).unwrap_or_default();
    if request.method != "GET" || !own.contains(&path) {
        return Refusal::gateway("310404", format!("网关上没有注册此API[{}]", request.path)).answer();
    }
    let mut given = pairs(&request.query);
    given.sort();
    let one = |name: &str| given.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    if one("appKey") != known::APP_KEY {
        return Refusal::gateway("10018", "应用不存在或appKey已停用").answer();
    }
    let signed: String = given
        .iter()
        .filter(|(name, _)| name != "signature")
        .map(|(name, value)| format!("{name}{value}"))
        .collect();
    let now = state.now_ms();
    let told: i64 = one("timestamp").parse().unwrap_or_default();
    if sealed(&signed) != one("signature") || now.abs_diff(told) > CLOCK_MS.unsigned_abs() {
        return Refusal::gateway("10019", "签名错误").answer();
    }
    state.sessions.retain(|session| session.lives(now, LIFE_MS));
    // letters that must be encoded in a query
    let value = STANDARD.encode(format!("{}??>>", uuid::Uuid::new_v4()));
    state.sessions.push(Session { value: value.clone(), born_ms: now, ended: false });
    Answer::ok(&json!({"code": "00000", "message": "成功！",
        "data": {"access_token": value, "expire": LIFE_MS / 1000}}))
}

/// The seal of a text with the app's secret.
fn sealed(text: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(known::APP_SECRET.as_bytes()) else {
        return String::new();
    };
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(state: &mut State, request: &Request, asked: &Asked) -> Answer {
    let done = match asked.operation.as_str() {
        "getGatewayAddress" => return addresses(request),
        "getAccessToken" => return token(state, request),
        "newlist" => read::customers(state, asked),
        "list" => read::orders(state, asked),
        "detail" => read::detail(state, asked),
        "newinsert" => write::insert(state, asked),
        "newupdate" => write::update(state, asked),
        "stop" => write::stop(state, asked),
        "singleSave" => orders::save(state, asked),
        _ => orders::delete(state, asked),
    };
    done.unwrap_or_else(|refusal| refusal.answer())
}

fn well(data: &Value) -> Answer {
    Answer::ok(&json!({"code": "200", "message": "操作成功", "data": data}))
}
