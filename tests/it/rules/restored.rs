//! R13: a database that was restored to an earlier point is held until a person has said which side is right.

use std::process::Command;

use rowtwin::cluster::{Cluster, ClusterOptions, DataFolder};
use rowtwin::engine::slot::Tended;
use serde_json::json;

use crate::support::running::{Running, until};
use crate::support::{CRM, CUSTOMER, Scene, Script, connect, execute};

fn crm_only() -> Script {
    Script { with_erp: false, ..Script::default() }
}

/// One customer on both sides; then the state says that it was made on another server, as after a restored dump.
async fn moved() -> Scene {
    let scene = Scene::with(crm_only()).await;
    scene.run("insert into sales.customer (name, number, phone) values ('Acme', 'C1', '13800000001')").await;
    scene.settle().await;
    scene.run("update rowtwin_private.capture set system_identifier = '1'").await;
    scene.crm().forget_calls();
    scene
}

fn crm_id(scene: &Scene) -> String {
    scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned()
}

async fn accept(scene: &Scene, side: &str) {
    scene.run(&format!("select rowtwin.accept_restored('{side}')")).await;
    assert_eq!(scene.tend().await, Tended::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_no_call_is_made_from_a_database_that_is_not_the_known_one() {
    let scene = moved().await;
    scene.run("update sales.customer set phone = '13800000002'").await;
    scene.capture().await;
    // before anybody has looked at the database at all
    scene.deliver(&scene.engine.bounds[0]).await;
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    scene.puller(&scene.engine.bounds[0]).turn().await.unwrap();
    assert!(scene.crm().calls().is_empty(), "{:?}", scene.crm().calls());

    let Tended::Waits(reason) = scene.tend().await else { panic!("not held") };
    assert!(reason.contains("another database server") && reason.contains("slot restored"), "{reason}");
    let system = scene.row("select state, held_reason from rowtwin.systems where name = 'crm'").await;
    assert_eq!(system["state"], json!("held"));
    assert!(system["held_reason"].as_str().unwrap().contains("accept_restored"), "{system}");
    let refused = scene.sql.execute("select rowtwin.resume('crm')", &[]).await.unwrap_err();
    assert!(refused.as_db_error().unwrap().message().contains("which side is right"));
    // a restart does not end the hold, and the running process sends nothing
    let running = Running::start(&scene).await;
    until("the process waits", async || {
        scene.number("select count(*) from rowtwin.slot where reason is not null").await == 1
    })
    .await;
    running.stop().await;
    assert!(Scene::writes(&scene.crm()).is_empty());
    assert_eq!(
        scene.row("select state from rowtwin.systems where name = 'crm'").await["state"],
        json!("held")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_trusted_rows_win_over_records_that_moved_on() {
    let scene = moved().await;
    assert!(matches!(scene.tend().await, Tended::Waits(_)));
    let id = crm_id(&scene);
    scene.crm().edit(CRM, &id, json!({"tel": "13800000009", "address": "Elsewhere"}));
    accept(&scene, "rows").await;
    // a poll must not bring the record's values in before they were compared
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    scene.puller(&scene.engine.bounds[0]).turn().await.unwrap();
    assert_eq!(scene.row("select phone from sales.customer").await["phone"], json!("13800000001"));
    scene.verify_to_the_end("crm").await;
    scene.poll().await;
    let record = &scene.crm().records(CRM)[0];
    assert_eq!(record["tel"], json!("13800000001"));
    assert!(
        record.get("address").is_none_or(|address| address.is_null() || address == &json!("")),
        "{record:?}"
    );
    assert_eq!(scene.row("select phone from sales.customer").await["phone"], json!("13800000001"));
    assert_eq!(scene.crm().count(CRM), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_trusted_rows_make_a_record_anew_that_was_deleted() {
    let scene = moved().await;
    assert!(matches!(scene.tend().await, Tended::Waits(_)));
    scene.crm().remove(CRM, &crm_id(&scene));
    accept(&scene, "rows").await;
    scene.verify_to_the_end("crm").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_trusted_records_are_taken_over() {
    let scene = moved().await;
    assert!(matches!(scene.tend().await, Tended::Waits(_)));
    scene.crm().edit(CRM, &crm_id(&scene), json!({"tel": "13800000009"}));
    scene.crm().insert(CRM, json!({"name": "Made since", "account_no": "C7"}));
    accept(&scene, "records").await;
    scene.settle().await;
    let rows = scene.rows("select number, phone from sales.customer order by number").await;
    assert_eq!(rows[0], json!({"number": "C1", "phone": "13800000009"}));
    assert_eq!(rows[1]["number"], json!("C7"));
    assert!(Scene::writes(&scene.crm()).is_empty(), "{:?}", Scene::writes(&scene.crm()));
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_copy_of_the_data_that_is_put_back_under_a_running_process_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("cluster");
    let start = |port| {
        let options = ClusterOptions {
            data: DataFolder::Kept(data.clone()),
            durable: false,
            port,
            ..ClusterOptions::default()
        };
        Cluster::start(options, &mut |line| eprintln!("{line}")).expect("a private Postgres")
    };
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let mut cluster = start(None);
    let port = cluster.port();
    execute(&cluster.url("postgres"), "create database mirror").await;
    let mut scene = Scene::at(cluster.url("mirror"), CUSTOMER, crm_only()).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    cluster.stop();
    let copy = folder.path().join("copy");
    let copied = Command::new("cp").arg("-a").arg(&data).arg(&copy).status().unwrap();
    assert!(copied.success());
    drop(cluster);
    let mut cluster = start(Some(port));
    scene.sql = connect(&scene.url).await;
    scene.run("update sales.customer set phone = '13800000002'").await;
    scene.settle().await;
    assert_eq!(scene.tend().await, Tended::Ready);
    scene.engine.note_place().await.unwrap();
    cluster.stop();
    drop(cluster);
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&copy, &data).unwrap();
    let cluster = start(Some(port));
    scene.sql = connect(&scene.url).await;
    scene.crm().forget_calls();
    let Tended::Waits(reason) = scene.tend().await else { panic!("not held") };
    assert!(reason.contains("put back to an earlier point"), "{reason}");
    scene.deliver(&scene.engine.bounds[0]).await;
    assert!(Scene::writes(&scene.crm()).is_empty());
    assert_eq!(
        scene.row("select state from rowtwin.systems where name = 'crm'").await["state"],
        json!("held")
    );
    drop(scene);
    drop(cluster);
}
