//! The pages of documentation: they name what exists, and leave out nothing that people see.

use std::collections::BTreeSet;

use crate::files::{Kept, kept, read};

/// Where `docs/sql.md` and the views and functions of schema `rowtwin` part.
pub fn sql_page() -> Vec<String> {
    let sql: Vec<Kept> = kept()
        .into_iter()
        .filter(|file| file.path.starts_with("sql/api/") || file.path.starts_with("sql/views/"))
        .collect();
    let text: Vec<&str> = sql.iter().map(|file| file.text.as_str()).collect();
    let made = made(&text.concat());
    assert!(made.len() > 15, "the views and functions are not found: {made:?}");
    parting(&made, &headed(&read("docs/sql.md")))
}

/// Tests that a page names and that do not exist.
pub fn tests_that_are_not_there() -> Vec<String> {
    let kept = kept();
    let there: BTreeSet<&str> = kept
        .iter()
        .filter(|file| file.path.starts_with("tests/") && file.path.ends_with(".rs"))
        .flat_map(|file| file.text.lines())
        .filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "))
        .filter_map(|rest| rest.split('(').next())
        .collect();
    let mut findings = Vec::new();
    let mut seen = 0;
    for page in kept.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, line) in page.text.lines().enumerate() {
            for name in line.split('`').skip(1).step_by(2).filter(|name| is_of_a_rule(name)) {
                seen += 1;
                if !there.contains(name) {
                    findings.push(format!("{}:{}: there is no test {name}", page.path, number + 1));
                }
            }
        }
    }
    assert!(seen > 20, "the pages are not read: {seen}");
    findings
}

/// `r08_a_lost_answer`, but neither `r08_` nor `r08_…`, which stand for all tests of a rule.
fn is_of_a_rule(name: &str) -> bool {
    let digits = name.strip_prefix('r').and_then(|rest| rest.get(..2));
    let words = name.get(4..).unwrap_or_default();
    digits.is_some_and(|digits| digits.chars().all(|char| char.is_ascii_digit()))
        && name.get(3..4) == Some("_")
        && !words.is_empty()
        && words.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

fn made(sql: &str) -> BTreeSet<String> {
    let starts = ["create or replace view rowtwin.", "create or replace function rowtwin."];
    sql.lines()
        .filter_map(|line| starts.iter().find_map(|start| line.strip_prefix(start)))
        .map(name)
        .collect()
}

fn headed(page: &str) -> BTreeSet<String> {
    page.lines().filter_map(|line| line.strip_prefix("## rowtwin.")).map(name).collect()
}

fn name(rest: &str) -> String {
    rest.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect()
}

fn parting(made: &BTreeSet<String>, headed: &BTreeSet<String>) -> Vec<String> {
    let untold = made.difference(headed).map(|name| format!("docs/sql.md has no `## rowtwin.{name}`"));
    let gone = headed
        .difference(made)
        .map(|name| format!("docs/sql.md tells of rowtwin.{name}, which sql/ does not make"));
    untold.chain(gone).collect()
}

#[test]
fn what_a_page_leaves_out_or_makes_up_is_found() {
    let sql = "create or replace view rowtwin.seen as\ncreate or replace function rowtwin.untold(p text)\n\
               create or replace function rowtwin_private.hidden()\n";
    let page = "## rowtwin.seen\n## rowtwin.gone(table)\n# rowtwin.other\n";
    let findings = parting(&made(sql), &headed(page));
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].contains("rowtwin.untold") && findings[1].contains("rowtwin.gone"), "{findings:?}");
    for (name, whether) in [("r08_a_lost_answer", true), ("r08_", false), ("r08_…", false), ("row_8", false)]
    {
        assert_eq!(is_of_a_rule(name), whether, "{name}");
    }
}
