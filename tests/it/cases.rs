//! The cases in plain SQL: `tests/cases/*.sql`, in the form that `tests/cases/README.md` describes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_postgres::SimpleQueryMessage;

use crate::support::{CRM, ERP, Scene, Script, fault};

/// How long work may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a file says, in order, each with its line.
#[derive(Debug)]
enum Said {
    Happens(usize, String),
    Statement { line: usize, sql: String, answer: Option<Vec<String>>, refused: Option<String> },
}

fn read(text: &str) -> Vec<Said> {
    let (mut said, mut sql, mut begun) = (Vec::new(), String::new(), 0);
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        if let Some(sentence) = line.strip_prefix("--! ") {
            said.push(Said::Happens(number, sentence.trim().to_owned()));
        } else if let Some(row) = line.strip_prefix("-->") {
            let Some(Said::Statement { answer, .. }) = said.last_mut() else {
                panic!("line {number}: an answer without a statement before it")
            };
            let answer = answer.get_or_insert_default();
            if !row.trim().is_empty() {
                answer.push(row.trim().to_owned());
            }
        } else if let Some(text) = line.strip_prefix("--x ") {
            let Some(Said::Statement { refused, .. }) = said.last_mut() else {
                panic!("line {number}: a refusal without a statement before it")
            };
            *refused = Some(text.trim().to_owned());
        } else if !(line.starts_with("--") || line.trim().is_empty() && sql.is_empty()) {
            if sql.is_empty() {
                begun = number;
            }
            sql += line;
            sql += "\n";
            if line.trim_end().ends_with(';') {
                let sql = std::mem::take(&mut sql);
                said.push(Said::Statement { line: begun, sql, answer: None, refused: None });
            }
        }
    }
    assert!(sql.is_empty(), "line {begun}: the statement does not end with ; at the end of a line");
    said
}

/// `*` stands for any text.
fn fits(wanted: &str, got: &str) -> bool {
    let mut parts = wanted.split('*');
    let Some(mut rest) = parts.next().and_then(|first| got.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn row_fits(wanted: &str, got: &[String]) -> bool {
    let cells: Vec<&str> = wanted.split('|').map(str::trim).collect();
    cells.len() == got.len() && cells.iter().zip(got).all(|(wanted, got)| fits(wanted, got.trim()))
}

/// Until nothing is left to do; what goes to a system that is away or paused is left.
async fn work(scene: &Scene) {
    let away = "select count(*) from rowtwin.systems where state <> 'running' or down_since is not null";
    let began = Instant::now();
    while scene.round().await || !(scene.is_quiet().await || scene.number(away).await > 0) {
        assert!(began.elapsed() < PATIENCE, "nobody comes to rest: {}", scene.story().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn happen(scene: &Scene, file: &str, line: usize, sentence: &str) {
    let at = || format!("{file}:{line}: {sentence}");
    match sentence {
        "work" => return work(scene).await,
        "describe" => {
            scene.run("update rowtwin_private.binding set next_describe_at = '-infinity'").await;
            return work(scene).await;
        }
        "poll" => return scene.poll().await,
        "sweep" => return scene.sweep().await,
        "verify" => {
            let system = scene.row("select system from rowtwin.verification where finished_at is null").await;
            return scene.verify_to_the_end(system["system"].as_str().unwrap()).await;
        }
        "compare" => {
            scene.tend().await;
            scene.recover().await;
            return scene.settle().await;
        }
        "restored" => {
            return scene.run("update rowtwin_private.capture set system_identifier = '1'").await;
        }
        _ => {}
    }
    let (system, rest) = sentence.split_once(' ').unwrap_or_else(|| panic!("{}: unknown", at()));
    let (door, object, number, id) = match system {
        "crm" => (scene.crm(), CRM, "account_no", "_id"),
        "erp" => (scene.erp(), ERP, "FNumber", "FCUSTID"),
        _ => panic!("{}: unknown", at()),
    };
    let json =
        |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{}: {error}", at()));
    let named = |wanted: &str| {
        let record = door.records(object).into_iter().find(|record| record[number] == *wanted);
        let record = record.unwrap_or_else(|| panic!("{}: there is no such record", at()));
        record[id].as_str().map_or_else(|| record[id].to_string(), str::to_owned)
    };
    let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "down" => door.set_down(true),
        "up" => door.set_down(false),
        "well" => door.clear_faults(),
        "fault" => door.add_fault(fault(rest)),
        "makes" => {
            door.insert(object, json(rest));
        }
        "sets" => {
            let (wanted, fields) = rest.split_once(' ').unwrap_or_else(|| panic!("{}: which fields?", at()));
            assert!(door.edit(object, &named(wanted), json(fields)), "{}", at());
        }
        "removes" => assert!(door.remove(object, &named(rest)), "{}", at()),
        _ => panic!("{}: unknown", at()),
    }
}

async fn run(file: &str, text: &str) {
    let mut script = Script::default();
    let mut said = read(text);
    said.retain(|one| {
        let Said::Happens(_, sentence) = one else { return true };
        if let Some(keys) = sentence.strip_prefix("crm binding: ") {
            keys.clone_into(&mut script.extra_crm);
        } else if let Some(keys) = sentence.strip_prefix("erp binding: ") {
            keys.clone_into(&mut script.extra_erp);
        } else if let Some(fields) = sentence.strip_prefix("crm match: ") {
            fields.clone_into(&mut script.crm_match);
        } else {
            return true;
        }
        false
    });
    let scene = Scene::with(script).await;
    for one in said {
        let (line, sql, answer, refused) = match one {
            Said::Happens(line, sentence) => {
                happen(&scene, file, line, &sentence).await;
                continue;
            }
            Said::Statement { line, sql, answer, refused } => (line, sql, answer, refused),
        };
        let got = match (scene.sql.simple_query(&sql).await, refused) {
            (Ok(got), None) => got,
            (Err(error), Some(wanted)) => {
                let message = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
                assert!(message.contains(&wanted), "{file}:{line}: refused with: {message}");
                continue;
            }
            (Ok(_), Some(wanted)) => panic!("{file}:{line}: not refused with {wanted:?}"),
            (Err(error), None) => panic!("{file}:{line}: {error:?}"),
        };
        let rows: Vec<Vec<String>> = got
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned()).collect())
                }
                _ => None,
            })
            .collect();
        let Some(answer) = answer else { continue };
        assert!(
            rows.len() == answer.len() && answer.iter().zip(&rows).all(|(wanted, got)| row_fits(wanted, got)),
            "{file}:{line}: {sql}wanted:\n{}\ngot:\n{}\n{}",
            answer.join("\n"),
            rows.iter().map(|row| row.join(" | ")).collect::<Vec<_>>().join("\n"),
            scene.story().await
        );
    }
}

fn files() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_in_plain_sql_answers_what_it_says() {
    let mut failed = Vec::new();
    // CASE=conflicts runs one file alone
    let only = std::env::var("CASE").unwrap_or_default();
    for (file, text) in files().into_iter().filter(|(file, _)| file.starts_with(&only)) {
        let name = file.clone();
        // one that fails does not hide the next; the panic itself tells the rest
        if tokio::spawn(async move { run(&file, &text).await }).await.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "these do not answer what they say: {failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_and_function_has_a_case_in_plain_sql() {
    let scene = Scene::start().await;
    let names = scene
        .rows(
            "select relname as name from pg_class where relnamespace = 'rowtwin'::regnamespace and relkind = 'v'
             union select proname from pg_proc where pronamespace = 'rowtwin'::regnamespace",
        )
        .await;
    let all: String = files().into_iter().map(|(_, text)| text).collect();
    let missing: BTreeSet<&str> = names
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .filter(|name| {
            !all.split(&format!("rowtwin.{name}"))
                .skip(1)
                .any(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_'))
        })
        .collect();
    assert!(missing.is_empty(), "no case in tests/cases names {missing:?}");
    assert!(names.len() > 30, "the schema has its views and functions: {}", names.len());
}

#[test]
fn a_star_stands_for_any_text() {
    assert!(fits("*", "") && fits("a*c*", "abcd") && fits("a", "a") && fits("*13*14*", "x13y14"));
    assert!(!fits("a", "ab") && !fits("a*d", "abc") && !fits("", "a") && !fits("*b*b", "ab"));
}
