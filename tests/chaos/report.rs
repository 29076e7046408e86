//! What was done and what came of it: a bar meanwhile, a table at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rowtwin::terminal::{Listing, say};

use crate::check::Found;
use crate::faults::{Kind, Struck};
use crate::stage::Stage;

#[derive(Default, Clone, Copy)]
struct Line {
    struck: u64,
    missed: u64,
    kills: u64,
    lasted: Duration,
}

pub struct Report {
    pub kills: u64,
    pub findings: Vec<String>,
    pub rests: Vec<Duration>,
    pub edits: u64,
    pub refused: u64,
    seed: u64,
    last: Found,
    checks: u64,
    lines: BTreeMap<Kind, Line>,
    began: Instant,
    bar: ProgressBar,
}

impl Report {
    pub fn new(seed: u64, count: u64) -> Self {
        let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} kills, {elapsed}: {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self {
            kills: 0,
            findings: Vec::new(),
            rests: Vec::new(),
            edits: 0,
            refused: 0,
            seed,
            last: Found::default(),
            checks: 0,
            lines: BTreeMap::new(),
            began: Instant::now(),
            bar: ProgressBar::new(count).with_style(style),
        }
    }

    /// What happens now, beside the bar.
    pub fn say(&self, what: &'static str) {
        self.bar.set_position(self.kills);
        self.bar.set_message(what);
    }

    pub fn note(
        &mut self,
        (kind, lasted, struck): (Kind, Duration, anyhow::Result<Struck>),
    ) -> anyhow::Result<()> {
        let struck = struck.map_err(|error| error.context(kind.name()))?;
        let line = self.lines.entry(kind).or_default();
        if struck.struck {
            line.struck += 1;
        } else {
            line.missed += 1;
        }
        line.kills += struck.kills;
        line.lasted += lasted;
        self.kills += struck.kills;
        Ok(())
    }

    pub fn take(&mut self, mut found: Found) {
        self.findings.append(&mut found.findings);
        self.last = found;
        self.checks += 1;
    }

    /// Whether something was checked and nothing was found.
    pub fn passed(&self) -> bool {
        self.findings.is_empty() && self.checks > 0
    }

    pub fn print(&self, stage: &Stage) {
        self.bar.finish_and_clear();
        let mut table =
            Listing::new(["fault", "times", "nobody there", "killed", "seconds"]).right(&[1, 2, 3, 4]);
        let mut all = 0;
        for kind in Kind::all() {
            let line = self.lines.get(&kind).copied().unwrap_or_default();
            all += line.struck;
            let seconds = format!("{:.1}", line.lasted.as_secs_f64());
            table.row([
                kind.name().to_owned(),
                line.struck.to_string(),
                line.missed.to_string(),
                line.kills.to_string(),
                seconds,
            ]);
        }
        table.print();
        let longest = self.rests.iter().max().copied().unwrap_or_default();
        let starts: u32 = stage.rowtwins.iter().map(|rowtwin| rowtwin.starts()).sum();
        let ends: Vec<String> =
            stage.rowtwins.iter().flat_map(|rowtwin| rowtwin.ends()).map(|end| end.how).collect();
        say(format!(
            "seed {}: {} kills, {all} faults in {:.0} s; {} checks, the longest way to rest {:.0} s",
            self.seed,
            self.kills,
            self.began.elapsed().as_secs_f64(),
            self.checks,
            longest.as_secs_f64()
        ));
        say(format!(
            "rowtwin was started {starts} times and gave up at its start {} times; Postgres was started {} times (without its own restarts)",
            ends.len(),
            stage.server.starts()
        ));
        for (end, times) in counted(&ends) {
            say(format!("  {times} x {end}"));
        }
        say(format!(
            "{} edits, {} that could not be made; {} values followed: {} conflicts on record, {} overwritten in the moment that R9 leaves",
            self.edits, self.refused, self.last.values, self.last.conflicts, self.last.overwritten
        ));
        for finding in &self.findings {
            say(format!("FINDING {finding}"));
        }
        say(if self.passed() { "passed" } else { "FAILED" });
    }
}

/// How often each of some lines comes, whatever numbers are in it.
fn counted(lines: &[String]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for line in lines {
        let shape: String =
            line.chars().map(|letter| if letter.is_ascii_digit() { '#' } else { letter }).collect();
        *counted.entry(shape).or_default() += 1;
    }
    counted
}
