//! The rules of the house, as a test: sizes, floors, words, and generated files that are fresh.
//!
//! With `BLESS=1` in the environment the generated files are written anew.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a broken invariant of a test is its failure"
)]

#[path = "house/docs.rs"]
mod docs;
#[path = "house/files.rs"]
mod files;
#[path = "house/floors.rs"]
mod floors;
#[path = "house/monitoring.rs"]
mod monitoring;
#[path = "house/mutations.rs"]
mod mutations;
#[path = "house/sql.rs"]
mod sql;
#[path = "house/sql_page.rs"]
mod sql_page;

use std::collections::BTreeSet;

use files::{Kept, read, root};

/// Fails with all findings, not with the first.
fn none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

#[test]
fn a_source_file_says_what_it_is_and_fits_a_head() {
    let mut findings = Vec::new();
    let sources = files::sources();
    assert!(sources.len() > 50, "the sources are not found: {}", sources.len());
    for file in sources {
        let lines = file.text.lines().count();
        if lines > 500 {
            findings.push(format!("{}: {lines} lines; give something in it a file of its own", file.path));
        }
        if !file.text.starts_with("//!") {
            findings.push(format!("{}: does not begin with `//!`", file.path));
        }
    }
    none("files of at most 500 lines that open with their purpose", &findings);
}

#[test]
fn nothing_imports_from_a_higher_floor() {
    none("imports go to the same floor or a lower one", &floors::upward(&files::sources()));
}

#[test]
fn no_rooms_import_each_other_in_a_circle() {
    none("no circles between rooms", &floors::circles(&files::sources()));
}

#[test]
fn some_rooms_know_the_model_only() {
    none("config and simulator import the model only", &floors::beyond_model(&files::sources()));
}

#[test]
fn no_file_is_named_after_nothing() {
    let banned = ["utils", "util", "helpers", "helper", "manager", "common", "misc"];
    let findings: Vec<String> = files::kept()
        .into_iter()
        .filter(|file| {
            let stems = file.path.split('/').map(|step| step.split('.').next().unwrap_or(step));
            stems.into_iter().any(|stem| banned.contains(&stem))
        })
        .map(|file| file.path)
        .collect();
    none("a file is named after what is in it", &findings);
}

#[test]
fn the_rules_that_are_switched_off_are_still_there() {
    none("each entry of tests/sim/mutations.yaml changes one place", &mutations::findings());
}

#[test]
fn generated_files_are_fresh() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut findings = Vec::new();
    for (path, want) in [
        ("connectors/schema.json", rowtwin::connector::manifest::schema()),
        ("docs/rowtwin.schema.json", rowtwin::cli::config::schema_text()),
        ("docs/sql.md", sql_page::written()),
    ] {
        let full = root().join(path);
        if bless {
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(&full, &want).unwrap();
        }
        if std::fs::read_to_string(&full).ok().as_deref() != Some(want.as_str()) {
            findings.push(format!("{path} is not what the code makes: BLESS=1 cargo test --test house"));
        }
    }
    none("generated files are fresh", &findings);
}

#[test]
fn every_function_and_view_tells_its_contract() {
    none("a function or view in sql has a `comment on`", &sql::uncommented());
}

#[test]
fn the_page_on_sql_names_every_view_and_function() {
    none("docs/sql.md and schema rowtwin agree", &docs::sql_page());
}

#[test]
fn the_tests_that_a_page_names_exist() {
    none("a page names tests that exist", &docs::tests_that_are_not_there());
}

#[test]
fn rules_dashboard_and_template_name_metrics_that_exist() {
    none("deploy and docs/monitoring.md name the metrics of src/metrics.rs", &monitoring::parting());
}

#[test]
fn every_connector_has_its_cases() {
    let kept: BTreeSet<String> = files::kept().into_iter().map(|file| file.path).collect();
    let manifests: Vec<&String> = kept
        .iter()
        .filter(|path| {
            path.starts_with("connectors/") && path.ends_with(".yaml") && !path.ends_with(".test.yaml")
        })
        .collect();
    assert!(manifests.len() >= 3, "{manifests:?}");
    let mut findings = Vec::new();
    for manifest in manifests {
        let cases = manifest.replace(".yaml", ".test.yaml");
        if !kept.contains(&cases) || read(&cases).trim().is_empty() {
            findings.push(format!("{manifest} has no cases in {cases}"));
        }
    }
    none("a connector has cases", &findings);
}

#[test]
fn nothing_is_left_to_do_in_the_sources() {
    // In two parts, so that this file does not find itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    none("no notes to oneself", &holding(&files::kept(), &marks));
}

#[test]
fn no_file_knows_a_machine() {
    let mut findings = holding(
        &files::kept(),
        &[
            concat!("/ho", "me/"),
            concat!("/ro", "ot/"),
            concat!("/Us", "ers/"),
            concat!("/wo", "rk/"),
            concat!("/wor", "kspace"),
            concat!("index-", "url"),
            concat!("[registr", "ies"),
            concat!("replace-", "with"),
            concat!("npm_config_", "registry"),
            concat!("arti", "factory"),
        ],
    );
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let path = root().join(lock);
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        let sources = text.lines().filter_map(|line| line.strip_prefix("source = "));
        for source in
            sources.filter(|source| !source.contains("registry+https://github.com/rust-lang/crates.io-index"))
        {
            findings.push(format!("{lock}: {source} is not crates.io"));
        }
    }
    none("no path of a machine and no host of a registry", &findings);
}

fn holding(kept: &[Kept], marks: &[&str]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in kept {
        for (number, line) in file.text.lines().enumerate() {
            for mark in marks.iter().filter(|mark| line.contains(**mark)) {
                findings.push(format!("{}:{}: {mark}", file.path, number + 1));
            }
        }
    }
    findings
}

/// The promises of `docs/rules.md` that have a test named after them.
#[test]
fn every_rule_has_a_test_of_its_name() {
    let promised = 1..=20;
    let tests: Vec<Kept> = files::kept()
        .into_iter()
        .filter(|file| file.path.starts_with("tests/") && file.path.ends_with(".rs"))
        .collect();
    let findings: Vec<String> = promised
        .map(|number: u32| format!("fn r{number:02}_"))
        .filter(|name| !tests.iter().any(|file| file.text.lines().any(|line| is_test(line, name))))
        .map(|name| format!("no test begins with `{name}`"))
        .collect();
    none("a rule has a test named after it", &findings);
}

fn is_test(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    line.starts_with(name) || line.strip_prefix("async ").is_some_and(|line| line.starts_with(name))
}
