//! SAP Gateway's side of OData version 2: sessions with CSRF tokens and cookies, batches that go on after a refused
//! changeset, 204 after changes, errors that come as XML. Business partners alone; what SAP's own runtime proves
//! (`tests/cap.rs`) is not repeated here.
//!
//! (unverified): that a batch goes on after a refused changeset; the codes of errors; the answer to too many calls.

mod batch;
mod fields;
pub(super) mod person;
mod records;

use serde_json::{Value, json};

use super::{
    credentials::sap as known,
    exchange::{Answer, Asked, BatchTrouble, Reply, Request, decoded, error_status, pairs},
    odata::{Literal, Part, Query, Version, Wrong, parts, segment},
    state::{Session, State},
};
use batch::Inner;
use records::OBJECT;

const ROOT: &str = "/sap/opu/odata/sap/";
const SERVICE: &str = "API_BUSINESS_PARTNER";
const SET: &str = "A_BusinessPartner";
const OAUTH: &str = "/sap/bc/sec/oauth2/token";
/// The most records of a page.
const PAGE: usize = 500;
/// How long a session and a token live.
const LIFE_MS: i64 = 1_800_000;

/// Why a request is refused.
#[derive(Debug)]
struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    field: Option<String>,
}

impl Refusal {
    fn of(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), field: None }
    }

    fn at(mut self, field: &str) -> Refusal {
        self.field = Some(field.to_owned());
        self
    }

    fn json(&self) -> String {
        let details = match &self.field {
            Some(field) => {
                json!([{"code": self.code, "message": self.message, "propertyref": field, "severity": "error", "target": ""}])
            }
            None => json!([]),
        };
        json!({"error": {"code": self.code, "message": {"lang": "en", "value": self.message},
            "innererror": {"application": {"component_id": "", "service_namespace": "/SAP/", "service_id": SERVICE,
            "service_version": "0001"}, "transactionid": "4FDF37A0", "errordetails": details}}})
        .to_string()
    }

    fn xml(&self) -> String {
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?><error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><code>{}</code><message xml:lang="en">{}</message></error>"#,
            self.code,
            self.message.replace('&', "&amp;").replace('<', "&lt;")
        )
    }
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Refusal {
        let (Wrong::Syntax(what) | Wrong::Option(what)) = wrong;
        Refusal::of(400, "/IWBEP/CM_MGW_RT/021", format!("Invalid system query option: {what}"))
    }
}

/// A refusal in the form that the caller reads: XML unless it asks for JSON.
fn refused(request: &Request, refusal: &Refusal) -> Reply {
    if wants_json(request) {
        Reply::text(refusal.status, "application/json", refusal.json())
    } else {
        Reply::text(refusal.status, "application/xml", refusal.xml())
    }
}

fn wants_json(request: &Request) -> bool {
    request.header("accept").is_some_and(|kinds| kinds.contains("json"))
        || pairs(&request.query).iter().any(|(name, value)| name == "$format" && value == "json")
}

/// The answer to too many calls.
pub(super) fn throttled() -> Reply {
    Reply::text(429, "text/plain", "Rate limit quota violation. Quota limit exceeded.")
}

/// An error that was asked for by its status: in XML, as from the layers before the service.
pub(super) fn api_error(code: i64) -> Reply {
    let status = error_status(code);
    let refusal = Refusal::of(status, "SY/530", "the simulator was told to answer this error");
    Reply::text(status, "application/xml", refusal.xml())
}

/// What a session that is over is answered with, at the next change.
pub(super) fn session_lost() -> Reply {
    let mut reply = Reply::text(403, "text/plain;charset=utf-8", "CSRF token validation failed");
    reply.headers.push(("x-csrf-token".to_owned(), "Required".to_owned()));
    reply
}

/// The path below the service, decoded; `None` where it is of another service.
fn below(path: &str) -> Option<String> {
    let rest = decoded(path)?.strip_prefix(ROOT)?.strip_prefix(SERVICE)?.to_owned();
    Some(rest.strip_prefix('/').unwrap_or(&rest).to_owned())
}

/// The key in a path that names one record.
fn key_of(target: &str) -> Option<String> {
    let (name, key) = segment(Version::V2, target)?;
    match key.as_slice() {
        [(name_of_key, Literal::Text(id))] if name == SET => {
            name_of_key.as_deref().is_none_or(|key| key == fields::KEY).then(|| id.clone())
        }
        _ => None,
    }
}

/// What a request is, by its method (or the one that stands for it in a header) and its path below the service.
fn operation(request: &Request, target: &str) -> (&'static str, &'static str) {
    let method = request.header("x-http-method").unwrap_or(&request.method);
    match (method, target) {
        ("POST", "$batch") => ("batch", ""),
        ("GET", "$metadata") => ("metadata", "describe"),
        ("GET" | "HEAD", "") => ("service", ""),
        ("GET", SET) => ("list", "query"),
        ("POST", SET) => ("create", "create"),
        ("GET", _) => ("get", "get"),
        ("MERGE" | "PATCH" | "PUT", _) => ("update", "update"),
        ("DELETE", _) => ("delete", "delete"),
        _ => ("unknown", ""),
    }
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let mut asked = Asked { items: 1, interface: "api".to_owned(), ..Asked::default() };
    if request.path == OAUTH {
        return Asked { operation: "token".to_owned(), roles: vec!["sign-in"], ..asked };
    }
    let Some(target) = below(&request.path) else {
        return Asked { operation: "unknown".to_owned(), ..asked };
    };
    let (name, role) = operation(request, &target);
    asked.operation = name.to_owned();
    asked.roles = vec![role];
    if name == "service" && request.header("x-csrf-token").is_some() {
        asked.roles = vec!["sign-in"];
    }
    if ["list", "create", "get", "update", "delete"].contains(&name) {
        asked.object = OBJECT.to_owned();
        note(&mut asked, request, &target);
    }
    if name == "batch" {
        let inner: Vec<Request> = parts(request).into_iter().flatten().flat_map(within).collect();
        asked.object = OBJECT.to_owned();
        asked.items = inner.len().max(1);
        if let Some(first) = inner.first() {
            let (name, role) = operation(first, &target_of(first));
            asked.operation = format!("batch/{name}");
            asked.roles = vec![role];
        }
        for one in &inner {
            note(&mut asked, one, &target_of(one));
        }
    }
    asked
}

/// The record and the fields that a request names.
fn note(asked: &mut Asked, request: &Request, target: &str) {
    asked.ids.extend(key_of(target));
    let sent: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    for name in sent.as_object().into_iter().flat_map(|sent| sent.keys()) {
        if !asked.fields.contains(name) {
            asked.fields.push(name.clone());
        }
    }
}

/// The CSRF token of a session.
fn csrf(session: &str) -> String {
    format!("{}==", session.chars().rev().collect::<String>())
}

/// The session that the caller's cookies name, if it lives.
fn session_of(state: &State, request: &Request) -> Option<String> {
    let cookies = request.header("cookie")?;
    let given = cookies
        .split(';')
        .find_map(|cookie| cookie.trim().strip_prefix(known::SESSION_COOKIE)?.strip_prefix('='))?;
    let lives = state.knows(given, LIFE_MS);
    lives.then(|| given.to_owned())
}

/// Checks user and password or the bearer, and for a change the session and its CSRF token. What is given is a new
/// session's cookies, where one is opened.
pub(super) fn signed_in(
    state: &mut State,
    request: &Request,
    asked: &Asked,
) -> Result<Vec<(String, String)>, Answer> {
    use base64::Engine as _;
    if asked.operation == "token" {
        return Ok(Vec::new());
    }
    let basic =
        base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", known::USER, known::PASSWORD));
    let given = request.header("authorization").unwrap_or_default();
    let now = state.now_ms();
    let bearer = |token: &str| state.sessions.iter().any(|one| one.value == token && one.lives(now, LIFE_MS));
    let well = given.strip_prefix("Basic ") == Some(basic.as_str())
        || given.strip_prefix("Bearer ").is_some_and(|token| token.starts_with('T') && bearer(token));
    if !well {
        let mut reply = Reply::text(
            401,
            "text/html",
            "<html><head><title>Anmeldung fehlgeschlagen</title></head></html>",
        );
        let realm = r#"Basic realm="SAP NetWeaver Application Server [DEM/100]""#;
        reply.headers.push(("www-authenticate".to_owned(), realm.to_owned()));
        return Err(Answer::failed(reply, "401"));
    }
    let session = session_of(state, request);
    let token = request.header("x-csrf-token").unwrap_or_default();
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return match session {
            Some(session) if token == csrf(&session) => Ok(Vec::new()),
            _ => Err(Answer::failed(session_lost(), "CSRF token validation failed")),
        };
    }
    if !token.eq_ignore_ascii_case("fetch") {
        return Ok(Vec::new());
    }
    // A token is asked for: of this session, or of a new one.
    let (session, cookie) = match session {
        Some(session) => (session, None),
        None => {
            let value = uuid::Uuid::new_v4().simple().to_string();
            state.sessions.push(Session { value: value.clone(), born_ms: now, ended: false });
            let cookie = format!("{}={value}; path=/; HttpOnly", known::SESSION_COOKIE);
            (value, Some(("set-cookie".to_owned(), cookie)))
        }
    };
    let context = format!("sap-usercontext=sap-client={}; path=/", known::CLIENT);
    let told = [("x-csrf-token".to_owned(), csrf(&session)), ("set-cookie".to_owned(), context)];
    Ok(cookie.into_iter().chain(told).collect())
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Answer {
    if asked.operation == "token" {
        return token(state, request);
    }
    let Some(target) = below(&request.path) else {
        let message = "No service found for namespace '', name, version 0001";
        let refusal = Refusal::of(404, "/IWFND/MED/170", message);
        return Answer::failed(refused(request, &refusal), message);
    };
    if target == "$batch" {
        return many(state, request, trouble);
    }
    let host = request.header("host").unwrap_or("localhost").to_owned();
    match one(state, request, &target, &host) {
        Ok((inner, ids)) => {
            let mut reply =
                Reply { status: inner.status, headers: inner.headers, body: inner.body.into_bytes() };
            reply.headers.push(("dataserviceversion".to_owned(), "2.0".to_owned()));
            Answer { reply, ids, error: None }
        }
        Err(refusal) => {
            let told = format!("{}: {}", refusal.code, refusal.message);
            Answer::failed(refused(request, &refusal), told)
        }
    }
}

fn token(state: &mut State, request: &Request) -> Answer {
    use base64::Engine as _;
    let form = pairs(&String::from_utf8_lossy(&request.body));
    let asked = form.iter().any(|(name, value)| name == "grant_type" && value == "client_credentials");
    let basic = format!("{}:{}", known::CLIENT_ID, known::CLIENT_SECRET);
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(basic));
    if !asked || request.header("authorization") != Some(basic.as_str()) {
        let body = json!({"error": "invalid_client"}).to_string();
        return Answer::failed(Reply::text(401, "application/json", body), "invalid_client");
    }
    let value = format!("T{}", uuid::Uuid::new_v4().simple());
    let born_ms = state.now_ms();
    state.sessions.push(Session { value: value.clone(), born_ms, ended: false });
    Answer::ok(&json!({"access_token": value, "token_type": "Bearer", "expires_in": LIFE_MS / 1000}))
}

fn plain(status: u16, kind: &str, body: String) -> Inner {
    Inner { status, headers: vec![("content-type".to_owned(), kind.to_owned())], body }
}

/// One request that is no batch, and the records that it is about.
fn one(
    state: &mut State,
    request: &Request,
    target: &str,
    host: &str,
) -> Result<(Inner, Vec<String>), Refusal> {
    let sent = || serde_json::from_slice::<Value>(&request.body).unwrap_or(Value::Null);
    let (operation, _) = operation(request, target);
    let id = key_of(target);
    match (operation, id) {
        ("service", _) => {
            let body = json!({"d": {"EntitySets": [SET]}}).to_string();
            Ok((plain(200, "application/json", body), Vec::new()))
        }
        ("metadata", _) => Ok((plain(200, "application/xml", fields::metadata()), Vec::new())),
        ("list", _) => list(state, request, host),
        ("get", Some(id)) => {
            let query = query_of(request)?;
            let record = state.table(OBJECT).get(&id).map(|row| row.fields.clone());
            let record = record.ok_or_else(|| {
                Refusal::of(404, "R11/101", format!("Business partner {id} does not exist"))
            })?;
            let body = json!({"d": records::shown(host, &record, &query)}).to_string();
            Ok((plain(200, "application/json", body), vec![id]))
        }
        ("create", _) => {
            let formed = records::formed(&sent())?;
            let named = formed
                .get("OrganizationBPName1")
                .and_then(Value::as_str)
                .is_some_and(|name| !name.is_empty());
            if !named {
                return Err(Refusal::of(400, "R11/401", "Enter a name").at("OrganizationBPName1"));
            }
            let id = records::make(state, formed);
            let record = state.table(OBJECT).get(&id).map(|row| row.fields.clone()).unwrap_or_default();
            let mut told = plain(
                201,
                "application/json",
                json!({"d": records::shown(host, &record, &Query::default())}).to_string(),
            );
            told.headers.push(("etag".to_owned(), records::etag(&record)));
            told.headers.push(("location".to_owned(), format!("http://{host}{ROOT}{SERVICE}/{SET}('{id}')")));
            Ok((told, vec![id]))
        }
        ("update", Some(id)) => {
            records::check_version(state, &id, request.header("if-match"))?;
            let formed = records::formed(&sent())?;
            records::change(state, &id, formed);
            let record = state.table(OBJECT).get(&id).map(|row| row.fields.clone()).unwrap_or_default();
            let headers = vec![("etag".to_owned(), records::etag(&record))];
            Ok((Inner { status: 204, headers, body: String::new() }, vec![id]))
        }
        ("delete", Some(id)) => {
            records::check_version(state, &id, request.header("if-match"))?;
            state.remove_record(OBJECT, &id);
            Ok((Inner { status: 204, headers: Vec::new(), body: String::new() }, vec![id]))
        }
        _ => {
            let message = format!("Resource not found for the segment '{target}'");
            Err(Refusal::of(404, "/IWBEP/CM_MGW_RT/020", message))
        }
    }
}

fn query_of(request: &Request) -> Result<Query, Refusal> {
    let query = Query::read(Version::V2, &pairs(&request.query))?;
    match query.names().into_iter().find(|name| fields::field(name).is_none()) {
        None => Ok(query),
        Some(name) => Err(Refusal::of(
            400,
            "/IWBEP/CM_MGW_RT/177",
            format!("Property {name} not found in type {SET}Type"),
        )),
    }
}

fn list(state: &mut State, request: &Request, host: &str) -> Result<(Inner, Vec<String>), Refusal> {
    let query = query_of(request)?;
    let rows: Vec<_> = state.table(OBJECT).rows().map(|row| row.fields.clone()).collect();
    let all = query.all(rows);
    let from = query.skip_token.as_ref().and_then(|token| token.parse().ok()).unwrap_or(query.skip);
    let wanted = query.top.unwrap_or(usize::MAX);
    let page: Vec<_> = all.iter().skip(from).take(wanted.min(PAGE)).collect();
    let ids = page.iter().filter_map(|record| Some(record.get(fields::KEY)?.as_str()?.to_owned())).collect();
    let mut told = json!({"results": page.iter().map(|record| records::shown(host, record, &query)).collect::<Vec<_>>()});
    if let Value::Object(told) = &mut told {
        if query.count {
            told.insert("__count".to_owned(), json!(all.len().to_string()));
        }
        if page.len() == PAGE && wanted > PAGE && from + PAGE < all.len() {
            let next = format!("http://{host}{ROOT}{SERVICE}/{SET}?$skiptoken={}", from + PAGE);
            told.insert("__next".to_owned(), json!(next));
        }
    }
    Ok((plain(200, "application/json", json!({"d": told}).to_string()), ids))
}

/// The requests of a part.
fn within(part: Part) -> impl Iterator<Item = Request> {
    part.requests.into_iter().map(|(_, request)| request)
}

/// What a request of a batch is about. Its path is under the service.
fn target_of(request: &Request) -> String {
    decoded(request.path.trim_start_matches('/')).unwrap_or_default()
}

/// A batch. A changeset holds one request: services that hold more say so, and this is none of them.
fn many(state: &mut State, request: &Request, trouble: Option<BatchTrouble>) -> Answer {
    let host = request.header("host").unwrap_or("localhost").to_owned();
    let Some(parts) = parts(request) else {
        let refusal = Refusal::of(400, "/IWFND/CM_MGW/000", "Malformed multipart body");
        return Answer::failed(refused(request, &refusal), "malformed batch");
    };
    let (mut answers, mut ids, mut error) = (Vec::new(), Vec::new(), None);
    for (at, part) in parts.into_iter().enumerate() {
        let nested = part.set;
        let done = match within(part).collect::<Vec<_>>().as_slice() {
            _ if trouble == Some(BatchTrouble::Partial) && at % 2 == 1 => {
                Err(Refusal::of(400, "R1/015", "the simulator was told to refuse this one"))
            }
            [inner] => one(state, inner, &target_of(inner), &host),
            _ => {
                let message = "Default changeset implementation allows only one operation";
                Err(Refusal::of(501, "/IWBEP/CM_MGW_RT/053", message))
            }
        };
        match done {
            Ok((inner, of)) => {
                ids.extend(of);
                answers.push((nested, vec![inner]));
            }
            Err(refusal) => {
                error = Some(format!("{}: {}", refusal.code, refusal.message));
                answers.push((false, vec![plain(refusal.status, "application/json", refusal.json())]));
            }
        }
    }
    let (mark, text) = batch::answer(&answers, state.next_serial());
    let mut reply = Reply::text(202, &format!("multipart/mixed; boundary={mark}"), text);
    reply.headers.push(("dataserviceversion".to_owned(), "2.0".to_owned()));
    Answer { reply, ids, error }
}
