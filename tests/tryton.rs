//! A real ERP: Tryton from the Python package index, started by each test, kept the same as a mirror table.
//!
//! Nothing of Tryton is simulated. What happens on its side happens by calls of another client of its own protocol.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption of a test is a failed test"
)]

#[path = "tryton/both_ways.rs"]
mod both_ways;
#[path = "tryton/client.rs"]
mod client;
#[path = "tryton/collisions.rs"]
mod collisions;
#[path = "tryton/company.rs"]
mod company;
#[path = "tryton/connector.rs"]
mod connector;
#[path = "tryton/go_between.rs"]
mod go_between;
#[path = "tryton/lifecycle.rs"]
mod lifecycle;
#[path = "tryton/meanwhile.rs"]
mod meanwhile;
#[path = "tryton/orders.rs"]
mod orders;
#[path = "tryton/outage.rs"]
mod outage;
#[path = "tryton/room.rs"]
mod room;
#[path = "tryton/sales.rs"]
mod sales;
#[path = "tryton/served.rs"]
mod served;
#[path = "tryton/server.rs"]
mod server;
#[allow(dead_code, reason = "the scenes of the simulated systems are not needed here")]
#[path = "it/support/mod.rs"]
mod support;
#[path = "tryton/three_tables.rs"]
mod three_tables;
#[path = "tryton/wire.rs"]
mod wire;
