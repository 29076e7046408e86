//! Rows and columns as they lie in a message: checked once when the message is decoded, read when asked for.

use super::bytes::{Cursor, PgoutputError};

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TupleValue<'a> {
    Null,
    /// A large value that the update did not change and that is therefore not sent.
    UnchangedToast,
    /// In the form that `select … ::text` shows.
    Text(&'a [u8]),
    Binary(&'a [u8]),
}

/// The values of a row, in the order of the columns that are published.
#[derive(Clone, Copy, PartialEq)]
pub struct Tuple<'a> {
    count: u16,
    values: &'a [u8],
}

/// Shows the number of values and never the values: they are the user's.
impl std::fmt::Debug for Tuple<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tuple").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<'a> Tuple<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Tuple<'a>, PgoutputError> {
        let count = cursor.u16()?;
        let before = *cursor;
        for _ in 0..count {
            read_value(cursor)?;
        }
        Ok(Tuple { count, values: cursor.since(&before) })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are none: a table without columns.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values in order.
    pub fn values(&self) -> Values<'a> {
        Values { left: self.count, cursor: Cursor::new(self.values) }
    }

    /// The value at a place, counted from 0.
    pub fn get(&self, place: usize) -> Option<TupleValue<'a>> {
        self.values().nth(place)
    }
}

fn read_value<'a>(cursor: &mut Cursor<'a>) -> Result<TupleValue<'a>, PgoutputError> {
    Ok(match cursor.u8()? {
        b'n' => TupleValue::Null,
        b'u' => TupleValue::UnchangedToast,
        b't' => {
            let length = cursor.u32()?;
            TupleValue::Text(cursor.take(length)?)
        }
        b'b' => {
            let length = cursor.u32()?;
            TupleValue::Binary(cursor.take(length)?)
        }
        _ => return Err(cursor.wrong_before("a value is n, u, t or b")),
    })
}

/// Goes through the values of a [`Tuple`].
#[derive(Debug, Clone)]
pub struct Values<'a> {
    left: u16,
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Values<'a> {
    type Item = TupleValue<'a>;

    fn next(&mut self) -> Option<TupleValue<'a>> {
        self.left = self.left.checked_sub(1)?;
        // They were all read once when the message was decoded, so this cannot fail.
        read_value(&mut self.cursor).ok()
    }
}

/// One column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Whether it belongs to the replica identity.
    pub in_key: bool,
    pub name: &'a str,
    pub type_id: u32,
    /// Such as the length of a `varchar`; -1 when there is none.
    pub type_modifier: i32,
}

/// The columns of a table that are published, in order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Columns<'a> {
    count: u16,
    bytes: &'a [u8],
}

impl<'a> Columns<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Columns<'a>, PgoutputError> {
        let count = cursor.u16()?;
        let before = *cursor;
        for _ in 0..count {
            read_column(cursor)?;
        }
        Ok(Columns { count, bytes: cursor.since(&before) })
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether the table has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The columns in order.
    pub fn iter(&self) -> impl Iterator<Item = Column<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.bytes);
        (0..self.count).map_while(move |_| read_column(&mut cursor).ok())
    }
}

fn read_column<'a>(cursor: &mut Cursor<'a>) -> Result<Column<'a>, PgoutputError> {
    Ok(Column {
        in_key: cursor.u8()? & 1 != 0,
        name: cursor.text()?,
        type_id: cursor.u32()?,
        type_modifier: cursor.i32()?,
    })
}

/// The tables of a truncate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationIds<'a> {
    bytes: &'a [u8],
}

impl<'a> RelationIds<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>, count: u32) -> Result<RelationIds<'a>, PgoutputError> {
        Ok(RelationIds { bytes: cursor.take(count.saturating_mul(4))? })
    }

    /// Their ids, as the relation messages name them.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.bytes.as_chunks::<4>().0.iter().map(|id| u32::from_be_bytes(*id))
    }
}
