//! WAL → outbox: what changed in the mirror tables becomes keys to look at.

pub mod catch_up;
pub mod judge;
pub mod marks;
pub mod pgoutput;
pub mod stream;
pub mod worker;
