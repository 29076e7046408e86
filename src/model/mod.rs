//! The nouns, pure: no IO, no clock, no SQL.
//!
//! A *record* is what a remote system holds, a *row* what the mirror table holds, and the *shadow* the last
//! record that both sides agreed on. Everything here is a function of values that are handed in, so that the
//! same code decides in production, in tests and in simulation.

pub mod binding;
pub mod diff;
pub mod document;
pub mod key;
pub mod lifecycle;
pub mod lsn;
pub mod merge;
pub mod outcome;
pub mod record;
pub mod retry;
pub mod spelling;
