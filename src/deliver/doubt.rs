//! Doubt: a create was under way and its answer is not known (a lost answer, a crash, an expired lease).
//!
//! The record is looked up by the attempt id planted in it, else by the match fields. Found: it is the twin. Not
//! found: it may still turn up, so the create is sent again only after the doubt window, with the same attempt id.
//! Where nothing can be looked up, a person decides. Never a blind second create (R8).

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::deliver::Deliverer;
use crate::deliver::approval::or_hold;
use crate::deliver::create::{Newcomer, agrees};
use crate::deliver::decide::Decision;
use crate::deliver::look::Looked;
use crate::deliver::settle::{Noted, Settler, not_done};
use crate::model::diff::project;
use crate::model::outcome::Outcome;
use crate::model::record::{Record, RemoteRecord, same_value};
use crate::remote::gate::Priority;
use crate::store::StoreError;
use crate::store::outbox::Settlement;

impl Deliverer {
    /// Finds out what became of creates.
    pub(super) async fn resolve_doubts(
        &self,
        settler: &Settler<'_>,
        keys: Vec<Looked>,
    ) -> Result<(), StoreError> {
        let mut send_again = Vec::new();
        for looked in keys {
            if let Some(newcomer) = self.resolve_doubt(settler, looked).await? {
                send_again.push(newcomer);
            }
        }
        self.send_creates(settler, send_again).await
    }

    /// Resolves one doubt; returns the create if it is to be sent again.
    async fn resolve_doubt(
        &self,
        settler: &Settler<'_>,
        looked: Looked,
    ) -> Result<Option<Newcomer>, StoreError> {
        let bound = &self.bound;
        let Some(link) = looked.link.clone() else { return Ok(None) };
        let intent = link.intent.clone().unwrap_or_default();
        let attempt = link.attempt.unwrap_or_default();
        let planted = bound.abilities.attempt_field.as_ref().map(|field| {
            let mut by = Record::new();
            by.insert(field.clone(), Value::from(attempt.to_string()));
            by
        });
        let fields = &bound.mapping.match_fields;
        let by_match = (!fields.is_empty()
            && fields.iter().all(|field| !same_value(intent.get(field), None, true)))
        .then(|| project(&intent, fields.iter().map(String::as_str)));
        let by = planted.clone().or(by_match);
        let (true, Some(by)) = (bound.abilities.can_find, by) else {
            if bound.abilities.idempotent_create {
                return Ok(Some(self.again(looked, attempt, intent)));
            }
            settler
                .settle(vec![Settlement {
                    key: looked.key.clone(),
                    verdict: "doubtful",
                    reason: Some(
                        "the answer to the create was lost and the record cannot be looked up; look in the system, then select rowtwin.resolve_doubt(…)"
                            .to_owned(),
                    ),
                    ..Settlement::default()
                }])
                .await?;
            return Ok(None);
        };
        let found = match bound
            .client
            .find(&bound.object, &bound.record_fields(), std::slice::from_ref(&by), Priority::Edit)
            .await
        {
            Ok(found) => found,
            Err(outcome) => {
                let outcome = match outcome {
                    Outcome::Unknown { reason } => Outcome::Retry { after: None, reason },
                    other => other,
                };
                settler.settle(vec![not_done(&looked, &outcome)]).await?;
                return Ok(None);
            }
        };
        let names: Vec<String> = by.keys().cloned().collect();
        let twins: Vec<&RemoteRecord> = found
            .iter()
            .filter(|record| !record.deleted)
            // a planted id is unique by itself, and not among the mapped fields that were read
            .filter(|record| planted.is_some() || agrees(&by, &record.fields, &names, true))
            .collect();
        match twins.as_slice() {
            [twin] => {
                // the base is what was sent: what the remote or a person made of it since comes in as a change
                let (version, told) = (twin.version.clone(), Some(&twin.fields));
                let known = settler.known_after(None, &intent, version, told, &Record::new());
                let done = Settlement {
                    key: looked.key.clone(),
                    verdict: "done",
                    link: Some("linked"),
                    remote_id: Some(twin.id.clone()),
                    version: known.version,
                    reference: twin.reference.clone(),
                    shadow: Some(known.shadow),
                    attempt: Some(attempt),
                    effect: Some("create"),
                    after: Some(intent),
                    actor: looked.actor.clone(),
                    reason: Some("the answer was lost; the record was found".to_owned()),
                    ..Settlement::default()
                };
                // the row may have changed, or gone, since the create
                let noted = Noted {
                    read_again: std::slice::from_ref(&twin.id),
                    why: "found after a lost answer",
                    look_again: Some(&looked),
                };
                settler.settle_noting(vec![settler.saved(twin.stage.clone(), done)], &noted).await?;
                Ok(None)
            }
            [] => {
                let age = link
                    .attempted_at
                    .and_then(|at| SystemTime::now().duration_since(at).ok())
                    .unwrap_or(Duration::ZERO);
                if age < bound.doubt_window && !bound.abilities.idempotent_create {
                    let left = bound.doubt_window.saturating_sub(age);
                    let wait = left.min(Duration::from_secs(1)).max(Duration::from_millis(50));
                    settler
                        .settle(vec![Settlement {
                            key: looked.key.clone(),
                            verdict: "again",
                            wait_ms: Some(i64::try_from(wait.as_millis()).unwrap_or(1000)),
                            ..Settlement::default()
                        }])
                        .await?;
                    return Ok(None);
                }
                if looked.row.is_none() || looked.outside {
                    settler
                        .settle(vec![Settlement {
                            key: looked.key.clone(),
                            verdict: "done",
                            link: Some("unlinked"),
                            attempt: Some(attempt),
                            ..Settlement::default()
                        }])
                        .await?;
                    return Ok(None);
                }
                Ok(Some(self.again(looked, attempt, intent)))
            }
            several => {
                settler
                    .settle(vec![Settlement {
                        key: looked.key.clone(),
                        verdict: "doubtful",
                        reason: Some(format!(
                            "{} records could be the one that was created; select rowtwin.resolve_doubt(…) names it",
                            several.len()
                        )),
                        ..Settlement::default()
                    }])
                    .await?;
                Ok(None)
            }
        }
    }

    /// The same create once more: with the same attempt id, and with the row as it is now.
    fn again(&self, looked: Looked, attempt: uuid::Uuid, intent: Record) -> Newcomer {
        let mapping = &self.bound.mapping;
        let current = match &looked.encoded {
            Some(Ok(encoded)) => Some(mapping.without_missing(mapping.new_record(encoded))),
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
        Newcomer { record: current.unwrap_or(intent), looked, attempt }
    }
}
