//! What a person does in the pages. The door refuses nothing, so that every state can be made.

use serde_json::Value;

use super::{
    objects::{kept, property},
    write::{change, discard, make},
};
use crate::{model::record::Record, simulator::state::State};

fn lenient(object: &str, fields: Record) -> Vec<(String, Value)> {
    let form = |(name, value): (String, Value)| match property(object, &name) {
        Some(_) if value.is_null() => (name, value),
        Some((_, holds, ..)) => {
            let kept = kept(&name, *holds, &value).unwrap_or(value);
            (name, kept)
        }
        None => (name, value),
    };
    fields.into_iter().map(form).collect()
}

/// A record made in the pages; an id or a stamp that is given is kept.
pub(in crate::simulator) fn insert(state: &mut State, object: &str, fields: Record) -> String {
    let id = fields.get("hs_object_id").and_then(Value::as_str).map(str::to_owned);
    make(state, object, lenient(object, fields), id)
}

/// A record changed in the pages.
pub(in crate::simulator) fn edit(state: &mut State, object: &str, id: &str, fields: Record) -> bool {
    change(state, object, id, lenient(object, fields))
}

/// Archives a record; false where there is none.
pub(in crate::simulator) fn remove(state: &mut State, object: &str, id: &str) -> bool {
    discard(state, object, id)
}
