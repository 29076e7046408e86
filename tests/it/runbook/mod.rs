//! The runbook is tried: every statement and command of `docs/runbook.md` is run, and its sections on the very trouble
//! that they are about. Lost slots, fail-over and restores have their own tests among the rules; here their statements run.

mod page;
mod people;
mod process;
mod systems;

use std::process::Command;

use crate::support::Scene;
use page::{section, sections};

/// The trials, as text: a section that none of them names is not tried.
const TRIALS: [&str; 4] = [
    include_str!("mod.rs"),
    include_str!("people.rs"),
    include_str!("process.rs"),
    include_str!("systems.rs"),
];

#[test]
fn every_section_is_tried() {
    let sections = sections();
    assert!(sections.len() > 20);
    for section in sections {
        let called = format!("section(\"{}\")", section.title);
        assert!(TRIALS.iter().any(|trials| trials.contains(&called)), "nobody tries {}", section.title);
    }
}

#[test]
fn the_table_leads_to_every_section() {
    let text = include_str!("../../../docs/runbook.md");
    let top = text.split("\n## ").next().unwrap();
    for section in sections() {
        let anchor = section.title.to_lowercase().replace(' ', "-").replace(',', "");
        assert!(top.contains(&format!("(#{anchor})")), "the table does not name {}", section.title);
    }
}

#[test]
fn every_command_is_understood() {
    let mut seen = 0;
    for section in sections() {
        let spans = section.spans().into_iter().filter(|span| span.starts_with("rowtwin "));
        for command in section.commands().into_iter().chain(spans).filter(|one| !one.is_empty()) {
            // what stands for something else is left out, with its option
            let mut words: Vec<&str> = command.split_whitespace().skip(1).collect();
            if words.last() == Some(&"…") {
                words.truncate(words.len() - 2);
            }
            let ran =
                Command::new(env!("CARGO_BIN_EXE_rowtwin")).args(&words).arg("--help").output().unwrap();
            assert!(command.starts_with("rowtwin ") && ran.status.success(), "{command}: {ran:?}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_look_works_on_a_mirror_that_is_well() {
    let scene = Scene::start().await;
    scene.run("insert into sales.customer (name, number) values ('One', 'C1')").await;
    scene.settle().await;
    for section in sections() {
        // the others act, and are tried on their trouble
        for (block, sql) in section.sql().into_iter().enumerate() {
            if sql.starts_with("select ") && !sql.starts_with("select rowtwin.") {
                section.run(&scene, block).await;
            }
        }
    }
    let first = section("Where to look first").run(&scene, 0).await;
    assert_eq!(first.rows, 2 + 2 + 1, "{}", first.text);
    // what these show in trouble is tried in slot_guard.rs and lost_slot.rs
    for section in [section("When the slot retains too much WAL"), section("When the slot is lost")] {
        assert!(section.run(&scene, 0).await.rows >= 1, "{}", section.title);
    }
    // what is looked at there is told by the log and by rowtwin.systems; tests/promotion.rs and restored.rs try it
    assert!(section("When the database failed over").sql().is_empty());
    assert!(section("When the database was restored").text_has("rowtwin.accept_restored('rows')"));
    assert!(section("When the two sides seem to differ").commands().len() == 2);
}
