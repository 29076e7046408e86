//! `rowtwin init`.

use std::process::ExitCode;

use crate::cli::Common;

#[derive(clap::Args)]
pub struct InitArgs {
    /// One JSON document instead of lines.
    #[arg(long)]
    json: bool,
    /// Set the replica identity of tables of lines where it does not lead to their header.
    #[arg(long)]
    set_identity: bool,
}

pub async fn init(common: &Common, args: InitArgs) -> anyhow::Result<ExitCode> {
    let mut engine = common.assemble().await?;
    let mut done = if args.set_identity { engine.set_identities().await? } else { Vec::new() };
    done.extend(engine.init().await?);
    if args.json {
        println!("{}", serde_json::json!({ "done": done }));
    } else {
        for line in done {
            println!("✓ {line}");
        }
        println!(
            "\nNext: `rowtwin check` looks at the systems, `rowtwin plan` shows what would be sent, `rowtwin run` starts."
        );
    }
    Ok(ExitCode::SUCCESS)
}
