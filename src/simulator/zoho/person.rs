//! What a person does in the pages. The door refuses nothing, so that every state can be made.

use serde_json::Value;

use super::{
    schema,
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
