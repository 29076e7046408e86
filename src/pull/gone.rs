//! Gone: records that the remote has confirmed to be deleted.

use std::collections::BTreeSet;
use std::time::Duration;

use deadpool_postgres::Transaction;
use serde_json::Value;

use crate::bound::Bound;
use crate::model::binding::{AgainstEdit, DeletePolicy};
use crate::model::merge::{FieldConflict, Policy, Side};
use crate::pull::guard;
use crate::store::StoreError;
use crate::store::error::Class;
use crate::store::filter::inside;
use crate::store::guard::{Kind, guard_count, hold_records};
use crate::store::inbox::{JournalLine, note_records, reject_record, save_conflicts, write_journal};
use crate::store::lines::delete_lines_of;
use crate::store::link::{Link, LinkState, keep_links, keys_in_flight, lock_links, marks_of, remove_links};
use crate::store::mirror::{delete_rows, emit_tag, existing_keys, read_rows};
use crate::store::outbox::mark_later;

/// Applies confirmed deletes, each in a savepoint of its own: another table may still refer to a row.
///
/// # Errors
/// When the database fails for reasons that are not a row's own.
pub async fn apply_gone(
    transaction: &mut Transaction<'_>,
    bound: &Bound,
    ids: &[String],
    waved: &BTreeSet<String>,
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let links = lock_links(&*transaction, bound.id, ids).await?;
    let keys: Vec<String> = links.values().map(|link| link.key.clone()).collect();
    let flying = keys_in_flight(&*transaction, bound.id, &keys).await?;
    let wanted = ids.iter().filter(|id| !waved.contains(*id)).count();
    let mut room = guard::room(&*transaction, bound, Kind::Deletes, wanted).await?;
    let (mut held, mut counted) = (Vec::new(), 0);
    for (id, link) in links {
        if link.state == LinkState::Kept {
            continue;
        }
        if flying.contains(&link.key) {
            let wait = Duration::from_millis(300);
            note_records(&*transaction, bound.id, &[id], "busy when it was read", wait).await?;
            continue;
        }
        let point = transaction.savepoint("gone").await?;
        let mut may_delete = || waved.contains(&id) || room.take();
        match one_gone(&point, bound, &id, &link, &mut may_delete).await {
            Ok(Gone::Held) => {
                point.commit().await?;
                held.push(id);
            }
            Ok(Gone::Deleted) => {
                point.commit().await?;
                counted += usize::from(!waved.contains(&id));
            }
            Ok(Gone::Settled) => point.commit().await?,
            Err(error) if error.class() == Class::Definite => {
                point.rollback().await?;
                reject_record(&*transaction, bound.id, &id, &error.reason()).await?;
            }
            Err(error) => return Err(error),
        }
    }
    guard_count(&*transaction, bound.id, counted, 0).await?;
    hold_records(&*transaction, bound.id, &held, "deleted in the remote", &room.reason).await
}

/// What became of a record that is gone.
enum Gone {
    /// Its row was deleted.
    Deleted,
    /// The guard had no room: nothing was done.
    Held,
    Settled,
}

async fn one_gone(
    transaction: &Transaction<'_>,
    bound: &Bound,
    id: &str,
    link: &Link,
    may_delete: &mut impl FnMut() -> bool,
) -> Result<Gone, StoreError> {
    let keys = std::slice::from_ref(&link.key);
    let rows = read_rows(transaction, &bound.table, &bound.row_columns(), keys, true).await?;
    let line = |side, effect, reason: Option<&str>| JournalLine {
        key: Some(link.key.clone()),
        remote_id: Some(id.to_owned()),
        side,
        effect,
        before: link.shadow.clone(),
        after: None,
        reason: reason.map(str::to_owned),
    };
    let Some(row) = rows.get(&link.key) else {
        let marked = marks_of(transaction, bound.id, keys).await?.values().any(|mark| mark.gone);
        if marked && existing_keys(transaction, &bound.table, keys).await?.is_empty() {
            // both halves are gone
            remove_links(transaction, bound.id, keys).await?;
            write_journal(transaction, bound.id, &[line("link", "unlink", None)]).await?;
            return Ok(Gone::Settled);
        }
        let wait = Duration::from_millis(300);
        note_records(transaction, bound.id, &[id.to_owned()], "busy when it was read", wait).await?;
        return Ok(Gone::Settled);
    };
    let references = bound.references(transaction, [row], []).await?;
    if inside(transaction, &bound.table, bound.filter.as_deref(), keys).await?.is_empty() {
        remove_links(transaction, bound.id, keys).await?;
        let reason = "the record was deleted; the row is outside of the filter and stays";
        write_journal(transaction, bound.id, &[line("link", "unlink", Some(reason))]).await?;
        return Ok(Gone::Settled);
    }
    let edit_wins = bound.against_edit == AgainstEdit::Edit;
    let edits: Vec<FieldConflict> = match (&link.shadow, bound.mapping.encode(row, &references)) {
        (Some(shadow), Ok(encoded)) if bound.pushes => {
            let changes = bound.mapping.push_diff(&encoded, shadow, &BTreeSet::new());
            changes
                .into_iter()
                .map(|(field, value)| FieldConflict {
                    shadow: shadow.get(&field).cloned().unwrap_or(Value::Null),
                    row: value,
                    record: Value::Null,
                    unit: field.clone(),
                    field,
                    winner: if edit_wins { Side::Row } else { Side::Record },
                    policy: if edit_wins { Policy::Local } else { Policy::Remote },
                    frozen: false,
                })
                .collect()
        }
        _ => Vec::new(),
    };
    if !edits.is_empty() && edit_wins {
        // an edit wins over a delete: the row gets a new twin
        save_conflicts(transaction, bound.id, &link.key, id, &edits).await?;
        remove_links(transaction, bound.id, keys).await?;
        mark_later(transaction, bound.id, keys).await?;
        let reason = "the record was deleted and the row edited: the edit wins";
        write_journal(transaction, bound.id, &[line("link", "unlink", Some(reason))]).await?;
        return Ok(Gone::Settled);
    }
    match bound.to_row {
        DeletePolicy::Delete if !may_delete() => Ok(Gone::Held),
        DeletePolicy::Delete => {
            // what the delete wins over is kept
            save_conflicts(transaction, bound.id, &link.key, id, &edits).await?;
            delete_lines_of(transaction, &bound.table, keys).await?;
            delete_rows(transaction, &bound.table, keys).await?;
            remove_links(transaction, bound.id, keys).await?;
            emit_tag(transaction, bound.id, keys).await?;
            write_journal(transaction, bound.id, &[line("row", "delete", None)]).await?;
            Ok(Gone::Deleted)
        }
        DeletePolicy::Deactivate | DeletePolicy::Keep => {
            keep_links(transaction, bound.id, keys).await?;
            let reason = "the record was deleted and the policy keeps the row";
            write_journal(transaction, bound.id, &[line("link", "unlink", Some(reason))]).await?;
            Ok(Gone::Settled)
        }
    }
}
