//! A binding at work: its table, its mapping and the client of its system, compiled and ready.

mod references;

use std::sync::Arc;
use std::time::Duration;

use crate::connector::Abilities;
use crate::connector::client::Client;
use crate::connector::lines::lines_field;
use crate::mapping::Mapping;
use crate::model::binding::{DeletePolicy, OverwriteCheck, Prefer, ReferredBy};
use crate::store::mirror::Table;

/// Everything that delivering and pulling one binding needs.
pub struct Bound {
    pub id: i32,
    /// For people: `sales.customer - crm.AccountObj`.
    pub name: String,
    pub system: String,
    pub object: String,
    pub table: Table,
    pub mapping: Mapping,
    pub client: Arc<Client>,
    pub abilities: Abilities,
    pub id_column: Option<String>,
    pub prefer: Prefer,
    pub to_remote: DeletePolicy,
    pub to_row: DeletePolicy,
    pub pushes: bool,
    pub pulls: bool,
    pub overwrite_check: OverwriteCheck,
    pub poll_every: Duration,
    /// `None`: deletes in the remote are not looked for.
    pub sweep_every: Option<Duration>,
    /// How long a create whose answer was lost may still turn up in the remote.
    pub doubt_window: Duration,
    /// Calls at the same time that one turn makes.
    pub in_flight: usize,
    /// Some lines of the document are written by calls of their own: a failure may leave it half written.
    pub lines_apart: bool,
    /// Collections whose lines are listed by polls too.
    pub watched_lines: Vec<String>,
    /// The bindings that this one's rows and records refer to; known once the bindings are registered.
    pub parents: Vec<Parent>,
    /// The fields of other bindings that refer to this one's records.
    pub children: Vec<Child>,
}

/// A binding that another one refers to.
#[derive(Debug, Clone)]
pub struct Parent {
    pub id: i32,
    /// As the configuration names it.
    pub table_name: String,
    pub table: Table,
    pub pushes: bool,
    pub pulls: bool,
    /// It does not refer back, not even by way of others: so it can be read wholly before its children.
    pub first: bool,
}

/// A field of another binding that refers to this one's records.
#[derive(Debug, Clone)]
pub struct Child {
    pub id: i32,
    /// As the configuration names it.
    pub table_name: String,
    pub field: String,
    pub by: ReferredBy,
}

impl Bound {
    /// The columns that are read from a row: the mapped ones and the one of the remote id.
    pub fn row_columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self.mapping.columns().map(str::to_owned).collect();
        if let Some(id) = &self.id_column
            && !columns.contains(id)
        {
            columns.push(id.clone());
        }
        columns
    }

    /// The fields that are read from a record, with those of its lines.
    pub fn record_fields(&self) -> Vec<String> {
        let mut fields: Vec<String> = self.mapping.field_names().map(str::to_owned).collect();
        for lines in &self.mapping.lines {
            fields.extend(lines.mapping.field_names().map(|field| lines_field(&lines.collection, field)));
        }
        fields
    }
}
