//! What the command line asks for.

use std::time::Duration;

use clap::Parser;
use rowtwin::config::duration::parse_duration;

/// Kills and hinders real processes at random, and checks that nothing was lost, made twice or left over.
#[derive(Debug, Parser)]
#[command(name = "cargo chaos", bin_name = "cargo chaos")]
pub struct Arguments {
    /// How many SIGKILLs (10 when left out); other faults come between them and are counted apart
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Which faults and edits; by chance when left out
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// No more faults after this long; what happened until then is checked
    #[arg(long, default_value = "20s", value_parser = parse_duration, value_name = "DURATION")]
    pub at_most: Duration,
    /// How many SIGKILLs between two checks
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub round: u64,
    /// Keep the folder with the logs of all processes
    #[arg(long)]
    pub keep: bool,

    // What `cargo test` hands to every test binary.
    #[arg(long, hide = true)]
    pub list: bool,
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    show_output: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    include_ignored: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    format: Option<String>,
    #[arg(long, hide = true)]
    color: Option<String>,
    #[arg(long, hide = true)]
    skip: Vec<String>,
    #[arg(hide = true)]
    filter: Vec<String>,
}

impl Arguments {
    pub fn count(&self) -> u64 {
        self.count.unwrap_or(10)
    }

    /// As `cargo test` runs it, the plan is always the same one.
    pub fn seed(&self, chance: u64) -> u64 {
        self.seed.unwrap_or(if self.count.is_some() { chance } else { 1 })
    }

    /// Whether `cargo test FILTER` means this one.
    pub fn meant(&self) -> bool {
        let named = |word: &String| "chaos".contains(word.as_str());
        !self.ignored
            && !self.skip.iter().any(named)
            && (self.filter.is_empty() || self.filter.iter().any(named))
    }
}
