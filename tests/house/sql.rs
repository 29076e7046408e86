//! The SQL that people call and read: each function and view says what it is for.

use crate::files::{Kept, kept};

/// What is made in `sql/api` and `sql/views` and has no comment.
pub fn uncommented() -> Vec<String> {
    let sql: Vec<Kept> = kept()
        .into_iter()
        .filter(|file| file.path.starts_with("sql/api/") || file.path.starts_with("sql/views/"))
        .collect();
    assert!(sql.len() >= 2, "the SQL is not found");
    let text: Vec<&str> = sql.iter().map(|file| file.text.as_str()).collect();
    let (made, findings) = missing(&text.concat());
    assert!(made > 20, "the functions and views are not found: {made}");
    findings
}

/// How many functions and views a text makes, and which of them it does not comment on.
fn missing(text: &str) -> (usize, Vec<String>) {
    let mut made = Vec::new();
    let mut told = Vec::new();
    for line in text.lines().map(|line| line.trim().to_lowercase()) {
        let line = line.replace("or replace ", "");
        for kind in ["function", "procedure", "view", "materialized view"] {
            if let Some(rest) = line.strip_prefix(&format!("create {kind} ")) {
                made.push((kind, name(rest)));
            }
            if let Some(rest) = line.strip_prefix(&format!("comment on {kind} ")) {
                told.push((kind, name(rest)));
            }
        }
    }
    let mut findings = Vec::new();
    for one in &made {
        // Functions of one name differ by their arguments, and each needs its own.
        let (needed, have) = (count(&made, one), count(&told, one));
        if have < needed {
            findings.push(format!("{} {} has no comment", one.0, one.1));
        }
    }
    (made.len(), findings)
}

fn count(list: &[(&str, String)], one: &(&str, String)) -> usize {
    list.iter().filter(|other| *other == one).count()
}

fn name(rest: &str) -> String {
    rest.chars().take_while(|char| char.is_alphanumeric() || matches!(char, '_' | '.')).collect()
}

#[test]
fn what_has_no_comment_is_found() {
    let text = "create or replace function a.f(x int)\ncreate view a.v as select 1;\ncreate function a.f(x text)\n\
                comment on view a.v is '';\ncomment on function a.f(int) is '';\n";
    assert_eq!(missing(text), (3, vec!["function a.f has no comment".to_owned(); 2]));
}
