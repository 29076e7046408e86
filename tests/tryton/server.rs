//! A Tryton server of a test's own: installed once, its database copied, the process gone when the test is.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::client::post;

const PACKAGES: [&str; 2] = ["trytond==8.2.0", "trytond-party==8.2.0"];
/// The database's name, and so part of every path.
pub const DATABASE: &str = "tm";
pub const PASSWORD: &str = "correct-horse";
/// Starting takes about a second on an idle machine.
const LONGEST_START: Duration = Duration::from_secs(60);

/// The folder of the installed programs, and a database that has the module and nothing in it.
struct Installed {
    programs: PathBuf,
    template: PathBuf,
}

fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/python.sh");
        let ran = Command::new(script).arg("tryton").args(PACKAGES).output().expect("scripts/python.sh runs");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "Tryton could not be installed: {said}");
        let python = PathBuf::from(String::from_utf8(ran.stdout).unwrap().trim());
        let programs = python.parent().expect("a python is in a folder").to_owned();
        let template = template(&programs);
        Installed { programs, template }
    })
}

/// Makes the empty database beside the programs, unless an earlier run did.
fn template(programs: &Path) -> PathBuf {
    let home = programs.parent().expect("programs are in an environment");
    let finished = home.join("empty.sqlite");
    if finished.exists() {
        return finished;
    }
    // made aside and moved: of two runs at the same time either one's is good, and none is seen half made
    let aside = tempfile::tempdir_in(home).expect("the environment can be written");
    fs::write(aside.path().join("password"), PASSWORD).unwrap();
    fs::write(aside.path().join(format!("{DATABASE}.sqlite")), "").unwrap();
    let configuration = configuration(aside.path(), 0);
    let ran = Command::new(programs.join("trytond-admin"))
        .arg("-c")
        .arg(&configuration)
        .args(["-d", DATABASE, "--all", "--activate-dependencies", "-u", "party"])
        .args(["--email", "nobody@example.org"])
        .env("TRYTONPASSFILE", aside.path().join("password"))
        .output()
        .expect("trytond-admin runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    fs::rename(aside.path().join(format!("{DATABASE}.sqlite")), &finished).unwrap();
    finished
}

fn configuration(folder: &Path, port: u16) -> PathBuf {
    let text = format!(
        "[database]\nuri = sqlite://\npath = {}\n[web]\nlisten = 127.0.0.1:{port}\n[session]\nauthentications = password\n",
        folder.display()
    );
    let path = folder.join("trytond.conf");
    fs::write(&path, text).unwrap();
    path
}

/// A database of a test's own and the server over it.
pub struct Tryton {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Tryton {
    /// Copies the empty database and starts the server.
    pub async fn start() -> Self {
        let installed = tokio::task::spawn_blocking(installed).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::copy(&installed.template, folder.path().join(format!("{DATABASE}.sqlite"))).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut tryton = Self { folder, port, process: None };
        tryton.resume().await;
        tryton
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends the server; its database stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // the shell ends the server when its input ends, and then itself
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }

    /// Starts the server over the database as it stands, at the same address, and waits until it answers.
    pub async fn resume(&mut self) {
        let log = self.folder.path().join("log");
        let output = fs::File::create(&log).unwrap();
        // Were this process killed, its end of the pipe would close and the server go too.
        let process = Command::new("sh")
            .args(["-c", "\"$@\" & server=$!; read -r _; kill -9 $server; wait $server", "sh"])
            .arg(installed().programs.join("trytond"))
            .arg("-c")
            .arg(configuration(self.folder.path(), self.port))
            .args(["-d", DATABASE])
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let url = format!("{}/rpc/", self.base_url());
        let began = Instant::now();
        loop {
            let answer = post(&url, None, "common.server.version", json!([])).await;
            if answer.is_ok_and(|answer| answer["result"] == "8.2") {
                return;
            }
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(began.elapsed() < LONGEST_START, "Tryton does not answer: {}", said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Tryton {
    fn drop(&mut self) {
        self.stop();
    }
}
