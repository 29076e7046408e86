//! What a key such as `FCustId.FNumber` means on a line: a head alone, or a head with one of its detail lines.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::forms::{Form, Holds, form, member, prefixed};
use crate::{
    model::record::Record,
    simulator::{table::Table, value::text_of},
};

/// The keys by which a reference may name its record.
const NAMING: [&str; 6] = ["FNumber", "FNUMBER", "FName", "FUserID", "FStaffNumber", "FID"];

/// Whether a nested object is a reference, and not a part of the head.
pub(super) fn is_reference(value: &Record) -> bool {
    value.len() == 1 && value.keys().all(|key| NAMING.iter().any(|name| name.eq_ignore_ascii_case(key)))
}

/// The number that a reference names.
pub(super) fn number_of(value: &Value) -> Option<String> {
    match value {
        Value::Object(reference) => reference.values().next().and_then(text_of),
        other => text_of(other),
    }
}

/// How the index of a table names a reference to a record of this form and number.
pub(super) fn reference(target: &str, number: &str) -> String {
    format!("{target}={number}")
}

/// The references of a record, on all levels, for the index.
pub(super) fn refers(form: &Form, record: &Record) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in record {
        match value {
            Value::Object(part) if !is_reference(part) => found.extend(refers(&form.inside(key), part)),
            Value::Object(_) => {
                if let (Some(target), Some(number)) = (target(form, key), number_of(value)) {
                    found.push(reference(target, &number));
                }
            }
            Value::Array(lines) => {
                let inside = form.inside(key);
                found
                    .extend(lines.iter().filter_map(Value::as_object).flat_map(|line| refers(&inside, line)));
            }
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

/// One line of a query.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) head: &'a Record,
    pub(super) entry: Option<(&'a str, &'a Record)>,
}

/// The value of a key on a line; `None` is nothing.
pub(super) fn look(
    objects: &HashMap<String, Table>,
    form: &Form,
    line: Line<'_>,
    path: &str,
) -> Option<Value> {
    let (key, part) = path.split_once('.').map_or((path, None), |(key, part)| (key, Some(part)));
    let (found_key, value) = find(line, key)?;
    match (value, part) {
        (Value::Object(_), _) => referenced(objects, form, found_key, value, part),
        (Value::Null, _) => None,
        (value, None) => Some(value.clone()),
        (_, Some(_)) => None,
    }
}

fn find<'a>(line: Line<'a>, key: &str) -> Option<(&'a str, &'a Value)> {
    if let Some((name, entry)) = line.entry {
        // The id of a detail line is written EntryKey_FEntryID.
        if let Some((key, value)) = member(entry, prefixed(key, name).unwrap_or(key)) {
            return Some((key, value));
        }
    }
    if let Some((key, value)) = member(line.head, key) {
        return Some((key, value));
    }
    let parts = line.head.values().filter_map(Value::as_object).filter(|part| !is_reference(part));
    parts.into_iter().find_map(|part| member(part, key)).map(|(key, value)| (key.as_str(), value))
}

/// The form that a key refers to.
pub(super) fn target(form: &Form, key: &str) -> Option<&'static str> {
    match form.field(key) {
        Some((_, _, Holds::Base(target))) => Some(target),
        _ => None,
    }
}

fn referenced(
    objects: &HashMap<String, Table>,
    of: &Form,
    key: &str,
    value: &Value,
    part: Option<&str>,
) -> Option<Value> {
    let number = number_of(value)?;
    let record =
        target(of, key).and_then(|target| objects.get(target)).and_then(|table| table.named(&number));
    match part {
        Some(part) if part.eq_ignore_ascii_case("FNumber") => Some(json!(number)),
        Some(part) => match record {
            Some(row) => member(&row.fields, part).map(|(_, value)| value.clone()),
            None if part.eq_ignore_ascii_case("FName") => Some(json!(number)),
            None => None,
        },
        // A bare reference is the internal id.
        None => Some(
            record
                .and_then(|row| row.id.parse::<u64>().ok())
                .map_or_else(|| json!(stand_in_id(&number)), |id| json!(id)),
        ),
    }
}

/// An internal id for a record that is not simulated: always the same for the same number.
fn stand_in_id(number: &str) -> u64 {
    1 + number.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 99_991)
}

/// What `View` shows of a reference.
pub(super) fn shown(
    objects: &HashMap<String, Table>,
    of: &Form,
    key: &str,
    value: &Value,
) -> Option<(Value, Value)> {
    let id = referenced(objects, of, key, value, None)?;
    let number = number_of(value)?;
    let name = referenced(objects, of, key, value, Some("FName"))?;
    let name = json!([{"Key": 2052, "Value": name}]);
    Some((id.clone(), json!({"Id": id, "Number": number, "Name": name, "MultiLanguageText": []})))
}

/// The detail table that a query's keys are about, if any: the first whose lines have one of them.
pub(super) fn entry_of(table: &Table, form_id: &str, keys: &[String]) -> Option<String> {
    let form = form(form_id);
    for row in table.rows().take(1_000) {
        for (name, value) in &row.fields {
            let Some(lines) = value.as_array() else { continue };
            let wanted = keys.iter().any(|key| {
                let key = key.split('.').next().unwrap_or(key);
                let on_line =
                    lines.iter().filter_map(Value::as_object).any(|line| member(line, key).is_some());
                prefixed(key, name).is_some()
                    || (on_line && member(&row.fields, key).is_none() && !key.eq_ignore_ascii_case(form.pk))
            });
            if wanted {
                return Some(name.clone());
            }
        }
    }
    None
}
