//! The lines of a record: rows of a subform, with ids of their own, written and read with their record.

use serde_json::{Map, Value, json};

use super::{Refusal, schema, write::formed as formed_fields};
use crate::{model::record::Record, simulator::state::State};

/// Checks the rows that a write brings: `{id?, _delete?, fields}` each.
pub(super) fn formed(state: &mut State, name: &str, value: &Value) -> Result<Value, Refusal> {
    let Value::Array(rows) = value else {
        let details = json!({"api_name": name, "expected_data_type": "jsonarray"});
        return Err(Refusal::of(400, "INVALID_DATA", "invalid data").with(details));
    };
    let mut all = Vec::new();
    for row in rows.iter().filter_map(Value::as_object) {
        let mut kept: Map<String, Value> = formed_fields(state, name, row)?.into_iter().collect();
        for name in ["id", "_delete"] {
            if let Some(value) = row.get(name) {
                kept.insert(name.to_owned(), value.clone());
            }
        }
        all.push(Value::Object(kept));
    }
    Ok(Value::Array(all))
}

/// Lays fields over a record. Rows are merged by their ids: one without is new, one that is not named stays (unverified), and
/// one with `_delete` goes.
pub(super) fn lay(state: &mut State, record: &mut Record, fields: Vec<(String, Value)>) {
    for (name, value) in fields {
        if name != schema::ORDERED {
            record.insert(name, value);
            continue;
        }
        let mut rows = rows_of(record);
        for row in value.as_array().into_iter().flatten().filter_map(Value::as_object) {
            let mut row = row.clone();
            let place =
                rows.iter().position(|known| known.get("id").is_some() && known.get("id") == row.get("id"));
            match place {
                Some(at) if row.contains_key("_delete") => {
                    rows.remove(at);
                }
                Some(at) => {
                    if let Some(known) = rows.get_mut(at) {
                        known.extend(row);
                    }
                }
                None if row.contains_key("_delete") => {}
                None => {
                    row.insert("id".to_owned(), json!(format!("4876876{:012}", state.next_serial())));
                    rows.push(row);
                }
            }
        }
        let rows = rows.into_iter().map(Value::Object).collect();
        record.insert(name, Value::Array(rows));
    }
}

/// The lines of a record.
pub(super) fn rows_of(record: &Record) -> Vec<Map<String, Value>> {
    let rows = record.get(schema::ORDERED).and_then(Value::as_array);
    rows.into_iter().flatten().filter_map(|row| row.as_object().cloned()).collect()
}
