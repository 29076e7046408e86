//! `rowtwin run`.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::Common;
use crate::cli::progress::show_recoveries;
use crate::engine::observe::Observer;
use crate::engine::webhooks::Receiver;
use crate::serve::otlp::{Settings, send_numbers};
use crate::serve::{Notifier, listen_apart, serve};

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
    let (observer, health) = Observer::new(engine.metrics.clone(), Notifier::from_environment());
    let observer = Arc::new(observer);
    if let Some(port) = engine.file.serve.port {
        let serving = serve(port, engine.metrics.clone(), health, stop.clone()).await?;
        eprintln!("metrics and health on http://{}/metrics and /health", serving.address);
    }
    if engine.file.serve.webhooks.is_some() {
        let receiver = Arc::new(engine.receiver()?);
        let taken: Vec<String> = receiver
            .systems()
            .into_iter()
            .filter(|(_, taken)| *taken)
            .map(|(name, _)| name.to_owned())
            .collect();
        let serving = listen_apart(
            receiver.address()?,
            receiver.limits(),
            Arc::<Receiver>::clone(&receiver),
            stop.clone(),
        )
        .await?;
        match taken.as_slice() {
            [] => eprintln!("webhooks: no system of the configuration has a connector and a secret for them"),
            taken => eprintln!("webhooks of {} on http://{}/hooks/SYSTEM", taken.join(", "), serving.address),
        }
    }
    let watching = tokio::spawn({
        let (observer, store, stop) = (Arc::clone(&observer), engine.store.clone(), stop.clone());
        async move { observer.observe(store, stop).await }
    });
    // what is wrong with the settings was said at the start
    let sending = Settings::from_environment()
        .ok()
        .flatten()
        .map(|settings| tokio::spawn(send_numbers(settings, engine.metrics.clone(), stop.clone())));
    let shown = std::io::stderr()
        .is_terminal()
        .then(|| tokio::spawn(show_recoveries(engine.store.clone(), stop.clone())));
    let result = Arc::new(engine).run(stop.clone(), observer).await;
    stop.cancel();
    watching.await?;
    if let Some(sending) = sending {
        sending.await??;
    }
    if let Some(shown) = shown {
        shown.await?;
    }
    result?;
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
