//! Cases, and the property that a merged document equals an independently written model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::binding::Prefer;
use crate::model::diff::{diff, project};
use crate::model::merge::{Group, Merged, Policy, Side, Stamps, first_meeting, merge};

/// Lines of two fields that go both ways.
struct Plain {
    fields: Vec<String>,
    match_fields: Vec<String>,
    policy: Policy,
    record_preferred: bool,
}

impl Plain {
    fn new(policy: Policy) -> Self {
        let fields = vec!["a".to_owned(), "b".to_owned()];
        Self { fields, match_fields: Vec::new(), policy, record_preferred: true }
    }

    fn groups(&self) -> Vec<Group> {
        let group =
            |name: &String| Group { name: name.clone(), fields: vec![name.clone()], policy: self.policy };
        self.fields.iter().map(group).collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(String::as_str)
    }
}

impl LineRules for Plain {
    fn collection(&self) -> &str {
        "Lines"
    }
    fn pushes(&self) -> bool {
        true
    }
    fn pulls(&self) -> bool {
        true
    }
    fn recognition(&self) -> Recognition<'_> {
        Recognition { fields: &self.fields, match_fields: &self.match_fields, blank_is_null: true }
    }
    fn project(&self, fields: &Record) -> Record {
        project(fields, self.names())
    }
    fn new_line(&self, row: &Record) -> Record {
        row.clone()
    }
    fn push_diff(&self, row: &Record, shadow: &Record, _label: &str) -> Record {
        diff(row, shadow, self.names(), true)
    }
    fn merge(&self, row: &Record, record: &Record, shadow: &Record) -> Merged {
        merge(row, record, shadow, &self.groups(), Stamps::default(), true)
    }
    fn first_meeting(&self, row: &Record, record: &Record) -> Merged {
        let prefer = if self.record_preferred { Prefer::Record } else { Prefer::Row };
        first_meeting(row, record, &self.groups(), prefer, Stamps::default(), true)
    }
    fn record_preferred(&self) -> bool {
        self.record_preferred
    }
}

fn line(id: Option<&str>, key: Option<&str>, a: i64, b: i64) -> Line {
    let fields = match json!({"a": a, "b": b}) {
        Value::Object(fields) => fields,
        _ => Record::new(),
    };
    Line { id: id.map(str::to_owned), key: key.map(str::to_owned), fields }
}

/// Both sides after a merge and the push that follows it.
fn played(row: &[Line], record: &[Line], merged: &MergedLines, rules: &Plain) -> (Vec<Line>, Vec<Line>) {
    let mut shadow = merged.shadow.clone();
    let mut row: Vec<Line> = row
        .iter()
        .filter(|line| !merged.deletes.iter().any(|key| Some(key) == line.key.as_ref()))
        .cloned()
        .collect();
    for (key, from, take) in &merged.updates {
        let line = row.iter_mut().find(|line| line.key.as_ref() == Some(key)).unwrap();
        for field in take {
            line.fields.insert(field.clone(), from[field].clone());
        }
    }
    for (number, (place, from)) in merged.inserts.iter().enumerate() {
        let key = format!("new{number}");
        shadow[*place].key = Some(key.clone());
        row.push(Line { id: None, key: Some(key), fields: rules.project(from) });
    }
    let sent = changes(&row, &shadow, rules);
    let mut record: Vec<Line> = record
        .iter()
        .filter(|line| !sent.removed.iter().any(|removed| removed.id == line.id))
        .cloned()
        .collect();
    for change in &sent.changed {
        let line = record.iter_mut().find(|line| line.id == change.id).unwrap();
        line.fields.extend(change.fields.clone());
    }
    record.extend(sent.added.iter().cloned());
    (row, record)
}

fn values(lines: &[Line]) -> Vec<String> {
    let mut values: Vec<String> =
        lines.iter().map(|line| Value::Object(line.fields.clone()).to_string()).collect();
    values.sort();
    values
}

#[test]
fn only_what_changed_is_sent() {
    let shadow = [line(Some("1"), Some("x"), 1, 1), line(Some("2"), Some("y"), 2, 2)];
    let row = [line(None, Some("z"), 3, 3), line(None, Some("x"), 1, 9)];
    let sent = changes(&row, &shadow, &Plain::new(Policy::Latest));
    assert_eq!(sent.added, [line(None, Some("z"), 3, 3)]);
    assert_eq!(sent.changed.len(), 1);
    assert_eq!(sent.changed[0].fields, json!({"b": 9}).as_object().unwrap().clone());
    assert_eq!(sent.removed.iter().map(Line::label).collect::<Vec<_>>(), ["2"]);
    assert_eq!(sent.all, [line(None, Some("z"), 3, 3), line(Some("1"), Some("x"), 1, 9)]);
    assert_eq!(Changes::from_value(&sent.to_value()).unwrap().all, sent.all);
    assert!(changes(&row, &row, &Plain::new(Policy::Latest)).is_empty());
}

#[test]
fn lines_that_were_sent_and_never_seen_find_each_other() {
    // the answer told no ids, and the remote rounded one value
    let shadow = [line(None, Some("x"), 1, 1), line(None, Some("y"), 2, 5)];
    let row = [line(None, Some("x"), 1, 1), line(None, Some("y"), 2, 5)];
    let record = [line(Some("70"), None, 2, 6), line(Some("71"), None, 1, 1)];
    let merged = merge_lines(&row, &record, &shadow, &Plain::new(Policy::Latest));
    assert!(merged.inserts.is_empty() && merged.deletes.is_empty());
    let ids: BTreeSet<(String, String)> = merged.ids.iter().cloned().collect();
    let expected = [("x", "71"), ("y", "70")].map(|(key, id)| (key.to_owned(), id.to_owned()));
    assert_eq!(ids, BTreeSet::from(expected));
    // the rounded value comes in as the remote's own change
    assert_eq!(merged.updates.len(), 1);
    // one that is not there is sent again, and its row stays
    let merged = merge_lines(&row, &record[..1], &shadow, &Plain::new(Policy::Latest));
    assert!(merged.deletes.is_empty());
    assert_eq!(changes(&row, &merged.shadow, &Plain::new(Policy::Latest)).added.len(), 1);
}

#[test]
fn a_line_that_never_arrived_is_not_lost_to_one_that_somebody_else_added() {
    let rules = Plain::new(Policy::Latest);
    let shadow = [line(None, Some("x"), 1, 10), line(None, Some("y"), 2, 20)];
    let row = shadow.clone();
    // of the two that were sent, the second arrived, rounded: the first does not take its place
    let arrived = [line(Some("70"), None, 2, 21)];
    let merged = merge_lines(&row, &arrived, &shadow, &rules);
    assert_eq!(merged.ids, [("y".to_owned(), "70".to_owned())]);
    let (rows, records) = played(&row, &arrived, &merged, &rules);
    assert_eq!((values(&rows), values(&records)), (values(&records), values(&rows)));
    assert_eq!(rows.len(), 2);
    // neither arrived, and a person has added one: whichever it is taken for, what it takes away is kept
    let strange = [line(Some("71"), None, 3, 30)];
    let merged = merge_lines(&row, &strange, &shadow, &rules);
    let kept: Vec<(Value, Value)> =
        merged.conflicts.iter().map(|one| (one.row.clone(), one.record.clone())).collect();
    assert_eq!(kept, [(json!(1), json!(3)), (json!(10), json!(30))]);
    assert!(
        merged.conflicts.iter().all(|one| one.winner == Side::Record && one.field.starts_with("Lines[71]"))
    );
}

#[test]
fn a_line_removed_on_one_side_and_edited_on_the_other_stays_edited() {
    let shadow = [line(Some("1"), Some("x"), 1, 1), line(Some("2"), Some("y"), 2, 2)];
    let row = [line(None, Some("x"), 1, 7)];
    let record = [line(Some("2"), None, 2, 8)];
    let rules = Plain::new(Policy::Latest);
    let merged = merge_lines(&row, &record, &shadow, &rules);
    let (row, record) = played(&row, &record, &merged, &rules);
    assert_eq!(values(&row), values(&[line(None, None, 1, 7), line(None, None, 2, 8)]));
    assert_eq!(values(&row), values(&record));
    let named: Vec<&str> = merged.conflicts.iter().map(|conflict| conflict.field.as_str()).collect();
    assert_eq!(named, ["Lines[2]", "Lines[1]"]);
}

#[test]
fn at_a_first_meeting_the_preferred_side_decides_when_it_has_lines() {
    let mut rules = Plain::new(Policy::Latest);
    rules.match_fields = vec!["a".to_owned()];
    let row = [line(None, Some("x"), 1, 1), line(None, Some("y"), 2, 2)];
    let record = [line(Some("71"), None, 3, 3), line(Some("70"), None, 1, 5)];
    let merged = meet_lines(&row, &record, &rules);
    let (after, sent) = played(&row, &record, &merged, &rules);
    assert_eq!((values(&after), values(&sent)), (values(&record), values(&record)));
    assert_eq!(merged.deletes, ["y"]);
    rules.record_preferred = false;
    let merged = meet_lines(&row, &record, &rules);
    let (after, sent) = played(&row, &record, &merged, &rules);
    assert_eq!((values(&after), values(&sent)), (values(&row), values(&row)));
    // a side without lines is filled, whoever is preferred
    let merged = meet_lines(&[], &record, &rules);
    assert_eq!(merged.inserts.len(), 2);
}

#[test]
fn a_held_field_keeps_its_base_and_is_named_with_its_line() {
    let shadow = [line(Some("1"), Some("x"), 1, 1)];
    let (row, record) = ([line(None, Some("x"), 1, 2)], [line(Some("1"), None, 1, 3)]);
    let merged = merge_lines(&row, &record, &shadow, &Plain::new(Policy::Manual));
    assert_eq!(merged.conflicts[0].field, "Lines[1].b");
    assert_eq!(merged.shadow[0].fields["b"], json!(1));
    assert!(merged.updates.is_empty());
}

#[test]
fn a_new_key_of_an_unchanged_line_is_no_change() {
    let shadow = [line(Some("1"), Some("[\"1\",\"1\"]"), 1, 1)];
    let row = [line(None, Some("[\"2\",\"1\"]"), 1, 1)];
    assert!(changes(&row, &shadow, &Plain::new(Policy::Latest)).is_empty());
}

/// What one side does to a line.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Edit {
    Nothing,
    SetA(i64),
    SetB(i64),
    Remove,
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => Just(Edit::Nothing),
        2 => (0..3i64).prop_map(|value| Edit::SetA(100 + value)),
        2 => (0..3i64).prop_map(|value| Edit::SetB(200 + value)),
        1 => Just(Edit::Remove),
    ]
}

fn edited(value: (i64, i64), edit: Edit) -> Option<(i64, i64)> {
    match edit {
        Edit::Nothing => Some(value),
        Edit::SetA(a) => Some((a, value.1)),
        Edit::SetB(b) => Some((value.0, b)),
        Edit::Remove => None,
    }
}

/// The model: what a line is to be after both sides' edits, the row winning where both changed the same field.
fn wanted(value: (i64, i64), row: Edit, record: Edit) -> Option<(i64, i64)> {
    match (row, record) {
        (Edit::Remove, Edit::Remove | Edit::Nothing) | (Edit::Nothing, Edit::Remove) => None,
        (Edit::Remove, other) | (other, Edit::Remove) => edited(value, other),
        (row, record) => edited(value, record).and_then(|after| edited(after, row)),
    }
}

proptest! {
    /// For any edits on both sides, both end as the model says, and then nothing is left to do.
    #[test]
    fn the_merged_document_equals_the_model(
        edits in prop::collection::vec((any_edit(), any_edit()), 0..7),
        added in (0..3i64, 0..3i64),
        shuffle in any::<bool>(),
    ) {
        let rules = Plain::new(Policy::Local);
        let (mut shadow, mut row, mut record) = (Vec::new(), Vec::new(), Vec::new());
        let mut model: Vec<(i64, i64)> = Vec::new();
        for (number, (on_row, on_record)) in edits.iter().enumerate() {
            // lines that no edit makes equal to another
            let value = (1000 * (number as i64 + 1), 1000 * (number as i64 + 1));
            let step = |edit: &Edit| match *edit {
                Edit::SetA(a) => Edit::SetA(value.0 + a),
                Edit::SetB(b) => Edit::SetB(value.1 + b),
                other => other,
            };
            let (id, key) = (format!("i{number}"), format!("k{number}"));
            shadow.push(line(Some(&id), Some(&key), value.0, value.1));
            row.extend(edited(value, step(on_row)).map(|(a, b)| line(None, Some(&key), a, b)));
            record.extend(edited(value, step(on_record)).map(|(a, b)| line(Some(&id), None, a, b)));
            model.extend(wanted(value, step(on_row), step(on_record)));
        }
        for number in 0..added.0 {
            row.push(line(None, Some(&format!("r{number}")), -1 - number, 0));
            model.push((-1 - number, 0));
        }
        for number in 0..added.1 {
            record.push(line(Some(&format!("c{number}")), None, -10 - number, 0));
            model.push((-10 - number, 0));
        }
        if shuffle {
            row.reverse();
            let half = record.len() / 2;
            record.rotate_left(half);
        }
        let merged = merge_lines(&row, &record, &shadow, &rules);
        let (row, record) = played(&row, &record, &merged, &rules);
        let model: Vec<Line> = model.iter().map(|(a, b)| line(None, None, *a, *b)).collect();
        prop_assert_eq!(values(&row), values(&model));
        prop_assert_eq!(values(&record), values(&model));
    }

    /// A line is in at most one triple, and every line is in one.
    #[test]
    fn every_line_is_tied_once(
        row in prop::collection::vec((0..3i64, 0..2i64), 0..6),
        record in prop::collection::vec((0..3i64, 0..2i64), 0..6),
        shadow in prop::collection::vec((0..3i64, 0..2i64, any::<bool>()), 0..6),
        first_meeting in any::<bool>(),
    ) {
        let rules = Plain::new(Policy::Local);
        let name = |prefix: &str, number: usize| format!("{prefix}{number}");
        let row: Vec<Line> =
            row.iter().enumerate().map(|(n, (a, b))| line(None, Some(&name("k", n)), *a, *b)).collect();
        let record: Vec<Line> =
            record.iter().enumerate().map(|(n, (a, b))| line(Some(&name("i", n)), None, *a, *b)).collect();
        let shadow: Vec<Line> = shadow
            .iter()
            .enumerate()
            .map(|(n, (a, b, known))| {
                line(known.then(|| name("i", n)).as_deref(), Some(&name("k", n)), *a, *b)
            })
            .collect();
        let triples = align(&row, &record, &shadow, rules.recognition(), first_meeting);
        let count = |lines: Vec<&Line>| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for line in lines {
                *counts.entry(format!("{:?}{:?}", line.id, line.key)).or_default() += 1;
            }
            counts
        };
        for (side, seen) in [
            (&row, triples.iter().filter_map(|triple| triple.row).collect::<Vec<_>>()),
            (&record, triples.iter().filter_map(|triple| triple.record).collect()),
            (&shadow, triples.iter().filter_map(|triple| triple.shadow).collect()),
        ] {
            prop_assert_eq!(count(side.iter().collect()), count(seen));
        }
    }
}
