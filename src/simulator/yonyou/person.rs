//! What a person does in the pages: each change is told by an event. The door refuses nothing, so that every state can be made.
//!
//! An order is written with its lines in it; a change of a line is a change of the order, and moves its stamp.

use serde_json::{Value, json};

use super::{
    catalogue::{self, Holds, LINES, kept},
    orders::{lay, lines_of},
    push::push,
    write::{make, put},
};
use crate::{model::record::Record, simulator::state::State};

fn lenient(object: &str, fields: Record) -> Vec<(String, Value)> {
    let form = |(name, value): (String, Value)| match catalogue::holds(object, &name) {
        // the Chinese text is what is kept
        None | Some(Holds::Languages(_) | Holds::Lines) => (name, value),
        Some(holds) => {
            let kept = kept(&name, holds, &value).unwrap_or(value);
            (name, kept)
        }
    };
    fields.into_iter().map(form).collect()
}

fn rows(given: Option<Value>) -> Vec<Value> {
    let mut rows = given.and_then(|given| given.as_array().cloned()).unwrap_or_default();
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        row.insert("_status".to_owned(), json!("Insert"));
    }
    rows
}

/// A record made in the pages; an id that is given is kept.
pub(in crate::simulator) fn insert(state: &mut State, object: &str, mut fields: Record) -> String {
    let id = fields.get("id").and_then(Value::as_str).map(str::to_owned);
    let lines = rows(fields.shift_remove(LINES));
    if object == "merchant" {
        for (name, value) in [("createOrgCode", json!("991")), ("enterpriseNature", json!(0))] {
            fields.entry(name).or_insert(value);
        }
    }
    let mut record: Record = lenient(object, fields).into_iter().collect();
    if object == "voucherorder" {
        record.entry("nextStatus").or_insert(json!("CONFIRMORDER"));
        let _ = lay(state, &mut record, &lines);
    }
    let id = make(state, object, record.into_iter().collect(), id);
    push(state, "INSERT", object, &id);
    id
}

/// A record changed in the pages; a null clears.
pub(in crate::simulator) fn edit(state: &mut State, object: &str, id: &str, mut fields: Record) -> bool {
    let Some(mut record) = state.table(object).get(id).map(|row| row.fields.clone()) else { return false };
    fields.shift_remove(LINES);
    record.extend(lenient(object, fields));
    put(state, object, id, record);
    push(state, "UPDATE", object, id);
    true
}

/// Removes a record; false where there is none.
pub(in crate::simulator) fn remove(state: &mut State, object: &str, id: &str) -> bool {
    let removed = state.remove_record(object, id);
    if removed {
        push(state, "DELETE", object, id);
    }
    removed
}

fn write_line(state: &mut State, object: &str, id: &str, status: &str, mut line: Record) -> bool {
    let Some(mut record) = state.table(object).get(id).map(|row| row.fields.clone()) else { return false };
    line.insert("_status".to_owned(), json!(status));
    let written = object == "voucherorder" && lay(state, &mut record, &[Value::Object(line)]).is_ok();
    if written {
        put(state, object, id, record);
        push(state, "UPDATE", object, id);
    }
    written
}

/// A line more; `None` where there is no such order.
pub(in crate::simulator) fn add_line(
    state: &mut State,
    object: &str,
    id: &str,
    fields: Record,
) -> Option<String> {
    write_line(state, object, id, "Insert", fields).then_some(())?;
    let lines = state.table(object).get(id).map(|row| lines_of(&row.fields))?;
    lines.last().and_then(|line| line.get("id")).and_then(Value::as_str).map(str::to_owned)
}

/// Changes fields of one line. False where the order has no such line.
pub(in crate::simulator) fn edit_line(
    state: &mut State,
    object: &str,
    id: &str,
    line: &str,
    mut fields: Record,
) -> bool {
    fields.insert("id".to_owned(), json!(line));
    write_line(state, object, id, "Update", fields)
}

/// Takes one line out. False where the order has no such line.
pub(in crate::simulator) fn remove_line(state: &mut State, object: &str, id: &str, line: &str) -> bool {
    let mut gone = Record::new();
    gone.insert("id".to_owned(), json!(line));
    write_line(state, object, id, "Delete", gone)
}
