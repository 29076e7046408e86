//! The outbox: mark, claim, begin to send, settle.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use deadpool_postgres::GenericClient;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::{Json, PgLsn};
use uuid::Uuid;

use crate::model::record::Record;
use crate::store::capturing::still_captures;
use crate::store::link::move_link;
use crate::store::{Store, StoreError};

/// A key to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub binding: i32,
    pub key: String,
    /// End of the transaction that changed the row, as a WAL position.
    pub position: u64,
    /// When that transaction committed.
    pub changed_at: SystemTime,
    pub actor: Option<String>,
    /// Whether that transaction deleted the row; `None`: it says nothing about the row itself, only about its lines.
    pub gone: Option<bool>,
}

/// A key that this turn holds under its lease.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub key: String,
    pub changed_at: SystemTime,
    pub attempts: i32,
    pub actor: Option<String>,
    /// Capture saw the row's own delete.
    pub row_gone: bool,
    /// The row is one of a circle: its record is made without the reference that is missing.
    pub loose: bool,
}

/// What is about to be sent for one key.
#[derive(Debug, Clone)]
pub struct Intent {
    pub key: String,
    /// The link's revision when it was looked at; 0 where there is none.
    pub revision: i64,
    /// For a create: the attempt's id and what will be sent.
    pub create: Option<(Uuid, Record)>,
}

/// How one key's delivery ended; see `rowtwin_private.settle`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Settlement {
    pub key: String,
    /// done, step, again, rejected, held, doubtful or waiting.
    pub verdict: &'static str,
    /// linked, unlinked, kept or outside; none leaves the link as it is.
    pub link: Option<&'static str>,
    pub remote_id: Option<String>,
    pub version: Option<String>,
    pub remote_ms: Option<i64>,
    pub reference: Option<String>,
    pub shadow: Option<Record>,
    pub attempt: Option<Uuid>,
    pub field: Option<String>,
    pub reason: Option<String>,
    pub wait_ms: Option<i64>,
    pub effect: Option<&'static str>,
    pub side: Option<&'static str>,
    pub before: Option<Record>,
    pub after: Option<Record>,
    pub actor: Option<String>,
    /// Of what is held: approval, guard; of what is rejected: ambiguous.
    pub hold: Option<&'static str>,
    /// What would be sent, for the person who approves it.
    pub would: Option<Value>,
    /// Remote ids that come into question as the twin.
    pub candidates: Option<Vec<String>>,
    /// For `waiting`: the binding and key of the row whose record must exist first.
    pub waits_binding: Option<i32>,
    pub waits_key: Option<String>,
    /// Where the record stands now, where that was learned.
    pub stage: Option<String>,
    /// The step that comes next; of every verdict but `step`, none leaves it as it is.
    pub step: Option<String>,
    /// No step is owed any more: what was to be saved was refused.
    pub owes_nothing: bool,
    /// The lines that were about to be added surely were not: nobody looks for them in the record.
    pub lines_unsent: bool,
}

impl Store {
    /// Writes marks and how far the WAL has been taken in, in one transaction.
    ///
    /// `changes` counts the row changes per binding that these marks stand for, for the books. `holder` is the stream
    /// that they come from.
    ///
    /// # Errors
    /// When a statement fails, or another stream has taken over; nothing was written then.
    pub async fn mark_rows(
        &self,
        slot: &str,
        holder: Option<Uuid>,
        confirmed: u64,
        moves: &[(i32, String, String)],
        marks: &[Mark],
        changes: &[(i32, i64)],
    ) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        for (binding, old, new) in moves {
            move_link(&transaction, *binding, old, new).await?;
        }
        if !marks.is_empty() {
            let bindings: Vec<i32> = marks.iter().map(|mark| mark.binding).collect();
            let keys: Vec<&str> = marks.iter().map(|mark| mark.key.as_str()).collect();
            let positions: Vec<PgLsn> = marks.iter().map(|mark| PgLsn::from(mark.position)).collect();
            let times: Vec<SystemTime> = marks.iter().map(|mark| mark.changed_at).collect();
            let actors: Vec<Option<&str>> = marks.iter().map(|mark| mark.actor.as_deref()).collect();
            let gone: Vec<Option<bool>> = marks.iter().map(|mark| mark.gone).collect();
            transaction
                .execute(
                    "select rowtwin_private.mark_rows($1, $2, $3, $4, $5, $6)",
                    &[&bindings, &keys, &positions, &times, &actors, &gone],
                )
                .await?;
        }
        for (binding, old, new) in moves {
            // a step that is owed moves with its row, whose new key was marked just now
            transaction
                .execute(
                    "update rowtwin_private.outbox n set step = o.step
                     from rowtwin_private.outbox o
                     where o.binding_id = $1 and o.key = $2 and o.step is not null
                       and n.binding_id = o.binding_id and n.key = $3 and n.step is null",
                    &[binding, old, new],
                )
                .await?;
        }
        if !changes.is_empty() {
            let (bindings, counts): (Vec<i32>, Vec<i64>) = changes.iter().copied().unzip();
            transaction
                .execute(
                    "insert into rowtwin_private.usage as u (system, hour, object, direction, changes)
                     select b.system, date_trunc('hour', rowtwin_private.clock()), b.object, 'push', sum(c.n)
                     from unnest($1::int[], $2::bigint[]) c (id, n) join rowtwin_private.binding b on b.id = c.id
                     group by b.system, b.object order by b.system, b.object
                     on conflict (system, hour, object, direction) do update set changes = u.changes + excluded.changes",
                    &[&bindings, &counts],
                )
                .await?;
        }
        let total: i64 = changes.iter().map(|(_, count)| count).sum();
        still_captures(&transaction, slot, holder).await?;
        transaction
            .execute(
                "update rowtwin_private.capture
                 set confirmed = greatest(confirmed, $2), changes = changes + $3, last_at = rowtwin_private.clock()
                 where slot = $1",
                &[&slot, &PgLsn::from(confirmed), &total],
            )
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Parks every linked key of a binding after a TRUNCATE, for a person to approve the deletes.
    ///
    /// # Errors
    /// When the statement fails, or another stream than `holder` has taken over.
    pub async fn hold_truncated(
        &self,
        slot: &str,
        holder: Option<Uuid>,
        binding: i32,
    ) -> Result<i64, StoreError> {
        let reason = "the table was truncated: this record would be deleted; select rowtwin.approve(…) with the name of the table sends the deletes";
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let held = hold_links(&transaction, binding, None, Some(true), reason).await?;
        still_captures(&transaction, slot, holder).await?;
        transaction.commit().await?;
        Ok(held)
    }

    /// Parks every linked document of a binding after a TRUNCATE of its lines, for a person to approve.
    ///
    /// # Errors
    /// When the statement fails, or another stream than `holder` has taken over.
    pub async fn hold_emptied(
        &self,
        slot: &str,
        holder: Option<Uuid>,
        binding: i32,
    ) -> Result<i64, StoreError> {
        let reason = "the table of its lines was truncated: this document would lose its lines; select rowtwin.approve(…) with the name of the table sends that";
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let held = hold_links(&transaction, binding, None, None, reason).await?;
        still_captures(&transaction, slot, holder).await?;
        transaction.commit().await?;
        Ok(held)
    }

    /// Makes entries ready again whose lease ran out.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn rescue_outbox(&self) -> Result<i64, StoreError> {
        Ok(self.client().await?.query_one("select rowtwin_private.rescue_outbox()", &[]).await?.get(0))
    }

    /// Takes up to `limit` ready keys of a binding under a lease.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn claim(
        &self,
        binding: i32,
        limit: usize,
        lease: Uuid,
        lease_for: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let rows = self
            .client()
            .await?
            .query(
                "select key, changed_at, attempts, actor, row_gone, loose
                 from rowtwin_private.claim($1, $2, $3, make_interval(secs => $4))",
                &[&binding, &limit, &lease, &lease_for.as_secs_f64()],
            )
            .await?;
        Ok(rows
            .iter()
            .map(|row| Claimed {
                key: row.get(0),
                changed_at: row.get(1),
                attempts: row.get(2),
                actor: row.get(3),
                row_gone: row.get(4),
                loose: row.get(5),
            })
            .collect())
    }

    /// Renews the lease of a turn on what it still holds; false when it holds nothing any more.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn renew_claims(&self, lease: Uuid, lease_for: Duration) -> Result<bool, StoreError> {
        let renewed = self
            .client()
            .await?
            .execute(
                "update rowtwin_private.outbox set lease_until = rowtwin_private.clock() + make_interval(secs => $2)
                 where state = 'sending' and lease = $1 and lease_until > rowtwin_private.clock()",
                &[&lease, &lease_for.as_secs_f64()],
            )
            .await?;
        Ok(renewed > 0)
    }

    /// The last check before a call; see `rowtwin_private.begin_send`. Returns the keys that may be sent.
    ///
    /// # Errors
    /// When the statement fails; nothing may be sent then.
    pub async fn begin_send(
        &self,
        binding: i32,
        lease: Uuid,
        lease_for: Duration,
        intents: &[Intent],
    ) -> Result<Vec<String>, StoreError> {
        let keys: Vec<&str> = intents.iter().map(|intent| intent.key.as_str()).collect();
        let revisions: Vec<i64> = intents.iter().map(|intent| intent.revision).collect();
        let attempts: Vec<Option<Uuid>> =
            intents.iter().map(|intent| intent.create.as_ref().map(|(attempt, _)| *attempt)).collect();
        let records: Vec<Option<Json<&Record>>> =
            intents.iter().map(|intent| intent.create.as_ref().map(|(_, record)| Json(record))).collect();
        let rows = self
            .client()
            .await?
            .query(
                "select key from rowtwin_private.begin_send($1, $2, make_interval(secs => $3), $4, $5, $6, $7)",
                &[&binding, &lease, &lease_for.as_secs_f64(), &keys, &revisions, &attempts, &records],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// Parks linked keys for a person to approve: these, or all of a binding; see `rowtwin_private.hold_links`.
///
/// # Errors
/// When the statement fails.
pub async fn hold_links(
    client: &impl GenericClient,
    binding: i32,
    keys: Option<&[String]>,
    gone: Option<bool>,
    reason: &str,
) -> Result<i64, StoreError> {
    let row = client
        .query_one("select rowtwin_private.hold_links($1, $2, $3, $4)", &[&binding, &keys, &gone, &reason])
        .await?;
    Ok(row.get(0))
}

/// Ends deliveries; see `rowtwin_private.settle`. Returns for each key whether its link was taken as asked.
///
/// # Errors
/// When the statement fails; nothing was settled then, and the lease's end brings the keys back.
pub async fn settle(
    client: &impl GenericClient,
    binding: i32,
    lease: Uuid,
    settlements: &[Settlement],
) -> Result<Vec<(String, bool)>, StoreError> {
    let results =
        serde_json::to_value(settlements).map_err(|error| StoreError::Unexpected(error.to_string()))?;
    let rows = client
        .query(
            "select key, settled from rowtwin_private.settle($1, $2, $3)",
            &[&binding, &lease, &Json::<&Value>(&results)],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Marks keys to be looked at although no change of theirs was captured.
///
/// # Errors
/// When the statement fails.
pub async fn mark_later(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
) -> Result<(), StoreError> {
    if !keys.is_empty() {
        client.execute("select rowtwin_private.mark_later($1, $2)", &[&binding, &keys]).await?;
    }
    Ok(())
}

impl Store {
    /// Whether these transactions (32-bit ids) can be seen already; see `rowtwin_private.all_visible`.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn all_visible(&self, xids: &[i64]) -> Result<bool, StoreError> {
        Ok(self.client().await?.query_one("select rowtwin_private.all_visible($1)", &[&xids]).await?.get(0))
    }
}

/// What was approved of these keys: the effect, and whether somebody approved the entry at all.
///
/// # Errors
/// When the statement fails.
pub async fn approvals(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
) -> Result<HashMap<String, (Option<Value>, bool)>, StoreError> {
    let rows = client
        .query(
            "select key, approved, waved from rowtwin_private.outbox
             where binding_id = $1 and key = any ($2) and (approved is not null or waved)",
            &[&binding, &keys],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), (row.get::<_, Option<Json<Value>>>(1).map(|json| json.0), row.get(2))))
        .collect())
}
