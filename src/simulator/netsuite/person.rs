//! What a person does in the pages. The door refuses nothing, so that every state can be made.
//!
//! An order is written with its lines in it, as an array in `item`; references are plain ids.

use serde_json::{Value, json};

use super::{
    records::{lines_of, put},
    schema::{self, Holds, LINES},
};
use crate::{
    model::record::Record,
    simulator::{state::State, value::text_of},
};

fn lenient(object: &str, fields: Record) -> Vec<(String, Value)> {
    let form = |(name, value): (String, Value)| {
        let holds = schema::field(object, &name).map(|(_, holds, _)| *holds);
        let kept = match holds {
            None | Some(Holds::Reference(_)) => None,
            Some(holds) => schema::kept(&name, holds, &value).ok(),
        };
        let value = kept.unwrap_or(value);
        (name, value)
    };
    fields.into_iter().map(form).collect()
}

fn lines_in(fields: &mut Record) -> Option<Vec<Record>> {
    let lines = fields.shift_remove(LINES)?;
    Some(lines.as_array().into_iter().flatten().filter_map(Value::as_object).cloned().collect())
}

fn put_down(state: &mut State, object: &str, id: Option<String>, mut fields: Record) -> Option<String> {
    let lines = lines_in(&mut fields);
    put(state, object, id, (lenient(object, fields), lines), true).ok()
}

/// A record made in the pages, with its lines.
pub(in crate::simulator) fn insert(state: &mut State, object: &str, fields: Record) -> String {
    put_down(state, object, None, fields).unwrap_or_default()
}

/// A record changed in the pages. Lines that are given are the whole set.
pub(in crate::simulator) fn edit(state: &mut State, object: &str, id: &str, fields: Record) -> bool {
    state.table(object).get(id).is_some() && put_down(state, object, Some(id.to_owned()), fields).is_some()
}

/// Deletes a record; false where there is none.
pub(in crate::simulator) fn remove(state: &mut State, object: &str, id: &str) -> bool {
    state.remove_record(object, id)
}

fn lines(state: &mut State, object: &str, id: &str) -> Option<Vec<Record>> {
    (object == "salesOrder").then(|| state.table(object).get(id).map(|row| lines_of(&row.fields))).flatten()
}

fn write(state: &mut State, object: &str, id: &str, lines: Vec<Record>) -> bool {
    put(state, object, Some(id.to_owned()), (Vec::new(), Some(lines)), true).is_ok()
}

fn numbered(line: &Record, number: &str) -> bool {
    line.get("line").and_then(text_of).is_some_and(|known| known == number)
}

/// A line more; `None` where there is no such order.
pub(in crate::simulator) fn add_line(
    state: &mut State,
    object: &str,
    id: &str,
    mut fields: Record,
) -> Option<String> {
    let mut all = lines(state, object, id)?;
    fields.shift_remove("line");
    all.push(lenient(LINES, fields).into_iter().collect());
    write(state, object, id, all).then_some(())?;
    lines(state, object, id)?.last().and_then(|line| line.get("line")).map(Value::to_string)
}

/// Changes fields of one line. False where the order has no such line.
pub(in crate::simulator) fn edit_line(
    state: &mut State,
    object: &str,
    id: &str,
    line: &str,
    fields: Record,
) -> bool {
    let Some(mut all) = lines(state, object, id) else { return false };
    let Some(known) = all.iter_mut().find(|known| numbered(known, line)) else { return false };
    known.extend(lenient(LINES, fields));
    write(state, object, id, all)
}

/// Takes one line out. False where the order has no such line.
pub(in crate::simulator) fn remove_line(state: &mut State, object: &str, id: &str, line: &str) -> bool {
    let Some(mut all) = lines(state, object, id) else { return false };
    let before = all.len();
    all.retain(|known| !numbered(known, line));
    all.len() < before && write(state, object, id, all)
}

/// A record with its lines, each named by its number as `id`, too.
pub(in crate::simulator) fn document(state: &mut State, object: &str, id: &str) -> Option<Record> {
    let mut record = state.table(object).get(id).map(|row| row.fields.clone())?;
    if let Some(lines) = lines(state, object, id) {
        let named = lines.into_iter().map(|mut line| {
            let number = line.get("line").cloned().unwrap_or_default();
            line.insert("id".to_owned(), json!(number));
            Value::Object(line)
        });
        record.insert(LINES.to_owned(), named.collect());
    }
    Some(record)
}
