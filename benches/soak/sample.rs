//! What is looked at every second.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::load::Load;
use crate::stage::Stage;

/// One thing that must not grow.
pub struct Metric {
    pub name: &'static str,
    /// So much more than the factor allows is no growth: what comes and goes between two looks.
    pub slack: f64,
}

pub const METRICS: [Metric; 8] = [
    Metric { name: "memory, MB", slack: 16.0 },
    Metric { name: "open files", slack: 8.0 },
    Metric { name: "connections to Postgres", slack: 4.0 },
    Metric { name: "rows in the outbox", slack: 100.0 },
    Metric { name: "ids in the inbox", slack: 100.0 },
    Metric { name: "tables of the state, MB", slack: 8.0 },
    Metric { name: "from a row to both systems, ms", slack: 1_000.0 },
    Metric { name: "from a record to the row, ms", slack: 1_000.0 },
];

const STATE: &str = "
select (select count(*) from pg_stat_activity where application_name like 'rowtwin%') as connections,
       (select count(*) from rowtwin_private.outbox) as outbox,
       (select count(*) from rowtwin_private.inbox) as inbox,
       (select sum(pg_total_relation_size(c.oid)) / 1e6 from pg_class c
        where c.relnamespace = 'rowtwin_private'::regnamespace and c.relkind = 'r'
          and c.relname !~ '^(journal|conflict)') as megabytes";

#[derive(Default)]
pub struct Samples {
    rows: Vec<(f64, [f64; 8])>,
}

impl Samples {
    pub async fn take(&mut self, stage: &Stage, load: &Load, at: Duration) -> anyhow::Result<()> {
        let state = stage.rows(STATE).await?;
        let number = |name: &str| number(&state[0][name]);
        let pids: Vec<u32> = stage.rowtwins.iter().filter_map(|rowtwin| rowtwin.pid()).collect();
        let (pushed, pulled) = load.waits();
        self.rows.push((
            at.as_secs_f64(),
            [
                pids.iter().map(|pid| memory(*pid)).sum(),
                pids.iter().map(|pid| files(*pid)).sum(),
                number("connections"),
                number("outbox"),
                number("inbox"),
                number("megabytes"),
                pushed,
                pulled,
            ],
        ));
        Ok(())
    }

    pub fn rows(&self) -> &[(f64, [f64; 8])] {
        &self.rows
    }

    /// The last look, in a line.
    pub fn last(&self) -> String {
        let Some((_, values)) = self.rows.last() else { return String::new() };
        METRICS
            .iter()
            .zip(values)
            .map(|(metric, value)| format!("{} {value:.0}", metric.name))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The medians of the first and of the last tenth, and the largest of all.
    pub fn ends(&self, place: usize) -> (f64, f64, f64) {
        let values: Vec<f64> = self.rows.iter().map(|(_, values)| values[place]).collect();
        let tenth = (values.len() / 10).max(1).min(values.len());
        let median = |part: &[f64]| {
            let mut part = part.to_vec();
            part.sort_by(f64::total_cmp);
            part.get(part.len() / 2).copied().unwrap_or_default()
        };
        let most = values.iter().copied().fold(0.0, f64::max);
        (median(&values[..tenth]), median(&values[values.len() - tenth..]), most)
    }

    pub fn csv(&self) -> String {
        let mut text = String::from("second");
        METRICS.iter().for_each(|metric| text += &format!(",\"{}\"", metric.name));
        text.push('\n');
        for (at, values) in &self.rows {
            let _ = write!(text, "{at:.1}");
            values.iter().for_each(|value| text += &format!(",{value:.3}"));
            text.push('\n');
        }
        text
    }
}

fn number(value: &Value) -> f64 {
    value.to_string().parse().unwrap_or_default()
}

/// Resident memory, MB.
fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

fn files(pid: u32) -> f64 {
    let count = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
