//! The engine: puts the rooms together and keeps their turns going.

pub mod assemble;
mod comparing;
pub mod error;
mod gate;
pub mod observe;
pub mod prepare;
pub mod run;
pub mod slot;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub use error::EngineError;

use crate::bound::Bound;
use crate::capture::judge::Memory;
use crate::capture::marks::Watched;
use crate::config::RowtwinFile;
use crate::connector::Client;
use crate::metrics::Metrics;
use crate::postgres::ConnectOptions;
use crate::store::Store;
use crate::store::binding::{BindingSpec, SystemSpec};
use crate::store::mirror::Table;
use crate::store::slot::SlotSpec;

/// The default name of slot and publication.
pub const DEFAULT_NAME: &str = "rowtwin";

/// Everything that a configuration stands for, checked and compiled.
pub struct Engine {
    pub store: Store,
    pub options: ConnectOptions,
    pub file: RowtwinFile,
    pub slot: String,
    pub publication: String,
    pub slot_spec: SlotSpec,
    /// What this process has seen of the database, which no restore takes back.
    memory: Mutex<Memory>,
    pub journal_days: i32,
    /// Shared by all gates; `serve` shows it.
    pub metrics: Metrics,
    pub clients: HashMap<String, Arc<Client>>,
    pub systems: Vec<SystemSpec>,
    pub specs: Vec<BindingSpec>,
    pub tables: Vec<Table>,
    /// In the order of `specs`; their ids are those of the database once registered.
    pub bounds: Vec<Arc<Bound>>,
}

impl Engine {
    /// The tables that capture watches, with the bindings that push them.
    pub fn watched(&self) -> Watched {
        let mut watched = Watched::new();
        for bound in self.bounds.iter().filter(|bound| bound.pushes) {
            let table = &bound.table;
            watched
                .entry((table.schema.clone(), table.name.clone()))
                .or_insert_with(|| crate::capture::marks::WatchedTable {
                    key: table.key.iter().map(|column| column.name.clone()).collect(),
                    bindings: Vec::new(),
                })
                .bindings
                .push(bound.id);
        }
        watched
    }
}
