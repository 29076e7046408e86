//! `cargo chaos`: real processes are killed, stopped and cut off at random while people work on all sides; then
//! everything must come to rest, equal, with nothing lost and nothing made twice. See `docs/testing.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption of a test is a failed test"
)]

mod arguments;
mod check;
mod dice;
mod faults;
mod go_between;
mod orders;
mod people;
mod process;
mod remote;
mod report;
mod rest;
mod server;
mod stage;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tokio::task::JoinSet;

use arguments::Arguments;
use dice::Dice;
use faults::{Kind, Struck};
use people::{Ledger, People};
use report::Report;
use stage::Stage;

/// Set where this process has a view of the mounts of its own.
const OWN_MOUNTS: &str = "ROWTWIN_CHAOS_OWN_MOUNTS";
/// So many faults may last at the same time.
const AT_ONCE: usize = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        println!("chaos: test");
        return ExitCode::SUCCESS;
    }
    if !arguments.meant() {
        return ExitCode::SUCCESS;
    }
    see_own_mounts();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match runtime.block_on(run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the run itself failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Goes on in a view of the mounts that ends with this process, so that no kill of ours leaves a disk behind. Where
/// that is not allowed, the disk stays as it is.
fn see_own_mounts() {
    if std::env::var_os(OWN_MOUNTS).is_some() {
        return;
    }
    let apart = ["--mount", "--propagation", "private"];
    let allowed = Command::new("unshare").args(apart).arg("true").output();
    if let Ok(ourselves) = std::env::current_exe()
        && allowed.is_ok_and(|output| output.status.success())
    {
        let error = Command::new("unshare")
            .args(apart)
            .arg(ourselves)
            .args(std::env::args_os().skip(1))
            .env(OWN_MOUNTS, "1")
            .exec();
        eprintln!("without mounts of its own: {error}");
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let seed = arguments.seed(u64::try_from(now % 1_000_000)?);
    println!("seed {seed}: {} kills, at most {} s of faults", arguments.count(), arguments.at_most.as_secs());
    let stage = Stage::set().await?;
    if !stage.server.has_small_disk() {
        println!("left out: a full disk; a small disk can only be mounted by root");
    }
    let mut report = Report::new(seed, arguments.count());
    let told = tokio::select! {
        told = rounds(arguments, &stage, seed, &mut report) => told.map(|()| report.passed()),
        _ = tokio::signal::ctrl_c() => Ok(false),
    };
    stage.strike().await;
    report.print(&stage);
    if arguments.keep || !report.passed() {
        let kept = stage.folder.path().with_extension("logs");
        keep_logs(&stage, &kept)?;
        println!("the logs of all processes are in {}", kept.display());
    }
    told
}

/// The logs outlive the folder; data and mounts do not.
fn keep_logs(stage: &Stage, to: &std::path::Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(stage.folder.path())? {
        let path = entry?.path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// Rounds of faults, each with its check, until all kills are done or the time is over.
async fn rounds(
    arguments: &Arguments,
    stage: &Arc<Stage>,
    seed: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut dice = Dice::new(seed);
    let ledger = Arc::new(Ledger::default());
    let began = Instant::now();
    while report.kills < arguments.count() && began.elapsed() < arguments.at_most {
        let people = People::begin(stage, &ledger, &mut dice);
        let goal = arguments.count().min(report.kills + arguments.round);
        let until = began + arguments.at_most;
        storm(stage, &mut dice, goal, until, report).await?;
        people.end().await;
        for remote in stage.remotes() {
            remote.door("clear_faults", serde_json::json!({})).await?;
        }
        report.say("waiting for rest");
        match rest::come_to_rest(stage).await {
            Ok(took) => report.rests.push(took),
            Err(finding) => report.findings.push(finding),
        }
        if report.findings.is_empty() {
            report.say("checking");
            report.take(check::check(stage, &ledger).await?);
        }
        report.edits = ledger.edits.load(Ordering::Relaxed);
        report.refused = ledger.refused.load(Ordering::Relaxed);
        if !report.findings.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Faults, one after the other and some at once, until so many processes were killed.
async fn storm(
    stage: &Arc<Stage>,
    dice: &mut Dice,
    goal: u64,
    until: Instant,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut under_way: JoinSet<(Kind, Duration, anyhow::Result<Struck>)> = JoinSet::new();
    while report.kills < goal && Instant::now() < until {
        // now and then everybody may work for a while
        let calm = if dice.below(12) == 0 { dice.between(3_000, 8_000) } else { dice.between(50, 1_200) };
        tokio::time::sleep(Duration::from_millis(calm)).await;
        while let Some(done) = under_way.try_join_next() {
            report.note(done?)?;
        }
        if under_way.len() >= AT_ONCE {
            continue;
        }
        let kind = Kind::by_chance(dice);
        if kind == Kind::FillDisk && !stage.server.has_small_disk() {
            continue;
        }
        report.say(kind.name());
        let (stage, dice) = (Arc::clone(stage), dice.split());
        under_way.spawn(async move {
            let began = Instant::now();
            let struck = kind.strike(stage, dice).await;
            (kind, began.elapsed(), struck)
        });
    }
    while let Some(done) = under_way.join_next().await {
        report.note(done?)?;
    }
    Ok(())
}
