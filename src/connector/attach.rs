//! Attach: lines that were read, put into the records that they belong to.
//!
//! A page may hold a record twice, when it changed while the page was made; and a page of lines a line twice. Each copy
//! gets its lines, and each line is there once.

use std::collections::{HashMap, HashSet};

use crate::model::document::{Line, lines_value};
use crate::model::record::RemoteRecord;

/// The ids of the records that are there, each once.
pub(super) fn ids(records: &[RemoteRecord]) -> Vec<String> {
    let mut seen = HashSet::new();
    let living = records.iter().filter(|record| !record.deleted);
    living.filter(|record| seen.insert(record.id.as_str())).map(|record| record.id.clone()).collect()
}

/// Gives every record the lines that were found in it, one list for each in the same order.
pub(super) fn each_its_own(records: &mut [RemoteRecord], collection: &str, lines: Vec<Vec<Line>>) {
    for (record, lines) in records.iter_mut().zip(lines) {
        set(record, collection, &lines);
    }
}

/// Gives every record the lines that were found by its id.
pub(super) fn by_document(
    records: &mut [RemoteRecord],
    collection: &str,
    lines: &HashMap<String, Vec<Line>>,
) {
    for record in records {
        let own = lines.get(&record.id).map(Vec::as_slice).unwrap_or_default();
        set(record, collection, own);
    }
}

fn set(record: &mut RemoteRecord, collection: &str, lines: &[Line]) {
    if record.deleted {
        return;
    }
    let mut seen = HashSet::new();
    let mut once: Vec<&Line> = lines.iter().rev().collect();
    once.retain(|line| line.id.as_deref().is_none_or(|id| seen.insert(id)));
    let once: Vec<Line> = once.into_iter().rev().cloned().collect();
    record.fields.insert(collection.to_owned(), lines_value(&once));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn record(id: &str) -> RemoteRecord {
        RemoteRecord { id: id.to_owned(), ..RemoteRecord::default() }
    }

    fn line(id: &str, number: i64) -> Line {
        let fields = [("n".to_owned(), Value::from(number))].into_iter().collect();
        Line { id: Some(id.to_owned()), key: None, fields }
    }

    #[test]
    fn a_record_that_comes_twice_has_its_lines_twice() {
        let mut records = [record("7"), record("8"), record("7")];
        assert_eq!(ids(&records), ["7", "8"]);
        let found = HashMap::from([("7".to_owned(), vec![line("a", 1)])]);
        by_document(&mut records, "lines", &found);
        let lines: Vec<&Value> = records.iter().map(|record| &record.fields["lines"]).collect();
        let one = json!([{"id": "a", "fields": {"n": 1}}]);
        assert_eq!(lines, [&one, &json!([]), &one]);
    }

    #[test]
    fn copies_that_differ_keep_their_own_lines() {
        let mut records = [record("7"), record("7")];
        each_its_own(&mut records, "lines", vec![vec![], vec![line("a", 1)]]);
        assert_eq!(records[0].fields["lines"], json!([]));
        assert_eq!(records[1].fields["lines"], json!([{"id": "a", "fields": {"n": 1}}]));
    }

    #[test]
    fn a_line_that_comes_twice_is_one() {
        let mut records = [record("7")];
        each_its_own(&mut records, "lines", vec![vec![line("a", 1), line("b", 1), line("a", 2)]]);
        let expected = json!([{"id": "b", "fields": {"n": 1}}, {"id": "a", "fields": {"n": 2}}]);
        assert_eq!(records[0].fields["lines"], expected);
    }
}
