//! What a person does in the pages: each change is pushed, whether or not somebody listens.

use serde_json::Value;

use super::{form, push, write::put};
use crate::{model::record::Record, simulator::state::State};

/// Who works in the pages.
const PERSON: &str = "zhang";

/// A record made in the pages; an `_id` that is given is kept.
pub(in crate::simulator) fn insert(state: &mut State, object: &str, fields: Record) -> String {
    let (fresh, mut record) = form::blank(state, object, PERSON);
    record.extend(form::typed(fields));
    let id = match record.get("_id") {
        Some(Value::String(id)) => id.clone(),
        _ => fresh,
    };
    put(state, object, &id, record, PERSON);
    push::push(state, "data_create", object, &id);
    id
}

/// A record changed in the pages; a null clears.
pub(in crate::simulator) fn edit(state: &mut State, object: &str, id: &str, fields: Record) -> bool {
    let Some(mut record) = state.table(object).get(id).map(|row| row.fields.clone()) else { return false };
    record.extend(form::typed(fields));
    put(state, object, id, record, PERSON);
    push::push(state, "data_update", object, id);
    true
}

/// A record removed in the pages.
pub(in crate::simulator) fn remove(state: &mut State, object: &str, id: &str) -> bool {
    if state.table(object).get(id).is_none() {
        return false;
    }
    push::push(state, "data_remove", object, id);
    state.remove_record(object, id)
}
