//! Observing: what the engine's loops tell, as metrics and health.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::run::Watch;
use crate::metrics::{BindingNumbers, Metrics, SystemNumbers};
use crate::model::record::member;
use crate::serve::{Capture, Health, Notifier, SystemHealth};
use crate::store::{Store, StoreError};

/// How often the database is asked where everything stands.
const EVERY: Duration = Duration::from_secs(5);

/// Feeds metrics, health, and the service manager that started the process, where there is one.
pub struct Observer {
    metrics: Metrics,
    health: watch::Sender<Health>,
    notifier: Notifier,
}

impl Observer {
    /// An observer, and what it makes known about health.
    pub fn new(metrics: Metrics, notifier: Notifier) -> (Self, watch::Receiver<Health>) {
        let (health, told) = watch::channel(Health::default());
        (Self { metrics, health, notifier }, told)
    }

    /// Reads where everything stands, again and again, until `stop`.
    pub async fn observe(&self, store: Store, stop: CancellationToken) {
        let (mut known, mut changes) = (BTreeSet::new(), 0);
        let every = self.notifier.watchdog().map_or(EVERY, |limit| EVERY.min(limit / 3));
        loop {
            let read = tokio::select! {
                () = stop.cancelled() => break,
                read = self.read(&store, &mut known, &mut changes) => read,
            };
            self.metrics.set_database_up(read.is_ok());
            self.health.send_modify(|health| health.database = read.is_ok());
            self.notifier.status(&self.health.borrow().sentence());
            // a process that cannot reach its database does nothing: the manager may try a new one
            if read.is_ok() {
                self.notifier.alive();
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(every) => {}
            }
        }
        self.notifier.stopping();
    }

    async fn read(
        &self,
        store: &Store,
        known: &mut BTreeSet<String>,
        changes: &mut u64,
    ) -> Result<(), StoreError> {
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        let age = |value: &Value| value.as_u64().map(Duration::from_secs);
        let (mut present, mut held) = (BTreeSet::new(), BTreeMap::new());
        let bindings = "select b.*, extract(epoch from clock_timestamp() - waiting_since)::bigint as oldest,
                          extract(epoch from clock_timestamp() - last_poll_at)::bigint as poll_age
                        from rowtwin.status b where state <> 'not configured'";
        for one in store.view(bindings).await? {
            let text = |name: &str| member(&one, name).as_str().unwrap_or_default().to_owned();
            let number = |name: &str| count(member(&one, name));
            let binding = format!("{} - {}.{}", text("table_name"), text("system"), text("object"));
            let numbers = BindingNumbers {
                waiting: number("waiting"),
                oldest: age(member(&one, "oldest")),
                rejected: number("rejected"),
                held: number("held"),
                doubtful: number("doubtful"),
                to_read: number("to_read"),
                unreadable: number("unreadable"),
                conflicts: number("conflicts"),
                conflicts_open: number("conflicts_open"),
                freshness: age(member(&one, "poll_age")),
                is_held: member(&one, "state") == "held",
            };
            self.metrics.set_binding(&binding, &numbers);
            if numbers.is_held {
                held.insert(binding.clone(), text("reason"));
            }
            present.insert(binding);
        }
        for gone in known.difference(&present) {
            self.metrics.forget_binding(gone);
        }
        *known = present;
        for slot in store.view("select * from rowtwin.slot").await? {
            let state = match member(&slot, "wal_status").as_str() {
                Some("lost") => "lost",
                _ => member(&slot, "state").as_str().unwrap_or("missing"),
            };
            let bytes = |name: &str| count(member(&slot, name));
            self.metrics.set_slot(state, bytes("retained_bytes"), bytes("lag_bytes"));
            let total = count(member(&slot, "changes"));
            if *changes > 0 {
                self.metrics.captured(total.saturating_sub(*changes));
            }
            *changes = total;
        }
        let mut systems = BTreeMap::new();
        for system in store.view("select * from rowtwin.systems").await? {
            let name = member(&system, "name").as_str().unwrap_or_default().to_owned();
            let down: Option<Timestamp> =
                member(&system, "down_since").as_str().and_then(|since| since.parse().ok());
            let health = match (member(&system, "state").as_str(), down) {
                (Some("paused"), _) => SystemHealth::Paused,
                (Some("held"), _) => SystemHealth::Held {
                    reason: member(&system, "held_reason")
                        .as_str()
                        .unwrap_or("no reason is known")
                        .to_owned(),
                },
                (_, Some(since)) => SystemHealth::Down { since },
                _ => SystemHealth::Up,
            };
            let numbers = SystemNumbers {
                up: health == SystemHealth::Up,
                held: matches!(health, SystemHealth::Held { .. }),
                paused: health == SystemHealth::Paused,
                used: count(member(&system, "budget_used")),
                limit: member(&system, "per_day").as_u64(),
            };
            self.metrics.set_system(&name, numbers);
            systems.insert(name, health);
        }
        self.health.send_modify(|health| {
            health.systems = systems;
            health.held = held;
        });
        Ok(())
    }
}

impl Watch for Observer {
    fn capture(&self, streaming: bool) {
        self.health.send_modify(|health| {
            health.capture =
                if streaming { Capture::Streaming { since: Timestamp::now() } } else { Capture::Starting };
        });
        if streaming {
            self.notifier.ready();
        }
    }

    fn standing_by(&self) {
        self.health.send_modify(|health| health.capture = Capture::Standby);
        self.notifier.ready();
    }

    fn capture_stopped(&self, reason: &str) {
        self.health.send_modify(|health| health.capture = Capture::Stopped { reason: reason.to_owned() });
    }

    fn pulled(&self, system: &str, object: &str, records: usize) {
        self.metrics.applied(system, object, u64::try_from(records).unwrap_or(0));
    }
}
