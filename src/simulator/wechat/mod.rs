//! A mini program of WeChat: two kinds of token, orders paid in it and their shipping, logins and phone numbers.
//!
//! Errors have status 200 and an `errcode`; what went well has none, or 0.

mod orders;
pub(super) mod person;
mod push;

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    credentials::wechat as known,
    exchange::{Answer, Asked, Reply, Request, pairs},
    state::{Session, State},
};

/// How long a token lives.
const LIFE_MS: i64 = 7_200_000;
/// How long a classic token is taken after another was given.
const OLD_MS: i64 = 300_000;
/// The two kinds of token know nothing of each other.
const STABLE: &str = "stable-";
const CLASSIC: &str = "classic-";

/// What only this system remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Codes of logins and phones that were used already.
    used: HashSet<String>,
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

    fn reply(&self) -> Reply {
        Reply::json(
            &json!({"errcode": self.code, "errmsg": format!("{} rid: 65a00000-00000000-00000001", self.message)}),
        )
    }

    fn answer(&self) -> Answer {
        Answer::failed(self.reply(), format!("{}: {}", self.code, self.message))
    }
}

/// The answer to too many calls in a minute.
pub(super) fn throttled() -> Reply {
    Refusal::new(45011, "api minute-quota reach limit  must slower  retry next minute").reply()
}

/// An error that was asked for by its code.
pub(super) fn api_error(code: i64) -> Reply {
    Refusal::new(code, "the simulator was told to answer this error").reply()
}

/// What a token that is over is answered with.
pub(super) fn token_refused() -> Reply {
    Refusal::new(42001, "access_token expired").reply()
}

/// Paths: the operation, its role, its object. Those of `GET` are asked for without a body.
const PATHS: [(&str, &str, &str, &str, &str); 9] = [
    ("GET", "/cgi-bin/token", "token", "sign-in", ""),
    ("POST", "/cgi-bin/stable_token", "stable_token", "sign-in", ""),
    ("GET", "/sns/jscode2session", "jscode2session", "login", ""),
    ("POST", "/wxa/business/getuserphonenumber", "getuserphonenumber", "get", ""),
    ("POST", "/wxa/sec/order/is_trade_managed", "is_trade_managed", "get", ""),
    ("POST", "/wxa/sec/order/get_order", "get_order", "get", "order"),
    ("POST", "/wxa/sec/order/get_order_list", "get_order_list", "query", "order"),
    ("POST", "/wxa/sec/order/upload_shipping_info", "upload_shipping_info", "update", "order"),
    ("POST", "/cgi-bin/clear_quota", "clear_quota", "", ""),
];

fn parameter(request: &Request, name: &str) -> String {
    let found = pairs(&request.query).into_iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value).unwrap_or_default()
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let mut asked = Asked { items: 1, interface: request.path.clone(), ..Asked::default() };
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    match PATHS.iter().find(|(_, path, ..)| *path == request.path) {
        Some((method, _, operation, role, object)) => {
            asked.operation = if *method == request.method { *operation } else { "wrong method" }.to_owned();
            asked.roles = vec![role];
            asked.object = (*object).to_owned();
        }
        None => asked.operation = "unknown".to_owned(),
    }
    let keyed = payload.get("order_key").unwrap_or(&payload);
    let id = keyed.get("transaction_id").and_then(Value::as_str);
    asked.ids = id.map(str::to_owned).into_iter().collect();
    if asked.operation == "upload_shipping_info" {
        let fields = payload.as_object().into_iter().flatten().map(|(name, _)| name.clone());
        let parcels = payload.get("shipping_list").and_then(Value::as_array).into_iter().flatten();
        let parcels = parcels.filter_map(Value::as_object).flat_map(|one| one.keys().cloned());
        asked.fields = fields.chain(parcels).collect();
    }
    asked.payload = payload;
    asked
}

/// Checks the token of a call. An address that nobody knows has status 404, like any web server's.
pub(super) fn signed_in(state: &mut State, request: &Request, asked: &Asked) -> Result<(), Answer> {
    if asked.is("sign-in") || asked.operation == "jscode2session" {
        return Ok(());
    }
    if asked.operation == "unknown" {
        return Err(Answer::failed(Reply::text(404, "text/html", "<html>404 Not Found</html>"), "404"));
    }
    let token = parameter(request, "access_token");
    if token.is_empty() {
        return Err(Refusal::new(41001, "access_token missing").answer());
    }
    let now = state.now_ms();
    match state.sessions.iter().find(|session| session.value == token) {
        Some(session) if session.lives(now, LIFE_MS) => Ok(()),
        Some(_) => Err(Answer::failed(token_refused(), "42001")),
        None => {
            let said = "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken";
            Err(Refusal::new(40001, said).answer())
        }
    }
}

fn credentials(appid: &str, secret: &str) -> Result<(), Refusal> {
    // the app is looked at before anything else
    if appid != known::APP_ID {
        return Err(Refusal::new(40013, "invalid appid"));
    }
    if secret != known::APP_SECRET {
        return Err(Refusal::new(40125, "invalid appsecret"));
    }
    Ok(())
}

fn given(state: &mut State, kind: &str) -> Answer {
    let value = format!("{kind}{}", uuid::Uuid::new_v4().simple());
    let born_ms = state.now_ms();
    state.sessions.push(Session { value: value.clone(), born_ms, ended: false });
    Answer::ok(&json!({"access_token": value, "expires_in": LIFE_MS / 1000}))
}

/// A classic token: a new one each time, and the one before is taken for five minutes more.
fn classic(state: &mut State, request: &Request) -> Result<Answer, Refusal> {
    credentials(&parameter(request, "appid"), &parameter(request, "secret"))?;
    if parameter(request, "grant_type") != "client_credential" {
        return Err(Refusal::new(40002, "invalid grant_type"));
    }
    let now = state.now_ms();
    for session in state.sessions.iter_mut().filter(|session| session.value.starts_with(CLASSIC)) {
        session.born_ms = session.born_ms.min(now - LIFE_MS + OLD_MS);
    }
    Ok(given(state, CLASSIC))
}

/// A stable token: the same one while it lives, unless a new one is forced.
fn stable(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let text = |name: &str| asked.payload.get(name).and_then(Value::as_str).unwrap_or_default();
    credentials(text("appid"), text("secret"))?;
    if text("grant_type") != "client_credential" {
        return Err(Refusal::new(40002, "invalid grant_type"));
    }
    let now = state.now_ms();
    let forced = asked.payload.get("force_refresh") == Some(&json!(true));
    for session in state.sessions.iter_mut().filter(|session| session.value.starts_with(STABLE)) {
        if !session.lives(now, LIFE_MS) {
            continue;
        }
        if forced {
            session.ended = true;
            continue;
        }
        let left = (LIFE_MS - (now - session.born_ms)) / 1000;
        return Ok(Answer::ok(&json!({"access_token": session.value, "expires_in": left})));
    }
    Ok(given(state, STABLE))
}

/// A code works once.
fn once(state: &mut State, code: &str, kind: &str) -> Result<String, Refusal> {
    let Some(name) = code.strip_prefix(kind) else { return Err(Refusal::new(40029, "invalid code")) };
    if !state.wechat.used.insert(code.to_owned()) {
        return Err(Refusal::new(40163, "code been used"));
    }
    Ok(name.to_owned())
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(state: &mut State, request: &Request, asked: &Asked) -> Answer {
    answer(state, request, asked).unwrap_or_else(|refusal| refusal.answer())
}

fn answer(state: &mut State, request: &Request, asked: &Asked) -> Result<Answer, Refusal> {
    if asked.operation == "wrong method" {
        return Err(Refusal::new(43002, "require POST method"));
    }
    match asked.operation.as_str() {
        "token" => classic(state, request),
        "stable_token" => stable(state, asked),
        "jscode2session" => {
            credentials(&parameter(request, "appid"), &parameter(request, "secret"))?;
            let openid = once(state, &parameter(request, "js_code"), "login-")?;
            // no errcode where all went well
            Ok(Answer::ok(&json!({"openid": openid, "session_key": "ZGVtby1zZXNzaW9uLWtleQ=="})))
        }
        "getuserphonenumber" => {
            let code = asked.payload.get("code").and_then(Value::as_str).unwrap_or_default();
            let number = once(state, code, "phone-")?;
            let watermark = json!({"appid": known::APP_ID, "timestamp": state.now_ms() / 1000});
            Ok(well(json!({"phone_info": {"phoneNumber": number, "purePhoneNumber": number,
                "countryCode": "86", "watermark": watermark}})))
        }
        "is_trade_managed" => Ok(well(json!({"is_trade_managed": true}))),
        "get_order" => orders::one(state, asked),
        "get_order_list" => orders::list(state, asked),
        "upload_shipping_info" => orders::ship(state, asked),
        _ => Ok(well(json!({}))),
    }
}

fn well(body: Value) -> Answer {
    let mut all = json!({"errcode": 0, "errmsg": "ok"});
    if let (Value::Object(all), Value::Object(body)) = (&mut all, body) {
        all.extend(body);
    }
    Answer::ok(&all)
}
