//! What a person does in the pages. The door refuses nothing, so that every state can be made; what is removed is archived.

use serde_json::{Value, json};

use super::members::{alive, archive, find, kept, put};
use crate::{model::record::Record, simulator::state::State};

fn lenient(fields: Record) -> Record {
    let form = |(name, value): (String, Value)| {
        let value = if value.is_null() { json!("") } else { value };
        let value = kept(&name, &value).unwrap_or(value);
        (name, value)
    };
    fields.into_iter().map(form).collect()
}

/// A member made in the pages.
pub(in crate::simulator) fn insert(state: &mut State, object: &str, fields: Record) -> String {
    put(state, object, None, lenient(fields))
}

/// A member changed in the pages.
pub(in crate::simulator) fn edit(state: &mut State, object: &str, id: &str, fields: Record) -> bool {
    let Some(row) = find(state, object, id) else { return false };
    put(state, object, Some(row.id), lenient(fields));
    true
}

/// Archives a member; false where there is none.
pub(in crate::simulator) fn remove(state: &mut State, object: &str, id: &str) -> bool {
    let Some(row) = find(state, object, id).filter(alive) else { return false };
    archive(state, object, &row);
    true
}
