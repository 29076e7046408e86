//! Reaching a Postgres: its address, and TLS for ordinary connections and the replication stream alike.

mod address;
mod tls;

pub use address::{AddressError, ConnectOptions, TlsMode, connect_options};
