//! The lines of documents in `rowtwin.yaml`: an order and its lines are one remote document.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::file::{BindingFile, Field};

/// A table whose rows are lines of the document that the binding's table is the header of.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinesFile {
    /// The table of the lines, with its schema: `sales.order_line`.
    pub table: String,
    /// The columns of the line that hold the header's primary key, in its order.
    pub parent: Vec<String>,
    /// The columns that lines are sent in the order of (default: the line's primary key).
    #[serde(default)]
    pub order_by: Vec<String>,
    /// Fields by which lines that do not know each other yet are recognised (default: all values, then the place).
    #[serde(default, rename = "match")]
    pub match_fields: Vec<String>,
    /// A text column of the line that receives the remote line's id.
    #[serde(default)]
    pub id_column: Option<String>,
    /// Column → field of the line.
    pub fields: IndexMap<String, Field>,
    /// Fields of the line that are merged as one unit, by the group's name.
    #[serde(default)]
    pub groups: BTreeMap<String, Vec<String>>,
}

impl BindingFile {
    /// A collection of lines as if it were a binding of its own: direction and policies are the document's.
    pub fn of_lines(&self, collection: &str, lines: &LinesFile) -> Self {
        Self {
            object: collection.to_owned(),
            fields: lines.fields.clone(),
            match_fields: lines.match_fields.clone(),
            id_column: lines.id_column.clone(),
            groups: lines.groups.clone(),
            lines: BTreeMap::new(),
            ..self.clone()
        }
    }
}

/// What the schema cannot say of a binding's lines: (place below the binding, message) pairs.
pub(super) fn meaning(table: &str, binding: &BindingFile) -> Vec<(String, String)> {
    let mut said = Vec::new();
    for (collection, lines) in &binding.lines {
        let at = format!("/lines/{}", crate::config::located::step(collection));
        if lines.table.split('.').count() != 2 {
            said.push((
                format!("{at}/table"),
                format!("table `{}` must be named with its schema, as in `sales.order_line`", lines.table),
            ));
        }
        if lines.table == table {
            said.push((
                format!("{at}/table"),
                format!("`{table}` cannot hold its own lines; name the table of the lines"),
            ));
        }
        if lines.parent.is_empty() {
            said.push((
                format!("{at}/parent"),
                "`parent` names no column; name those that hold the header's primary key".to_owned(),
            ));
        }
        if lines.fields.is_empty() {
            said.push((format!("{at}/fields"), "a line needs at least one field".to_owned()));
        }
        if binding.fields.values().any(|field| field.field == *collection) {
            said.push((
                at.clone(),
                format!("`{collection}` is mapped to a column and cannot hold lines too"),
            ));
        }
        for (column, field) in &lines.fields {
            if !field.approve.is_never() {
                said.push((
                    format!("{at}/fields/{}/approve", crate::config::located::step(column)),
                    "`approve` is not possible on a field of a line; put it on a field of the document, or use `guard`"
                        .to_owned(),
                ));
            }
        }
        for column in &lines.parent {
            if lines.fields.contains_key(column) {
                said.push((
                    format!("{at}/fields/{}", crate::config::located::step(column)),
                    format!(
                        "column `{column}` holds the header's key and is filled by itself; do not map it"
                    ),
                ));
            }
        }
    }
    said
}
