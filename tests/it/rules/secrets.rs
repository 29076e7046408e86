//! R18: after a full run, with faults and wrong secrets, no secret is in any output; row values are not in logs and metrics.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rowtwin::simulator::credentials::{fxiaoke, kingdee};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::running::within;
use crate::support::{CRM, ERP, Scene, cluster, fault, secret};

const LONG: Duration = Duration::from_secs(60);
const DATABASE_PASSWORD: &str = "hush-of-the-database-7d1f";
const WRONG: &str = "hush-that-is-wrong-93ab";
/// Parts of values of rows.
const VALUES: &[&str] = &["Plantagenet", "13899990001", "no-phone-of-Plantagenet"];

fn secrets() -> Vec<String> {
    let plain = [fxiaoke::APP_SECRET, fxiaoke::PERMANENT_CODE, kingdee::APP_SECRET, DATABASE_PASSWORD, WRONG];
    let encoded = |text: &&str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    plain.iter().map(|text| (*text).to_owned()).chain(plain.iter().map(encoded)).collect()
}

/// What the program writes, by name.
#[derive(Default)]
struct Outputs(Vec<(String, String)>);

impl Outputs {
    fn add(&mut self, name: &str, text: String) {
        assert!(!text.is_empty(), "{name} is empty: nothing is proved by it");
        self.0.push((name.to_owned(), text));
    }

    fn hold_none_of<S: AsRef<str>>(&self, planted: &[S]) {
        for (name, text) in &self.0 {
            for one in planted.iter().map(AsRef::as_ref) {
                let line = text.lines().find(|line| line.contains(one));
                assert!(line.is_none(), "{name} holds {one}: {}", line.unwrap_or_default());
            }
        }
    }
}

struct Program<'a> {
    scene: &'a Scene,
    folder: &'a Path,
}

impl Program<'_> {
    /// Writes the configuration; with a wrong secret for one of the systems if wanted.
    fn configure(&self, wrong: Option<&str>) {
        let mut text = self.scene.file().replace("poll: 1d", "poll: 1s");
        if let Some(right) = wrong {
            text = text.replace(&secret(right), &secret(WRONG));
        }
        std::fs::write(self.folder.join("rowtwin.yaml"), format!("{text}serve: {{port: 0}}\n")).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rowtwin"));
        let url = self.scene.url.replace("postgres@", &format!("postgres:{DATABASE_PASSWORD}@"));
        command.args(arguments).current_dir(self.folder).env("ROWTWIN_DATABASE_URL", url);
        command
    }

    /// Everything that a command prints, the log included.
    fn printed(&self, level: &str, arguments: &[&str]) -> String {
        let output = self.command(arguments).env("ROWTWIN_LOG", level).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// `rowtwin run`, with its log in a file.
    fn run(&self, level: &str, form: &str, log: &str) -> Run {
        let file = File::create(self.folder.join(log)).unwrap();
        let child = self
            .command(&["--log", form, "run"])
            .env("ROWTWIN_LOG", level)
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Run { child, log: self.folder.join(log) }
    }
}

struct Run {
    child: Child,
    log: std::path::PathBuf,
}

impl Run {
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    async fn served(&self, path: &str) -> String {
        let address = || {
            let log = self.log();
            let at = log.split("on http://").nth(1)?;
            at.split('/').next().map(str::to_owned)
        };
        within(LONG, "it serves", async || address().is_some()).await;
        let mut stream = TcpStream::connect(address().unwrap()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        within(LONG, "it stops", async || {
            Path::new(&format!("/proc/{}/exe", pid.as_raw_nonzero())).read_link().is_err()
        })
        .await;
        self.child.wait().unwrap();
        self.log()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All rows of all tables, and what the server shows of our sessions.
async fn dump(scene: &Scene) -> String {
    let tables = scene
        .sql
        .query(
            "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')
             union all select 'pg_stat_activity' union all select 'pg_replication_slots' union all select 'pg_db_role_setting'",
            &[],
        )
        .await
        .unwrap();
    let mut text = String::new();
    for table in tables {
        let table: String = table.get(0);
        for row in scene.sql.query(&format!("select t::text from {table} t"), &[]).await.unwrap() {
            text += &format!("{table} {}\n", row.get::<_, String>(0));
        }
    }
    text
}

/// Edits both ways, with everything that may go wrong.
async fn a_busy_day(scene: &Scene, number: usize) {
    for text in ["lost-answer@create", "status:500", "malformed:html@update", "token-expired", "throttled:1"]
    {
        scene.crm().add_fault(fault(text));
    }
    for text in ["lost-answer@BatchSave", "status:502", "token-expired", "partial-batch"] {
        scene.erp().add_fault(fault(text));
    }
    let before = (scene.crm().count(CRM), scene.erp().count(ERP));
    scene
        .run(&format!(
            "insert into sales.customer (name, number, phone) values ('Plantagenet {number}', 'A{number}', '13899990001'),
             ('Bolt Plantagenet', 'B{number}', null), ('Cord', 'C{number}', 'no-phone-of-Plantagenet')"
        ))
        .await;
    within(LONG, "creates arrive in spite of all", async || {
        scene.crm().count(CRM) == before.0 + 2 && scene.erp().count(ERP) >= before.1 + 2
    })
    .await;
    let record = scene.crm().records(CRM).pop().unwrap();
    scene.crm().edit(
        CRM,
        record["_id"].as_str().unwrap(),
        json!({"address": format!("Plantagenet Road {number}")}),
    );
    within(LONG, "an edit arrives", async || {
        scene
            .number(&format!(
                "select count(*) from sales.customer where address = 'Plantagenet Road {number}'"
            ))
            .await
            == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_no_secret_is_in_any_output_and_no_row_value_in_logs_and_metrics() {
    let scene = Scene::start().await;
    let folder = tempfile::tempdir().unwrap();
    let program = Program { scene: &scene, folder: folder.path() };
    let (mut all, mut quiet) = (Outputs::default(), Outputs::default());
    program.configure(None);
    for (number, (level, form)) in
        [("trace", "text"), ("trace", "json"), ("info", "text"), ("info", "json")].iter().enumerate()
    {
        let run = program.run(level, form, &format!("run-{number}.log"));
        a_busy_day(&scene, number).await;
        let metrics = run.served("/metrics").await;
        assert!(metrics.contains("rowtwin_calls_total"), "{metrics}");
        quiet.add("metrics", metrics.clone());
        all.add("metrics", metrics);
        all.add("health", run.served("/health").await);
        let log = run.stop().await;
        all.add(&format!("the {form} log at {level}"), log.clone());
        if *level == "info" {
            quiet.add(&format!("the {form} log at {level}"), log);
        }
    }
    for arguments in [
        ["status", "--json"].as_slice(),
        &["status"],
        &["plan", "--json"],
        &["plan"],
        &["check", "--json"],
        &["slot", "status"],
    ] {
        all.add(&arguments.join(" "), program.printed("trace", arguments));
    }
    // what does not work says why, and not what was tried
    scene.crm().clear_faults();
    scene.erp().clear_faults();
    for right in [fxiaoke::APP_SECRET, fxiaoke::PERMANENT_CODE, kingdee::APP_SECRET] {
        program.configure(Some(right));
        all.add("check with a wrong secret", program.printed("trace", &["check"]));
        let run = program.run("trace", "text", "wrong.log");
        let began = std::time::Instant::now();
        while scene.number("select count(*) from rowtwin.systems where state = 'held'").await == 0 {
            assert!(began.elapsed() < LONG, "not held without {right}: {}", scene.story().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        all.add("status of a held system", program.printed("trace", &["status", "--json"]));
        all.add("health of a held system", run.served("/health").await);
        all.add("the log of a held system", run.stop().await);
        scene.run("select rowtwin.resume(name) from rowtwin.systems").await;
    }
    std::fs::write(folder.path().join("rowtwin.yaml"), scene.text.replace("AccountObj", "AccountObj2"))
        .unwrap();
    all.add("an object that is not there", program.printed("trace", &["check"]));
    all.add("the database", dump(&scene).await);
    let server = cluster().lock().unwrap().log_path().to_owned();
    all.add("the server's log", std::fs::read_to_string(server).unwrap());
    all.hold_none_of(&secrets());
    quiet.hold_none_of(VALUES);
    // the search finds what is there
    let database = &all.0.iter().find(|(name, _)| name == "the database").unwrap().1;
    assert!(VALUES.iter().all(|value| database.contains(value)));
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_a_crash_leaves_no_core_file() {
    let scene = Scene::start().await;
    let folder = tempfile::tempdir().unwrap();
    let program = Program { scene: &scene, folder: folder.path() };
    program.configure(None);
    // a program that may be dumped, to know what this machine does
    let mut other = Command::new("sh");
    other.args(["-c", "ulimit -c unlimited; kill -ABRT $$"]).current_dir(folder.path());
    let dumps = other.status().unwrap().core_dumped();
    let url = scene.url.clone();
    let mut ours = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; exec \"$0\" run", env!("CARGO_BIN_EXE_rowtwin")])
        .current_dir(folder.path())
        .env("ROWTWIN_DATABASE_URL", url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    within(LONG, "it runs", async || {
        scene
            .number(&format!(
                "select count(*) from pg_replication_slots where slot_name = '{}' and active",
                scene.engine.slot
            ))
            .await
            == 1
    })
    .await;
    let pid = rustix::process::Pid::from_child(&ours);
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    let ended = ours.wait().unwrap();
    assert_eq!(ended.signal(), Some(6));
    assert!(!ended.core_dumped(), "the memory of a process that knows secrets was written to a file");
    eprintln!("others are dumped on this machine: {dumps}");
}
