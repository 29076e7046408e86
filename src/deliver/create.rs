//! Create: find the row's twin, or make it, never twice (R8).

use uuid::Uuid;

use crate::connector::client::NewRecord;
use crate::deliver::look::Looked;
use crate::deliver::send::{chunks, halve, splits};
use crate::deliver::settle::{Noted, Settler, not_done};
use crate::deliver::{Deliverer, bounded};
use crate::mapping::Mapping;
use crate::mapping::reference::Missing;
use crate::model::diff::project;
use crate::model::outcome::Outcome;
use crate::model::record::{Record, RemoteRecord, same_value};
use crate::remote::gate::Priority;
use crate::remote::lease::LEASE;
use crate::store::StoreError;
use crate::store::filter::inside;
use crate::store::matching::matches;
use crate::store::mirror::Row;
use crate::store::outbox::{Intent, Settlement};

/// A row that is to get a twin.
pub(super) struct Newcomer {
    pub looked: Looked,
    pub record: Record,
    /// Kept over all tries of the same create.
    pub attempt: Uuid,
    /// What is sent is an earlier try's, not the row as it is now: the row is looked at again afterwards.
    pub earlier: bool,
}

impl Newcomer {
    /// The reference that the record is made without, since the row is one of a circle.
    fn left_out(&self, mapping: &Mapping) -> Option<Missing> {
        let encoded = self.looked.encoded.as_ref()?.as_ref().ok()?;
        mapping.missing(&mapping.new_record(encoded))
    }
}

impl Deliverer {
    /// Links rows to records that are there already and creates the others.
    pub(super) async fn create(
        &self,
        settler: &Settler<'_>,
        keys: Vec<(Looked, Record)>,
    ) -> Result<(), StoreError> {
        let newcomers: Vec<Newcomer> = keys
            .into_iter()
            .map(|(looked, record)| Newcomer { looked, record, attempt: Uuid::now_v7(), earlier: false })
            .collect();
        let newcomers = self.matched(settler, newcomers).await?;
        self.send_creates(settler, newcomers).await
    }

    /// Looks newcomers up by the match fields; those that are found are linked, the others returned.
    async fn matched(
        &self,
        settler: &Settler<'_>,
        newcomers: Vec<Newcomer>,
    ) -> Result<Vec<Newcomer>, StoreError> {
        let bound = &self.bound;
        let fields = &bound.mapping.match_fields;
        if fields.is_empty() || !bound.abilities.can_find || newcomers.is_empty() {
            return Ok(newcomers);
        }
        let (searched, rest): (Vec<Newcomer>, Vec<Newcomer>) = newcomers
            .into_iter()
            .partition(|one| fields.iter().all(|field| !same_value(one.record.get(field), None, true)));
        let mut unmatched = rest;
        for chunk in chunks(searched, bound.abilities.find_batch) {
            let by: Vec<Record> =
                chunk.iter().map(|one| project(&one.record, fields.iter().map(String::as_str))).collect();
            let found =
                match bound.client.find(&bound.object, &bound.record_fields(), &by, Priority::Edit).await {
                    Ok(found) => found,
                    Err(outcome) => {
                        // nothing was sent: an unknown answer of a look-up is no doubt
                        let outcome = match outcome {
                            Outcome::Unknown { reason } => Outcome::Retry { after: None, reason },
                            other => other,
                        };
                        settler
                            .settle(chunk.iter().map(|one| not_done(&one.looked, &outcome)).collect())
                            .await?;
                        continue;
                    }
                };
            let rivals = self.rivals(&chunk, &found).await?;
            let mut settlements = Vec::new();
            let mut read_again = Vec::new();
            for one in chunk {
                let twins: Vec<&RemoteRecord> = found
                    .iter()
                    .filter(|record| !record.deleted && agrees(&one.record, &record.fields, fields, true))
                    .collect();
                let others: Vec<&str> = rivals
                    .iter()
                    .filter(|(key, record)| {
                        *key != one.looked.key && agrees(&one.record, record, fields, true)
                    })
                    .map(|(key, _)| key.as_str())
                    .collect();
                match twins.as_slice() {
                    [] => unmatched.push(one),
                    [twin] if !others.is_empty() => settlements.push(ambiguous(
                        &one,
                        vec![twin.id.clone()],
                        format!(
                            "other rows ({}) agree with the same record in {}; make the values unique, or rowtwin.link the right one",
                            others.join(", "),
                            fields.join(", ")
                        ),
                        fields,
                    )),
                    [twin] => {
                        read_again.push(twin.id.clone());
                        settlements.push(Settlement {
                            key: one.looked.key.clone(),
                            verdict: "done",
                            link: Some("linked"),
                            remote_id: Some(twin.id.clone()),
                            version: twin.version.clone(),
                            effect: Some("link"),
                            side: Some("link"),
                            reason: Some(format!("found by {}", fields.join(", "))),
                            actor: one.looked.actor.clone(),
                            ..Settlement::default()
                        });
                    }
                    several => settlements.push(ambiguous(
                        &one,
                        several.iter().map(|twin| twin.id.clone()).collect(),
                        format!(
                            "{} records agree with this row in {}; make the values unique, or rowtwin.link the right one",
                            several.len(),
                            fields.join(", ")
                        ),
                        fields,
                    )),
                }
            }
            let noted = Noted { read_again: &read_again, why: "first comparison", ..Noted::default() };
            settler.settle_noting(settlements, &noted).await?;
        }
        Ok(unmatched)
    }

    /// Rows without a twin that agree in the match fields with one of these that have found a record, in the
    /// record's form: of several rows for one record none is taken by chance.
    async fn rivals(
        &self,
        chunk: &[Newcomer],
        found: &[RemoteRecord],
    ) -> Result<Vec<(String, Record)>, StoreError> {
        let bound = &self.bound;
        let fields = &bound.mapping.match_fields;
        let columns = bound.mapping.columns_of(fields);
        let values: Vec<Row> = chunk
            .iter()
            .filter(|one| found.iter().any(|record| agrees(&one.record, &record.fields, fields, true)))
            .filter_map(|one| {
                let row = one.looked.row.as_ref()?;
                Some(columns.iter().filter_map(|name| Some((name.clone(), row.get(name)?.clone()))).collect())
            })
            .collect();
        let client = self.store.client().await?;
        let mut rows =
            matches(&client, &bound.table, bound.id, &bound.row_columns(), &columns, &values).await?;
        rows.retain(|row| row.twin.is_none());
        let keys: Vec<String> = rows.iter().map(|row| row.key.clone()).collect();
        let inside = inside(&client, &bound.table, bound.filter.as_deref(), &keys).await?;
        let known = bound.references(&client, rows.iter().map(|row| &row.row), []).await?;
        Ok(rows
            .into_iter()
            .filter(|row| inside.contains(&row.key))
            .filter_map(|row| Some((row.key, bound.mapping.encode(&row.row, &known).ok()?)))
            .collect())
    }

    /// Commits the intents, sends, settles.
    pub(super) async fn send_creates(
        &self,
        settler: &Settler<'_>,
        newcomers: Vec<Newcomer>,
    ) -> Result<(), StoreError> {
        let size = self.bound.abilities.create_batch.max(1);
        self.in_chunks(newcomers, size, |chunk| self.create_batch(settler, chunk)).await
    }

    async fn create_batch(&self, settler: &Settler<'_>, chunk: Vec<Newcomer>) -> Result<(), StoreError> {
        let bound = &self.bound;
        let looked: Vec<&Looked> = chunk.iter().map(|one| &one.looked).collect();
        if self.given_back(settler, &looked).await? {
            return Ok(());
        }
        let mut batches = vec![chunk];
        while let Some(batch) = batches.pop() {
            let intents: Vec<Intent> = batch
                .iter()
                .map(|one| Intent {
                    key: one.looked.key.clone(),
                    revision: one.looked.revision(),
                    create: Some((one.attempt, one.record.clone())),
                })
                .collect();
            let ours = self.store.begin_send(bound.id, settler.lease, LEASE, &intents).await?;
            let (batch, lost): (Vec<Newcomer>, Vec<Newcomer>) =
                batch.into_iter().partition(|one| ours.contains(&one.looked.key));
            let again = lost
                .iter()
                .map(|one| Settlement {
                    key: one.looked.key.clone(),
                    verdict: "again",
                    ..Settlement::default()
                })
                .collect();
            settler.settle(again).await?;
            if batch.is_empty() {
                continue;
            }
            self.owe(settler, &batch.iter().map(|one| &one.looked).collect::<Vec<_>>()).await?;
            let items: Vec<NewRecord> = batch
                .iter()
                .map(|one| NewRecord { attempt: one.attempt, fields: one.record.clone() })
                .collect();
            let answer =
                bounded(items.len(), bound.client.create(&bound.object, &items, Priority::Edit)).await;
            if splits(&answer, batch.len()) {
                halve(&mut batches, batch);
                continue;
            }
            let mut settlements = Vec::new();
            let mut read_again = Vec::new();
            let (mut look_again, mut gone) = (Vec::new(), Vec::new());
            for (one, outcome) in batch.iter().zip(answer.outcomes) {
                let settlement = self.settle_create(settler, one, outcome, &mut read_again).await?;
                if one.earlier && settlement.verdict == "done" {
                    let marks = if one.looked.row_gone { &mut gone } else { &mut look_again };
                    marks.push(one.looked.key.clone());
                }
                settlements.push(settlement);
            }
            let noted = Noted {
                read_again: &read_again,
                why: "first comparison",
                look_again: &look_again,
                gone: &gone,
            };
            settler.settle_noting(settlements, &noted).await?;
        }
        Ok(())
    }

    async fn settle_create(
        &self,
        settler: &Settler<'_>,
        one: &Newcomer,
        outcome: Outcome,
        read_again: &mut Vec<String>,
    ) -> Result<Settlement, StoreError> {
        let base = Settlement {
            key: one.looked.key.clone(),
            attempt: Some(one.attempt),
            actor: one.looked.actor.clone(),
            ..Settlement::default()
        };
        Ok(match outcome {
            Outcome::Ok { id: Some(id), version, record, reference, lines } => {
                let left_out = one.left_out(&self.bound.mapping);
                let known = settler.known_after(None, &one.record, version, record.as_deref(), &lines);
                if known.surprising {
                    read_again.push(id.clone());
                }
                settler.created(Settlement {
                    // what was left out follows when the record that it names exists
                    verdict: if left_out.is_some() { "waiting" } else { "done" },
                    waits_binding: left_out.as_ref().map(|missing| missing.parent),
                    waits_key: left_out.map(|missing| missing.name),
                    link: Some("linked"),
                    remote_id: Some(id),
                    reference: reference.or_else(|| settler.reference_in(&one.record)),
                    version: known.version,
                    shadow: Some(known.shadow),
                    effect: Some("create"),
                    after: Some(one.record.clone()),
                    ..base
                })
            }
            // the intent stays: the next look finds out
            Outcome::Ok { id: None, .. } => Settlement {
                verdict: "again",
                wait_ms: Some(1000),
                reason: Some("the system confirmed the create without naming the record".to_owned()),
                ..base
            },
            Outcome::Unknown { reason } => {
                Settlement { verdict: "again", wait_ms: Some(300), reason: Some(reason), ..base }
            }
            Outcome::Exists { id: Some(id), reason } => {
                read_again.push(id.clone());
                Settlement {
                    verdict: "done",
                    link: Some("linked"),
                    remote_id: Some(id),
                    effect: Some("link"),
                    side: Some("link"),
                    reason: Some(reason),
                    ..base
                }
            }
            // it exists, but which one is it? The intent stays and the next look searches.
            Outcome::Exists { id: None, reason } if self.can_look_up() => {
                Settlement { verdict: "again", wait_ms: Some(300), reason: Some(reason), ..base }
            }
            other => Settlement {
                link: Some("unlinked"),
                attempt: Some(one.attempt),
                owes_nothing: true,
                ..not_done(&one.looked, &other)
            },
        })
    }

    /// Whether a create in doubt can be looked up at all.
    pub(super) fn can_look_up(&self) -> bool {
        let bound = &self.bound;
        bound.abilities.can_find
            && (bound.abilities.attempt_field.is_some() || !bound.mapping.match_fields.is_empty())
    }
}

/// It cannot be told which record is the twin: nothing is guessed.
fn ambiguous(one: &Newcomer, candidates: Vec<String>, reason: String, fields: &[String]) -> Settlement {
    Settlement {
        key: one.looked.key.clone(),
        verdict: "rejected",
        hold: Some("ambiguous"),
        candidates: Some(candidates),
        reason: Some(reason),
        field: fields.first().cloned(),
        effect: Some("reject"),
        side: Some("link"),
        ..Settlement::default()
    }
}

/// Whether a record agrees with what was searched for, in all match fields.
pub(super) fn agrees(wanted: &Record, record: &Record, fields: &[String], blank_is_null: bool) -> bool {
    fields.iter().all(|field| same_value(wanted.get(field), record.get(field), blank_is_null))
}
