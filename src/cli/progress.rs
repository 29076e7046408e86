//! How far a comparison is, as a bar on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::model::record::member;
use crate::store::{Store, StoreError};

/// How often the bar moves.
const EVERY: Duration = Duration::from_millis(500);

/// Comparisons after a lost slot.
pub const RECOVERY: &str = "select coalesce(sum(seen), 0)::bigint as seen, coalesce(sum(expected), 0)::bigint as expected,
        coalesce(sum(differing), 0)::bigint as differing, count(*) filter (where finished_at is null) as open
   from rowtwin.recovery where finished_at is null or began_at = (select max(began_at) from rowtwin.recovery)";

/// A bar over one query that gives `seen`, `expected`, `differing` and `open`.
pub struct Bar {
    bar: Option<ProgressBar>,
    title: String,
}

impl Bar {
    pub fn new(title: impl Into<String>) -> Self {
        Self { bar: None, title: title.into() }
    }

    /// Draws where `row` is; true while something is open.
    pub fn draw(&mut self, row: &Value) -> bool {
        let count = |name: &str| member(row, name).as_u64().unwrap_or(0);
        let open = count("open") > 0;
        if open {
            let bar = self.bar.get_or_insert_with(|| {
                let style = ProgressStyle::with_template(
                    "{prefix} [{bar:30}] {pos}/{len} compared ({per_sec}, {elapsed}) {msg}",
                )
                .unwrap_or_else(|_| ProgressStyle::default_bar());
                ProgressBar::new(1).with_style(style).with_prefix(self.title.clone())
            });
            bar.set_length(count("expected").max(1));
            bar.set_position(count("seen"));
            bar.set_message(format!("{} differ", count("differing")));
        } else if let Some(bar) = self.bar.take() {
            bar.set_position(count("seen"));
            bar.finish();
        }
        open
    }

    /// Leaves the bar as it is.
    pub fn leave(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }
}

/// Shows recoveries whenever one is under way, until `stop`.
pub async fn show_recoveries(store: Store, stop: CancellationToken) {
    let mut bar = Bar::new("comparing after a lost slot");
    while !stop.is_cancelled() {
        if let Ok(Some(row)) = one(&store, RECOVERY).await {
            bar.draw(&row);
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY * 4) => {}
        }
    }
    bar.leave();
}

/// Draws a query's answer until nothing is open; returns the last answer.
///
/// # Errors
/// When the query fails.
pub async fn watch(store: &Store, sql: &str, mut bar: Bar) -> Result<Value, StoreError> {
    loop {
        let row = one(store, sql).await?.unwrap_or_default();
        if !bar.draw(&row) {
            return Ok(row);
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn one(store: &Store, sql: &str) -> Result<Option<Value>, StoreError> {
    Ok(store.view(sql).await?.into_iter().next())
}
