//! The gate: every call to a system passes it, so that its limits are kept across all processes.
//!
//! How the limits are shared is another room's business; here is only the door.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::model::outcome::{Outcome, OutcomeKind};
use crate::remote::keep::Keep;

/// Who waits for the call. What runs by itself leaves a reserve of the daily budget to people's edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Somebody edited a row: the write, and the reads that it needs.
    Edit,
    /// Records that somebody's edit or decision asks for: named by a webhook, deferred while their row was sent.
    Apply,
    /// Nobody waits for this very call: backfills, polls, sweeps, verify. An idle poll costs as much as a busy one, so
    /// polls alone would use up any reserve while nobody edits anything. Remote edits come in late then; they are not
    /// overwritten, since a delivery reads before it writes.
    Backfill,
}

/// What came of one call, for the journal, the counters and the limits.
#[derive(Debug, Clone, PartialEq)]
pub struct CallNote {
    /// `list`, `read`, `find`, `create`, `update`, `delete`, `deactivate`, `describe` or `sign_in`.
    pub operation: &'static str,
    /// The object; empty for `sign_in`.
    pub object: String,
    pub priority: Priority,
    /// How many records the call was about.
    pub records: usize,
    /// The HTTP status, 0 when there was no answer.
    pub status: u16,
    pub outcome: OutcomeKind,
    pub millis: u64,
    /// How long the remote asked to wait.
    pub retry_after: Option<Duration>,
    /// Calls used and allowed in the remote's own count, where its answer tells.
    pub usage: Option<(u64, u64)>,
    /// Why a person has to change something, where that is the outcome.
    pub misconfigured: Option<String>,
}

/// Leave to make one call; given back with [`Gate::leave`]. The number is the gate's own.
#[derive(Debug, PartialEq, Eq)]
pub struct Pass(pub i64);

/// The door to a system.
pub trait Gate: Send + Sync {
    /// Waits for a free place, or says why there will be none soon (`Throttled`, `Retry`).
    fn enter<'a>(
        &'a self,
        operation: &'static str,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Pass, Outcome>>;

    /// Gives the place back with what came of the call.
    fn leave<'a>(&'a self, pass: Pass, note: CallNote) -> BoxFuture<'a, ()>;

    /// Where what a sign-in gives is kept for all processes; `None` where there is no such place.
    fn keep(&self) -> Option<Arc<dyn Keep>> {
        None
    }
}

/// No limits: for `connector test` and tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

impl Gate for OpenGate {
    fn enter<'a>(&'a self, _: &'static str, _: Priority) -> BoxFuture<'a, Result<Pass, Outcome>> {
        Box::pin(std::future::ready(Ok(Pass(0))))
    }

    fn leave<'a>(&'a self, _: Pass, _: CallNote) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
