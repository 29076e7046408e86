//! Send: updates and deletes, in batches, each record ended by its own outcome.

use std::collections::{BTreeMap, HashMap};

use futures_util::stream::{StreamExt, iter};

use crate::connector::client::{Change, Removal};
use crate::deliver::look::Looked;
use crate::deliver::settle::{Noted, Settler, not_done};
use crate::deliver::steps::unsaved;
use crate::deliver::{Deliverer, bounded};
use crate::model::binding::OverwriteCheck;
use crate::model::outcome::{BatchAnswer, Outcome};
use crate::model::record::Record;
use crate::remote::gate::Priority;
use crate::remote::lease::LEASE;
use crate::store::StoreError;
use crate::store::outbox::{Intent, Settlement};

impl Deliverer {
    /// Sends changed fields.
    pub(super) async fn update(
        &self,
        settler: &Settler<'_>,
        keys: Vec<(Looked, Record)>,
    ) -> Result<(), StoreError> {
        let size = self.bound.abilities.update_batch.max(1);
        self.in_chunks(keys, size, |chunk| self.update_batch(settler, chunk)).await
    }

    /// Deletes or deactivates records.
    pub(super) async fn delete(
        &self,
        settler: &Settler<'_>,
        keys: Vec<(Looked, bool)>,
    ) -> Result<(), StoreError> {
        let size = self.bound.abilities.delete_batch.max(1);
        self.in_chunks(keys, size, |chunk| self.delete_batch(settler, chunk)).await
    }

    /// Works on keys in chunks of `size`, as many of them at once as the system's calls in flight.
    pub(super) async fn in_chunks<T, F, W>(
        &self,
        keys: Vec<T>,
        size: usize,
        work: W,
    ) -> Result<(), StoreError>
    where
        W: Fn(Vec<T>) -> F,
        F: Future<Output = Result<(), StoreError>>,
    {
        let mut running = iter(chunks(keys, size)).map(work).buffer_unordered(self.bound.in_flight.max(1));
        let mut failed = None;
        // every chunk ends before an error is passed on: what was sent must be settled
        while let Some(result) = running.next().await {
            if let Err(error) = result {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Reads the batch's records and leaves out those that somebody changed since the shadow (R9). Gives the keys of the
    /// others, with the version that was read: a remote that checks it refuses what is written behind an edit made
    /// since this look.
    async fn unchanged(
        &self,
        settler: &Settler<'_>,
        keys: &[&Looked],
    ) -> Result<BTreeMap<String, Option<String>>, StoreError> {
        let bound = &self.bound;
        // a document that may be half written is always looked at first
        let looks = bound.overwrite_check != OverwriteCheck::None || bound.lines_apart;
        if !looks || !bound.abilities.can_read {
            return Ok(keys.iter().map(|one| (one.key.clone(), None)).collect());
        }
        // the remote can only check a version that we know: after a create often nothing tells it
        let checked_by_remote = |one: &&&Looked| {
            bound.abilities.checks_version
                && !bound.lines_apart
                && one.link.as_ref().is_some_and(|link| link.version.is_some())
        };
        let all = keys;
        let (checked, keys): (Vec<&Looked>, Vec<&Looked>) = keys.iter().partition(checked_by_remote);
        let keys = self.not_waiting(settler, keys).await?;
        let ids: Vec<String> = keys.iter().filter_map(|one| one.remote_id().map(str::to_owned)).collect();
        let mut records = HashMap::new();
        for chunk in ids.chunks(bound.abilities.read_batch.max(1)) {
            match bound.client.read(&bound.object, &bound.record_fields(), chunk, Priority::Edit).await {
                Ok(read) => records.extend(read.into_iter().map(|record| (record.id.clone(), record))),
                Err(outcome) => {
                    let outcome = repeatable(outcome);
                    settler.settle(all.iter().map(|one| not_done(one, &outcome)).collect()).await?;
                    return Ok(BTreeMap::new());
                }
            }
        }
        let keys = self.standing(settler, keys, &records).await?;
        let mut good: BTreeMap<String, Option<String>> =
            checked.into_iter().map(|one| (one.key.clone(), None)).collect();
        let mut moved = Vec::new();
        for one in keys {
            let Some(id) = one.remote_id() else { continue };
            let shadow = one.link.as_ref().and_then(|link| link.shadow.as_ref());
            let same = match (records.get(id), shadow) {
                // a field whose conflict waits for a person differs until then, and is not sent
                (Some(record), Some(shadow)) => {
                    !record.deleted && bound.mapping.same_except(&record.fields, shadow, &one.held)
                }
                _ => false,
            };
            if same {
                good.insert(one.key.clone(), records.get(id).and_then(|record| record.version.clone()));
            } else {
                moved.push((one.clone(), id.to_owned()));
            }
        }
        if !moved.is_empty() {
            let settlements = moved
                .iter()
                .map(|(one, _)| Settlement {
                    key: one.key.clone(),
                    verdict: "again",
                    wait_ms: Some(300),
                    ..Settlement::default()
                })
                .collect();
            settler.settle(settlements).await?;
            let ids: Vec<String> = moved.into_iter().map(|(_, id)| id).collect();
            settler.read_again(&ids, "changed in the remote").await?;
        }
        Ok(good)
    }

    /// Leaves out records that are to be read and merged anyway: looking at them here as well, again and again until
    /// that has happened, would only cost calls.
    async fn not_waiting<'a>(
        &self,
        settler: &Settler<'_>,
        keys: Vec<&'a Looked>,
    ) -> Result<Vec<&'a Looked>, StoreError> {
        let ids: Vec<String> = keys.iter().filter_map(|one| one.remote_id().map(str::to_owned)).collect();
        let waiting = self.store.waiting_records(self.bound.id, &ids).await?;
        let held = |one: &Looked| one.remote_id().and_then(|id| waiting.get(id)).copied();
        let (later, now): (Vec<&Looked>, Vec<&Looked>) =
            keys.into_iter().partition(|one| held(one).is_some());
        let later = later
            .iter()
            .map(|one| Settlement {
                key: one.key.clone(),
                verdict: "again",
                // what waits for a person is not looked at three times a second
                wait_ms: Some(if held(one) == Some(true) { 5_000 } else { 300 }),
                ..Settlement::default()
            })
            .collect();
        settler.settle(later).await?;
        Ok(now)
    }

    async fn update_batch(
        &self,
        settler: &Settler<'_>,
        chunk: Vec<(Looked, Record)>,
    ) -> Result<(), StoreError> {
        let looked: Vec<&Looked> = chunk.iter().map(|(one, _)| one).collect();
        if self.given_back(settler, &looked).await? {
            return Ok(());
        }
        let good = self.unchanged(settler, &looked).await?;
        let chunk: Vec<(Looked, Record)> =
            chunk.into_iter().filter_map(|(one, changes)| Some((seen_now(one, &good)?, changes))).collect();
        self.send_updates(settler, chunk).await
    }

    async fn send_updates(
        &self,
        settler: &Settler<'_>,
        chunk: Vec<(Looked, Record)>,
    ) -> Result<(), StoreError> {
        let bound = &self.bound;
        // halving keeps its own list instead of calling itself
        let mut batches = vec![chunk];
        while let Some(batch) = batches.pop() {
            let batch = self.still_ours(settler, batch, |(one, _)| one).await?;
            if batch.is_empty() {
                continue;
            }
            self.owe(settler, &batch.iter().map(|(one, _)| one).collect::<Vec<_>>()).await?;
            self.remember_lines(&batch).await?;
            let items: Vec<Change> = batch
                .iter()
                .filter_map(|(one, changes)| {
                    let link = one.link.as_ref()?;
                    Some(Change {
                        id: link.remote_id.clone()?,
                        version: link.version.clone(),
                        changes: changes.clone(),
                        shadow: link.shadow.clone().unwrap_or_default(),
                    })
                })
                .collect();
            let answer =
                bounded(items.len(), bound.client.update(&bound.object, &items, Priority::Edit)).await;
            if splits(&answer, batch.len()) {
                halve(&mut batches, batch);
                continue;
            }
            let mut settlements = Vec::new();
            let mut read_again = Vec::new();
            let mut refused = Vec::new();
            for ((one, changes), outcome) in batch.iter().zip(answer.outcomes) {
                let link = one.link.as_ref();
                let shadow = link.and_then(|link| link.shadow.as_ref());
                match outcome {
                    Outcome::Ok { version, record, lines, .. } => {
                        let known = settler.known_after(shadow, changes, version, record.as_deref(), &lines);
                        let (before, after) = bound.mapping.told(shadow.unwrap_or(&Record::new()), changes);
                        if known.surprising {
                            read_again.extend(one.remote_id().map(str::to_owned));
                        }
                        let done = Settlement {
                            key: one.key.clone(),
                            verdict: "done",
                            link: Some("linked"),
                            remote_id: one.remote_id().map(str::to_owned),
                            version: known.version,
                            shadow: Some(known.shadow),
                            effect: Some("update"),
                            before: Some(before),
                            after: Some(after),
                            actor: one.actor.clone(),
                            ..Settlement::default()
                        };
                        settlements.push(settler.saved(link.and_then(|link| link.stage.clone()), done));
                    }
                    Outcome::Reject { .. } if bound.lifecycle.is_some() => {
                        refused.push((one.clone(), outcome));
                    }
                    Outcome::Conflict { .. } | Outcome::Gone { .. } => {
                        read_again.extend(one.remote_id().map(str::to_owned));
                        let outcome = Outcome::Conflict { reason: outcome.reason().to_owned() };
                        let lines_unsent = !bound.lines_apart;
                        settlements.push(Settlement { lines_unsent, ..not_done(one, &outcome) });
                    }
                    other => {
                        // some of the lines may be written: what became of them is read before more is sent
                        if bound.lines_apart && bound.mapping.touches_lines(changes) {
                            read_again.extend(one.remote_id().map(str::to_owned));
                        }
                        let surely = matches!(other, Outcome::Reject { .. } | Outcome::Throttled { .. });
                        let lines_unsent = surely && !bound.lines_apart;
                        settlements.push(Settlement { lines_unsent, ..unsaved(one, other) });
                    }
                }
            }
            let noted = Noted { read_again: &read_again, why: "changed in the remote", ..Noted::default() };
            settler.settle_noting(settlements, &noted).await?;
            self.refused_saves(settler, refused).await?;
        }
        Ok(())
    }

    async fn delete_batch(
        &self,
        settler: &Settler<'_>,
        chunk: Vec<(Looked, bool)>,
    ) -> Result<(), StoreError> {
        let bound = &self.bound;
        let looked: Vec<&Looked> = chunk.iter().map(|(one, _)| one).collect();
        if self.given_back(settler, &looked).await? {
            return Ok(());
        }
        // a record that somebody edited is read first: by default the edit wins over the delete
        let good = self.unchanged(settler, &looked).await?;
        let mut batches = vec![
            chunk.into_iter().filter_map(|(one, how)| Some((seen_now(one, &good)?, how))).collect::<Vec<_>>(),
        ];
        while let Some(batch) = batches.pop() {
            let batch = self.still_ours(settler, batch, |(one, _)| one).await?;
            let Some((_, deactivate)) = batch.first() else { continue };
            let deactivate = *deactivate;
            let items: Vec<Removal> = batch
                .iter()
                .filter_map(|(one, _)| {
                    let link = one.link.as_ref()?;
                    Some(Removal { id: link.remote_id.clone()?, version: link.version.clone() })
                })
                .collect();
            let answer =
                bounded(items.len(), bound.client.delete(&bound.object, &items, deactivate, Priority::Edit))
                    .await;
            if splits(&answer, batch.len()) {
                halve(&mut batches, batch);
                continue;
            }
            let mut settlements = Vec::new();
            let mut read_again = Vec::new();
            let mut refused = Vec::new();
            for ((one, _), outcome) in batch.iter().zip(answer.outcomes) {
                match outcome {
                    // deleting what is gone already is done
                    Outcome::Ok { .. } | Outcome::Gone { .. } => settlements.push(Settlement {
                        key: one.key.clone(),
                        verdict: "done",
                        link: Some(if deactivate { "kept" } else { "unlinked" }),
                        remote_id: one.remote_id().map(str::to_owned),
                        effect: Some(if deactivate { "deactivate" } else { "delete" }),
                        before: one.link.as_ref().and_then(|link| link.shadow.clone()),
                        actor: one.actor.clone(),
                        ..Settlement::default()
                    }),
                    Outcome::Conflict { .. } => {
                        read_again.extend(one.remote_id().map(str::to_owned));
                        settlements.push(not_done(one, &outcome));
                    }
                    Outcome::Reject { .. } if bound.lifecycle.is_some() && !deactivate => {
                        refused.push((one.clone(), outcome));
                    }
                    other => settlements.push(not_done(one, &repeatable(other))),
                }
            }
            let noted = Noted { read_again: &read_again, why: "changed in the remote", ..Noted::default() };
            settler.settle_noting(settlements, &noted).await?;
            self.refused_saves(settler, refused).await?;
        }
        Ok(())
    }

    /// The last look before a call: only what is still under our lease and unchanged goes out.
    pub(super) async fn still_ours<T>(
        &self,
        settler: &Settler<'_>,
        batch: Vec<T>,
        looked: impl Fn(&T) -> &Looked,
    ) -> Result<Vec<T>, StoreError> {
        if batch.is_empty() {
            return Ok(batch);
        }
        let intents: Vec<Intent> = batch
            .iter()
            .map(|one| {
                let one = looked(one);
                Intent { key: one.key.clone(), revision: one.revision(), create: None }
            })
            .collect();
        let ours = self.store.begin_send(self.bound.id, settler.lease, LEASE, &intents).await?;
        let (kept, lost): (Vec<T>, Vec<T>) =
            batch.into_iter().partition(|one| ours.contains(&looked(one).key));
        // what a page changed meanwhile is looked at again at once; what was leased away is not ours to settle
        let again = lost
            .iter()
            .map(|one| Settlement { key: looked(one).key.clone(), verdict: "again", ..Settlement::default() })
            .collect();
        settler.settle(again).await?;
        Ok(kept)
    }
}

/// An update or delete may simply be repeated, so a lost answer is no doubt.
pub(super) fn repeatable(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Unknown { reason } => Outcome::Retry { after: None, reason },
        other => other,
    }
}

/// Whether one bad record may hide among good ones.
pub(super) fn splits(answer: &BatchAnswer, items: usize) -> bool {
    answer.whole
        && items > 1
        && answer.outcomes.first().is_some_and(|outcome| {
            matches!(
                outcome,
                Outcome::Reject { .. }
                    | Outcome::Conflict { .. }
                    | Outcome::Gone { .. }
                    | Outcome::Exists { .. }
            )
        })
}

/// Cuts a list into chunks of `size`, the last one shorter.
pub(super) fn chunks<T>(list: Vec<T>, size: usize) -> Vec<Vec<T>> {
    let mut rest = list.into_iter().peekable();
    let mut chunks = Vec::new();
    while rest.peek().is_some() {
        chunks.push(rest.by_ref().take(size.max(1)).collect());
    }
    chunks
}

/// Puts the two halves of a batch on the list.
pub(super) fn halve<T>(batches: &mut Vec<Vec<T>>, mut batch: Vec<T>) {
    let second = batch.split_off(batch.len() / 2);
    batches.push(second);
    batches.push(batch);
}

/// The row, with the version of its record as it was read just now; `None` if it may not go.
fn seen_now(mut one: Looked, good: &BTreeMap<String, Option<String>>) -> Option<Looked> {
    let read = good.get(&one.key)?;
    if let (Some(link), Some(version)) = (one.link.as_mut(), read) {
        link.version = Some(version.clone());
    }
    Some(one)
}
