//! The guard's books: room for deletes and changes, shared by all processes.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::model::binding::Allowance;
use crate::store::mirror::Table;
use crate::store::{Store, StoreError};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Deletes,
    Changes,
}

impl Kind {
    /// The word used in SQL and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deletes => "deletes",
            Self::Changes => "changes",
        }
    }
}

/// How much is allowed within an hour.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub allowance: Allowance,
    pub at_least: u64,
}

impl Limit {
    /// Share, absolute number, and what is always allowed, as the SQL functions take them.
    fn numbers(self) -> (Option<f64>, Option<i64>, i64) {
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        match self.allowance {
            Allowance::Unlimited => (None, Some(i64::MAX), 0),
            Allowance::Share(share) => (Some(share), None, whole(self.at_least)),
            Allowance::Rows(rows) => (None, Some(whole(rows)), 0),
        }
    }
}

/// The room that a page has.
#[derive(Debug, Clone)]
pub struct Room {
    /// For how many more; `None`: as many as come.
    left: Option<u64>,
    /// Why there is no more, with the numbers.
    pub reason: String,
}

impl Room {
    /// Room without end.
    pub fn endless() -> Self {
        Self { left: None, reason: String::new() }
    }

    /// Takes room for one; false when there is none.
    pub fn take(&mut self) -> bool {
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Whether there is room for so many.
    pub fn holds(&self, wanted: usize) -> bool {
        self.left.is_none_or(|left| u64::try_from(wanted).is_ok_and(|wanted| wanted <= left))
    }
}

impl Store {
    /// How many deletes of a binding wait in all, those that the guard holds included: keys whose row was deleted and
    /// is not there. What somebody approved does not count.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn pending_deletes(&self, binding: i32, table: &Table) -> Result<i64, StoreError> {
        let sql = format!(
            "select count(*) from rowtwin_private.outbox o
             join rowtwin_private.link l on l.binding_id = o.binding_id and l.key = o.key and l.state = 'linked'
             where o.binding_id = $1 and o.row_gone and not o.waved
               and (o.state in ('ready', 'sending') or (o.state = 'held' and o.hold = 'guard'))
               and not exists (select 1 from {} t where {})",
            table.sql_name(),
            table.on_key_text("o.key"),
        );
        Ok(self.client().await?.query_one(&sql, &[&binding]).await?.get(0))
    }

    /// Reserves room for claimed keys, of `pending` that are known to wait in all; returns those for which there is none, with the reason.
    ///
    /// # Errors
    /// When the statement fails; nothing may be sent then.
    pub async fn guard_hold(
        &self,
        binding: i32,
        lease: Uuid,
        kind: Kind,
        keys: &[String],
        limit: Limit,
        pending: i64,
    ) -> Result<HashMap<String, String>, StoreError> {
        let (share, most, at_least) = limit.numbers();
        let rows = self
            .client()
            .await?
            .query(
                "select key, reason from rowtwin_private.guard_hold($1, $2, $3, $4, $5, $6, $7, $8)",
                &[&binding, &lease, &kind.word(), &keys, &share, &most, &at_least, &pending],
            )
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

/// The room for `wanted` rows of a page, kept until its transaction ends.
///
/// # Errors
/// When the statement fails.
pub async fn guard_room(
    client: &impl GenericClient,
    binding: i32,
    kind: Kind,
    wanted: usize,
    limit: Limit,
) -> Result<Room, StoreError> {
    if wanted == 0 || limit.allowance == Allowance::Unlimited {
        return Ok(Room::endless());
    }
    let (share, most, at_least) = limit.numbers();
    let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
    let row = client
        .query_one(
            "select room, reason from rowtwin_private.guard_room($1, $2, $3, $4, $5, $6)",
            &[&binding, &kind.word(), &wanted, &share, &most, &at_least],
        )
        .await?;
    Ok(Room { left: Some(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0)), reason: row.get(1) })
}

/// Counts rows that were deleted or changed by a page, in its transaction.
///
/// # Errors
/// When the statement fails.
pub async fn guard_count(
    client: &impl GenericClient,
    binding: i32,
    deletes: usize,
    changes: usize,
) -> Result<(), StoreError> {
    if deletes == 0 && changes == 0 {
        return Ok(());
    }
    let whole = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    client
        .execute(
            "select rowtwin_private.guard_count($1, 'row', $2, $3)",
            &[&binding, &whole(deletes), &whole(changes)],
        )
        .await?;
    Ok(())
}

/// Keeps records in the inbox until somebody approves them.
///
/// # Errors
/// When the statement fails.
pub async fn hold_records(
    client: &impl GenericClient,
    binding: i32,
    ids: &[String],
    why: &str,
    reason: &str,
) -> Result<(), StoreError> {
    if !ids.is_empty() {
        client
            .execute("select rowtwin_private.hold_records($1, $2, $3, $4)", &[&binding, &ids, &why, &reason])
            .await?;
    }
    Ok(())
}
