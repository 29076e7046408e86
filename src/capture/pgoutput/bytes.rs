//! Reading numbers and texts from bytes that may be anything.

use crate::model::lsn::Lsn;

/// Bytes that are not a message of `pgoutput`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {message} message of the replication stream is malformed at byte {offset}: {problem}; the server may speak a \
     newer protocol than was asked for, or something between the two changes the bytes"
)]
pub struct PgoutputError {
    /// The kind of message, in words.
    pub message: &'static str,
    /// Where in the message, in bytes from its beginning.
    pub offset: usize,
    /// What is wrong there. Never holds bytes of the message, which may be a user's.
    pub problem: &'static str,
}

/// A place in a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    whole: &'a [u8],
    offset: usize,
    pub(super) name: &'static str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(whole: &'a [u8]) -> Cursor<'a> {
        Cursor { whole, offset: 0, name: "unnamed" }
    }

    pub(super) fn wrong_at(&self, offset: usize, problem: &'static str) -> PgoutputError {
        PgoutputError { message: self.name, offset, problem }
    }

    /// Something is wrong with the byte that was just read.
    pub(super) fn wrong_before(&self, problem: &'static str) -> PgoutputError {
        self.wrong_at(self.offset.saturating_sub(1), problem)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.whole.get(self.offset..).unwrap_or_default()
    }

    /// The bytes between an earlier place and this one.
    pub(super) fn since(&self, earlier: &Cursor<'a>) -> &'a [u8] {
        self.whole.get(earlier.offset..self.offset).unwrap_or_default()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PgoutputError> {
        match self.rest().first_chunk::<N>() {
            Some(bytes) => {
                self.offset += N;
                Ok(*bytes)
            }
            None => Err(self.wrong_at(self.offset, "it ends here, too early")),
        }
    }

    pub(super) fn u8(&mut self) -> Result<u8, PgoutputError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, PgoutputError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, PgoutputError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, PgoutputError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, PgoutputError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn lsn(&mut self) -> Result<Lsn, PgoutputError> {
        self.array().map(u64::from_be_bytes).map(Lsn)
    }

    pub(super) fn take(&mut self, length: u32) -> Result<&'a [u8], PgoutputError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match self.rest().get(..length) {
            Some(bytes) => {
                self.offset += length;
                Ok(bytes)
            }
            None => Err(self.wrong_at(self.offset, "a length reaches beyond the end")),
        }
    }

    /// A text that a zero byte ends.
    pub(super) fn text(&mut self) -> Result<&'a str, PgoutputError> {
        let rest = self.rest();
        let (text, _) = rest
            .iter()
            .position(|byte| *byte == 0)
            .and_then(|end| rest.split_at_checked(end))
            .ok_or_else(|| self.wrong_at(self.offset, "a text has no end"))?;
        let utf8 =
            std::str::from_utf8(text).map_err(|_| self.wrong_at(self.offset, "a text is not UTF-8"))?;
        self.offset += text.len() + 1;
        Ok(utf8)
    }

    pub(super) fn end(&self) -> Result<(), PgoutputError> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.wrong_at(self.offset, "it should end here")) }
    }
}
