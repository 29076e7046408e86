//! One call from request to answer: faults, limits, the API's own answer, the log.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;

use super::{
    Kind, Shared, dynamics365,
    fault::{Mangling, Trouble},
    fxiaoke, hubspot, jiandaoyun, kingdee, mailchimp, netsuite, odoo, salesforce, sap, shopify,
    state::{Late, State},
    wechat, yonyou, zoho,
};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    /// In capitals.
    pub(super) method: String,
    /// The path as the client wrote it, still encoded.
    pub(super) path: String,
    /// What follows the `?`.
    pub(super) query: String,
    /// Lower-case names.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The token that it carries; empty where it carries none.
    pub(super) fn bearer(&self) -> &str {
        self.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or("")
    }
}

/// The status of an error that was asked for by its number: that number, or 500 where it is no error's.
pub(super) fn error_status(code: i64) -> u16 {
    u16::try_from(code).ok().filter(|status| (400..600).contains(status)).unwrap_or(500)
}

/// The pairs of a query or a form; what cannot be decoded is empty.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    let parts = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
    parts
        .map(|(name, value)| (decoded(name).unwrap_or_default(), decoded(value).unwrap_or_default()))
        .collect()
}

/// A percent-encoded text; `None` where it is not one.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// A JSON answer with status 200, as both APIs give for success and error alike.
    pub(super) fn json(value: &Value) -> Reply {
        Reply::text(200, "application/json;charset=UTF-8", value.to_string())
    }

    pub(super) fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Reply { status, headers, body: body.into() }
    }
}

/// What a request asks for, as far as it can be told without doing it.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// The API's own name of the operation.
    pub(super) operation: String,
    /// What the operation is to anybody: `create`, `update`, `query`, `get`, `delete`, `describe`, `sign-in`.
    pub(super) roles: Vec<&'static str>,
    pub(super) object: String,
    pub(super) ids: Vec<String>,
    pub(super) fields: Vec<String>,
    /// How many detail lines a write sends.
    pub(super) lines: usize,
    /// How many records a batch holds; 1 for everything else.
    pub(super) items: usize,
    /// The interface that the limits are counted by.
    pub(super) interface: String,
    /// The payload, parsed once.
    pub(super) payload: Value,
}

impl Asked {
    /// Whether this is the operation or the role of this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.operation.eq_ignore_ascii_case(name)
            || self.roles.iter().any(|role| role.eq_ignore_ascii_case(name))
    }
}

/// What a fault does to a batch from within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchTrouble {
    /// Every second item is refused.
    Partial,
    /// Only the first half is done, then the session is gone.
    SessionEnds,
}

/// An API's answer, with what the log wants to know of it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) reply: Reply,
    pub(super) ids: Vec<String>,
    pub(super) error: Option<String>,
}

impl Answer {
    pub(super) fn ok(value: &Value) -> Answer {
        Answer { reply: Reply::json(value), ids: Vec::new(), error: None }
    }

    pub(super) fn with_ids(mut self, ids: Vec<String>) -> Answer {
        self.ids = ids;
        self
    }

    pub(super) fn failed(reply: Reply, error: impl Into<String>) -> Answer {
        Answer { reply, ids: Vec::new(), error: Some(error.into()) }
    }
}

/// Answers a request; `None` means that the connection is to be cut.
pub(super) async fn exchange(shared: &Shared, request: Request) -> Option<Reply> {
    let (asked, troubles) = {
        let mut state = shared.lock();
        settle_late(&mut state);
        let asked = ask(state.kind, &request);
        if state.down {
            state.log(&asked, asked.ids.clone(), 0, Some("down".to_owned()));
            return None;
        }
        let troubles = state.strike(&asked);
        (asked, troubles)
    };
    let slow: Duration = troubles
        .iter()
        .filter_map(|trouble| if let Trouble::Slow(time) = trouble { Some(*time) } else { None })
        .sum();
    if !slow.is_zero() {
        tokio::time::sleep(slow).await;
    }
    let mut state = shared.lock();
    settle_late(&mut state);
    answer_struck(&mut state, request, &asked, &troubles)
}

/// Makes the changes whose time has come by the simulator's clock.
pub(super) fn settle_late(state: &mut State) {
    let now = state.now_ms();
    let waiting = std::mem::take(&mut state.late);
    for late in waiting {
        if late.due_ms <= now {
            let _ = perform(state, &late.request, &late.asked, None);
        } else {
            state.late.push(late);
        }
    }
}

fn ask(kind: Kind, request: &Request) -> Asked {
    match kind {
        Kind::Fxiaoke => fxiaoke::ask(request),
        Kind::Jiandaoyun => jiandaoyun::ask(request),
        Kind::KingdeeK3cloud => kingdee::ask(request),
        Kind::Salesforce => salesforce::ask(request),
        Kind::ZohoCrm => zoho::ask(request),
        Kind::Hubspot => hubspot::ask(request),
        Kind::Odoo => odoo::ask(request),
        Kind::Yonyou => yonyou::ask(request),
        Kind::WechatMiniprogram => wechat::ask(request),
        Kind::Dynamics365 => dynamics365::ask(request),
        Kind::Mailchimp => mailchimp::ask(request),
        Kind::Netsuite => netsuite::ask(request),
        Kind::Shopify => shopify::ask(request),
        Kind::SapOdata => sap::ask(request),
    }
}

fn perform(state: &mut State, request: &Request, asked: &Asked, trouble: Option<BatchTrouble>) -> Answer {
    state.effects.by.clone_from(&asked.operation);
    match state.kind {
        Kind::Fxiaoke => fxiaoke::perform(state, request, asked),
        Kind::Jiandaoyun => jiandaoyun::perform(state, asked, trouble),
        Kind::KingdeeK3cloud => kingdee::perform(state, request, asked, trouble),
        Kind::Salesforce => salesforce::perform(state, request, asked, trouble),
        Kind::ZohoCrm => zoho::perform(state, request, asked, trouble),
        Kind::Hubspot => hubspot::perform(state, request, asked, trouble),
        Kind::Odoo => odoo::perform(state, request, asked, trouble),
        Kind::Yonyou => yonyou::perform(state, request, asked),
        Kind::WechatMiniprogram => wechat::perform(state, request, asked),
        Kind::Dynamics365 => dynamics365::perform(state, request, asked, trouble),
        Kind::Mailchimp => mailchimp::perform(state, request, asked, trouble),
        Kind::Netsuite => netsuite::perform(state, request, asked),
        Kind::Shopify => shopify::perform(state, request, asked, trouble),
        Kind::SapOdata => sap::perform(state, request, asked, trouble),
    }
}

fn answer_struck(state: &mut State, request: Request, asked: &Asked, troubles: &[Trouble]) -> Option<Reply> {
    // What keeps the call from being done at all comes first.
    let mut batch = None;
    for trouble in troubles {
        let (reply, error) = match trouble {
            Trouble::Down => {
                state.log(asked, asked.ids.clone(), 0, Some("down".to_owned()));
                return None;
            }
            Trouble::LateCommit(late) => {
                let due_ms =
                    state.now_ms().saturating_add(i64::try_from(late.as_millis()).unwrap_or(i64::MAX));
                state.log(asked, asked.ids.clone(), 0, Some("answer lost, change late".to_owned()));
                state.late.push(Late { due_ms, request, asked: asked.clone() });
                return None;
            }
            Trouble::Status(status) => {
                let reason = StatusCode::from_u16(*status).ok().and_then(|code| code.canonical_reason());
                (Reply::text(*status, "text/plain", reason.unwrap_or("Error")), format!("status {status}"))
            }
            Trouble::Throttled(after) => {
                let mut reply = throttled(state.kind, asked);
                if let Some(seconds) = after {
                    reply.headers.push(("retry-after".to_owned(), seconds.to_string()));
                }
                (reply, "throttled".to_owned())
            }
            Trouble::Error(code) => (api_error(state.kind, asked, *code), format!("error {code}")),
            // Only a session can end in the middle of a batch: a token is looked at once.
            Trouble::TokenExpired if asked.items > 1 && state.kind == Kind::KingdeeK3cloud => {
                batch = Some(BatchTrouble::SessionEnds);
                continue;
            }
            Trouble::TokenExpired => {
                state.end_sessions();
                (signed_out(state.kind, asked), "token expired".to_owned())
            }
            Trouble::DuplicatePage => match state.pages.get(&asked.object) {
                Some(page) => (
                    Reply::text(200, "application/json;charset=UTF-8", page.clone()),
                    "duplicate page".to_owned(),
                ),
                None => continue,
            },
            Trouble::PartialBatch => {
                batch = Some(BatchTrouble::Partial);
                continue;
            }
            Trouble::Slow(_) | Trouble::LostAnswer | Trouble::Malformed(_) => continue,
        };
        state.log(asked, asked.ids.clone(), reply.status, Some(error));
        return Some(reply);
    }
    if !admitted(state, asked) {
        let reply = throttled(state.kind, asked);
        state.log(asked, asked.ids.clone(), reply.status, Some("throttled".to_owned()));
        return Some(reply);
    }
    let cookies = match sign_in_state(state, &request, asked) {
        Ok(cookies) => cookies,
        Err(answer) => {
            state.log(asked, asked.ids.clone(), answer.reply.status, answer.error);
            return Some(answer.reply);
        }
    };
    let mut answer = perform(state, &request, asked, batch);
    answer.reply.headers.extend(cookies);
    if asked.is("query") && answer.error.is_none() {
        state.pages.insert(asked.object.clone(), answer.reply.body.clone());
    }
    let ids = if answer.ids.is_empty() { asked.ids.clone() } else { answer.ids };
    if troubles.contains(&Trouble::LostAnswer) {
        state.log(asked, ids, 0, Some("answer lost".to_owned()));
        return None;
    }
    for trouble in troubles {
        if let Trouble::Malformed(how) = trouble {
            mangle(&mut answer.reply, *how);
            answer.error = Some("malformed answer".to_owned());
        }
    }
    state.log(asked, ids, answer.reply.status, answer.error);
    Some(answer.reply)
}

fn admitted(state: &mut State, asked: &Asked) -> bool {
    match (state.kind, state.calls_per_20s) {
        // The API's own limits: 10 tokens a minute, 100 calls per interface and 20 s.
        (Kind::Fxiaoke, None) if asked.is("sign-in") => state.admit(&asked.interface, 10, 60_000),
        (Kind::Fxiaoke, None) => state.admit(&asked.interface, 100, 20_000),
        // For each interface, and 50 for the company.
        (Kind::Jiandaoyun, None) => {
            state.admit(&asked.interface, jiandaoyun::per_second(asked), 1000) && state.admit("", 50, 1000)
        }
        (_, Some(_)) if asked.is("sign-in") => true,
        (_, Some(limit)) => state.admit(&asked.interface, limit, 20_000),
        (_, None) => true,
    }
}

fn throttled(kind: Kind, asked: &Asked) -> Reply {
    match kind {
        Kind::Fxiaoke => fxiaoke::error_reply(30004, "the api call frequency exceeds the limit"),
        Kind::Jiandaoyun => jiandaoyun::throttled(),
        Kind::KingdeeK3cloud => kingdee::failure(asked, 14, "", "API调用次数超过限制"),
        Kind::Salesforce => salesforce::throttled(),
        Kind::ZohoCrm => zoho::throttled(),
        Kind::Hubspot => hubspot::throttled(),
        Kind::Odoo => odoo::throttled(),
        Kind::Yonyou => yonyou::throttled(),
        Kind::WechatMiniprogram => wechat::throttled(),
        Kind::Dynamics365 => dynamics365::throttled(),
        Kind::Mailchimp => mailchimp::throttled(),
        Kind::Netsuite => netsuite::throttled(),
        Kind::Shopify => shopify::throttled(),
        Kind::SapOdata => sap::throttled(),
    }
}

fn api_error(kind: Kind, asked: &Asked, code: i64) -> Reply {
    match kind {
        Kind::Fxiaoke => fxiaoke::error_reply(code, "the simulator was told to answer this error"),
        Kind::Jiandaoyun => jiandaoyun::error_reply(code, "the simulator was told to answer this error"),
        Kind::KingdeeK3cloud => kingdee::failure(asked, code, "", "模拟器按要求返回的错误"),
        Kind::Salesforce => salesforce::api_error(code),
        Kind::ZohoCrm => zoho::api_error(code),
        Kind::Hubspot => hubspot::api_error(code),
        Kind::Odoo => odoo::api_error(code),
        Kind::Yonyou => yonyou::api_error(code),
        Kind::WechatMiniprogram => wechat::api_error(code),
        Kind::Dynamics365 => dynamics365::api_error(code),
        Kind::Mailchimp => mailchimp::api_error(code),
        Kind::Netsuite => netsuite::api_error(code),
        Kind::Shopify => shopify::api_error(code),
        Kind::SapOdata => sap::api_error(code),
    }
}

fn signed_out(kind: Kind, asked: &Asked) -> Reply {
    match kind {
        Kind::Fxiaoke => fxiaoke::token_refused(),
        Kind::Jiandaoyun => jiandaoyun::key_refused(),
        Kind::KingdeeK3cloud => kingdee::session_lost(asked),
        Kind::Salesforce => salesforce::token_refused(),
        Kind::ZohoCrm => zoho::token_refused(),
        Kind::Hubspot => hubspot::token_refused(),
        Kind::Odoo => odoo::key_refused(),
        Kind::Yonyou => yonyou::token_refused(asked),
        Kind::WechatMiniprogram => wechat::token_refused(),
        Kind::Dynamics365 => dynamics365::token_refused(),
        Kind::Mailchimp => mailchimp::key_refused(),
        Kind::Netsuite => netsuite::token_refused(),
        Kind::Shopify => shopify::token_refused(),
        Kind::SapOdata => sap::session_lost(),
    }
}

/// Whether the caller is signed in; the headers are cookies that the answer sets.
fn sign_in_state(
    state: &mut State,
    request: &Request,
    asked: &Asked,
) -> Result<Vec<(String, String)>, Answer> {
    match state.kind {
        Kind::Fxiaoke => fxiaoke::signed_in(state, request, asked).map(|()| Vec::new()),
        Kind::Jiandaoyun => jiandaoyun::signed_in(request).map(|()| Vec::new()),
        Kind::KingdeeK3cloud => kingdee::signed_in(state, request, asked),
        Kind::Salesforce => salesforce::signed_in(state, request, asked).map(|()| Vec::new()),
        Kind::ZohoCrm => zoho::signed_in(state, request, asked).map(|()| Vec::new()),
        Kind::Hubspot => hubspot::signed_in(state, request, asked).map(|()| Vec::new()),
        Kind::Odoo => odoo::signed_in(request, asked).map(|()| Vec::new()),
        Kind::Yonyou => yonyou::signed_in(state, request, asked).map(|()| Vec::new()),
        Kind::WechatMiniprogram => wechat::signed_in(state, request, asked).map(|()| Vec::new()),
        Kind::Dynamics365 => dynamics365::signed_in(state, request, asked).map(|()| Vec::new()),
        Kind::Mailchimp => mailchimp::signed_in(request).map(|()| Vec::new()),
        Kind::Netsuite => netsuite::signed_in(state, request, asked).map(|()| Vec::new()),
        Kind::Shopify => shopify::signed_in(state, request, asked).map(|()| Vec::new()),
        Kind::SapOdata => sap::signed_in(state, request, asked),
    }
}

fn mangle(reply: &mut Reply, how: Mangling) {
    match how {
        Mangling::Truncated => reply.body.truncate(reply.body.len() / 2),
        Mangling::Html => {
            *reply = Reply::text(
                200,
                "text/html",
                "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Please wait</h1></body></html>",
            );
        }
        Mangling::WrongType => reply.body = b"\"ok\"".to_vec(),
        Mangling::Huge => {
            let mut body = b"{\"filler\":\"".to_vec();
            body.resize(10 * 1024 * 1024, b'x');
            body.extend_from_slice(b"\"}");
            reply.body = body;
        }
    }
}
