//! The commands. Each is a file; what they print goes through `tables`.

pub mod completions;
pub mod config;
pub mod connector;
pub mod dev;
pub mod signals;
pub mod simulate;
pub mod tables;
