//! Reaching a Postgres: its address, and TLS for ordinary connections and the replication stream alike.
