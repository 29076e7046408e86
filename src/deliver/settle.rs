//! Settle: the end of a delivery, in one transaction.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::bound::Bound;
use crate::deliver::look::Looked;
use crate::model::diff::diff;
use crate::model::outcome::Outcome;
use crate::model::record::Record;
use crate::model::retry;
use crate::store::comparison::mark_gone;
use crate::store::inbox::note_records;
use crate::store::mirror::{Row, emit_tag, read_rows, update_rows};
use crate::store::outbox::{Settlement, mark_later, settle};
use crate::store::{Store, StoreError};

/// What is to be done after a settlement.
#[derive(Default)]
pub struct Noted<'a> {
    /// Records that are to be read and merged, and why.
    pub read_again: &'a [String],
    pub why: &'static str,
    /// Keys that are looked at once more, since their rows may have changed.
    pub look_again: &'a [String],
    /// The same for keys whose rows are gone, as capture had said.
    pub gone: &'a [String],
}

/// Settles the keys of one lease.
pub struct Settler<'a> {
    pub store: &'a Store,
    pub bound: &'a Bound,
    pub lease: Uuid,
}

impl Settler<'_> {
    /// Ends deliveries in one transaction; new remote ids are written to their rows in the same one.
    ///
    /// # Errors
    /// When the database fails; nothing was settled then.
    pub async fn settle(&self, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.settle_noting(settlements, &Noted::default()).await
    }

    /// The same, and notes what is still to be done: who dies after this commit has forgotten nothing.
    ///
    /// # Errors
    /// When the database fails; nothing was settled or noted then.
    pub async fn settle_noting(
        &self,
        settlements: Vec<Settlement>,
        noted: &Noted<'_>,
    ) -> Result<(), StoreError> {
        if settlements.is_empty() {
            return Ok(());
        }
        let mut client = self.store.client().await?;
        let transaction = client.transaction().await?;
        let settled = settle(&transaction, self.bound.id, self.lease, &settlements).await?;
        let linked: Vec<(String, String)> = settlements
            .iter()
            .filter(|one| one.link == Some("linked"))
            .filter(|one| settled.iter().any(|(key, ok)| *ok && *key == one.key))
            .filter_map(|one| Some((one.key.clone(), one.remote_id.clone()?)))
            .collect();
        self.write_ids(&transaction, &linked).await?;
        self.write_line_ids(&transaction, &settlements, &linked).await?;
        note_records(&transaction, self.bound.id, noted.read_again, noted.why, Duration::ZERO).await?;
        mark_later(&transaction, self.bound.id, noted.look_again).await?;
        mark_gone(&transaction, self.bound.id, noted.gone).await?;
        transaction.commit().await?;
        if !self.bound.children.is_empty() {
            // what was linked, and what has come to the end of its lifecycle
            let ended = settlements.iter().filter(|one| one.verdict == "done").map(|one| one.key.clone());
            let keys: Vec<String> = linked.into_iter().map(|(key, _)| key).chain(ended).collect();
            self.store.release_waiting(self.bound.id, &keys).await?;
        }
        Ok(())
    }

    /// The name by which other records refer to one that was sent, where it was sent.
    pub fn reference_in(&self, sent: &Record) -> Option<String> {
        let value = sent.get(self.bound.abilities.reference_field.as_ref()?)?;
        value.as_str().map(str::to_owned).filter(|text| !text.is_empty())
    }

    /// Writes remote ids to rows that lack theirs, and ends the keys.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write_back(&self, keys: Vec<(Looked, String)>) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let done = keys
            .iter()
            .map(|(one, _)| Settlement { key: one.key.clone(), verdict: "done", ..Settlement::default() })
            .collect::<Vec<_>>();
        let ids: Vec<(String, String)> = keys.into_iter().map(|(one, id)| (one.key, id)).collect();
        let mut client = self.store.client().await?;
        let transaction = client.transaction().await?;
        settle(&transaction, self.bound.id, self.lease, &done).await?;
        self.write_ids(&transaction, &ids).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn write_ids(
        &self,
        transaction: &deadpool_postgres::Transaction<'_>,
        linked: &[(String, String)],
    ) -> Result<(), StoreError> {
        let Some(column) = &self.bound.id_column else { return Ok(()) };
        if linked.is_empty() {
            return Ok(());
        }
        let columns = self.bound.row_columns();
        let keys: Vec<String> = linked.iter().map(|(key, _)| key.clone()).collect();
        // a row that somebody holds is not waited for: its key comes back and the id is written then
        let rows = read_rows(transaction, &self.bound.table, &columns, &keys, true).await?;
        let (mut changes, mut later) = (Vec::new(), Vec::new());
        for (key, id) in linked {
            match rows.get(key) {
                None => later.push(key.clone()),
                Some(row) if row.get(column).and_then(Value::as_str) == Some(id) => {}
                Some(_) => {
                    let mut change = Row::new();
                    change.insert(column.clone(), Value::from(id.as_str()));
                    changes.push((key.clone(), change));
                }
            }
        }
        let updated = update_rows(transaction, &self.bound.table, &columns, &changes).await?;
        // the tag may only name rows that still say what the shadow says: the id alone was written here
        let quiet: Vec<String> = updated
            .iter()
            .filter(|(key, after)| {
                rows.get(*key).is_some_and(|before| {
                    columns.iter().all(|name| name == column || before.get(name) == after.get(name))
                })
            })
            .map(|(key, _)| key.clone())
            .collect();
        emit_tag(transaction, self.bound.id, &quiet).await?;
        mark_later(transaction, self.bound.id, &later).await
    }

    /// Puts records into the inbox, to be read and merged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read_again(&self, ids: &[String], why: &str) -> Result<(), StoreError> {
        let client = self.store.client().await?;
        note_records(&client, self.bound.id, ids, why, Duration::ZERO).await
    }

    /// What is known of a record after a write: the shadow, and the version that it stands for.
    ///
    /// The shadow is what was known with what was sent laid over it. Where the answer says more or something else
    /// (a default, a trimmed text, an edit that somebody made just before or after ours), neither the row nor the
    /// shadow may pass over it: the record is to be read again and merged like any other change of it. Its version
    /// is not ours either, or the next write would be let through as if we had seen that edit.
    pub fn known_after(
        &self,
        before: Option<&Record>,
        sent: &Record,
        version: Option<String>,
        answer: Option<&Record>,
        lines: &Record,
    ) -> Known {
        let mapping = &self.bound.mapping;
        let shadow = mapping.after_sent(before.unwrap_or(&Record::new()), sent, lines);
        // lines that nothing has told the ids of can be neither changed nor removed
        let unseen = mapping.has_unseen_lines(&shadow);
        let surprising = answer.is_some_and(|answer| {
            let told = mapping.field_names().filter(|field| answer.contains_key(*field));
            !diff(answer, &shadow, told, mapping.blank_is_null).is_empty()
        });
        Known { shadow, version: version.filter(|_| !surprising), surprising: surprising || unseen }
    }
}

/// See [`Settler::known_after`].
pub struct Known {
    pub shadow: Record,
    pub version: Option<String>,
    /// The record holds something that neither side of ours knows: it must be read again.
    pub surprising: bool,
}

/// The settlement of a key that was not done, whatever was tried.
pub fn not_done(looked: &Looked, outcome: &Outcome) -> Settlement {
    let base = Settlement {
        key: looked.key.clone(),
        remote_id: looked.remote_id().map(str::to_owned),
        actor: looked.actor.clone(),
        reason: Some(outcome.reason().to_owned()),
        ..Settlement::default()
    };
    let attempts = u32::try_from(looked.attempts).unwrap_or(0);
    match outcome {
        // the system as a whole must be left alone that long: no fault of this row, so no attempt of its own
        Outcome::Retry { after: Some(after), .. } | Outcome::Throttled { after: Some(after), .. } => {
            let wait = after.saturating_add(Duration::from_millis(500).mul_f64(chance()));
            let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            Settlement { verdict: "again", wait_ms: Some(wait_ms), reason: None, ..base }
        }
        Outcome::Retry { after: None, .. } | Outcome::Throttled { after: None, .. } => {
            Settlement { verdict: "again", wait_ms: Some(wait_ms(attempts, None)), ..base }
        }
        Outcome::SignInAgain { .. } | Outcome::Unknown { .. } => {
            Settlement { verdict: "again", wait_ms: Some(wait_ms(attempts, None)), ..base }
        }
        Outcome::Misconfigured { .. } => {
            Settlement { verdict: "again", wait_ms: Some(wait_ms(attempts + 4, None)), ..base }
        }
        Outcome::Conflict { .. } => Settlement { verdict: "again", wait_ms: Some(500), ..base },
        Outcome::Reject { field, .. } => {
            Settlement { verdict: "rejected", effect: Some("reject"), field: field.clone(), ..base }
        }
        Outcome::Exists { .. } | Outcome::Gone { .. } | Outcome::Ok { .. } => Settlement {
            verdict: "rejected",
            effect: Some("reject"),
            reason: Some(match outcome.reason() {
                "" => format!("the system answered \"{}\", which makes no sense here", outcome.kind().word()),
                reason => reason.to_owned(),
            }),
            ..base
        },
    }
}

fn wait_ms(attempts: u32, asked: Option<Duration>) -> i64 {
    i64::try_from(retry::wait(attempts, chance(), asked).as_millis()).unwrap_or(i64::MAX)
}

/// A number in `0.0..1.0` for the jitter.
pub(super) fn chance() -> f64 {
    f64::from(u32::try_from(Uuid::new_v4().as_u128() & 0xFFFF_FFFF).unwrap_or(0)) / f64::from(u32::MAX)
}
