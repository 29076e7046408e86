//! Comparisons under way: where each stands, and what it found.

use std::time::Duration;

use deadpool_postgres::GenericClient;
use serde_json::Value;
use tokio_postgres::types::{Json, PgLsn};
use uuid::Uuid;

use crate::model::lsn::Lsn;
use crate::model::record::Record;
use crate::store::{Store, StoreError};

/// What a comparison is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Rows with shadows, after the slot was lost.
    Recovery,
    /// Rows, shadows and records.
    Verification,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::Verification => "verification",
        }
    }
}

/// What is walked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Rows,
    Links,
    Records,
    Done,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Links => "links",
            Self::Records => "records",
            Self::Done => "done",
        }
    }

    fn read(word: &str) -> Result<Self, StoreError> {
        Ok(match word {
            "rows" => Self::Rows,
            "links" => Self::Links,
            "records" => Self::Records,
            "done" => Self::Done,
            other => return Err(StoreError::Unexpected(format!("phase {other}"))),
        })
    }
}

/// Which side a difference is mended from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    Row,
    Record,
    /// An ordinary three-way merge.
    Merge,
}

impl Repair {
    /// As it is written in SQL and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Record => "record",
            Self::Merge => "merge",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [Self::Row, Self::Record, Self::Merge].into_iter().find(|repair| repair.word() == word)
    }
}

/// A comparison that this process works on.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Another number means that it was begun anew.
    pub number: i64,
    pub phase: Phase,
    /// The last key of the phase that is done with.
    pub place: Option<String>,
    /// What the connector wants back for the next page of ids.
    pub page: Option<Value>,
    pub repair: Option<Repair>,
}

/// How far a comparison has come since it was saved last.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub number: i64,
    pub phase: Phase,
    pub place: Option<String>,
    pub page: Option<Value>,
    pub seen: usize,
    pub found: usize,
}

/// A difference, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    pub kind: &'static str,
    pub key: Option<String>,
    pub remote_id: Option<String>,
    pub fields: Vec<String>,
    pub shadow: Option<Record>,
    pub row: Option<Record>,
    pub record: Option<Record>,
}

impl Store {
    /// Takes the lease on a comparison that is due; `None` when there is none, or another process has it.
    ///
    /// A recovery is due once no transaction is left whose changes neither the stream nor a read would show.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn take_comparison(
        &self,
        binding: i32,
        purpose: Purpose,
        lease: Uuid,
        lease_for: Duration,
    ) -> Result<Option<Comparison>, StoreError> {
        let row = self
            .client()
            .await?
            .query_opt(
                "update rowtwin_private.comparison c
                 set lease = $3, lease_until = rowtwin_private.clock() + make_interval(secs => $4)
                 from rowtwin_private.binding b
                 where c.binding_id = $1 and c.purpose = $2 and c.finished_at is null and b.id = c.binding_id and b.active
                   and c.not_before <= rowtwin_private.clock()
                   and (c.barrier is null or c.barrier <= pg_snapshot_xmin(pg_current_snapshot()))
                   and (c.lease is null or c.lease = $3 or c.lease_until < rowtwin_private.clock())
                 returning c.number, c.phase, c.place, c.page, c.repair",
                &[&binding, &purpose.word(), &lease, &lease_for.as_secs_f64()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Comparison {
            number: row.get(0),
            phase: Phase::read(row.get(1))?,
            place: row.get(2),
            page: row.get::<_, Option<Json<Value>>>(3).map(|json| json.0),
            repair: row.get::<_, Option<&str>>(4).and_then(Repair::read),
        }))
    }

    /// Gives a lease back at a clean stop.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn leave_comparison(&self, binding: i32, lease: Uuid) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "update rowtwin_private.comparison set lease = null, lease_until = null
                 where binding_id = $1 and lease = $2",
                &[&binding, &lease],
            )
            .await?;
        Ok(())
    }

    /// Notes why a comparison cannot go on now, and when it is tried again.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn comparison_failed(
        &self,
        binding: i32,
        purpose: Purpose,
        wait: Duration,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "update rowtwin_private.comparison
                 set last_error = $3, not_before = rowtwin_private.clock() + make_interval(secs => $4)
                 where binding_id = $1 and purpose = $2",
                &[&binding, &purpose.word(), &reason, &wait.as_secs_f64()],
            )
            .await?;
        Ok(())
    }

    /// Orders a verification; see `rowtwin_private.order_verification`.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn order_verification(
        &self,
        binding: i32,
        reason: &str,
        repair: Option<Repair>,
    ) -> Result<i64, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "select rowtwin_private.order_verification($1, $2, $3)",
                &[&binding, &reason, &repair.map(Repair::word)],
            )
            .await?;
        Ok(row.get(0))
    }

    /// Orders the verification that a schedule asks for, if none is under way and the last one is old enough.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn order_due_verification(&self, binding: i32, every: Duration) -> Result<bool, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "select rowtwin_private.order_verification(b.id, 'scheduled', null) is not null
                 from rowtwin_private.binding b
                 left join rowtwin_private.comparison c on c.binding_id = b.id and c.purpose = 'verification'
                 where b.id = $1 and (b.backfilled_at is not null or not b.pulls)
                   and (c.binding_id is null or c.finished_at + make_interval(secs => $2) <= rowtwin_private.clock())
                 union all select false limit 1",
                &[&binding, &every.as_secs_f64()],
            )
            .await?;
        Ok(row.get(0))
    }

    /// Where the log ends, and how far the slot is confirmed; `None` while there is no slot.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn slot_confirmed(&self, slot: &str) -> Result<Option<Lsn>, StoreError> {
        Ok(self.slot(slot).await?.and_then(|slot| slot.confirmed))
    }
}

/// Where the next change will be written: everything that a read before this call has seen lies before.
///
/// # Errors
/// When the statement fails.
pub async fn wal_insert(client: &impl GenericClient) -> Result<Lsn, StoreError> {
    let row = client.query_one("select pg_current_wal_insert_lsn()", &[]).await?;
    Ok(Lsn(u64::from(row.get::<_, PgLsn>(0))))
}

/// Saves how far a comparison has come, in the transaction that wrote what it found.
///
/// # Errors
/// When the statement fails, or the comparison was taken over or begun anew: what was found must be rolled back then.
pub async fn save_comparison(
    client: &impl GenericClient,
    binding: i32,
    purpose: Purpose,
    lease: Uuid,
    progress: &Progress,
) -> Result<(), StoreError> {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let saved = client
        .execute(
            "update rowtwin_private.comparison
             set phase = $5, place = $6, page = $7, seen = seen + $8, found = found + $9, last_error = null,
                 finished_at = case when $5 = 'done' then rowtwin_private.clock() end,
                 lease = case when $5 = 'done' then null else lease end,
                 lease_until = case when $5 = 'done' then null else lease_until end
             where binding_id = $1 and purpose = $2 and lease = $3 and number = $4",
            &[
                &binding,
                &purpose.word(),
                &lease,
                &progress.number,
                &progress.phase.word(),
                &progress.place,
                &progress.page.as_ref().map(Json),
                &count(progress.seen),
                &count(progress.found),
            ],
        )
        .await?;
    if saved == 0 {
        return Err(StoreError::Unexpected("another process took this comparison over".to_owned()));
    }
    if progress.phase == Phase::Done && purpose == Purpose::Verification {
        client
            .execute(
                "delete from rowtwin_private.drift where binding_id = $1 and number < $2",
                &[&binding, &progress.number],
            )
            .await?;
    }
    Ok(())
}

/// Writes differences down.
///
/// # Errors
/// When the statement fails.
pub async fn note_drift(
    client: &impl GenericClient,
    binding: i32,
    number: i64,
    repair: Option<Repair>,
    drift: &[Drift],
) -> Result<(), StoreError> {
    for one in drift {
        client
            .execute(
                "insert into rowtwin_private.drift
                   (binding_id, number, kind, key, remote_id, fields, shadow, row_value, record_value, found_at, repair)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, rowtwin_private.clock(), $10)",
                &[
                    &binding,
                    &number,
                    &one.kind,
                    &one.key,
                    &one.remote_id,
                    &one.fields,
                    &one.shadow.as_ref().map(Json),
                    &one.row.as_ref().map(Json),
                    &one.record.as_ref().map(Json),
                    &repair.map(Repair::word),
                ],
            )
            .await?;
    }
    Ok(())
}

/// Marks keys whose rows are known to be gone: capture has come past the moment when they were missing.
///
/// # Errors
/// When the statement fails.
pub async fn mark_gone(client: &impl GenericClient, binding: i32, keys: &[String]) -> Result<(), StoreError> {
    if !keys.is_empty() {
        client.execute("select rowtwin_private.mark_later($1, $2, true)", &[&binding, &keys]).await?;
    }
    Ok(())
}

/// The keys among these that wait in the outbox for whatever reason.
///
/// # Errors
/// When the statement fails.
pub async fn waiting_keys(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
) -> Result<std::collections::BTreeSet<String>, StoreError> {
    let rows = client
        .query(
            "select key from rowtwin_private.outbox where binding_id = $1 and key = any ($2)",
            &[&binding, &keys],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
