//! R20 for what people set up: refused with the place and the cure, and nothing is lost.

use rowtwin::cluster::{Cluster, ClusterOptions};
use rowtwin::config;
use rowtwin::engine::assemble::Given;
use rowtwin::engine::{Engine, EngineError};
use rowtwin::simulator::credentials;

use crate::support::running::{Running, own_cluster, until};
use crate::support::{CRM, CUSTOMER, Scene, Script, connect, execute, secret};

async fn attempt(url: &str, text: &str) -> Result<Engine, EngineError> {
    let file = config::parse("rowtwin.yaml", text).unwrap().0;
    let given = Given { database_url: Some(url.to_owned()), connectors: None, ..Given::default() };
    let mut engine = Engine::assemble(file, &given).await?;
    engine.init().await?;
    Ok(engine)
}

/// The message of a set-up that must be refused.
async fn refusal(url: &str, text: &str) -> String {
    match attempt(url, text).await {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_all_findings_of_a_configuration_come_at_once() {
    let scene = Scene::start().await;
    scene
        .run("create table sales.keyless (name text); create view sales.seen as select 1 as id; create unlogged table sales.fleeting (id int primary key, name text)")
        .await;
    let text = Scene::text(&Script::default(), &scene.crm, &scene.erp)
        .replace("number: account_no,", "nombre: account_no,")
        .replace("id_column: erp_id", "id_column: erp_key")
        + "  sales.keyless: {bindings: [{system: crm, object: AccountObj, fields: {name: name}}]}
  sales.seen: {bindings: [{system: crm, object: AccountObj, fields: {id: name}}]}
  sales.fleeting: {bindings: [{system: crm, object: AccountObj, fields: {name: name}}]}
  sales.nowhere: {bindings: [{system: crm, object: AccountObj, fields: {name: name}}]}
";
    let text = text.replacen("app_id:", "user: {env: ROWTWIN_TEST_UNSET}, app_id:", 1);
    let message = refusal(&scene.url, &text).await;
    assert!(message.contains("ROWTWIN_TEST_UNSET is not set"), "{message}");
    let text = text.replace("user: {env: ROWTWIN_TEST_UNSET}, ", "");
    let message = refusal(&scene.url, &text).await;
    for part in [
        "column `nombre` does not exist",
        "add column erp_key text",
        "`sales.keyless` has no primary key",
        "`sales.seen` is not a table",
        "alter table sales.fleeting set logged",
        "`sales.nowhere` does not exist",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_an_unfit_database_says_all_that_is_missing() {
    let cluster = own_cluster(&[("wal_level", "replica"), ("max_replication_slots", "1")]);
    execute(&cluster.url("postgres"), "create database mirror").await;
    let url = cluster.url("mirror");
    execute(&url, CUSTOMER).await;
    execute(&url, "create role clerk login; select pg_create_physical_replication_slot('taken')").await;
    let scene = Scene::start().await;
    let text = Scene::text(&Script::default(), &scene.crm, &scene.erp);
    let message = refusal(&url.replace("postgres@", "clerk@"), &text).await;
    for part in [
        "alter system set wal_level = logical",
        "alter role \"clerk\" replication",
        "all 1 replication slots are taken",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let there: bool = connect(&url)
        .await
        .query_one("select to_regnamespace('rowtwin') is not null", &[])
        .await
        .unwrap()
        .get(0);
    assert!(!there, "an unfit database was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_wrong_password_of_the_database_is_said_and_not_shown() {
    let options =
        ClusterOptions { password: Some("right-horse".to_owned().into()), ..ClusterOptions::default() };
    let cluster = Cluster::start(options, &mut |line| eprintln!("{line}")).unwrap();
    let scene = Scene::start().await;
    let text = Scene::text(&Script::default(), &scene.crm, &scene.erp);
    let url = cluster.url("postgres").replace("postgres@", "postgres:wrong-horse@");
    let message = refusal(&url, &text).await;
    assert!(message.contains("password authentication failed"), "{message}");
    assert!(!message.contains("horse"), "{message}");
    drop(cluster);
    let message = refusal(&url, &text).await;
    assert!(message.contains("cannot connect to the mirror database"), "{message}");
    assert!(!message.contains("horse"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_system_that_refuses_our_sign_in_is_held_and_nothing_is_lost() {
    let mut scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    let good = Scene::text(&Script { with_erp: false, ..Script::default() }, &scene.crm, &scene.erp);
    let bad = good.replace(&secret(credentials::fxiaoke::APP_SECRET), &secret("wrong-horse"));
    assert_ne!(good, bad);
    scene.reconfigure_with(&bad).await;
    let running = Running::start(&scene).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    until("the system is held", async || {
        scene.number("select count(*) from rowtwin.systems where name = 'crm' and state = 'held'").await == 1
    })
    .await;
    until("the row waits", async || scene.number("select count(*) from rowtwin.outbox").await == 1).await;
    running.stop().await;
    let system = scene.row("select held_reason from rowtwin.systems where name = 'crm'").await;
    assert!(!system.to_string().contains("horse"), "{system}");
    assert_eq!(scene.crm().count(CRM), 0);

    // a restart with the right secret is enough
    scene.reconfigure_with(&good).await;
    let running = Running::start(&scene).await;
    until("the row arrives", async || scene.crm().count(CRM) == 1).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_look_with_a_wrong_secret_does_not_hold_the_system_of_others() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    let bad = scene.text.replace(&secret(credentials::fxiaoke::APP_SECRET), &secret("wrong-horse"));
    assert_ne!(scene.text, bad);
    let file = config::parse("rowtwin.yaml", &bad).unwrap().0;
    let given = Given { database_url: Some(scene.url.clone()), only_looks: true, ..Given::default() };
    let engine = Engine::assemble(file, &given).await.unwrap();
    assert!(engine.clients["crm"].sign_in().await.is_err());
    assert_eq!(scene.number("select count(*) from rowtwin.systems where state = 'held'").await, 0);
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
}
