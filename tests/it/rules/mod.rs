//! The rules R1 to R20 of `docs/rules.md`, each with a test that is named after it.

mod both_ways;
mod echo;
mod hub;
mod net_change;
