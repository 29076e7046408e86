//! References between records: a record that is named must be there, one that is needed cannot go, and a master takes
//! its details along.
//!
//! Which code and text the real system has for these refusals is (unverified); the strict reading is taken: an
//! invalid record counts as one that is not there.

use serde_json::Value;

use super::{BUSINESS, Refusal, schema};
use crate::{model::record::Record, simulator::state::State};

/// How the index of a table names a reference.
pub(super) fn reference(field: &str, id: &str) -> String {
    format!("{field}={id}")
}

/// The references that a record has, for the index.
pub(super) fn refers(object: &str, fields: &Record) -> Vec<String> {
    let named =
        |(field, _): (&str, &str)| fields.get(field).and_then(Value::as_str).map(|id| reference(field, id));
    schema::references(object).filter_map(named).collect()
}

/// Whether a record was made invalid.
pub(super) fn is_invalid(fields: &Record) -> bool {
    fields.get("life_status").and_then(Value::as_str) == Some("invalid")
}

/// Checks that the record of each reference is there. An object that is not simulated has every record.
pub(super) fn check<'a>(
    state: &mut State,
    object: &str,
    mut value: impl FnMut(&str) -> Option<&'a Value>,
) -> Result<(), Refusal> {
    for (field, target) in schema::references(object) {
        if !schema::KNOWN.contains(&target) {
            continue;
        }
        if let Some(id) = value(field).and_then(Value::as_str)
            && state.table(target).get(id).is_none_or(|row| is_invalid(&row.fields))
        {
            return Err(Refusal::new(BUSINESS, format!("字段[{field}]关联的{target}数据不存在或已作废")));
        }
    }
    Ok(())
}

/// Checks that no record refers to this one, but for its own details and what is invalid.
pub(super) fn unreferred(state: &mut State, object: &str, id: &str) -> Result<(), Refusal> {
    for referring in schema::KNOWN {
        let master = schema::master_of(referring).map(|(field, _)| field);
        for (field, target) in schema::references(referring) {
            let of_interest = target == object && master != Some(field);
            if of_interest
                && state.table(referring).referring(&reference(field, id)).any(|row| !is_invalid(&row.fields))
            {
                let text = format!("数据已被{referring}的字段[{field}]引用，不能作废或删除");
                return Err(Refusal::new(BUSINESS, text));
            }
        }
    }
    Ok(())
}

/// The details of a master in the order in which they were made: their object, and the ids.
pub(super) fn details(state: &mut State, object: &str, id: &str) -> Option<(&'static str, Vec<String>)> {
    let detail = schema::detail_of(object)?;
    let (field, _) = schema::master_of(detail)?;
    let rows = state.table(detail).referring(&reference(field, id));
    Some((detail, rows.map(|row| row.id.clone()).collect()))
}
