//! SAP's own OData runtime (CAP), started by each test over a Postgres of its own: versions 2 and 4 of the protocol by
//! those who wrote it, with business partners, sales orders and their items.
//!
//! CAP is free of charge and no free software (SAP Developer License Agreement): it is installed from npm by these tests
//! alone, nothing of it is in this repository, and this file can be left out (`docs/testing.md`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption of a test is a failed test"
)]

#[path = "cap/connector.rs"]
mod connector;
#[path = "cap/go_between.rs"]
mod go_between;
#[path = "cap/orders.rs"]
mod orders;
#[path = "cap/partners.rs"]
mod partners;
#[path = "cap/person.rs"]
mod person;
#[path = "cap/room.rs"]
mod room;
#[path = "tryton/served.rs"]
mod served;
#[path = "cap/server.rs"]
mod server;
#[allow(dead_code, reason = "the scenes of the simulated systems are not needed here")]
#[path = "it/support/mod.rs"]
mod support;
