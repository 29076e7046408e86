//! A Vendure server of a test's own: installed once, its database copied from a prepared one, the process gone when the
//! test is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::person::http;
use crate::served::Served;
use crate::support::{cluster, database, execute};

const PACKAGES: [&str; 2] = ["@vendure/core@3.7.3", "pg@8.23.1"];
pub const USER: &str = "superadmin";
pub const PASSWORD: &str = "correct-horse";
/// Starting takes about three seconds on an idle machine.
const LONGEST_START: Duration = Duration::from_secs(300);

/// The node that finds the installed packages.
fn node() -> &'static Path {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    NODE.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/node.sh");
        let ran = Command::new(script).arg("vendure").args(PACKAGES).output().expect("scripts/node.sh runs");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "Vendure could not be installed: {said}");
        PathBuf::from(String::from_utf8(ran.stdout).unwrap().trim())
    })
}

/// The name of a database that has Vendure's tables and what a first start puts into them. Made once.
async fn template() -> &'static str {
    static MADE: OnceCell<String> = OnceCell::const_new();
    MADE.get_or_init(|| async {
        let url = database().await;
        Vendure::over(url.clone(), true).await.stop();
        url.rsplit('/').next().expect("an address ends in the database's name").to_owned()
    })
    .await
}

/// A database of a test's own and the server over it.
pub struct Vendure {
    served: Served,
    pub database: String,
}

impl Vendure {
    /// A new shop: nothing is in it.
    pub async fn start() -> Self {
        tokio::task::spawn_blocking(node).await.unwrap();
        let template = template().await;
        let name = format!("v_{}", Uuid::new_v4().simple());
        let (admin, url) = {
            let cluster = cluster().lock().unwrap();
            (cluster.url("postgres"), cluster.url(&name))
        };
        execute(&admin, &format!("create database {name} template {template}")).await;
        Self::over(url, false).await
    }

    async fn over(database: String, make_schema: bool) -> Self {
        let mut vendure = Self { served: Served::over(tempfile::tempdir().unwrap()), database };
        vendure.launch(make_schema).await;
        vendure
    }

    pub fn base_url(&self) -> String {
        self.served.base_url()
    }

    /// Ends the server; its database stays.
    pub fn stop(&mut self) {
        self.served.stop();
    }

    /// Starts the server over the database as it stands, at the same address, and waits until it answers.
    pub async fn resume(&mut self) {
        self.launch(false).await;
    }

    async fn launch(&mut self, make_schema: bool) {
        let mut server = Command::new(node());
        server
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vendure/server.cjs"))
            .args([&self.served.port().to_string(), &self.database, PASSWORD])
            .args(make_schema.then_some("make-schema"))
            .env("NODE_PATH", node().parent().expect("node is in a folder").join("node_modules"))
            .env("TZ", "UTC")
            .env("VENDURE_DISABLE_TELEMETRY", "true")
            .current_dir(self.served.folder());
        let (http, url) = (http(), format!("{}/health", self.base_url()));
        let answers = async || http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
        self.served.start(&server, LONGEST_START, answers).await;
    }
}
