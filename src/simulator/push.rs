//! What systems tell of by themselves: written down with its seal, for whoever wants to deliver, lose, repeat or reorder it.

use serde::Serialize;

/// The most pushes that wait to be taken; older ones are lost.
pub(super) const KEPT: usize = 100_000;

/// One push as the system would send it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Push {
    /// What follows the `?` of the address.
    pub query: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}
