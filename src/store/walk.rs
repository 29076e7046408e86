//! Walks: the pull cursor of a binding, and the pages under way.

use std::time::{Duration, SystemTime};

use deadpool_postgres::GenericClient;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::store::{Store, StoreError};

/// Why the pages of an object are walked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalkKind {
    /// Everything, for the first time.
    Backfill,
    /// What changed since the cursor.
    Poll,
    /// All ids, to find deletes.
    Sweep,
}

/// A walk under way; stored in the binding, so that it resumes where it stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    pub kind: WalkKind,
    /// What the connector wants back for the next page; null for the first.
    pub page: Value,
    /// By our clock, ms: not before then is the next page asked for, since the remote still works on it.
    #[serde(default)]
    pub not_before_ms: Option<i64>,
    /// The stamp from which on records are listed, ms; none lists all. Fixed for the whole walk.
    pub since_ms: Option<i64>,
    /// Whether this poll reaches back over the whole overlap.
    pub overlaps: bool,
    /// The newest last-modified stamp seen, ms.
    pub newest_ms: Option<i64>,
    /// The remote's clock when the walk began, ms: nothing later may move the cursor.
    pub began_ms: Option<i64>,
    /// Our clock when the walk began, ms: what was settled later is left to the next sweep.
    pub started_ms: i64,
    /// Records seen.
    pub seen: u64,
    /// The walk's number, for sweeps: links that carry it were seen.
    pub number: i64,
}

/// How far every poll reaches back: the coarsest resolution of stamps, and a little skew between a remote's clocks.
pub const SHORT_OVERLAP_MS: i64 = 2_000;

/// Why the inbox holds an id that a sweep did not see.
pub const MISSING: &str = "missing from the list";

/// Where a binding's pull stands.
#[derive(Debug, Clone)]
pub struct PullState {
    pub since_ms: Option<i64>,
    pub walk: Option<Walk>,
    pub backfilled: bool,
    pub first_pushed: bool,
    pub backfill_seen: i64,
    /// Waits until the next poll and sweep are due; zero when due.
    pub poll_in: Duration,
    pub sweep_in: Option<Duration>,
    /// Whether the next poll is to reach back over the whole overlap.
    pub overlap_due: bool,
    /// Whether the remote is to be asked for the object's fields.
    pub describe_due: bool,
}

impl Store {
    /// Takes the lease for pulling a binding; `None` when another process has it, or the binding or its system stands still.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn begin_pull(
        &self,
        binding: i32,
        lease: Uuid,
        lease_for: Duration,
    ) -> Result<Option<PullState>, StoreError> {
        let row = self
            .client()
            .await?
            .query_opt(
                // before version 17 an infinite time cannot be subtracted from: `-infinity` is raised to now first
                "update rowtwin_private.binding b
                 set lease = $2, lease_until = rowtwin_private.clock() + make_interval(secs => $3)
                 from rowtwin_private.system s
                 where b.id = $1 and s.name = b.system and s.state = 'running' and b.state = 'running' and b.active
                   and (b.lease is null or b.lease = $2 or b.lease_until < rowtwin_private.clock())
                   and not exists (select 1 from rowtwin_private.comparison c
                                   where c.binding_id = b.id and c.fences and c.finished_at is null)
                 returning b.since_ms, b.walk, b.backfilled_at is not null, b.first_push_at is not null, b.backfill_seen,
                   extract(epoch from greatest(b.next_poll_at, rowtwin_private.clock()) - rowtwin_private.clock())::float8,
                   case when b.next_sweep_at is not null then
                     extract(epoch from greatest(b.next_sweep_at, rowtwin_private.clock()) - rowtwin_private.clock()) end::float8,
                   b.next_overlap_at <= rowtwin_private.clock(), b.next_describe_at <= rowtwin_private.clock()",
                &[&binding, &lease, &lease_for.as_secs_f64()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let seconds = |value: f64| Duration::from_secs_f64(value.clamp(0.0, 86_400.0));
        Ok(Some(PullState {
            since_ms: row.get(0),
            walk: row.get::<_, Option<Json<Walk>>>(1).map(|json| json.0),
            backfilled: row.get(2),
            first_pushed: row.get(3),
            backfill_seen: row.get(4),
            poll_in: seconds(row.get(5)),
            sweep_in: row.get::<_, Option<f64>>(6).map(seconds),
            overlap_due: row.get(7),
            describe_due: row.get(8),
        }))
    }

    /// Renews the lease for pulling a binding; false when it is no longer ours.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn renew_pull(
        &self,
        binding: i32,
        lease: Uuid,
        lease_for: Duration,
    ) -> Result<bool, StoreError> {
        let renewed = self
            .client()
            .await?
            .execute(
                "update rowtwin_private.binding set lease_until = rowtwin_private.clock() + make_interval(secs => $3)
                 where id = $1 and lease = $2 and lease_until > rowtwin_private.clock()",
                &[&binding, &lease, &lease_for.as_secs_f64()],
            )
            .await?;
        Ok(renewed == 1)
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn end_pull(&self, binding: i32, lease: Uuid) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "update rowtwin_private.binding set lease = null, lease_until = null where id = $1 and lease = $2",
                &[&binding, &lease],
            )
            .await?;
        Ok(())
    }

    /// The database's clock.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn clock(&self) -> Result<SystemTime, StoreError> {
        Ok(self.client().await?.query_one("select rowtwin_private.clock()", &[]).await?.get(0))
    }

    /// Notes why a pull failed and puts the next one off.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn pull_failed(&self, binding: i32, wait: Duration, reason: &str) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "update rowtwin_private.binding
                 set failures = failures + 1, last_error = $3,
                     next_poll_at = rowtwin_private.clock() + make_interval(secs => $2)
                 where id = $1",
                &[&binding, &wait.as_secs_f64(), &reason],
            )
            .await?;
        Ok(())
    }

    /// Marks the first comparison of all rows as begun.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn first_push_marked(&self, binding: i32) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "update rowtwin_private.binding set first_push_at = rowtwin_private.clock() where id = $1",
                &[&binding],
            )
            .await?;
        Ok(())
    }
}

/// Stores the walk's progress, in the transaction that applied its page (R16).
///
/// # Errors
/// When the statement fails, or the lease was lost meanwhile: the page must then be rolled back.
pub async fn save_walk(
    client: &impl GenericClient,
    binding: i32,
    lease: Uuid,
    walk: &Walk,
    applied: i64,
) -> Result<(), StoreError> {
    let count = client
        .execute(
            "update rowtwin_private.binding
             set walk = $3, failures = 0, last_error = null,
                 backfill_seen = backfill_seen + case when $4::boolean then $5::bigint else 0 end
             where id = $1 and lease = $2",
            &[&binding, &lease, &Json(walk), &(walk.kind == WalkKind::Backfill), &applied],
        )
        .await?;
    if count == 0 {
        return Err(StoreError::Unexpected("another process took the pull of this binding over".to_owned()));
    }
    Ok(())
}

/// Ends a walk: moves the cursor and plans the next one.
///
/// # Errors
/// When the statement fails.
pub async fn finish_walk(
    client: &impl GenericClient,
    binding: i32,
    walk: &Walk,
    poll_every: Duration,
    sweep_every: Option<Duration>,
    overlap_every: Duration,
) -> Result<(), StoreError> {
    // everything up to the remote's clock at the beginning has been seen, but for what is committed late
    let newest = match (walk.newest_ms, walk.began_ms) {
        (Some(newest), Some(began)) => Some(newest.min(began).max(began - SHORT_OVERLAP_MS)),
        (None, Some(began)) => Some(began - SHORT_OVERLAP_MS),
        (newest, None) => newest,
    };
    let sweep = sweep_every.map(|every| every.as_secs_f64());
    client
        .execute(
            "update rowtwin_private.binding set
               walk = null,
               since_ms = case when $2 = 'sweep' then since_ms else greatest(since_ms, $3) end,
               backfilled_at = case when $2 = 'backfill' then rowtwin_private.clock() else backfilled_at end,
               last_poll_at = case when $2 = 'sweep' then last_poll_at else rowtwin_private.clock() end,
               next_poll_at = case when $2 = 'sweep' then next_poll_at
                                   else rowtwin_private.clock() + make_interval(secs => $4) end,
               next_sweep_at = case when $5::float8 is null then null
                                    when $2 = 'sweep' or next_sweep_at is null
                                    then rowtwin_private.clock() + make_interval(secs => $5) else next_sweep_at end,
               next_overlap_at = case when $6::boolean then rowtwin_private.clock() + make_interval(secs => $7)
                                      else next_overlap_at end,
               failures = 0, last_error = null
             where id = $1",
            &[
                &binding,
                &match walk.kind {
                    WalkKind::Backfill => "backfill",
                    WalkKind::Poll => "poll",
                    WalkKind::Sweep => "sweep",
                },
                &newest,
                &poll_every.as_secs_f64(),
                &sweep,
                &walk.overlaps,
                &overlap_every.as_secs_f64(),
            ],
        )
        .await?;
    Ok(())
}

/// Marks links as seen by a sweep; returns the ids that have no link.
///
/// # Errors
/// When the statement fails.
pub async fn mark_seen(
    client: &impl GenericClient,
    binding: i32,
    ids: &[String],
    number: i64,
) -> Result<Vec<String>, StoreError> {
    client
        .execute(
            "update rowtwin_private.link set seen_walk = $3 where binding_id = $1 and remote_id = any ($2)",
            &[&binding, &ids, &number],
        )
        .await?;
    // what was missing and is in the list again needs nobody's decision
    client
        .execute(
            "delete from rowtwin_private.inbox
             where binding_id = $1 and remote_id = any ($2) and hold = 'guard' and why = $3",
            &[&binding, &ids, &MISSING],
        )
        .await?;
    super::link::unlinked_ids(client, binding, ids).await
}

/// The remote ids of links that a sweep did not see. Reading them one by one tells whether they are gone.
///
/// Links that were made or settled while the sweep ran are left to the next one.
///
/// # Errors
/// When the statement fails.
pub async fn missing_links(
    client: &impl GenericClient,
    binding: i32,
    number: i64,
    began: SystemTime,
) -> Result<Vec<String>, StoreError> {
    let rows = client
        .query(
            "select remote_id from rowtwin_private.link l
             where binding_id = $1 and state = 'linked' and seen_walk is distinct from $2 and settled_at < $3
               -- a person said that these are not to be deleted
               and not exists (select 1 from rowtwin_private.inbox i where i.binding_id = l.binding_id
                               and i.remote_id = l.remote_id and i.state = 'rejected' and i.hold = 'guard')",
            &[&binding, &number, &began],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
