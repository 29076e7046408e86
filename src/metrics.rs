//! Numbers for Prometheus: what was captured, called, written and applied, and what waits.
//!
//! Labels name systems, objects, bindings, operations and outcomes only. Keys, values and what remotes say never
//! become a label: they would be without bound, and they are the users' data.

mod webhooks;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::model::outcome::OutcomeKind;

/// What `/metrics` says that its text is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The name before every metric's own.
const PREFIX: &str = "rowtwin";

/// Upper bounds of the buckets of `call_seconds`: from a local answer to the longest time-out of a connector.
const CALL_BUCKETS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

/// A name without prefix and without the `_total` that counters get, and the help text.
type Described = (&'static str, &'static str);

const CALLS: Described = ("calls", "Calls to a remote system, by operation and outcome");
const CALL_SECONDS: Described = ("call_seconds", "How long calls to a remote system took, in seconds");
const CAPTURED: Described = ("rows_captured", "Changed rows read from the write-ahead log");
const WRITTEN: Described = ("records_written", "Records sent to a remote system, by what came of them");
const APPLIED: Described = ("rows_applied", "Rows of the mirror written from remote records");
const OUTBOX: Described = ("outbox_waiting", "Keys in the outbox that wait to be looked at");
const OLDEST: Described =
    ("outbox_oldest_seconds", "Age of the oldest waiting key of the outbox, in seconds");
const PARKED: Described = (
    "outbox_parked",
    "Keys in the outbox that wait for a person, by state: rejected, held for approval, or doubtful",
);
const INBOX: Described = ("inbox_waiting", "Remote ids in the inbox that wait to be read");
const UNREADABLE: Described = ("inbox_unreadable", "Remote records that could not be applied");
const CONFLICTS: Described = ("conflicts", "Fields that both sides changed, decided ones included");
const CONFLICTS_OPEN: Described = ("conflicts_open", "Conflicts that wait for a person to decide them");
const FRESHNESS: Described =
    ("freshness_seconds", "How long ago the binding's remote was last read up to its end, in seconds");
const BINDING_HELD: Described = ("binding_held", "1 while the binding is held for a person, else 0");
const RETAINED: Described =
    ("slot_retained_bytes", "Write-ahead log that the slot keeps the server from removing");
const LAG: Described = ("slot_lag_bytes", "Write-ahead log that was written and is not captured yet");
const SLOT_STATE: Described = ("slot_state", "1 for the state that the replication slot is in, else 0");
const ALARM: Described =
    ("slot_alarm", "0 while the slot retains little, 1 beyond the warning, 2 beyond the budget");
const UP: Described = ("system_up", "1 while the remote system answers, 0 while it is down");
const HELD: Described = ("system_held", "1 while the remote system is held for a person, else 0");
const PAUSED: Described = ("system_paused", "1 while somebody paused the remote system, else 0");
const USED: Described = ("budget_used_calls", "Calls to the system in its current day");
const LIMIT: Described =
    ("budget_limit_calls", "Calls to the system that its day allows; absent without a limit");
const DATABASE: Described =
    ("database_up", "1 while the mirror database answers; the gauges are old while it is 0");
const WEBHOOKS: Described = ("webhooks", "Webhooks received, by what came of them");
const WEBHOOK_RECORDS: Described =
    ("webhook_records", "Records that webhooks named: noted to be read, or of objects that are not bound");
const BUILD: Described = ("build_info", "Always 1; the label names the version that runs");

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct System {
    system: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    system: String,
    operation: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    system: String,
    operation: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Object {
    system: String,
    object: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Written {
    system: String,
    object: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Binding {
    binding: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Parked {
    binding: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SlotState {
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// Where a binding stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BindingNumbers {
    /// Keys of the outbox that wait to be looked at, and the age of the one that waits longest; none when none does.
    pub waiting: u64,
    pub oldest: Option<Duration>,
    /// Keys of the outbox that wait for a person.
    pub rejected: u64,
    pub held: u64,
    pub doubtful: u64,
    /// Ids of the inbox to read, and records that could not be applied.
    pub to_read: u64,
    pub unreadable: u64,
    pub conflicts: u64,
    pub conflicts_open: u64,
    /// How long ago the remote was last read up to its end; none before the first time.
    pub freshness: Option<Duration>,
    /// The binding itself is held.
    pub is_held: bool,
}

/// Where a system stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemNumbers {
    pub up: bool,
    pub held: bool,
    pub paused: bool,
    /// Calls in the system's current day, and how many it allows; none without a limit.
    pub used: u64,
    pub limit: Option<u64>,
}

/// The states of a slot that are shown with 0 while it is in another one.
const SLOT_STATES: [&str; 4] = ["streaming", "idle", "missing", "lost"];

type Seconds = Gauge<f64, AtomicU64>;

/// All metrics of a process. Clones share the numbers.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    calls: Family<Call, Counter>,
    call_seconds: Family<Operation, Histogram, fn() -> Histogram>,
    captured: Counter,
    written: Family<Written, Counter>,
    applied: Family<Object, Counter>,
    outbox_waiting: Family<Binding, Gauge>,
    outbox_oldest: Family<Binding, Seconds>,
    outbox_parked: Family<Parked, Gauge>,
    inbox_waiting: Family<Binding, Gauge>,
    inbox_unreadable: Family<Binding, Gauge>,
    conflicts: Family<Binding, Gauge>,
    conflicts_open: Family<Binding, Gauge>,
    freshness: Family<Binding, Seconds>,
    binding_held: Family<Binding, Gauge>,
    slot_retained: Gauge,
    slot_lag: Gauge,
    slot_state: Family<SlotState, Gauge>,
    slot_alarm: Gauge,
    system_up: Family<System, Gauge>,
    system_held: Family<System, Gauge>,
    system_paused: Family<System, Gauge>,
    budget_used: Family<System, Gauge>,
    budget_limit: Family<System, Gauge>,
    database_up: Gauge,
    webhooks: webhooks::Families,
    build: Family<Build, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at nothing.
    pub fn new() -> Self {
        fn histogram() -> Histogram {
            Histogram::new(CALL_BUCKETS)
        }
        let mut inner = Inner {
            registry: Registry::with_prefix(PREFIX),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(histogram),
            captured: Counter::default(),
            written: Family::default(),
            applied: Family::default(),
            outbox_waiting: Family::default(),
            outbox_oldest: Family::default(),
            outbox_parked: Family::default(),
            inbox_waiting: Family::default(),
            inbox_unreadable: Family::default(),
            conflicts: Family::default(),
            conflicts_open: Family::default(),
            freshness: Family::default(),
            binding_held: Family::default(),
            slot_retained: Gauge::default(),
            slot_lag: Gauge::default(),
            slot_state: Family::default(),
            slot_alarm: Gauge::default(),
            system_up: Family::default(),
            system_held: Family::default(),
            system_paused: Family::default(),
            budget_used: Family::default(),
            budget_limit: Family::default(),
            database_up: Gauge::default(),
            webhooks: webhooks::Families::default(),
            build: Family::default(),
        };
        inner.build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        let registry = &mut inner.registry;
        registry.register(CALLS.0, CALLS.1, inner.calls.clone());
        registry.register(CALL_SECONDS.0, CALL_SECONDS.1, inner.call_seconds.clone());
        registry.register(CAPTURED.0, CAPTURED.1, inner.captured.clone());
        registry.register(WRITTEN.0, WRITTEN.1, inner.written.clone());
        registry.register(APPLIED.0, APPLIED.1, inner.applied.clone());
        registry.register(OUTBOX.0, OUTBOX.1, inner.outbox_waiting.clone());
        registry.register(OLDEST.0, OLDEST.1, inner.outbox_oldest.clone());
        registry.register(PARKED.0, PARKED.1, inner.outbox_parked.clone());
        registry.register(INBOX.0, INBOX.1, inner.inbox_waiting.clone());
        registry.register(UNREADABLE.0, UNREADABLE.1, inner.inbox_unreadable.clone());
        registry.register(CONFLICTS.0, CONFLICTS.1, inner.conflicts.clone());
        registry.register(CONFLICTS_OPEN.0, CONFLICTS_OPEN.1, inner.conflicts_open.clone());
        registry.register(FRESHNESS.0, FRESHNESS.1, inner.freshness.clone());
        registry.register(BINDING_HELD.0, BINDING_HELD.1, inner.binding_held.clone());
        registry.register(RETAINED.0, RETAINED.1, inner.slot_retained.clone());
        registry.register(LAG.0, LAG.1, inner.slot_lag.clone());
        registry.register(SLOT_STATE.0, SLOT_STATE.1, inner.slot_state.clone());
        registry.register(ALARM.0, ALARM.1, inner.slot_alarm.clone());
        registry.register(UP.0, UP.1, inner.system_up.clone());
        registry.register(HELD.0, HELD.1, inner.system_held.clone());
        registry.register(PAUSED.0, PAUSED.1, inner.system_paused.clone());
        registry.register(USED.0, USED.1, inner.budget_used.clone());
        registry.register(LIMIT.0, LIMIT.1, inner.budget_limit.clone());
        registry.register(DATABASE.0, DATABASE.1, inner.database_up.clone());
        inner.webhooks.register(registry);
        registry.register(BUILD.0, BUILD.1, inner.build.clone());
        Self(Arc::new(inner))
    }

    /// A call to a system was answered, or its answer was lost (`OutcomeKind::Unknown`).
    pub fn called(&self, system: &str, operation: &str, outcome: OutcomeKind, took: Duration) {
        let (system, operation) = (system.to_owned(), operation.to_owned());
        let labels = Operation { system: system.clone(), operation: operation.clone() };
        self.0.call_seconds.get_or_create(&labels).observe(took.as_secs_f64());
        self.0.calls.get_or_create(&Call { system, operation, outcome: outcome.word() }).inc();
    }

    /// Changed rows were read from the write-ahead log.
    pub fn captured(&self, rows: u64) {
        self.0.captured.inc_by(rows);
    }

    /// Records were sent, and this came of them.
    pub fn written(&self, system: &str, object: &str, outcome: OutcomeKind, records: u64) {
        let labels =
            Written { system: system.to_owned(), object: object.to_owned(), outcome: outcome.word() };
        self.0.written.get_or_create(&labels).inc_by(records);
    }

    /// Rows of the mirror were written from records.
    pub fn applied(&self, system: &str, object: &str, rows: u64) {
        let labels = Object { system: system.to_owned(), object: object.to_owned() };
        self.0.applied.get_or_create(&labels).inc_by(rows);
    }

    /// Where a binding stands.
    pub fn set_binding(&self, binding: &str, numbers: &BindingNumbers) {
        let all = &*self.0;
        let labels = Binding { binding: binding.to_owned() };
        all.outbox_waiting.get_or_create(&labels).set(count(numbers.waiting));
        all.outbox_oldest.get_or_create(&labels).set(numbers.oldest.unwrap_or_default().as_secs_f64());
        for (state, keys) in
            [("rejected", numbers.rejected), ("held", numbers.held), ("doubtful", numbers.doubtful)]
        {
            let labels = Parked { binding: binding.to_owned(), state };
            all.outbox_parked.get_or_create(&labels).set(count(keys));
        }
        all.inbox_waiting.get_or_create(&labels).set(count(numbers.to_read));
        all.inbox_unreadable.get_or_create(&labels).set(count(numbers.unreadable));
        all.conflicts.get_or_create(&labels).set(count(numbers.conflicts));
        all.conflicts_open.get_or_create(&labels).set(count(numbers.conflicts_open));
        all.binding_held.get_or_create(&labels).set(i64::from(numbers.is_held));
        match numbers.freshness {
            Some(age) => {
                all.freshness.get_or_create(&labels).set(age.as_secs_f64());
            }
            None => {
                all.freshness.remove(&labels);
            }
        }
    }

    /// A binding is no longer configured: its gauges would stand still for ever.
    pub fn forget_binding(&self, binding: &str) {
        let all = &*self.0;
        let labels = Binding { binding: binding.to_owned() };
        for family in [
            &all.outbox_waiting,
            &all.inbox_waiting,
            &all.inbox_unreadable,
            &all.conflicts,
            &all.conflicts_open,
            &all.binding_held,
        ] {
            family.remove(&labels);
        }
        all.outbox_oldest.remove(&labels);
        all.freshness.remove(&labels);
        for state in ["rejected", "held", "doubtful"] {
            all.outbox_parked.remove(&Parked { binding: binding.to_owned(), state });
        }
    }

    /// The state of the slot, the bytes of write-ahead log that it retains, and those that capture has not read yet.
    pub fn set_slot(&self, state: &str, retained: u64, lag: u64) {
        let all = &*self.0;
        all.slot_retained.set(count(retained));
        all.slot_lag.set(count(lag));
        // one that is not among the known ones goes away when it ends
        all.slot_state.clear();
        for known in SLOT_STATES.into_iter().chain([state]) {
            let labels = SlotState { state: known.to_owned() };
            all.slot_state.get_or_create(&labels).set(i64::from(known == state));
        }
    }

    /// Where a system stands.
    pub fn set_system(&self, system: &str, numbers: SystemNumbers) {
        let all = &*self.0;
        let labels = System { system: system.to_owned() };
        all.system_up.get_or_create(&labels).set(i64::from(numbers.up));
        all.system_held.get_or_create(&labels).set(i64::from(numbers.held));
        all.system_paused.get_or_create(&labels).set(i64::from(numbers.paused));
        all.budget_used.get_or_create(&labels).set(count(numbers.used));
        match numbers.limit {
            Some(limit) => {
                all.budget_limit.get_or_create(&labels).set(count(limit));
            }
            None => {
                all.budget_limit.remove(&labels);
            }
        }
    }

    /// Whether the mirror database answers.
    pub fn set_database_up(&self, up: bool) {
        self.0.database_up.set(i64::from(up));
    }

    /// Whether the slot retains too much: 0 no, 1 beyond the warning, 2 beyond the budget.
    pub fn set_slot_alarm(&self, level: u8) {
        self.0.slot_alarm.set(i64::from(level));
    }

    /// All numbers as OpenMetrics text; see [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).expect("writing to a String cannot fail");
        text
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_arrives_under_its_name_and_labels() {
        let metrics = Metrics::new();
        let shared = metrics.clone();
        shared.called("crm", "create", OutcomeKind::Ok, Duration::from_millis(30));
        shared.called("crm", "create", OutcomeKind::Ok, Duration::from_millis(700));
        shared.called("crm", "create", OutcomeKind::Unknown, Duration::from_secs(30));
        shared.captured(12);
        shared.written("crm", "AccountObj", OutcomeKind::Reject, 2);
        shared.applied("crm", "AccountObj", 5);
        let numbers = BindingNumbers {
            waiting: 7,
            oldest: Some(Duration::from_millis(1500)),
            rejected: 2,
            to_read: 3,
            unreadable: 4,
            conflicts: 5,
            conflicts_open: 1,
            freshness: Some(Duration::from_secs(30)),
            is_held: true,
            ..BindingNumbers::default()
        };
        shared.set_binding("sales.customer - crm.AccountObj", &numbers);
        shared.set_slot("idle", 4096, u64::MAX);
        shared.set_system("crm", SystemNumbers { used: 8, limit: Some(9), ..SystemNumbers::default() });
        shared.set_database_up(true);
        shared.set_slot_alarm(2);
        shared.webhook("crm", "taken");
        shared.webhook_records("crm", 1, 0);
        let text = metrics.encode();
        for line in [
            r#"rowtwin_calls_total{system="crm",operation="create",outcome="ok"} 2"#,
            r#"rowtwin_calls_total{system="crm",operation="create",outcome="unknown"} 1"#,
            r#"rowtwin_call_seconds_bucket{le="0.05",system="crm",operation="create"} 1"#,
            r#"rowtwin_call_seconds_count{system="crm",operation="create"} 3"#,
            "rowtwin_rows_captured_total 12",
            r#"rowtwin_records_written_total{system="crm",object="AccountObj",outcome="reject"} 2"#,
            r#"rowtwin_rows_applied_total{system="crm",object="AccountObj"} 5"#,
            r#"rowtwin_outbox_waiting{binding="sales.customer - crm.AccountObj"} 7"#,
            r#"rowtwin_outbox_oldest_seconds{binding="sales.customer - crm.AccountObj"} 1.5"#,
            r#"rowtwin_inbox_waiting{binding="sales.customer - crm.AccountObj"} 3"#,
            r#"rowtwin_outbox_parked{binding="sales.customer - crm.AccountObj",state="rejected"} 2"#,
            r#"rowtwin_outbox_parked{binding="sales.customer - crm.AccountObj",state="doubtful"} 0"#,
            r#"rowtwin_inbox_unreadable{binding="sales.customer - crm.AccountObj"} 4"#,
            r#"rowtwin_conflicts{binding="sales.customer - crm.AccountObj"} 5"#,
            r#"rowtwin_conflicts_open{binding="sales.customer - crm.AccountObj"} 1"#,
            r#"rowtwin_freshness_seconds{binding="sales.customer - crm.AccountObj"} 30.0"#,
            r#"rowtwin_binding_held{binding="sales.customer - crm.AccountObj"} 1"#,
            r#"rowtwin_slot_state{state="idle"} 1"#,
            r#"rowtwin_slot_state{state="lost"} 0"#,
            r#"rowtwin_budget_used_calls{system="crm"} 8"#,
            r#"rowtwin_budget_limit_calls{system="crm"} 9"#,
            "rowtwin_database_up 1",
            "rowtwin_slot_retained_bytes 4096",
            "rowtwin_slot_lag_bytes 9223372036854775807",
            "rowtwin_slot_alarm 2",
            r#"rowtwin_system_up{system="crm"} 0"#,
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let described = text.lines().filter(|line| line.starts_with("# HELP ")).count();
        assert_eq!(described, 27, "{text}");
    }

    #[test]
    fn a_binding_that_is_gone_has_no_gauges() {
        let metrics = Metrics::new();
        let numbers = BindingNumbers { freshness: Some(Duration::ZERO), ..BindingNumbers::default() };
        metrics.set_binding("a", &numbers);
        metrics.set_binding("b", &numbers);
        metrics.forget_binding("a");
        let text = metrics.encode();
        assert!(!text.contains(r#"binding="a""#), "{text}");
        assert!(text.contains(r#"binding="b""#), "{text}");
    }

    #[test]
    fn a_slot_is_in_one_state() {
        let metrics = Metrics::new();
        metrics.set_slot("recovering", 0, 0);
        metrics.set_slot("streaming", 0, 0);
        let text = metrics.encode();
        let states: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("rowtwin_slot_state") && line.ends_with(" 1"))
            .collect();
        assert_eq!(states, [r#"rowtwin_slot_state{state="streaming"} 1"#]);
        assert!(!text.contains("recovering"), "{text}");
    }
}
