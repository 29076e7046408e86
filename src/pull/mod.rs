//! remote → mirror: walk over pages, read what the inbox names, merge, write rows.
//!
//! A turn does one bounded piece of work for one binding: a batch of the inbox, or one page of a walk. A page's rows
//! and its cursor commit together (R16). One process at a time pulls a binding, under a lease.

pub mod apply;
mod documents;
mod fate;
mod fields;
mod gone;
mod guard;
mod matching;
pub mod plan;
mod referred;
mod walk;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{instrument, warn};
use uuid::Uuid;

use crate::bound::Bound;
use crate::model::outcome::Outcome;
use crate::model::record::RemoteRecord;
use crate::model::retry;
use crate::pull::apply::Batch;
use crate::remote::gate::Priority;
use crate::remote::lease::{LEASE, Lease};
use crate::store::error::Class;
use crate::store::inbox::{clear_records, keep_waved, note_records, put_off, reject_record};
use crate::store::limits::book_read;
use crate::store::mirror::mark_table;
use crate::store::walk::PullState;
use crate::store::{Store, StoreError};

/// Why a record waits whose row is not there, and for how long: longer than capture is ever behind when all is well,
/// since each look costs a call.
const MISSING: &str = "its row is missing, and capture has not come to why";
const UNMARKED: Duration = Duration::from_secs(2);
/// How long a record waits that could not be applied now.
const DEFERRED: Duration = Duration::from_millis(300);

/// A webhook may name a record that is not committed yet: it is looked for this often before it counts as gone.
const LOOKS_BEFORE_GONE: i32 = 3;

/// Why a record is in the inbox although nobody's edit or decision waits for it: what sweeps and walks have put there.
/// After a lost permission these are many, and they must not use up the calls that are kept for edits.
const UNHURRIED: &[&str] =
    &["found by a sweep", "missing from the list", "read failed", referred::BY_ID, referred::BY_REFERENCE];

/// How often a remote that refuses to be read is asked whether its fields have changed.
const DESCRIBE_AGAIN: Duration = Duration::from_secs(600);

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turned {
    /// Records that were seen.
    pub seen: usize,
    /// Not before then is there anything to do; `None`: go on at once.
    pub rest: Option<Duration>,
}

/// The pulling side of one binding.
pub struct Puller {
    pub store: Store,
    pub bound: Arc<Bound>,
    /// This process's name for its leases.
    pub lease: Uuid,
}

impl Puller {
    /// Does one piece of work.
    ///
    /// # Errors
    /// When the mirror database fails; the page or batch was rolled back then.
    #[instrument(name = "pull", skip_all, fields(binding = %self.bound.name))]
    pub async fn turn(&self) -> Result<Turned, StoreError> {
        match self.leased().await {
            Err(error)
                if error.class() == Class::Operator && self.bound.hold_if_drifted(&self.store).await? =>
            {
                Ok(Turned { seen: 0, rest: Some(Duration::from_secs(1)) })
            }
            other => other,
        }
    }

    /// Takes a lease and works under it.
    async fn leased(&self) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        if let Some(wait) = self.store.system_wait(&bound.system).await? {
            return Ok(Turned { seen: 0, rest: Some(wait) });
        }
        let asked = Instant::now();
        let Some(state) = self.store.begin_pull(bound.id, self.lease, LEASE).await? else {
            return Ok(Turned { seen: 0, rest: Some(Duration::from_secs(1)) });
        };
        let (store, binding, lease) = (self.store.clone(), bound.id, self.lease);
        let renew = move || {
            let store = store.clone();
            async move { store.renew_pull(binding, lease, LEASE).await.unwrap_or(false) }
        };
        Lease::taken(asked).during(renew, self.work(state)).await
    }

    /// Does the piece of work that is due.
    async fn work(&self, state: PullState) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        if state.describe_due && bound.abilities.can_describe && self.describe().await? {
            return Ok(Turned { seen: 0, rest: Some(Duration::from_secs(1)) });
        }
        let read = match self.read_inbox().await? {
            Some(refused) if refused.rest.is_some() => return Ok(refused),
            read => read,
        };
        // also behind a batch of the inbox: a steady stream of records to be read again must not keep the polls waiting
        match (read, self.walk(&state).await?) {
            (Some(read), Some(walked)) => {
                return Ok(Turned { seen: read.seen + walked.seen, rest: None });
            }
            (Some(turned), None) | (None, Some(turned)) => return Ok(turned),
            (None, None) => {}
        }
        if bound.pushes && !state.first_pushed {
            let client = self.store.client().await?;
            // the links first: a row that was deleted while nobody watched has nothing but its link
            crate::store::mirror::mark_links(&client, bound.id).await?;
            match mark_table(&client, &bound.table, bound.filter.as_deref(), bound.id).await {
                // a row for which the filter fails is looked at, and rejected, alone
                Err(error) if error.class() == Class::Definite && bound.filter.is_some() => {
                    mark_table(&client, &bound.table, None, bound.id).await?;
                }
                other => {
                    other?;
                }
            }
            self.store.first_push_marked(bound.id).await?;
            return Ok(Turned::default());
        }
        let mut rest = Duration::from_millis(250);
        if bound.pulls && bound.abilities.can_list {
            rest = rest.min(state.poll_in.max(Duration::from_millis(10)));
        }
        Ok(Turned { seen: 0, rest: Some(rest) })
    }

    /// Frees what waited for records of this binding.
    async fn free_children(&self) -> Result<(), StoreError> {
        if self.bound.children.is_empty() {
            Ok(())
        } else {
            self.store.release_waiting_for(self.bound.id).await
        }
    }

    /// Gives the lease back at a clean stop.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn release(&self) -> Result<(), StoreError> {
        self.store.end_pull(self.bound.id, self.lease).await
    }

    /// Reads and applies records that the inbox names; `None` when none is due.
    async fn read_inbox(&self) -> Result<Option<Turned>, StoreError> {
        let bound = &self.bound;
        if !bound.abilities.can_read {
            return Ok(None);
        }
        let due = self.store.due_records(bound.id, bound.abilities.read_batch.max(1)).await?;
        if due.is_empty() {
            return Ok(None);
        }
        let (named, due): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|one| one.why == referred::BY_REFERENCE);
        if !named.is_empty() {
            return self.read_referred(&named).await.map(Some);
        }
        let ids: Vec<String> = due.iter().map(|one| one.remote_id.clone()).collect();
        let read_at = self.store.clock().await?;
        // one call, whoever asked for it: an edit takes along what nobody waits for
        let waited_for = due.iter().any(|one| !UNHURRIED.contains(&one.why.as_str()));
        let priority = if waited_for { Priority::Apply } else { Priority::Backfill };
        let records = match bound.client.read(&bound.object, &bound.record_fields(), &ids, priority).await {
            Ok(records) => records,
            Err(outcome) => return self.not_read(&ids, outcome).await.map(Some),
        };
        let count = records.len();
        let present: BTreeSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
        let missing: Vec<&crate::store::inbox::Waiting> =
            due.iter().filter(|one| !present.contains(one.remote_id.as_str())).collect();
        // what a webhook names may not be committed yet: not found is not gone
        let (early, gone): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|one| one.why == "webhook" && one.attempts < LOOKS_BEFORE_GONE);
        let not_given: Vec<String> =
            gone.iter().filter(|one| one.why == referred::BY_ID).map(|one| one.remote_id.clone()).collect();
        let loose: BTreeSet<String> =
            due.iter().filter(|one| one.loose).map(|one| one.remote_id.clone()).collect();
        let early: Vec<String> = early.into_iter().map(|one| one.remote_id.clone()).collect();
        let gone: Vec<String> = gone.into_iter().map(|one| one.remote_id.clone()).collect();
        let first_seen = self.store.clock().await?;
        let heard_of = due.iter().map(|one| (one.remote_id.clone(), one.since)).collect();

        let mut client = self.store.client().await?;
        let mut transaction = client.transaction().await?;
        clear_records(&transaction, bound.id, due.iter().filter(|one| !early.contains(&one.remote_id)))
            .await?;
        put_off(&transaction, bound.id, &early, Duration::from_secs(1), "not found yet").await?;
        let waved: BTreeSet<String> =
            due.iter().filter(|one| one.waved).map(|one| one.remote_id.clone()).collect();
        let batch = Batch { bound, records, read_at, first_seen, heard_of, loose, waved: waved.clone() };
        batch.apply(&mut transaction).await?;
        gone::apply_gone(&mut transaction, bound, &gone, &waved).await?;
        for id in &not_given {
            reject_record(&transaction, bound.id, id, referred::NOT_GIVEN).await?;
        }
        keep_waved(&transaction, bound.id, &waved).await?;
        book_read(&transaction, bound.id, count).await?;
        transaction.commit().await?;
        self.free_children().await?;
        Ok(Some(Turned { seen: ids.len(), rest: None }))
    }

    /// A read failed: its ids wait; one that the remote refuses by itself is found by halving.
    async fn not_read(&self, ids: &[String], outcome: Outcome) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        let client = self.store.client().await?;
        if outcome.is_systemic() || ids.len() > 1 {
            let wait = wait_after(&outcome);
            put_off(&client, bound.id, ids, wait, outcome.reason()).await?;
            if !outcome.is_systemic() {
                // the ids come back one by one: staggered, so that a bad one is alone
                for (place, id) in ids.iter().enumerate() {
                    let wait = Duration::from_millis(20 * u64::try_from(place).unwrap_or(0));
                    note_records(&client, bound.id, std::slice::from_ref(id), "read failed", wait).await?;
                }
            }
            warn!(reason = outcome.reason(), ids = ids.len(), "reading records failed");
            return Ok(Turned { seen: 0, rest: Some(wait.min(Duration::from_millis(500))) });
        }
        for id in ids {
            reject_record(&client, bound.id, id, outcome.reason()).await?;
        }
        Ok(Turned { seen: ids.len(), rest: None })
    }

    /// A list failed.
    async fn not_listed(&self, outcome: &Outcome) -> Result<Turned, StoreError> {
        let wait = wait_after(outcome);
        warn!(reason = outcome.reason(), outcome = outcome.kind().word(), "listing records failed");
        self.store.pull_failed(self.bound.id, wait, outcome.reason()).await?;
        if !outcome.is_systemic() {
            // a field that is no longer there may be the cause
            self.store.describe_soon(self.bound.id, DESCRIBE_AGAIN).await?;
        }
        Ok(Turned { seen: 0, rest: Some(wait.min(Duration::from_secs(1))) })
    }
}

fn wait_after(outcome: &Outcome) -> Duration {
    let asked = match outcome {
        Outcome::Retry { after, .. } | Outcome::Throttled { after, .. } => *after,
        _ => None,
    };
    retry::wait(2, 0.5, asked)
}

/// Keeps the last of several records with the same id.
fn newest_of_each(records: Vec<RemoteRecord>) -> Vec<RemoteRecord> {
    let mut seen = BTreeSet::new();
    let mut kept: Vec<RemoteRecord> =
        records.into_iter().rev().filter(|record| seen.insert(record.id.clone())).collect();
    kept.reverse();
    kept
}
