//! Numbers for Prometheus: what was captured, called, written and applied, and what waits.
//!
//! Labels name systems, objects, bindings, operations and outcomes only. Keys, values and what remotes say never
//! become a label: they would be without bound, and they are the users' data.

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
const INBOX: Described = ("inbox_waiting", "Remote ids in the inbox that wait to be read");
const RETAINED: Described =
    ("slot_retained_bytes", "Write-ahead log that the slot keeps the server from removing");
const LAG: Described = ("slot_lag_bytes", "Write-ahead log that was written and is not captured yet");
const ALARM: Described =
    ("slot_alarm", "0 while the slot retains little, 1 beyond the warning, 2 beyond the budget");
const UP: Described = ("system_up", "1 while the remote system answers, 0 while it is down");

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
    inbox_waiting: Family<Binding, Gauge>,
    slot_retained: Gauge,
    slot_lag: Gauge,
    slot_alarm: Gauge,
    system_up: Family<System, Gauge>,
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
            inbox_waiting: Family::default(),
            slot_retained: Gauge::default(),
            slot_lag: Gauge::default(),
            slot_alarm: Gauge::default(),
            system_up: Family::default(),
        };
        let registry = &mut inner.registry;
        registry.register(CALLS.0, CALLS.1, inner.calls.clone());
        registry.register(CALL_SECONDS.0, CALL_SECONDS.1, inner.call_seconds.clone());
        registry.register(CAPTURED.0, CAPTURED.1, inner.captured.clone());
        registry.register(WRITTEN.0, WRITTEN.1, inner.written.clone());
        registry.register(APPLIED.0, APPLIED.1, inner.applied.clone());
        registry.register(OUTBOX.0, OUTBOX.1, inner.outbox_waiting.clone());
        registry.register(OLDEST.0, OLDEST.1, inner.outbox_oldest.clone());
        registry.register(INBOX.0, INBOX.1, inner.inbox_waiting.clone());
        registry.register(RETAINED.0, RETAINED.1, inner.slot_retained.clone());
        registry.register(LAG.0, LAG.1, inner.slot_lag.clone());
        registry.register(ALARM.0, ALARM.1, inner.slot_alarm.clone());
        registry.register(UP.0, UP.1, inner.system_up.clone());
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

    /// What waits in the outbox of a binding; `oldest` is the age of the key that waits longest, none when none does.
    pub fn set_outbox(&self, binding: &str, waiting: u64, oldest: Option<Duration>) {
        let labels = Binding { binding: binding.to_owned() };
        self.0.outbox_waiting.get_or_create(&labels).set(count(waiting));
        self.0.outbox_oldest.get_or_create(&labels).set(oldest.unwrap_or_default().as_secs_f64());
    }

    /// What waits in the inbox of a binding.
    pub fn set_inbox(&self, binding: &str, waiting: u64) {
        self.0.inbox_waiting.get_or_create(&Binding { binding: binding.to_owned() }).set(count(waiting));
    }

    /// A binding is no longer configured: its gauges would stand still for ever.
    pub fn forget_binding(&self, binding: &str) {
        let labels = Binding { binding: binding.to_owned() };
        self.0.outbox_waiting.remove(&labels);
        self.0.outbox_oldest.remove(&labels);
        self.0.inbox_waiting.remove(&labels);
    }

    /// Bytes of write-ahead log that the slot retains, and those that capture has not read yet.
    pub fn set_slot(&self, retained: u64, lag: u64) {
        self.0.slot_retained.set(count(retained));
        self.0.slot_lag.set(count(lag));
    }

    /// Whether the slot retains too much: 0 no, 1 beyond the warning, 2 beyond the budget.
    pub fn set_slot_alarm(&self, level: u8) {
        self.0.slot_alarm.set(i64::from(level));
    }

    /// Whether a system answers.
    pub fn set_system_up(&self, system: &str, up: bool) {
        self.0.system_up.get_or_create(&System { system: system.to_owned() }).set(i64::from(up));
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
        shared.set_outbox("sales.customer - crm.AccountObj", 7, Some(Duration::from_millis(1500)));
        shared.set_inbox("sales.customer - crm.AccountObj", 3);
        shared.set_slot(4096, u64::MAX);
        shared.set_slot_alarm(2);
        shared.set_system_up("crm", false);
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
            "rowtwin_slot_retained_bytes 4096",
            "rowtwin_slot_lag_bytes 9223372036854775807",
            "rowtwin_slot_alarm 2",
            r#"rowtwin_system_up{system="crm"} 0"#,
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let described = text.lines().filter(|line| line.starts_with("# HELP ")).count();
        assert_eq!(described, 12, "{text}");
    }

    #[test]
    fn a_binding_that_is_gone_has_no_gauges() {
        let metrics = Metrics::new();
        metrics.set_outbox("a", 1, None);
        metrics.set_inbox("a", 1);
        metrics.set_outbox("b", 1, None);
        metrics.forget_binding("a");
        let text = metrics.encode();
        assert!(!text.contains(r#"binding="a""#), "{text}");
        assert!(text.contains(r#"binding="b""#), "{text}");
    }
}
