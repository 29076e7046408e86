//! `rowtwin slot`.

use std::process::ExitCode;

use crate::cli::Common;
use crate::terminal::Listing;

#[derive(clap::Args)]
pub struct SlotArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Shows the slot and the WAL that it retains.
    Status {
        /// One JSON document instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Makes the slot if it is missing.
    Create,
    /// Drops the slot; changes made from then on are found by comparison only.
    Drop,
    /// Drops the slot, makes a new one, and marks every row and link to be compared.
    Recreate,
}

pub async fn slot(common: &Common, args: SlotArgs) -> anyhow::Result<ExitCode> {
    let mut engine = common.assemble().await?;
    match args.action {
        Action::Status { json } => {
            let rows = engine.store.view("select * from rowtwin.slot").await?;
            if json {
                println!("{}", serde_json::Value::Array(rows));
            } else {
                let columns = [
                    ("slot", "slot"),
                    ("publication", "publication"),
                    ("state", "state"),
                    ("wal_status", "WAL"),
                    ("retained_bytes", "retained bytes"),
                    ("lag_bytes", "lag bytes"),
                    ("confirmed", "confirmed"),
                    ("last_at", "last change"),
                ];
                Listing::of_json(&columns, &rows).print();
            }
        }
        Action::Create => {
            let made = engine.store.create_slot(&engine.slot).await?;
            engine.store.register_capture(&engine.slot, &engine.publication).await?;
            println!("slot {} {}", engine.slot, if made { "made" } else { "was there already" });
        }
        Action::Drop => {
            let dropped = engine.store.drop_slot(&engine.slot).await?;
            println!("slot {} {}", engine.slot, if dropped { "dropped" } else { "was not there" });
        }
        Action::Recreate => {
            engine.store.drop_slot(&engine.slot).await?;
            for line in engine.init().await? {
                println!("✓ {line}");
            }
            let mut marked = 0;
            let client = engine.store.client().await?;
            for bound in engine.bounds.iter().filter(|bound| bound.pushes) {
                marked += crate::store::mirror::mark_links(&client, bound.id).await?;
                marked += crate::store::mirror::mark_table(
                    &client,
                    &bound.table,
                    bound.filter.as_deref(),
                    bound.id,
                )
                .await?;
            }
            println!("✓ {marked} rows and links marked to be compared; only what differs will be sent");
        }
    }
    Ok(ExitCode::SUCCESS)
}
