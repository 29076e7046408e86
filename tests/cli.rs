//! What a person sees at the command line: exit codes, and errors that name the place and the cure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption of a test is a failed test"
)]

use std::path::PathBuf;
use std::process::{Command, Output};

const GOOD: &str = "
systems:
  crm:
    connector: fxiaoke
    settings: {app_id: FSAID_1, user_id: '1000', app_secret: {env: CLI_SECRET}, permanent_code: {env: CLI_SECRET}}
tables:
  sales.customer:
    bindings:
      - {system: crm, object: AccountObj, fields: {name: name}}
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rowtwin.yaml"), text).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_path_buf()
    }

    /// Runs the command in the folder, with nothing of the caller's settings.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_rowtwin"))
            .args(arguments)
            .current_dir(self.path())
            .env_remove("ROWTWIN_DATABASE_URL")
            .env_remove("ROWTWIN_CONFIG")
            .env("NO_COLOR", "1")
            .env("CLI_SECRET", "hush")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (status.code().unwrap(), text(stdout), text(stderr))
    }
}

#[test]
fn r20_what_was_typed_wrong_ends_with_2_and_names_its_place() {
    let folder =
        Folder::with(&GOOD.replace("connector: fxiaoke", "conector: fxiaoke").replace("{name: name}", "5"));
    for command in
        [["check"].as_slice(), &["run"], &["plan"], &["init"], &["config", "check", "rowtwin.yaml"]]
    {
        let (code, printed, said) = folder.run(command);
        // the findings are what `config check` was asked for; elsewhere they are an error
        let said = printed + &said;
        assert_eq!(code, 2, "{command:?}: {said}");
        assert!(said.contains("rowtwin.yaml:4:5") && said.contains("conector"), "{command:?}: {said}");
        assert!(said.contains("rowtwin.yaml:9:"), "all findings at once: {said}");
    }
    let (code, _, said) = folder.run(&["backfil"]);
    assert_eq!(code, 2);
    assert!(said.contains("backfill"), "{said}");
    let (code, _, said) = folder.run(&["status", "--config", "nowhere.yaml"]);
    assert_eq!(code, 2);
    assert!(said.contains("nowhere.yaml") && said.contains("--config"), "{said}");
    let (code, _, said) = Folder::with(GOOD).run(&["run"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("ROWTWIN_DATABASE_URL"), "{said}");
}

#[test]
fn r20_a_database_that_is_not_there_ends_with_1_and_a_hint() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = Folder::with(GOOD);
    for command in ["init", "check", "run", "status"] {
        let (code, _, said) = folder.run(&[
            command,
            "--database-url",
            &format!("postgres://me:hidden@127.0.0.1:{unused}/mirror"),
        ]);
        assert_eq!(code, 1, "{command}: {said}");
        assert!(said.contains("hint:"), "{command}: {said}");
        assert!(!said.contains("hidden"), "{command} shows the password: {said}");
    }
}

#[test]
fn what_scripts_read_is_json() {
    let folder = Folder::with(GOOD);
    let (code, schema, _) = folder.run(&["config", "schema"]);
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&schema).unwrap()["title"], "rowtwin.yaml");
    let (code, tested, said) = folder.run(&["connector", "test", "--json"]);
    assert_eq!(code, 0, "{said}");
    assert!(serde_json::from_str::<serde_json::Value>(&tested).is_ok(), "{tested}");
    let (code, completions, _) = folder.run(&["completions", "bash"]);
    assert_eq!(code, 0);
    assert!(completions.contains("backfill"));
}
