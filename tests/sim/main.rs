//! `cargo sim`: a hostile world, by seed.
//!
//! A seed makes a world (tables, systems with abilities of their own, processes) and a story (people's edits on all
//! sides, turns, faults, deaths). The story is played with real Postgres, the production code and remotes that lose,
//! delay, hide and garble; then everything may come to rest, and a model that shares nothing with the engine says
//! what must not be. A seed that fails is reduced to the few steps that it needs, and told.
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
mod plan;
mod process;
mod reduce;
mod remote;
mod run;
mod scenery;
mod world;

use clap::Parser;

use database::Server;
use plan::Plan;

/// Plays stories of chance against the rules.
#[derive(Debug, Parser)]
struct Arguments {
    /// Plays this seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Plays so many seeds.
    #[arg(long)]
    count: Option<u64>,
    /// The first of them; a random one when left out.
    #[arg(long)]
    from: Option<u64>,
    /// Of the seed's story, these steps only.
    #[arg(long, value_delimiter = ',')]
    steps: Vec<usize>,
    /// Does not look for a shorter story that fails too.
    #[arg(long)]
    whole: bool,
    /// Tells each story.
    #[arg(long)]
    verbose: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failed = runtime.block_on(async {
        let mut server = Server::start().await;
        let (from, count) = match arguments.seed {
            Some(seed) => (seed, 1),
            None => (arguments.from.unwrap_or(1), arguments.count.unwrap_or(20)),
        };
        let mut failed = 0;
        let began = std::time::Instant::now();
        for seed in from..from + count {
            let mut plan = Plan::of(seed);
            if !arguments.steps.is_empty() {
                plan = plan.with(&arguments.steps);
            }
            let mut ended = run::run(&plan, &mut server).await;
            if !ended.findings.is_empty() && !arguments.whole {
                (plan, ended) = reduce::reduce(&plan, ended, &mut server).await;
                println!("{}", ended.story.join("\n"));
                let steps: Vec<String> = plan.steps.iter().map(|step| step.number.to_string()).collect();
                println!("cargo sim --seed {seed} --steps {}", steps.join(","));
            }
            if arguments.verbose || !ended.findings.is_empty() {
                println!("seed {seed} ({} steps, {:?})", plan.steps.len(), ended.took);
                if arguments.verbose {
                    println!("{:#?}", plan.world);
                    println!("{}", ended.story.join("\n"));
                }
                for finding in &ended.findings {
                    println!("  {}: {}", finding.rule, finding.says);
                }
            }
            failed += u64::from(!ended.findings.is_empty());
        }
        println!("{count} seeds, {failed} failed, {:?}", began.elapsed());
        failed
    });
    if failed > 0 {
        std::process::exit(1);
    }
}
