//! The engine as it runs in production, and waiting for what it does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rowtwin::cluster::{Cluster, ClusterOptions, DataFolder};
use rowtwin::config;
use rowtwin::engine::assemble::Given;
use rowtwin::engine::run::Unwatched;
use rowtwin::engine::{Engine, EngineError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Scene, Script, connect};

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so.
pub async fn until(what: &str, check: impl AsyncFn() -> bool) {
    within(PATIENCE, what, check).await;
}

/// The same for long work.
pub async fn within(patience: Duration, what: &str, check: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !check().await {
        assert!(began.elapsed() < patience, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// An engine whose loops run.
pub struct Running {
    pub stop: CancellationToken,
    url: String,
    slot: String,
    task: JoinHandle<Result<(), EngineError>>,
}

impl Running {
    /// Runs a second engine on the scene's database, slot and configuration.
    pub async fn start(scene: &Scene) -> Self {
        Self::of(scene, scene.another_engine().await)
    }

    /// Runs an engine that was made otherwise, on the scene's database.
    pub fn of(scene: &Scene, engine: Engine) -> Self {
        let stop = CancellationToken::new();
        let engine = Arc::new(engine);
        let (url, slot) = (scene.url.clone(), engine.slot.clone());
        let task = tokio::spawn(engine.run(stop.clone(), Arc::new(Unwatched)));
        Self { stop, url, slot, task }
    }

    /// A clean stop, as SIGTERM asks for. The server has let go of the slot then, too.
    pub async fn stop(self) {
        let sql = connect(&self.url).await;
        let reader = async || -> Option<i32> {
            let sql_text = "select active_pid from pg_replication_slots where slot_name = $1";
            sql.query_one(sql_text, &[&self.slot]).await.unwrap().get(0)
        };
        let before = reader().await;
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("a stop in time");
        ended.unwrap().unwrap_or_else(|error| panic!("{error}"));
        until("the server lets go of the slot", async || before.is_none() || reader().await != before).await;
    }
}

impl Scene {
    /// What another process of ours would have: the same configuration, slot and database.
    pub async fn another_engine(&self) -> Engine {
        let mut engine = self.another_engine_assembled().await;
        engine.init().await.unwrap();
        engine
    }

    /// The same before it has touched the database.
    pub async fn another_engine_assembled(&self) -> Engine {
        let given = Given { database_url: Some(self.url.clone()), connectors: None, ..Given::default() };
        Engine::assemble(self.engine.file.clone(), &given).await.unwrap()
    }

    /// A restart with another configuration.
    pub async fn reconfigure(&mut self, script: &Script) {
        self.reconfigure_with(&Self::text(script, &self.crm, &self.erp)).await;
    }

    /// A restart with another configuration, given as its text.
    pub async fn reconfigure_with(&mut self, text: &str) {
        let mut file = config::parse("rowtwin.yaml", text).unwrap_or_else(|error| panic!("{error}")).0;
        file.database.slot = self.engine.file.database.slot.clone();
        self.engine.file = file;
        self.engine = self.another_engine().await;
    }

    /// How far the slot is confirmed.
    pub async fn confirmed_beyond(&self, lsn: &str) -> bool {
        let sql =
            "select confirmed_flush_lsn >= $2::text::pg_lsn from pg_replication_slots where slot_name = $1";
        self.sql.query_one(sql, &[&self.engine.slot, &lsn]).await.unwrap().get(0)
    }

    /// Where the WAL ends now.
    pub async fn wal_end(&self) -> String {
        self.sql.query_one("select pg_current_wal_lsn()::text", &[]).await.unwrap().get(0)
    }
}

/// A cluster of the test's own, for settings that the others must not see.
pub fn own_cluster(settings: &[(&str, &str)]) -> Cluster {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let options =
        ClusterOptions { data: DataFolder::Temporary, durable: false, settings, ..ClusterOptions::default() };
    Cluster::start(options, &mut |line| eprintln!("{line}")).expect("a private Postgres")
}
