//! The decoder of `pgoutput`, the form in which Postgres describes changes; protocol versions 1 and 2.
//!
//! Pure, and borrows everything from the bytes it is given: decoding allocates nothing. Whatever the bytes are, the
//! outcome is a message or an error that names the place; it never panics.

mod bytes;
mod tuple;

pub use bytes::PgoutputError;
pub use tuple::{Column, Columns, RelationIds, Tuple, TupleValue, Values};

use crate::model::lsn::Lsn;
use bytes::Cursor;

/// From Postgres's epoch, 2000-01-01, to the usual one, in microseconds.
const EPOCH_SHIFT_US: i64 = 946_684_800_000_000;

/// Turns microseconds since 2000-01-01 UTC into microseconds since 1970-01-01 UTC.
pub(super) fn to_unix_us(postgres_us: i64) -> i64 {
    postgres_us.saturating_add(EPOCH_SHIFT_US)
}

/// The way back.
pub(super) fn from_unix_us(unix_us: i64) -> i64 {
    unix_us.saturating_sub(EPOCH_SHIFT_US)
}

/// What a table sends of the old row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key.
    Default,
    /// Nothing; updates and deletes cannot be told apart by row.
    Nothing,
    /// The whole row.
    Full,
    /// The columns of a chosen index.
    Index,
}

/// The old side of an update or delete.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OldTuple<'a> {
    /// The columns of the replica identity; the others are null.
    Key(Tuple<'a>),
    /// The whole row.
    Full(Tuple<'a>),
}

impl<'a> OldTuple<'a> {
    /// The values, whichever kind they are.
    pub fn tuple(&self) -> Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => *tuple,
        }
    }
}

/// What a table looks like from here on; sent before its first change and after each change of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relation<'a> {
    pub id: u32,
    /// Empty for `pg_catalog`.
    pub schema: &'a str,
    pub name: &'a str,
    pub identity: ReplicaIdentity,
    pub columns: Columns<'a>,
}

/// One message of the stream. Times are microseconds since 1970-01-01 UTC.
///
/// `xid` is the transaction of a change that is sent before its transaction has ended (protocol 2), and `None`
/// otherwise: then the transaction is that of the last `Begin`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Message<'a> {
    Begin {
        /// Where the commit record is; the messages of the transaction all lie before.
        final_lsn: Lsn,
        commit_time_us: i64,
        xid: u32,
    },
    Commit {
        commit_lsn: Lsn,
        /// The first byte after the transaction: what is confirmed once it is dealt with.
        end_lsn: Lsn,
        commit_time_us: i64,
    },
    Origin {
        commit_lsn: Lsn,
        name: &'a str,
    },
    Relation {
        xid: Option<u32>,
        relation: Relation<'a>,
    },
    Type {
        xid: Option<u32>,
        id: u32,
        schema: &'a str,
        name: &'a str,
    },
    Insert {
        xid: Option<u32>,
        relation: u32,
        new: Tuple<'a>,
    },
    Update {
        xid: Option<u32>,
        relation: u32,
        /// Sent only when the key changed, or always with the identity `Full`.
        old: Option<OldTuple<'a>>,
        new: Tuple<'a>,
    },
    Delete {
        xid: Option<u32>,
        relation: u32,
        old: OldTuple<'a>,
    },
    Truncate {
        xid: Option<u32>,
        relations: RelationIds<'a>,
        cascade: bool,
        restart_identity: bool,
    },
    /// What `pg_logical_emit_message` wrote.
    Logical {
        xid: Option<u32>,
        transactional: bool,
        lsn: Lsn,
        prefix: &'a str,
        content: &'a [u8],
    },
    StreamStart {
        xid: u32,
        /// Whether this is the transaction's first part.
        first: bool,
    },
    StreamStop,
    StreamCommit {
        xid: u32,
        commit_lsn: Lsn,
        end_lsn: Lsn,
        commit_time_us: i64,
    },
    /// `subxid` was rolled back: the whole transaction if it equals `xid`, else a savepoint in it.
    StreamAbort {
        xid: u32,
        subxid: u32,
    },
}

/// Decodes message after message; it has to remember whether it is inside a part of an unfinished transaction.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    in_part: bool,
}

impl Decoder {
    /// A decoder for the beginning of a stream.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Decodes one message, which is the whole of `frame`.
    ///
    /// # Errors
    /// [`PgoutputError`] names the message, the place and what is wrong. The decoder stays usable.
    pub fn decode<'a>(&mut self, frame: &'a [u8]) -> Result<Message<'a>, PgoutputError> {
        let mut cursor = Cursor::new(frame);
        let kind = cursor.u8()?;
        cursor.name = match kind {
            b'B' => "begin",
            b'C' => "commit",
            b'O' => "origin",
            b'R' => "relation",
            b'Y' => "type",
            b'I' => "insert",
            b'U' => "update",
            b'D' => "delete",
            b'T' => "truncate",
            b'M' => "logical message",
            b'S' => "stream start",
            b'E' => "stream stop",
            b'c' => "stream commit",
            b'A' => "stream abort",
            _ => return Err(cursor.wrong_at(0, "no message begins with this byte")),
        };
        let message = self.body(kind, &mut cursor)?;
        cursor.end()?;
        match message {
            Message::StreamStart { .. } => self.in_part = true,
            Message::StreamStop => self.in_part = false,
            _ => {}
        }
        Ok(message)
    }

    fn body<'a>(&self, kind: u8, cursor: &mut Cursor<'a>) -> Result<Message<'a>, PgoutputError> {
        Ok(match kind {
            b'B' => Message::Begin {
                final_lsn: cursor.lsn()?,
                commit_time_us: to_unix_us(cursor.i64()?),
                xid: cursor.u32()?,
            },
            b'C' => {
                // No flags are in use.
                cursor.u8()?;
                Message::Commit {
                    commit_lsn: cursor.lsn()?,
                    end_lsn: cursor.lsn()?,
                    commit_time_us: to_unix_us(cursor.i64()?),
                }
            }
            b'O' => Message::Origin { commit_lsn: cursor.lsn()?, name: cursor.text()? },
            b'R' => Message::Relation { xid: self.xid(cursor)?, relation: relation(cursor)? },
            b'Y' => Message::Type {
                xid: self.xid(cursor)?,
                id: cursor.u32()?,
                schema: cursor.text()?,
                name: cursor.text()?,
            },
            b'I' => {
                let (xid, relation) = (self.xid(cursor)?, cursor.u32()?);
                match cursor.u8()? {
                    b'N' => Message::Insert { xid, relation, new: Tuple::read(cursor)? },
                    _ => return Err(cursor.wrong_before("an insert has a new row (N) here")),
                }
            }
            b'U' => self.update(cursor)?,
            b'D' => {
                let (xid, relation) = (self.xid(cursor)?, cursor.u32()?);
                let old = match cursor.u8()? {
                    b'K' => OldTuple::Key(Tuple::read(cursor)?),
                    b'O' => OldTuple::Full(Tuple::read(cursor)?),
                    _ => return Err(cursor.wrong_before("a delete has a key (K) or an old row (O) here")),
                };
                Message::Delete { xid, relation, old }
            }
            b'T' => {
                let (xid, count, flags) = (self.xid(cursor)?, cursor.u32()?, cursor.u8()?);
                let relations = RelationIds::read(cursor, count)?;
                Message::Truncate {
                    xid,
                    relations,
                    cascade: flags & 1 != 0,
                    restart_identity: flags & 2 != 0,
                }
            }
            b'M' => {
                let (xid, flags, lsn) = (self.xid(cursor)?, cursor.u8()?, cursor.lsn()?);
                let prefix = cursor.text()?;
                let length = cursor.u32()?;
                let content = cursor.take(length)?;
                Message::Logical { xid, transactional: flags & 1 != 0, lsn, prefix, content }
            }
            b'S' => Message::StreamStart { xid: cursor.u32()?, first: cursor.u8()? == 1 },
            b'E' => Message::StreamStop,
            b'c' => {
                let xid = cursor.u32()?;
                cursor.u8()?;
                Message::StreamCommit {
                    xid,
                    commit_lsn: cursor.lsn()?,
                    end_lsn: cursor.lsn()?,
                    commit_time_us: to_unix_us(cursor.i64()?),
                }
            }
            _ => Message::StreamAbort { xid: cursor.u32()?, subxid: cursor.u32()? },
        })
    }

    fn update<'a>(&self, cursor: &mut Cursor<'a>) -> Result<Message<'a>, PgoutputError> {
        let (xid, relation) = (self.xid(cursor)?, cursor.u32()?);
        let mut part = cursor.u8()?;
        let old = match part {
            b'K' => Some(OldTuple::Key(Tuple::read(cursor)?)),
            b'O' => Some(OldTuple::Full(Tuple::read(cursor)?)),
            _ => None,
        };
        if old.is_some() {
            part = cursor.u8()?;
        }
        if part != b'N' {
            return Err(
                cursor.wrong_before("an update has a key (K), an old row (O) or the new row (N) here")
            );
        }
        Ok(Message::Update { xid, relation, old, new: Tuple::read(cursor)? })
    }

    fn xid(&self, cursor: &mut Cursor<'_>) -> Result<Option<u32>, PgoutputError> {
        if self.in_part { cursor.u32().map(Some) } else { Ok(None) }
    }
}

fn relation<'a>(cursor: &mut Cursor<'a>) -> Result<Relation<'a>, PgoutputError> {
    let (id, schema, name) = (cursor.u32()?, cursor.text()?, cursor.text()?);
    let identity = match cursor.u8()? {
        b'd' => ReplicaIdentity::Default,
        b'n' => ReplicaIdentity::Nothing,
        b'f' => ReplicaIdentity::Full,
        b'i' => ReplicaIdentity::Index,
        _ => return Err(cursor.wrong_before("a replica identity is d, n, f or i")),
    };
    Ok(Relation { id, schema, name, identity, columns: Columns::read(cursor)? })
}

#[cfg(test)]
mod tests;
