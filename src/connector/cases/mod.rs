//! Cases: what stands beside a manifest and shows that it says what was meant, without a network.
//!
//! A case names an operation and its inputs; what the requests must be; the answers they get; and what comes out.

mod compare;
mod webhooks;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::connector::call::{Caller, Still};
use crate::connector::client::{Change, Client, NewRecord, Removal};
use crate::connector::compiled::Connector;
use crate::connector::manifest::OperationName;
use crate::connector::settings::{SettingValue, Settings};
use crate::model::outcome::{BatchAnswer, Outcome};
use crate::model::record::RemoteRecord;
use crate::remote::gate::{OpenGate, Priority};
use crate::remote::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// How one case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    pub name: String,
    pub passed: bool,
    /// What differed; empty when it passed.
    pub detail: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    /// For every case that has none of its own.
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    /// The token that the system gave; without it a case begins by signing in.
    #[serde(default)]
    token: Option<Value>,
    #[serde(default = "noon")]
    now_ms: i64,
    cases: Vec<Case>,
    /// What the system sends by itself.
    #[serde(default)]
    webhooks: Vec<webhooks::WebhookCase>,
}

impl Cases {
    /// The file's settings and secrets, with a case's own laid over them.
    fn account(&self, own: &BTreeMap<String, Value>) -> Settings {
        let plain =
            self.settings.iter().chain(own).map(|(name, value)| (name, SettingValue::Plain(value.clone())));
        let secrets = self
            .secrets
            .iter()
            .map(|(name, secret)| (name, SettingValue::Secret(SecretString::from(secret.as_str()))));
        Settings(plain.chain(secrets).map(|(name, value)| (name.clone(), value)).collect())
    }
}

fn noon() -> i64 {
    1_767_268_800_000
}

const STILL_UUID: Uuid = Uuid::from_u128(0x4000_8000_0000_0000_0000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    operation: OperationName,
    #[serde(default)]
    object: String,
    /// Laid over the file's settings.
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    /// Begin without a token.
    #[serde(default)]
    signed_out: bool,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    since: Option<i64>,
    #[serde(default)]
    page: Option<Value>,
    #[serde(default)]
    ids_only: bool,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    by: Vec<Map<String, Value>>,
    #[serde(default)]
    items: Vec<Item>,
    /// Of `operation: step`, which one.
    #[serde(default)]
    step: String,
    /// One after the other.
    #[serde(default)]
    exchanges: Vec<Exchange>,
    /// What comes out.
    #[serde(default)]
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    #[serde(default)]
    id: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    attempt: Option<Uuid>,
    #[serde(default)]
    fields: Map<String, Value>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// What is asserted of the request; what is left out is not looked at.
    #[serde(default)]
    request: Request,
    #[serde(default)]
    answer: Answer,
}

#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    url: Option<String>,
    /// The headers named here.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The whole JSON body.
    #[serde(default)]
    body: Option<Value>,
    /// The whole body as it is sent, where it is no JSON: a form.
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// JSON, or the raw text.
    #[serde(default)]
    body: Value,
    #[serde(default)]
    text: Option<String>,
    /// `lost` or `not_sent` instead of an answer.
    #[serde(default)]
    failure: Option<String>,
}

impl Default for Answer {
    fn default() -> Self {
        Self { status: 200, headers: BTreeMap::new(), body: Value::Null, text: None, failure: None }
    }
}

fn ok() -> u16 {
    200
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// The outcomes' words, one per item, or the one of a read that failed.
    #[serde(default)]
    outcomes: Option<Vec<String>>,
    /// The ids that writes gave, null where there is none.
    #[serde(default)]
    ids: Option<Vec<Value>>,
    #[serde(default)]
    whole: Option<bool>,
    /// A part of the first reason.
    #[serde(default)]
    reason: Option<String>,
    /// Seconds until the first failed item may be tried again.
    #[serde(default)]
    after: Option<u64>,
    /// `{id, version, modified, reference, deleted, stage, fields}` of each record; what is left out is not looked at.
    #[serde(default)]
    records: Option<Vec<Map<String, Value>>>,
    #[serde(default)]
    next: Option<Value>,
    /// Seconds until the next page may be asked for.
    #[serde(default)]
    next_after: Option<u64>,
    #[serde(default)]
    last_page: bool,
    #[serde(default)]
    identity: Option<String>,
}

/// Runs the cases of a connector, on a thread of its own.
pub fn run_cases(connector: &Connector, cases_yaml: &str) -> Vec<CaseResult> {
    let failed = |detail: String| vec![CaseResult { name: "the file".to_owned(), passed: false, detail }];
    let cases: Cases = match serde_saphyr::from_str(cases_yaml) {
        Ok(cases) => cases,
        Err(error) => return failed(error.to_string()),
    };
    let connector = Arc::new(connector.clone());
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        let run = |case: &Case| {
            let outcome = runtime.block_on(run_case(&connector, &cases, case));
            CaseResult {
                name: case.name.clone(),
                passed: outcome.is_ok(),
                detail: outcome.err().unwrap_or_default(),
            }
        };
        let mut results: Vec<CaseResult> = cases.cases.iter().map(run).collect();
        results.extend(cases.webhooks.iter().map(|case| {
            let outcome = runtime.block_on(webhooks::run_case(&connector, &cases, case));
            CaseResult {
                name: case.name.clone(),
                passed: outcome.is_ok(),
                detail: outcome.err().unwrap_or_default(),
            }
        }));
        Ok::<_, String>(results)
    };
    match std::thread::spawn(work).join() {
        Ok(Ok(results)) => results,
        Ok(Err(detail)) => failed(detail),
        Err(_) => failed("the cases broke down".to_owned()),
    }
}

/// Plays a case's answers and keeps what was asked.
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<HttpRequest>>,
}

impl Transport for Script {
    fn send<'a>(&'a self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, TransportError>> {
        if let Ok(mut asked) = self.asked.lock() {
            asked.push(request);
        }
        let answer = self.answers.lock().ok().and_then(|mut answers| answers.pop_front());
        Box::pin(std::future::ready(match answer {
            None => Err(TransportError::NotSent { reason: "the case has no more answers".to_owned() }),
            Some(answer) => match answer.failure.as_deref() {
                Some("lost") => Err(TransportError::Lost { reason: "cut".to_owned() }),
                Some(_) => Err(TransportError::NotSent { reason: "refused".to_owned() }),
                None => Ok(HttpResponse {
                    status: answer.status,
                    headers: answer.headers.into_iter().collect(),
                    body: match (answer.text, answer.body) {
                        (Some(text), _) => text.into_bytes(),
                        (None, Value::Null) => Vec::new(),
                        (None, body) => body.to_string().into_bytes(),
                    },
                }),
            },
        }))
    }
}

/// What came out of a case.
#[derive(Default)]
struct Seen {
    outcomes: Vec<Outcome>,
    whole: bool,
    records: Option<Vec<RemoteRecord>>,
    described: Vec<Map<String, Value>>,
    next: Option<Value>,
    next_after: Option<Duration>,
    identity: Option<String>,
}

async fn run_case(connector: &Arc<Connector>, cases: &Cases, case: &Case) -> Result<(), String> {
    let settings = cases.account(&case.settings);
    let script = Arc::new(Script {
        answers: Mutex::new(case.exchanges.iter().map(|exchange| exchange.answer.clone()).collect()),
        asked: Mutex::new(Vec::new()),
    });
    let transport: Arc<dyn Transport> = Arc::<Script>::clone(&script);
    let caller = Caller::new("case", Arc::clone(connector), &settings, transport, Arc::new(OpenGate));
    let mut caller = caller.map_err(|error| error.to_string())?;
    caller.still = Some(Still { now_ms: cases.now_ms, uuid: STILL_UUID });
    if let (Some(token), false) = (&cases.token, case.signed_out) {
        caller.assume_token(token.clone());
    }
    let seen = perform(&Client::of_caller(caller), case).await;
    let asked = script.asked.lock().map(|asked| asked.clone()).unwrap_or_default();
    let reasons = seen.outcomes.iter().map(Outcome::reason).collect::<Vec<_>>().join(" | ");
    compare::compare_requests(&case.exchanges, &asked).map_err(|detail| format!("{detail} ({reasons})"))?;
    compare::compare(&case.expect, &seen)
}

async fn perform(client: &Client, case: &Case) -> Seen {
    let (object, fields) = (case.object.as_str(), case.fields.as_slice());
    let priority = Priority::Edit;
    let read = |result: Result<Vec<RemoteRecord>, Outcome>| match result {
        Ok(records) => Seen { records: Some(records), ..Seen::default() },
        Err(outcome) => Seen { outcomes: vec![outcome], ..Seen::default() },
    };
    let wrote =
        |answer: BatchAnswer| Seen { outcomes: answer.outcomes, whole: answer.whole, ..Seen::default() };
    let failed = |outcome| Seen { outcomes: vec![outcome], ..Seen::default() };
    let removals = || -> Vec<Removal> {
        case.items.iter().map(|item| Removal { id: item.id.clone(), version: item.version.clone() }).collect()
    };
    match case.operation {
        OperationName::SignIn => match client.sign_in().await {
            Ok(identity) => Seen { identity, ..Seen::default() },
            Err(outcome) => failed(outcome),
        },
        OperationName::List => {
            let page = case.page.as_ref();
            match client.list(object, fields, case.since, page, case.ids_only, priority).await {
                Ok(page) => Seen {
                    records: Some(page.records),
                    next: page.next,
                    next_after: page.after,
                    ..Seen::default()
                },
                Err(outcome) => failed(outcome),
            }
        }
        OperationName::Read => read(client.read(object, fields, &case.ids, priority).await),
        OperationName::Find => read(client.find(object, fields, &case.by, priority).await),
        OperationName::Create => {
            let items = case.items.iter().map(|item| NewRecord {
                attempt: item.attempt.unwrap_or_default(),
                fields: item.fields.clone(),
            });
            wrote(client.create(object, &items.collect::<Vec<_>>(), priority).await)
        }
        OperationName::Update => {
            let items = case.items.iter().map(|item| Change {
                id: item.id.clone(),
                version: item.version.clone(),
                changes: item.fields.clone(),
                shadow: Map::new(),
            });
            wrote(client.update(object, &items.collect::<Vec<_>>(), priority).await)
        }
        OperationName::Delete => wrote(client.delete(object, &removals(), false, priority).await),
        OperationName::Deactivate => wrote(client.delete(object, &removals(), true, priority).await),
        OperationName::Step => wrote(client.step(object, &case.step, &removals(), priority).await),
        OperationName::Describe => match client.describe(object).await {
            Ok(fields) => {
                let field = |field: crate::connector::FieldInfo| {
                    crate::connector::request::object([
                        ("name", Value::from(field.name)),
                        ("label", Value::from(field.label)),
                        ("kind", Value::from(field.kind)),
                        ("required", Value::from(field.required)),
                        ("writable", Value::from(field.writable)),
                    ])
                };
                Seen { described: fields.into_iter().map(field).collect(), ..Seen::default() }
            }
            Err(outcome) => failed(outcome),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_of_the_built_in_connectors_pass() {
        for name in Connector::built_in() {
            let connector = Connector::load(name, None).expect("a manifest");
            let results = run_cases(&connector, Connector::built_in_cases(name).expect("cases"));
            assert!(results.len() >= 8, "{name} has too few cases: {results:?}");
            let failed: Vec<String> = results
                .iter()
                .filter(|result| !result.passed)
                .map(|result| format!("{}: {}", result.name, result.detail))
                .collect();
            assert!(failed.is_empty(), "{name}:\n{}", failed.join("\n"));
        }
    }

    #[test]
    fn a_case_that_does_not_hold_fails() {
        let connector = Connector::load("fxiaoke", None).expect("a manifest");
        let cases = Connector::built_in_cases("fxiaoke").expect("cases");
        for (from, to) in
            [("limit: 100", "limit: 99"), ("Bearer KEY", "Bearer NONE"), ("[throttled]", "[ok]")]
        {
            assert!(cases.contains(from), "{from}");
            let results = run_cases(&connector, &cases.replace(from, to));
            assert!(results.iter().any(|result| !result.passed), "{from} → {to}");
        }
        assert!(
            !run_cases(&connector, "cases: [{name: x, operation: nothing}]").iter().any(|case| case.passed)
        );
    }
}
