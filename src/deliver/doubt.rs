//! Doubt: a create was under way and its answer is not known (a lost answer, a crash, an expired lease).
//!
//! The record is looked up by the attempt id planted in it, else by the match fields. Found: it is the twin. Not
//! found: it may still turn up, so the create is sent again only after the doubt window, with the same attempt id.
//! Where nothing can be looked up, a person decides. Never a blind second create (R8).

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::deliver::Deliverer;
use crate::deliver::approval::or_hold;
use crate::deliver::create::{Newcomer, agrees};
use crate::deliver::decide::Decision;
use crate::deliver::look::Looked;
use crate::deliver::send::chunks;
use crate::deliver::settle::{Noted, Settler, not_done};
use crate::model::diff::project;
use crate::model::outcome::Outcome;
use crate::model::record::{Record, RemoteRecord, same_value};
use crate::remote::gate::Priority;
use crate::store::StoreError;
use crate::store::outbox::Settlement;

/// A create whose answer was lost, and what its record can be looked up by.
struct Doubt {
    looked: Looked,
    attempt: Uuid,
    intent: Record,
    age: Duration,
    by: Record,
}

impl Deliverer {
    /// Finds out what became of creates: one look-up for as many as the system finds in one call, since a lost answer to
    /// a batch leaves all of it in doubt.
    pub(super) async fn resolve_doubts(
        &self,
        settler: &Settler<'_>,
        keys: Vec<Looked>,
    ) -> Result<(), StoreError> {
        // the clock that wrote the attempts down: ours may be ahead of it (I20)
        let now = self.store.clock().await?;
        let mut send_again = Vec::new();
        let mut doubts = Vec::new();
        for looked in keys {
            let Some(link) = looked.link.clone() else { continue };
            let (intent, attempt) = (link.intent.unwrap_or_default(), link.attempt.unwrap_or_default());
            let age = link.attempted_at.and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
            match self.looked_up_by(attempt, &intent) {
                Some(by) => {
                    doubts.push(Doubt { looked, attempt, intent, age, by });
                }
                None if self.bound.abilities.repeats_a_create(age) => {
                    send_again.push(self.again(looked, attempt, intent, age));
                }
                None => settler.settle(vec![not_to_be_looked_up(looked.key)]).await?,
            }
        }
        let mut waiting = chunks(doubts, self.bound.abilities.find_batch);
        while let Some(chunk) = waiting.pop() {
            let singly = self.look_up(settler, chunk, &mut send_again).await?;
            waiting.extend(singly.into_iter().map(|doubt| vec![doubt]));
        }
        self.send_creates(settler, send_again).await
    }

    /// By the planted attempt id, else by the match fields; `None` when the system cannot be asked.
    fn looked_up_by(&self, attempt: Uuid, intent: &Record) -> Option<Record> {
        let bound = &self.bound;
        if !bound.abilities.can_find {
            return None;
        }
        if let Some(field) = &bound.abilities.attempt_field {
            return Some(Record::from_iter([(field.clone(), Value::from(attempt.to_string()))]));
        }
        let fields = &bound.mapping.match_fields;
        (!fields.is_empty() && fields.iter().all(|field| !same_value(intent.get(field), None, true)))
            .then(|| project(intent, fields.iter().map(String::as_str)))
    }

    /// Looks doubts up in one call and settles what is clear; creates that are to be sent again are added to the list.
    /// Returns the doubts if the answer does not tell which record is whose: each is then looked up alone.
    async fn look_up(
        &self,
        settler: &Settler<'_>,
        chunk: Vec<Doubt>,
        send_again: &mut Vec<Newcomer>,
    ) -> Result<Vec<Doubt>, StoreError> {
        let bound = &self.bound;
        let by: Vec<Record> = chunk.iter().map(|doubt| doubt.by.clone()).collect();
        let mut fields = bound.record_fields();
        // it tells which record is whose
        fields.extend(bound.abilities.attempt_field.clone());
        let found = match bound.client.find(&bound.object, &fields, &by, Priority::Edit).await {
            Ok(found) => found,
            Err(outcome) => {
                let outcome = match outcome {
                    Outcome::Unknown { reason } => Outcome::Retry { after: None, reason },
                    other => other,
                };
                let settlements = chunk.iter().map(|doubt| not_done(&doubt.looked, &outcome)).collect();
                settler.settle(settlements).await?;
                return Ok(Vec::new());
            }
        };
        // an attempt id is unique by itself: what was found by one alone need not show it
        let trusted = chunk.len() == 1 && bound.abilities.attempt_field.is_some();
        if let (Some(field), false) = (&bound.abilities.attempt_field, trusted)
            && found.iter().any(|record| !record.fields.contains_key(field))
        {
            return Ok(chunk);
        }
        let (mut settlements, mut read_again) = (Vec::new(), Vec::new());
        let (mut look_again, mut gone) = (Vec::new(), Vec::new());
        let mut taken = HashSet::new();
        for doubt in chunk {
            let names: Vec<String> = doubt.by.keys().cloned().collect();
            let twins: Vec<&RemoteRecord> = found
                .iter()
                .filter(|record| !record.deleted)
                .filter(|record| trusted || agrees(&doubt.by, &record.fields, &names, true))
                .collect();
            match twins.as_slice() {
                [twin] if taken.insert(twin.id.clone()) => {
                    read_again.push(twin.id.clone());
                    // the row may have changed, or gone, since the create
                    let marks = if doubt.looked.row_gone { &mut gone } else { &mut look_again };
                    marks.push(doubt.looked.key.clone());
                    settlements.push(made(settler, doubt, twin));
                }
                [] => match self.not_there(&doubt) {
                    Some(settlement) => settlements.push(settlement),
                    None => {
                        send_again.push(self.again(doubt.looked, doubt.attempt, doubt.intent, doubt.age));
                    }
                },
                several => settlements.push(Settlement {
                    key: doubt.looked.key,
                    verdict: "doubtful",
                    reason: Some(if let [_] = several {
                        "another row agrees with the same record; select rowtwin.resolve_doubt(…) names it".to_owned()
                    } else {
                        format!(
                            "{} records could be the one that was created; select rowtwin.resolve_doubt(…) names it",
                            several.len()
                        )
                    }),
                    ..Settlement::default()
                }),
            }
        }
        let noted = Noted {
            read_again: &read_again,
            why: "found after a lost answer",
            look_again: &look_again,
            gone: &gone,
        };
        settler.settle_noting(settlements, &noted).await?;
        Ok(Vec::new())
    }

    /// No record was found: it is waited for, or given up with its row. `None` when the create is to be sent again.
    fn not_there(&self, doubt: &Doubt) -> Option<Settlement> {
        let bound = &self.bound;
        let Doubt { looked, attempt, age, .. } = doubt;
        let age = *age;
        if age < bound.doubt_window && !bound.abilities.repeats_a_create(age) {
            let left = bound.doubt_window.saturating_sub(age);
            let wait = left.min(Duration::from_secs(1)).max(Duration::from_millis(50));
            return Some(Settlement {
                key: looked.key.clone(),
                verdict: "again",
                wait_ms: Some(i64::try_from(wait.as_millis()).unwrap_or(1000)),
                ..Settlement::default()
            });
        }
        (looked.row.is_none() || looked.outside).then(|| Settlement {
            key: looked.key.clone(),
            verdict: "done",
            link: Some("unlinked"),
            attempt: Some(*attempt),
            ..Settlement::default()
        })
    }

    /// The same create once more, with the same attempt id. A system that knows the attempt answers for what it was sent
    /// then, so it is sent that again, and what the row has become follows as an update; others get the row as it is now.
    fn again(&self, looked: Looked, attempt: Uuid, intent: Record, age: Duration) -> Newcomer {
        let mapping = &self.bound.mapping;
        let current = match &looked.encoded {
            Some(Ok(encoded)) if !self.bound.abilities.repeats_a_create(age) => {
                Some(mapping.without_missing(mapping.new_record(encoded)))
            }
            _ => None,
        };
        // what fails its check or waits for an approval is not sent instead: it follows as an update, which is stopped
        let current = current.filter(|record| {
            mapping.check(record).is_none()
                && matches!(
                    or_hold(Decision::Create(record.clone()), &looked, &self.bound),
                    Decision::Create(_)
                )
        });
        Newcomer { earlier: current.is_none(), record: current.unwrap_or(intent), looked, attempt }
    }
}

/// The record was made. The base is what was sent: what the remote or a person made of it since comes in as a change.
fn made(settler: &Settler<'_>, doubt: Doubt, twin: &RemoteRecord) -> Settlement {
    let (version, told) = (twin.version.clone(), Some(&twin.fields));
    let known = settler.known_after(None, &doubt.intent, version, told, &Record::new());
    // the version of a record that somebody has added lines to since would let a write pass as if we had seen them
    let version = known.version.filter(|_| settler.bound.mapping.same(&known.shadow, &twin.fields));
    let done = Settlement {
        key: doubt.looked.key,
        verdict: "done",
        link: Some("linked"),
        remote_id: Some(twin.id.clone()),
        version,
        reference: twin.reference.clone(),
        shadow: Some(known.shadow),
        attempt: Some(doubt.attempt),
        effect: Some("create"),
        after: Some(doubt.intent),
        actor: doubt.looked.actor,
        reason: Some("the answer was lost; the record was found".to_owned()),
        ..Settlement::default()
    };
    settler.saved(twin.stage.clone(), done)
}

fn not_to_be_looked_up(key: String) -> Settlement {
    Settlement {
        key,
        verdict: "doubtful",
        reason: Some(
            "the answer to the create was lost and the record cannot be looked up; look in the system, then select rowtwin.resolve_doubt(…)"
                .to_owned(),
        ),
        ..Settlement::default()
    }
}
