//! The inbox, the conflicts and the journal of what was applied.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use deadpool_postgres::GenericClient;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::Json;

use crate::model::merge::{FieldConflict, Side};
use crate::model::record::Record;
use crate::store::{Store, StoreError};

/// Which records are due; the tests of plans look at it, too.
pub const DUE_RECORDS: &str =
    "select remote_id, why, attempts, since, waved, loose, xmin::text from rowtwin_private.inbox
     where binding_id = $1 and state = 'ready' and not_before <= rowtwin_private.clock()
     order by not_before limit $2";

/// A remote id to read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub remote_id: String,
    pub why: String,
    pub attempts: i32,
    /// When it was first put in.
    pub since: SystemTime,
    /// A person approved it: the guard lets it pass.
    pub waved: bool,
    /// One of a circle of records that wait for each other: it is taken without the reference that is missing.
    pub loose: bool,
    /// Another one as soon as the entry is noted again.
    pub mark: String,
}

impl Store {
    /// Puts the ids that a webhook names into the inbox: ids and their bindings in turn.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn note_webhook(&self, bindings: &[i32], ids: &[String]) -> Result<(), StoreError> {
        let client = self.client().await?;
        // the sender waits: the statement is prepared once for each connection
        let statement = client.prepare_cached("select rowtwin_private.note_webhook($1, $2)").await?;
        client.execute(&statement, &[&bindings, &ids]).await?;
        Ok(())
    }

    /// Up to `limit` remote ids of a binding that are due.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn due_records(&self, binding: i32, limit: usize) -> Result<Vec<Waiting>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.client().await?.query(DUE_RECORDS, &[&binding, &limit]).await?;
        Ok(rows
            .iter()
            .map(|row| Waiting {
                remote_id: row.get(0),
                why: row.get(1),
                attempts: row.get(2),
                since: row.get(3),
                waved: row.get(4),
                loose: row.get(5),
                mark: row.get(6),
            })
            .collect())
    }

    /// Which of these records wait to be read again (false), or for a person (true).
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn waiting_records(
        &self,
        binding: i32,
        ids: &[String],
    ) -> Result<HashMap<String, bool>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = self
            .client()
            .await?
            .query(
                "select remote_id, state = 'held' from rowtwin_private.inbox
                 where binding_id = $1 and remote_id = any ($2) and (state = 'ready' or (state = 'held' and hold = 'guard'))",
                &[&binding, &ids],
            )
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

/// Puts remote ids into the inbox.
///
/// # Errors
/// When the statement fails.
pub async fn note_records(
    client: &impl GenericClient,
    binding: i32,
    ids: &[String],
    why: &str,
    wait: Duration,
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    client
        .execute(
            "select rowtwin_private.note_records($1, $2, $3, make_interval(secs => $4))",
            &[&binding, &ids, &why, &wait.as_secs_f64()],
        )
        .await?;
    Ok(())
}

/// Keeps a record that could not be applied, with its reason.
///
/// # Errors
/// When the statement fails.
pub async fn reject_record(
    client: &impl GenericClient,
    binding: i32,
    id: &str,
    reason: &str,
) -> Result<(), StoreError> {
    client.execute("select rowtwin_private.reject_record($1, $2, $3)", &[&binding, &id, &reason]).await?;
    Ok(())
}

/// Keeps records that may be what a create in doubt has made, until a person resolves the doubt.
///
/// # Errors
/// When the statement fails.
pub async fn park_records(
    client: &impl GenericClient,
    binding: i32,
    ids: &[String],
) -> Result<(), StoreError> {
    if !ids.is_empty() {
        client.execute("select rowtwin_private.park_records($1, $2)", &[&binding, &ids]).await?;
    }
    Ok(())
}

/// Takes entries out of the inbox: their records are about to be applied in this transaction. One that was noted again
/// since it was found due stays: what it tells of may be newer than what was read.
///
/// # Errors
/// When the statement fails.
pub async fn clear_records<'a>(
    client: &impl GenericClient,
    binding: i32,
    read: impl IntoIterator<Item = &'a Waiting>,
) -> Result<(), StoreError> {
    let (ids, marks): (Vec<&str>, Vec<&str>) =
        read.into_iter().map(|one| (one.remote_id.as_str(), one.mark.as_str())).unzip();
    client
        .execute(
            "delete from rowtwin_private.inbox i using unnest($2::text[], $3::text[]) as x (id, mark)
             where i.binding_id = $1 and i.remote_id = any ($2) and i.remote_id = x.id and i.xmin::text = x.mark",
            &[&binding, &ids, &marks],
        )
        .await?;
    Ok(())
}

/// Keeps the approval of ids that could not be applied now and stand in the inbox again: a person who has said yes is
/// not asked a second time because a row was locked.
///
/// # Errors
/// When the statement fails.
pub async fn keep_waved(
    client: &impl GenericClient,
    binding: i32,
    waved: &BTreeSet<String>,
) -> Result<(), StoreError> {
    if waved.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = waved.iter().map(String::as_str).collect();
    client
        .execute(
            "update rowtwin_private.inbox set waved = true
             where binding_id = $1 and remote_id = any ($2) and hold is distinct from 'guard'",
            &[&binding, &ids],
        )
        .await?;
    Ok(())
}

/// Takes those of these ids out of the inbox that were held, or could not be applied before: they are looked at again
/// in this transaction.
///
/// # Errors
/// When the statement fails.
pub async fn clear_rejected(
    client: &impl GenericClient,
    binding: i32,
    ids: &[String],
) -> Result<(), StoreError> {
    client
        .execute(
            "delete from rowtwin_private.inbox
             where binding_id = $1 and remote_id = any ($2) and state <> 'ready'",
            &[&binding, &ids],
        )
        .await?;
    Ok(())
}

/// Puts ids off after a read that could not be made.
///
/// # Errors
/// When the statement fails.
pub async fn put_off(
    client: &impl GenericClient,
    binding: i32,
    ids: &[String],
    wait: Duration,
    reason: &str,
) -> Result<(), StoreError> {
    client
        .execute(
            "update rowtwin_private.inbox
             set attempts = attempts + 1, reason = $4, not_before = rowtwin_private.clock() + make_interval(secs => $3)
             where binding_id = $1 and remote_id = any ($2)",
            &[&binding, &ids, &wait.as_secs_f64(), &reason],
        )
        .await?;
    Ok(())
}

/// Records conflicts of one row. A held one that is open already is brought up to date.
///
/// # Errors
/// When the statement fails.
pub async fn save_conflicts(
    client: &impl GenericClient,
    binding: i32,
    key: &str,
    remote_id: &str,
    conflicts: &[FieldConflict],
) -> Result<(), StoreError> {
    for conflict in conflicts {
        let winner = match conflict.winner {
            Side::Row => "row",
            Side::Record => "record",
            Side::Held | Side::Agreed => "held",
        };
        client
            .execute(
                "insert into rowtwin_private.conflict
                   (binding_id, key, remote_id, field, shadow, row_value, record_value, winner, policy, unit, decided_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, rowtwin_private.clock())
                 on conflict (binding_id, key, field) where winner = 'held' and resolved_at is null
                 do update set row_value = excluded.row_value, record_value = excluded.record_value",
                &[
                    &binding,
                    &key,
                    &remote_id,
                    &conflict.field,
                    &Json(&conflict.shadow),
                    &Json(&conflict.row),
                    &Json(&conflict.record),
                    &winner,
                    &conflict.policy_word(),
                    &conflict.unit,
                ],
            )
            .await?;
    }
    Ok(())
}

/// One line of the journal.
#[derive(Debug, Clone, Serialize)]
pub struct JournalLine {
    pub key: Option<String>,
    pub remote_id: Option<String>,
    /// remote, row or link.
    pub side: &'static str,
    pub effect: &'static str,
    pub before: Option<Record>,
    pub after: Option<Record>,
    pub reason: Option<String>,
}

/// Writes lines of the journal.
///
/// # Errors
/// When the statement fails.
pub async fn write_journal(
    client: &impl GenericClient,
    binding: i32,
    lines: &[JournalLine],
) -> Result<(), StoreError> {
    if lines.is_empty() {
        return Ok(());
    }
    let lines = serde_json::to_value(lines).map_err(|error| StoreError::Unexpected(error.to_string()))?;
    client
        .execute(
            "insert into rowtwin_private.journal (at, binding_id, key, remote_id, side, effect, before, after, reason)
             select rowtwin_private.clock(), $1, x.key, x.remote_id, x.side, x.effect, x.before, x.after, x.reason
             from jsonb_to_recordset($2) x (key text, remote_id text, side text, effect text, before jsonb, after jsonb, reason text)",
            &[&binding, &Json::<&Value>(&lines)],
        )
        .await?;
    Ok(())
}
