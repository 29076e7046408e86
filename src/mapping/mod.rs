//! Mapping: a row in the record's form and back, with the checks before sending.

pub mod codec;
pub mod draft;
pub mod lines;
pub mod reference;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::config::file::{BindingFile, Field};
use crate::connector::expr::Expr;
use crate::mapping::codec::{ColumnKind, Conversion};
use crate::mapping::lines::MappedLines;
use crate::mapping::reference::{Missing, Reference, References, Wanted, stands_in_for};
use crate::model::binding::{Approval, Prefer};
use crate::model::diff::diff;
use crate::model::document::lines_of;
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

/// Why a record's values cannot become a row's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    Field(FieldError),
    /// The record refers to one that has no row yet.
    Missing(Missing),
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
    /// The column holds another row's key, and the field names that row's record.
    pub reference: Option<Reference>,
    /// Whether the row's value goes to the remote, and the remote's to the row.
    pub pushes: bool,
    pub pulls: bool,
    /// Whether a person approves what is sent.
    pub approval: Approval,
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
        reference: impl Fn(&Field) -> Option<Reference>,
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
                approval: spec.approve,
                reference: reference(spec),
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

    /// The row in the record's form, every mapped field named. A reference to a row that has no record yet gets a
    /// stand-in, which differs from every value; see [`Mapping::missing`].
    ///
    /// # Errors
    /// The first field that cannot be encoded.
    pub fn encode(&self, row: &Row, references: &References) -> Result<Record, FieldError> {
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
                    let named = field.reference.as_ref().map(|to| to.encode(value, references));
                    let value = named.as_ref().unwrap_or(value);
                    if stands_in_for(value).is_some() {
                        record.insert(field.field.clone(), value.clone());
                        continue;
                    }
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
        self.encode_lines(row, references, &mut record)?;
        Ok(record)
    }

    /// The columns that `fields` of a record give.
    ///
    /// # Errors
    /// The first field that cannot be decoded, or refers to a record without a row.
    pub fn decode(
        &self,
        record: &Record,
        fields: &BTreeSet<String>,
        references: &References,
    ) -> Result<Row, DecodeError> {
        let mut row = Row::new();
        for field in self.fields.iter().filter(|field| fields.contains(&field.field)) {
            let value = match &field.pull {
                Some(expr) => expr
                    .first(&Value::Object(record.clone()))
                    .map_err(|error| DecodeError::Field(field.error(error.to_string())))?
                    .unwrap_or(Value::Null),
                None => field.decode(record, references)?,
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

    /// The columns that these fields are mapped to.
    pub fn columns_of(&self, fields: &[String]) -> Vec<String> {
        let mapped = self.fields.iter().filter(|field| fields.contains(&field.field));
        mapped.map(|field| field.column.clone()).collect()
    }

    /// The group that a field is merged in, alone or with others.
    pub fn group_of(&self, field: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.fields.iter().any(|member| member == field))
    }

    /// These fields and all that are decided together with them.
    pub fn with_their_groups(&self, fields: &BTreeSet<String>) -> BTreeSet<String> {
        let groups = fields.iter().filter_map(|field| self.group_of(field));
        groups.flat_map(|group| group.fields.iter()).chain(fields).cloned().collect()
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

impl Mapping {
    /// The first reference among `fields` that stands for a row without a record.
    pub fn missing(&self, fields: &Record) -> Option<Missing> {
        let of_field = self.fields.iter().find_map(|field| {
            let reference = field.reference.as_ref()?;
            let key = stands_in_for(fields.get(&field.field)?)?;
            Some(Missing {
                field: field.field.clone(),
                table: reference.table.clone(),
                parent: reference.parent,
                by: reference.by,
                name: key.to_owned(),
            })
        });
        of_field.or_else(|| self.missing_in_lines(fields))
    }

    /// `fields` without the references that stand for rows without a record.
    pub fn without_missing(&self, mut fields: Record) -> Record {
        fields.retain(|_, value| stands_in_for(value).is_none());
        self.lines_without_missing(&mut fields);
        fields
    }

    /// Notes what must be known to encode a row.
    pub fn wants_of_row(&self, row: &Row, wanted: &mut Wanted) {
        for field in &self.fields {
            if let (Some(reference), Some(key)) = (&field.reference, row.get(&field.column)) {
                reference.wants_key(key, wanted);
            }
        }
        for lines in &self.lines {
            for (_, line) in crate::store::lines::lines_of_row(row, &lines.collection) {
                lines.mapping.wants_of_row(&line, wanted);
            }
        }
    }

    /// Notes what must be known to decode a record.
    pub fn wants_of_record(&self, record: &Record, wanted: &mut Wanted) {
        for field in &self.fields {
            if let (Some(reference), Some(name)) = (&field.reference, record.get(&field.field))
                && let Ok(name) = field.conversion.decode(name, field.kind)
            {
                reference.wants_name(&name, wanted);
            }
        }
        for lines in &self.lines {
            for line in lines_of(record, &lines.collection).unwrap_or_default() {
                lines.mapping.wants_of_record(&line.fields, wanted);
            }
        }
    }

    /// All references, those of lines too, to be told where they lead.
    pub fn references_mut(&mut self) -> impl Iterator<Item = &mut Reference> {
        let of_lines = self.lines.iter_mut().flat_map(|lines| &mut lines.mapping.fields);
        self.fields.iter_mut().chain(of_lines).filter_map(|field| field.reference.as_mut())
    }

    /// All references with the fields that hold them: for those of lines, the collection and the field of a line.
    pub fn references(&self) -> impl Iterator<Item = (Option<&str>, &str, &Reference)> {
        let own = self.fields.iter().map(|field| (None, field));
        let of_lines = self.lines.iter().flat_map(|lines| {
            lines.mapping.fields.iter().map(|field| (Some(lines.collection.as_str()), field))
        });
        own.chain(of_lines).filter_map(|(collection, field)| {
            Some((collection, field.field.as_str(), field.reference.as_ref()?))
        })
    }
}

impl MappedField {
    fn decode(&self, record: &Record, references: &References) -> Result<Value, DecodeError> {
        let value = self
            .conversion
            .decode(record.get(&self.field).unwrap_or(&Value::Null), self.kind)
            .map_err(|reason| DecodeError::Field(self.error(reason)))?;
        let Some(reference) = &self.reference else { return Ok(value) };
        reference.decode(&value, references).map_err(|name| {
            DecodeError::Missing(Missing {
                field: self.field.clone(),
                table: reference.table.clone(),
                parent: reference.parent,
                by: reference.by,
                name,
            })
        })
    }

    fn error(&self, reason: String) -> FieldError {
        FieldError { field: self.field.clone(), reason }
    }
}
