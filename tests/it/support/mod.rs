//! A scene: a database of its own, a simulated CRM and ERP, and the engine, driven turn by turn.

pub mod comparing;
pub mod running;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rowtwin::capture::catch_up::catch_up;
use rowtwin::cluster::{Cluster, ClusterOptions, DataFolder};
use rowtwin::config;
use rowtwin::deliver::Deliverer;
use rowtwin::engine::Engine;
use rowtwin::engine::assemble::Given;
use rowtwin::pull::Puller;
use rowtwin::simulator::{Door, Kind, Options, Simulator, credentials};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();

/// The cluster that all tests of this process share; every test has a database of its own.
pub fn cluster() -> &'static Mutex<Cluster> {
    CLUSTER.get_or_init(|| {
        let options =
            ClusterOptions { data: DataFolder::Temporary, durable: false, ..ClusterOptions::default() };
        let cluster = Cluster::start(options, &mut |line| eprintln!("{line}")).expect("a private Postgres");
        Mutex::new(cluster)
    })
}

/// Makes an empty database and returns its address.
pub async fn database() -> String {
    let name = format!("t_{}", Uuid::new_v4().simple());
    let (admin, url) = {
        let cluster = cluster().lock().unwrap();
        (cluster.url("postgres"), cluster.url(&name))
    };
    execute(&admin, &format!("create database {name}")).await;
    url
}

/// Runs statements on a database, as an analyst with psql would.
pub async fn execute(url: &str, sql: &str) {
    connect(url).await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// A plain connection.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub const CUSTOMER: &str = "
    create schema sales;
    create table sales.customer (
      id bigint generated always as identity primary key,
      name text, number text, phone text, address text, credit numeric, note text,
      crm_id text, erp_id text, touched timestamptz default now());";

/// How the scene's table is bound; tests replace parts of it.
pub struct Script {
    pub crm: String,
    pub erp: String,
    /// More keys of the binding, each with a comma before it.
    pub extra_crm: String,
    pub extra_erp: String,
    pub crm_match: String,
    pub crm_limits: String,
    pub erp_limits: String,
    /// More settings of the systems, each with a comma before it.
    pub crm_settings: String,
    pub erp_settings: String,
    /// Keys of `database`, as one YAML mapping.
    pub database: String,
    /// The mirror's schema.
    pub schema: String,
    /// More tables with their bindings, as lines of YAML.
    pub more_tables: String,
    pub with_crm: bool,
    pub with_erp: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            crm: "{name: name, number: account_no, phone: {field: tel, check: {pattern: '^1[0-9]{10}$'}}, address: address}"
                .to_owned(),
            erp: "{name: FName, number: FNumber, phone: FTEL, address: FADDRESS}".to_owned(),
            extra_crm: String::new(),
            extra_erp: String::new(),
            crm_match: "[account_no]".to_owned(),
            crm_limits: "{per_second: 1000, in_flight: 4}".to_owned(),
            erp_limits: "{per_second: 1000, in_flight: 4}".to_owned(),
            crm_settings: String::new(),
            erp_settings: String::new(),
            database: "{}".to_owned(),
            schema: CUSTOMER.to_owned(),
            more_tables: String::new(),
            with_crm: true,
            with_erp: true,
        }
    }
}

pub struct Scene {
    pub url: String,
    pub sql: tokio_postgres::Client,
    pub crm: Simulator,
    pub erp: Simulator,
    pub engine: Engine,
    /// The configuration, for a second engine on the same database.
    pub text: String,
}

impl Drop for Scene {
    /// Gives the database's slots back: a cluster has a limited number, and each retains WAL.
    fn drop(&mut self) {
        let url = self.url.clone();
        let work = async move {
            let sql = "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database() and active;
                       select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database() and not active";
            if let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
                tokio::spawn(connection);
                // one that is being let go right now is left to the cluster's end
                let _ = client.batch_execute(sql).await;
            }
        };
        let dropped = std::thread::spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(work);
            }
        });
        let _ = dropped.join();
    }
}

pub const CRM: &str = "AccountObj";
pub const ERP: &str = "BD_Customer";

impl Scene {
    pub async fn start() -> Self {
        Self::with(Script::default()).await
    }

    pub async fn with(script: Script) -> Self {
        let schema = script.schema.clone();
        Self::at(database().await, &schema, script).await
    }

    /// A scene in a database of the test's own choice, with tables of its own.
    pub async fn at(url: String, tables: &str, script: Script) -> Self {
        execute(&url, tables).await;
        let options = || Options { calls_per_20s: Some(1_000_000), ..Options::default() };
        let crm = Simulator::start(Kind::Fxiaoke, options()).await.unwrap();
        let erp = Simulator::start(Kind::KingdeeK3cloud, options()).await.unwrap();
        let text = Self::text(&script, &crm, &erp);
        let engine = assemble(&url, &text).await;
        let sql = connect(&url).await;
        Self { url, sql, crm, erp, engine, text }
    }

    pub fn text(script: &Script, crm: &Simulator, erp: &Simulator) -> String {
        use credentials::{fxiaoke as f, kingdee as k};
        let mut bindings = String::new();
        if script.with_crm {
            bindings += &format!(
                "      - {{system: crm, object: AccountObj, match: {}, id_column: crm_id, poll: 1d, sweep: 1d, doubt_window: 2s{}, fields: {}}}\n",
                script.crm_match, script.extra_crm, script.crm
            );
        }
        if script.with_erp {
            bindings += &format!(
                "      - {{system: erp, object: BD_Customer, match: [FNumber], id_column: erp_id, poll: 1d, sweep: 1d, doubt_window: 2s{}, fields: {}}}\n",
                script.extra_erp, script.erp
            );
        }
        format!(
            "database: {}\nsystems:\n  crm:\n    connector: fxiaoke\n    limits: {}\n    settings: {{base_url: '{}', app_id: {}, app_secret: {{file: '{}'}}, permanent_code: {{file: '{}'}}, user_id: '{}'{}}}\n  erp:\n    connector: kingdee-k3cloud\n    limits: {}\n    settings: {{base_url: '{}', account_id: {}, user: {}, app_id: {}, app_secret: {{file: '{}'}}{}}}\ntables:\n  sales.customer:\n    bindings:\n{bindings}{}",
            script.database,
            script.crm_limits,
            crm.base_url(),
            f::APP_ID,
            secret(f::APP_SECRET),
            secret(f::PERMANENT_CODE),
            f::USER_ID,
            script.crm_settings,
            script.erp_limits,
            erp.base_url(),
            k::ACCT_ID,
            k::USER,
            k::APP_ID,
            secret(k::APP_SECRET),
            script.erp_settings,
            script.more_tables,
        )
    }

    /// The configuration as a file for the program itself: with the scene's own slot.
    pub fn file(&self) -> String {
        assert!(
            self.text.starts_with("database: {}\n"),
            "the test has said something about the database itself"
        );
        self.text.replacen("database: {}", &format!("database: {{slot: {}}}", self.engine.slot), 1)
    }

    pub fn crm(&self) -> Door {
        self.crm.door()
    }

    pub fn erp(&self) -> Door {
        self.erp.door()
    }

    /// Lets every worker turn until nothing is left to do.
    pub async fn settle(&self) {
        let began = Instant::now();
        loop {
            let worked = self.round().await;
            if !worked {
                if self.is_quiet().await {
                    return;
                }
                // something waits for its time: the processor is left to the other tests
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "the scene does not come to rest: {}",
                self.story().await
            );
        }
    }

    /// One turn of everybody; true when something was done.
    pub async fn round(&self) -> bool {
        let mut worked = self.capture().await > 0;
        self.engine.store.release_all_waiting().await.unwrap();
        for bound in &self.engine.bounds {
            let puller = self.puller(bound);
            loop {
                let turned = puller.turn().await.unwrap();
                worked |= turned.seen > 0;
                if turned.rest.is_some() {
                    break;
                }
            }
            puller.release().await.unwrap();
            if bound.pushes {
                worked |= self.deliver(bound).await > 0;
            }
        }
        worked
    }

    pub fn puller(&self, bound: &Arc<rowtwin::bound::Bound>) -> Puller {
        Puller { store: self.engine.store.clone(), bound: Arc::clone(bound), lease: Uuid::new_v4() }
    }

    pub async fn capture(&self) -> usize {
        let engine = &self.engine;
        let began = Instant::now();
        loop {
            let caught = catch_up(&engine.store, &engine.slot, &engine.publication, engine.watched()).await;
            match caught {
                Ok(marks) => return marks,
                // a stream that was just dropped holds the slot until its server process has noticed
                Err(error) if error.to_string().contains("is active for PID") => {
                    assert!(began.elapsed() < Duration::from_secs(20), "{error}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The binding of a system.
    pub fn bound(&self, system: &str) -> Arc<rowtwin::bound::Bound> {
        Arc::clone(self.engine.bounds.iter().find(|bound| bound.system == system).unwrap())
    }

    pub fn deliverer(&self, bound: &Arc<rowtwin::bound::Bound>) -> Deliverer {
        Deliverer {
            store: self.engine.store.clone(),
            bound: Arc::clone(bound),
            stop: CancellationToken::new(),
        }
    }

    /// Captures, then delivers to one system what is ready, and pulls nothing.
    pub async fn push(&self, system: &str) -> usize {
        self.capture().await;
        self.deliver(&self.bound(system)).await
    }

    pub async fn deliver(&self, bound: &Arc<rowtwin::bound::Bound>) -> usize {
        let deliverer = self.deliverer(bound);
        let mut looked = 0;
        loop {
            let turned = deliverer.turn().await.unwrap();
            looked += turned.looked;
            if turned.rest.is_some() {
                return looked;
            }
        }
    }

    /// Makes all polls due and lets everybody work.
    pub async fn poll(&self) {
        self.sql.execute("update rowtwin_private.binding set next_poll_at = '-infinity'", &[]).await.unwrap();
        self.settle().await;
    }

    /// Makes all sweeps due and lets everybody work.
    pub async fn sweep(&self) {
        self.sql
            .execute("update rowtwin_private.binding set next_sweep_at = '-infinity'", &[])
            .await
            .unwrap();
        self.settle().await;
    }

    pub async fn is_quiet(&self) -> bool {
        self.number(
            "select (select count(*) from rowtwin_private.outbox where state in ('ready', 'sending'))
                  + (select count(*) from rowtwin_private.inbox where state = 'ready')
                  + (select count(*) from rowtwin_private.binding where active and state = 'running'
                     and ((pulls and backfilled_at is null) or (pushes and first_push_at is null)))",
        )
        .await
            == 0
    }

    pub async fn number(&self, sql: &str) -> i64 {
        self.sql.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    /// One row, as JSON.
    pub async fn row(&self, sql: &str) -> Value {
        let wrapped = format!("select to_jsonb(x)::text from ({sql}) x");
        let row = self.sql.query_one(&wrapped, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        serde_json::from_str(row.get(0)).unwrap()
    }

    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        let wrapped = format!("select to_jsonb(x)::text from ({sql}) x");
        let rows = self.sql.query(&wrapped, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
    }

    pub async fn run(&self, sql: &str) {
        self.sql.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// What stands where, for a failed test's message.
    pub async fn story(&self) -> String {
        let mut story = String::new();
        for view in [
            "rowtwin.slot",
            "rowtwin.recovery",
            "rowtwin.status",
            "rowtwin.systems",
            "rowtwin.outbox",
            "rowtwin.inbox",
            "rowtwin.journal",
        ] {
            story += &format!("\n{view}: {:#?}", self.rows(&format!("select * from {view}")).await);
        }
        story
    }

    /// Calls that wrote something, by system.
    pub fn writes(door: &Door) -> Vec<(String, Vec<String>)> {
        door.calls()
            .into_iter()
            .filter(|call| {
                let operation = call.operation.to_lowercase();
                // Salesforce's log of deletes is read
                if operation == "deleted" {
                    return false;
                }
                [
                    "create",
                    "update",
                    "save",
                    "delete",
                    "invalid",
                    "operation",
                    "write",
                    "unlink",
                    "archive",
                    "tree",
                ]
                .iter()
                .any(|word| operation.contains(word))
            })
            .map(|call| (call.operation, call.fields_sent))
            .collect()
    }
}

/// A fault as it is written: `lost-answer@create`.
pub fn fault(text: &str) -> rowtwin::simulator::Fault {
    text.parse().unwrap()
}

/// Waits for something outside the database.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Loads a configuration and prepares its database.
pub async fn assemble(url: &str, text: &str) -> Engine {
    let mut file = config::parse("rowtwin.yaml", text).unwrap_or_else(|error| panic!("{error}\n{text}")).0;
    let name = format!("s_{}", Uuid::new_v4().simple());
    file.database.slot = Some(name);
    let given = Given { database_url: Some(url.to_owned()), ..Given::default() };
    let mut engine = Engine::assemble(file, &given).await.unwrap_or_else(|error| panic!("{error}"));
    engine.init().await.unwrap_or_else(|error| panic!("{error}"));
    engine
}

/// The scene's configuration once more, on its own slot: what a restart would make of the tables as they are now.
pub async fn reassemble(scene: &Scene) -> Engine {
    let mut file = config::parse("rowtwin.yaml", &scene.text).unwrap().0;
    file.database.slot = Some(scene.engine.slot.clone());
    let given = Given { database_url: Some(scene.url.clone()), ..Given::default() };
    let mut engine = Engine::assemble(file, &given).await.unwrap_or_else(|error| panic!("{error}"));
    engine.register().await.unwrap_or_else(|error| panic!("{error}"));
    engine
}

/// Puts a secret where the configuration may point to.
pub fn secret(value: &str) -> String {
    use sha2::{Digest, Sha256};
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    let path = folder.path().join(hex::encode(Sha256::digest(value)));
    // other tests read the same file: it is never seen half written
    if !path.exists() {
        let draft = folder.path().join(Uuid::new_v4().to_string());
        std::fs::write(&draft, value).unwrap();
        std::fs::rename(&draft, &path).unwrap();
    }
    path.display().to_string()
}
