//! Plan: what one record means for its row. Pure.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::bound::Bound;
use crate::mapping::reference::{Missing, References};
use crate::mapping::{DecodeError, Row};
use crate::model::diff::{diff, overlay, project};
use crate::model::document::{MergedLines, lines_of};
use crate::model::merge::{FieldConflict, Side, Stamps};
use crate::model::record::{Record, RemoteRecord};
use crate::model::spelling::respelled;
use crate::pull::fate::{Fate, field_by_field};
use crate::store::link::Link;
use crate::store::standing::Standing;

/// What a record means for the row that is its twin.
#[derive(Debug, Default, PartialEq)]
pub struct RowPlan {
    /// Columns to write; empty when the row stays as it is.
    pub columns: Row,
    /// The new shadow.
    pub shadow: Record,
    /// Whether shadow, version or stamp of the link move at all.
    pub link_moves: bool,
    pub conflicts: Vec<FieldConflict>,
    /// What becomes of the lines of each collection, in the mapping's order.
    pub lines: Vec<MergedLines>,
    /// Lines that were sent may still turn up in the remote.
    pub keeps_sent: bool,
    /// Fields taken, as they were and as they become, for the journal.
    pub before: Record,
    pub after: Record,
    /// Fields that went to the record and come back now.
    pub turned: Vec<String>,
    /// Fields whose open conflict ends.
    pub closed: Vec<String>,
}

impl RowPlan {
    /// Whether neither the row nor a row of its lines changes.
    pub fn leaves_row(&self) -> bool {
        self.columns.is_empty() && self.lines.iter().all(MergedLines::leaves_rows)
    }
}

/// Plans an existing row.
///
/// # Errors
/// A field that cannot be converted, or refers to a record that has no row yet.
pub fn plan_row(
    bound: &Bound,
    record: &RemoteRecord,
    row: &Row,
    link: &Link,
    standing: &Standing,
    row_changed_at: Option<SystemTime>,
    references: &References,
) -> Result<RowPlan, DecodeError> {
    let mapping = &bound.mapping;
    let encoded = mapping.encode(row, references).map_err(DecodeError::Field)?;
    let mut shadow = mapping.shadow_of(&record.fields);
    let stamps = Stamps { row_ms: row_changed_at.and_then(ms), record_ms: record.modified_ms };
    let mut fate = Fate::default();
    let sent = link.lines_sent.as_ref();
    let lines = mapping.merge_lines(&encoded, &record.fields, link.shadow.as_ref(), sent, stamps);
    mapping.set_lines(&mut shadow, &lines);
    let mut merged = match &link.shadow {
        Some(base) => {
            let mut merged = mapping.merge(&encoded, &record.fields, base, bound.prefer, stamps);
            fate = field_by_field(bound, &encoded, record, link, base, standing, &mut merged);
            // a held field keeps its base, so that both sides still differ from it when a person decides
            for conflict in merged.conflicts.iter().filter(|conflict| conflict.winner == Side::Held) {
                shadow.insert(
                    conflict.field.clone(),
                    base.get(&conflict.field).cloned().unwrap_or(Value::Null),
                );
            }
            merged
        }
        None => mapping.first_meeting(&encoded, &record.fields, bound.prefer, stamps),
    };
    let mut columns = mapping.decode(&record.fields, &merged.take, references)?;
    columns.extend(mapping.decode(&fate.chosen, &fate.chosen.keys().cloned().collect(), references)?);
    if let Some(column) = &bound.id_column
        && row.get(column).and_then(Value::as_str) != Some(&record.id)
    {
        columns.insert(column.clone(), Value::from(record.id.as_str()));
    }
    let link_moves =
        link.shadow.as_ref().is_none_or(|base| mapping.outgrown(base) || !mapping.same(base, &shadow))
            || link.shadow.as_ref().is_some_and(|base| !mapping.same_names(base, &shadow))
            || lines.iter().any(|lines| !lines.inserts.is_empty())
            || (record.version.is_some() && link.version != record.version)
            || (record.stage.is_some() && link.stage != record.stage);
    for lines in &lines {
        merged.conflicts.extend(lines.conflicts.iter().cloned());
    }
    let keeps_sent = sent.is_some_and(|sent| !mapping.names_all(&shadow, sent));
    let taken = merged.take.iter().map(String::as_str);
    Ok(RowPlan {
        columns,
        link_moves,
        before: project(&encoded, taken.clone().chain(fate.chosen.keys().map(String::as_str))),
        after: overlay(&project(&record.fields, taken), &fate.chosen),
        conflicts: merged.conflicts,
        shadow,
        turned: fate.turned,
        closed: fate.closed,
        lines,
        keeps_sent,
    })
}

/// Whether a record may differ from its shadow only by how the system spells what it was sent, in fields and in lines.
pub fn only_respelled(bound: &Bound, edits: &Record, shadow: &Record) -> bool {
    let blank = bound.mapping.blank_is_null;
    let alike = |left: &Record, right: &Record| {
        left.iter().all(|(name, value)| respelled(Some(value), right.get(name), blank))
    };
    edits.iter().all(|(name, told)| {
        if !bound.mapping.lines.iter().any(|lines| lines.collection == *name) {
            return respelled(shadow.get(name), Some(told), blank);
        }
        let (Some(sent), Some(told)) = (lines_of(shadow, name), lines_of(edits, name)) else { return false };
        sent.len() == told.len()
            && sent.iter().zip(&told).all(|(sent, told)| alike(&sent.fields, &told.fields))
    })
}

/// What a record says otherwise than its shadow: fields, and collections of lines as a whole.
pub fn edits_of(bound: &Bound, record: &RemoteRecord, shadow: &Record) -> Record {
    let mapping = &bound.mapping;
    let mut edits = diff(&record.fields, shadow, mapping.field_names(), mapping.blank_is_null);
    let told = mapping.shadow_of(&record.fields);
    for lines in &mapping.lines {
        let name = lines.collection.as_str();
        if !mapping.same(&project(&told, [name]), &project(shadow, [name])) {
            edits.insert(name.to_owned(), told.get(name).cloned().unwrap_or(Value::Null));
        }
    }
    edits
}

/// A row that is to be made from a record.
#[derive(Debug, Clone)]
pub struct NewRow {
    pub row: Row,
    /// The reference that the row is made without.
    pub left_out: Option<Missing>,
}

/// The columns of a row that is to be made from a record. With `loose` a reference to a record without a row is left
/// out instead of being an error: one at a time, since a record waits for one at a time.
///
/// # Errors
/// A field that cannot be converted, or refers to a record that has no row yet.
pub fn plan_new_row(
    bound: &Bound,
    record: &RemoteRecord,
    references: &References,
    loose: bool,
) -> Result<NewRow, DecodeError> {
    let mut fields: BTreeSet<String> =
        bound.mapping.fields.iter().filter(|field| field.pulls).map(|field| field.field.clone()).collect();
    let (mut row, left_out) = match bound.mapping.decode(&record.fields, &fields, references) {
        Err(DecodeError::Missing(missing)) if loose => {
            fields.remove(&missing.field);
            (bound.mapping.decode(&record.fields, &fields, references)?, Some(missing))
        }
        other => (other?, None),
    };
    if let Some(column) = &bound.id_column {
        row.insert(column.clone(), Value::from(record.id.as_str()));
    }
    Ok(NewRow { row, left_out })
}

/// Milliseconds since 1970.
pub fn ms(time: SystemTime) -> Option<i64> {
    time.duration_since(UNIX_EPOCH).ok().and_then(|age| i64::try_from(age.as_millis()).ok())
}
