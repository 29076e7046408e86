//! The care of the slot: judged before each start of capture, made anew when changes may have been skipped (R13), and
//! guarded against filling the disk (R2).

use tracing::{error, info, warn};

use crate::capture::judge::{Memory, Verdict, judge, read_history};
use crate::capture::stream::{ReplicationStream, StreamError};
use crate::capture::worker::CaptureError;
use crate::config::file::{OnBudget, OnLostSlot};
use crate::engine::run::Watch;
use crate::engine::{Engine, EngineError};
use crate::store::StoreError;
use crate::store::slot::{CaptureFacts, DatabaseIdentity};

/// Whether capture may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tended {
    Ready,
    /// Not yet: somebody else cares for the slot, or a transaction must end first. Asked again in a moment.
    Busy,
    /// Not before a person has decided; why, and what to do.
    Waits(String),
}

/// How much WAL the slot retains, by what it may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    #[default]
    None,
    /// More than people want to see, or the server is about to take the slot away.
    Warned,
    /// More than the budget.
    OverBudget,
}

impl Engine {
    /// Judges slot and database, and does what is due. `suspicion` is why the stream did not start, where that may be
    /// the slot's fault.
    ///
    /// # Errors
    /// When a statement fails; what was begun goes on the next time.
    pub async fn tend_slot(&self, suspicion: Option<&str>) -> Result<Tended, EngineError> {
        if self.verdict(suspicion).await?.0 == Verdict::Sound {
            return Ok(Tended::Ready);
        }
        let Some(keeper) = self.store.keep_slot().await? else { return Ok(Tended::Busy) };
        let tended = self.act(suspicion).await;
        keeper.leave().await?;
        tended
    }

    async fn act(&self, suspicion: Option<&str>) -> Result<Tended, EngineError> {
        // another process may have done it while we waited for the right
        match self.verdict(suspicion).await? {
            (Verdict::Sound, _) => Ok(Tended::Ready),
            (Verdict::Promoted(reason), _) => {
                warn!(%reason, "the database changed hands; every row is compared with its shadow");
                self.store.accept_promotion(&reason).await?;
                Ok(Tended::Ready)
            }
            (Verdict::Restored(reason), facts) => {
                if facts.restored_reason.is_none() {
                    error!(%reason, "all systems are held until somebody says which side is right");
                    self.store.hold_restored(&reason).await?;
                }
                Ok(Tended::Waits(format!(
                    "{reason}; run `rowtwin slot restored --trust rows` or `--trust records`"
                )))
            }
            (Verdict::Lost(reason), facts) => {
                let decided = facts.lost_reason.is_some();
                if self.file.database.on_lost_slot == OnLostSlot::Hold && !decided {
                    return Ok(Tended::Waits(format!("{reason}; run `rowtwin slot recreate`")));
                }
                self.renew(&reason).await
            }
        }
    }

    /// Makes the slot anew and orders the comparison. A crash at any point goes on here: the reason is written down
    /// first and cleared last.
    async fn renew(&self, reason: &str) -> Result<Tended, EngineError> {
        self.store.note_lost(&self.slot, reason).await?;
        if self.store.slot(&self.slot).await?.is_some_and(|slot| slot.active) {
            self.store.end_streaming(&self.slot).await?;
            return Ok(Tended::Busy);
        }
        warn!(slot = %self.slot, %reason, "the replication slot is made anew, and every row is compared with its shadow");
        let made = async {
            self.store.drop_slot(&self.slot).await?;
            self.store.create_slot(&self.slot, self.slot_spec.failover).await
        };
        let anchor = match made.await {
            Ok(Some(anchor)) => anchor,
            // made by somebody at this very moment: nobody knows what it has skipped
            Ok(None) => return Ok(Tended::Busy),
            Err(failure) if passes(&failure) => {
                warn!(error = %failure, "the replication slot cannot be made yet; it waits for transactions that write");
                return Ok(Tended::Busy);
            }
            Err(failure) => return Err(failure.into()),
        };
        let bindings = self.store.slot_renewed(&self.slot, anchor, reason).await?;
        info!(slot = %self.slot, %anchor, bindings, "the replication slot was made; the comparison begins");
        Ok(Tended::Ready)
    }

    /// What is to be done, and what it was judged by.
    async fn verdict(&self, suspicion: Option<&str>) -> Result<(Verdict, CaptureFacts), EngineError> {
        // before anything is read: what another task sees meanwhile must not make ours look old
        let memory = self.memory();
        let capture = self.store.capture_facts(&self.slot).await?.ok_or_else(|| {
            EngineError::Database(format!("the slot {} is not registered; run `rowtwin init`", self.slot))
        })?;
        let identity = self.store.database_identity().await?;
        let slot = self.store.slot(&self.slot).await?;
        let mut history = Vec::new();
        if capture.timeline.is_some_and(|known| known != identity.timeline) {
            history = read_history(&self.history(identity.timeline).await?);
        }
        let verdict = judge(slot.as_ref(), &capture, &identity, &history, memory, suspicion);
        if verdict == Verdict::Sound {
            self.remember(&identity, slot.and_then(|slot| slot.confirmed).unwrap_or_default());
        }
        Ok((verdict, capture))
    }

    /// How the server came to its timeline.
    async fn history(&self, timeline: i32) -> Result<String, CaptureError> {
        let mut connection = ReplicationStream::connect(&self.options, "rowtwin").await?;
        match connection.timeline_history(timeline).await {
            // a server that does not tell is judged as one that comes from nowhere
            Err(refused @ StreamError::Server(_)) => {
                warn!(error = %refused, "the history of the timeline cannot be read");
                Ok(String::new())
            }
            told => Ok(told?),
        }
    }

    fn memory(&self) -> Memory {
        *self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn remember(&self, identity: &DatabaseIdentity, confirmed: crate::model::lsn::Lsn) {
        let mut memory = self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        memory.flushed = memory.flushed.max(identity.flushed);
        memory.confirmed = memory.confirmed.max(confirmed);
    }

    /// Forgets what was seen of the database before a person accepted it as it is.
    pub fn forget_database(&self) {
        *self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Memory::default();
    }

    /// Gives the slot up for a reason of ours; the process that captures makes it anew.
    ///
    /// # Errors
    /// When a statement fails, in particular for lack of the right to end the session that streams.
    pub async fn give_up_slot(&self, reason: &str) -> Result<(), StoreError> {
        self.store.note_lost(&self.slot, reason).await?;
        self.store.end_streaming(&self.slot).await?;
        Ok(())
    }

    /// Looks how much WAL the slot retains, tells `watch`, and acts on its budget. `before` is what the last look found:
    /// a change is logged once.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn guard_slot(&self, before: Alarm, watch: &dyn Watch) -> Result<Alarm, StoreError> {
        let Some(slot) = self.store.slot(&self.slot).await? else { return Ok(Alarm::None) };
        let retained = slot.retained_bytes.unwrap_or(0);
        let over = |limit: Option<i64>| limit.is_some_and(|limit| retained > limit);
        // the server takes the slot away at its next checkpoint
        let threatened = slot.wal_status.as_deref() == Some("unreserved");
        let alarm = if over(self.slot_spec.budget_bytes) {
            Alarm::OverBudget
        } else if over(self.slot_spec.warn_bytes) || threatened {
            Alarm::Warned
        } else {
            Alarm::None
        };
        let reason = format!(
            "the replication slot {} retains {retained} bytes of WAL{}; look for a long transaction, or a process that captures too slowly",
            self.slot,
            if threatened { ", and the server is about to take it away" } else { "" }
        );
        watch.slot(alarm, &reason);
        if alarm > before {
            warn!(retained, wal_status = slot.wal_status, "the replication slot retains too much WAL");
        } else if alarm == Alarm::None && before > alarm {
            info!(retained, "the replication slot retains little WAL again");
        }
        let lost = slot.wal_status.as_deref() == Some("lost");
        if alarm == Alarm::OverBudget
            && !lost
            && self.file.database.slot_guard.on_budget == OnBudget::Recreate
        {
            let budget = self.slot_spec.budget_bytes.unwrap_or(0);
            let known = self.store.capture_facts(&self.slot).await?.unwrap_or_default();
            if known.lost_reason.is_none() && known.restored_reason.is_none() {
                self.give_up_slot(&format!(
                    "the slot retained {retained} bytes of WAL, more than its budget of {budget}"
                ))
                .await?;
            }
        }
        Ok(alarm)
    }

    /// Notes how far the database and the slot are, so that one that is put back is noticed.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn note_place(&self) -> Result<(), StoreError> {
        let known = self.store.capture_facts(&self.slot).await?.unwrap_or_default();
        let identity = self.store.database_identity().await?;
        if known.timeline == Some(identity.timeline) && known.restored_reason.is_none() {
            let confirmed = self.store.slot_confirmed(&self.slot).await?.unwrap_or_default();
            // a log that ends before what we have seen is left to the judge
            if identity.insert >= self.memory().flushed {
                self.remember(&identity, confirmed);
            }
        }
        Ok(())
    }
}

/// Somebody uses the slot, or a transaction does not end: it passes.
fn passes(failure: &StoreError) -> bool {
    match failure {
        StoreError::Statement(error) => {
            error.code().is_some_and(|code| matches!(code.code(), "55P03" | "55006" | "42710" | "42704"))
        }
        _ => false,
    }
}
