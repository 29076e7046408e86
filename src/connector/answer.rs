//! Answers: what a response, or the lack of one, means.

use std::time::Duration;

use serde_json::Value;

use crate::connector::charset::text_of;
use crate::connector::compiled::{Connector, Rule, Step, whole_number};
use crate::connector::expr::xml::from_xml;
use crate::connector::manifest::OperationName;
use crate::connector::request::{as_text, first};
use crate::model::outcome::{Outcome, OutcomeKind};
use crate::model::record::Record;
use crate::remote::retry_after::parse_retry_after;
use crate::remote::transport::{HttpResponse, TransportError};

/// The most of a reason that is kept.
const LONGEST_REASON: usize = 500;

/// How bad a lost answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// A read: it is simply asked again.
    None,
    /// An update or a delete: doing it twice is doing it once.
    Repeatable,
    /// A create: doing it twice makes two records.
    Once,
}

pub(super) fn effect(operation: OperationName) -> Effect {
    match operation {
        OperationName::Create => Effect::Once,
        OperationName::Update | OperationName::Delete | OperationName::Deactivate | OperationName::Step => {
            Effect::Repeatable
        }
        _ => Effect::None,
    }
}

/// What is to be said when the answer is lost.
pub(super) fn lost(effect: Effect, reason: String) -> Outcome {
    match effect {
        Effect::Once => Outcome::Unknown { reason },
        Effect::None | Effect::Repeatable => Outcome::Retry { after: None, reason },
    }
}

/// What a transport's failure means.
pub(super) fn of_failure(effect: Effect, error: &TransportError) -> Outcome {
    match error {
        TransportError::NotSent { .. } => Outcome::Retry { after: None, reason: error.to_string() },
        TransportError::Lost { .. } | TransportError::TooLarge { .. } => lost(effect, error.to_string()),
    }
}

/// An answer with which the call as a whole was done: `input` has `.status .headers .body` added.
pub(super) struct Judged {
    pub(super) input: Value,
    /// The call's outcome when it was not done.
    pub(super) verdict: Result<(), Outcome>,
    pub(super) usage: Option<(u64, u64)>,
}

/// Judges a response by the step's rules, then the manifest's, then its status.
pub(super) fn judge(
    connector: &Connector,
    step: &Step,
    operation: OperationName,
    mut input: Value,
    response: &HttpResponse,
    now_ms: i64,
) -> Judged {
    let text = text_of(&response.body, response.header("content-type"));
    let parsed = text.as_deref().and_then(|text| parsed(connector, text));
    let readable = parsed.is_some();
    let text = match text {
        _ if readable => String::new(),
        Some(text) => text.into_owned(),
        None => String::from_utf8_lossy(&response.body).into_owned(),
    };
    if let Value::Object(map) = &mut input {
        map.insert("operation".to_owned(), Value::from(operation.word()));
        map.insert("status".to_owned(), Value::from(response.status));
        map.insert("headers".to_owned(), Value::Object(headers(response)));
        map.insert("body".to_owned(), parsed.unwrap_or(Value::Null));
        map.insert("text".to_owned(), Value::from(text));
    }
    let usage = usage(connector, &input);
    let waited = response.header("retry-after").and_then(|text| parse_retry_after(text, now_ms));
    let effect = effect(operation);
    let rules = step.answers.iter().chain(&connector.answers);
    for rule in rules.filter(|rule| rule.on.is_empty() || rule.on.contains(&operation)) {
        match rule.when.first(&input) {
            Ok(Some(Value::Null | Value::Bool(false)) | None) => {}
            Ok(Some(_)) => {
                let verdict = match by_rule(rule, &input, effect, waited) {
                    Some(outcome) => Err(outcome),
                    None => Ok(()),
                };
                return Judged { input, verdict, usage };
            }
            // The answer has a shape that the rule did not foresee: it cannot be read.
            Err(error) => {
                let verdict = Err(lost(effect, format!("the answer has an unexpected shape: {error}")));
                return Judged { input, verdict, usage };
            }
        }
    }
    let kind = if connector.xml { "XML" } else { "JSON" };
    let unreadable = (!readable).then_some(kind);
    let verdict = by_status(response.status, unreadable, effect, waited);
    Judged { input, verdict, usage }
}

/// The headers by name. One that comes several times (cookies) is one with commas, as in HTTP itself.
fn headers(response: &HttpResponse) -> Record {
    let mut headers = Record::new();
    for (name, value) in &response.headers {
        let value = match headers.get(name).and_then(Value::as_str) {
            Some(first) => format!("{first}, {value}"),
            None => value.clone(),
        };
        headers.insert(name.clone(), Value::from(value));
    }
    headers
}

/// The body, taken apart; `None` where it is nothing that the manifest reads.
fn parsed(connector: &Connector, text: &str) -> Option<Value> {
    if text.is_empty() {
        return Some(Value::Null);
    }
    let xml = connector.xml.then(|| from_xml(text).ok());
    xml.flatten().or_else(|| serde_json::from_str(text).ok())
}

fn usage(connector: &Connector, input: &Value) -> Option<(u64, u64)> {
    let told = connector.limits.usage.as_ref()?.first(input).ok()??;
    Some((whole_number(told.get("used")?)?, whole_number(told.get("limit")?)?))
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_REASON).collect()
}

/// A word of a manifest with its details as an outcome.
pub(super) struct Details {
    pub(super) reason: String,
    pub(super) after: Option<Duration>,
    pub(super) field: Option<String>,
    pub(super) id: Option<String>,
}

pub(super) fn outcome(kind: OutcomeKind, details: Details, effect: Effect) -> Outcome {
    let Details { reason, after, field, id } = details;
    let reason = shortened(&reason);
    match kind {
        OutcomeKind::Ok => {
            Outcome::Ok { id, version: None, record: None, reference: None, lines: Box::default() }
        }
        OutcomeKind::Exists => Outcome::Exists { id, reason },
        OutcomeKind::Retry => Outcome::Retry { after, reason },
        OutcomeKind::Throttled => Outcome::Throttled { after, reason },
        OutcomeKind::SignInAgain => Outcome::SignInAgain { reason },
        OutcomeKind::Gone => Outcome::Gone { reason },
        OutcomeKind::Conflict => Outcome::Conflict { reason },
        OutcomeKind::Reject => Outcome::Reject { field, reason },
        OutcomeKind::Misconfigured => Outcome::Misconfigured { reason },
        // A read has no effect that could be unknown.
        OutcomeKind::Unknown if effect == Effect::None => Outcome::Retry { after, reason },
        OutcomeKind::Unknown => Outcome::Unknown { reason },
    }
}

/// Seconds, as a number or a text, as a wait; never longer than a day.
pub(super) fn seconds(value: &Value) -> Option<Duration> {
    parse_retry_after(&as_text(value), 0).filter(|_| matches!(value, Value::Number(_) | Value::String(_)))
}

/// The rule's outcome; `None` for `ok`, which ends the judging and lets the results speak.
fn by_rule(rule: &Rule, input: &Value, effect: Effect, waited: Option<Duration>) -> Option<Outcome> {
    if rule.outcome == OutcomeKind::Ok {
        return None;
    }
    let told = |expr: &Option<_>| first(expr.as_ref(), input).ok().filter(|value| !value.is_null());
    let details = Details {
        reason: told(&rule.reason).map(|value| as_text(&value)).unwrap_or_else(|| {
            let status = input.get("status").map(as_text).unwrap_or_default();
            format!("the answer (status {status}) means {}", rule.outcome.word())
        }),
        // what the remote itself asks for is better than what its manuals say
        after: waited.or_else(|| told(&rule.after).and_then(|value| seconds(&value))),
        field: told(&rule.field).map(|value| as_text(&value)),
        id: told(&rule.id).map(|value| as_text(&value)),
    };
    Some(outcome(rule.outcome, details, effect))
}

/// What a status means where no rule of the manifest says so. `unreadable` names what the body should have been.
fn by_status(
    status: u16,
    unreadable: Option<&str>,
    effect: Effect,
    waited: Option<Duration>,
) -> Result<(), Outcome> {
    let reason = format!("status {status}");
    match status {
        200..=299 => match unreadable {
            None => Ok(()),
            Some(kind) => Err(lost(effect, format!("{reason} with a body that is not {kind}"))),
        },
        401 => Err(Outcome::SignInAgain { reason }),
        403 => Err(Outcome::Misconfigured { reason: format!("{reason}: the account lacks a right") }),
        404 | 410 if effect != Effect::Once => Err(Outcome::Gone { reason }),
        408 => Err(lost(effect, reason)),
        409 | 412 => Err(Outcome::Conflict { reason }),
        429 => Err(Outcome::Throttled { after: waited, reason }),
        // A gateway that says how long to wait has not passed the request on.
        503 if waited.is_some() => Err(Outcome::Retry { after: waited, reason }),
        500..=599 => Err(match lost(effect, reason) {
            Outcome::Retry { reason, .. } => Outcome::Retry { after: waited, reason },
            other => other,
        }),
        300..=399 => Err(Outcome::Misconfigured {
            reason: format!("{reason}: a redirect; is the base address right?"),
        }),
        _ => Err(Outcome::Reject { field: None, reason }),
    }
}

/// One outcome per item from the answer to a write.
pub(super) fn results(
    step: &Step,
    operation: OperationName,
    input: &Value,
    items: usize,
) -> Result<Vec<Outcome>, Outcome> {
    let effect = effect(operation);
    let Some(expr) = &step.results else {
        return Ok(vec![Outcome::ok(); items]);
    };
    let unreadable = |reason: String| lost(effect, format!("the answer has an unexpected shape: {reason}"));
    let Value::Array(told) = first(Some(expr), input).map_err(unreadable)? else {
        return Err(unreadable("its results are not a list".to_owned()));
    };
    let mut outcomes: Vec<Outcome> =
        told.iter().take(items).map(|result| of_result(result, operation)).collect();
    while outcomes.len() < items {
        outcomes.push(lost(effect, "the answer does not mention this record".to_owned()));
    }
    Ok(outcomes)
}

fn of_result(result: &Value, operation: OperationName) -> Outcome {
    let effect = effect(operation);
    let Value::Object(result) = result else {
        return lost(effect, "the answer does not mention this record".to_owned());
    };
    let present = |name: &str| result.get(name).filter(|value| !value.is_null());
    let text = |name: &str| present(name).map(as_text);
    let word = text("outcome").unwrap_or_else(|| "ok".to_owned());
    // By hand: a value must not pass through another serializer.
    let Some(kind) = kind_of(&word) else {
        return Outcome::Misconfigured { reason: format!("the manifest's results name an outcome `{word}`") };
    };
    if kind == OutcomeKind::Ok {
        let record = present("record").and_then(Value::as_object).cloned().map(Box::new);
        let lines = Box::new(present("lines").and_then(Value::as_object).cloned().unwrap_or_default());
        let reference = text("reference");
        return Outcome::Ok { id: text("id"), version: text("version"), record, reference, lines };
    }
    let details = Details {
        reason: text("reason").unwrap_or_else(|| word.clone()),
        after: present("after").and_then(seconds),
        field: text("field"),
        id: text("id"),
    };
    outcome(kind, details, effect)
}

/// The outcome of a word.
pub(super) fn kind_of(word: &str) -> Option<OutcomeKind> {
    use OutcomeKind::{
        Conflict, Exists, Gone, Misconfigured, Ok, Reject, Retry, SignInAgain, Throttled, Unknown,
    };
    [Ok, Exists, Retry, Throttled, SignInAgain, Gone, Conflict, Reject, Misconfigured, Unknown]
        .into_iter()
        .find(|kind| kind.word() == word)
}
