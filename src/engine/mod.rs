//! The engine: puts the rooms together and keeps their turns going.

pub mod assemble;
pub mod certificates;
mod comparing;
mod documents;
pub mod error;
mod gate;
mod keep;
pub mod observe;
mod pool;
pub mod prepare;
mod relate;
pub mod run;
pub mod slot;
pub mod webhooks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub use error::EngineError;

use crate::bound::Bound;
use crate::capture::judge::Memory;
use crate::capture::marks::{Watched, WatchedTable};
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
    /// Bindings that were at work before and no longer fit their tables.
    pub drifted: Vec<Drifted>,
    /// In the order of `specs`; their ids are those of the database once registered.
    pub bounds: Vec<Arc<Bound>>,
}

/// A binding that fitted its table when it ran last. It is held, and its changes are marked for the day when it fits.
pub struct Drifted {
    pub spec: BindingSpec,
    /// None where the table itself is gone.
    pub table: Option<Table>,
    /// What has changed, with the cure.
    pub reason: String,
    /// That of the database once registered.
    pub id: i32,
}

impl Engine {
    /// The tables that capture watches, with the bindings that push them: headers, and the lines of documents.
    pub fn watched(&self) -> Watched {
        let mut watched = Watched::new();
        for bound in self.bounds.iter().filter(|bound| bound.pushes) {
            let key = bound.table.key.iter().map(|column| column.name.clone()).collect();
            watch(&mut watched, &bound.table, key, false, bound.id);
            for child in &bound.table.children {
                watch(&mut watched, &child.table, child.parent.clone(), true, bound.id);
            }
        }
        for one in self.drifted.iter().filter(|one| one.spec.pushes) {
            if let Some(table) = &one.table {
                let key = table.key.iter().map(|column| column.name.clone()).collect();
                watch(&mut watched, table, key, false, one.id);
            }
        }
        watched
    }
}

fn watch(watched: &mut Watched, table: &Table, key: Vec<String>, lines: bool, binding: i32) {
    let entries = watched.entry((table.schema.clone(), table.name.clone())).or_default();
    match entries.iter_mut().find(|entry| entry.key == key && entry.lines == lines) {
        Some(entry) => entry.bindings.push(binding),
        None => entries.push(WatchedTable { key, lines, bindings: vec![binding] }),
    }
}
