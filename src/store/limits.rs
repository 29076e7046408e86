//! Leave to call: limits, budgets and the circuit breaker, shared through Postgres.

use std::time::Duration;

use deadpool_postgres::GenericClient;

use crate::store::{Store, StoreError};

/// Longest time between two looks at a system that must be left alone: a probe may bring it back any moment.
pub const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The answer to asking for leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// Go; the call's id must be given back.
    Granted(i64),
    /// Not now: why, and when to ask again.
    Wait { reason: String, ask_again: Duration },
}

/// A call that ended, for the books.
#[derive(Debug, Clone)]
pub struct EndedCall {
    pub id: i64,
    pub system: String,
    /// The outcome's word.
    pub outcome: &'static str,
    pub write: bool,
    pub records: usize,
    pub millis: u64,
    pub wait: Option<Duration>,
    /// Calls of today as the system itself reports them.
    pub used: Option<u64>,
    pub reason: Option<String>,
    /// Empty for sign-ins.
    pub object: String,
    /// push, pull or other.
    pub direction: &'static str,
}

impl Store {
    /// Asks for leave to make one call; see `rowtwin_private.take_call`.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn take_call(
        &self,
        system: &str,
        operation: &str,
        backfill: bool,
        timeout: Duration,
    ) -> Result<Leave, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "select call_id, wait_ms, reason from rowtwin_private.take_call($1, $2, $3, make_interval(secs => $4))",
                &[&system, &operation, &backfill, &timeout.as_secs_f64()],
            )
            .await?;
        Ok(match row.get::<_, Option<i64>>(0) {
            Some(id) => Leave::Granted(id),
            None => Leave::Wait {
                reason: row.get::<_, Option<String>>(2).unwrap_or_default(),
                ask_again: Duration::from_millis(
                    row.get::<_, Option<i64>>(1).and_then(|ms| u64::try_from(ms).ok()).unwrap_or(1000),
                ),
            },
        })
    }

    /// Says that calls are still under way.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn renew_calls(
        &self,
        system: &str,
        calls: &[i64],
        timeout: Duration,
    ) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "select rowtwin_private.renew_calls($1, $2, make_interval(secs => $3))",
                &[&system, &calls, &timeout.as_secs_f64()],
            )
            .await?;
        Ok(())
    }

    /// Ends a call; see `rowtwin_private.finish_call`.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn finish_call(&self, call: &EndedCall) -> Result<(), StoreError> {
        let as_i64 = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.client()
            .await?
            .execute(
                "select rowtwin_private.finish_call($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                &[
                    &call.id,
                    &call.system,
                    &call.outcome,
                    &call.write,
                    &i32::try_from(call.records).unwrap_or(i32::MAX),
                    &as_i64(call.millis),
                    &call.wait.map(|wait| as_i64(wait.as_millis().try_into().unwrap_or(u64::MAX))),
                    &call.used.map(as_i64),
                    &call.reason,
                    &call.object,
                    &call.direction,
                ],
            )
            .await?;
        Ok(())
    }

    /// How long a system must be left alone, at most [`LOOK_AGAIN`]; `None` when calls may go out now.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn system_wait(&self, system: &str) -> Result<Option<Duration>, StoreError> {
        let row = self
            .client()
            .await?
            .query_opt(
                "select case when state <> 'running' or not rowtwin_private.database_known() then 5::float8
                        else extract(epoch from greatest(throttled_until, case when down_since is not null then probe_at end, rowtwin_private.clock())
                                     - rowtwin_private.clock())::float8 end
                 from rowtwin_private.system where name = $1",
                &[&system],
            )
            .await?;
        let wait: Option<f64> = row.and_then(|row| row.get(0));
        Ok(wait
            .filter(|wait| *wait > 0.0)
            .map(|wait| Duration::from_secs_f64(wait.min(LOOK_AGAIN.as_secs_f64()))))
    }
}

/// Books records that were read, in the transaction that applies them.
///
/// # Errors
/// When the statement fails.
pub async fn book_read(client: &impl GenericClient, binding: i32, records: usize) -> Result<(), StoreError> {
    let records = i64::try_from(records).unwrap_or(i64::MAX);
    client.execute("select rowtwin_private.book_read($1, $2)", &[&binding, &records]).await?;
    Ok(())
}
