//! outbox → remote: claim, look, decide, intend, send, settle.
//!
//! A turn takes one batch of ready keys under a lease and ends each of them: sent and settled, given back, or parked
//! for a person. No database transaction is open while a remote is called, and what is not ended, because the process
//! died, comes back when the lease runs out.

mod approval;
mod create;
pub mod decide;
mod documents;
mod doubt;
pub mod foresee;
mod guard;
pub mod look;
mod send;
mod settle;
pub mod steps;
mod wait;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{debug, instrument};
use uuid::Uuid;

use crate::bound::Bound;
use crate::deliver::decide::Decision;
use crate::deliver::look::Looked;
use crate::deliver::settle::Settler;
use crate::deliver::steps::Step;
use crate::model::outcome::{BatchAnswer, Outcome};
use crate::remote::lease::{self, LEASE, Lease};
use crate::store::error::Class;
use crate::store::guard::Kind;
use crate::store::outbox::{Claimed, Settlement};
use crate::store::{Store, StoreError};

/// How long a writing call may take in all, waiting at the gate and a second sign-in included.
const CALL_LIMIT: Duration = Duration::from_secs(100);

/// Makes a writing call within [`CALL_LIMIT`] and while the turn's lease holds; what takes longer has an unknown outcome.
async fn bounded(items: usize, call: impl Future<Output = BatchAnswer>) -> BatchAnswer {
    let unknown =
        |reason: String| BatchAnswer { outcomes: vec![Outcome::Unknown { reason }; items], whole: true };
    tokio::select! {
        answer = tokio::time::timeout(CALL_LIMIT, call) => {
            answer.unwrap_or_else(|_| unknown(format!("no answer within {} s", CALL_LIMIT.as_secs())))
        }
        () = lease::lost() => unknown("the lease could not be renewed before the answer came".to_owned()),
    }
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
    #[instrument(name = "deliver", skip_all, fields(binding = %self.bound.name))]
    pub async fn turn(&self) -> Result<Turned, StoreError> {
        match self.leased().await {
            Err(error)
                if error.class() == Class::Operator && self.bound.hold_if_drifted(&self.store).await? =>
            {
                Ok(Turned { looked: 0, rest: Some(Duration::from_secs(1)) })
            }
            other => other,
        }
    }

    /// Takes a lease and works under it.
    async fn leased(&self) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        if let Some(wait) = self.store.system_wait(&bound.system).await? {
            return Ok(Turned { looked: 0, rest: Some(wait) });
        }
        let lease = Uuid::new_v4();
        let limit = self.batch_size();
        let asked = Instant::now();
        let claimed = self.store.claim(bound.id, limit, lease, LEASE).await?;
        if claimed.is_empty() {
            return Ok(Turned { looked: 0, rest: Some(Duration::from_millis(200)) });
        }
        let store = self.store.clone();
        let renew = move || {
            let store = store.clone();
            async move { store.renew_claims(lease, LEASE).await.unwrap_or(false) }
        };
        Lease::taken(asked).during(renew, self.work(claimed, limit, lease)).await
    }

    /// Ends each of the claimed keys.
    async fn work(&self, claimed: Vec<Claimed>, limit: usize, lease: Uuid) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        let settler = Settler { store: &self.store, bound, lease };
        let looked = match look::look(&self.store, bound, &claimed).await {
            Ok(looked) => looked,
            Err(error) => {
                // nothing was sent: the keys need not wait for the lease's end
                let again = |one: &Claimed| Settlement {
                    key: one.key.clone(),
                    verdict: "again",
                    ..Settlement::default()
                };
                settler.settle(claimed.iter().map(again).collect()).await?;
                return Err(error);
            }
        };
        let mut by_kind = Sorted::default();
        let mut settled_at_once = Vec::new();
        for one in looked {
            let decision = decide::decide(&one, bound);
            debug!(decision = decision.word(), "decided");
            match decision {
                Decision::Settle(settlement) => settled_at_once.push(settlement.by(&one)),
                Decision::Create(record) => by_kind.creates.push((one, record)),
                Decision::Wait(missing) => by_kind.waits.push((one, missing)),
                Decision::Doubt => by_kind.doubts.push(one),
                Decision::Update(changes) => by_kind.updates.push((one, changes)),
                Decision::Delete { deactivate } => by_kind.deletes.push((one, deactivate)),
                Decision::Reread(reason) => by_kind.rereads.push((one, reason)),
                Decision::Step(step) => by_kind.steps.push((one, step)),
                Decision::Stage { refusal } => by_kind.stages.push((one, refusal)),
                Decision::UnseenLines(age) => by_kind.unseen.push((one, age)),
                Decision::WriteBack(id) => by_kind.write_backs.push((one, id)),
            }
        }
        let count = claimed.len();
        if count == limit {
            // more keys wait: what does not fill a call is left to the next turn, which may fill it (R5)
            let abilities = &bound.abilities;
            let (creates, updates) = (abilities.create_batch, abilities.update_batch);
            let others =
                !settled_at_once.is_empty() || !by_kind.waits.is_empty() || !by_kind.deletes.is_empty();
            settled_at_once.extend(by_kind.give_back_remainders(creates, updates, others));
        }
        settler.settle(settled_at_once).await?;
        self.wait(&settler, by_kind.waits).await?;
        self.reread(&settler, by_kind.rereads).await?;
        self.read_stages(&settler, by_kind.stages).await?;
        self.look_for_lines(&settler, by_kind.unseen).await?;
        settler.write_back(by_kind.write_backs).await?;
        self.resolve_doubts(&settler, by_kind.doubts).await?;
        self.create(&settler, by_kind.creates).await?;
        let updates = self.within_guard(&settler, Kind::Changes, by_kind.updates, |(one, _)| one).await?;
        self.update(&settler, updates).await?;
        let deletes = self.after_children(&settler, by_kind.deletes).await?;
        let deletes = self.within_guard(&settler, Kind::Deletes, deletes, |(one, _)| one).await?;
        self.delete(&settler, deletes).await?;
        self.take_steps(&settler, by_kind.steps).await?;
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
    waits: Vec<(Looked, crate::mapping::reference::Missing)>,
    updates: Vec<(Looked, crate::model::record::Record)>,
    deletes: Vec<(Looked, bool)>,
    rereads: Vec<(Looked, &'static str)>,
    unseen: Vec<(Looked, Duration)>,
    write_backs: Vec<(Looked, String)>,
    steps: Vec<(Looked, Step)>,
    stages: Vec<(Looked, Option<String>)>,
}

impl Sorted {
    /// Takes out what does not fill a call of its kind. Nothing, if there is nothing else to do in this turn: the next
    /// one would find the same again.
    fn give_back_remainders(
        &mut self,
        create_batch: usize,
        update_batch: usize,
        others: bool,
    ) -> Vec<Settlement> {
        let again =
            |one: &Looked| Settlement { key: one.key.clone(), verdict: "again", ..Settlement::default() };
        let full = self.creates.len() >= create_batch.max(1) || self.updates.len() >= update_batch.max(1);
        if !full && !others {
            return Vec::new();
        }
        let creates = remainder(&mut self.creates, create_batch);
        let updates = remainder(&mut self.updates, update_batch);
        creates.iter().chain(&updates).map(|(one, _)| again(one)).collect()
    }
}

/// Cuts a list to whole batches and returns the rest.
fn remainder<T>(list: &mut Vec<T>, batch: usize) -> Vec<T> {
    list.split_off(list.len() - list.len() % batch.max(1))
}
