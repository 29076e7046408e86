//! `rowtwin status`.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::Common;
use crate::engine::assemble::{database_url, open_pool};
use crate::model::record::member;
use crate::terminal::{Listing, plain, say};

#[derive(clap::Args)]
pub struct StatusArgs {
    /// One JSON document instead of tables.
    #[arg(long)]
    json: bool,
}

const BINDINGS: &[(&str, &str)] = &[
    ("table_name", "table"),
    ("system", "system"),
    ("object", "object"),
    ("state", "state"),
    ("linked", "rows"),
    ("waiting", "waiting"),
    ("waiting_since", "oldest"),
    ("rejected", "rejected"),
    ("doubtful", "doubtful"),
    ("held", "held"),
    ("conflicts", "conflicts"),
    ("unreadable", "unreadable"),
    ("last_poll_at", "last pull"),
];

const SYSTEMS: &[(&str, &str)] = &[
    ("name", "system"),
    ("connector", "connector"),
    ("state", "state"),
    ("down_since", "down since"),
    ("calls_today", "calls today"),
    ("changes_today", "changes"),
    ("calls_saved_today", "calls saved"),
    ("errors_today", "errors"),
    ("held_reason", "reason"),
];

const SLOT: &[(&str, &str)] = &[
    ("slot", "slot"),
    ("state", "state"),
    ("wal_status", "WAL"),
    ("retained_bytes", "retained bytes"),
    ("lag_bytes", "lag bytes"),
    ("changes", "changes captured"),
];

pub async fn status(common: &Common, args: StatusArgs) -> anyhow::Result<ExitCode> {
    // the systems are not needed: a status must be had when the configuration's secrets are elsewhere
    let url = match &common.database_url {
        Some(url) => url.clone(),
        None => database_url(&common.load()?, &common.given())?,
    };
    let (store, _) = open_pool(&url)?;
    let bindings = store.view("select * from rowtwin.status").await?;
    let systems = store.view("select * from rowtwin.systems").await?;
    let slot = store.view("select * from rowtwin.slot").await?;
    if args.json {
        println!("{}", json!({ "bindings": bindings, "systems": systems, "slot": slot }));
        return Ok(ExitCode::SUCCESS);
    }
    Listing::of_json(BINDINGS, &bindings).print();
    say("");
    Listing::of_json(SYSTEMS, &systems).print();
    say("");
    Listing::of_json(SLOT, &slot).print();
    let troubled: Vec<&Value> = bindings.iter().filter(|one| !member(one, "reason").is_null()).collect();
    for one in troubled {
        println!(
            "\n{} → {}.{}: {}",
            plain(member(one, "table_name")),
            plain(member(one, "system")),
            plain(member(one, "object")),
            plain(member(one, "reason"))
        );
    }
    Ok(ExitCode::SUCCESS)
}
