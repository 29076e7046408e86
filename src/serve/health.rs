//! Whether the process does its work, as `/health` tells it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

/// What the engine knows about itself. The default is that of a start: nothing is reached yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The mirror database answers.
    pub database: bool,
    pub capture: Capture,
    /// The remote systems by name.
    pub systems: BTreeMap<String, SystemHealth>,
    /// Bindings that wait for an operator, with the reason.
    pub held: BTreeMap<String, String>,
}

/// How capture does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Capture {
    /// It is being started or tried again.
    #[default]
    Starting,
    /// Changes are read since then.
    Streaming { since: Timestamp },
    /// Another process reads the slot, and this one takes over when that one ends.
    Standby,
    /// It waits for an operator.
    Stopped { reason: String },
}

/// How a remote system does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemHealth {
    Up,
    /// It is probed, and work is resumed by itself.
    Down {
        since: Timestamp,
    },
    /// An operator paused it.
    Paused,
    /// It waits for an operator, for this reason.
    Held {
        reason: String,
    },
}

/// What `/health` answers.
pub(super) struct Report {
    /// False where a restart or a look by somebody is due: the status is 503 then.
    pub(super) works: bool,
    pub(super) body: Value,
}

impl Health {
    /// The answer: `{"status": "ok" or "degraded", "reasons": […], …}`.
    ///
    /// Remote systems that are down make it degraded, but not failing: an outage is waited out, and whoever restarts
    /// processes on a 503 would gain nothing.
    pub(super) fn report(&self) -> Report {
        let mut reasons = Vec::new();
        if !self.database {
            reasons.push("the mirror database is not reached".to_owned());
        }
        let (capture, since) = match &self.capture {
            Capture::Starting => {
                reasons.push("capture is not streaming yet".to_owned());
                ("starting", None)
            }
            Capture::Streaming { since } => ("streaming", Some(since.to_string())),
            Capture::Standby => ("standby", None),
            Capture::Stopped { reason } => {
                reasons.push(format!("capture has stopped: {reason}"));
                ("stopped", None)
            }
        };
        let works = reasons.is_empty();
        let mut systems = serde_json::Map::new();
        for (name, system) in &self.systems {
            let state = match system {
                SystemHealth::Up => "up",
                SystemHealth::Down { since } => {
                    reasons.push(format!("system {name} is down since {since}"));
                    "down"
                }
                SystemHealth::Paused => "paused",
                SystemHealth::Held { reason } => {
                    reasons.push(format!("system {name} is held: {reason}"));
                    "held"
                }
            };
            systems.insert(name.clone(), Value::from(state));
        }
        reasons.extend(self.held.iter().map(|(name, reason)| format!("{name} is held: {reason}")));
        let status = if reasons.is_empty() { "ok" } else { "degraded" };
        let database = if self.database { "up" } else { "down" };
        let body = json!({
            "status": status,
            "reasons": reasons,
            "database": database,
            "capture": capture,
            "streaming_since": since,
            "systems": systems,
        });
        Report { works, body }
    }
}

impl Health {
    /// The same in one line, for whoever shows a line: `streaming`, or what is wrong.
    pub fn sentence(&self) -> String {
        let report = self.report();
        let text = |name: &str| report.body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let reasons: Vec<&str> = report
            .body
            .get("reasons")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if reasons.is_empty() { text("capture") } else { reasons.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streaming() -> Health {
        Health {
            database: true,
            capture: Capture::Streaming { since: Timestamp::UNIX_EPOCH },
            ..Health::default()
        }
    }

    #[test]
    fn a_process_that_reads_or_stands_by_is_well() {
        let report = streaming().report();
        assert!(report.works);
        assert_eq!(report.body["status"], "ok");
        assert_eq!(report.body["streaming_since"], "1970-01-01T00:00:00Z");
        assert_eq!(report.body["reasons"], json!([]));
        assert!(Health { capture: Capture::Standby, ..streaming() }.report().works);
    }

    #[test]
    fn a_remote_that_is_down_degrades_but_does_not_fail() {
        let since = Timestamp::UNIX_EPOCH;
        let systems = BTreeMap::from([
            ("crm".to_owned(), SystemHealth::Down { since }),
            ("erp".to_owned(), SystemHealth::Paused),
        ]);
        let held = BTreeMap::from([("t - crm.A".to_owned(), "a column is gone".to_owned())]);
        let one = Health { held, ..streaming() };
        assert!(one.report().works && one.sentence() == "t - crm.A is held: a column is gone");
        let report = Health { systems, ..streaming() }.report();
        assert!(report.works);
        assert_eq!(report.body["status"], "degraded");
        assert_eq!(report.body["reasons"], json!(["system crm is down since 1970-01-01T00:00:00Z"]));
        assert_eq!(report.body["systems"], json!({"crm": "down", "erp": "paused"}));
        assert_eq!(streaming().sentence(), "streaming");
        assert!(Health::default().sentence().contains("; capture is not streaming yet"));
    }

    #[test]
    fn no_database_or_no_capture_fails_and_says_why() {
        for (health, word) in [
            (Health { database: false, ..streaming() }, "database"),
            (Health { capture: Capture::Starting, ..streaming() }, "not streaming"),
            (
                Health { capture: Capture::Stopped { reason: "slot in use".into() }, ..streaming() },
                "slot in use",
            ),
        ] {
            let report = health.report();
            assert!(!report.works);
            assert!(report.body["reasons"][0].as_str().unwrap().contains(word));
        }
    }
}
