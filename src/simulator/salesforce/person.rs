//! What a person does in the pages. The door refuses nothing, so that every state can be made.
//!
//! An order is written with its lines beside it: `{"AccountId": …, "OrderItems": [{…}, …]}`. A change of a line leaves the
//! stamp of its order alone (unverified, the strict reading). What is removed lies in the recycle bin.

use serde_json::{Value, json};

use super::{
    schema,
    write::{change, discard, lines, make},
};
use crate::{model::record::Record, simulator::state::State};

/// Who works in the pages, as against the user of the API.
const PERSON: &str = "0055g00000PersnAAH";

fn lenient(object: &str, fields: Record) -> Vec<(String, Value)> {
    let form = |(name, value): (String, Value)| match schema::field(object, &name) {
        Some((name, holds, _)) => {
            let kept = schema::kept(&name, holds, &value).unwrap_or(value);
            (name, kept)
        }
        None => (name, value),
    };
    fields.into_iter().map(form).collect()
}

fn without_lines(mut fields: Record) -> (Record, Vec<Record>) {
    let lines = match fields.shift_remove("OrderItems") {
        Some(Value::Array(lines)) => lines.into_iter().filter_map(|line| line.as_object().cloned()).collect(),
        _ => Vec::new(),
    };
    (fields, lines)
}

/// A record made in the pages, with its lines; an `Id` or a stamp that is given is kept.
pub(in crate::simulator) fn insert(state: &mut State, object: &str, fields: Record) -> String {
    let (fields, lines) = without_lines(fields);
    let id = fields.get("Id").and_then(Value::as_str).map(schema::long_id);
    let id = make(state, object, lenient(object, fields), PERSON, id);
    for line in lines {
        add_line(state, object, &id, line);
    }
    id
}

/// A record changed in the pages. Lines that are given are the whole set.
pub(in crate::simulator) fn edit(state: &mut State, object: &str, id: &str, fields: Record) -> bool {
    if state.table(object).get(id).is_none() {
        return false;
    }
    let whole = fields.contains_key("OrderItems");
    let (fields, given) = without_lines(fields);
    change(state, object, id, lenient(object, fields), PERSON);
    if whole {
        let old = lines(state, id);
        let mut kept = Vec::new();
        for line in given {
            match line.get("Id").and_then(Value::as_str).map(str::to_owned) {
                Some(known) if old.contains(&known) => {
                    edit_line(state, object, id, &known, line);
                    kept.push(known);
                }
                _ => kept.extend(add_line(state, object, id, line)),
            }
        }
        for line in old.iter().filter(|line| !kept.contains(line)) {
            remove_line(state, object, id, line);
        }
    }
    true
}

/// A record with its lines, in the form in which it is made.
pub(in crate::simulator) fn document(state: &mut State, object: &str, id: &str) -> Option<Record> {
    let mut record = state.table(object).get(id).map(|row| row.fields.clone())?;
    if object == "Order" {
        let ids = lines(state, id);
        let table = state.table("OrderItem");
        let shown =
            ids.iter().filter_map(|line| table.get(line)).map(|row| Value::Object(row.fields.clone()));
        let shown: Vec<Value> = shown.collect();
        record.insert("OrderItems".to_owned(), Value::Array(shown));
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
    if object != "Order" {
        return None;
    }
    state.table(object).get(id)?;
    fields.insert("OrderId".to_owned(), json!(id));
    Some(make(state, "OrderItem", lenient("OrderItem", fields), PERSON, None))
}

/// Changes fields of one line. False where the record has no such line.
pub(in crate::simulator) fn edit_line(
    state: &mut State,
    object: &str,
    id: &str,
    line: &str,
    mut fields: Record,
) -> bool {
    fields.shift_remove("Id");
    object == "Order"
        && lines(state, id).iter().any(|known| known == line)
        && edit(state, "OrderItem", line, fields)
}

/// Takes one line out. False where the record has no such line.
pub(in crate::simulator) fn remove_line(state: &mut State, object: &str, id: &str, line: &str) -> bool {
    object == "Order"
        && lines(state, id).iter().any(|known| known == line)
        && discard(state, "OrderItem", line)
}

/// Puts a record into the recycle bin. False where there is none.
pub(in crate::simulator) fn remove(state: &mut State, object: &str, id: &str) -> bool {
    discard(state, object, id)
}
