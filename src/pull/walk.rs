//! Walk: over the pages of an object, one page a turn, resumable at any page.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use crate::pull::apply::Batch;
use crate::pull::plan::ms;
use crate::pull::watch::{Swept, lines_of_page};
use crate::pull::{Puller, Turned, guard};
use crate::remote::gate::Priority;
use crate::store::StoreError;
use crate::store::inbox::{note_records, reject_record};
use crate::store::limits::book_read;
use crate::store::walk::{
    PullState, SHORT_OVERLAP_MS, Walk, WalkKind, finish_walk, mark_seen, missing_links, save_walk,
};

/// How often a walk whose next page is not ready is looked at.
const NOT_READY: Duration = Duration::from_millis(250);
/// How often a first reading that comes after others looks whether they are done.
const PARENTS_FIRST: Duration = Duration::from_millis(300);

impl Puller {
    /// Fetches and applies the next page of the walk that is under way or due; `None` when none is.
    pub(super) async fn walk(&self, state: &PullState) -> Result<Option<Turned>, StoreError> {
        let bound = &self.bound;
        if !bound.pulls || !bound.abilities.can_list {
            return Ok(None);
        }
        let Some(kind) = self.due(state) else { return Ok(None) };
        if kind == WalkKind::Backfill && self.parents_come_first().await? {
            return Ok(Some(Turned { seen: 0, rest: Some(PARENTS_FIRST) }));
        }
        let read_at = self.store.clock().await?;
        let wait = state
            .walk
            .as_ref()
            .and_then(|walk| walk.not_before_ms)
            .map(|due| due - ms(read_at).unwrap_or(due));
        if let Some(wait) = wait.and_then(|wait| u64::try_from(wait).ok()).filter(|wait| *wait > 0) {
            // what the inbox names is looked at meanwhile
            let rest = NOT_READY.min(Duration::from_millis(wait));
            return Ok(Some(Turned { seen: 0, rest: Some(rest) }));
        }
        let mut walk = match &state.walk {
            Some(walk) => walk.clone(),
            None => Walk {
                since_ms: self.since(kind, state),
                overlaps: kind != WalkKind::Sweep && (kind == WalkKind::Backfill || state.overlap_due),
                kind,
                page: Value::Null,
                not_before_ms: None,
                newest_ms: None,
                began_ms: None,
                started_ms: ms(read_at).unwrap_or(0),
                seen: 0,
                number: ms(read_at).unwrap_or(0),
            },
        };
        if let Some(collection) = lines_of_page(&walk.page) {
            let page = walk.page.get("page").cloned().filter(|page| !page.is_null());
            return self.walk_lines(walk, collection, page).await.map(Some);
        }
        let ids_only = walk.kind == WalkKind::Sweep;
        let page = (!walk.page.is_null()).then_some(&walk.page);
        let fields = bound.record_fields();
        let answer = bound
            .client
            .list(&bound.object, &fields, walk.since_ms, page, ids_only, Priority::Backfill)
            .await;
        let page = match answer {
            Ok(page) => page,
            Err(outcome) => return self.not_listed(&outcome).await.map(Some),
        };

        // a create that began while the list was under way may have made a record that is in it
        let listed_at = self.store.clock().await?;
        let count = page.records.len();
        walk.seen += u64::try_from(count).unwrap_or(0);
        walk.began_ms = walk.began_ms.or(page.remote_clock_ms);
        let newest = page.records.iter().filter_map(|record| record.modified_ms).max();
        walk.newest_ms = walk.newest_ms.max(newest);
        // a page that names itself as the next one would never end
        let mut ended = page.next.is_none() || page.next.as_ref() == Some(&walk.page);
        walk.page = page.next.unwrap_or(Value::Null);
        let after = page.after.and_then(|after| i64::try_from(after.as_millis()).ok());
        walk.not_before_ms = after.zip(ms(listed_at)).map(|(after, now)| now.saturating_add(after));
        if ended && walk.kind == WalkKind::Poll {
            walk.page = self.next_lines(None);
            ended = walk.page.is_null();
        }

        // the lines of a document may have gone without a trace too
        let fewer = if ids_only { self.swept_lines(&page.records).await } else { Ok(Vec::new()) };
        let fewer = match fewer {
            Ok(fewer) => fewer,
            Err(Swept::Remote(outcome)) => return self.not_listed(&outcome).await.map(Some),
            Err(Swept::Store(error)) => return Err(error),
        };
        let mut client = self.store.client().await?;
        let mut transaction = client.transaction().await?;
        if ids_only {
            note_records(&transaction, bound.id, &fewer, "a line of it is missing", Duration::ZERO).await?;
            let ids: Vec<String> = page
                .records
                .iter()
                .filter(|record| !record.deleted)
                .map(|record| record.id.clone())
                .collect();
            let unknown = mark_seen(&transaction, bound.id, &ids, walk.number).await?;
            note_records(&transaction, bound.id, &unknown, "found by a sweep", Duration::ZERO).await?;
        } else {
            let batch = Batch {
                bound,
                records: page.records,
                read_at,
                first_seen: listed_at,
                heard_of: HashMap::new(),
                loose: BTreeSet::new(),
                waved: BTreeSet::new(),
            };
            batch.apply(&mut transaction).await?;
            for (why, record) in &page.unreadable {
                let name = unreadable_name(record);
                reject_record(&transaction, bound.id, &name, why).await?;
            }
        }
        book_read(&transaction, bound.id, count).await?;
        save_walk(&transaction, bound.id, self.lease, &walk, i64::try_from(count).unwrap_or(0)).await?;
        if ended {
            if ids_only && bound.abilities.can_read {
                let began = UNIX_EPOCH + Duration::from_millis(u64::try_from(walk.started_ms).unwrap_or(0));
                let missing = missing_links(&transaction, bound.id, walk.number, began).await?;
                guard::note_missing(&transaction, bound, &missing).await?;
            }
            finish_walk(
                &transaction,
                bound.id,
                &walk,
                bound.poll_every,
                bound.sweep_every,
                self.overlap_every(),
            )
            .await?;
        }
        transaction.commit().await?;
        self.free_children().await?;
        Ok(Some(Turned { seen: count, rest: None }))
    }

    /// The stamp that a walk begins at.
    ///
    /// Records that a remote commits late carry an earlier stamp than the cursor. A poll that looks for them reaches
    /// back over the overlap and half of it more, and comes once in half an overlap; so nothing is missed, and a bulk
    /// change is not read again by every poll.
    fn since(&self, kind: WalkKind, state: &PullState) -> Option<i64> {
        let back = match kind {
            WalkKind::Backfill | WalkKind::Sweep => return None,
            WalkKind::Poll if state.overlap_due => self.bound.abilities.overlap_ms.saturating_mul(3) / 2,
            WalkKind::Poll => SHORT_OVERLAP_MS.min(self.bound.abilities.overlap_ms),
        };
        state.since_ms.map(|since| since.saturating_sub(back))
    }

    /// Whether what this binding's records refer to is still being read for the first time: every record would have
    /// to wait by itself otherwise.
    async fn parents_come_first(&self) -> Result<bool, StoreError> {
        let first: Vec<i32> =
            self.bound.parents.iter().filter(|parent| parent.first).map(|parent| parent.id).collect();
        if first.is_empty() { Ok(false) } else { self.store.being_backfilled(&first).await }
    }

    pub(super) fn overlap_every(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.bound.abilities.overlap_ms / 2).unwrap_or(0))
    }

    fn due(&self, state: &PullState) -> Option<WalkKind> {
        if let Some(walk) = &state.walk {
            // a poll that failed comes back when it is due, not at once
            return (state.poll_in.is_zero() || walk.kind != WalkKind::Poll).then_some(walk.kind);
        }
        if !state.backfilled {
            return state.poll_in.is_zero().then_some(WalkKind::Backfill);
        }
        if state.poll_in.is_zero() {
            return Some(WalkKind::Poll);
        }
        let sweep = self.bound.sweep_every.is_some() && state.sweep_in.is_some_and(|wait| wait.is_zero());
        sweep.then_some(WalkKind::Sweep)
    }
}

/// A name for a record whose id could not be read: nothing is lost, and people see which one it is.
fn unreadable_name(record: &Value) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(record.to_string().as_bytes());
    format!("unreadable:{}", hex::encode(digest.get(..8).unwrap_or(&digest)))
}
