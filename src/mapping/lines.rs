//! The lines of documents: how a row's lines and a record's stand for each other.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::mapping::reference::{Missing, References, stands_in_for};
use crate::mapping::{DecodeError, FieldError, Mapping, Row};
use crate::model::binding::Prefer;
use crate::model::diff::{overlay, project};
use crate::model::document::{
    Changes, Line, LineRules, MergedLines, Recognition, changes, line_field, lines_of, lines_value,
    meet_lines, merge_lines,
};
use crate::model::merge::{Merged, Stamps};
use crate::model::record::Record;
use crate::store::lines::lines_of_row;

/// One collection of lines.
#[derive(Debug)]
pub struct MappedLines {
    /// The remote's collection.
    pub collection: String,
    /// The fields of a line, mapped like those of a record.
    pub mapping: Mapping,
    pub id_column: Option<String>,
    names: Vec<String>,
    pushes: bool,
    pulls: bool,
    prefer: Prefer,
}

impl MappedLines {
    /// A collection whose lines are mapped by `mapping`.
    pub fn new(
        collection: &str,
        mapping: Mapping,
        id_column: Option<String>,
        direction: crate::model::binding::Direction,
        prefer: Prefer,
    ) -> Self {
        let names = mapping.field_names().map(str::to_owned).collect();
        Self {
            collection: collection.to_owned(),
            mapping,
            id_column,
            names,
            pushes: direction.pushes(),
            pulls: direction.pulls(),
            prefer,
        }
    }

    fn error(&self, label: &str, error: FieldError) -> FieldError {
        FieldError { field: line_field(&self.collection, label, &error.field), reason: error.reason }
    }

    /// The lines of a new document, or the added and changed ones of an update.
    fn sent(&self, values: &Record) -> Vec<Line> {
        match values.get(&self.collection).and_then(Changes::from_value) {
            Some(changes) => changes.added.into_iter().chain(changes.changed).collect(),
            None => lines_of(values, &self.collection).unwrap_or_default(),
        }
    }

    fn rules<'a>(&'a self, stamps: Stamps, except: &'a BTreeSet<String>) -> Rules<'a> {
        Rules { lines: self, stamps, except }
    }

    fn same(&self, left: &[Line], right: &[Line], except: &BTreeSet<String>) -> bool {
        left.len() == right.len()
            && left.iter().all(|line| {
                // a line whose id is not known has not been seen yet
                let twin = right.iter().find(|other| line.id.is_some() && other.id == line.id);
                twin.is_some_and(|other| {
                    let held = self.held(line.label(), except);
                    self.mapping.same_except(&line.fields, &other.fields, &held)
                })
            })
    }

    /// The fields of a line whose conflict waits for a person.
    fn held(&self, label: &str, except: &BTreeSet<String>) -> BTreeSet<String> {
        if except.is_empty() {
            return BTreeSet::new();
        }
        let held = |name: &&String| except.contains(&line_field(&self.collection, label, name));
        self.names.iter().filter(held).cloned().collect()
    }

    /// The columns that a new line's row gets from a record's line.
    ///
    /// # Errors
    /// A field that cannot be converted, or refers to a record without a row.
    pub fn new_row(
        &self,
        fields: &Record,
        id: Option<&str>,
        references: &References,
    ) -> Result<Row, DecodeError> {
        let pulled =
            self.mapping.fields.iter().filter(|field| field.pulls).map(|field| field.field.clone()).collect();
        let mut row = self.taken(id.unwrap_or("new"), fields, &pulled, references)?;
        if let (Some(column), Some(id)) = (&self.id_column, id) {
            row.insert(column.clone(), Value::from(id));
        }
        Ok(row)
    }

    /// The columns that `take` of a record's line gives.
    ///
    /// # Errors
    /// A field that cannot be converted, or refers to a record without a row.
    pub fn taken(
        &self,
        label: &str,
        fields: &Record,
        take: &BTreeSet<String>,
        references: &References,
    ) -> Result<Row, DecodeError> {
        self.mapping.decode(fields, take, references).map_err(|error| match error {
            DecodeError::Field(error) => DecodeError::Field(self.error(label, error)),
            DecodeError::Missing(missing) => DecodeError::Missing(self.named(label, missing)),
        })
    }

    fn named(&self, label: &str, missing: Missing) -> Missing {
        Missing { field: line_field(&self.collection, label, &missing.field), ..missing }
    }
}

struct Rules<'a> {
    lines: &'a MappedLines,
    stamps: Stamps,
    except: &'a BTreeSet<String>,
}

impl LineRules for Rules<'_> {
    fn collection(&self) -> &str {
        &self.lines.collection
    }

    fn pushes(&self) -> bool {
        self.lines.pushes
    }

    fn pulls(&self) -> bool {
        self.lines.pulls
    }

    fn recognition(&self) -> Recognition<'_> {
        let mapping = &self.lines.mapping;
        Recognition {
            fields: &self.lines.names,
            match_fields: &mapping.match_fields,
            blank_is_null: mapping.blank_is_null,
        }
    }

    fn project(&self, fields: &Record) -> Record {
        project(fields, self.lines.names.iter().map(String::as_str))
    }

    fn new_line(&self, row: &Record) -> Record {
        self.lines.mapping.new_record(row)
    }

    fn push_diff(&self, row: &Record, shadow: &Record, label: &str) -> Record {
        self.lines.mapping.push_diff(row, shadow, &self.lines.held(label, self.except))
    }

    fn merge(&self, row: &Record, record: &Record, shadow: &Record) -> Merged {
        self.lines.mapping.merge(row, record, shadow, self.lines.prefer, self.stamps)
    }

    fn first_meeting(&self, row: &Record, record: &Record) -> Merged {
        self.lines.mapping.first_meeting(row, record, self.lines.prefer, self.stamps)
    }

    fn record_preferred(&self) -> bool {
        match self.lines.prefer {
            Prefer::Record => true,
            Prefer::Row => false,
            Prefer::Newest => match (self.stamps.row_ms, self.stamps.record_ms) {
                (Some(row), Some(record)) => row <= record,
                _ => true,
            },
        }
    }
}

impl Mapping {
    /// Adds the lines of a document's row to its record.
    pub(super) fn encode_lines(
        &self,
        row: &Row,
        references: &References,
        record: &mut Record,
    ) -> Result<(), FieldError> {
        for lines in &self.lines {
            let mut encoded = Vec::new();
            for (key, row) in lines_of_row(row, &lines.collection) {
                let fields =
                    lines.mapping.encode(&row, references).map_err(|error| lines.error(&key, error))?;
                encoded.push(Line { id: None, key: Some(key), fields });
            }
            record.insert(lines.collection.clone(), lines_value(&encoded));
        }
        Ok(())
    }

    /// Adds what the remote lacks of a row's lines to the changes, per collection in the form of [`Changes`].
    pub(super) fn diff_lines(
        &self,
        row: &Record,
        shadow: &Record,
        except: &BTreeSet<String>,
        into: &mut Record,
    ) {
        for lines in &self.lines {
            let Some(of_row) = lines_of(row, &lines.collection) else { continue };
            let of_shadow = lines_of(shadow, &lines.collection).unwrap_or_default();
            let found = changes(&of_row, &of_shadow, &lines.rules(Stamps::default(), except));
            if !found.is_empty() {
                into.insert(lines.collection.clone(), found.to_value());
            }
        }
    }

    /// Adds a new document's lines: what a create sends of them.
    pub(super) fn new_lines(&self, row: &Record, into: &mut Record) {
        for lines in self.lines.iter().filter(|lines| lines.pushes) {
            let of_row = lines_of(row, &lines.collection).unwrap_or_default();
            let new: Vec<Line> = of_row
                .into_iter()
                .map(|line| Line { fields: lines.mapping.new_record(&line.fields), ..line })
                .collect();
            if !new.is_empty() {
                into.insert(lines.collection.clone(), lines_value(&new));
            }
        }
    }

    /// Checks the lines that are about to be sent: those of a new document, or the added and changed ones.
    pub(super) fn check_lines(&self, values: &Record) -> Option<FieldError> {
        self.lines.iter().find_map(|lines| {
            lines.sent(values).iter().find_map(|line| {
                lines.mapping.check(&line.fields).map(|error| lines.error(line.label(), error))
            })
        })
    }

    /// The first reference of a line that is about to be sent to a row without a record.
    pub(super) fn missing_in_lines(&self, values: &Record) -> Option<Missing> {
        self.lines.iter().find_map(|lines| {
            lines.sent(values).iter().find_map(|line| {
                let missing = lines.mapping.missing(&line.fields)?;
                Some(lines.named(line.label(), missing))
            })
        })
    }

    /// Takes references to rows without a record out of the lines of a new document.
    pub(super) fn lines_without_missing(&self, values: &mut Record) {
        for lines in &self.lines {
            let Some(mut new) = lines_of(values, &lines.collection) else { continue };
            for line in &mut new {
                line.fields.retain(|_, value| stands_in_for(value).is_none());
            }
            values.insert(lines.collection.clone(), lines_value(&new));
        }
    }

    /// Whether two records agree on all lines; `left` and `right` both know the lines' ids.
    pub(super) fn same_lines(&self, left: &Record, right: &Record, except: &BTreeSet<String>) -> bool {
        self.lines.iter().all(|lines| {
            let side = |record| lines_of(record, &lines.collection).unwrap_or_default();
            lines.same(&side(left), &side(right), except)
        })
    }

    /// Whether a shadow was made before the lines, or a field of theirs, were mapped.
    pub(super) fn outgrown_lines(&self, shadow: &Record) -> bool {
        self.lines.iter().any(|lines| {
            let Some(of_shadow) = lines_of(shadow, &lines.collection) else { return true };
            of_shadow.iter().any(|line| lines.names.iter().any(|name| !line.fields.contains_key(name)))
        })
    }

    /// A record as a shadow: the mapped fields, each named, and the lines with their ids.
    pub fn shadow_of(&self, record: &Record) -> Record {
        let mut shadow = project(record, self.field_names());
        for lines in &self.lines {
            let mut of_record = lines_of(record, &lines.collection).unwrap_or_default();
            for line in &mut of_record {
                line.fields = project(&line.fields, lines.names.iter().map(String::as_str));
            }
            shadow.insert(lines.collection.clone(), lines_value(&of_record));
        }
        shadow
    }

    /// The shadow after a write that was confirmed: what was known with what was sent laid over it.
    ///
    /// `ids` are the ids of the lines that were added, in the order in which they were sent, where the answer told them.
    pub fn after_sent(&self, before: &Record, sent: &Record, ids: &Map<String, Value>) -> Record {
        let mut shadow = project(&overlay(before, sent), self.field_names());
        for lines in &self.lines {
            let name = &lines.collection;
            let (mut all, mut added) = match sent.get(name).map(Changes::from_value) {
                None => (lines_of(before, name).unwrap_or_default(), Vec::new()),
                Some(Some(changes)) => (changes.all, changes.added),
                Some(None) => {
                    let sent = lines_of(sent, name).unwrap_or_default();
                    (sent.clone(), sent)
                }
            };
            let told: Vec<&str> = ids
                .get(name)
                .and_then(Value::as_array)
                .map(|ids| ids.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default();
            // only a full list can be matched by its order
            if told.len() == added.len() {
                for (line, id) in added.iter_mut().zip(told) {
                    line.id = Some(id.to_owned());
                }
            }
            for line in &mut all {
                if line.id.is_none() {
                    line.id = added.iter().find(|one| one.key == line.key).and_then(|one| one.id.clone());
                }
                line.fields = project(&line.fields, lines.names.iter().map(String::as_str));
            }
            shadow.insert(name.clone(), lines_value(&all));
        }
        shadow
    }

    /// Whether the shadow holds lines that the remote has never shown us: their ids are not known.
    pub fn has_unseen_lines(&self, shadow: &Record) -> bool {
        self.lines.iter().any(|lines| {
            lines_of(shadow, &lines.collection)
                .is_some_and(|lines| lines.iter().any(|line| line.id.is_none()))
        })
    }

    /// The lines that an update adds, by collection: what has to be remembered before it is sent.
    pub fn added_lines(&self, changes: &Record) -> Record {
        let mut added = Record::new();
        for lines in &self.lines {
            let found = changes.get(&lines.collection).and_then(Changes::from_value).unwrap_or_default();
            if !found.added.is_empty() {
                added.insert(lines.collection.clone(), lines_value(&found.added));
            }
        }
        added
    }

    /// Whether an update adds, changes or removes lines of a collection.
    pub fn touches_lines(&self, changes: &Record) -> bool {
        self.lines.iter().any(|lines| changes.contains_key(&lines.collection))
    }

    /// What the journal keeps of changes: the fields before, and after; of lines only those that were touched.
    pub fn told(&self, shadow: &Record, changes: &Record) -> (Record, Record) {
        let mut before = project(shadow, changes.keys().map(String::as_str));
        let mut after = changes.clone();
        for lines in &self.lines {
            let name = &lines.collection;
            let Some(found) = changes.get(name).and_then(Changes::from_value) else { continue };
            let touched: Vec<Line> = lines_of(shadow, name)
                .unwrap_or_default()
                .into_iter()
                .filter(|line| {
                    let hit = |others: &[Line]| others.iter().any(|other| other.id == line.id);
                    hit(&found.changed) || hit(&found.removed)
                })
                .collect();
            before.insert(name.clone(), lines_value(&touched));
            if let Some(Value::Object(kept)) = after.get_mut(name) {
                kept.shift_remove("all");
            }
        }
        (before, after)
    }

    /// Merges the lines of every collection. `base` is the shadow, `sent` the lines that were sent and never seen.
    pub fn merge_lines(
        &self,
        row: &Record,
        record: &Record,
        base: Option<&Record>,
        sent: Option<&Record>,
        stamps: Stamps,
    ) -> Vec<MergedLines> {
        let nothing = BTreeSet::new();
        let merged = self.lines.iter().map(|lines| {
            let name = &lines.collection;
            let side = |record: &Record| lines_of(record, name).unwrap_or_default();
            let rules = lines.rules(stamps, &nothing);
            match base.and_then(|base| lines_of(base, name)) {
                None => meet_lines(&side(row), &side(record), &rules),
                Some(mut base) => {
                    // what was sent and never seen is known by its key, and has no id yet
                    let unseen = sent.map(side).unwrap_or_default();
                    base.extend(unseen.into_iter().filter(|line| line.key.is_some()));
                    let mut seen = BTreeSet::new();
                    base.retain(|line| line.key.is_none() || seen.insert(line.key.clone()));
                    merge_lines(&side(row), &side(record), &base, &rules)
                }
            }
        });
        merged.collect()
    }

    /// Puts merged lines into a shadow.
    pub fn set_lines(&self, shadow: &mut Record, merged: &[MergedLines]) {
        for (lines, merged) in self.lines.iter().zip(merged) {
            shadow.insert(lines.collection.clone(), lines_value(&merged.shadow));
        }
    }

    /// Whether two shadows tie the same keys of lines to the same ids.
    pub fn same_names(&self, left: &Record, right: &Record) -> bool {
        let names = |record: &Record, lines: &MappedLines| -> BTreeSet<(Option<String>, Option<String>)> {
            lines_of(record, &lines.collection)
                .unwrap_or_default()
                .into_iter()
                .map(|line| (line.id, line.key))
                .collect()
        };
        self.lines.iter().all(|lines| names(left, lines) == names(right, lines))
    }

    /// Whether a shadow has a line for each key of `sent`.
    pub fn names_all(&self, shadow: &Record, sent: &Record) -> bool {
        self.lines.iter().all(|lines| {
            let keys = |record: &Record| -> BTreeSet<Option<String>> {
                let found = lines_of(record, &lines.collection).unwrap_or_default();
                found.into_iter().map(|line| line.key).collect()
            };
            keys(sent).is_subset(&keys(shadow))
        })
    }
}
