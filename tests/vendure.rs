//! A real shop: Vendure from the npm registry, started by each test, kept the same as mirror tables by a manifest that is
//! built on the GraphQL starting point (`examples/vendure.yaml`).
//!
//! Nothing of Vendure is simulated. What happens on its side happens by another client of its API.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption of a test is a failed test"
)]

#[path = "vendure/both_ways.rs"]
mod both_ways;
#[path = "vendure/connector.rs"]
mod connector;
#[path = "tryton/go_between.rs"]
mod go_between;
#[path = "vendure/meanwhile.rs"]
mod meanwhile;
#[path = "vendure/person.rs"]
mod person;
#[path = "vendure/refusals.rs"]
mod refusals;
#[path = "tryton/served.rs"]
mod served;
#[path = "vendure/server.rs"]
mod server;
#[path = "vendure/shop.rs"]
mod shop;
#[allow(dead_code, reason = "not all of a scene is needed here")]
#[path = "it/support/mod.rs"]
mod support;

#[test]
fn the_cases_beside_the_manifest_hold() {
    let connector =
        rowtwin::connector::Connector::compile(include_str!("../examples/vendure.yaml"), "vendure").unwrap();
    for case in rowtwin::connector::run_cases(&connector, include_str!("../examples/vendure.test.yaml")) {
        assert!(case.passed, "{}: {}", case.name, case.detail);
    }
}
