//! A Tryton server of a test's own: installed once, its database copied, the process gone when the test is.
//!
//! There are two databases to copy: one with parties and nothing in it, and one of a company that sells (`company.rs`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::client::{Person, post};
use crate::company;
use crate::served::Served;

/// Tryton's modules have versions of their own.
const PACKAGES: [&str; 12] = [
    "trytond==8.2.0",
    "trytond-account==8.2.1",
    "trytond-account-invoice==8.2.0",
    "trytond-account-invoice-stock==8.2.0",
    "trytond-account-product==8.2.0",
    "trytond-company==8.2.0",
    "trytond-country==8.2.0",
    "trytond-currency==8.2.0",
    "trytond-party==8.2.0",
    "trytond-product==8.2.0",
    "trytond-sale==8.2.0",
    "trytond-stock==8.2.1",
];
/// The database's name, and so part of every path.
pub const DATABASE: &str = "tm";
pub const PASSWORD: &str = "correct-horse";
/// Starting takes about a second on an idle machine.
const LONGEST_START: Duration = Duration::from_secs(60);

/// The folder of the installed programs.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/python.sh");
        let ran = Command::new(script).arg("tryton").args(PACKAGES).output().expect("scripts/python.sh runs");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "Tryton could not be installed: {said}");
        let python = PathBuf::from(String::from_utf8(ran.stdout).unwrap().trim());
        python.parent().expect("a python is in a folder").to_owned()
    })
}

/// The folder that templates are kept in, beside the programs.
fn home() -> &'static Path {
    programs().parent().expect("programs are in an environment")
}

/// A new database that has this module, those it needs, and nothing in them.
fn initialised(folder: &Path, module: &str) {
    fs::write(folder.join("password"), PASSWORD).unwrap();
    fs::write(folder.join(format!("{DATABASE}.sqlite")), "").unwrap();
    let ran = Command::new(programs().join("trytond-admin"))
        .arg("-c")
        .arg(configuration(folder, 0))
        .args(["-d", DATABASE, "--all", "--activate-dependencies", "-u", module])
        .args(["--email", "nobody@example.org"])
        .env("TRYTONPASSFILE", folder.join("password"))
        .output()
        .expect("trytond-admin runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// The database with parties, beside the programs. Made here unless an earlier run did.
fn of_parties() -> &'static PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let finished = home().join("empty.sqlite");
        if !finished.exists() {
            // made aside and moved: of two runs at the same time either one's is good, and none is seen half made
            let aside = tempfile::tempdir_in(home()).expect("the environment can be written");
            initialised(aside.path(), "party");
            fs::rename(aside.path().join(format!("{DATABASE}.sqlite")), &finished).unwrap();
        }
        finished
    })
}

/// The database of a company that sells, beside the programs. Its name has the hash of what makes it.
async fn of_a_company() -> &'static PathBuf {
    static MADE: OnceCell<PathBuf> = OnceCell::const_new();
    MADE.get_or_init(|| async {
        let made_by = hex::encode(Sha256::digest(include_str!("company.rs")));
        let finished = home().join(format!("company-{made_by:.12}.sqlite"));
        if !finished.exists() {
            let folder = tempfile::tempdir_in(home()).expect("the environment can be written");
            initialised(folder.path(), "sale");
            let mut tryton = Tryton::over(folder).await;
            company::found(&Person::sign_in(&tryton).await).await;
            tryton.stop();
            let database = tryton.served.folder().join(format!("{DATABASE}.sqlite"));
            written_out(&database);
            fs::rename(database, &finished).unwrap();
        }
        finished
    })
    .await
}

/// Brings what SQLite keeps in a file beside the database into it, so that the database can be copied alone.
fn written_out(database: &Path) {
    const SCRIPT: &str = "import sqlite3, sys
moved = sqlite3.connect(sys.argv[1]).execute('pragma wal_checkpoint(truncate)').fetchone()
sys.exit(moved[0])";
    let ran = Command::new(programs().join("python")).args(["-c", SCRIPT]).arg(database).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn configuration(folder: &Path, port: u16) -> PathBuf {
    // With a worker, what a confirmed sale leads to is that worker's task. There is none here, so that a sale stays
    // confirmed until somebody processes it, as one does in production while its time has not come.
    let text = format!(
        "[database]\nuri = sqlite://\npath = {}\n[web]\nlisten = 127.0.0.1:{port}\n\
         [session]\nauthentications = password\n[queue]\nworker = true\n",
        folder.display()
    );
    let path = folder.join("trytond.conf");
    fs::write(&path, text).unwrap();
    path
}

/// A database of a test's own and the server over it.
pub struct Tryton {
    served: Served,
}

impl Tryton {
    /// A server with parties and nothing else.
    pub async fn start() -> Self {
        let template = tokio::task::spawn_blocking(of_parties).await.unwrap();
        Self::copying(template).await
    }

    /// A server of a company that sells two products.
    pub async fn selling() -> Self {
        tokio::task::spawn_blocking(programs).await.unwrap();
        Self::copying(of_a_company().await).await
    }

    async fn copying(template: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(template, folder.path().join(format!("{DATABASE}.sqlite"))).unwrap();
        Self::over(folder).await
    }

    /// Starts the server over the database in this folder.
    async fn over(folder: TempDir) -> Self {
        let mut tryton = Self { served: Served::over(folder) };
        tryton.resume().await;
        tryton
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
        let mut server = Command::new(programs().join("trytond"));
        server.arg("-c").arg(configuration(self.served.folder(), self.served.port())).args(["-d", DATABASE]);
        let url = format!("{}/rpc/", self.base_url());
        let answers = async || {
            let answer = post(&url, None, "common.server.version", json!([])).await;
            answer.is_ok_and(|answer| answer["result"] == "8.2")
        };
        self.served.start(&server, LONGEST_START, answers).await;
    }
}
