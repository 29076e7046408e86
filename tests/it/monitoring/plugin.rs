//! `rowtwin check --nagios`, as a monitoring system calls it.

use std::process::Command;

use super::process::{command, folder};
use crate::support::running::{Running, until};
use crate::support::{Scene, Script, database};

struct Check {
    code: i32,
    text: String,
    /// (label, value with unit, warning, critical)
    data: Vec<(String, String, String, String)>,
}

/// Runs the plugin and reads its line as the guidelines of monitoring plugins say.
fn check(mut command: Command, options: &[&str]) -> Check {
    let output = command.args(["check", "--nagios"]).args(options).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let line =
        printed.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {output:?}", output = output.stderr));
    assert!(!line.contains('\n'), "{line}");
    let (text, data) = line.split_once(" | ").unwrap_or((line, ""));
    let code = output.status.code().unwrap();
    let word = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][usize::try_from(code).unwrap()];
    assert!(text.starts_with(&format!("ROWTWIN {word} - ")) && text.len() > 14, "{code}: {line}");
    let mut numbers = Vec::new();
    let mut rest = data;
    while let Some(quoted) = rest.strip_prefix('\'') {
        let (label, after) = quoted.split_once("'=").unwrap();
        let (values, next) = after.split_once(' ').unwrap_or((after, ""));
        let parts: Vec<&str> = values.split(';').collect();
        assert_eq!(parts.len(), 4, "value;warn;crit;min: {values}");
        let digits = parts[0].trim_end_matches(['s', 'B', '%']);
        assert!(digits.parse::<u64>().is_ok(), "{values}");
        for limit in [parts[1], parts[2]] {
            assert!(limit.is_empty() || limit.parse::<u64>().is_ok(), "{values}");
        }
        numbers.push((label.to_owned(), parts[0].to_owned(), parts[1].to_owned(), parts[2].to_owned()));
        rest = next;
    }
    assert!(rest.is_empty(), "{line}");
    Check { code, text: text.to_owned(), data: numbers }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_tells_each_state_by_its_exit_code() {
    // one system: the id that a second one writes to the row would have it looked at once more
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    let folder = folder(&scene, "");
    let run = |options: &[&str]| check(command(&folder, &scene.url), options);

    let idle = run(&[]);
    assert_eq!(idle.code, 1);
    assert!(idle.text.contains("is idle"), "{}", idle.text);

    let running = Running::start(&scene).await;
    until("the slot is read", async || {
        scene.number("select count(*) from rowtwin.slot where state = 'streaming'").await == 1
    })
    .await;
    let fine =
        run(&["--warn-lag", "2m", "--crit-lag", "1h", "--crit-retained", "1TB", "--warn-freshness", "1d"]);
    assert_eq!((fine.code, fine.text.as_str()), (0, "ROWTWIN OK - all is well"));
    let of = |label: &str| fine.data.iter().find(|one| one.0 == label).unwrap_or_else(|| panic!("{label}"));
    assert_eq!((of("lag").2.as_str(), of("lag").3.as_str()), ("120", "3600"));
    assert_eq!(of("retained").3, (1_u64 << 40).to_string());
    assert_eq!((of("freshness").2.as_str(), of("freshness").3.as_str()), ("86400", ""));
    assert_eq!(of("waiting").1, "0");

    scene.run("insert into sales.customer (name, number, phone) values ('Acme', 'C1', 'no phone')").await;
    until("the row is rejected", async || {
        scene.number("select count(*) from rowtwin.rejected where system = 'crm'").await == 1
    })
    .await;
    let parked = run(&[]);
    assert_eq!(parked.code, 1);
    assert!(parked.text.contains("waiting for a person: 1 rejected"), "{}", parked.text);
    assert_eq!(run(&["--crit-parked", "0"]).code, 2);
    assert_eq!(run(&["--warn-parked", "1"]).code, 0);
    let retained = run(&["--warn-retained", "0", "--warn-parked", "9", "--crit-retained", "1 TB"]);
    assert!(retained.code == 1 && retained.text.contains("MB of WAL"), "{}", retained.text);

    scene.run("select rowtwin.pause('erp')").await;
    let paused = run(&["--warn-parked", "1"]);
    assert!(paused.code == 1 && paused.text.contains("system erp is paused"), "{}", paused.text);
    scene
        .run(
            "update rowtwin_private.system set state = 'held', held_reason = e'a | b\\nc' where name = 'erp'",
        )
        .await;
    let held = run(&[]);
    assert!(held.code == 2 && held.text.contains("system erp is held: a   b c"), "{}", held.text);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_needs_the_views_alone_and_says_what_it_cannot_find_out() {
    let scene = Scene::start().await;
    scene.settle().await;
    let empty = tempfile::tempdir().unwrap();
    let role = format!("r_{}", uuid::Uuid::new_v4().simple());
    scene.run(&format!("create role {role} login in role rowtwin_reader")).await;
    let reader = scene.url.replace("postgres@", &format!("{role}@"));
    assert_ne!(reader, scene.url);
    let seen = check(command(&empty, &reader), &[]);
    assert!(seen.code == 1 && seen.text.contains("is idle"), "without a configuration: {}", seen.text);
    scene.run(&format!("drop role {role}")).await;

    let unprepared = check(command(&empty, &database().await), &[]);
    assert!(unprepared.code == 3 && unprepared.text.contains("rowtwin init"), "{}", unprepared.text);
    for wrong in [&["--warn-retained", "many"][..], &["--warn-lag", "soon"], &["--worn-lag", "5m"]] {
        assert_eq!(check(command(&empty, &scene.url), wrong).code, 3, "{wrong:?}");
    }
    let mut nameless = command(&empty, "");
    nameless.env_remove("ROWTWIN_DATABASE_URL");
    assert_eq!(check(nameless, &[]).code, 3);

    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = check(command(&empty, &format!("postgres://me:hidden@127.0.0.1:{unused}/mirror")), &[]);
    assert_eq!(gone.code, 2);
    assert!(!gone.text.contains("hidden"), "{}", gone.text);
    // a server that accepts and never answers
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let address = format!("postgres://me@127.0.0.1:{port}/mirror");
    let late = check(command(&empty, &address), &["--timeout", "300ms"]);
    assert!(late.code == 2 && late.text.contains("did not answer"), "{}", late.text);
}
