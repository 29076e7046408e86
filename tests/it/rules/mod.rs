//! The rules R1 to R20 of `docs/rules.md`, each with a test that is named after it.

mod both_ways;
mod conflicts;
mod convergence;
mod deletes;
mod doubt;
mod echo;
mod exactly_once;
mod hub;
mod isolation;
mod limits;
mod lost_update;
mod net_change;
mod one_record;
mod outage;
