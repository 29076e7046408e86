//! The keep: where what a sign-in gives is kept for all processes of a system, where the next sign-in needs it.
//!
//! What is kept is sealed before it gets here. How it is kept is another room's business; here is only the door.

use std::time::SystemTime;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::model::outcome::Outcome;

/// The right to sign in, and what was kept last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who has it.
    pub holder: Uuid,
    /// Counts what was kept; 0: nothing yet.
    pub generation: i64,
    /// What was kept, sealed.
    pub sealed: Option<Vec<u8>>,
    /// Since when the answer to a sign-in is missing: what it gave is lost.
    pub missing_since: Option<SystemTime>,
}

/// Where the sign-ins of one system are kept.
pub trait Keep: Send + Sync {
    /// Waits for the right to sign in: one at a time, over all processes.
    fn take<'a>(&'a self) -> BoxFuture<'a, Result<Turn, Outcome>>;

    /// Notes that a sign-in goes out, and renews the right to it until `work` is done.
    fn during<'a>(
        &'a self,
        turn: &'a Turn,
        work: BoxFuture<'a, Result<(), Outcome>>,
    ) -> BoxFuture<'a, Result<(), Outcome>>;

    /// Keeps what was given. An answer that cannot be kept is lost: it is tried again and again for a while.
    fn put<'a>(&'a self, turn: &'a Turn, sealed: Vec<u8>) -> BoxFuture<'a, Result<(), Outcome>>;

    /// Gives the right back. `answered`: nothing of what the system gave is missing.
    fn leave<'a>(&'a self, turn: &'a Turn, answered: bool) -> BoxFuture<'a, ()>;
}
