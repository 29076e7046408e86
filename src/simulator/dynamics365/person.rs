//! What a person does in the pages. The door refuses nothing, so that every state can be made.
//!
//! An order is written with its lines beside it, in `order_details`. A change of a line leaves the order's own stamp alone
//! (unverified, the strict reading).

use serde_json::{Value, json};

use super::{
    schema::{self, LINES, Table},
    write::{discard, make, put},
};
use crate::{model::record::Record, simulator::state::State};

fn lenient(table: &Table, fields: Record) -> Vec<(String, Value)> {
    let form = |(name, value): (String, Value)| {
        let kept = table.column(&name).and_then(|(_, holds, _)| schema::kept(&name, *holds, &value).ok());
        let value = kept.unwrap_or(value);
        (name, value)
    };
    fields.into_iter().map(form).collect()
}

/// A record made in the pages, with its lines; an id that is given is kept.
pub(in crate::simulator) fn insert(state: &mut State, object: &str, mut fields: Record) -> String {
    let Some(table) = schema::table(object) else { return String::new() };
    let lines = fields.shift_remove(LINES.1);
    let id = make(state, table, lenient(table, fields));
    for line in lines.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
        add_line(state, object, &id, line.clone());
    }
    id
}

/// A record changed in the pages.
pub(in crate::simulator) fn edit(state: &mut State, object: &str, id: &str, fields: Record) -> bool {
    let Some(table) = schema::table(object) else { return false };
    if state.table(object).get(id).is_none() {
        return false;
    }
    put(state, table, id, lenient(table, fields));
    true
}

/// Deletes a record; false where there is none.
pub(in crate::simulator) fn remove(state: &mut State, object: &str, id: &str) -> bool {
    schema::table(object).is_some_and(|table| discard(state, table, id))
}

fn lines(state: &mut State, id: &str) -> Vec<(String, Record)> {
    let rows = state.table(LINES.2);
    rows.referring(&format!("order={id}")).map(|row| (row.id.clone(), row.fields.clone())).collect()
}

/// A record with its lines.
pub(in crate::simulator) fn document(state: &mut State, object: &str, id: &str) -> Option<Record> {
    let mut record = state.table(object).get(id).map(|row| row.fields.clone())?;
    if object == LINES.0 {
        let lines = lines(state, id).into_iter().map(|(_, line)| Value::Object(line)).collect();
        record.insert(LINES.1.to_owned(), Value::Array(lines));
    }
    Some(record)
}

/// A line more; `None` where there is no such order.
pub(in crate::simulator) fn add_line(
    state: &mut State,
    object: &str,
    id: &str,
    mut fields: Record,
) -> Option<String> {
    let table = schema::table(LINES.2).filter(|_| object == LINES.0)?;
    state.table(object).get(id)?;
    fields.insert("_salesorderid_value".to_owned(), json!(id));
    Some(make(state, table, lenient(table, fields)))
}

/// Changes fields of one line. False where the order has no such line.
pub(in crate::simulator) fn edit_line(
    state: &mut State,
    object: &str,
    id: &str,
    line: &str,
    fields: Record,
) -> bool {
    object == LINES.0
        && lines(state, id).iter().any(|(known, _)| known == line)
        && edit(state, LINES.2, line, fields)
}

/// Takes one line out. False where the order has no such line.
pub(in crate::simulator) fn remove_line(state: &mut State, object: &str, id: &str, line: &str) -> bool {
    object == LINES.0
        && lines(state, id).iter().any(|(known, _)| known == line)
        && remove(state, LINES.2, line)
}
