//! Apply: records → rows, in one transaction, one bad record never stopping the others.

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use deadpool_postgres::{GenericClient, Transaction};
use serde_json::Value;

use crate::bound::Bound;
use crate::mapping::reference::References;
use crate::mapping::{DecodeError, Row};
use crate::model::binding::AgainstEdit;
use crate::model::merge::{FieldConflict, Policy, Side};
use crate::model::record::{Record, RemoteRecord};
use crate::pull::documents::{LineWork, check_lines, new_document, new_lines, told, write_lines};
use crate::pull::plan::{NewRow, RowPlan, edits_of, only_respelled, plan_new_row, plan_row};
use crate::pull::{DEFERRED, MISSING, UNMARKED, gone, guard, newest_of_each};
use crate::store::StoreError;
use crate::store::error::Class;
use crate::store::filter::{inside, note_outside, would_be_inside};
use crate::store::guard::{Kind, guard_count, hold_records};
use crate::store::inbox::{
    JournalLine, clear_rejected, note_records, park_records, reject_record, save_conflicts, write_journal,
};
use crate::store::link::{
    Link, LinkState, LinkUpdate, keys_in_flight, lock_links, marks_of, remove_links, save_links,
};
use crate::store::matching::ambiguous_before;
use crate::store::mirror::{emit_tag, existing_keys, insert_rows, read_rows, update_rows};
use crate::store::outbox::mark_later;
use crate::store::reference::{WaitingRecord, await_records};
use crate::store::standing::{Standing, close_conflicts, count_turns, standing};
use crate::store::steps::owed_steps;

/// Records that were read together.
pub struct Batch<'a> {
    pub bound: &'a Bound,
    pub records: Vec<RemoteRecord>,
    /// The mirror database's clock just before the read: a link settled later makes the record stale.
    pub read_at: SystemTime,
    /// When these records surely existed: the answer's end. Creates begun later cannot have made them.
    pub first_seen: SystemTime,
    /// Ids that were heard of before that, each with when: one that was heard of long ago says nothing about the others.
    pub heard_of: HashMap<String, SystemTime>,
    /// Ids that a person approved: the guard lets them pass.
    pub waved: BTreeSet<String>,
    /// Ids of records that wait for each other in a circle: their rows are made without the reference that is missing.
    pub loose: BTreeSet<String>,
}

/// What is to be written.
#[derive(Default)]
struct Work {
    defer: BTreeSet<String>,
    /// Records whose row is missing without a mark.
    missing: Vec<String>,
    park: Vec<String>,
    updates: Vec<(String, Row)>,
    inserts: Vec<(RemoteRecord, NewRow)>,
    lines: Vec<LineWork>,
    links: Vec<LinkUpdate>,
    conflicts: Vec<(String, String, Vec<FieldConflict>)>,
    journal: Vec<JournalLine>,
    rejects: Vec<(String, String)>,
    gone: Vec<String>,
    unlink: Vec<String>,
    /// Keys of rows that are outside of the filter, and of those that are inside again.
    left: Vec<String>,
    back: Vec<String>,
    /// Records that the guard has no room for.
    held: Vec<String>,
    /// Fields of rows (key, field) whose direction turned, and whose conflict ends.
    turned: Vec<(String, String)>,
    closed: Vec<(String, String)>,
    /// Rows that change, for the guard's books.
    counted: usize,
    /// Records that refer to ones that have no row yet.
    waiting: BTreeSet<WaitingRecord>,
}

impl Work {
    /// Keeps a record that cannot become a row: with its reason, or until the one that it refers to has a row.
    fn not_decoded(&mut self, bound: &Bound, record: &RemoteRecord, error: DecodeError) {
        match error {
            DecodeError::Field(error) => self.rejects.push((record.id.clone(), error.to_string())),
            DecodeError::Missing(missing) => match bound.parent(missing.parent) {
                Some(parent) if parent.pulls => {
                    self.waiting.insert(WaitingRecord {
                        parent: missing.parent,
                        by: missing.by,
                        remote_id: record.id.clone(),
                        own_name: record.reference.clone(),
                        reason: format!(
                            "{} names a record that has no row in {} yet",
                            missing.field, missing.table
                        ),
                        name: missing.name,
                    });
                }
                _ => self.rejects.push((
                    record.id.clone(),
                    format!(
                        "{} names a record that has no row in {}, and that table is not pulled",
                        missing.field, missing.table
                    ),
                )),
            },
        }
    }
}

impl Batch<'_> {
    /// Applies the records inside the transaction.
    ///
    /// All at once first; when the database refuses something, one by one, and what fails then is kept in the inbox
    /// with its reason (R11).
    ///
    /// # Errors
    /// When the database fails for reasons that are not a record's own; the transaction must be rolled back then.
    pub async fn apply(self, transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
        let records = newest_of_each(self.records);
        if records.is_empty() {
            return Ok(());
        }
        let context = Context {
            bound: self.bound,
            read_at: self.read_at,
            first_seen: self.first_seen,
            heard_of: self.heard_of,
            waved: self.waved,
            loose: self.loose,
        };
        let mut point = transaction.savepoint("page").await?;
        match context.apply(&mut point, &records).await {
            Ok(()) => {
                point.commit().await?;
                return Ok(());
            }
            Err(error) if error.class() == Class::Definite => point.rollback().await?,
            Err(error) => return Err(error),
        }
        for record in &records {
            let mut point = transaction.savepoint("record").await?;
            match context.apply(&mut point, std::slice::from_ref(record)).await {
                Ok(()) => point.commit().await?,
                Err(error) if error.class() == Class::Definite => {
                    point.rollback().await?;
                    reject_record(&*transaction, self.bound.id, &record.id, &error.reason()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What all records of a batch share.
pub(super) struct Context<'a> {
    pub(super) bound: &'a Bound,
    read_at: SystemTime,
    first_seen: SystemTime,
    heard_of: HashMap<String, SystemTime>,
    waved: BTreeSet<String>,
    loose: BTreeSet<String>,
}

impl Context<'_> {
    /// When the record surely existed.
    pub(super) fn first_seen(&self, id: &str) -> SystemTime {
        self.heard_of.get(id).copied().unwrap_or(self.first_seen)
    }

    async fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        records: &[RemoteRecord],
    ) -> Result<(), StoreError> {
        let bound = self.bound;
        let ids: Vec<String> = records.iter().map(|record| record.id.clone()).collect();
        // what could not be applied before may have been mended in the remote; if not, it comes back with its reason
        let before = ambiguous_before(transaction, bound.id, &ids).await?;
        clear_rejected(transaction, bound.id, &ids).await?;
        // links first, then the outbox: a delivery that begins after this sees our change (see begin_send)
        let mut links = lock_links(transaction, bound.id, &ids).await?;
        let matched = self.match_rows(transaction, records, &mut links).await?;
        matched.reopen(&*transaction, bound.id, before).await?;
        let keys: Vec<String> = links.values().map(|link| link.key.clone()).collect();
        let flying = keys_in_flight(transaction, bound.id, &keys).await?;
        let rows = read_rows(transaction, &bound.table, &bound.row_columns(), &keys, true).await?;
        let unread: Vec<String> = keys.iter().filter(|key| !rows.contains_key(*key)).cloned().collect();
        let locked: BTreeSet<String> =
            existing_keys(transaction, &bound.table, &unread).await?.into_iter().collect();
        let marks = marks_of(transaction, bound.id, &keys).await?;
        let stands = standing(transaction, bound.id, &keys, bound.brake.within).await?;
        let nothing = Standing::default();
        let now: SystemTime = transaction.query_one("select rowtwin_private.clock()", &[]).await?.get(0);

        let read: Vec<String> = rows.keys().cloned().collect();
        let inside = inside(&*transaction, &bound.table, bound.filter.as_deref(), &read).await?;
        let wanted = rows.len();
        let mut room = guard::room(&*transaction, bound, Kind::Changes, wanted).await?;
        let references = bound
            .references(&*transaction, rows.values(), records.iter().map(|record| &record.fields))
            .await?;

        let mut work = Work::default();
        for record in records {
            if record.deleted {
                work.gone.push(record.id.clone());
                continue;
            }
            let Some(link) = links.get(&record.id) else {
                if matched.outside.contains(&record.id) || matched.ambiguous.contains_key(&record.id) {
                    // the row that agrees does not belong to the binding; or a person says which one it is
                } else if matched.deferred.contains(&record.id) {
                    work.defer.insert(record.id.clone());
                } else if matched.parked.contains(&record.id) {
                    work.park.push(record.id.clone());
                } else {
                    self.plan_insert(record, &references, &mut work);
                }
                continue;
            };
            if link.state == LinkState::Kept {
                continue;
            }
            let stale = link.settled_at > self.read_at && link.shadow.is_some();
            if stale || flying.contains(&link.key) || locked.contains(&link.key) {
                work.defer.insert(record.id.clone());
                continue;
            }
            let Some(row) = rows.get(&link.key) else {
                // capture has not come to what happened: a delete, or another primary key
                if !marks.get(&link.key).is_some_and(|mark| mark.gone) {
                    work.missing.push(record.id.clone());
                    continue;
                }
                self.plan_without_row(record, link, &mut work);
                continue;
            };
            if !inside.contains(&link.key) {
                work.left.push(link.key.clone());
                continue;
            }
            if link.outside {
                work.back.push(link.key.clone());
            }
            // a difference that no mark stands for yet was made just now
            let row_changed_at = marks.get(&link.key).map(|mark| mark.at).or(Some(now));
            let plan = plan_row(
                bound,
                record,
                row,
                link,
                stands.get(&link.key).unwrap_or(&nothing),
                row_changed_at,
                &references,
            )
            .and_then(|plan| check_lines(bound, &plan.lines, &references).map(|()| plan));
            match plan {
                Ok(plan) if plan.leaves_row() => self.take_plan(record, link, plan, &mut work),
                Ok(plan) if self.waved.contains(&record.id) || room.take() => {
                    work.counted += usize::from(!self.waved.contains(&record.id));
                    self.take_plan(record, link, plan, &mut work);
                }
                Ok(_) => work.held.push(record.id.clone()),
                Err(error) => work.not_decoded(bound, record, error),
            }
        }
        note_outside(&*transaction, bound.id, &work.left, true).await?;
        note_outside(&*transaction, bound.id, &work.back, false).await?;
        self.leave_out_outside(&*transaction, &mut work).await?;
        self.hold_ambiguous(&*transaction, &matched).await?;
        guard_count(&*transaction, bound.id, 0, work.counted).await?;
        hold_records(&*transaction, bound.id, &work.held, "changed in the remote", &room.reason).await?;
        self.write(transaction, work, &rows, &references).await
    }

    /// Records whose rows would be outside of the filter get none.
    async fn leave_out_outside(
        &self,
        client: &impl GenericClient,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let bound = self.bound;
        let Some(filter) = &bound.filter else { return Ok(()) };
        if work.inserts.is_empty() {
            return Ok(());
        }
        let rows: Vec<&Row> = work.inserts.iter().map(|(_, new)| &new.row).collect();
        let inside = would_be_inside(client, &bound.table, &bound.columns, filter, &rows).await?;
        let mut inside = inside.into_iter();
        work.inserts.retain(|_| inside.next().unwrap_or(false));
        Ok(())
    }

    fn plan_insert(&self, record: &RemoteRecord, references: &References, work: &mut Work) {
        let new = plan_new_row(self.bound, record, references, self.loose.contains(&record.id));
        let lines = new_lines(self.bound, record);
        match new.and_then(|new| check_lines(self.bound, &lines, references).map(|()| new)) {
            Ok(new) => {
                // what is left out is taken when the record that it names has a row
                if let Some(missing) = &new.left_out {
                    work.not_decoded(self.bound, record, DecodeError::Missing(missing.clone()));
                }
                work.inserts.push((record.clone(), new));
            }
            Err(error) => work.not_decoded(self.bound, record, error),
        }
    }

    /// The row was deleted and the delete has not gone out yet.
    fn plan_without_row(&self, record: &RemoteRecord, link: &Link, work: &mut Work) {
        let mapping = &self.bound.mapping;
        let Some(shadow) = &link.shadow else {
            // a row that was tied, never compared and deleted has changed nothing
            return untie(record, link, "the row was deleted before it was compared with the record", work);
        };
        if mapping.same(shadow, &record.fields) {
            // what is not mapped has changed: the delete needs the version that stands now, or it is refused for ever
            if record.version.is_some() && record.version != link.version {
                work.links.push(now_at(&link.key, record, shadow.clone()));
            }
            return;
        }
        let edits = edits_of(self.bound, record, shadow);
        // a system that trims or rounds what it was sent has edited nothing: the row stays deleted
        let edited = !only_respelled(self.bound, &edits, shadow);
        let edit_wins = edited && self.bound.against_edit == AgainstEdit::Edit;
        let edits = edits.into_iter().filter(|_| edited).map(|(field, value)| FieldConflict {
            shadow: shadow.get(&field).cloned().unwrap_or(Value::Null),
            row: Value::Null,
            record: value,
            winner: if edit_wins { Side::Record } else { Side::Row },
            policy: if edit_wins { Policy::Remote } else { Policy::Local },
            unit: field.clone(),
            frozen: false,
            field,
        });
        work.conflicts.push((link.key.clone(), record.id.clone(), edits.collect()));
        if edit_wins {
            return untie(record, link, "the row was deleted and the record edited: the edit wins", work);
        }
        // the edit is seen and kept: the delete goes on from there
        work.links.push(now_at(&link.key, record, mapping.shadow_of(&record.fields)));
    }

    fn take_plan(&self, record: &RemoteRecord, link: &Link, mut plan: RowPlan, work: &mut Work) {
        plan.after.extend(told(self.bound, &plan.lines));
        if !plan.lines.is_empty() {
            work.lines.push(LineWork { key: link.key.clone(), lines: plan.lines });
        }
        if !plan.after.is_empty() {
            work.journal.push(JournalLine {
                key: Some(link.key.clone()),
                remote_id: Some(record.id.clone()),
                side: "row",
                effect: "update",
                before: Some(plan.before),
                after: Some(plan.after),
                reason: None,
            });
        }
        if !plan.columns.is_empty() {
            work.updates.push((link.key.clone(), plan.columns));
        }
        if !plan.conflicts.is_empty() {
            work.conflicts.push((link.key.clone(), record.id.clone(), plan.conflicts));
        }
        work.turned.extend(plan.turned.into_iter().map(|field| (link.key.clone(), field)));
        work.closed.extend(plan.closed.into_iter().map(|field| (link.key.clone(), field)));
        if plan.link_moves {
            let moved = now_at(&link.key, record, plan.shadow);
            work.links.push(LinkUpdate { keeps_sent: plan.keeps_sent, ..moved });
        }
    }

    async fn write(
        &self,
        transaction: &mut Transaction<'_>,
        work: Work,
        rows: &HashMap<String, Row>,
        references: &References,
    ) -> Result<(), StoreError> {
        let bound = self.bound;
        let columns = bound.row_columns();
        let mut links = work.links;
        let mut journal = work.journal;
        remove_links(transaction, bound.id, &work.unlink).await?;
        let mut after = update_rows(transaction, &bound.table, &columns, &work.updates).await?;
        let mut written: BTreeSet<String> = after.keys().cloned().collect();
        let mut of_lines = work.lines;
        let new_rows: Vec<Row> = work.inserts.iter().map(|(_, new)| new.row.clone()).collect();
        let inserted = insert_rows(transaction, &bound.table, &columns, &new_rows).await?;
        for ((record, new), (key, row)) in work.inserts.iter().zip(inserted) {
            let (mut shadow, lines) = new_document(bound, record);
            of_lines.push(LineWork { key: key.clone(), lines });
            if let Some(missing) = &new.left_out {
                shadow.insert(missing.field.clone(), Value::Null);
            }
            journal.push(JournalLine {
                key: Some(key.clone()),
                remote_id: Some(record.id.clone()),
                side: "row",
                effect: "create",
                before: None,
                after: Some(shadow.clone()),
                reason: None,
            });
            links.push(now_at(&key, record, shadow));
            after.insert(key, row);
        }
        if !bound.table.children.is_empty() {
            written.extend(write_lines(transaction, bound, &of_lines, rows, &mut links, references).await?);
            // triggers of lines may change their header: all is looked at once more
            let keys: Vec<String> =
                links.iter().map(|link| link.key.clone()).chain(written.clone()).collect();
            after = read_rows(transaction, &bound.table, &columns, &keys, false).await?;
        }
        save_links(transaction, bound.id, &links).await?;
        count_turns(transaction, bound.id, &work.turned, bound.brake.within).await?;
        close_conflicts(transaction, bound.id, &work.closed).await?;
        for (key, id, conflicts) in &work.conflicts {
            save_conflicts(transaction, bound.id, key, id, conflicts).await?;
        }
        write_journal(transaction, bound.id, &journal).await?;
        // where a record stands may be what a step of ours has waited for
        let moved: Vec<String> = links.iter().map(|link| link.key.clone()).collect();
        let owed = if bound.lifecycle.is_some() {
            owed_steps(transaction, bound.id, &moved).await?
        } else {
            HashMap::new()
        };
        // what still differs goes out; what we wrote and is equal must not come back to us
        let (mut differs, mut quiet) = (Vec::new(), Vec::new());
        let references = bound.references(&*transaction, after.values().chain(rows.values()), []).await?;
        for link in &links {
            let Some(row) = after.get(&link.key).or_else(|| rows.get(&link.key)) else { continue };
            let same = bound.mapping.encode(row, &references).is_ok_and(|encoded| {
                bound.mapping.push_diff(&encoded, &link.shadow, &BTreeSet::new()).is_empty()
            });
            if !same || owed.contains_key(&link.key) {
                differs.push(link.key.clone());
            } else if written.contains(&link.key) || !rows.contains_key(&link.key) {
                quiet.push(link.key.clone());
            }
        }
        if bound.pushes {
            mark_later(transaction, bound.id, &differs).await?;
        }
        emit_tag(transaction, bound.id, &quiet).await?;
        for (id, reason) in &work.rejects {
            reject_record(transaction, bound.id, id, reason).await?;
        }
        await_records(transaction, bound.id, &work.waiting).await?;
        park_records(transaction, bound.id, &work.park).await?;
        note_records(transaction, bound.id, &work.missing, MISSING, UNMARKED).await?;
        let deferred: Vec<String> = work.defer.into_iter().collect();
        note_records(transaction, bound.id, &deferred, "busy when it was read", DEFERRED).await?;
        gone::apply_gone(transaction, bound, &work.gone, &self.waved).await
    }
}

/// Ends a link whose row is gone: the record, read again without it, gets a row of its own, or the one that somebody
/// else has made meanwhile.
fn untie(record: &RemoteRecord, link: &Link, reason: &str, work: &mut Work) {
    work.unlink.push(link.key.clone());
    work.journal.push(JournalLine {
        key: Some(link.key.clone()),
        remote_id: Some(record.id.clone()),
        side: "link",
        effect: "unlink",
        before: link.shadow.clone(),
        after: None,
        reason: Some(reason.to_owned()),
    });
    work.defer.insert(record.id.clone());
}

/// A link as it stands once the record is taken, with this shadow.
fn now_at(key: &str, record: &RemoteRecord, shadow: Record) -> LinkUpdate {
    LinkUpdate {
        key: key.to_owned(),
        remote_id: record.id.clone(),
        shadow,
        version: record.version.clone(),
        remote_ms: record.modified_ms,
        reference: record.reference.clone(),
        stage: record.stage.clone(),
        keeps_sent: false,
    }
}
