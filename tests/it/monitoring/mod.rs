//! What monitoring systems see: the plugin, the service manager's socket, and a real Prometheus.

mod plugin;
pub mod process;
mod prometheus;
mod service;
mod telemetry;
