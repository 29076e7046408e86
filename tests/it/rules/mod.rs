//! The rules R1 to R20 of `docs/rules.md`, each with a test that is named after it.

mod bad_answers;
mod both_ways;
mod changed_configuration;
mod clean_stop;
mod columns;
mod durable;
mod keys;
mod order;
mod refusals;
mod rights;
