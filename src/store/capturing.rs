//! Which stream captures: signs of life, taking over from a frozen process, and the fence against one that wakes up.

use std::time::Duration;

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::{Store, StoreError};

impl Store {
    /// Notes that `holder` captures, once the server has given it the slot; what an earlier one writes is refused then.
    ///
    /// # Errors
    /// When the statement fails, or the slot is not registered.
    pub async fn take_capture(&self, slot: &str, holder: Uuid) -> Result<(), StoreError> {
        let row = self
            .client()
            .await?
            .query_one("select rowtwin_private.take_capture($1, $2)", &[&slot, &holder])
            .await?;
        if row.get(0) {
            return Ok(());
        }
        Err(StoreError::Table(format!("the slot {slot} is not registered; run `rowtwin init`")))
    }

    /// A sign of life of the stream that captures; false once another one has taken over.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn capture_alive(&self, slot: &str, holder: Uuid) -> Result<bool, StoreError> {
        let row = self
            .client()
            .await?
            .query_one("select rowtwin_private.capture_alive($1, $2)", &[&slot, &holder])
            .await?;
        Ok(row.get(0))
    }

    /// Ends the stream that has given no sign of life for `patience`; true when there was one.
    ///
    /// # Errors
    /// When the statement fails, in particular where that process signed in with a role that ours may not end.
    pub async fn end_frozen_capture(&self, slot: &str, patience: Duration) -> Result<bool, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "select rowtwin_private.end_frozen_capture($1, make_interval(secs => $2))",
                &[&slot, &patience.as_secs_f64()],
            )
            .await?;
        Ok(row.get(0))
    }
}

/// Refuses to go on where another stream captures. The lock holds until the transaction ends, and whoever takes over
/// waits for it: so what is written here was written before the other one began. Last in a transaction, as the position
/// is, so that the order of the locks stays the same. Without a holder nothing is asked: nobody streams then.
pub(super) async fn still_captures(
    transaction: &Transaction<'_>,
    slot: &str,
    holder: Option<Uuid>,
) -> Result<(), StoreError> {
    let Some(holder) = holder else { return Ok(()) };
    let held = transaction
        .query_opt(
            "select 1 from rowtwin_private.capture where slot = $1 and holder = $2 for no key update",
            &[&slot, &holder],
        )
        .await?;
    if held.is_some() { Ok(()) } else { Err(StoreError::Superseded { slot: slot.to_owned() }) }
}
