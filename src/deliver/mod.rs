//! outbox → remote: claim, look, decide, intend, send, settle.
//!
//! A turn takes one batch of ready keys under a lease and ends each of them: sent and settled, given back, or parked
//! for a person. No database transaction is open while a remote is called, and what is not ended, because the process
//! died, comes back when the lease runs out.

mod create;
pub mod decide;
mod documents;
mod doubt;
pub mod look;
mod send;
mod settle;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, instrument};
use uuid::Uuid;

use crate::bound::Bound;
use crate::deliver::decide::Decision;
use crate::deliver::look::Looked;
use crate::deliver::settle::Settler;
use crate::model::outcome::{BatchAnswer, Outcome};
use crate::store::outbox::Settlement;
use crate::store::{Store, StoreError};

/// How long a key stays claimed without a sign of life. Longer than any call may take.
pub const LEASE: Duration = Duration::from_secs(120);

/// How long a writing call may take in all, waiting at the gate and a second sign-in included. Less than the lease:
/// when the lease is over, nobody of ours is still sending.
const CALL_LIMIT: Duration = Duration::from_secs(100);

/// Makes a writing call within [`CALL_LIMIT`]; what takes longer has an unknown outcome.
async fn bounded(items: usize, call: impl Future<Output = BatchAnswer>) -> BatchAnswer {
    tokio::time::timeout(CALL_LIMIT, call).await.unwrap_or_else(|_| {
        let reason = format!("no answer within {} s", CALL_LIMIT.as_secs());
        BatchAnswer { outcomes: vec![Outcome::Unknown { reason }; items], whole: true }
    })
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turned {
    /// Keys that were looked at.
    pub looked: usize,
    /// Not before then is there anything to do; `None`: go on at once.
    pub rest: Option<Duration>,
}

/// The delivering side of one binding.
pub struct Deliverer {
    pub store: Store,
    pub bound: Arc<Bound>,
    /// Once set nothing new is sent: what was claimed is given back (R19).
    pub stop: CancellationToken,
}

impl Deliverer {
    /// Delivers one batch.
    ///
    /// # Errors
    /// When the mirror database fails; nothing is lost, the lease's end brings the keys back.
    #[instrument(skip_all, fields(binding = %self.bound.name))]
    pub async fn turn(&self) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        if let Some(wait) = self.store.system_wait(&bound.system).await? {
            return Ok(Turned { looked: 0, rest: Some(wait) });
        }
        let lease = Uuid::new_v4();
        let claimed = self.store.claim(bound.id, self.batch_size(), lease, LEASE).await?;
        if claimed.is_empty() {
            return Ok(Turned { looked: 0, rest: Some(Duration::from_millis(200)) });
        }
        let looked = look::look(&self.store, bound, &claimed).await?;
        let settler = Settler { store: &self.store, bound, lease };
        let mut by_kind = Sorted::default();
        let mut settled_at_once = Vec::new();
        for one in looked {
            let decision = decide::decide(&one, bound);
            debug!(decision = decision.word(), "decided");
            match decision {
                Decision::Settle(settlement) => settled_at_once.push(settlement.by(&one)),
                Decision::Create(record) => by_kind.creates.push((one, record)),
                Decision::Doubt => by_kind.doubts.push(one),
                Decision::Update(changes) => by_kind.updates.push((one, changes)),
                Decision::Delete { deactivate } => by_kind.deletes.push((one, deactivate)),
                Decision::Reread(reason) => by_kind.rereads.push((one, reason)),
                Decision::UnseenLines(age) => by_kind.unseen.push((one, age)),
                Decision::WriteBack(id) => by_kind.write_backs.push((one, id)),
            }
        }
        let count = claimed.len();
        settler.settle(settled_at_once).await?;
        self.reread(&settler, by_kind.rereads).await?;
        self.look_for_lines(&settler, by_kind.unseen).await?;
        settler.write_back(by_kind.write_backs).await?;
        self.resolve_doubts(&settler, by_kind.doubts).await?;
        self.create(&settler, by_kind.creates).await?;
        self.update(&settler, by_kind.updates).await?;
        self.delete(&settler, by_kind.deletes).await?;
        Ok(Turned { looked: count, rest: None })
    }

    /// Gives keys back untouched when the process is about to stop; true when it did.
    async fn given_back(&self, settler: &Settler<'_>, keys: &[&Looked]) -> Result<bool, StoreError> {
        if !self.stop.is_cancelled() {
            return Ok(false);
        }
        let settlements = keys
            .iter()
            .map(|one| Settlement { key: one.key.clone(), verdict: "again", ..Settlement::default() })
            .collect();
        settler.settle(settlements).await?;
        Ok(true)
    }

    /// Enough keys to fill several calls of the larger batch size, and no more than the lease can carry.
    fn batch_size(&self) -> usize {
        let abilities = &self.bound.abilities;
        let largest = abilities.create_batch.max(abilities.update_batch);
        (largest * self.bound.in_flight.max(1)).clamp(16, 500)
    }

    /// The shadow is not known, or no longer: the record is read and merged first.
    async fn reread(
        &self,
        settler: &Settler<'_>,
        keys: Vec<(Looked, &'static str)>,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut by_reason: HashMap<&'static str, Vec<String>> = HashMap::new();
        let mut settlements = Vec::new();
        for (one, reason) in keys {
            if let Some(id) = one.link.as_ref().and_then(|link| link.remote_id.clone()) {
                by_reason.entry(reason).or_default().push(id);
            }
            settlements.push(Settlement {
                key: one.key.clone(),
                verdict: "again",
                wait_ms: Some(500),
                ..Settlement::default()
            });
        }
        // settle first: while a key is sending its record is not applied
        settler.settle(settlements).await?;
        for (reason, ids) in by_reason {
            settler.read_again(&ids, reason).await?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Sorted {
    creates: Vec<(Looked, crate::model::record::Record)>,
    doubts: Vec<Looked>,
    updates: Vec<(Looked, crate::model::record::Record)>,
    deletes: Vec<(Looked, bool)>,
    rereads: Vec<(Looked, &'static str)>,
    unseen: Vec<(Looked, Duration)>,
    write_backs: Vec<(Looked, String)>,
}
