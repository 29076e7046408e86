//! rowtwin keeps the records of CRM and ERP systems as ordinary Postgres tables, and keeps both sides the same.
//!
//! `ARCHITECTURE.md` is the map: the two lives (a row's and a record's), the floors and the invariants.

pub mod model;
pub mod simulator;
