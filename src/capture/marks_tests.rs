//! Marks against a model: random transactions, tags, moves and truncates, drained at random moments.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::capture::pgoutput::Decoder;

const TABLE: u32 = 77;
const OTHER: u32 = 78;
/// Its rows are lines of the documents of binding 1; `id` is the column that names the header.
const LINES: u32 = 79;
const BINDINGS: [i32; 2] = [1, 2];

/// What may happen inside a transaction.
#[derive(Debug, Clone)]
enum Step {
    Insert(u8),
    Update(u8),
    Delete(u8),
    Move(u8, u8),
    /// A change of a table that nobody watches.
    Elsewhere(u8),
    Line(u8),
    LineGone(u8),
    LineMoves(u8, u8),
    Empty,
    Truncate,
    Tag(usize, Vec<u8>),
    /// A tag of a later version, or somebody else's message.
    Noise,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..6_u8;
    prop_oneof![
        key.clone().prop_map(Step::Insert),
        key.clone().prop_map(Step::Update),
        key.clone().prop_map(Step::Delete),
        (key.clone(), key.clone()).prop_map(|(old, new)| Step::Move(old, new)),
        key.clone().prop_map(Step::Elsewhere),
        key.clone().prop_map(Step::Line),
        key.clone().prop_map(Step::LineGone),
        (key.clone(), key.clone()).prop_map(|(old, new)| Step::LineMoves(old, new)),
        Just(Step::Empty),
        Just(Step::Truncate),
        (0..2_usize, prop::collection::vec(key, 0..4)).prop_map(|(which, keys)| Step::Tag(which, keys)),
        Just(Step::Noise),
        Just(Step::Drain),
    ]
}

fn tuple(key: u8) -> Vec<u8> {
    let text = key.to_string();
    let mut bytes = vec![0, 2, b'n', b't'];
    bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

fn change(kind: u8, table: u32, parts: &[(u8, u8)]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(table.to_be_bytes());
    for (part, key) in parts {
        bytes.push(*part);
        bytes.extend(tuple(*key));
    }
    bytes
}

fn relation(oid: u32, name: &str) -> Vec<u8> {
    let mut bytes = vec![b'R'];
    bytes.extend(oid.to_be_bytes());
    bytes.extend(format!("sales\0{name}\0d").as_bytes());
    bytes.extend([0, 2]);
    for column in ["name", "id"] {
        bytes.push(u8::from(column == "id"));
        bytes.extend(format!("{column}\0").as_bytes());
        bytes.extend([0; 8]);
    }
    bytes
}

fn message(prefix: &str, content: &str) -> Vec<u8> {
    let mut bytes = vec![b'M', 1];
    bytes.extend([0; 8]);
    bytes.extend(format!("{prefix}\0").as_bytes());
    bytes.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
    bytes.extend(content.as_bytes());
    bytes
}

fn begin(lsn: u64, xid: u32) -> Vec<u8> {
    let mut bytes = vec![b'B'];
    bytes.extend(lsn.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(xid.to_be_bytes());
    bytes
}

fn commit(lsn: u64) -> Vec<u8> {
    let mut bytes = vec![b'C', 0];
    bytes.extend(lsn.to_be_bytes());
    bytes.extend((lsn + 1).to_be_bytes());
    bytes.extend([0; 8]);
    bytes
}

fn bytes_of(step: &Step) -> Option<Vec<u8>> {
    Some(match step {
        Step::Insert(key) => change(b'I', TABLE, &[(b'N', *key)]),
        Step::Update(key) => change(b'U', TABLE, &[(b'N', *key)]),
        Step::Delete(key) => change(b'D', TABLE, &[(b'K', *key)]),
        Step::Move(old, new) => change(b'U', TABLE, &[(b'K', *old), (b'N', *new)]),
        Step::Elsewhere(key) => change(b'I', OTHER, &[(b'N', *key)]),
        Step::Line(key) => change(b'I', LINES, &[(b'N', *key)]),
        Step::LineGone(key) => change(b'D', LINES, &[(b'K', *key)]),
        Step::LineMoves(old, new) => change(b'U', LINES, &[(b'K', *old), (b'N', *new)]),
        Step::Empty => {
            let mut bytes = vec![b'T', 0, 0, 0, 1, 0];
            bytes.extend(LINES.to_be_bytes());
            bytes
        }
        Step::Truncate => {
            let mut bytes = vec![b'T', 0, 0, 0, 2, 0];
            bytes.extend(OTHER.to_be_bytes());
            bytes.extend(TABLE.to_be_bytes());
            bytes
        }
        Step::Tag(which, keys) => {
            let keys: Vec<String> = keys.iter().map(u8::to_string).collect();
            message("rowtwin", &serde_json::json!({"binding": BINDINGS[*which], "keys": keys}).to_string())
        }
        Step::Noise => message("rowtwin", "{\"binding\": \"x\"}"),
        Step::Drain => return None,
    })
}

fn collector() -> Collector {
    let key = || vec!["id".to_owned()];
    let table = WatchedTable { key: key(), lines: false, bindings: BINDINGS.to_vec() };
    let lines = WatchedTable { key: key(), lines: true, bindings: vec![1] };
    let named = |name: &str| ("sales".to_owned(), name.to_owned());
    let watched = Watched::from([(named("customer"), vec![table]), (named("line"), vec![lines])]);
    let mut collector = Collector::new(watched, Lsn(0));
    take(&mut collector, &relation(TABLE, "customer"));
    take(&mut collector, &relation(LINES, "line"));
    take(&mut collector, &relation(OTHER, "other"));
    collector
}

fn take(collector: &mut Collector, bytes: &[u8]) {
    collector.take(&Decoder::new().decode(bytes).unwrap()).unwrap();
}

/// What the outbox is to be told, kept the slow and obvious way.
#[derive(Default)]
struct Model {
    open: Vec<(i32, String)>,
    ready: BTreeMap<(i32, String), u64>,
    moves: Vec<(i32, String, String)>,
    truncated: bool,
    emptied: bool,
    confirm: u64,
}

impl Model {
    fn line(&mut self, key: u8) {
        self.open.push((1, key.to_string()));
    }

    fn touch(&mut self, key: u8) {
        self.open.extend(BINDINGS.map(|binding| (binding, key.to_string())));
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Insert(key) | Step::Update(key) | Step::Delete(key) => self.touch(*key),
            Step::Move(old, new) => {
                if old != new {
                    self.moves.extend(BINDINGS.map(|binding| (binding, old.to_string(), new.to_string())));
                    self.touch(*old);
                }
                self.touch(*new);
            }
            Step::Tag(which, keys) => self.open.retain(|(binding, key)| {
                *binding != BINDINGS[*which] || !keys.iter().any(|tagged| tagged.to_string() == *key)
            }),
            Step::Line(key) | Step::LineGone(key) => self.line(*key),
            Step::LineMoves(old, new) => {
                self.line(*old);
                self.line(*new);
            }
            Step::Empty => self.emptied = true,
            Step::Truncate => self.truncated = true,
            Step::Elsewhere(_) | Step::Noise | Step::Drain => {}
        }
    }

    fn drained(&mut self, batch: &Batch) {
        let marks: BTreeMap<(i32, String), u64> =
            batch.marks.iter().map(|mark| ((mark.binding, mark.key.clone()), mark.position)).collect();
        assert_eq!(marks.len(), batch.marks.len(), "a key twice in one batch");
        assert_eq!(marks, std::mem::take(&mut self.ready));
        assert_eq!(batch.moves, std::mem::take(&mut self.moves));
        assert_eq!(!batch.emptied.is_empty(), std::mem::take(&mut self.emptied));
        let truncated: BTreeSet<i32> =
            if std::mem::take(&mut self.truncated) { BINDINGS.into() } else { BTreeSet::new() };
        assert_eq!(batch.truncated, truncated);
        assert_eq!(batch.confirm, Lsn(self.confirm), "what is confirmed ends with the last commit");
        assert!(batch.marks.is_empty() || !batch.xids.is_empty(), "marks of no transaction");
    }
}

proptest! {
    #[test]
    fn marks_are_what_changed_less_what_was_tagged(
        transactions in prop::collection::vec(prop::collection::vec(step(), 0..12), 1..8),
    ) {
        let (mut collector, mut model) = (collector(), Model::default());
        for (place, steps) in transactions.iter().enumerate() {
            let lsn = 100 * (u64::try_from(place).unwrap() + 1);
            take(&mut collector, &begin(lsn, u32::try_from(place).unwrap()));
            for step in steps {
                match bytes_of(step) {
                    Some(bytes) => take(&mut collector, &bytes),
                    None => model.drained(&collector.drain()),
                }
                model.take(step);
                // the server's own position must not be confirmed while anything is open
                collector.advance(Lsn(1_000_000));
                prop_assert!(collector.confirmable() <= Lsn(model.confirm));
            }
            take(&mut collector, &commit(lsn));
            model.ready.extend(std::mem::take(&mut model.open).into_iter().map(|mark| (mark, lsn)));
            model.confirm = lsn + 1;
        }
        model.drained(&collector.drain());
        prop_assert!(collector.is_idle());
        collector.advance(Lsn(1_000_000));
        prop_assert_eq!(collector.confirmable(), Lsn(1_000_000));
    }

    #[test]
    fn coalescing_keeps_the_last_change(keys in prop::collection::vec(0..3_u8, 1..60)) {
        let mut collector = collector();
        let mut last = BTreeMap::new();
        for (place, key) in keys.iter().enumerate() {
            let lsn = 100 * (u64::try_from(place).unwrap() + 1);
            take(&mut collector, &begin(lsn, 1));
            take(&mut collector, &bytes_of(&Step::Update(*key)).unwrap());
            take(&mut collector, &commit(lsn));
            last.insert(key.to_string(), lsn);
        }
        let batch = collector.drain();
        prop_assert_eq!(batch.marks.len(), last.len() * BINDINGS.len());
        prop_assert!(batch.marks.iter().all(|mark| last[&mark.key] == mark.position));
        prop_assert_eq!(batch.changes[&1], i64::try_from(keys.len()).unwrap());
    }
}

#[test]
fn a_very_large_transaction_gives_its_marks_up_early_and_confirms_nothing() {
    let mut collector = collector();
    take(&mut collector, &begin(100, 1));
    let mut held_most = 0;
    for number in 0..60_000_u32 {
        let text = number.to_string();
        let mut bytes = vec![b'I'];
        bytes.extend(TABLE.to_be_bytes());
        bytes.extend([b'N', 0, 2, b'n', b't']);
        bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text.as_bytes());
        take(&mut collector, &bytes);
        held_most = held_most.max(collector.open.as_ref().map_or(0, |open| open.keys.len()));
        if collector.waiting() >= 5_000 {
            let batch = collector.drain();
            assert_eq!(batch.confirm, Lsn(0), "confirmed in the middle of a transaction");
        }
    }
    assert!(held_most <= KEPT_BACK, "{held_most}");
    take(&mut collector, &commit(100));
    assert_eq!(collector.drain().confirm, Lsn(101));
}

#[test]
fn a_table_without_its_key_is_refused_with_the_cure() {
    let mut collector = collector();
    let mut bytes = vec![b'R'];
    bytes.extend(TABLE.to_be_bytes());
    bytes.extend(b"sales\0customer\0d\0\x01\x00name\0\0\0\0\0\0\0\0\0");
    let error = collector.take(&Decoder::new().decode(&bytes).unwrap()).unwrap_err();
    assert!(error.to_string().contains("rowtwin init"), "{error}");
    let unknown = change(b'I', 5, &[(b'N', 1)]);
    let error = collector.take(&Decoder::new().decode(&unknown).unwrap()).unwrap_err();
    assert_eq!(error, MarkError::UnknownRelation(5));
}

/// What one transaction says of the only key that it marks.
fn said(steps: &[Step]) -> Vec<(String, Option<bool>)> {
    let mut collector = collector();
    take(&mut collector, &begin(1, 7));
    for step in steps {
        take(&mut collector, &bytes_of(step).unwrap());
    }
    take(&mut collector, &commit(1));
    let marks = collector.drain().marks.into_iter().filter(|mark| mark.binding == 1);
    marks.map(|mark| (mark.key, mark.gone)).collect()
}

#[test]
fn lines_mark_their_document_and_say_nothing_of_its_row() {
    let one = |gone| vec![("1".to_owned(), gone)];
    assert_eq!(said(&[Step::Line(1), Step::LineGone(1), Step::Line(1)]), one(None));
    // the cascade of a deleted document, in either order
    assert_eq!(said(&[Step::Delete(1), Step::LineGone(1)]), one(Some(true)));
    assert_eq!(said(&[Step::LineGone(1), Step::Delete(1)]), one(Some(true)));
    assert_eq!(said(&[Step::Insert(1), Step::Line(1)]), one(Some(false)));
    let both = vec![("1".to_owned(), None), ("2".to_owned(), None)];
    assert_eq!(said(&[Step::LineMoves(1, 2)]), both);
    let tag = Step::Tag(0, vec![1]);
    assert_eq!(said(&[Step::Line(1), Step::Line(1), tag]), vec![]);
}

#[test]
fn a_later_change_of_lines_does_not_bring_a_deleted_row_back() {
    let mut collector = collector();
    for (lsn, step) in [(1, Step::Delete(1)), (5, Step::LineGone(1))] {
        take(&mut collector, &begin(lsn, 7));
        take(&mut collector, &bytes_of(&step).unwrap());
        take(&mut collector, &commit(lsn));
    }
    let mark = collector.drain().marks.into_iter().find(|mark| mark.binding == 1).unwrap();
    assert_eq!(mark.gone, Some(true));
}
