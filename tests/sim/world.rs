//! A world at work: a database, remotes, processes, and the hands that drive them step by step.

use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::database::{Server, connect};
use crate::plan::{Plan, WorldPlan};
use crate::process::{Process, Turned, Work};
use crate::remote::{Event, Remote};
use crate::scenery;

/// How long one turn may take on a busy machine before it counts as hanging for ever.
const PATIENCE: Duration = Duration::from_secs(90);

/// Something that must not be.
#[derive(Debug, Clone)]
pub struct Finding {
    pub rule: &'static str,
    pub says: String,
}

impl Finding {
    pub fn new(rule: &'static str, says: impl Into<String>) -> Self {
        Self { rule, says: says.into() }
    }
}

pub struct World {
    pub plan: WorldPlan,
    pub url: String,
    sql: Client,
    pub remotes: Vec<Remote>,
    text: String,
    processes: Vec<Option<Process>>,
    /// Turns whose call hangs: of which process, what, and their end.
    hanging: Vec<(usize, Work, JoinHandle<Turned>)>,
    /// Somebody's open transaction that holds a row.
    pub holder: Option<Client>,
    /// What happened, in plain words.
    pub story: Vec<String>,
    /// Seconds that have passed since a write broke off or hangs.
    pub waited: u32,
    /// The slot may have been made anew, so that rows are to be compared.
    pub recovers: bool,
    /// A verification was asked for.
    pub verifies: bool,
    began: std::time::Instant,
    _folder: TempDir,
}

impl World {
    pub async fn start(plan: &Plan, server: &mut Server) -> Result<Self, Finding> {
        let url = server.database().await;
        let sql = connect(&url).await.map_err(|error| Finding::new("start", error.to_string()))?;
        sql.batch_execute(&scenery::tables(&plan.world)).await.unwrap();
        let references: Vec<_> = plan
            .world
            .parts
            .then(|| ("part".to_owned(), "owner".to_owned(), "item".to_owned()))
            .into_iter()
            .collect();
        let mut remotes = Vec::new();
        for system in &plan.world.systems {
            remotes.push(Remote::start(system.abilities.clone(), references.clone()).await);
        }
        let folder = tempfile::tempdir().unwrap();
        let slot = url.rsplit('/').next().unwrap();
        let text = scenery::configuration(&plan.world, &remotes, folder.path(), slot);
        let first = Process::start(&url, &text, true).await.map_err(|error| Finding::new("start", error))?;
        let mut processes = vec![Some(first)];
        processes.resize_with(plan.world.processes, || None);
        Ok(Self {
            plan: plan.world.clone(),
            url,
            sql,
            remotes,
            text,
            processes,
            hanging: Vec::new(),
            holder: None,
            story: Vec::new(),
            waited: 0,
            recovers: false,
            verifies: false,
            began: std::time::Instant::now(),
            _folder: folder,
        })
    }

    pub fn tell(&mut self, what: impl Into<String>) {
        self.story.push(format!("{:6.2} {}", self.began.elapsed().as_secs_f64(), what.into()));
    }

    /// A person's connection to the mirror.
    pub async fn sql(&mut self) -> &Client {
        let mut tries = 0;
        while self.sql.is_closed() || self.sql.simple_query("").await.is_err() {
            match connect(&self.url).await {
                Ok(sql) => self.sql = sql,
                Err(error) => {
                    tries += 1;
                    assert!(tries < 500, "the mirror is gone: {error}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        &self.sql
    }

    pub async fn query(&mut self, sql: &str) -> Vec<serde_json::Value> {
        let wrapped = format!("select to_jsonb(x)::text from ({sql}) x");
        let rows = self.sql().await.query(&wrapped, &[]).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
    }

    pub async fn number(&mut self, sql: &str) -> i64 {
        let rows = self.sql().await.query_one(sql, &[]).await;
        rows.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    /// A process that runs; it is started where it is not there yet, or died.
    async fn process(&mut self, who: usize) -> Result<&Process, Finding> {
        if self.processes[who].is_none() {
            let mut said = String::new();
            for _ in 0..100 {
                match Process::start(&self.url, &self.text, false).await {
                    Ok(process) => {
                        self.processes[who] = Some(process);
                        break;
                    }
                    Err(error) => said = error,
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if self.processes[who].is_none() {
                return Err(Finding::new("start", format!("a process cannot start: {said}")));
            }
            self.tell(format!("      process {who} starts"));
        }
        Ok(self.processes[who].as_ref().unwrap())
    }

    pub async fn bindings(&mut self) -> Result<usize, Finding> {
        Ok(self.process(0).await?.bindings())
    }

    pub async fn binding(&mut self, at: usize) -> Result<(i32, String), Finding> {
        let (id, name) = self.process(0).await?.binding(at);
        Ok((id, name.to_owned()))
    }

    /// Does one turn, and tells how it went. A turn whose call hangs goes on behind the story's back.
    pub async fn turn(&mut self, who: usize, work: Work, polls: Option<u32>) -> Result<Turned, Finding> {
        if self.hanging.iter().any(|(process, hanging, _)| *process == who && *hanging == work) {
            return Ok(Turned::Failed("still under way".to_owned()));
        }
        let handle = self.process(who).await?.begin(work, polls);
        let turned = self.await_turn(who, work, handle).await?;
        if turned == Turned::Died {
            self.kill(who);
        }
        Ok(turned)
    }

    async fn await_turn(
        &mut self,
        who: usize,
        work: Work,
        mut handle: JoinHandle<Turned>,
    ) -> Result<Turned, Finding> {
        let remotes = self.remotes.clone();
        let events =
            futures_util::future::select_all(remotes.iter().map(|remote| Box::pin(remote.happened())));
        tokio::select! {
            biased;
            ended = &mut handle => ended.map_err(|error| Finding::new("a turn broke down", format!("{work:?}: {error}"))),
            (event, ..) = events => match event {
                Event::Held => {
                    self.hanging.push((who, work, handle));
                    Ok(Turned::Failed("its call hangs".to_owned()))
                }
                Event::Death => Ok(Turned::Died),
            },
            () = tokio::time::sleep(PATIENCE) => Err(Finding::new("a turn ends", format!("{work:?} of process {who} does not end"))),
        }
    }

    /// Ends a process without a word.
    pub fn kill(&mut self, who: usize) {
        self.hanging.retain(|(process, ..)| *process != who);
        if let Some(process) = self.processes[who].take() {
            process.kill();
        }
    }

    /// Calls that hang go on, and their turns end.
    pub async fn let_go(&mut self) -> Result<(), Finding> {
        for _ in 0..20 {
            for remote in &self.remotes {
                remote.let_go();
            }
            let hanging = std::mem::take(&mut self.hanging);
            if hanging.is_empty() {
                break;
            }
            for (who, work, handle) in hanging {
                let turned = self.await_turn(who, work, handle).await?;
                self.tell(format!("      {work:?} of process {who} goes on: {turned:?}"));
                if turned == Turned::Died {
                    self.kill(who);
                }
            }
        }
        self.waited = 0;
        Ok(())
    }

    /// Time passes for the database. What broke off in a remote is done before a doubt's window ends.
    pub async fn pass(&mut self, seconds: f64) -> Result<(), Finding> {
        self.waited += seconds.ceil() as u32;
        if self.waited > 40 {
            self.let_go().await?;
        }
        for remote in &self.remotes {
            let abilities = remote.abilities().clone();
            let mut state = remote.state();
            state.do_late(&abilities);
            state.calls_ever += abilities.lag;
        }
        let sql = format!("update sim.clock set ahead = ahead + interval '{seconds} seconds'");
        self.sql().await.batch_execute(&sql).await.unwrap();
        Ok(())
    }

    /// One turn of everybody in one process; true when something was done.
    pub async fn round(&mut self, who: usize, most: usize) -> Result<bool, Finding> {
        let mut worked = false;
        let recover =
            self.recovers.then_some(Work::Recover).into_iter().chain(self.verifies.then_some(Work::Verify));
        for work in [Work::Capture, Work::Upkeep].into_iter().chain(recover) {
            worked |= matches!(self.turn(who, work, None).await?, Turned::Did(1.., _));
        }
        for at in 0..self.bindings().await? {
            for work in [Work::Pull(at), Work::Deliver(at)] {
                for _ in 0..most {
                    match self.turn(who, work, None).await? {
                        Turned::Did(did, more) => {
                            worked |= did > 0;
                            if !more {
                                break;
                            }
                        }
                        Turned::Failed(_) | Turned::Died => break,
                    }
                }
            }
        }
        self.turn(who, Work::Release, None).await?;
        Ok(worked)
    }
}
