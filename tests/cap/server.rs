//! A CAP server of a test's own: installed once, its model deployed into a database of the test, gone when the test is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::served::Served;
use crate::support::database;

const PACKAGES: [&str; 4] = [
    "@sap/cds@9.9.3",
    "@cap-js/postgres@2.3.0",
    "@cap-js-community/odata-v2-adapter@1.15.10",
    "express@4.22.3",
];
/// Starting takes about a second on an idle machine.
const LONGEST_START: Duration = Duration::from_secs(120);

/// The node that finds the packages; they lie beside it.
fn node() -> &'static Path {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    NODE.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/node.sh");
        let ran = Command::new(script).arg("cap").args(PACKAGES).output().expect("scripts/node.sh runs");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "CAP could not be installed: {said}");
        PathBuf::from(String::from_utf8(ran.stdout).unwrap().trim())
    })
}

/// The folder of a service: our model, our server, and where its database is.
fn folder(url: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cap/service");
    for name in ["services.cds", "server.js"] {
        fs::copy(ours.join(name), folder.path().join(name)).unwrap();
    }
    let modules = node().parent().expect("a node is in a folder").join("node_modules");
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    let config: tokio_postgres::Config = url.parse().unwrap();
    let package = json!({
        "name": "partners", "private": true,
        "dependencies": {"@sap/cds": "*", "@cap-js/postgres": "*", "@cap-js-community/odata-v2-adapter": "*"},
        "cds": {
            "requires": {
                "db": {"kind": "postgres", "credentials": {
                    "host": "127.0.0.1", "port": config.get_ports()[0], "user": config.get_user(),
                    "password": "not-asked-for", "database": config.get_dbname(),
                }},
                "auth": {"kind": "mocked"},
            },
            "cov2ap": {"plugin": true, "path": "sap/opu/odata/sap", "targetPath": "sap/opu/odata4/sap"},
        },
    });
    fs::write(folder.path().join("package.json"), package.to_string()).unwrap();
    folder
}

/// A database of a test's own and the server over it.
pub struct Cap {
    served: Served,
}

impl Cap {
    pub async fn start() -> Self {
        // a second installation of the process finds the first one's provider in place
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = database().await;
        let folder = tokio::task::spawn_blocking(move || {
            let folder = folder(&url);
            let ran = program("cds-deploy", folder.path()).output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            folder
        });
        let mut cap = Self { served: Served::over(folder.await.unwrap()) };
        cap.resume().await;
        cap
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
        let mut server = program("cds-serve", self.served.folder());
        server.args(["all", "--port", &self.served.port().to_string()]);
        let url = format!("{}/sap/opu/odata/sap/API_BUSINESS_PARTNER/", self.base_url());
        let answers = async || reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success());
        self.served.start(&server, LONGEST_START, answers).await;
    }
}

/// A program of CAP, to be run in this folder.
fn program(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(node());
    command.arg(folder.join("node_modules/.bin").join(name)).current_dir(folder);
    command
}
