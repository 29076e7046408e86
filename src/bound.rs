//! A binding at work: its table, its mapping and the client of its system, compiled and ready.

use std::sync::Arc;
use std::time::Duration;

use crate::connector::Abilities;
use crate::connector::client::Client;
use crate::mapping::Mapping;
use crate::model::binding::{DeletePolicy, OverwriteCheck, Prefer};
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
    /// `None`: compared only when somebody asks for it.
    pub verify_every: Option<Duration>,
    /// How long a create whose answer was lost may still turn up in the remote.
    pub doubt_window: Duration,
    /// Calls at the same time that one turn makes.
    pub in_flight: usize,
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

    /// The fields that are read from a record.
    pub fn record_fields(&self) -> Vec<String> {
        self.mapping.field_names().map(str::to_owned).collect()
    }
}
