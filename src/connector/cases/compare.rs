//! What a case expected, beside what it saw: the first difference is told.

use serde_json::{Map, Value};

use super::{Exchange, Expected, Seen};
use crate::connector::request::{as_text, object};
use crate::model::outcome::Outcome;
use crate::model::record::{RemoteRecord, same_value};
use crate::remote::transport::HttpRequest;

fn differs(
    what: &str,
    expected: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> Result<(), String> {
    Err(format!("{what}: expected {expected}, found {found}"))
}

pub(super) fn compare_requests(exchanges: &[Exchange], asked: &[HttpRequest]) -> Result<(), String> {
    if exchanges.len() != asked.len() {
        return differs("requests", exchanges.len(), asked.len());
    }
    for (number, (exchange, asked)) in exchanges.iter().zip(asked).enumerate() {
        let place = |what: &str| format!("request {}: {what}", number + 1);
        let expected = &exchange.request;
        if let Some(method) = expected.method.as_ref().filter(|method| **method != asked.method) {
            return differs(&place("method"), method, &asked.method);
        }
        if let Some(url) = expected.url.as_ref().filter(|url| **url != asked.url) {
            return differs(&place("url"), url, &asked.url);
        }
        for (name, value) in &expected.headers {
            let found = asked.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
            let found = found.map_or("none", |(_, value)| value.as_str());
            if found != value {
                return differs(&place(name), value, found);
            }
        }
        if let Some(body) = &expected.body {
            let found: Value = serde_json::from_slice(&asked.body).unwrap_or(Value::Null);
            if !same_json(body, &found) {
                return differs(&place("body"), body, String::from_utf8_lossy(&asked.body));
            }
        }
        if let Some(text) = expected.text.as_ref().filter(|text| text.as_bytes() != asked.body) {
            return differs(&place("body"), text, String::from_utf8_lossy(&asked.body));
        }
    }
    Ok(())
}

/// Equal, with numbers by value; unlike [`same_value`], null and absent are told apart.
fn same_json(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, value)| right.get(name).is_some_and(|other| same_json(value, other)))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_json(left, right))
        }
        _ => same_value(Some(left), Some(right), false),
    }
}

pub(super) fn compare(expected: &Expected, seen: &Seen) -> Result<(), String> {
    let words: Vec<&str> = seen.outcomes.iter().map(|outcome| outcome.kind().word()).collect();
    let reasons = || seen.outcomes.iter().map(Outcome::reason).collect::<Vec<_>>().join(" | ");
    let outcomes = expected.outcomes.clone().unwrap_or_default();
    let unasked = expected.outcomes.is_none() && words.iter().all(|word| *word == "ok");
    if words != outcomes && !unasked {
        return differs("outcomes", outcomes.join(", "), format!("{} ({})", words.join(", "), reasons()));
    }
    if let Some(ids) = &expected.ids {
        let found = seen.outcomes.iter().map(|outcome| match outcome {
            Outcome::Ok { id: Some(id), .. } | Outcome::Exists { id: Some(id), .. } => {
                Value::from(id.as_str())
            }
            _ => Value::Null,
        });
        let found: Vec<Value> = found.collect();
        if *ids != found {
            return differs("ids", Value::from(ids.clone()), Value::from(found));
        }
    }
    if let Some(whole) = expected.whole.filter(|whole| *whole != seen.whole) {
        return differs("whole", whole, seen.whole);
    }
    if let Some(reason) = expected.reason.as_ref().filter(|reason| !reasons().contains(reason.as_str())) {
        return differs("reason", reason, reasons());
    }
    if let Some(after) = expected.after {
        let found = seen.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Retry { after, .. } | Outcome::Throttled { after, .. } => *after,
            _ => None,
        });
        if found.map(|found| found.as_secs()) != Some(after) {
            return differs("after", after, format!("{found:?}"));
        }
    }
    if let Some(identity) = expected.identity.as_ref().filter(|id| Some(*id) != seen.identity.as_ref()) {
        return differs("identity", identity, seen.identity.as_deref().unwrap_or("none"));
    }
    let next = seen.next.clone().unwrap_or(Value::Null);
    if let Some(expected) = expected.next.as_ref().filter(|expected| !same_json(expected, &next)) {
        return differs("next", expected, next);
    }
    let after = seen.next_after.map_or(0, |after| after.as_secs());
    if let Some(expected) = expected.next_after.filter(|expected| *expected != after) {
        return Err(format!("the next page: expected {expected} seconds to wait for it, there are {after}"));
    }
    if expected.last_page && !next.is_null() {
        return differs("next", "none", next);
    }
    let Some(records) = &expected.records else { return Ok(()) };
    let found: Vec<Map<String, Value>> = match &seen.records {
        Some(found) => found.iter().map(shown).collect(),
        None => seen.described.clone(),
    };
    if found.len() != records.len() {
        return differs("records", records.len(), found.len());
    }
    for (number, (expected, found)) in records.iter().zip(&found).enumerate() {
        for (name, value) in expected {
            let other = found.get(name).cloned().unwrap_or(Value::Null);
            if !same_json(value, &other) {
                return differs(&format!("record {}: {name}", number + 1), as_text(value), as_text(&other));
            }
        }
    }
    Ok(())
}

fn shown(record: &RemoteRecord) -> Map<String, Value> {
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    object([
        ("id", Value::from(record.id.as_str())),
        ("version", text(&record.version)),
        ("modified", record.modified_ms.map_or(Value::Null, Value::from)),
        ("reference", text(&record.reference)),
        ("deleted", Value::from(record.deleted)),
        ("stage", text(&record.stage)),
        ("fields", Value::Object(record.fields.clone())),
    ])
}
