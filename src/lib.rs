//! rowtwin keeps the records of CRM and ERP systems as ordinary Postgres tables, and keeps both sides the same.
//!
//! `ARCHITECTURE.md` is the map: the two lives (a row's and a record's), the floors and the invariants.

pub mod bound;
pub mod capture;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod connector;
pub mod deliver;
pub mod demo;
pub mod engine;
pub mod mapping;
pub mod metrics;
pub mod model;
pub mod postgres;
pub mod pull;
pub mod remote;
pub mod serve;
pub mod simulator;
pub mod store;
pub mod terminal;
pub mod verify;
