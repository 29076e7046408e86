//! Soak: steady work on all sides for a long time, and a look every second at what must not grow.
//!
//! `cargo bench --profile dev --bench soak -- --minutes 60`. Real processes: two of rowtwin, two simulated systems, a
//! server of their own. Fails when something has grown beyond `--factor`. See `docs/testing.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../tests/chaos/dice.rs"]
mod dice;
#[path = "../../tests/chaos/go_between.rs"]
#[allow(dead_code, reason = "here no line is cut")]
mod go_between;
mod load;
#[path = "../../tests/chaos/orders.rs"]
#[allow(dead_code, reason = "here there are no orders")]
mod orders;
#[path = "../../tests/chaos/people.rs"]
#[allow(dead_code, reason = "here others work")]
mod people;
mod plot;
#[path = "../../tests/chaos/process.rs"]
#[allow(dead_code, reason = "here no process is killed")]
mod process;
#[path = "../../tests/chaos/remote.rs"]
#[allow(dead_code, reason = "here nobody looks through all records")]
mod remote;
mod sample;
#[path = "../../tests/chaos/server.rs"]
#[allow(dead_code, reason = "here the server is left alone")]
mod server;
#[path = "../../tests/chaos/stage.rs"]
#[allow(dead_code, reason = "here no line is cut and no log is kept")]
mod stage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use rowtwin::terminal::{Listing, say};

use load::Load;
use sample::{METRICS, Samples};
use stage::Stage;

/// Never set here: the server's data lie where they usually do.
const OWN_MOUNTS: &str = "ROWTWIN_CHAOS_OWN_MOUNTS";

/// Steady work on all sides for a long time; nothing may grow.
#[derive(Parser)]
#[command(name = "cargo bench --bench soak --")]
struct Arguments {
    /// How long
    #[arg(long, default_value_t = 10.0, value_name = "N")]
    minutes: f64,
    /// Rows that are edited in SQL each second; each system has a quarter as many edits of its own
    #[arg(long, default_value_t = 24, value_name = "N")]
    rate: u64,
    /// How many customers there are
    #[arg(long, default_value_t = 500, value_name = "N")]
    customers: u64,
    /// How much the last tenth may exceed the first one
    #[arg(long, default_value_t = 1.5, value_name = "X")]
    factor: f64,
    /// Where the plot goes
    #[arg(long, default_value = "docs/soak.svg", value_name = "FILE")]
    plot: PathBuf,
    /// Where the samples go
    #[arg(long, default_value = "target/soak.csv", value_name = "FILE")]
    samples: PathBuf,
    /// What `cargo bench` adds; without it this only shows that it runs
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match runtime.block_on(soak(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn soak(arguments: &Arguments) -> anyhow::Result<bool> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stage = Stage::set().await?;
    let told = tokio::select! {
        told = measured(arguments, &stage) => told,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped")),
    };
    stage.strike().await;
    let samples = told?;
    if !arguments.bench {
        return Ok(true);
    }
    write(&arguments.samples, &samples.csv())?;
    let title = format!(
        "{} min: {} rows/s in SQL, {} records/s in each of two systems",
        arguments.minutes,
        arguments.rate,
        arguments.rate.div_ceil(4)
    );
    write(&arguments.plot, &plot::svg(&title, &samples))?;
    say(format!("samples in {}, plot in {}", arguments.samples.display(), arguments.plot.display()));
    Ok(judge(arguments, &samples))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    // cargo runs a benchmark in its package's folder
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(path, text)?)
}

async fn measured(arguments: &Arguments, stage: &std::sync::Arc<Stage>) -> anyhow::Result<Samples> {
    let (minutes, customers) =
        if arguments.bench { (arguments.minutes, arguments.customers) } else { (0.1, 20) };
    let how_long = Duration::from_secs_f64(minutes * 60.0);
    let ids = load::settle_in(stage, customers).await?;
    let load = Load::begin(stage, &ids, arguments.rate);
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} s: {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(how_long.as_secs()).with_style(style);
    let mut samples = Samples::default();
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    while began.elapsed() < how_long {
        ticks.tick().await;
        samples.take(stage, &load, began.elapsed()).await?;
        bar.set_position(began.elapsed().as_secs());
        bar.set_message(samples.last());
    }
    bar.finish_and_clear();
    say(format!("{} edits; {}", load.edits(), load.end().await));
    Ok(samples)
}

/// Compares the first tenth with the last one.
fn judge(arguments: &Arguments, samples: &Samples) -> bool {
    let mut table =
        Listing::new(["", "first tenth", "last tenth", "most", "factor", ""]).right(&[1, 2, 3, 4]);
    let mut well = true;
    for (place, metric) in METRICS.iter().enumerate() {
        let (first, last, most) = samples.ends(place);
        let grown = last > first * arguments.factor + metric.slack;
        well &= !grown;
        let factor = if first > 0.0 { format!("{:.2}", last / first) } else { String::new() };
        table.row([
            metric.name.to_owned(),
            format!("{first:.1}"),
            format!("{last:.1}"),
            format!("{most:.1}"),
            factor,
            if grown { "GREW" } else { "" }.to_owned(),
        ]);
    }
    table.print();
    say(if well { "nothing grew" } else { "FAILED: something grew" });
    well
}
