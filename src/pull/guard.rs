//! Guard: how many rows a page may change or delete, and what becomes of a list that lacks too many (R12).

use std::time::Duration;

use deadpool_postgres::GenericClient;

use crate::bound::Bound;
use crate::model::binding::Allowance;
use crate::store::StoreError;
use crate::store::guard::{Kind, Limit, Room, guard_room, hold_records};
use crate::store::inbox::note_records;
use crate::store::link::count_linked;
use crate::store::walk::MISSING;

/// The room for `wanted` rows, kept until the transaction ends.
///
/// # Errors
/// When the statement fails.
pub(super) async fn room(
    client: &impl GenericClient,
    bound: &Bound,
    kind: Kind,
    wanted: usize,
) -> Result<Room, StoreError> {
    let allowance = match kind {
        Kind::Deletes => bound.guard.deletes,
        Kind::Changes => bound.guard.changes,
    };
    let limit = Limit { allowance, at_least: bound.guard.at_least };
    guard_room(client, bound.id, kind, wanted, limit).await
}

/// Puts records that a sweep did not see into the inbox, to be read. If that are more than the guard lets us delete,
/// the list itself is in doubt, and a person is asked before anything is read.
///
/// # Errors
/// When a statement fails.
pub(super) async fn note_missing(
    client: &impl GenericClient,
    bound: &Bound,
    missing: &[String],
) -> Result<(), StoreError> {
    if bound.guard.deletes != Allowance::Unlimited
        && !room(client, bound, Kind::Deletes, missing.len()).await?.holds(missing.len())
    {
        let linked = count_linked(client, bound.id).await?;
        let reason =
            format!("{} of {} records are missing from the list", grouped(missing.len()), grouped(linked));
        tracing::warn!(missing = missing.len(), linked, "a sweep misses more than the guard allows: held");
        return hold_records(client, bound.id, missing, MISSING, &reason).await;
    }
    note_records(client, bound.id, missing, MISSING, Duration::ZERO).await
}

/// A count with its thousands apart: `4,100`.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_are_read_in_threes() {
        for (count, text) in [(0, "0"), (999, "999"), (4_100, "4,100"), (1_234_567, "1,234,567")] {
            assert_eq!(super::grouped(count), text);
        }
    }
}
