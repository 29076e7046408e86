//! Processes: several, too many connections, none that starts, upgrades, and the end.

use std::path::Path;

use super::page::{Section, section};
use crate::monitoring::process::{command, folder};
use crate::support::running::{Running, own_cluster, until};
use crate::support::{CUSTOMER, Scene, Script, execute};

/// Runs the section's commands, as they stand there, in order; those that go on for ever are left out.
async fn runs(scene: &Scene, section: Section) {
    let folder = folder(scene, "");
    for line in section.commands().into_iter().filter(|line| *line != "rowtwin run") {
        let mut program = command(&folder, &scene.url);
        program.args(line.split_whitespace().skip(1));
        let ran = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
        assert!(ran.status.success(), "{line}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_runs_and_who_captures_is_seen() {
    let page = section("When several processes run");
    let scene = Scene::start().await;
    let running = Running::start(&scene).await;
    until("capture is seen", async || {
        let shown = page.run(&scene, 0).await;
        shown.text.contains("rowtwin capture") && shown.text.contains(&scene.engine.slot)
    })
    .await;
    assert!(section("When there are too many connections").run(&scene, 0).await.rows >= 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_look_find_nothing_wrong_on_a_mirror_that_is_well() {
    let scene = Scene::start().await;
    scene.settle().await;
    runs(&scene, section("Where to look first")).await;
    runs(&scene, section("When the process does not start")).await;
    runs(&scene, section("How to upgrade, and how to go back")).await;
}

#[test]
fn what_the_program_says_is_quoted_as_it_says_it() {
    let mut code = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    let page = section("When the process does not start");
    let quoted = page.first_cells().into_iter().filter_map(|cell| cell.split('`').nth(1));
    let quoted: Vec<&str> = quoted.collect();
    assert!(quoted.len() > 10, "{quoted:?}");
    for words in quoted {
        assert!(code.contains(words), "nothing says: {words}");
    }
}

fn read(folder: &Path, code: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, code);
        } else {
            *code += &std::fs::read_to_string(path).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rowtwin_leaves_and_nothing_of_it_stays() {
    // roles belong to the whole server, and the other tests need theirs
    let cluster = own_cluster(&[]);
    execute(&cluster.url("postgres"), "create database mirror").await;
    let scene = Scene::at(cluster.url("mirror"), CUSTOMER, Script::default()).await;
    scene.run("insert into sales.customer (name, number) values ('One', 'C1')").await;
    scene.settle().await;
    runs(&scene, section("How to leave")).await;
    let page = section("How to leave");
    page.run(&scene, 0).await;
    page.run(&scene, 1).await;
    let left = "select (select count(*) from pg_replication_slots) + (select count(*) from pg_publication)
                     + (select count(*) from pg_namespace where nspname like 'rowtwin%')
                     + (select count(*) from pg_roles where rolname like 'rowtwin%')";
    assert_eq!(scene.number(left).await, 0);
    assert_eq!(scene.number("select count(*) from sales.customer where crm_id is not null").await, 1);
}
