//! Documents: records that hold collections of lines, aligned, compared and merged line by line. Pure.
//!
//! A document's record holds, under the collection's name, an array of lines: `{"id": …, "key": …, "fields": {…}}`.
//! The encoded row knows keys, the remote's record knows ids, and the shadow knows both: it is what ties them.

mod align;
mod changes;
mod merge;
#[cfg(test)]
mod model_tests;

pub use align::{Recognition, Triple, align};
pub use changes::{Changes, changes};
pub use merge::{MergedLines, meet_lines, merge_lines};

use serde_json::{Map, Value};

use crate::model::merge::Merged;
use crate::model::record::Record;

/// One line of a document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Line {
    /// The remote's identity of the line; `None` while it is not known.
    pub id: Option<String>,
    /// The primary key of the row of the line; `None` where there is no row (yet).
    pub key: Option<String>,
    pub fields: Record,
}

impl Line {
    /// Takes a line out of its JSON form; `None` when it is not one.
    pub fn from_value(value: &Value) -> Option<Self> {
        let Value::Object(line) = value else { return None };
        let text = |name: &str| match line.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let fields = line.get("fields")?.as_object()?.clone();
        Some(Self { id: text("id"), key: text("key"), fields })
    }

    /// The JSON form; what is not known is left out.
    pub fn to_value(&self) -> Value {
        let mut line = Map::new();
        if let Some(id) = &self.id {
            line.insert("id".to_owned(), Value::from(id.as_str()));
        }
        if let Some(key) = &self.key {
            line.insert("key".to_owned(), Value::from(key.as_str()));
        }
        line.insert("fields".to_owned(), Value::Object(self.fields.clone()));
        Value::Object(line)
    }

    /// What people see the line by: its id, else its key.
    pub fn label(&self) -> &str {
        self.id.as_deref().or(self.key.as_deref()).unwrap_or("new")
    }
}

/// The lines of a collection; `None` where the record does not name it.
pub fn lines_of(record: &Record, collection: &str) -> Option<Vec<Line>> {
    match record.get(collection)? {
        Value::Array(lines) => Some(lines.iter().filter_map(Line::from_value).collect()),
        _ => None,
    }
}

/// Lines in the form in which a record holds them.
pub fn lines_value(lines: &[Line]) -> Value {
    Value::Array(lines.iter().map(Line::to_value).collect())
}

/// The name of a field of a line, for people: `FSaleOrderEntry[12].FQty`.
pub fn line_field(collection: &str, label: &str, field: &str) -> String {
    format!("{collection}[{label}].{field}")
}

/// How single lines of a collection are compared and merged: the mapping knows.
pub trait LineRules {
    /// The collection's name.
    fn collection(&self) -> &str;
    /// Whether lines go to the remote at all.
    fn pushes(&self) -> bool;
    /// Whether lines come from the remote at all.
    fn pulls(&self) -> bool;
    /// How lines that do not know each other are recognised.
    fn recognition(&self) -> Recognition<'_>;
    /// Only the mapped fields, each of them named.
    fn project(&self, fields: &Record) -> Record;
    /// What a new line sends.
    fn new_line(&self, row: &Record) -> Record;
    /// The fields that the remote does not have yet; `label` is the shadow's.
    fn push_diff(&self, row: &Record, shadow: &Record, label: &str) -> Record;
    /// Three-way merge of one line.
    fn merge(&self, row: &Record, record: &Record, shadow: &Record) -> Merged;
    /// The first meeting of one line.
    fn first_meeting(&self, row: &Record, record: &Record) -> Merged;
    /// Whether, at the first meeting of two documents, the record's lines decide rather than the row's.
    fn record_preferred(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_survives_the_round_trip() {
        for value in [
            json!({"id": "7", "key": "1", "fields": {"FQty": 2}}),
            json!({"id": "7", "fields": {}}),
            json!({"key": "[\"1\",\"2\"]", "fields": {"a": null}}),
        ] {
            assert_eq!(Line::from_value(&value).map(|line| line.to_value()), Some(value));
        }
        assert_eq!(Line::from_value(&json!({"id": 7})), None);
        assert_eq!(
            Line::from_value(&json!({"id": 7, "fields": {}})).and_then(|line| line.id).as_deref(),
            Some("7")
        );
    }
}
