//! Mapping: a row in the record's form and back, with the checks before sending.

pub mod codec;
pub mod lines;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::config::file::BindingFile;
use crate::connector::expr::Expr;
use crate::mapping::codec::{ColumnKind, Conversion};
use crate::mapping::lines::MappedLines;
use crate::model::binding::Prefer;
use crate::model::diff::diff;
use crate::model::merge::{Group, Merged, Stamps, first_meeting, merge};
use crate::model::record::{Record, same_value};

/// A row as JSON: column → value.
pub type Row = Map<String, Value>;

/// A value that cannot be mapped, or fails its check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct FieldError {
    pub field: String,
    /// What the value should be; never the value itself.
    pub reason: String,
}

/// One mapped column.
#[derive(Debug)]
pub struct MappedField {
    pub column: String,
    pub field: String,
    kind: ColumnKind,
    conversion: Conversion,
    push: Option<Expr>,
    pull: Option<Expr>,
    check: Option<jsonschema::Validator>,
    /// Whether the row's value goes to the remote, and the remote's to the row.
    pub pushes: bool,
    pub pulls: bool,
}

/// How a table's rows and an object's records stand for each other.
#[derive(Debug)]
pub struct Mapping {
    pub fields: Vec<MappedField>,
    pub groups: Vec<Group>,
    pub match_fields: Vec<String>,
    pub blank_is_null: bool,
    /// The collections of a document; empty for a record without lines.
    pub lines: Vec<MappedLines>,
}

impl Mapping {
    /// Compiles a binding's mapping; `column_type` gives a column's type by name, `None` where the table lacks it.
    ///
    /// # Errors
    /// Every finding, each with the column's name.
    pub fn new(
        binding: &BindingFile,
        column_type: impl Fn(&str) -> Option<String>,
        blank_is_null: bool,
    ) -> Result<Self, Vec<String>> {
        let mut findings = Vec::new();
        let mut fields = Vec::new();
        let mut groups = Vec::new();
        for (column, spec) in &binding.fields {
            let Some(type_name) = column_type(column) else {
                findings.push(format!(
                    "column `{column}` does not exist; add it to the table or remove it from `fields`"
                ));
                continue;
            };
            let mut compile = |source: &Option<String>, which: &str| {
                source.as_ref().and_then(|source| {
                    Expr::compile(source, &format!("fields.{column}.{which}"))
                        .map_err(|error| findings.push(error.to_string()))
                        .ok()
                })
            };
            let (push, pull) = (compile(&spec.push, "push"), compile(&spec.pull, "pull"));
            let conversion = match Conversion::new(spec.codec.as_ref()) {
                Ok(conversion) => conversion,
                Err(reason) => {
                    findings.push(format!("fields.{column}.codec: {reason}"));
                    continue;
                }
            };
            let check = spec.check.as_ref().and_then(|check| jsonschema::validator_for(check).ok());
            let one_way = spec.push.is_some() != spec.pull.is_some();
            fields.push(MappedField {
                kind: ColumnKind::of(&type_name),
                pushes: spec.direction.pushes()
                    && binding.direction.pushes()
                    && !(one_way && spec.push.is_none()),
                pulls: spec.direction.pulls()
                    && binding.direction.pulls()
                    && !(one_way && spec.pull.is_none()),
                column: column.clone(),
                field: spec.field.clone(),
                conversion,
                push,
                pull,
                check,
            });
            if !binding.groups.values().any(|members| members.contains(&spec.field)) {
                groups.push(Group {
                    name: spec.field.clone(),
                    fields: vec![spec.field.clone()],
                    policy: spec.policy.unwrap_or(binding.policy),
                });
            }
        }
        for (name, members) in &binding.groups {
            groups.push(Group { name: name.clone(), fields: members.clone(), policy: binding.policy });
        }
        if findings.is_empty() {
            Ok(Self {
                fields,
                groups,
                match_fields: binding.match_fields.clone(),
                blank_is_null,
                lines: Vec::new(),
            })
        } else {
            Err(findings)
        }
    }

    /// The columns that are read from a row.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.column.as_str())
    }

    /// All mapped fields of the record itself; its collections of lines are in `lines`.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.field.as_str())
    }

    /// The row in the record's form, every mapped field named.
    ///
    /// # Errors
    /// The first field that cannot be encoded.
    pub fn encode(&self, row: &Row) -> Result<Record, FieldError> {
        let mut record = Record::new();
        for field in &self.fields {
            let value = match &field.push {
                Some(expr) => expr
                    .first(&Value::Object(row.clone()))
                    .map_err(|error| field.error(error.to_string()))?
                    .unwrap_or(Value::Null),
                None if field.pull.is_some() => Value::Null,
                None => {
                    let value = row.get(&field.column).unwrap_or(&Value::Null);
                    let bare = match (field.kind, value) {
                        (ColumnKind::Padded, Value::String(text)) => {
                            Some(Value::from(text.trim_end_matches(' ')))
                        }
                        _ => None,
                    };
                    field
                        .conversion
                        .encode(bare.as_ref().unwrap_or(value))
                        .map_err(|reason| field.error(reason))?
                }
            };
            record.insert(field.field.clone(), value);
        }
        self.encode_lines(row, &mut record)?;
        Ok(record)
    }

    /// The columns that `fields` of a record give.
    ///
    /// # Errors
    /// The first field that cannot be decoded.
    pub fn decode(&self, record: &Record, fields: &BTreeSet<String>) -> Result<Row, FieldError> {
        let mut row = Row::new();
        for field in self.fields.iter().filter(|field| fields.contains(&field.field)) {
            let value = match &field.pull {
                Some(expr) => expr
                    .first(&Value::Object(record.clone()))
                    .map_err(|error| field.error(error.to_string()))?
                    .unwrap_or(Value::Null),
                None => field
                    .conversion
                    .decode(record.get(&field.field).unwrap_or(&Value::Null), field.kind)
                    .map_err(|reason| field.error(reason))?,
            };
            row.insert(field.column.clone(), value);
        }
        Ok(row)
    }

    /// What of the encoded row the remote does not have yet.
    pub fn push_diff(&self, row: &Record, shadow: &Record, except: &BTreeSet<String>) -> Record {
        let fields = self
            .fields
            .iter()
            .filter(|field| field.pushes && !except.contains(&field.field))
            .map(|field| field.field.as_str());
        let mut changes = diff(row, shadow, fields, self.blank_is_null);
        self.diff_lines(row, shadow, except, &mut changes);
        changes
    }

    /// The whole row for a create: fields without a value are left out.
    pub fn new_record(&self, row: &Record) -> Record {
        let mut record: Record = self
            .fields
            .iter()
            .filter(|field| field.pushes)
            .filter_map(|field| {
                let value = row.get(&field.field)?;
                (!same_value(Some(value), None, self.blank_is_null))
                    .then(|| (field.field.clone(), value.clone()))
            })
            .collect();
        self.new_lines(row, &mut record);
        record
    }

    /// Checks values that are about to be sent.
    pub fn check(&self, values: &Record) -> Option<FieldError> {
        let of_field = self.fields.iter().find_map(|field| {
            let value = values.get(&field.field)?;
            let check = field.check.as_ref()?;
            if value.is_null() || check.is_valid(value) {
                return None;
            }
            let rules: Vec<String> = check
                .iter_errors(value)
                .map(|error| {
                    let masked = error.masked_with("the value");
                    masked.to_string()
                })
                .collect();
            Some(field.error(rules.join("; ")))
        });
        of_field.or_else(|| self.check_lines(values))
    }

    /// Three-way merge, with fields that flow one way only taken that way.
    ///
    /// A shadow names every field that was mapped when it was made. One that it does not name has been mapped since:
    /// there is no base to compare with, so `prefer` decides it like a first meeting.
    pub fn merge(
        &self,
        row: &Record,
        record: &Record,
        shadow: &Record,
        prefer: Prefer,
        stamps: Stamps,
    ) -> Merged {
        let (known, new): (Vec<Group>, Vec<Group>) = self
            .groups
            .iter()
            .cloned()
            .partition(|group| group.fields.iter().all(|field| shadow.contains_key(field)));
        let mut merged = merge(row, record, shadow, &known, stamps, self.blank_is_null);
        if !new.is_empty() {
            let first = first_meeting(row, record, &new, prefer, stamps, self.blank_is_null);
            merged.take.extend(first.take);
            merged.give.extend(first.give);
        }
        self.one_way(merged, row, record, Some(shadow))
    }

    /// Whether a shadow was made before the latest field was mapped.
    pub fn outgrown(&self, shadow: &Record) -> bool {
        self.fields.iter().any(|field| !shadow.contains_key(&field.field)) || self.outgrown_lines(shadow)
    }

    /// The first meeting of a row and a record: see [`first_meeting`].
    pub fn first_meeting(&self, row: &Record, record: &Record, prefer: Prefer, stamps: Stamps) -> Merged {
        let merged = first_meeting(row, record, &self.groups, prefer, stamps, self.blank_is_null);
        self.one_way(merged, row, record, None)
    }

    fn one_way(&self, mut merged: Merged, row: &Record, record: &Record, shadow: Option<&Record>) -> Merged {
        for field in &self.fields {
            let name = &field.field;
            match (field.pushes, field.pulls) {
                (true, true) => {}
                (false, true) => {
                    let moved = match &field.pull {
                        // what jq alone can read cannot be compared with the row: the shadow tells
                        Some(_) if field.push.is_none() => !same_value(
                            record.get(name),
                            shadow.and_then(|shadow| shadow.get(name)),
                            self.blank_is_null,
                        ),
                        _ => !same_value(record.get(name), row.get(name), self.blank_is_null),
                    };
                    merged.give.remove(name);
                    merged.conflicts.retain(|conflict| conflict.field != *name);
                    if moved {
                        merged.take.insert(name.clone());
                    } else {
                        merged.take.remove(name);
                    }
                }
                (_, false) => {
                    merged.take.remove(name);
                    merged.conflicts.retain(|conflict| conflict.field != *name);
                }
            }
        }
        merged
    }

    /// Whether two records agree on all mapped fields.
    pub fn same(&self, left: &Record, right: &Record) -> bool {
        self.same_except(left, right, &BTreeSet::new())
    }

    /// Whether two records agree on all mapped fields but these.
    pub fn same_except(&self, left: &Record, right: &Record, except: &BTreeSet<String>) -> bool {
        let fields = self.field_names().filter(|name| !except.contains(*name));
        diff(left, right, fields, self.blank_is_null).is_empty() && self.same_lines(left, right, except)
    }
}

impl MappedField {
    fn error(&self, reason: String) -> FieldError {
        FieldError { field: self.field.clone(), reason }
    }
}
