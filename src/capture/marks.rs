//! Marks: from decoded changes to the keys that must be looked at. Pure.
//!
//! Changes of a transaction are gathered until its end, because a tag at its end may take marks back: what we wrote
//! ourselves must not go back to where it came from (R6). A transaction with very many keys gives its marks up
//! early instead of growing; a mark too many does no harm. This is sound with protocol 1 alone, where a transaction
//! arrives after its commit: a mark that is looked at before the commit would be gone when the change appears.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::capture::pgoutput::{Message, Relation, Tuple, TupleValue};
use crate::model::key::encode_key;
use crate::model::lsn::Lsn;
use crate::store::outbox::Mark;

/// Marks of one transaction kept back for its tag; beyond that they are given up early.
const KEPT_BACK: usize = 50_000;

/// A table that capture watches, for rows of its own or for the documents that its rows are lines of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedTable {
    /// The primary key's columns in order; of lines, the columns that hold their header's.
    pub key: Vec<String>,
    /// Its rows are lines: a change of one says that the document differs, and nothing about the header's row.
    pub lines: bool,
    /// The bindings that push this table.
    pub bindings: Vec<i32>,
}

/// The watched tables by (schema, name); one table may hold rows for one binding and lines for another.
pub type Watched = HashMap<(String, String), Vec<WatchedTable>>;

/// What cannot be taken in.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MarkError {
    /// A change names a table that was not described before.
    #[error("the stream changed a table (oid {0}) that it did not describe")]
    UnknownRelation(u32),
    /// The stream does not carry a column of the primary key.
    #[error(
        "the changes of {table} do not carry the key column {column}; run `rowtwin init` to renew the publication"
    )]
    KeyMissing { table: String, column: String },
}

/// What is ready to be written to the outbox.
#[derive(Debug, Default)]
pub struct Batch {
    pub marks: Vec<Mark>,
    /// (binding, old key, new key), in order.
    pub moves: Vec<(i32, String, String)>,
    /// Bindings whose table was truncated.
    pub truncated: BTreeSet<i32>,
    /// Bindings whose documents lost all lines of a collection to a truncate.
    pub emptied: BTreeSet<i32>,
    /// Row changes per binding that the marks stand for.
    pub changes: BTreeMap<i32, i64>,
    /// Transactions (32-bit ids) that the marks come from: they must be visible before the marks are.
    pub xids: BTreeSet<u32>,
    /// What may be confirmed to the slot once the batch has committed.
    pub confirm: Lsn,
}

impl Batch {
    /// Whether there is anything to write.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.moves.is_empty() && self.truncated.is_empty() && self.emptied.is_empty()
    }
}

/// The tag that ends a transaction of ours.
#[derive(Deserialize)]
struct Tag {
    binding: i32,
    keys: Vec<String>,
}

struct Described {
    table: String,
    lines: bool,
    bindings: Vec<i32>,
    /// Places of the key columns in the stream's tuples.
    key: Vec<usize>,
}

#[derive(Default)]
struct Open {
    xid: u32,
    committed_at: Option<SystemTime>,
    position: Lsn,
    actor: Option<String>,
    keys: BTreeMap<(i32, String), Noted>,
    changes: BTreeMap<i32, i64>,
}

/// What a transaction says of a key.
#[derive(Default)]
struct Noted {
    /// Whether the row is gone after its last change; `None`: only lines of it changed.
    gone: Option<bool>,
    /// Row changes, for the books.
    changes: i64,
}

/// Gathers marks from messages.
pub struct Collector {
    watched: Watched,
    relations: HashMap<u32, Vec<Described>>,
    open: Option<Open>,
    ready: BTreeMap<(i32, String), Mark>,
    moves: Vec<(i32, String, String)>,
    truncated: BTreeSet<i32>,
    emptied: BTreeSet<i32>,
    changes: BTreeMap<i32, i64>,
    xids: BTreeSet<u32>,
    confirm: Lsn,
    drained: Lsn,
}

impl Collector {
    /// An empty collector; `from` is where the stream starts.
    pub fn new(watched: Watched, from: Lsn) -> Self {
        Self {
            watched,
            relations: HashMap::new(),
            open: None,
            ready: BTreeMap::new(),
            moves: Vec::new(),
            truncated: BTreeSet::new(),
            emptied: BTreeSet::new(),
            changes: BTreeMap::new(),
            xids: BTreeSet::new(),
            confirm: from,
            drained: from,
        }
    }

    /// Marks that are ready to be written.
    pub fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// Whether nothing is gathered and no transaction is open: the server's position may then be confirmed as it is.
    pub fn is_idle(&self) -> bool {
        self.open.is_none() && self.ready.is_empty() && self.moves.is_empty() && !self.truncated()
    }

    /// Whether a truncate waits to be written.
    pub fn truncated(&self) -> bool {
        !self.truncated.is_empty() || !self.emptied.is_empty()
    }

    /// What may be confirmed now: everything that was drained, and nothing that is still gathered.
    pub fn confirmable(&self) -> Lsn {
        if self.is_idle() { self.confirm } else { self.drained }
    }

    /// The server has nothing for us up to `position`.
    pub fn advance(&mut self, position: Lsn) {
        if self.is_idle() {
            self.confirm = self.confirm.max(position);
        }
    }

    /// Takes one message in.
    ///
    /// # Errors
    /// [`MarkError`] when the stream does not fit the tables; nothing of the message was taken then.
    pub fn take(&mut self, message: &Message<'_>) -> Result<(), MarkError> {
        match message {
            Message::Begin { final_lsn, commit_time_us, xid } => {
                self.open = Some(Open {
                    xid: *xid,
                    committed_at: Some(from_unix_us(*commit_time_us)),
                    position: *final_lsn,
                    ..Open::default()
                });
            }
            Message::Commit { end_lsn, .. } => {
                self.release();
                self.open = None;
                self.confirm = self.confirm.max(*end_lsn);
            }
            Message::Relation { relation, .. } => self.describe(relation)?,
            Message::Insert { relation, new, .. } => self.mark(*relation, new, false)?,
            Message::Update { relation, old, new, .. } => {
                if let Some(old) = old {
                    self.moved(*relation, &old.tuple(), new)?;
                }
                self.mark(*relation, new, false)?;
            }
            Message::Delete { relation, old, .. } => self.mark(*relation, &old.tuple(), true)?,
            Message::Truncate { relations, .. } => {
                for relation in relations.iter() {
                    for described in self.relations.get(&relation).into_iter().flatten() {
                        let hit = if described.lines { &mut self.emptied } else { &mut self.truncated };
                        hit.extend(&described.bindings);
                    }
                }
            }
            Message::Logical { transactional: true, prefix, content, .. } => self.logical(prefix, content),
            _ => {}
        }
        Ok(())
    }

    /// Takes out what is ready; the open transaction stays.
    pub fn drain(&mut self) -> Batch {
        self.drained = self.confirm;
        Batch {
            marks: std::mem::take(&mut self.ready).into_values().collect(),
            moves: std::mem::take(&mut self.moves),
            truncated: std::mem::take(&mut self.truncated),
            emptied: std::mem::take(&mut self.emptied),
            changes: std::mem::take(&mut self.changes),
            xids: std::mem::take(&mut self.xids),
            confirm: self.confirm,
        }
    }

    fn describe(&mut self, relation: &Relation<'_>) -> Result<(), MarkError> {
        let name = (relation.schema.to_owned(), relation.name.to_owned());
        let table = format!("{}.{}", name.0, name.1);
        let mut described = Vec::new();
        for watched in self.watched.get(&name).into_iter().flatten() {
            let key =
                watched
                    .key
                    .iter()
                    .map(|column| {
                        relation.columns.iter().position(|present| present.name == column).ok_or_else(|| {
                            MarkError::KeyMissing { table: table.clone(), column: column.clone() }
                        })
                    })
                    .collect::<Result<Vec<_>, _>>()?;
            described.push(Described {
                table: table.clone(),
                lines: watched.lines,
                bindings: watched.bindings.clone(),
                key,
            });
        }
        self.relations.insert(relation.id, described);
        Ok(())
    }

    fn described(&self, relation: u32) -> Result<&[Described], MarkError> {
        self.relations.get(&relation).map(Vec::as_slice).ok_or(MarkError::UnknownRelation(relation))
    }

    fn mark(&mut self, relation: u32, tuple: &Tuple<'_>, gone: bool) -> Result<(), MarkError> {
        let mut marked = Vec::new();
        for described in self.described(relation)? {
            // a line without a header belongs to no document
            let Some(key) = described.key_of(tuple)? else { continue };
            let gone = (!described.lines).then_some(gone);
            marked.extend(described.bindings.iter().map(|binding| (*binding, key.clone(), gone)));
        }
        let open = self.open.get_or_insert_default();
        for (binding, key, gone) in marked {
            open.note(binding, key, gone, 1);
            *open.changes.entry(binding).or_default() += 1;
        }
        if open.keys.len() >= KEPT_BACK {
            self.release();
        }
        Ok(())
    }

    fn moved(&mut self, relation: u32, old: &Tuple<'_>, new: &Tuple<'_>) -> Result<(), MarkError> {
        let (mut left, mut moves) = (Vec::new(), Vec::new());
        for described in self.described(relation)? {
            let (old, new) = (described.key_of(old)?, described.key_of(new)?);
            if old == new {
                continue;
            }
            let Some(old) = old else { continue };
            for binding in &described.bindings {
                // a line that moves to another document leaves this one; a row's new key is a move of its link
                left.push((*binding, old.clone(), (!described.lines).then_some(true)));
                if let (false, Some(new)) = (described.lines, &new) {
                    moves.push((*binding, old.clone(), new.clone()));
                }
            }
        }
        let open = self.open.get_or_insert_default();
        for (binding, key, gone) in left {
            open.note(binding, key, gone, 0);
        }
        self.moves.extend(moves);
        Ok(())
    }

    fn logical(&mut self, prefix: &str, content: &[u8]) {
        let Some(open) = &mut self.open else { return };
        match prefix {
            "rowtwin" => {
                // a tag that cannot be read only costs a look
                if let Ok(tag) = serde_json::from_slice::<Tag>(content) {
                    for key in tag.keys {
                        if let Some(noted) = open.keys.remove(&(tag.binding, key))
                            && let Some(count) = open.changes.get_mut(&tag.binding)
                        {
                            *count -= noted.changes;
                        }
                    }
                }
            }
            "rowtwin.actor" => open.actor = Some(String::from_utf8_lossy(content).into_owned()),
            _ => {}
        }
    }

    /// Moves the open transaction's marks to the ready ones.
    fn release(&mut self) {
        let Some(open) = &mut self.open else { return };
        let changed_at = open.committed_at.unwrap_or(SystemTime::UNIX_EPOCH);
        if !open.keys.is_empty() {
            self.xids.insert(open.xid);
        }
        for ((binding, key), noted) in std::mem::take(&mut open.keys) {
            // a change of lines says nothing about a row that an earlier transaction deleted
            let earlier = self.ready.get(&(binding, key.clone())).and_then(|mark| mark.gone);
            let mark = Mark {
                binding,
                key: key.clone(),
                position: open.position.0,
                changed_at,
                actor: open.actor.clone(),
                gone: noted.gone.or(earlier),
            };
            self.ready.insert((binding, key), mark);
        }
        for (binding, count) in std::mem::take(&mut open.changes) {
            if count > 0 {
                *self.changes.entry(binding).or_default() += count;
            }
        }
    }
}

impl Described {
    /// The key that a tuple's row is known by; `None` for a line whose header column is null.
    fn key_of(&self, tuple: &Tuple<'_>) -> Result<Option<String>, MarkError> {
        let mut texts = Vec::with_capacity(self.key.len());
        for place in &self.key {
            match tuple.get(*place) {
                Some(TupleValue::Text(text)) => texts.push(String::from_utf8_lossy(text).into_owned()),
                Some(TupleValue::Null) if self.lines => return Ok(None),
                _ => {
                    return Err(MarkError::KeyMissing {
                        table: self.table.clone(),
                        column: format!("number {}", place + 1),
                    });
                }
            }
        }
        Ok(Some(encode_key(&texts)))
    }
}

impl Open {
    fn note(&mut self, binding: i32, key: String, gone: Option<bool>, changes: i64) {
        let noted = self.keys.entry((binding, key)).or_default();
        noted.gone = gone.or(noted.gone);
        noted.changes += changes;
    }
}

fn from_unix_us(us: i64) -> SystemTime {
    let magnitude = Duration::from_micros(us.unsigned_abs());
    if us >= 0 { SystemTime::UNIX_EPOCH + magnitude } else { SystemTime::UNIX_EPOCH - magnitude }
}

#[cfg(test)]
#[path = "marks_tests.rs"]
mod tests;
