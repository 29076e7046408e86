//! What became of records: every one that was made, changed or removed, in order, whoever did it.

use std::collections::VecDeque;

use serde::Serialize;

/// How many effects are kept; older ones are dropped.
const KEPT: usize = 500_000;

/// What was done to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    /// It was made.
    Created,
    /// It was changed, also in its status.
    Changed,
    /// It is gone.
    Removed,
}

/// One thing that was done to one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Counted from 1, over all objects.
    pub seq: u64,
    /// When, by the simulator's clock: epoch milliseconds.
    pub at_ms: i64,
    /// What was done.
    pub deed: Deed,
    /// The API's operation that did it (`create`, `BatchSave`, `Audit`, `Push`), or `person`.
    pub by: String,
    /// The object. The detail lines of Fxiaoke are records of an object of their own; those of Kingdee belong to the bill.
    pub object: String,
    /// The record.
    pub id: String,
}

/// The effects so far, and who is at work.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Who does what is being done now.
    pub(super) by: String,
    seen: u64,
    kept: VecDeque<Effect>,
}

impl Effects {
    pub(super) fn note(&mut self, at_ms: i64, deed: Deed, object: &str, id: &str) {
        self.seen += 1;
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        let (by, object, id) = (self.by.clone(), object.to_owned(), id.to_owned());
        self.kept.push_back(Effect { seq: self.seen, at_ms, deed, by, object, id });
    }

    pub(super) fn all(&self) -> Vec<Effect> {
        self.kept.iter().cloned().collect()
    }

    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }
}
