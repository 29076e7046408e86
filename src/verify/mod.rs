//! Comparing everything: rows with shadows after the slot was lost, and rows, shadows and records on both sides.
//!
//! Both walk in chunks, in the order of keys, and commit what they find together with where they stand. So memory is
//! flat, and a crash goes on where it stopped. Nothing is decided here that deliver and pull decide: what differs is
//! marked or noted, and the usual turns do the rest.

pub mod compare;
pub mod recover;
pub mod repair;
pub mod verifier;

use std::time::Duration;

/// How long one process may work on a comparison without a sign of life.
pub const LEASE: Duration = Duration::from_secs(60);

/// How soon a turn that waits for capture looks again.
const CAPTURE_AGAIN: Duration = Duration::from_millis(100);

/// How soon a turn looks again whether a comparison was ordered.
const ORDERED_AGAIN: Duration = Duration::from_secs(2);

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turned {
    /// Rows, links or records that were seen.
    pub seen: usize,
    /// Whether a comparison is under way.
    pub under_way: bool,
    /// Not before then is there anything to do; `None`: go on at once.
    pub rest: Option<Duration>,
}

impl Turned {
    fn nothing() -> Self {
        Self { rest: Some(ORDERED_AGAIN), ..Self::default() }
    }

    fn waits() -> Self {
        Self { under_way: true, rest: Some(CAPTURE_AGAIN), ..Self::default() }
    }

    fn worked(seen: usize) -> Self {
        Self { seen, under_way: true, rest: None }
    }
}
