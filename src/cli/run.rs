//! `rowtwin run`.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::Common;
use crate::engine::run::Unwatched;

#[derive(clap::Args)]
pub struct RunArgs {
    /// Prepare the database first, as `rowtwin init` does.
    #[arg(long)]
    init: bool,
}

pub async fn run(common: &Common, args: RunArgs) -> anyhow::Result<ExitCode> {
    let engine = if args.init {
        let mut engine = common.assemble().await?;
        for line in engine.init().await? {
            eprintln!("✓ {line}");
        }
        engine
    } else {
        common.open().await?
    };
    engine.keep_journal().await?;
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    eprintln!(
        "rowtwin runs {} binding(s) over {} system(s); Ctrl-C or SIGTERM stops it cleanly",
        engine.bounds.len(),
        engine.systems.len()
    );
    Arc::new(engine).run(stop, Arc::new(Unwatched)).await?;
    eprintln!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Sets `stop` at the first SIGINT or SIGTERM.
pub fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}
