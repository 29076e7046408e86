//! What a person does in the pages. The door refuses nothing, so that every state can be made.
//!
//! An order is written with its lines in it; a change of a line is a change of the order, and moves its stamp.

use serde_json::{Value, json};

use super::{
    lines::rows_of,
    schema::{self, ORDERED},
    write::{change, discard, make},
};
use crate::{model::record::Record, simulator::state::State};

/// Who works in the pages, as against the user of the API.
const PERSON: &str = "4876876000000300099";

fn lenient(module: &str, fields: Record) -> Vec<(String, Value)> {
    let form = |(name, value): (String, Value)| match schema::field(module, &name) {
        Some((_, holds, ..)) => {
            let kept = schema::kept(&name, *holds, &value).unwrap_or(value);
            (name, kept)
        }
        None => (name, value),
    };
    fields.into_iter().map(form).collect()
}

/// A record made in the pages; an id or a stamp that is given is kept.
pub(in crate::simulator) fn insert(state: &mut State, module: &str, fields: Record) -> String {
    let id = fields.get("id").and_then(Value::as_str).map(str::to_owned);
    make(state, module, lenient(module, fields), PERSON, id)
}

/// A record changed in the pages.
pub(in crate::simulator) fn edit(state: &mut State, module: &str, id: &str, fields: Record) -> bool {
    change(state, module, id, lenient(module, fields), PERSON)
}

/// Puts a record into the recycle bin; false where there is none.
pub(in crate::simulator) fn remove(state: &mut State, module: &str, id: &str) -> bool {
    discard(state, module, id)
}

fn has_line(state: &mut State, module: &str, id: &str, line: &str) -> bool {
    let rows = state.table(module).get(id).map(|row| rows_of(&row.fields)).unwrap_or_default();
    rows.iter().any(|row| row.get("id") == Some(&json!(line)))
}

fn write_line(state: &mut State, module: &str, id: &str, fields: Record) -> bool {
    let row: Record = lenient(ORDERED, fields).into_iter().collect();
    change(state, module, id, vec![(ORDERED.to_owned(), json!([row]))], PERSON)
}

/// A line more; `None` where there is no such record, or its module has no lines.
pub(in crate::simulator) fn add_line(
    state: &mut State,
    module: &str,
    id: &str,
    fields: Record,
) -> Option<String> {
    schema::field(module, ORDERED)?;
    write_line(state, module, id, fields).then_some(())?;
    let rows = state.table(module).get(id).map(|row| rows_of(&row.fields))?;
    rows.last().and_then(|row| row.get("id")).and_then(Value::as_str).map(str::to_owned)
}

/// Changes fields of one line. False where the record has no such line.
pub(in crate::simulator) fn edit_line(
    state: &mut State,
    module: &str,
    id: &str,
    line: &str,
    mut fields: Record,
) -> bool {
    fields.insert("id".to_owned(), json!(line));
    has_line(state, module, id, line) && write_line(state, module, id, fields)
}

/// Takes one line out. False where the record has no such line.
pub(in crate::simulator) fn remove_line(state: &mut State, module: &str, id: &str, line: &str) -> bool {
    let gone = json!([{"id": line, "_delete": null}]);
    has_line(state, module, id, line) && change(state, module, id, vec![(ORDERED.to_owned(), gone)], PERSON)
}
