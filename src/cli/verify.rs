//! `rowtwin verify`: compares rows, shadows and records, and shows what differs.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::bound::Bound;
use crate::cli::Common;
use crate::cli::progress::{Bar, watch};
use crate::cli::run::stop_on_signal;
use crate::engine::Engine;
use crate::store::comparison::Repair;
use crate::terminal::{Listing, say};

#[derive(clap::Args)]
pub struct VerifyArgs {
    /// The table, as in `sales.customer`; all of them without it.
    table: Option<String>,
    /// Only with this system.
    #[arg(long)]
    system: Option<String>,
    /// Mend what differs: from the row, from the record, or by an ordinary merge.
    #[arg(long, value_name = "SIDE")]
    repair: Option<Side>,
    /// One JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Side {
    Row,
    Record,
    Merge,
}

const DRIFT: &[(&str, &str)] = &[
    ("table_name", "table"),
    ("system", "system"),
    ("object", "object"),
    ("kind", "difference"),
    ("key", "key"),
    ("remote_id", "record"),
    ("fields", "fields"),
];

pub async fn verify(common: &Common, args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let engine = common.open().await?;
    let bounds: Vec<Arc<Bound>> = engine
        .bounds
        .iter()
        .filter(|bound| {
            args.table
                .as_ref()
                .is_none_or(|table| format!("{}.{}", bound.table.schema, bound.table.name) == *table)
        })
        .filter(|bound| args.system.as_ref().is_none_or(|system| *system == bound.system))
        .map(Arc::clone)
        .collect();
    if bounds.is_empty() {
        anyhow::bail!(
            "no binding fits; the configuration's tables are {}",
            engine.file.tables.keys().cloned().collect::<Vec<_>>().join(", ")
        );
    }
    let repair = args.repair.map(|side| match side {
        Side::Row => Repair::Row,
        Side::Record => Repair::Record,
        Side::Merge => Repair::Merge,
    });
    for bound in &bounds {
        engine.store.order_verification(bound.id, "asked for on the command line", repair).await?;
    }
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    if !compared(&engine, &bounds, &stop).await? {
        eprintln!("interrupted; `rowtwin run` goes on with the verification");
        return Ok(ExitCode::from(1));
    }
    let drift = found(&engine, &bounds).await?;
    if args.json {
        say(json!({ "drift": drift }));
    } else if drift.is_empty() {
        say("rows, shadows and records agree");
    } else {
        let shown: Vec<Value> = drift.iter().map(readable).collect();
        Listing::of_json(DRIFT, &shown).print();
        say(format!("{} difference(s); rowtwin.drift holds their values", drift.len()));
        if repair.is_some() {
            say("they are marked to be mended; `rowtwin run` does it");
        }
    }
    // differences that nobody mends are something that has failed
    Ok(ExitCode::from(u8::from(!drift.is_empty() && repair.is_none())))
}

/// Compares here, with a bar, together with whatever process does so too; false when interrupted.
async fn compared(engine: &Engine, bounds: &[Arc<Bound>], stop: &CancellationToken) -> anyhow::Result<bool> {
    let drawn = async {
        for bound in bounds {
            let sql = format!(
                "select seen, greatest(expected, seen) as expected, found as differing,
                        (finished_at is null)::int as open
                 from rowtwin_private.comparison where purpose = 'verification' and binding_id = {}",
                bound.id
            );
            watch(&engine.store, &sql, Bar::new(bound.name.clone())).await?;
        }
        Ok(true)
    };
    let work = async {
        tokio::select! {
            () = stop.cancelled() => Ok(false),
            done = drawn => done,
            failed = engine.verify_until_cancelled(bounds) => Err(failed),
        }
    };
    Ok(engine.while_capturing(work, stop).await?)
}

async fn found(engine: &Engine, bounds: &[Arc<Bound>]) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for bound in bounds {
        let sql = format!(
            "select b.table_name, b.system, b.object, d.kind, d.key, d.remote_id, d.fields, d.found_at
             from rowtwin_private.drift d join rowtwin_private.binding b on b.id = d.binding_id
             where d.binding_id = {} order by d.id",
            bound.id
        );
        all.extend(engine.store.view(&sql).await?);
    }
    Ok(all)
}

/// The fields as a person writes a list.
fn readable(drift: &Value) -> Value {
    let mut shown = drift.clone();
    if let Some(fields) = shown.get_mut("fields") {
        let names: Vec<String> = fields
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        *fields = Value::from(names.join(", "));
    }
    shown
}
