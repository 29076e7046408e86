//! The replication stream: our own connection, because no ordinary client speaks this mode.
//!
//! One message at a time is taken off the socket and nothing is read ahead beyond a small buffer, so memory stays
//! flat and a reader that is slow slows the server down instead of piling up changes here.

mod connection;
mod error;
mod socket;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes};
use postgres_protocol::message::backend::{COPY_DATA_TAG, COPY_DONE_TAG, Message, NoticeResponseBody};

pub use connection::{ReplicationConnection, SystemIdentity};
pub use error::{ErrorClass, Fault, ServerError, StreamError};

use crate::capture::pgoutput::{from_unix_us, to_unix_us};
use crate::model::lsn::Lsn;
use crate::postgres::ConnectOptions;
use error::Phase;
use socket::{Socket, read_error, server_error};

/// How changes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Each transaction whole, once it has committed.
    Version1,
    /// Large transactions in parts while they still run; Postgres 14 and later.
    Version2,
}

/// What the server sent. Times are microseconds since 1970-01-01 UTC by the server's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Data {
        /// Where the change lies in the log; zero for messages that lie nowhere, such as a table's description.
        wal_start: Lsn,
        /// The same as `wal_start` in logical streams.
        wal_end: Lsn,
        clock_us: i64,
        /// One message for the decoder.
        payload: Bytes,
    },
    Keepalive {
        /// How far the server has looked: with nothing of ours pending, this much may be confirmed.
        wal_end: Lsn,
        /// The server will soon cut the connection if it hears nothing.
        reply_requested: bool,
        clock_us: i64,
    },
}

/// A running stream. Dropping it ends the connection; what was not confirmed is sent again the next time.
pub struct ReplicationStream {
    socket: Socket,
    slot: String,
    publication: String,
    /// The latest place that the server has told, which a status must not fall behind of.
    received: Lsn,
    confirmed: Lsn,
}

impl std::fmt::Debug for ReplicationStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicationStream")
            .field("slot", &self.slot)
            .field("received", &self.received)
            .field("confirmed", &self.confirmed)
            .finish_non_exhaustive()
    }
}

impl ReplicationStream {
    /// Connects in replication mode. The name is what `pg_stat_replication` shows.
    ///
    /// # Errors
    /// [`StreamError`]: [`StreamError::class`] tells whether trying again helps, [`StreamError::hint`] what does.
    pub async fn connect(
        options: &ConnectOptions,
        application_name: &str,
    ) -> Result<ReplicationConnection, StreamError> {
        ReplicationConnection::open(options, application_name).await
    }

    fn new(socket: Socket, slot: String, publication: String, from: Lsn) -> ReplicationStream {
        ReplicationStream { socket, slot, publication, received: from, confirmed: from }
    }

    /// Since version 18 a missing publication is only warned of, and its changes are silently left out; confirming
    /// past them would lose them.
    fn heed(&self, notice: &NoticeResponseBody) -> Result<(), StreamError> {
        let warning = read_error(Phase::Stream, notice.fields(), None);
        if warning.code == "55000" && warning.message.contains(&self.publication) {
            return Err(StreamError::Server(warning.left_out()));
        }
        Ok(())
    }

    /// Waits for the next frame. Cancel-safe: when dropped while it waits, no frame is lost.
    ///
    /// # Errors
    /// [`StreamError`]; the stream is of no use afterwards.
    pub async fn next(&mut self) -> Result<Frame, StreamError> {
        loop {
            let message = self.socket.receive().await?;
            match message.tag {
                COPY_DATA_TAG => {
                    let frame = read_frame(message.into_body())?;
                    let (Frame::Data { wal_end: place, .. } | Frame::Keepalive { wal_end: place, .. }) =
                        &frame;
                    self.received = self.received.max(*place);
                    return Ok(frame);
                }
                COPY_DONE_TAG => return Err(StreamError::Closed),
                _ => match message.parse()? {
                    Message::ErrorResponse(body) => {
                        return Err(server_error(Phase::Stream, &body, Some(&self.slot)));
                    }
                    Message::CommandComplete(_) | Message::ReadyForQuery(_) => {
                        return Err(StreamError::Closed);
                    }
                    Message::NoticeResponse(body) => self.heed(&body)?,
                    Message::ParameterStatus(_) => {}
                    _ => {
                        let what = "an unexpected message amid the stream".to_owned();
                        return Err(StreamError::Protocol { what });
                    }
                },
            }
        }
    }

    /// Tells the server that everything before `flushed` is dealt with for good; it will not be sent again, and its
    /// log may be removed. An earlier place than was told before is raised to that. `reply` asks for an answer.
    ///
    /// Also the sign of life that the server expects every `wal_sender_timeout`. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError`]; the stream is of no use afterwards.
    pub async fn confirm(&mut self, flushed: Lsn, reply: bool) -> Result<(), StreamError> {
        self.confirmed = self.confirmed.max(flushed);
        let received = self.received.max(self.confirmed);
        let mut status = Vec::with_capacity(34);
        status.put_u8(b'r');
        status.put_u64(received.0);
        status.put_u64(self.confirmed.0);
        status.put_u64(self.confirmed.0);
        status.put_i64(from_unix_us(now_us()));
        status.put_u8(u8::from(reply));
        let copy = postgres_protocol::message::frontend::CopyData::new(status.as_slice())
            .map_err(|source| StreamError::Io { source })?;
        copy.write(self.socket.outgoing());
        self.socket.send().await
    }

    /// The latest place that was confirmed.
    pub fn confirmed(&self) -> Lsn {
        self.confirmed
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn read_frame(mut body: Bytes) -> Result<Frame, StreamError> {
    let wrong = |what: &str| StreamError::Protocol { what: what.to_owned() };
    match body.try_get_u8() {
        Ok(b'w') if body.len() >= 24 => Ok(Frame::Data {
            wal_start: Lsn(body.get_u64()),
            wal_end: Lsn(body.get_u64()),
            clock_us: to_unix_us(body.get_i64()),
            payload: body,
        }),
        Ok(b'k') if body.len() == 17 => Ok(Frame::Keepalive {
            wal_end: Lsn(body.get_u64()),
            clock_us: to_unix_us(body.get_i64()),
            reply_requested: body.get_u8() != 0,
        }),
        Ok(b'w' | b'k') => Err(wrong("a frame that is cut short")),
        _ => Err(wrong("an unknown kind of frame")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_give_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40), data: bool) {
            let _ = read_frame(Bytes::from(bytes.clone()));
            let mut likely = vec![if data { b'w' } else { b'k' }];
            likely.extend(&bytes);
            let enough = if data { bytes.len() >= 24 } else { bytes.len() == 17 };
            prop_assert_eq!(read_frame(Bytes::from(likely)).is_ok(), enough);
        }
    }
}
