//! Running a story to its end, letting everything come to rest, and asking the model.

use std::time::{Duration, Instant};

use crate::act::act;
use crate::database::Server;
use crate::model::evidence::Evidence;
use crate::model::findings;
use crate::plan::{Act, Plan};
use crate::process::Work;
use crate::remote::fault::Fault;
use crate::remote::state::By;
use crate::world::{Finding, World};

/// What came of a story.
pub struct Ended {
    pub findings: Vec<Finding>,
    pub story: Vec<String>,
    pub took: Duration,
}

/// Runs a plan on a database of its own.
pub async fn run(plan: &Plan, server: &mut Server) -> Ended {
    let began = Instant::now();
    let ended = match World::start(plan, server).await {
        Ok(mut world) => {
            let findings = match told(&mut world, server, plan).await {
                Ok(findings) => findings,
                Err(finding) => vec![finding],
            };
            tell_effects(&mut world);
            if !findings.is_empty() {
                for line in world.query("select * from rowtwin.journal order by id").await {
                    let name = |field: &str| line[field].to_string();
                    let said = format!(
                        "      journal: {} {} {} {} {} {} {} -> {} {}",
                        name("system"),
                        name("object"),
                        name("key"),
                        name("remote_id"),
                        name("side"),
                        name("effect"),
                        name("before"),
                        name("after"),
                        name("reason")
                    );
                    world.tell(said.replace('"', ""));
                }
                for line in world.query("select * from rowtwin.conflicts order by id").await {
                    world.tell(format!("      conflict: {line}"));
                }
                for (plan, remote) in world.plan.systems.clone().iter().zip(world.remotes.clone()) {
                    for call in remote.state().calls.iter() {
                        world.tell(format!(
                            "      last calls of {}: {} {}",
                            plan.name,
                            call.op.word(),
                            call.body
                        ));
                    }
                }
            }
            let story = std::mem::take(&mut world.story);
            for who in 0..plan.world.processes {
                world.kill(who);
            }
            Ended { findings, story, took: began.elapsed() }
        }
        Err(finding) => Ended { findings: vec![finding], story: Vec::new(), took: began.elapsed() },
    };
    server.remove().await;
    ended
}

async fn told(world: &mut World, server: &mut Server, story: &Plan) -> Result<Vec<Finding>, Finding> {
    for step in &story.steps {
        act(world, server, step).await?;
    }
    world.tell("      everything calms down");
    let resume = "select rowtwin.resume(name) from rowtwin.systems where state = 'paused'";
    world.sql().await.batch_execute(resume).await.unwrap();
    rest(world).await?;
    for column in ["next_poll_at", "next_sweep_at", "next_poll_at"] {
        due(world, column).await;
        rest(world).await?;
    }
    let end = world.query("select pg_current_wal_lsn()::text as lsn").await[0]["lsn"].clone();
    for remote in &world.remotes {
        remote.state().calls.clear();
    }
    due(world, "next_poll_at").await;
    due(world, "next_sweep_at").await;
    rest(world).await?;

    let mut found = quiet(world).await;
    let confirmed = format!(
        "select count(*) from pg_replication_slots where database = current_database() and confirmed_flush_lsn >= {}::pg_lsn",
        format_args!("'{}'", end.as_str().unwrap_or_default())
    );
    if world.number(&confirmed).await != 1 {
        found.push(Finding::new("the slot is confirmed", "the slot is behind the last change, or not there"));
    }
    for (plan, remote) in world.plan.systems.iter().zip(&world.remotes) {
        let (most, allowed) = (remote.most_flying(), remote.abilities().in_flight);
        if is_calm(story) && most > allowed {
            let says = format!("{} had {most} calls at the same time, and {allowed} are allowed", plan.name);
            found.push(Finding::new("limits are kept", says));
        }
    }
    let evidence = Evidence::gather(world).await;
    found.extend(findings(&evidence, is_calm(story)));
    Ok(found)
}

/// What each remote has seen, for the story's end.
fn tell_effects(world: &mut World) {
    for (plan, remote) in world.plan.systems.clone().iter().zip(world.remotes.clone()) {
        for effect in &remote.state().effects {
            let by = if effect.by == By::Person { "somebody" } else { "the engine" };
            let lost = if effect.answered { "" } else { " (its answer was lost)" };
            let after = effect
                .after
                .clone()
                .map_or_else(String::new, |after| serde_json::Value::Object(after).to_string());
            let said = format!(
                "      {}: {by} {} {} {}{lost} {after}",
                plan.name,
                effect.op.word(),
                effect.object,
                effect.id
            );
            world.tell(said);
        }
    }
}

/// Whether every answer that was given has reached us, so that the journal must know it.
fn is_calm(plan: &Plan) -> bool {
    plan.steps.iter().all(|step| {
        !matches!(
            step.act,
            Act::Kill(_)
                | Act::DieCapturing(..)
                | Act::DieDelivering(..)
                | Act::DiePulling(..)
                | Act::Terminate
                | Act::Crash
                | Act::Fault(
                    _,
                    _,
                    Fault::DeathAfter | Fault::DeathBefore | Fault::HeldAfter | Fault::HeldBefore
                )
        )
    })
}

async fn due(world: &mut World, column: &str) {
    let sql =
        format!("update rowtwin_private.binding set {column} = '-infinity', next_overlap_at = '-infinity'");
    world.sql().await.batch_execute(&sql).await.unwrap();
}

/// After rest nothing is written any more, and nothing waits to be looked at.
async fn quiet(world: &mut World) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (plan, remote) in world.plan.systems.iter().zip(&world.remotes) {
        for call in remote.state().calls.iter().filter(|call| call.op.writes()) {
            let says = format!("{} is written to after rest: {} {}", plan.name, call.op.word(), call.body);
            findings.push(Finding::new("no call after rest", says));
        }
    }
    findings
}

/// Lets everybody work, and time pass, until nothing is left to do.
async fn rest(world: &mut World) -> Result<(), Finding> {
    world.holder = None;
    for remote in &world.remotes {
        remote.calm();
    }
    world.let_go().await?;
    let mut wait = 2.0;
    let (mut idle, mut rounds) = (0, 0);
    loop {
        let who = rounds % world.plan.processes;
        rounds += 1;
        if world.round(who, 200).await? {
            wait = 2.0;
        } else {
            idle += 1;
            if left(world).await == 0 {
                break;
            }
            world.pass(wait).await?;
            wait = f64::min(wait * 3.0, 100.0);
        }
        if idle > 40 || rounds > 400 {
            let outbox = world.query("select * from rowtwin.outbox").await;
            let inbox = world.query("select * from rowtwin.inbox").await;
            let status = world.query("select * from rowtwin.status").await;
            let systems = world.query("select * from rowtwin.systems").await;
            let recovery = world.query("select * from rowtwin.recovery where finished_at is null").await;
            let mut last = Vec::new();
            for at in 0..world.bindings().await? {
                last.push(format!(
                    "{:?} {:?}",
                    world.turn(0, Work::Pull(at), None).await?,
                    world.turn(0, Work::Deliver(at), None).await?
                ));
            }
            let capture = world.turn(0, Work::Capture, None).await?;
            let says = format!(
                "{rounds} rounds, {idle} of them idle\noutbox {outbox:?}\ninbox {inbox:?}\nstatus {status:?}\nsystems {systems:?}\nrecovery {recovery:?}\nlast {last:?}\ncapture {capture:?}"
            );
            return Err(Finding::new("all comes to rest", says));
        }
    }
    Ok(())
}

/// What is still to be done.
async fn left(world: &mut World) -> i64 {
    world
        .number(
            "select (select count(*) from rowtwin_private.outbox where state in ('ready', 'sending'))
                  + (select count(*) from rowtwin_private.inbox where state = 'ready')
                  + (select count(*) from rowtwin_private.binding where active
                     and (state <> 'running' or backfilled_at is null or first_push_at is null or walk is not null
                          or least(next_poll_at, next_sweep_at) <= rowtwin_private.clock()))
                  + (select count(*) from rowtwin.recovery where finished_at is null)
                  + (select count(*) from rowtwin.verification where finished_at is null)
                  + (select count(*) from rowtwin_private.system where state <> 'running' or down_since is not null)",
        )
        .await
}
