//! What a person does in the pages. The door refuses nothing, so that every state can be made.
//!
//! A document is written with its lines beside it, as a create has them: `{"account_id": …, "details":
//! {"SalesOrderProductObj": [{…}, …]}}`. Lines are records of their own, so a change of one leaves the stamp of its
//! master alone; a line that is taken out in the pages leaves no trace (both unverified, the strict reading).

use serde_json::{Map, Value, json};

use super::{
    refs, schema,
    write::{blank, name_it, new_id, put, set, touch},
};
use crate::{model::record::Record, simulator::state::State};

pub(in crate::simulator) use super::write::remove;

/// Who works in the pages, as against the user of the API.
const PERSON: &str = "1001";

/// What a person writes is formed where it can be and kept as it is where not: the door refuses nothing.
fn lenient(object: &str, fields: Record) -> Vec<(String, Option<Value>)> {
    let form = |(name, value): (String, Value)| match schema::kept(object, &name, &value) {
        Ok(kept) => (name, kept),
        Err(_) => (name, Some(value)),
    };
    fields.into_iter().map(form).collect()
}

/// Takes the lines out of a document's fields.
fn without_details(mut fields: Record) -> (Record, Map<String, Value>) {
    match fields.shift_remove("details") {
        Some(Value::Object(details)) => (fields, details),
        _ => (fields, Map::new()),
    }
}

fn records(list: Value) -> Vec<Record> {
    let Value::Array(list) = list else { return Vec::new() };
    list.into_iter()
        .filter_map(|item| if let Value::Object(item) = item { Some(item) } else { None })
        .collect()
}

/// A record made in the pages, with its lines; an `_id` or a stamp that is given is kept.
pub(in crate::simulator) fn insert(state: &mut State, object: &str, fields: Record) -> String {
    let (fields, details) = without_details(fields);
    let now = state.now_ms();
    let id = match fields.get("_id") {
        Some(Value::String(id)) => id.clone(),
        _ => new_id(state),
    };
    let mut record = blank(object, &id, now, PERSON);
    let mut formed = lenient(object, fields);
    formed.retain(|(name, _)| name != "_id");
    set(&mut record, formed);
    // A document numbers itself; what needs a name and has none is left as it was made.
    if schema::own(object).1 && !schema::needs_name(object) {
        name_it(object, &id, &mut record);
    }
    put(state, object, id.clone(), record);
    for line in details.into_iter().flat_map(|(_, list)| records(list)) {
        add_line(state, object, &id, line);
    }
    id
}

/// A record changed in the pages; a stamp that is given is kept. Lines that are given are the whole set: those without
/// an `_id` are new, those that are not there are taken out.
pub(in crate::simulator) fn edit(state: &mut State, object: &str, id: &str, fields: Record) -> bool {
    let (fields, details) = without_details(fields);
    let now = state.now_ms();
    let Some(mut record) = state.table(object).get(id).map(|row| row.fields.clone()) else { return false };
    touch(&mut record, now, PERSON);
    let mut formed = lenient(object, fields);
    formed.retain(|(name, _)| name != "_id");
    set(&mut record, formed);
    put(state, object, id.to_owned(), record);
    for (_, list) in details {
        let old = refs::details(state, object, id).map(|(_, lines)| lines).unwrap_or_default();
        let mut kept = Vec::new();
        for line in records(list) {
            match line.get("_id").and_then(Value::as_str).map(str::to_owned) {
                Some(line_id) if old.contains(&line_id) => {
                    edit_line(state, object, id, &line_id, line);
                    kept.push(line_id);
                }
                _ => kept.extend(add_line(state, object, id, line)),
            }
        }
        for line_id in old.iter().filter(|line_id| !kept.contains(line_id)) {
            remove_line(state, object, id, line_id);
        }
    }
    true
}

/// A record with its lines, in the form in which it is made.
pub(in crate::simulator) fn document(state: &mut State, object: &str, id: &str) -> Option<Record> {
    let mut record = state.table(object).get(id).map(|row| row.fields.clone())?;
    if let Some((detail, lines)) = refs::details(state, object, id) {
        let table = state.table(detail);
        let lines =
            lines.iter().filter_map(|line| table.get(line)).map(|row| Value::Object(row.fields.clone()));
        let mut details = Map::new();
        details.insert(detail.to_owned(), lines.collect());
        record.insert("details".to_owned(), Value::Object(details));
    }
    Some(record)
}

/// A line more; `None` where there is no such record, or its object has no lines.
pub(in crate::simulator) fn add_line(
    state: &mut State,
    object: &str,
    id: &str,
    mut fields: Record,
) -> Option<String> {
    state.table(object).get(id)?;
    let detail = schema::detail_of(object)?;
    let (field, _) = schema::master_of(detail)?;
    fields.insert(field.to_owned(), json!(id));
    Some(insert(state, detail, fields))
}

/// Whether this is a line of this record; gives the object of the line.
fn line_of(state: &mut State, object: &str, id: &str, line: &str) -> Option<&'static str> {
    let (detail, lines) = refs::details(state, object, id)?;
    lines.iter().any(|known| known == line).then_some(detail)
}

/// Changes fields of one line. False where the record has no such line.
pub(in crate::simulator) fn edit_line(
    state: &mut State,
    object: &str,
    id: &str,
    line: &str,
    fields: Record,
) -> bool {
    line_of(state, object, id, line).is_some_and(|detail| edit(state, detail, line, fields))
}

/// Takes one line out. False where the record has no such line.
pub(in crate::simulator) fn remove_line(state: &mut State, object: &str, id: &str, line: &str) -> bool {
    line_of(state, object, id, line).is_some_and(|detail| state.remove_record(detail, line))
}
