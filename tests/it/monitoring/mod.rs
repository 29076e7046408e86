//! What monitoring systems see: the plugin, the service manager's socket, a real Prometheus, a real Zabbix,
//! and a foreign collector of OpenTelemetry.

mod grafana;
mod plugin;
pub mod process;
mod prometheus;
mod service;
mod telemetry;
mod zabbix;
