//! R13 as a person types it: `rowtwin slot …` and `rowtwin verify`.

use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;
use serde_json::{Value, json};

use crate::support::running::{Running, until};
use crate::support::{CRM, Scene, Script};

async fn scene() -> Scene {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2')").await;
    scene.settle().await;
    scene.crm().forget_calls();
    scene
}

/// Runs the program on the scene's database, slot and systems.
async fn rowtwin(scene: &Scene, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rowtwin.yaml");
    std::fs::write(&path, scene.file()).unwrap();
    let mut command = Command::new(cargo_bin("rowtwin"));
    command.arg("--config").arg(&path).arg("--database-url").arg(&scene.url).args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_recreate_advance_and_drop_find_what_was_skipped() {
    let scene = scene().await;
    for (action, phone) in [("recreate", "13800000001"), ("advance", "13800000002")] {
        scene.run(&format!("update sales.customer set phone = '{phone}' where number = 'C1'")).await;
        let output = rowtwin(&scene, &["slot", action]).await;
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("4 rows and links compared, 1 differ"), "{}", said(&output));
        scene.settle().await;
        let records = scene.crm().records(CRM);
        assert!(records.iter().any(|record| record.get("tel") == Some(&json!(phone))), "{records:?}");
    }
    let status = rowtwin(&scene, &["slot", "status", "--json"]).await;
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["slot"][0]["renewals"], json!(2));
    assert_eq!(status["recovery"][0]["state"], json!("done"));

    let dropped = rowtwin(&scene, &["slot", "drop"]).await;
    assert!(said(&dropped).contains("the next start makes a new one"), "{}", said(&dropped));
    scene.run("update sales.customer set phone = '13800000003' where number = 'C2'").await;
    let made = rowtwin(&scene, &["slot", "create"]).await;
    assert!(said(&made).contains("being compared"), "{}", said(&made));
    scene.recover().await;
    scene.settle().await;
    assert!(scene.crm().records(CRM).iter().any(|record| record.get("tel") == Some(&json!("13800000003"))));
    assert_eq!(Scene::writes(&scene.crm()).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_recreate_works_beside_a_running_process_and_advance_says_to_stop_it() {
    let scene = scene().await;
    let running = Running::start(&scene).await;
    let slot = scene.engine.slot.clone();
    until("capture streams", async || {
        let active =
            format!("select count(*) from pg_replication_slots where slot_name = '{slot}' and active");
        scene.number(&active).await == 1
    })
    .await;
    let refused = rowtwin(&scene, &["slot", "advance"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("stop it first"), "{}", said(&refused));
    let output = rowtwin(&scene, &["slot", "recreate"]).await;
    assert!(output.status.success(), "{}", said(&output));
    scene.run("update sales.customer set phone = '13800000001' where number = 'C1'").await;
    until("the running process reads the new slot", async || {
        scene.crm().records(CRM).iter().any(|record| record.get("tel") == Some(&json!("13800000001")))
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_verify_lists_what_differs_and_mends_it() {
    let scene = scene().await;
    let output = rowtwin(&scene, &["verify"]).await;
    assert!(output.status.success() && said(&output).contains("agree"), "{}", said(&output));
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    scene.crm().edit(CRM, &id, json!({"tel": "13800000009"}));
    scene.crm().insert(CRM, json!({"name": "Only there", "account_no": "C7"}));
    let output = rowtwin(&scene, &["verify", "sales.customer", "--json"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let kinds: Vec<&Value> = found["drift"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["record differs", "unlinked record"]);
    let output = rowtwin(&scene, &["verify", "--system", "crm", "--repair", "record"]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("2 difference(s)"), "{}", said(&output));
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from sales.customer where phone = '13800000009'").await, 1);
    assert_eq!(scene.number("select count(*) from sales.customer where number = 'C7'").await, 1);
    let wrong = rowtwin(&scene, &["verify", "no.such"]).await;
    assert!(!wrong.status.success() && said(&wrong).contains("sales.customer"), "{}", said(&wrong));
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_restored_is_answered_on_the_command_line() {
    let scene = scene().await;
    scene.run("update rowtwin_private.capture set system_identifier = '1'").await;
    let held = rowtwin(&scene, &["init"]).await;
    assert!(said(&held).contains("another database server"), "{}", said(&held));
    let output = rowtwin(&scene, &["slot", "restored", "--trust", "records"]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(scene.number("select count(*) from rowtwin.systems where state = 'held'").await, 0);
    scene.settle().await;
    assert!(Scene::writes(&scene.crm()).is_empty());
}
