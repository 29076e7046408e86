//! Sessions: made by a login or by the first signed call, carried in a header or a cookie.

use serde_json::{Value, json};

use super::{session_lost, sign};
use crate::simulator::{
    credentials::kingdee as known,
    exchange::{Answer, Asked, Request},
    state::{Session, State},
    value::text_of,
};

/// How long an idle session lives; a server's setting, commonly this (unverified).
const IDLE_MS: i64 = 20 * 60_000;
/// A client that never sends its cookie back would fill the memory with sessions.
const KEPT: usize = 1_000;

fn begin(state: &mut State) -> String {
    let now = state.now_ms();
    state.sessions.retain(|session| !session.ended && now - session.born_ms < IDLE_MS);
    if state.sessions.len() >= KEPT {
        state.sessions.remove(0);
    }
    let value = uuid::Uuid::new_v4().to_string();
    state.sessions.push(Session { value: value.clone(), born_ms: now, ended: false });
    value
}

fn cookies(id: &str) -> Vec<(String, String)> {
    let set = |cookie: String| ("set-cookie".to_owned(), cookie);
    vec![
        set(format!("kdservice-sessionid={id}; path=/")),
        set(format!("ASP.NET_SessionId={}; path=/; HttpOnly", id.replace('-', ""))),
    ]
}

/// The session ids that a request carries: two header names and the cookie are in use.
fn carried(request: &Request) -> Vec<&str> {
    let headers = ["kdservice-sessionid", "sid"].into_iter().filter_map(|name| request.header(name));
    let in_cookies = request.headers.iter().filter(|(name, _)| name == "cookie").flat_map(|(_, value)| {
        value.split(';').filter_map(|pair| pair.trim().strip_prefix("kdservice-sessionid="))
    });
    headers.chain(in_cookies).collect()
}

/// Touches the session that a request carries; false where it carries none that lives.
fn resume(state: &mut State, request: &Request) -> bool {
    let now = state.now_ms();
    let ids = carried(request);
    let live = |session: &&mut Session| {
        !session.ended && now - session.born_ms < IDLE_MS && ids.contains(&session.value.as_str())
    };
    match state.sessions.iter_mut().find(live) {
        Some(session) => {
            session.born_ms = now;
            true
        }
        None => false,
    }
}

/// Checks who calls: a signature is enough, else a living session is needed. Gives the cookies to be set.
pub(in crate::simulator) fn signed_in(
    state: &mut State,
    request: &Request,
    asked: &Asked,
) -> Result<Vec<(String, String)>, Answer> {
    let open = ["LogOut", "GetDataCenterList"].contains(&asked.operation.as_str());
    if open || asked.is("sign-in") || !request.path.ends_with(".common.kdsvc") {
        return Ok(Vec::new());
    }
    let lost = || Err(Answer::failed(session_lost(asked), "session lost"));
    if sign::is_signed(request) {
        if !sign::is_right(request) {
            return lost();
        }
        if resume(state, request) {
            return Ok(Vec::new());
        }
        let id = begin(state);
        return Ok(cookies(&id));
    }
    if resume(state, request) { Ok(Vec::new()) } else { lost() }
}

/// The three logins.
pub(super) fn log_in(state: &mut State, asked: &Asked) -> Answer {
    let params = asked.payload.get("params").and_then(Value::as_array);
    let params: Vec<String> =
        params.into_iter().flatten().map(|value| text_of(value).unwrap_or_default()).collect();
    let params: Vec<&str> = params.iter().map(String::as_str).collect();
    let right = match (asked.operation.as_str(), params.as_slice()) {
        ("ValidateUser", [acct, user, password, ..]) => {
            *acct == known::ACCT_ID && *user == known::USER && *password == known::PASSWORD
        }
        ("LoginByAppSecret", [acct, user, app, secret, ..]) => {
            *acct == known::ACCT_ID
                && *user == known::USER
                && *app == known::APP_ID
                && *secret == known::APP_SECRET
        }
        ("LoginBySign", [acct, user, app, timestamp, sign, ..]) => {
            *acct == known::ACCT_ID
                && *user == known::USER
                && *app == known::APP_ID
                && *sign == sign::login_signature(acct, user, app, known::APP_SECRET, timestamp)
        }
        _ => false,
    };
    if !right {
        let refused = json!({
            "LoginResultType": 0, "Message": "用户名或密码错误", "MessageCode": "", "IsSuccessByAPI": false,
            "KDSVCSessionId": null, "Context": null, "FormId": null, "RedirectFormParam": null, "AccessToken": null,
        });
        let mut answer = Answer::ok(&refused);
        answer.error = Some("login refused".to_owned());
        return answer;
    }
    let id = begin(state);
    let mut answer = Answer::ok(&json!({
        "LoginResultType": 1, "Message": "", "MessageCode": "", "IsSuccessByAPI": true, "KDSVCSessionId": id,
        "Context": {
            "SessionId": id, "UserId": 1, "UserName": known::USER, "DBid": known::ACCT_ID,
            "DataCenterName": "演示数据中心",
            "CurrentOrganizationInfo": {"ID": 1, "Number": known::ORG, "Name": "演示组织"},
        },
        "FormId": null, "RedirectFormParam": null, "FormInputObject": null, "ErrorStackTrace": null, "Lcid": 0,
        "AccessToken": null,
    }));
    answer.reply.headers.extend(cookies(&id));
    answer
}

pub(super) fn log_out(state: &mut State, request: &Request) -> Answer {
    let ids = carried(request);
    for session in &mut state.sessions {
        if ids.contains(&session.value.as_str()) {
            session.ended = true;
        }
    }
    Answer::ok(&json!(true))
}

pub(super) fn data_centres() -> Answer {
    Answer::ok(&json!([{
        "Id": known::ACCT_ID, "Number": "demo", "Name": "演示数据中心", "Version": "8.2", "GDCID": "",
        "AuthenticationMethods": [],
    }]))
}
