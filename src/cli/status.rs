//! `rowtwin status`.

use std::process::ExitCode;

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::{Value, json};

use crate::cli::Common;
use crate::engine::assemble::{database_url, open_pool};
use crate::store::{Store, StoreError};

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
    let bindings = read(&store, "select * from rowtwin.status").await?;
    let systems = read(&store, "select * from rowtwin.systems").await?;
    let slot = read(&store, "select * from rowtwin.slot").await?;
    if args.json {
        println!("{}", json!({ "bindings": bindings, "systems": systems, "slot": slot }));
        return Ok(ExitCode::SUCCESS);
    }
    print_table(BINDINGS, &bindings);
    println!();
    print_table(SYSTEMS, &systems);
    println!();
    print_table(SLOT, &slot);
    let troubled: Vec<&Value> = bindings.iter().filter(|one| !one["reason"].is_null()).collect();
    for one in troubled {
        println!("\n{} → {}.{}: {}", text(&one["table_name"]), text(&one["system"]), text(&one["object"]), text(&one["reason"]));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a view as JSON objects.
pub async fn read(store: &Store, sql: &str) -> Result<Vec<Value>, StoreError> {
    let client = store.client().await?;
    let rows = client.query(&format!("select to_jsonb(x) from ({sql}) x"), &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Prints chosen columns of JSON objects.
pub fn print_table(columns: &[(&str, &str)], rows: &[Value]) {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(columns.iter().map(|(_, title)| *title));
    for row in rows {
        table.add_row(columns.iter().map(|(name, _)| text(&row[*name])));
    }
    println!("{table}");
}

/// A value as people write it: nothing for null, times without their fraction.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.len() > 20 && text.get(10..11) == Some("T") => {
            text.get(..19).unwrap_or(text).replace('T', " ")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
