//! `rowtwin add`, as a newcomer uses it: a file with a system, one command, and a table that is kept the same.

use rowtwin::config;
use rowtwin::engine::Engine;
use serde_json::json;
use std::process::{Output, Stdio};

use crate::monitoring::process::command;
use crate::support::{CRM, Scene, assemble};

/// A folder with the systems of a scene and a comment, and no tables.
fn folder(scene: &Scene) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let systems = scene.text.split("tables:\n").next().unwrap();
    std::fs::write(folder.path().join("rowtwin.yaml"), format!("# our file\n{systems}")).unwrap();
    folder
}

fn text(folder: &tempfile::TempDir) -> String {
    std::fs::read_to_string(folder.path().join("rowtwin.yaml")).unwrap()
}

fn add(folder: &tempfile::TempDir, scene: &Scene, arguments: &[&str]) -> Output {
    command(folder, &scene.url).arg("add").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomers_first_table_takes_one_command() {
    let mut scene = Scene::start().await;
    let folder = folder(&scene);
    let before = text(&folder);
    let output = add(&folder, &scene, &["crm", CRM, "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("create table crm.account_obj"), "{}", said(&output));
    let after = text(&folder);
    assert!(after.starts_with(&before), "{after}");
    let names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["rowtwin.yaml"], "nothing is left beside it");

    scene.crm().insert(CRM, json!({"name": "Acme", "field_credit__c": "12.50"}));
    let engine: Engine = assemble(&scene.url, &after).await;
    scene.engine = engine;
    scene.settle().await;
    let row = scene.row("select name, credit::text from crm.account_obj").await;
    assert_eq!(row, json!({"name": "Acme", "credit": "12.50"}));
    scene.run("insert into crm.account_obj (name) values ('Beta')").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 2);

    // the second one goes below the first
    let output = add(&folder, &scene, &["crm", "ContactObj", "--table", "crm.person", "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    let (file, _) = config::parse("rowtwin.yaml", &text(&folder)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(file.tables.keys().collect::<Vec<_>>(), ["crm.account_obj", "crm.person"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_yes_and_where_something_is_in_the_way_nothing_is_changed() {
    let scene = Scene::start().await;
    let folder = folder(&scene);
    let before = text(&folder);
    let made = "select count(*) from pg_class where relname = 'account_obj'";

    let output = add(&folder, &scene, &["crm", CRM]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("--yes"), "{}", said(&output));
    assert_eq!(scene.number(made).await, 0);

    scene.run("create schema crm; create table crm.account_obj (id int)").await;
    let output = add(&folder, &scene, &["crm", CRM, "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("--table"), "{}", said(&output));
    assert_eq!(text(&folder), before);

    let output = add(&folder, &scene, &["shop", "Order", "--yes"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    scene.crm().set_down(true);
    let output = add(&folder, &scene, &["crm", "ContactObj", "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(text(&folder), before);
    assert_eq!(scene.number("select count(*) from pg_class where relname = 'contact_obj'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_does_not_fit_is_taken_back_with_its_table() {
    let scene = Scene::start().await;
    let folder = folder(&scene);
    // another table of the file is gone: the whole would not start
    let other = "tables:\n  sales.gone:\n    bindings:\n      - {system: crm, object: ContactObj, fields: {name: name}}\n";
    let before = text(&folder) + other;
    std::fs::write(folder.path().join("rowtwin.yaml"), &before).unwrap();
    let output = add(&folder, &scene, &["crm", CRM, "--yes"]);
    assert!(!output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("sales.gone"), "{}", said(&output));
    assert_eq!(text(&folder), before);
    assert_eq!(scene.number("select count(*) from pg_class where relname = 'account_obj'").await, 0);
    // and once it is there
    scene.run("create table sales.gone (id int primary key, name text)").await;
    let output = add(&folder, &scene, &["crm", CRM, "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
}
