//! `rowtwin slot`.

use std::process::ExitCode;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::Common;
use crate::cli::progress::{Bar, RECOVERY, watch};
use crate::cli::run::stop_on_signal;
use crate::engine::Engine;
use crate::engine::slot::Tended;
use crate::model::record::member;
use crate::store::StoreError;
use crate::terminal::{Listing, plain, say};

#[derive(clap::Args)]
pub struct SlotArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Shows the slot, the WAL that it retains, and the comparison that is under way.
    Status {
        /// One JSON document instead of tables.
        #[arg(long)]
        json: bool,
    },
    /// Makes the slot if it is missing; what was changed before is found by comparison.
    Create,
    /// Drops the slot; the next start makes a new one and compares every row.
    Drop,
    /// Gives up the WAL that the slot retains, and compares every row instead of reading it.
    Advance,
    /// Makes the slot anew and compares every row and link with its shadow. Only what differs is sent.
    Recreate,
    /// Says which side is right after the database was restored to an earlier point.
    Restored {
        /// `rows`: the records are made like the rows. `records`: the rows catch up with the records.
        #[arg(long, value_name = "SIDE")]
        trust: Trust,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Trust {
    Rows,
    Records,
}

const SLOT: &[(&str, &str)] = &[
    ("slot", "slot"),
    ("publication", "publication"),
    ("state", "state"),
    ("wal_status", "WAL"),
    ("retained_bytes", "retained bytes"),
    ("budget_bytes", "budget"),
    ("lag_bytes", "lag bytes"),
    ("lag_seconds", "lag s"),
    ("confirmed", "confirmed"),
    ("active_since", "active since"),
    ("last_at", "last change"),
];

const COMPARISON: &[(&str, &str)] = &[
    ("table_name", "table"),
    ("system", "system"),
    ("object", "object"),
    ("state", "state"),
    ("percent", "%"),
    ("seen", "compared"),
    ("differing", "differ"),
    ("finished_at", "finished"),
    ("reason", "reason"),
];

pub async fn slot(common: &Common, args: SlotArgs) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Status { json } => status(&common.look().await?, json).await?,
        Action::Create => {
            let engine = common.assemble().await?;
            say(engine.prepare_slot().await?);
        }
        Action::Drop => {
            let engine = common.assemble().await?;
            let dropped =
                engine.store.drop_slot(&engine.slot).await.map_err(|error| in_use(&engine, error))?;
            say(format!(
                "slot {} {}",
                engine.slot,
                if dropped {
                    "dropped; the next start makes a new one and compares every row"
                } else {
                    "was not there"
                }
            ));
        }
        Action::Advance => {
            let engine = common.open().await?;
            let end =
                engine.store.advance_slot(&engine.slot).await.map_err(|error| in_use(&engine, error))?;
            engine.store.slot_renewed(&engine.slot, end, "the slot was advanced by hand").await?;
            say(format!("✓ slot {} advanced to {end}; what it retained is given up", engine.slot));
            return recover(&engine).await;
        }
        Action::Recreate => {
            let engine = common.open().await?;
            engine.give_up_slot("a person asked for a new slot").await?;
            loop {
                match engine.tend_slot(None).await? {
                    Tended::Ready => break,
                    Tended::Busy => tokio::time::sleep(std::time::Duration::from_millis(300)).await,
                    Tended::Waits(reason) => anyhow::bail!(reason),
                }
            }
            say(format!("✓ slot {} made anew", engine.slot));
            return recover(&engine).await;
        }
        Action::Restored { trust } => {
            let engine = common.assemble().await?;
            let side = match trust {
                Trust::Rows => "rows",
                Trust::Records => "records",
            };
            let row = engine
                .store
                .client()
                .await?
                .query_one("select rowtwin.accept_restored($1)", &[&side])
                .await
                .map_err(StoreError::from)?;
            say(row.get::<_, String>(0));
            say("`rowtwin run` does it; rowtwin.verification and rowtwin.status show how far it is");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(engine: &Engine, as_json: bool) -> anyhow::Result<()> {
    let slot = engine.store.view("select * from rowtwin.slot").await?;
    let recovery = engine.store.view("select * from rowtwin.recovery").await?;
    if as_json {
        say(json!({ "slot": slot, "recovery": recovery }));
        return Ok(());
    }
    Listing::of_json(SLOT, &slot).print();
    for reason in slot.iter().map(|slot| member(slot, "reason")).filter(|reason| !reason.is_null()) {
        say(format!("\n{}", plain(reason)));
    }
    if !recovery.is_empty() {
        say("");
        Listing::of_json(COMPARISON, &recovery).print();
    }
    Ok(())
}

/// Compares here, with a bar, together with whatever process does so too.
async fn recover(engine: &Engine) -> anyhow::Result<ExitCode> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let drawn = watch(&engine.store, RECOVERY, Bar::new("comparing"));
    let compared = async {
        tokio::select! {
            () = stop.cancelled() => Ok(None),
            done = drawn => done.map(Some),
            failed = engine.recover_until_cancelled() => Err(failed),
        }
    };
    match engine.while_capturing(compared, &stop).await? {
        Some(done) => {
            let count = |name: &str| member(&done, name).as_u64().unwrap_or(0);
            say(format!(
                "✓ {} rows and links compared, {} differ and are marked; `rowtwin run` sends what differs",
                count("seen"),
                count("differing")
            ));
            Ok(ExitCode::SUCCESS)
        }
        None => {
            eprintln!("interrupted; `rowtwin run` goes on with the comparison");
            Ok(ExitCode::from(1))
        }
    }
}

fn in_use(engine: &Engine, error: StoreError) -> anyhow::Error {
    let active = matches!(&error, StoreError::Statement(error) if error.code().is_some_and(|code| code.code() == "55006"));
    let error = anyhow::Error::from(error);
    if active {
        error.context(format!("slot {} is read by a running process; stop it first", engine.slot))
    } else {
        error
    }
}
