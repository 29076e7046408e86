//! A binding at work: its table, its mapping and the client of its system, compiled and ready.

mod references;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::connector::Abilities;
use crate::connector::client::Client;
use crate::connector::lines::lines_field;
use crate::mapping::Mapping;
use crate::model::binding::{
    AgainstEdit, Brake, DeletePolicy, Guard, Leaving, OverwriteCheck, Prefer, ReferredBy,
};
use crate::model::lifecycle::Plan;
use crate::store::catalog::Column;
use crate::store::mirror::Table;
use crate::store::{Store, StoreError};

/// Everything that delivering and pulling one binding needs.
pub struct Bound {
    pub id: i32,
    /// For people: `sales.customer - crm.AccountObj`.
    pub name: String,
    pub system: String,
    pub object: String,
    pub table: Table,
    /// The types of the columns that are read and written, as they were when the mapping was compiled.
    pub column_types: BTreeMap<String, String>,
    pub mapping: Mapping,
    pub client: Arc<Client>,
    pub abilities: Abilities,
    pub id_column: Option<String>,
    pub prefer: Prefer,
    pub to_remote: DeletePolicy,
    pub to_row: DeletePolicy,
    pub against_edit: AgainstEdit,
    /// Whether a delete waits for a person before it goes to the remote.
    pub approve_deletes: bool,
    pub guard: Guard,
    pub brake: Brake,
    /// An SQL predicate: only rows for which it is true are bound.
    pub filter: Option<String>,
    /// The table's columns, to know what a row that is to be made would be.
    pub columns: Vec<Column>,
    pub leaving: Leaving,
    pub pushes: bool,
    pub pulls: bool,
    pub overwrite_check: OverwriteCheck,
    pub poll_every: Duration,
    /// `None`: deletes in the remote are not looked for.
    pub sweep_every: Option<Duration>,
    /// `None`: compared only when somebody asks for it.
    pub verify_every: Option<Duration>,
    /// How long a create whose answer was lost may still turn up in the remote.
    pub doubt_window: Duration,
    /// The object's lifecycle, where it has one, and what is asked of it.
    pub lifecycle: Option<Plan>,
    /// Calls at the same time that one turn makes.
    pub in_flight: usize,
    /// Some lines of the document are written by calls of their own: a failure may leave it half written.
    pub lines_apart: bool,
    /// Collections whose lines are listed by polls too.
    pub watched_lines: Vec<String>,
    /// Told when a webhook has put ids into the inbox, so that they are read at once.
    pub heard: Arc<Notify>,
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
    /// Only rows for which this predicate is true have records.
    pub filter: Option<String>,
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
    /// The collection whose lines hold the field; none where the record itself does.
    pub collection: Option<String>,
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

    /// Holds the binding if its table is no longer the one that the mapping was made for; true when it is not.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn hold_if_drifted(&self, store: &Store) -> Result<bool, StoreError> {
        let Some(drift) = store.column_drift(&self.table, &self.column_types).await? else {
            return Ok(false);
        };
        let reason = format!(
            "{drift}; change it back and select rowtwin.resume('{}'), or correct the configuration and restart rowtwin",
            self.system
        );
        if store.hold_binding(self.id, &reason).await? {
            tracing::error!(binding = %self.name, reason = %drift, "the table has changed; the binding is held");
        }
        Ok(true)
    }

    /// Whether anything that this binding sends waits for a person's approval.
    pub fn asks_for_approvals(&self) -> bool {
        self.approve_deletes || self.mapping.fields.iter().any(|field| !field.approval.is_never())
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
