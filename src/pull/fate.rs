//! Fate: what becomes of single fields that a person has decided, or that go back and forth. Pure.

use serde_json::Value;

use crate::bound::Bound;
use crate::model::merge::{FieldConflict, Merged, Policy, Side};
use crate::model::record::{Record, RemoteRecord, same_value};
use crate::store::link::Link;
use crate::store::standing::Standing;

/// What was decided beside the merge.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fate {
    /// Values that a person chose: they go into the row now, and from there to the record.
    pub chosen: Record,
    /// Fields that went to the record and come back now.
    pub turned: Vec<String>,
    /// Fields whose open conflict ends.
    pub closed: Vec<String>,
}

/// Goes over a merge: chosen values are laid over it, and what turned too often is frozen.
pub(super) fn field_by_field(
    bound: &Bound,
    row: &Record,
    record: &RemoteRecord,
    link: &Link,
    base: &Record,
    standing: &Standing,
    merged: &mut Merged,
) -> Fate {
    let mapping = &bound.mapping;
    let blank = mapping.blank_is_null;
    let mut fate = Fate::default();
    for (field, value) in standing.chosen() {
        drop_from(merged, field);
        fate.chosen.insert(field.to_owned(), value.clone());
        fate.closed.push(field.to_owned());
    }
    for field in standing.open.keys().filter(|field| !fate.chosen.contains_key(*field)) {
        if same_value(row.get(field), record.fields.get(field), blank) {
            fate.closed.push(field.clone());
        }
    }
    let mut frozen: Vec<String> = standing
        .open
        .iter()
        .filter(|(field, open)| open.frozen && !fate.closed.contains(*field))
        .map(|(field, _)| field.clone())
        .collect();
    for field in merged.take.iter().filter(|field| link.gave.contains(*field)) {
        let turns = standing.turns.get(field).copied().unwrap_or(0) + 1;
        if turns > bound.brake.turns {
            if !standing.open.contains_key(field) {
                tracing::warn!(
                    field,
                    turns,
                    "two sides keep rewriting a field: it is frozen (rowtwin.conflicts)"
                );
            }
            frozen.push(field.clone());
        } else {
            fate.turned.push(field.clone());
        }
    }
    for field in mapping.with_their_groups(&frozen.into_iter().collect()) {
        drop_from(merged, &field);
        fate.turned.retain(|turned| *turned != field);
        if fate.chosen.contains_key(&field) || same_value(row.get(&field), record.fields.get(&field), blank) {
            continue;
        }
        let value = |side: &Record| side.get(&field).cloned().unwrap_or(Value::Null);
        merged.conflicts.push(FieldConflict {
            shadow: value(base),
            row: value(row),
            record: value(&record.fields),
            winner: Side::Held,
            policy: Policy::Manual,
            unit: mapping.group_of(&field).map_or_else(|| field.clone(), |group| group.name.clone()),
            frozen: true,
            field,
        });
    }
    fate
}

fn drop_from(merged: &mut Merged, field: &str) {
    merged.take.remove(field);
    merged.give.remove(field);
    merged.conflicts.retain(|conflict| conflict.field != field);
}
