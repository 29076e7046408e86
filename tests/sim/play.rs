//! Playing many stories: on several threads, each with a Postgres of its own.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::database::Server;
use crate::plan::Plan;
use crate::reduce::reduce;
use crate::run::run;
use crate::world::Finding;

/// A story to be played.
pub struct Job {
    pub name: String,
    /// What plays it again.
    pub replay: String,
    pub plan: Plan,
}

/// A story that broke a rule.
pub struct Failure {
    pub name: String,
    pub replay: String,
    /// The steps that it needs, as an argument; nothing where it needs all.
    pub steps: String,
    pub plan: Plan,
    pub story: Vec<String>,
    pub findings: Vec<Finding>,
}

/// What came of all of them.
#[derive(Default)]
pub struct Played {
    pub count: usize,
    pub took: Duration,
    pub failures: Vec<Failure>,
}

/// How stories are played.
#[derive(Debug, Clone, Copy)]
pub struct How {
    pub threads: usize,
    /// No other story is begun after so long.
    pub at_most: Option<Duration>,
    /// A story that fails is not reduced.
    pub whole: bool,
    /// No other story is begun after one that failed.
    pub first: bool,
    pub verbose: bool,
}

/// Plays the stories.
pub fn play(stories: impl Iterator<Item = Job> + Send, count: u64, how: How) -> Played {
    let began = Instant::now();
    let bar = ProgressBar::new(count);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} stories, {elapsed}, {msg}").unwrap());
    let (stories, played) = (Mutex::new(stories), Mutex::new(Played::default()));
    let threads = how.threads.clamp(1, usize::try_from(count).unwrap_or(1).max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut server = Server::start().await;
                    loop {
                        let late = how.at_most.is_some_and(|most| began.elapsed() > most);
                        if late || how.first && !played.lock().unwrap().failures.is_empty() {
                            return;
                        }
                        let Some(job) = stories.lock().unwrap().next() else { return };
                        let failure = one(job, &mut server, how).await;
                        let mut played = played.lock().unwrap();
                        played.count += 1;
                        if let Some(failure) = failure {
                            let rule = failure.findings.first().map_or("", |finding| finding.rule);
                            bar.suspend(|| println!("{} fails: {rule}", failure.name));
                            played.failures.push(failure);
                        }
                        bar.inc(1);
                        if bar.is_hidden() && played.count % 25 == 0 {
                            println!("{} stories, {} failed", played.count, played.failures.len());
                        }
                        bar.set_message(format!("{} failed", played.failures.len()));
                    }
                });
            });
        }
    });
    bar.finish_and_clear();
    let mut played = played.into_inner().unwrap();
    played.took = began.elapsed();
    played
}

async fn one(job: Job, server: &mut Server, how: How) -> Option<Failure> {
    let mut plan = job.plan;
    let mut ended = run(&plan, server).await;
    if how.verbose {
        println!(
            "{} ({:.1} s): {:#?}\n{}",
            job.name,
            ended.took.as_secs_f64(),
            plan.world,
            ended.story.join("\n")
        );
    }
    if ended.findings.is_empty() {
        return None;
    }
    if !how.whole {
        let rule = ended.findings.first().map_or("", |finding| finding.rule);
        println!("{}: {rule}; looking for a shorter story", job.name);
        (plan, ended) = reduce(&plan, ended, server).await;
    }
    let steps: Vec<String> = plan.steps.iter().map(|step| step.number.to_string()).collect();
    Some(Failure {
        name: job.name,
        replay: job.replay,
        steps: format!("--steps {}", steps.join(",")),
        plan,
        story: ended.story,
        findings: ended.findings,
    })
}
