//! Connectors through a running engine, each against the simulator of its system.

mod jiandaoyun;
mod room;
mod webhooks;
