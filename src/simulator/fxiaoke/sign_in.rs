//! Tokens of both generations, and who may call with them.

use serde_json::{Value, json};

use super::{Refusal, error_reply, success, token_refused, trace_id};
use crate::simulator::{
    credentials::fxiaoke as known,
    exchange::{Answer, Asked, Reply, Request},
    state::{Session, State},
};

/// How long a token lives.
const LIFE_MS: i64 = 7_200_000;
/// Until this age the token endpoint gives the same token again.
const SAME_MS: i64 = 6_600_000;

/// Gives a token: the same one for 6600 s, with what is left of its life.
pub(super) fn token(state: &mut State, request: &Request, asked: &Asked) -> Result<Answer, Refusal> {
    let given = |name: &str| asked.payload.get(name).and_then(Value::as_str).unwrap_or("");
    let current = request.path == "/oauth2.0/token";
    if current {
        need_trace(request)?;
        if given("grantType") != "app_secret" {
            return Err(Refusal::missing("grantType"));
        }
    }
    if given("appId") != known::APP_ID {
        return Err(Refusal::missing("appId"));
    }
    if given("appSecret") != known::APP_SECRET {
        return Err(Refusal::missing("appSecret"));
    }
    if given("permanentCode") != known::PERMANENT_CODE {
        return Err(Refusal::new(20015, "the permanentCode is error"));
    }
    let now = state.now_ms();
    state.sessions.retain(|session| session.lives(now, LIFE_MS));
    let fresh = state.sessions.iter().find(|session| now - session.born_ms < SAME_MS).cloned();
    let session = fresh.unwrap_or_else(|| {
        let session =
            Session { value: uuid::Uuid::new_v4().simple().to_string(), born_ms: now, ended: false };
        state.sessions.push(session.clone());
        session
    });
    let expires_in = (LIFE_MS - (now - session.born_ms)) / 1000;
    Ok(Answer::ok(&if current {
        json!({
            "errorCode": 0, "errorMessage": "success", "accessToken": session.value, "ea": known::EA,
            "expiresIn": expires_in, "openUserId": known::CORP_ID, "appId": known::APP_ID, "traceId": trace_id(),
        })
    } else {
        success(json!({"corpAccessToken": session.value, "corpId": known::CORP_ID, "expiresIn": expires_in}))
    }))
}

/// The current generation wants a trace id on every address. What its absence is answered with is (unverified).
fn need_trace(request: &Request) -> Result<(), Refusal> {
    let traced = request.query.split('&').any(|pair| pair.starts_with("thirdTraceId=") && pair.len() > 13);
    if traced { Ok(()) } else { Err(Refusal::missing("thirdTraceId")) }
}

/// Checks the credentials of a business call: headers (current generation) or body (older one).
pub(in crate::simulator) fn signed_in(
    state: &mut State,
    request: &Request,
    asked: &Asked,
) -> Result<(), Answer> {
    // The gateway knows a path before it knows the caller.
    if asked.is("sign-in") || asked.operation == "unknown" {
        return Ok(());
    }
    let given = |name: &str| asked.payload.get(name).and_then(Value::as_str).unwrap_or("");
    let known_token = |token: &str| state.knows(token, LIFE_MS);
    let refused = |reply: Reply, error: &str| Err(Answer::failed(reply, error));
    if let Some(authorization) = request.header("authorization") {
        let token = authorization.strip_prefix("Bearer ").unwrap_or("");
        if !known_token(token) || request.header("x-fs-ea") != Some(known::EA) {
            return refused(token_refused(), "20016");
        }
        if let Err(refusal) = need_trace(request) {
            return Err(super::refuse(refusal));
        }
        let converted = asked.payload.get("convertUserId") == Some(&Value::Bool(true));
        let user = request.header("x-fs-userid");
        if user != Some(known::USER_ID) && !(converted && user == Some(known::OPEN_USER_ID)) {
            return refused(error_reply(20012, "the currentOpenUserId is error"), "20012");
        }
        return Ok(());
    }
    let (token, corp) = (given("corpAccessToken"), given("corpId"));
    if token.is_empty() || corp.is_empty() {
        let message = "corpAccessToken为必填项，不能为空";
        let reply = json!({"traceId": trace_id(), "errorCode": 20017, "errorMessage": message});
        return refused(Reply::json(&reply), "20017");
    }
    if !known_token(token) || corp != known::CORP_ID {
        return refused(token_refused(), "20016");
    }
    // Looking a user up comes before one is known.
    if asked.operation != "getByMobile" && given("currentOpenUserId") != known::OPEN_USER_ID {
        return refused(error_reply(20012, "the currentOpenUserId is error"), "20012");
    }
    Ok(())
}
