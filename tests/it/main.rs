//! Integration tests: real Postgres, the production code, the simulators over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption of a test is a failed test"
)]

mod connectors;
mod monitoring;
mod rules;
mod schema_pull;
mod support;
