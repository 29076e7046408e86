//! `rowtwin init`.

use std::process::ExitCode;

use crate::cli::Common;

#[derive(clap::Args)]
pub struct InitArgs {
    /// One JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

pub async fn init(common: &Common, args: InitArgs) -> anyhow::Result<ExitCode> {
    let mut engine = common.assemble().await?;
    let done = engine.init().await?;
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
