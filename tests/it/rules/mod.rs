//! The rules R1 to R20 of `docs/rules.md`, each with a test that is named after it.

mod bad_answers;
mod both_ways;
mod changed_configuration;
mod clean_stop;
mod columns;
mod conflicts;
mod convergence;
mod deletes;
mod document_tables;
pub mod documents;
mod doubt;
mod durable;
mod echo;
mod exactly_once;
mod hub;
mod isolation;
mod keys;
mod limits;
mod lost_update;
mod net_change;
mod one_record;
mod order;
mod outage;
mod processes;
mod references;
mod refusals;
mod rights;
