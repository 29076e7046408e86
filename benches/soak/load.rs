//! The work: rows edited in SQL, records edited in both systems, and one customer on whom the ways are timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;
use crate::remote::{Remote, text};
use crate::stage::{Stage, connect};

/// How long the beginning may take, and any single way.
const PATIENCE: Duration = Duration::from_secs(300);
/// The work is done in small portions, ten a second.
const PORTION: Duration = Duration::from_millis(100);
/// Of every system, the ids of the records; that of the timed customer is the first.
type Ids = [Vec<String>; 2];

/// Makes the customers and waits until everybody has them.
pub async fn settle_in(stage: &Arc<Stage>, customers: u64) -> anyhow::Result<Arc<Ids>> {
    let sql = connect(&stage.server.url("mirror")).await?;
    let insert = format!(
        "insert into sales.customer (number, name) select 'C' || i, 'Customer ' || i from generate_series(1, {customers}) i"
    );
    sql.batch_execute(&insert).await?;
    let began = Instant::now();
    let ready = "select count(*) from sales.customer where crm_id is null or erp_id is null";
    while sql.query_one(ready, &[]).await?.get::<_, i64>(0) > 0 {
        if began.elapsed() > PATIENCE {
            bail!("the customers have not reached both systems in time");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let rows = sql.query("select crm_id, erp_id from sales.customer order by id", &[]).await?;
    let ids = |column: usize| rows.iter().map(|row| row.get(column)).collect();
    Ok(Arc::new([ids(0), ids(1)]))
}

pub struct Load {
    stop: CancellationToken,
    work: JoinSet<anyhow::Result<()>>,
    done: Arc<Done>,
}

#[derive(Default)]
struct Done {
    edits: AtomicU64,
    /// The last two ways, ms.
    pushed: AtomicU64,
    pulled: AtomicU64,
}

impl Load {
    pub fn begin(stage: &Arc<Stage>, ids: &Arc<Ids>, rate: u64) -> Self {
        let (stop, done) = (CancellationToken::new(), Arc::new(Done::default()));
        let mut work = JoinSet::new();
        let mut dice = Dice::new(1);
        let rows = u64::try_from(ids[0].len()).unwrap_or_default();
        work.spawn(analyst(Arc::clone(stage), rows, rate, dice.split(), stop.clone(), Arc::clone(&done)));
        for place in 0..2 {
            let (stage, ids, done) = (Arc::clone(stage), Arc::clone(ids), Arc::clone(&done));
            work.spawn(person(stage, place, ids, rate.div_ceil(4), dice.split(), stop.clone(), done));
        }
        work.spawn(watch(Arc::clone(stage), Arc::clone(ids), stop.clone(), Arc::clone(&done)));
        Self { stop, work, done }
    }

    pub fn edits(&self) -> u64 {
        self.done.edits.load(Ordering::Relaxed)
    }

    /// How long the last change took from the row to both systems, and from a record to the row, ms.
    pub fn waits(&self) -> (f64, f64) {
        let of =
            |wait: &AtomicU64| f64::from(u32::try_from(wait.load(Ordering::Relaxed)).unwrap_or(u32::MAX));
        (of(&self.done.pushed), of(&self.done.pulled))
    }

    /// Ends the work, and says how it went.
    pub async fn end(mut self) -> String {
        self.stop.cancel();
        let mut failed = Vec::new();
        while let Some(ended) = self.work.join_next().await {
            if let Ok(Err(error)) = ended {
                failed.push(format!("{error:#}"));
            }
        }
        if failed.is_empty() { "nobody was hindered".to_owned() } else { failed.join("; ") }
    }
}

/// The portions of a rate, as they are due.
struct Pace {
    began: Instant,
    done: u64,
    rate: u64,
    ticks: tokio::time::Interval,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Self { began: Instant::now(), done: 0, rate, ticks: tokio::time::interval(PORTION) }
    }

    async fn due(&mut self) -> u64 {
        self.ticks.tick().await;
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or_default();
        let due = (millis * self.rate / 1000).saturating_sub(self.done);
        self.done += due;
        due
    }
}

async fn analyst(
    stage: Arc<Stage>,
    rows: u64,
    rate: u64,
    mut dice: Dice,
    stop: CancellationToken,
    done: Arc<Done>,
) -> anyhow::Result<()> {
    let sql = connect(&stage.server.url("mirror")).await?;
    let mut pace = Pace::new(rate);
    while !stop.is_cancelled() {
        let due = pace.due().await;
        // the first customer is timed and left alone
        let mut ids: Vec<i64> =
            (0..due).map(|_| i64::try_from(dice.between(2, rows)).unwrap_or_default()).collect();
        ids.sort_unstable();
        let value = format!("{}", dice.below(1_000_000_000));
        let update = "update sales.customer set phone = $2 || '.' || id where id = any ($1)";
        sql.execute(update, &[&ids, &value]).await.context("editing rows")?;
        done.edits.fetch_add(due, Ordering::Relaxed);
    }
    Ok(())
}

async fn person(
    stage: Arc<Stage>,
    place: usize,
    ids: Arc<Ids>,
    rate: u64,
    mut dice: Dice,
    stop: CancellationToken,
    done: Arc<Done>,
) -> anyhow::Result<()> {
    let remote = stage.remotes()[place];
    let mut pace = Pace::new(rate);
    // each side writes a field of its own, so that the load is one of changes and not one of conflicts
    let field = remote.words.field(if place == 0 { "address" } else { "name" });
    while !stop.is_cancelled() {
        for _ in 0..pace.due().await {
            let id = dice.pick(&ids[place][1..]);
            let fields = json!({field: format!("{} {}", remote.name, dice.below(1_000_000_000))});
            remote.door("edit", json!({"object": remote.words.object, "id": id, "fields": fields})).await?;
            done.edits.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Times one way after the other.
async fn watch(
    stage: Arc<Stage>,
    ids: Arc<Ids>,
    stop: CancellationToken,
    done: Arc<Done>,
) -> anyhow::Result<()> {
    let sql = connect(&stage.server.url("mirror")).await?;
    for turn in 0_u64.. {
        if stop.is_cancelled() {
            break;
        }
        let value = format!("timed {turn}");
        sql.execute("update sales.customer set phone = $1 where id = 1", &[&value]).await?;
        let began = Instant::now();
        for (place, remote) in stage.remotes().into_iter().enumerate() {
            while !stop.is_cancelled()
                && holds(remote, &ids[place][0], "phone").await?.as_deref() != Some(&value)
            {
                a_moment(began).await?;
            }
        }
        note(&done.pushed, began);
        let fields = json!({stage.crm.words.field("address"): value});
        let edit = json!({"object": stage.crm.words.object, "id": ids[0][0], "fields": fields});
        stage.crm.door("edit", edit).await?;
        let began = Instant::now();
        let arrived = "select count(*) from sales.customer where id = 1 and address = $1";
        while !stop.is_cancelled() && sql.query_one(arrived, &[&value]).await?.get::<_, i64>(0) == 0 {
            a_moment(began).await?;
        }
        note(&done.pulled, began);
    }
    Ok(())
}

fn note(wait: &AtomicU64, began: Instant) {
    wait.store(u64::try_from(began.elapsed().as_millis()).unwrap_or_default(), Ordering::Relaxed);
}

async fn holds(remote: &Remote, id: &str, column: &str) -> anyhow::Result<Option<String>> {
    let answer = remote.door("record", json!({"object": remote.words.object, "id": id})).await?;
    Ok(text(&answer["record"][remote.words.field(column)]))
}

/// Waits a moment for a change that was made then.
async fn a_moment(began: Instant) -> anyhow::Result<()> {
    if began.elapsed() > PATIENCE {
        bail!("a change has not come to the other side within {} s", PATIENCE.as_secs());
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(())
}
