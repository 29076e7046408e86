//! Numbers of the webhooks that were received.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Metrics, WEBHOOK_RECORDS, WEBHOOKS};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Came {
    system: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Families {
    webhooks: Family<Came, Counter>,
    records: Family<Came, Counter>,
}

impl Families {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(WEBHOOKS.0, WEBHOOKS.1, self.webhooks.clone());
        registry.register(WEBHOOK_RECORDS.0, WEBHOOK_RECORDS.1, self.records.clone());
    }
}

impl Metrics {
    /// A webhook came, and this became of it. `system` is one of the configuration, or empty: what a caller makes up
    /// must not become a label.
    pub fn webhook(&self, system: &str, outcome: &'static str) {
        self.0.webhooks.webhooks.get_or_create(&Came { system: system.to_owned(), outcome }).inc();
    }

    /// A webhook named so many records that are noted, and so many that nobody asked for.
    pub fn webhook_records(&self, system: &str, noted: u64, ignored: u64) {
        for (outcome, records) in [("noted", noted), ("ignored", ignored)] {
            let came = Came { system: system.to_owned(), outcome };
            self.0.webhooks.records.get_or_create(&came).inc_by(records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_counted_by_what_came_of_them() {
        let metrics = Metrics::new();
        metrics.webhook("crm", "taken");
        metrics.webhook("", "no_such_system");
        metrics.webhook_records("crm", 3, 1);
        let text = metrics.encode();
        for line in [
            r#"rowtwin_webhooks_total{system="crm",outcome="taken"} 1"#,
            r#"rowtwin_webhooks_total{system="",outcome="no_such_system"} 1"#,
            r#"rowtwin_webhook_records_total{system="crm",outcome="noted"} 3"#,
            r#"rowtwin_webhook_records_total{system="crm",outcome="ignored"} 1"#,
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
    }
}
