//! What a person does in the pages. The door refuses nothing, so that every state can be made.
//!
//! An order is written with its lines beside it: `{"partner_id": …, "order_line": [{…}, …]}`. A change of a line leaves the
//! stamp of its order alone (the strict reading).

use serde_json::{Value, json};

use super::{
    methods::{change, discard, lines, make},
    models::{field, kept},
};
use crate::{model::record::Record, simulator::state::State};

fn lenient(model: &str, fields: Record) -> Vec<(String, Value)> {
    let form = |(name, value): (String, Value)| match field(model, &name) {
        Some((_, holds, _)) => {
            let kept = kept(&name, *holds, &value).unwrap_or(value);
            (name, kept)
        }
        None => (name, value),
    };
    fields.into_iter().map(form).collect()
}

fn number(id: &str) -> i64 {
    id.parse().unwrap_or(-1)
}

/// A record made in the pages, with its lines; an id or a stamp that is given is kept.
pub(in crate::simulator) fn insert(state: &mut State, model: &str, mut fields: Record) -> String {
    let given = fields.shift_remove("order_line");
    let id = make(state, model, lenient(model, fields)).to_string();
    for line in given.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_object) {
        add_line(state, model, &id, line.clone());
    }
    id
}

/// A record changed in the pages. Lines are changed one by one.
pub(in crate::simulator) fn edit(state: &mut State, model: &str, id: &str, mut fields: Record) -> bool {
    fields.shift_remove("order_line");
    change(state, model, number(id), lenient(model, fields))
}

/// A record with its lines, in the form in which it is made.
pub(in crate::simulator) fn document(state: &mut State, model: &str, id: &str) -> Option<Record> {
    let mut record = state.table(model).get(id).map(|row| row.fields.clone())?;
    if model == "sale.order" {
        let ids = lines(state, number(id));
        let table = state.table("sale.order.line");
        let shown = ids.iter().filter_map(|line| table.get(&line.to_string()));
        let shown: Vec<Value> = shown.map(|row| Value::Object(row.fields.clone())).collect();
        record.insert("order_line".to_owned(), Value::Array(shown));
    }
    Some(record)
}

/// A line more; `None` where there is no such record, or its model has no lines.
pub(in crate::simulator) fn add_line(
    state: &mut State,
    model: &str,
    id: &str,
    mut fields: Record,
) -> Option<String> {
    if model != "sale.order" {
        return None;
    }
    state.table(model).get(id)?;
    fields.insert("order_id".to_owned(), json!(number(id)));
    Some(make(state, "sale.order.line", lenient("sale.order.line", fields)).to_string())
}

fn has_line(state: &mut State, model: &str, id: &str, line: &str) -> bool {
    model == "sale.order" && lines(state, number(id)).contains(&number(line))
}

/// Changes fields of one line. False where the record has no such line.
pub(in crate::simulator) fn edit_line(
    state: &mut State,
    model: &str,
    id: &str,
    line: &str,
    fields: Record,
) -> bool {
    has_line(state, model, id, line) && edit(state, "sale.order.line", line, fields)
}

/// Takes one line out. False where the record has no such line.
pub(in crate::simulator) fn remove_line(state: &mut State, model: &str, id: &str, line: &str) -> bool {
    has_line(state, model, id, line) && discard(state, "sale.order.line", number(line))
}

/// Removes a record without a trace. False where there is none.
pub(in crate::simulator) fn remove(state: &mut State, model: &str, id: &str) -> bool {
    discard(state, model, number(id))
}
