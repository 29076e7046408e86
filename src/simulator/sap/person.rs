//! What a person does in the system's own screens. The door refuses nothing, so that every state can be made.

use super::{
    fields::field,
    records::{OBJECT, change, make},
};
use crate::{model::record::Record, simulator::state::State};

fn lenient(fields: Record) -> Record {
    let kept = |(name, value): (String, serde_json::Value)| {
        let kept = field(&name).and_then(|(_, holds, ..)| holds.kept(&value).ok()).unwrap_or(value);
        (name, kept)
    };
    fields.into_iter().map(kept).collect()
}

/// A partner made in the screens.
pub(in crate::simulator) fn insert(state: &mut State, fields: Record) -> String {
    make(state, lenient(fields))
}

/// A partner changed in the screens.
pub(in crate::simulator) fn edit(state: &mut State, id: &str, fields: Record) -> bool {
    change(state, id, lenient(fields))
}

/// A partner removed; false where there is none.
pub(in crate::simulator) fn remove(state: &mut State, id: &str) -> bool {
    state.remove_record(OBJECT, id)
}
