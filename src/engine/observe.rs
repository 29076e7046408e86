//! Observing: what the engine's loops tell, as metrics and health.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::run::Watch;
use crate::engine::slot::Alarm;
use crate::metrics::Metrics;
use crate::model::record::member;
use crate::serve::{Capture, Health, SystemHealth};
use crate::store::{Store, StoreError};

/// How often the database is asked where everything stands.
const EVERY: Duration = Duration::from_secs(5);

/// Feeds metrics and health.
pub struct Observer {
    metrics: Metrics,
    health: watch::Sender<Health>,
}

impl Observer {
    /// An observer, and what it makes known about health.
    pub fn new(metrics: Metrics) -> (Self, watch::Receiver<Health>) {
        let (health, told) = watch::channel(Health::default());
        (Self { metrics, health }, told)
    }

    /// Reads where everything stands, again and again, until `stop`.
    pub async fn observe(&self, store: Store, stop: CancellationToken) {
        let (mut known, mut changes) = (BTreeSet::new(), 0);
        while !stop.is_cancelled() {
            let read = self.read(&store, &mut known, &mut changes).await;
            self.health.send_modify(|health| health.database = read.is_ok());
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn read(
        &self,
        store: &Store,
        known: &mut BTreeSet<String>,
        changes: &mut u64,
    ) -> Result<(), StoreError> {
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        let mut present = BTreeSet::new();
        for one in store.view("select b.*, extract(epoch from clock_timestamp() - waiting_since)::bigint as oldest from rowtwin.status b").await? {
            let text = |name: &str| member(&one, name).as_str().unwrap_or_default().to_owned();
            let binding = format!("{} - {}.{}", text("table_name"), text("system"), text("object"));
            self.metrics.set_outbox(&binding, count(member(&one, "waiting")), member(&one, "oldest").as_u64().map(Duration::from_secs));
            self.metrics.set_inbox(&binding, count(member(&one, "to_read")));
            present.insert(binding);
        }
        for gone in known.difference(&present) {
            self.metrics.forget_binding(gone);
        }
        *known = present;
        for slot in store.view("select * from rowtwin.slot").await? {
            self.metrics.set_slot(count(member(&slot, "retained_bytes")), count(member(&slot, "lag_bytes")));
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
            self.metrics.set_system_up(&name, health == SystemHealth::Up);
            systems.insert(name, health);
        }
        self.health.send_modify(|health| health.systems = systems);
        Ok(())
    }
}

impl Watch for Observer {
    fn capture(&self, streaming: bool) {
        self.health.send_modify(|health| {
            health.capture =
                if streaming { Capture::Streaming { since: Timestamp::now() } } else { Capture::Starting };
        });
    }

    fn standing_by(&self) {
        self.health.send_modify(|health| health.capture = Capture::Standby);
    }

    fn capture_stopped(&self, reason: &str) {
        self.health.send_modify(|health| health.capture = Capture::Stopped { reason: reason.to_owned() });
    }

    fn slot(&self, alarm: Alarm, reason: &str) {
        let level = match alarm {
            Alarm::None => 0,
            Alarm::Warned => 1,
            Alarm::OverBudget => 2,
        };
        self.metrics.set_slot_alarm(level);
        self.health.send_modify(|health| health.slot = (alarm != Alarm::None).then(|| reason.to_owned()));
    }

    fn pulled(&self, system: &str, object: &str, records: usize) {
        self.metrics.applied(system, object, u64::try_from(records).unwrap_or(0));
    }
}
