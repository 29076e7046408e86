//! Merge: three-way, line by line and in each line field by field.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::document::{Line, LineRules, align, line_field};
use crate::model::merge::{FieldConflict, Merged, Policy, Side};
use crate::model::record::Record;

/// What a merge of lines decided.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MergedLines {
    /// The new shadow; the key of a line that gets a row is filled in when that row is there.
    pub shadow: Vec<Line>,
    /// Places in `shadow`, each with the record's line that is to become a row.
    pub inserts: Vec<(usize, Record)>,
    /// Keys of rows, with the record's line and the fields that are taken from it.
    pub updates: Vec<(String, Record, BTreeSet<String>)>,
    /// Rows of lines, by key, with the id of the record's line that they stand for.
    pub ids: Vec<(String, String)>,
    /// Keys of rows that are to go.
    pub deletes: Vec<String>,
    pub conflicts: Vec<FieldConflict>,
}

impl MergedLines {
    /// Whether no row of a line is made, changed or removed.
    pub fn leaves_rows(&self) -> bool {
        self.inserts.is_empty() && self.updates.is_empty() && self.deletes.is_empty()
    }

    fn keep(&mut self, line: Line) {
        if let (Some(key), Some(id)) = (&line.key, &line.id) {
            self.ids.push((key.clone(), id.clone()));
        }
        self.shadow.push(line);
    }

    fn insert(&mut self, record: &Line, rules: &impl LineRules) {
        self.inserts.push((self.shadow.len(), record.fields.clone()));
        self.shadow.push(Line { id: record.id.clone(), key: None, fields: rules.project(&record.fields) });
    }

    fn take(
        &mut self,
        row: &Line,
        record: &Line,
        base: Option<&Line>,
        merged: Merged,
        rules: &impl LineRules,
    ) {
        let mut fields = rules.project(&record.fields);
        for mut conflict in merged.conflicts {
            // a held field keeps its base, so that both sides still differ from it when a person decides
            if conflict.winner == Side::Held {
                let value = base.and_then(|base| base.fields.get(&conflict.field)).cloned();
                fields.insert(conflict.field.clone(), value.unwrap_or(Value::Null));
            }
            conflict.field = line_field(rules.collection(), record.label(), &conflict.field);
            conflict.unit = line_field(rules.collection(), record.label(), &conflict.unit);
            self.conflicts.push(conflict);
        }
        if let Some(key) = &row.key
            && !merged.take.is_empty()
        {
            self.updates.push((key.clone(), record.fields.clone(), merged.take));
        }
        self.keep(Line { id: record.id.clone(), key: row.key.clone(), fields });
    }

    /// One side removed the line and the other edited it: the edit wins.
    fn edited_and_removed(&mut self, label: &str, base: &Line, edited: &Line, winner: Side, name: &str) {
        let value = |on: Side| {
            if winner == on { Value::Object(edited.fields.clone()) } else { Value::Null }
        };
        let field = format!("{name}[{label}]");
        self.conflicts.push(FieldConflict {
            unit: field.clone(),
            frozen: false,
            field,
            shadow: Value::Object(base.fields.clone()),
            row: value(Side::Row),
            record: value(Side::Record),
            winner,
            policy: if winner == Side::Row { Policy::Local } else { Policy::Remote },
        });
    }
}

/// Merges the lines of a row and a record against those of the shadow.
pub fn merge_lines(row: &[Line], record: &[Line], shadow: &[Line], rules: &impl LineRules) -> MergedLines {
    let mut merged = MergedLines::default();
    let name = rules.collection();
    for triple in align(row, record, shadow, rules.recognition(), false) {
        match (triple.row, triple.record, triple.shadow) {
            (Some(row), Some(record), Some(base)) => {
                let mut line = rules.merge(&row.fields, &record.fields, &base.fields);
                // tied without knowing: it may be a line that somebody else added
                if base.id.is_none() && rules.recognition().match_fields.is_empty() {
                    line.conflicts.extend(taken_away(row, record, base, &line.take));
                }
                merged.take(row, record, Some(base), line, rules);
            }
            (Some(row), Some(record), None) => {
                let line = rules.first_meeting(&row.fields, &record.fields);
                merged.take(row, record, None, line, rules);
            }
            // it may never have arrived: it is sent again, and the row's line is not the one to go
            (Some(_), None, Some(base)) if base.id.is_none() => {}
            (Some(row), None, Some(base)) => {
                let edited =
                    rules.pushes() && !rules.push_diff(&row.fields, &base.fields, base.label()).is_empty();
                if edited {
                    merged.edited_and_removed(base.label(), base, row, Side::Row, name);
                } else if rules.pulls() {
                    merged.deletes.extend(row.key.clone());
                }
            }
            (None, Some(record), Some(base)) => {
                let fields = rules.project(&record.fields);
                let edited = !rules.merge(&base.fields, &record.fields, &base.fields).take.is_empty();
                if edited && rules.pulls() {
                    merged.edited_and_removed(record.label(), base, record, Side::Record, name);
                    merged.insert(record, rules);
                } else {
                    merged.keep(Line { id: record.id.clone(), key: base.key.clone(), fields });
                }
            }
            (None, Some(record), None) if rules.pulls() => merged.insert(record, rules),
            // lines go to the remote only: the row's lines are all that there should be
            (None, Some(record), None) => {
                let fields = rules.project(&record.fields);
                merged.keep(Line { id: record.id.clone(), key: None, fields });
            }
            (Some(_), None, None) | (None, None, _) => {}
        }
    }
    merged
}

/// What a record's line that may be another one takes away from the row's: kept, so that nothing is lost unseen.
fn taken_away(row: &Line, record: &Line, base: &Line, take: &BTreeSet<String>) -> Vec<FieldConflict> {
    let value = |line: &Line, field: &String| line.fields.get(field).cloned().unwrap_or(Value::Null);
    take.iter()
        .map(|field| FieldConflict {
            unit: field.clone(),
            frozen: false,
            shadow: value(base, field),
            row: value(row, field),
            record: value(record, field),
            winner: Side::Record,
            policy: Policy::Remote,
            field: field.clone(),
        })
        .collect()
}

/// The first meeting of a row's lines and a record's: the preferred side's decide, when it has any.
pub fn meet_lines(row: &[Line], record: &[Line], rules: &impl LineRules) -> MergedLines {
    let mut merged = MergedLines::default();
    let by_record = match (rules.pushes(), rules.pulls()) {
        (true, true) if rules.record_preferred() => !record.is_empty(),
        (true, true) => row.is_empty(),
        (_, pulls) => pulls,
    };
    for triple in align(row, record, &[], rules.recognition(), true) {
        match (triple.row, triple.record) {
            (Some(row), Some(record)) => {
                let line = rules.first_meeting(&row.fields, &record.fields);
                merged.take(row, record, None, line, rules);
            }
            (Some(row), None) if by_record => merged.deletes.extend(row.key.clone()),
            (None, Some(record)) if by_record => merged.insert(record, rules),
            (None, Some(record)) => {
                let fields = rules.project(&record.fields);
                merged.keep(Line { id: record.id.clone(), key: None, fields });
            }
            _ => {}
        }
    }
    merged
}
