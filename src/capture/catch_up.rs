//! Catching up turn by turn: the same bytes, decoder and marks as the stream, read through a function call.
//!
//! For tests, simulation and `plan`; the stream is what runs in production.

use tokio_postgres::types::PgLsn;

use crate::capture::marks::{Collector, Watched};
use crate::capture::pgoutput::Decoder;
use crate::capture::worker::CaptureError;
use crate::model::lsn::Lsn;
use crate::store::{Store, StoreError};

/// Messages that one turn reads, at least; a transaction is never cut.
const MESSAGES: i32 = 10_000;

/// Takes in what the slot holds and confirms it; returns how many marks were written.
///
/// # Errors
/// When the slot is in use or gone, or the database fails; nothing was confirmed then.
pub async fn catch_up(
    store: &Store,
    slot: &str,
    publication: &str,
    watched: Watched,
) -> Result<usize, CaptureError> {
    let client = store.client().await?;
    let end: PgLsn =
        client.query_one("select pg_current_wal_flush_lsn()", &[]).await.map_err(StoreError::from)?.get(0);
    let rows = client
        .query(
            "select data from pg_logical_slot_peek_binary_changes($1, null, $2,
                 'proto_version', '1', 'publication_names', $3, 'messages', 'true')",
            &[&slot, &MESSAGES, &publication],
        )
        .await
        .map_err(StoreError::from)?;
    let mut decoder = Decoder::new();
    let mut collector = Collector::new(watched, Lsn(0));
    for row in &rows {
        let data: &[u8] = row.get(0);
        collector.take(&decoder.decode(data)?)?;
    }
    let batch = collector.drain();
    for binding in &batch.emptied {
        store.hold_emptied(slot, None, *binding).await?;
    }
    for binding in &batch.truncated {
        store.hold_truncated(slot, None, *binding).await?;
    }
    let changes: Vec<(i32, i64)> = batch.changes.into_iter().collect();
    if batch.confirm > Lsn(0) {
        store.mark_rows(slot, None, batch.confirm.0, &batch.moves, &batch.marks, &changes).await?;
    }
    // what was committed before the end has been read, unless there was more than one turn takes
    let all = rows.len() < usize::try_from(MESSAGES).unwrap_or(usize::MAX);
    let confirm = if all { batch.confirm.max(Lsn(u64::from(end))) } else { batch.confirm };
    if confirm > Lsn(0) {
        store.raise_horizon(slot, confirm).await?;
        client
            .execute("select pg_replication_slot_advance($1, $2)", &[&slot, &PgLsn::from(confirm.0)])
            .await
            .map_err(StoreError::from)?;
    }
    Ok(batch.marks.len())
}
