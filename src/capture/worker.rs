//! The capture worker: streams the WAL, gathers marks, writes them to the outbox, and only then confirms (R1).
//!
//! It waits for nothing but the mirror database itself, so the slot never waits for a remote (R2). While there is
//! nothing for us the server's own position is confirmed, so an idle slot advances (R3).

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::capture::marks::{Batch, Collector, MarkError, Watched};
use crate::capture::pgoutput::{Decoder, Message, PgoutputError};
use crate::capture::stream::{Frame, Protocol, ReplicationStream, StreamError};
use crate::model::lsn::Lsn;
use crate::postgres::ConnectOptions;
use crate::store::{Store, StoreError};

/// Marks that are written in one statement.
const BATCH: usize = 5_000;
/// How long marks wait for more of them.
const LINGER: Duration = Duration::from_millis(4);
/// How often the server is told our position and asked for its own, and those who stand by that we live.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// How often invisible transactions are looked at again.
const VISIBLE_AGAIN: Duration = Duration::from_millis(2);

/// How much further than now the slot may be confirmed before that is written down again. A slot that stands beyond was
/// not moved by us.
const HORIZON: u64 = 1 << 20;

/// Why capture stopped.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("the stream carried something that is not pgoutput: {0}")]
    Decode(#[from] PgoutputError),
    #[error(transparent)]
    Mark(#[from] MarkError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The capturing side of the mirror database; one per slot.
pub struct Capturer {
    pub store: Store,
    pub options: ConnectOptions,
    pub slot: String,
    pub publication: String,
    pub watched: Watched,
    /// Woken when keys of a binding were marked.
    pub wake: HashMap<i32, Arc<Notify>>,
    /// Woken when the stream describes a table: it does so at the first change, and after every `alter table`.
    pub described: Arc<Notify>,
    /// Told whether the stream runs.
    pub on_state: Box<dyn Fn(bool) + Send + Sync>,
}

impl Capturer {
    /// Streams until `stop`, or until something fails; what was not confirmed then comes again.
    ///
    /// # Errors
    /// [`CaptureError`]; trying again is the caller's business.
    pub async fn run(&self, stop: &CancellationToken) -> Result<(), CaptureError> {
        let connection = ReplicationStream::connect(&self.options, "rowtwin capture").await?;
        let stream = connection.start(&self.slot, Lsn(0), &self.publication, Protocol::Version1).await?;
        // before the first frame is read: whoever had the slot before writes nothing any more
        let holder = Uuid::new_v4();
        self.store.take_capture(&self.slot, holder).await?;
        info!(slot = %self.slot, "capture is streaming");
        (self.on_state)(true);
        let mut reading = Reading { stream, store: &self.store, slot: &self.slot, holder, horizon: Lsn(0) };
        let result = tokio::select! {
            result = self.stream(&mut reading, stop) => result,
            never = self.show_life(holder) => match never {},
        };
        (self.on_state)(false);
        result
    }

    /// Shows those who stand by that this process is not frozen, however long the work at hand takes.
    async fn show_life(&self, holder: Uuid) -> Infallible {
        loop {
            if let Err(failure) = self.store.capture_alive(&self.slot, holder).await {
                debug!(error = %failure, "no sign of life could be given");
            }
            tokio::time::sleep(SIGN_OF_LIFE).await;
        }
    }

    async fn stream(&self, reading: &mut Reading<'_>, stop: &CancellationToken) -> Result<(), CaptureError> {
        let mut decoder = Decoder::new();
        let mut collector = Collector::new(self.watched.clone(), Lsn(0));
        let mut spoke = Instant::now();
        let mut described = false;
        while !stop.is_cancelled() {
            // not before the marks were written: until then the transaction that altered the table may be invisible
            if described && collector.is_idle() {
                self.described.notify_one();
                described = false;
            }
            let patience =
                if collector.is_idle() || collector.waiting() == 0 { SIGN_OF_LIFE } else { LINGER };
            let frame = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                frame = timeout(patience, reading.stream.next()) => frame,
            };
            match frame {
                Ok(Ok(Frame::Data { payload, .. })) => {
                    let message = decoder.decode(&payload)?;
                    collector.take(&message)?;
                    described |= matches!(message, Message::Relation { .. });
                    let truncated = matches!(message, Message::Commit { .. }) && collector.truncated();
                    if (collector.waiting() >= BATCH || truncated)
                        && !self.flush(reading, &mut collector, stop).await?
                    {
                        return Ok(());
                    }
                }
                Ok(Ok(Frame::Keepalive { wal_end, reply_requested, .. })) => {
                    collector.advance(wal_end);
                    if reply_requested {
                        reading.confirm(collector.confirmable(), false).await?;
                        spoke = Instant::now();
                    }
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    if collector.waiting() > 0 && !self.flush(reading, &mut collector, stop).await? {
                        return Ok(());
                    }
                }
            }
            if spoke.elapsed() >= SIGN_OF_LIFE {
                reading.confirm(collector.confirmable(), true).await?;
                spoke = Instant::now();
            }
        }
        if self.flush(reading, &mut collector, stop).await? {
            // from here on nobody of ours moves the slot: where it stands is known to the byte
            self.store.set_horizon(&self.slot, reading.holder, reading.stream.confirmed()).await?;
        }
        Ok(())
    }

    /// Writes what is ready, then confirms. False when it was stopped before it could: the collector has given its
    /// marks away then and must not confirm anything any more.
    async fn flush(
        &self,
        reading: &mut Reading<'_>,
        collector: &mut Collector,
        stop: &CancellationToken,
    ) -> Result<bool, CaptureError> {
        let batch = collector.drain();
        if !batch.is_empty() && !self.until_visible(reading, &batch, stop).await? {
            // stopped while a commit waits for a standby: nothing was confirmed, so it comes again
            return Ok(false);
        }
        for binding in &batch.emptied {
            let held = self.store.hold_emptied(&self.slot, Some(reading.holder), *binding).await?;
            warn!(binding, held, "a table of lines was truncated; its documents are held for approval");
        }
        for binding in &batch.truncated {
            let held = self.store.hold_truncated(&self.slot, Some(reading.holder), *binding).await?;
            warn!(binding, held, "a bound table was truncated; its deletes are held for approval");
        }
        if !batch.is_empty() {
            let changes: Vec<(i32, i64)> = batch.changes.into_iter().collect();
            self.store
                .mark_rows(
                    &self.slot,
                    Some(reading.holder),
                    batch.confirm.0,
                    &batch.moves,
                    &batch.marks,
                    &changes,
                )
                .await?;
            for mark in &batch.marks {
                if let Some(wake) = self.wake.get(&mark.binding) {
                    wake.notify_one();
                }
            }
        }
        reading.confirm(batch.confirm, false).await?;
        Ok(true)
    }

    /// The stream delivers a commit as soon as it is in the WAL, which may be before others can see it. A key that is
    /// looked at too early would show the old row, and its mark would be gone.
    async fn until_visible(
        &self,
        reading: &mut Reading<'_>,
        batch: &Batch,
        stop: &CancellationToken,
    ) -> Result<bool, CaptureError> {
        let xids: Vec<i64> = batch.xids.iter().map(|xid| i64::from(*xid)).collect();
        let mut spoke = Instant::now();
        while !self.store.all_visible(&xids).await? {
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                () = tokio::time::sleep(VISIBLE_AGAIN) => {}
            }
            if spoke.elapsed() >= SIGN_OF_LIFE {
                let confirmed = reading.stream.confirmed();
                reading.stream.confirm(confirmed, false).await?;
                spoke = Instant::now();
            }
        }
        Ok(true)
    }
}

/// A stream whose confirmations are announced.
struct Reading<'a> {
    stream: ReplicationStream,
    store: &'a Store,
    slot: &'a str,
    holder: Uuid,
    horizon: Lsn,
}

impl Reading<'_> {
    /// Confirms, and writes down first how far that may go: so a slot that somebody else moved is told from one that
    /// we did.
    async fn confirm(&mut self, place: Lsn, reply: bool) -> Result<(), CaptureError> {
        if place > self.horizon {
            let horizon = Lsn(place.0.saturating_add(HORIZON));
            self.store.raise_horizon(self.slot, horizon).await?;
            self.horizon = horizon;
        }
        Ok(self.stream.confirm(place, reply).await?)
    }
}
