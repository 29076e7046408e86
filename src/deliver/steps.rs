//! Steps: what a record needs before a save (to be taken back) and after it (to be submitted, audited).
//!
//! Each step is a call for a batch of records, written down before it and settled by itself, so that a crash in the
//! middle resumes where it was. Steps after a save follow saves of ours only: what a person does in the remote is
//! left alone. A step whose answer was lost, or that was refused, is never believed: where the record stands is read.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::bound::Bound;
use crate::connector::client::Removal;
use crate::deliver::decide::{AtOnce, Decision, write_back};
use crate::deliver::look::Looked;
use crate::deliver::send::{chunks, halve, repeatable, splits};
use crate::deliver::settle::{Settler, chance, not_done};
use crate::deliver::{Deliverer, bounded};
use crate::model::lifecycle::Next;
use crate::model::outcome::Outcome;
use crate::model::record::RemoteRecord;
use crate::model::retry;
use crate::remote::gate::Priority;
use crate::store::StoreError;
use crate::store::guard::Kind;
use crate::store::outbox::Settlement;
use crate::store::steps::begin_steps;

/// A step that a record is to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    /// Before a save or delete, to make it possible; else after a save.
    pub reopens: bool,
}

/// What must happen before the record can be changed or deleted; `None`: nothing.
pub(super) fn before_save(looked: &Looked, bound: &Bound) -> Option<Decision> {
    let plan = bound.lifecycle.as_ref()?;
    decision(plan.before_save(looked.stage(), looked.step.is_some()), true)
}

/// What must happen after a save of ours; `None`: nothing.
pub(super) fn after_save(looked: &Looked, bound: &Bound) -> Option<Decision> {
    let plan = bound.lifecycle.as_ref().filter(|_| looked.step.is_some())?;
    decision(plan.after_save(looked.stage()), false)
}

fn decision(next: Next, reopens: bool) -> Option<Decision> {
    match next {
        Next::There => None,
        Next::Step(name) => Some(Decision::Step(Step { name, reopens })),
        Next::Unknown => Some(Decision::Stage { refusal: None }),
        Next::Closed(reason) => Some(Decision::Stage { refusal: Some(reason) }),
    }
}

impl Settler<'_> {
    /// The settlement of a save that was done: where the record should end up further on, its entry stays.
    pub(super) fn saved(&self, stage: Option<String>, done: Settlement) -> Settlement {
        let Some(plan) = &self.bound.lifecycle else { return done };
        let step = match plan.after_save(stage.as_deref()) {
            Next::There => None,
            Next::Step(step) => Some(step),
            // it is read, or said, at the next look
            Next::Unknown | Next::Closed(_) => plan.owed(None),
        };
        // what waits for another row's record is saved once more, and goes on after that
        let verdict = if step.is_some() && done.verdict == "done" { "step" } else { done.verdict };
        Settlement { verdict, stage, step, ..done }
    }

    /// The same for a record that was just created.
    pub(super) fn created(&self, done: Settlement) -> Settlement {
        let stage = self.bound.lifecycle.as_ref().and_then(|plan| plan.lifecycle.created.clone());
        self.saved(stage, done)
    }
}

/// The settlement of a save that was not done. What is known not to have been saved owes no steps.
pub(super) fn unsaved(one: &Looked, outcome: Outcome) -> Settlement {
    let perhaps = matches!(outcome, Outcome::Unknown { .. } | Outcome::Retry { after: None, .. });
    let owes_nothing = !perhaps && one.step.is_none();
    Settlement { owes_nothing, ..not_done(one, &repeatable(outcome)) }
}

impl Deliverer {
    /// Writes down what saves that are about to be sent are going to owe.
    pub(super) async fn owe(&self, settler: &Settler<'_>, saves: &[&Looked]) -> Result<(), StoreError> {
        let Some(plan) = &self.bound.lifecycle else { return Ok(()) };
        let owed: Vec<(String, String)> = saves
            .iter()
            .filter_map(|one| {
                let stage = one.stage().or(plan.lifecycle.created.as_deref());
                Some((one.key.clone(), plan.owed(stage)?))
            })
            .collect();
        if owed.is_empty() {
            return Ok(());
        }
        begin_steps(&self.store.client().await?, self.bound.id, settler.lease, &owed, false).await
    }

    /// Leaves out records that do not stand where they were thought to: what they need is decided anew.
    pub(super) async fn standing<'a>(
        &self,
        settler: &Settler<'_>,
        keys: Vec<&'a Looked>,
        records: &HashMap<String, RemoteRecord>,
    ) -> Result<Vec<&'a Looked>, StoreError> {
        if self.bound.lifecycle.is_none() {
            return Ok(keys);
        }
        let stage = |one: &Looked| records.get(one.remote_id()?)?.stage.clone();
        let (kept, moved): (Vec<&Looked>, Vec<&Looked>) = keys.into_iter().partition(|one| {
            let stage = stage(one);
            stage.is_none() || stage.as_deref() == one.stage()
        });
        let settlements =
            moved.into_iter().map(|one| elsewhere(one, stage(one), "it was moved meanwhile")).collect();
        settler.settle(settlements).await?;
        Ok(kept)
    }

    /// Takes records one step on.
    pub(super) async fn take_steps(
        &self,
        settler: &Settler<'_>,
        keys: Vec<(Looked, Step)>,
    ) -> Result<(), StoreError> {
        // a record that others still refer to is not taken back for its delete before they are gone
        let (of_deletes, mut keys): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|(one, _)| one.row.is_none());
        let mut steps: HashMap<String, Step> =
            of_deletes.iter().map(|(one, step)| (one.key.clone(), step.clone())).collect();
        let deletes = of_deletes.into_iter().map(|(one, _)| (one, false)).collect();
        for (one, _) in self.after_children(settler, deletes).await? {
            if let Some(step) = steps.remove(&one.key) {
                keys.push((one, step));
            }
        }
        // a record that is taken back is about to be changed or deleted: the guard is asked before, not after
        let (back, on): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(_, step)| step.reopens);
        let (deletes, changes): (Vec<_>, Vec<_>) =
            back.into_iter().partition(|(one, _)| one.row.is_none() || one.outside);
        let mut keys = on;
        keys.extend(self.within_guard(settler, Kind::Deletes, deletes, |(one, _)| one).await?);
        keys.extend(self.within_guard(settler, Kind::Changes, changes, |(one, _)| one).await?);
        let mut by_step: BTreeMap<String, Vec<(Looked, Step)>> = BTreeMap::new();
        for (one, step) in keys {
            by_step.entry(step.name.clone()).or_default().push((one, step));
        }
        for (name, keys) in by_step {
            let size = self.bound.client.step_batch(&self.bound.object, &name);
            self.in_chunks(keys, size, |chunk| self.step_batch(settler, &name, chunk)).await?;
        }
        Ok(())
    }

    async fn step_batch(
        &self,
        settler: &Settler<'_>,
        name: &str,
        chunk: Vec<(Looked, Step)>,
    ) -> Result<(), StoreError> {
        let bound = &self.bound;
        let looked: Vec<&Looked> = chunk.iter().map(|(one, _)| one).collect();
        if self.given_back(settler, &looked).await? {
            return Ok(());
        }
        let mut batches = vec![chunk];
        while let Some(batch) = batches.pop() {
            let batch = self.still_ours(settler, batch, |(one, _)| one).await?;
            if batch.is_empty() {
                continue;
            }
            let steps: Vec<(String, String)> =
                batch.iter().map(|(one, step)| (one.key.clone(), step.name.clone())).collect();
            begin_steps(&self.store.client().await?, bound.id, settler.lease, &steps, true).await?;
            let items: Vec<Removal> = batch
                .iter()
                .filter_map(|(one, _)| {
                    let link = one.link.as_ref()?;
                    Some(Removal { id: link.remote_id.clone()?, version: link.version.clone() })
                })
                .collect();
            let call = bound.client.step(&bound.object, name, &items, Priority::Edit);
            let answer = bounded(items.len(), call).await;
            if splits(&answer, batch.len()) {
                halve(&mut batches, batch);
                continue;
            }
            let (mut settlements, mut refused) = (Vec::new(), Vec::new());
            for ((one, step), outcome) in batch.into_iter().zip(answer.outcomes) {
                match outcome {
                    Outcome::Ok { .. } => settlements.push(self.stepped(&one, &step)),
                    Outcome::Reject { .. }
                    | Outcome::Gone { .. }
                    | Outcome::Exists { .. }
                    | Outcome::Conflict { .. } => refused.push((one, outcome)),
                    // perhaps done: where the record stands is not known now, and is read at the next look
                    other => settlements.push(not_done(&one, &other)),
                }
            }
            settler.settle(settlements).await?;
            self.refused_steps(settler, name, refused).await?;
        }
        Ok(())
    }

    /// The settlement of a step that was done.
    fn stepped(&self, one: &Looked, step: &Step) -> Settlement {
        let plan = self.bound.lifecycle.as_ref();
        let stage = plan
            .and_then(|plan| plan.lifecycle.steps.get(&step.name))
            .map(|transition| transition.to.clone());
        let next = plan.and_then(|plan| plan.owed(stage.as_deref()));
        // the save that it was taken back for, or a remote id that the row still lacks, comes at the next look
        let ends = next.is_none() && !step.reopens && write_back(one, &self.bound).is_none();
        Settlement {
            key: one.key.clone(),
            verdict: if ends { "done" } else { "step" },
            remote_id: one.remote_id().map(str::to_owned),
            stage,
            step: next,
            effect: Some("step"),
            reason: Some(step.name.clone()),
            actor: one.actor.clone(),
            ..Settlement::default()
        }
    }

    /// Refused steps: done all the same (an answer was lost before), no longer possible, or really refused.
    async fn refused_steps(
        &self,
        settler: &Settler<'_>,
        name: &str,
        refused: Vec<(Looked, Outcome)>,
    ) -> Result<(), StoreError> {
        let step = self.bound.lifecycle.as_ref().and_then(|plan| plan.lifecycle.steps.get(name));
        let possible = |stage: &str| step.is_some_and(|step| step.from.contains(stage));
        self.refusals(settler, refused, possible, not_done).await
    }

    /// Refused saves and deletes: was the record where they are possible?
    pub(super) async fn refused_saves(
        &self,
        settler: &Settler<'_>,
        refused: Vec<(Looked, Outcome)>,
    ) -> Result<(), StoreError> {
        let plan = self.bound.lifecycle.as_ref();
        let possible = |stage: &str| plan.is_none_or(|plan| plan.lifecycle.is_editable(stage));
        self.refusals(settler, refused, possible, |one, outcome| unsaved(one, outcome.clone())).await
    }

    async fn refusals(
        &self,
        settler: &Settler<'_>,
        refused: Vec<(Looked, Outcome)>,
        possible: impl Fn(&str) -> bool,
        refuse: impl Fn(&Looked, &Outcome) -> Settlement,
    ) -> Result<(), StoreError> {
        if refused.is_empty() {
            return Ok(());
        }
        let keys: Vec<&Looked> = refused.iter().map(|(one, _)| one).collect();
        let Some(stages) = self.stages(settler, &keys).await? else { return Ok(()) };
        let settlements = refused
            .iter()
            .filter_map(|(one, outcome)| {
                let stage = stages.get(one.remote_id()?)?.clone();
                Some(match &stage {
                    Some(at) if !possible(at) => {
                        let after = refuse(one, outcome);
                        Settlement {
                            owes_nothing: after.owes_nothing,
                            ..elsewhere(one, stage, outcome.reason())
                        }
                    }
                    _ => Settlement { stage, ..refuse(one, outcome) },
                })
            })
            .collect();
        settler.settle(settlements).await
    }

    /// Reads where records stand, so that it can be decided what they need.
    pub(super) async fn read_stages(
        &self,
        settler: &Settler<'_>,
        keys: Vec<(Looked, Option<String>)>,
    ) -> Result<(), StoreError> {
        for chunk in chunks(keys, self.bound.abilities.read_batch) {
            let looked: Vec<&Looked> = chunk.iter().map(|(one, _)| one).collect();
            let Some(stages) = self.stages(settler, &looked).await? else { continue };
            let settlements = chunk
                .iter()
                .filter_map(|(one, refusal)| {
                    let stage = stages.get(one.remote_id()?)?.clone();
                    let reason = match (&stage, refusal) {
                        (None, _) => Some("the system does not say where the record stands"),
                        (Some(at), Some(refusal)) if one.stage() == Some(at) => Some(refusal.as_str()),
                        _ => None,
                    };
                    let reject =
                        |reason: &str| AtOnce::Reject { field: None, reason: reason.to_owned() }.by(one);
                    let again =
                        Settlement { key: one.key.clone(), verdict: "again", ..Settlement::default() };
                    let settlement = reason.map_or(again, reject);
                    Some(Settlement { stage, remote_id: one.remote_id().map(str::to_owned), ..settlement })
                })
                .collect();
            settler.settle(settlements).await?;
        }
        Ok(())
    }

    /// Where the records of these keys stand, by id. Keys of records that are not there, or could not be read, are
    /// settled here; `None`: all of them were.
    async fn stages(
        &self,
        settler: &Settler<'_>,
        keys: &[&Looked],
    ) -> Result<Option<HashMap<String, Option<String>>>, StoreError> {
        let bound = &self.bound;
        let ids: Vec<String> = keys.iter().filter_map(|one| one.remote_id().map(str::to_owned)).collect();
        let records = match bound.client.read(&bound.object, &[], &ids, Priority::Edit).await {
            Ok(records) => records,
            Err(outcome) => {
                let outcome = repeatable(outcome);
                settler.settle(keys.iter().map(|one| not_done(one, &outcome)).collect()).await?;
                return Ok(None);
            }
        };
        let stages: HashMap<String, Option<String>> = records
            .into_iter()
            .filter(|record| !record.deleted)
            .map(|record| (record.id, record.stage))
            .collect();
        let there = |one: &&&Looked| one.remote_id().is_some_and(|id| stages.contains_key(id));
        let gone: Vec<&Looked> = keys.iter().filter(|one| !there(one)).copied().collect();
        if !gone.is_empty() {
            let reason = Some("the record is not there; it is read again to make sure".to_owned());
            let again = |one: &&Looked| Settlement {
                key: one.key.clone(),
                verdict: "again",
                wait_ms: Some(500),
                reason: reason.clone(),
                ..Settlement::default()
            };
            settler.settle(gone.iter().map(again).collect()).await?;
            let ids: Vec<String> = gone.iter().filter_map(|one| one.remote_id().map(str::to_owned)).collect();
            settler.read_again(&ids, "gone at a step").await?;
        }
        Ok(Some(stages))
    }
}

/// The settlement of a key whose record stands elsewhere: at once for the first time, then ever more rarely, so that a
/// record that somebody moves back each time is not fought over.
fn elsewhere(one: &Looked, stage: Option<String>, why: &str) -> Settlement {
    let attempts = u32::try_from(one.attempts).unwrap_or(0);
    let wait = if attempts == 0 { Duration::ZERO } else { retry::wait(attempts, chance(), None) };
    Settlement {
        key: one.key.clone(),
        verdict: "again",
        remote_id: one.remote_id().map(str::to_owned),
        wait_ms: Some(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
        reason: Some(format!("the record stands at {}: {why}", stage.as_deref().unwrap_or("no stage"))),
        stage,
        ..Settlement::default()
    }
}
