//! Repair: differences are mended by the usual turns. Here only what they start from is set: the shadow moves to the
//! side that a person said is wrong, so that the other one is the only one that differs from it (see I1), and the key
//! is marked or the record noted.

use std::collections::HashMap;
use std::time::Duration;

use deadpool_postgres::Transaction;

use crate::bound::Bound;
use crate::mapping::Row;
use crate::mapping::reference::References;
use crate::model::record::{Record, RemoteRecord};
use crate::store::StoreError;
use crate::store::comparison::{Drift, Repair, mark_gone};
use crate::store::inbox::note_records;
use crate::store::link::{Link, LinkUpdate, remove_links, save_links};
use crate::store::outbox::mark_later;

/// What the mended keys look like, by key and by remote id.
pub struct Known<'a> {
    pub links: &'a HashMap<String, Link>,
    pub rows: &'a HashMap<String, Row>,
    pub records: &'a HashMap<String, RemoteRecord>,
    pub references: &'a References,
}

/// Sets the usual turns going for each difference.
///
/// # Errors
/// When a statement fails.
pub async fn repair(
    transaction: &Transaction<'_>,
    bound: &Bound,
    repair: Repair,
    drift: &[Drift],
    known: &Known<'_>,
) -> Result<(), StoreError> {
    let (mut shadows, mut mark, mut gone, mut note, mut unlink) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for one in drift {
        let (key, id) = (one.key.clone(), one.remote_id.clone());
        match (one.kind, repair) {
            ("row differs" | "record differs" | "both differ", side) => {
                shadows.extend(base(bound, side, one, known));
                if side != Repair::Record {
                    mark.extend(key);
                }
                if side != Repair::Row {
                    note.extend(id);
                }
            }
            ("missing row", Repair::Row) => gone.extend(key),
            // the link goes, and the record, read again, gets a row
            ("missing row", Repair::Record) => {
                unlink.extend(key);
                note.extend(id);
            }
            ("missing row", Repair::Merge) => {
                gone.extend(key);
                note.extend(id);
            }
            // the link goes, and the row, looked at again, gets a record
            ("missing record", Repair::Row) => {
                unlink.extend(key.clone());
                mark.extend(key);
            }
            ("missing record", _) => note.extend(id),
            ("unlinked row", Repair::Row | Repair::Merge) => mark.extend(key),
            ("unlinked record", Repair::Record | Repair::Merge) => note.extend(id),
            // neither a row nor a record is ever deleted for want of a twin
            _ => {}
        }
    }
    save_links(transaction, bound.id, &shadows).await?;
    remove_links(transaction, bound.id, &unlink).await?;
    mark_later(transaction, bound.id, &mark).await?;
    mark_gone(transaction, bound.id, &gone).await?;
    note_records(transaction, bound.id, &note, "verified", Duration::ZERO).await
}

/// The link with the base of the side that is to give way.
fn base(bound: &Bound, side: Repair, drift: &Drift, known: &Known<'_>) -> Option<LinkUpdate> {
    let (key, id) = (drift.key.as_ref()?, drift.remote_id.as_ref()?);
    let link = known.links.get(key)?;
    let record = known.records.get(id);
    let (shadow, version, remote_ms): (Record, _, _) = match side {
        Repair::Merge => return None,
        Repair::Row => {
            let record = record?;
            let shadow = bound.mapping.shadow_of(&record.fields);
            (shadow, record.version.clone(), record.modified_ms)
        }
        Repair::Record => {
            let row = bound.mapping.encode(known.rows.get(key)?, known.references).ok()?;
            // what only the remote gives keeps its base: the row does not say it
            let mut shadow = link.shadow.clone().unwrap_or_default();
            for field in bound.mapping.fields.iter().filter(|field| field.pushes) {
                shadow.insert(field.field.clone(), row.get(&field.field).cloned().unwrap_or_default());
            }
            for lines in bound.mapping.lines.iter().filter(|lines| lines.pushes) {
                shadow.insert(
                    lines.collection.clone(),
                    row.get(&lines.collection).cloned().unwrap_or_default(),
                );
            }
            (shadow, link.version.clone(), link.remote_ms)
        }
    };
    Some(LinkUpdate {
        key: key.clone(),
        remote_id: id.clone(),
        shadow,
        version,
        remote_ms,
        reference: None,
        stage: None,
        keeps_sent: false,
    })
}
