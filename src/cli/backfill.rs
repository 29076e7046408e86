//! `rowtwin backfill`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bound::Bound;
use crate::cli::Common;
use crate::cli::run::stop_on_signal;
use crate::pull::Puller;
use crate::store::{Store, StoreError};

#[derive(clap::Args)]
pub struct BackfillArgs {
    /// The table, as in `sales.customer`.
    table: String,
    /// Only from this system.
    #[arg(long)]
    system: Option<String>,
    /// Go on with a backfill that was interrupted instead of starting anew.
    #[arg(long)]
    resume: bool,
}

pub async fn backfill(common: &Common, args: BackfillArgs) -> anyhow::Result<ExitCode> {
    let engine = common.open().await?;
    let bounds: Vec<&Arc<Bound>> = engine
        .bounds
        .iter()
        .filter(|bound| bound.pulls && format!("{}.{}", bound.table.schema, bound.table.name) == args.table)
        .filter(|bound| args.system.as_ref().is_none_or(|system| *system == bound.system))
        .collect();
    if bounds.is_empty() {
        anyhow::bail!(
            "no binding pulls into `{}`; the configuration's tables are {}",
            args.table,
            engine.file.tables.keys().cloned().collect::<Vec<_>>().join(", ")
        );
    }
    if !args.resume {
        engine
            .store
            .client()
            .await?
            .execute("select rowtwin.resync($1, $2)", &[&args.table, &args.system])
            .await?;
    }
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    for bound in bounds {
        if !one(&engine.store, bound, &stop).await? {
            eprintln!("interrupted; `rowtwin backfill {} --resume` goes on from here", args.table);
            return Ok(ExitCode::from(1));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Backfills one binding; false when interrupted. Another process that pulls it already is only watched.
async fn one(store: &Store, bound: &Arc<Bound>, stop: &CancellationToken) -> anyhow::Result<bool> {
    let (_, _, expected) = progress(store, bound).await?;
    let bar = ProgressBar::new(expected.max(1));
    bar.set_style(ProgressStyle::with_template("{prefix} [{bar:30}] {pos} records ({per_sec}, {elapsed})")?);
    bar.set_prefix(bound.name.clone());
    let puller = Puller { store: store.clone(), bound: Arc::clone(bound), lease: Uuid::new_v4() };
    loop {
        let (done, seen, _) = progress(store, bound).await?;
        if seen > bar.length().unwrap_or(0) {
            bar.set_length(seen);
        }
        bar.set_position(seen);
        if done {
            bar.set_length(seen.max(1));
            bar.finish();
            println!("{}: {seen} records read", bound.name);
            puller.release().await?;
            return Ok(true);
        }
        if stop.is_cancelled() {
            puller.release().await?;
            bar.abandon();
            return Ok(false);
        }
        let turned = puller.turn().await?;
        if let Some(rest) = turned.rest {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(rest.min(Duration::from_secs(1))) => {}
            }
        }
    }
}

/// Whether the backfill is complete, how many records it has seen, and how many the last one saw.
async fn progress(store: &Store, bound: &Bound) -> Result<(bool, u64, u64), StoreError> {
    let row = store
        .client()
        .await?
        .query_one(
            "select backfilled_at is not null, backfill_seen,
                    (select count(*) from rowtwin_private.link l where l.binding_id = b.id)
             from rowtwin_private.binding b where id = $1",
            &[&bound.id],
        )
        .await?;
    let count = |index: usize| u64::try_from(row.get::<_, i64>(index)).unwrap_or(0);
    Ok((row.get(0), count(1), count(2)))
}
