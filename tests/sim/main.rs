//! `cargo sim`: a hostile world, by seed.
//!
//! A seed makes a world (tables, systems with abilities of their own, processes) and a story (people's edits on all
//! sides, turns, faults, deaths). The story is played with real Postgres, the production code and remotes that lose,
//! delay, hide and garble; then everything may come to rest, and a model that shares nothing with the engine says
//! what must not be. A seed that fails is reduced to the few steps that it needs, and told.
//!
//! Without arguments it plays every story of `regressions/` and a fixed range of seeds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption of a test is a failed test"
)]

mod act;
mod database;
mod dice;
mod model;
mod mutations;
mod plan;
mod play;
mod process;
mod reduce;
mod remote;
mod run;
mod scenery;
mod world;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use rowtwin::config::duration::parse_duration;

use plan::Plan;
use play::{How, Job, Played, play};

/// The seeds that a run without arguments plays.
const FIXED: std::ops::Range<u64> = 1..25;

/// Plays stories of chance against the rules.
#[derive(Debug, Parser)]
#[command(name = "cargo sim")]
struct Arguments {
    /// Plays this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Of the seed's story, these steps only.
    #[arg(long, value_delimiter = ',', requires = "seed")]
    steps: Vec<usize>,
    /// Plays so many seeds.
    #[arg(long)]
    count: Option<u64>,
    /// The first of them; a random one when left out.
    #[arg(long)]
    from: Option<u64>,
    /// Begins no other seed after so long: `5m`.
    #[arg(long)]
    at_most: Option<String>,
    /// Plays the story of this file.
    #[arg(long)]
    story: Option<PathBuf>,
    /// Does not look for a shorter story that fails too.
    #[arg(long)]
    whole: bool,
    /// Ends with the first story that fails.
    #[arg(long)]
    first: bool,
    /// Writes a story that fails, reduced, to this file.
    #[arg(long)]
    save: Option<PathBuf>,
    /// Stories played at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Tells each story.
    #[arg(long)]
    verbose: bool,
    /// Switches the rules off, one after the other (or those whose name contains this), and sees that it is noticed.
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    mutations: Option<String>,
}

impl Arguments {
    fn how(&self, at_most: Option<Duration>) -> How {
        How { threads: self.jobs, at_most, whole: self.whole, first: self.first, verbose: self.verbose }
    }
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(name) = &arguments.mutations {
        std::process::exit(i32::from(!mutations::prove(name)));
    }
    let at_most =
        arguments.at_most.as_deref().map(|text| parse_duration(text).expect("a duration such as 5m"));
    let of_seed = |seed: u64| Job {
        name: format!("seed {seed}"),
        replay: format!("--seed {seed}"),
        plan: Plan::of(seed),
    };
    let jobs: Vec<Job> = match &arguments {
        Arguments { story: Some(path), .. } => vec![regression(path)],
        Arguments { seed: Some(seed), steps, .. } => {
            let mut job = of_seed(*seed);
            if !steps.is_empty() {
                job.plan = job.plan.with(steps);
            }
            vec![job]
        }
        Arguments { count: None, from: None, at_most: None, .. } => {
            regressions().iter().map(regression).chain(FIXED.map(of_seed)).collect()
        }
        Arguments { count, from, .. } => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let from = from.unwrap_or(u64::from(since.subsec_nanos()) * 1000 + since.as_secs() % 1000);
            let count = count.unwrap_or(if at_most.is_some() { 1_000_000 } else { 1 });
            println!("seeds {from} to {}", from + count - 1);
            let seeds = from..from + count;
            let played = play(seeds.map(of_seed), count, arguments.how(at_most));
            std::process::exit(tell(&arguments, &played));
        }
    };
    let count = u64::try_from(jobs.len()).unwrap();
    let played = play(jobs.into_iter(), count, arguments.how(at_most));
    std::process::exit(tell(&arguments, &played));
}

fn regressions() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim/regressions");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths
}

/// A story that has failed once, kept word for word: it means the same when seeds come to mean something else.
fn regression(path: &PathBuf) -> Job {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let plan = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Job {
        name: path.file_stem().unwrap().display().to_string(),
        replay: format!("--story {}", path.display()),
        plan,
    }
}

/// The last lines, and the exit code.
fn tell(arguments: &Arguments, played: &Played) -> i32 {
    for failure in &played.failures {
        println!("\n{} fails:", failure.name);
        if !arguments.verbose {
            println!("{}", failure.story.join("\n"));
        }
        for finding in &failure.findings {
            println!("  ✗ {}: {}", finding.rule, finding.says);
        }
        println!("  cargo sim {} {}", failure.replay, failure.steps);
        if let Some(path) = &arguments.save {
            std::fs::write(path, serde_json::to_string_pretty(&failure.plan).unwrap() + "\n").unwrap();
        }
    }
    println!(
        "{} stories in {:.0} s ({:.2} per second), {} failed",
        played.count,
        played.took.as_secs_f64(),
        played.count as f64 / played.took.as_secs_f64(),
        played.failures.len()
    );
    i32::from(!played.failures.is_empty())
}
