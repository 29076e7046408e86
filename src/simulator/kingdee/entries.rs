//! Detail lines: merged by their ids, numbered by their places.

use serde_json::{Map, Value, json};

use super::{
    INVALID, NO_DATA, Refusal,
    forms::{Form, member},
    save::{Rules, apply, id_of},
    values::kept,
};
use crate::{model::record::Record, simulator::state::State};

/// The id of a detail line.
pub(super) fn entry_id(line: &Map<String, Value>) -> Option<u64> {
    id_of("FEntryID", line)
}

/// Merges the lines that were sent into those that are there. Lines that were not sent are deleted unless the options say
/// otherwise. Without `rules` it is a person, whose lines are the whole set.
///
/// A line that names an id which the bill does not have is refused (unverified): taken for a new line, it would bring
/// back one that somebody has deleted.
pub(super) fn merge_lines(
    state: &mut State,
    form: &Form,
    key: &str,
    old: Vec<Value>,
    sent: &[Value],
    rules: Option<Rules<'_>>,
) -> Result<Vec<Value>, Refusal> {
    let inside = form.inside(key);
    let mut lines: Vec<Record> = old.into_iter().filter_map(|line| line.as_object().cloned()).collect();
    let mut kept_ids = Vec::new();
    for (at, line) in sent.iter().filter_map(Value::as_object).enumerate() {
        let place = entry_id(line).and_then(|id| lines.iter().position(|old| entry_id(old) == Some(id)));
        if let (Some(id), None, Some(_)) = (entry_id(line), place, rules) {
            let message = format!("单据体“{}”第{}行的分录内码[{id}]不存在", inside.label, at + 1);
            return Err(Refusal::new(NO_DATA, "FEntryID", message));
        }
        let mut fields = line.clone();
        // The system numbers the lines; which fields of an update are taken holds for new lines too (unverified).
        fields.retain(|key, _| {
            let own = key.eq_ignore_ascii_case("FEntryID") || key.eq_ignore_ascii_case("FSeq");
            !own && rules.is_none_or(|rules| rules.takes(key))
        });
        if rules.is_some()
            && let Some(missing) = missing(&inside, &fields, place.is_none())
        {
            let label = inside.field(missing).map_or(missing, |(_, label, _)| label);
            let message = format!("单据体“{}”第{}行字段“{label}”是必填项", inside.label, at + 1);
            return Err(Refusal::new(INVALID, missing, message));
        }
        let id = match place.and_then(|place| lines.get(place)).and_then(entry_id) {
            Some(id) => id,
            None => 100_000 + state.next_serial(),
        };
        kept_ids.push(id);
        let mut merged = place.and_then(|place| lines.get(place)).cloned().unwrap_or_default();
        merged.insert("FEntryID".to_owned(), json!(id));
        merged.entry("FSeq").or_insert(Value::Null);
        apply(state, &inside, &mut merged, &fields, rules)?;
        match place.and_then(|place| lines.get_mut(place)) {
            Some(line) => *line = merged,
            None => lines.push(merged),
        }
    }
    if rules.is_none_or(|rules| rules.options.delete_lines) {
        lines.retain(|line| entry_id(line).is_some_and(|id| kept_ids.contains(&id)));
    }
    Ok(numbered(lines))
}

/// Lines with their numbers: their places, from 1.
pub(super) fn numbered(lines: Vec<Record>) -> Vec<Value> {
    let number = |(at, mut line): (usize, Record)| {
        line.insert("FSeq".to_owned(), json!(at + 1));
        Value::Object(line)
    };
    lines.into_iter().enumerate().map(number).collect()
}

/// A field that a write must have and has not: one that something new needs, or one that is emptied.
pub(super) fn missing(form: &Form, sent: &Map<String, Value>, new: bool) -> Option<&'static str> {
    form.required.iter().copied().find(|key| match member(sent, key) {
        // A null is ignored, so it neither gives nor takes.
        Some((_, Value::Null)) | None => new,
        Some((key, value)) => matches!(kept(form, key, value), Ok(None)),
    })
}

/// What `NeedReturnFields` asks for of a saved record: `Key`, or `EntryKey.Key` for each of its lines.
pub(super) fn returned(record: &Record, wanted: &[String]) -> Value {
    let mut shown = Map::new();
    for path in wanted {
        let Some((entry, key)) = path.split_once('.') else {
            if let Some((key, value)) = member(record, path) {
                shown.insert(key.clone(), value.clone());
            }
            continue;
        };
        let Some((entry, Value::Array(lines))) = member(record, entry) else { continue };
        let place = shown.entry(entry.clone()).or_insert_with(|| lines.iter().map(|_| json!({})).collect());
        for (line, into) in lines.iter().zip(place.as_array_mut().into_iter().flatten()) {
            if let (Some((key, value)), Some(into)) =
                (line.as_object().and_then(|line| member(line, key)), into.as_object_mut())
            {
                into.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(shown)
}
