//! Recover: after the slot was lost, every row and link of a binding is compared with its shadow.
//!
//! A row that differs is marked at once: a mark too many costs a look. A row without a link, and a link without a row,
//! are only believed once capture has come past the moment when they were seen: the new slot may hold a changed
//! primary key, a truncate or a delete that explains them (I23, I24). What is left then happened before the slot
//! began.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::{info, instrument, warn};
use uuid::Uuid;

use crate::bound::Bound;
use crate::mapping::reference::References;
use crate::model::lsn::Lsn;
use crate::store::comparison::{
    Comparison, Phase, Progress, Purpose, mark_gone, save_comparison, wal_insert,
};
use crate::store::link::{Link, LinkState, links_by_key, links_by_remote, move_link, page_of_links};
use crate::store::mirror::{Row, existing_keys, is_empty, read_page, read_rows};
use crate::store::outbox::{hold_links, mark_later};
use crate::store::{Store, StoreError};
use crate::verify::{LEASE, Turned};

/// Rows or links that a turn reads.
const CHUNK: i64 = 1_000;
/// Keys that are kept back until capture has come past them; more wait for their turn.
const KEPT_BACK: usize = 5_000;

/// Why deletes wait for a person.
const EMPTY: &str = "the table was found empty after the replication slot was lost, which a truncate would look like: this record would be deleted; select rowtwin.approve(…) with the name of the table sends the deletes";

/// The recovering side of one binding.
pub struct Recoverer {
    store: Store,
    bound: Arc<Bound>,
    slot: String,
    lease: Uuid,
    ahead: Option<Ahead>,
}

/// What was read further than what is saved.
struct Ahead {
    number: i64,
    phase: Phase,
    place: Option<String>,
    /// The phase has no more.
    ended: bool,
    /// Keys that capture must come past.
    waiting: Vec<String>,
    /// Where the log ended after they were read.
    read_at: Lsn,
    seen: usize,
    found: usize,
}

impl Ahead {
    fn of(comparison: &Comparison) -> Self {
        Self {
            number: comparison.number,
            phase: comparison.phase,
            place: comparison.place.clone(),
            ended: false,
            waiting: Vec::new(),
            read_at: Lsn(0),
            seen: 0,
            found: 0,
        }
    }
}

impl Recoverer {
    /// For one binding; `slot` is the one whose stream must be passed.
    pub fn new(store: Store, bound: Arc<Bound>, slot: String) -> Self {
        Self { store, bound, slot, lease: Uuid::new_v4(), ahead: None }
    }

    /// Compares one chunk.
    ///
    /// # Errors
    /// When the mirror database fails; the chunk comes again then.
    #[instrument(name = "recover", skip_all, fields(binding = %self.bound.name))]
    pub async fn turn(&mut self) -> Result<Turned, StoreError> {
        let taken = self.store.take_comparison(self.bound.id, Purpose::Recovery, self.lease, LEASE).await?;
        let Some(comparison) = taken else {
            self.ahead = None;
            return Ok(Turned::nothing());
        };
        let ahead = match self.ahead.take() {
            Some(ahead) if ahead.number == comparison.number && ahead.phase == comparison.phase => ahead,
            _ => Ahead::of(&comparison),
        };
        let turned = self.step(ahead).await;
        if turned.is_err() {
            // what is saved is what counts
            self.ahead = None;
        }
        turned
    }

    /// Gives the lease back at a clean stop.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn release(&self) -> Result<(), StoreError> {
        self.store.leave_comparison(self.bound.id, self.lease).await
    }

    async fn step(&mut self, mut ahead: Ahead) -> Result<Turned, StoreError> {
        if ahead.ended || ahead.waiting.len() >= KEPT_BACK {
            let passed = match self.store.slot_confirmed(&self.slot).await? {
                Some(confirmed) => confirmed >= ahead.read_at,
                None => false,
            };
            if !ahead.waiting.is_empty() && !passed {
                self.ahead = Some(ahead);
                return Ok(Turned::waits());
            }
            return self.believe(ahead).await;
        }
        let seen = match ahead.phase {
            Phase::Rows => self.read_rows(&mut ahead).await?,
            _ => self.read_links(&mut ahead).await?,
        };
        ahead.seen += seen;
        if ahead.waiting.is_empty() && !ahead.ended {
            self.save(&mut ahead).await?;
        }
        self.ahead = Some(ahead);
        Ok(Turned::worked(seen))
    }

    /// Reads a chunk of rows and marks those that differ.
    async fn read_rows(&self, ahead: &mut Ahead) -> Result<usize, StoreError> {
        let bound = &self.bound;
        let client = self.store.client().await?;
        let columns = bound.row_columns();
        let rows = read_page(&client, &bound.table, &columns, ahead.place.as_deref(), CHUNK).await?;
        let keys: Vec<String> = rows.iter().map(|(key, _)| key.clone()).collect();
        let links = links_by_key(&client, bound.id, &keys).await?;
        let references = bound.references(&client, rows.iter().map(|(_, row)| row), []).await?;
        let mut differ = Vec::new();
        let mut unlinked = Vec::new();
        for (key, row) in &rows {
            match links.get(key) {
                None => unlinked.push(key.clone()),
                Some(link) if differs(bound, row, link, &references) => differ.push(key.clone()),
                Some(_) => {}
            }
        }
        mark_later(&client, bound.id, &differ).await?;
        ahead.found += differ.len();
        self.keep_back(&client, ahead, unlinked).await?;
        ahead.ended = i64::try_from(rows.len()).unwrap_or(CHUNK) < CHUNK;
        ahead.place = keys.last().cloned().or(ahead.place.take());
        Ok(rows.len())
    }

    /// Reads a chunk of links and keeps those without a row.
    async fn read_links(&self, ahead: &mut Ahead) -> Result<usize, StoreError> {
        let bound = &self.bound;
        let client = self.store.client().await?;
        let links = page_of_links(&client, bound.id, ahead.place.as_deref(), CHUNK).await?;
        let keys: Vec<String> = links.into_iter().map(|link| link.key).collect();
        let there: BTreeSet<String> =
            existing_keys(&client, &bound.table, &keys).await?.into_iter().collect();
        let missing = keys.iter().filter(|key| !there.contains(*key)).cloned().collect();
        self.keep_back(&client, ahead, missing).await?;
        ahead.ended = i64::try_from(keys.len()).unwrap_or(CHUNK) < CHUNK;
        ahead.place = keys.last().cloned().or(ahead.place.take());
        Ok(keys.len())
    }

    async fn keep_back(
        &self,
        client: &deadpool_postgres::Client,
        ahead: &mut Ahead,
        keys: Vec<String>,
    ) -> Result<(), StoreError> {
        if !keys.is_empty() {
            ahead.waiting.extend(keys);
            ahead.read_at = wal_insert(client).await?;
        }
        Ok(())
    }

    /// Capture has come past what was kept back: what is still so is marked, and the progress saved.
    async fn believe(&mut self, mut ahead: Ahead) -> Result<Turned, StoreError> {
        let bound = Arc::clone(&self.bound);
        let keys = std::mem::take(&mut ahead.waiting);
        let mut client = self.store.client().await?;
        let transaction = client.transaction().await?;
        let links = links_by_key(&transaction, bound.id, &keys).await?;
        let rows = read_rows(&transaction, &bound.table, &bound.row_columns(), &keys, false).await?;
        match ahead.phase {
            Phase::Rows => {
                let unlinked: Vec<String> = keys
                    .into_iter()
                    .filter(|key| !links.contains_key(key) && rows.contains_key(key))
                    .collect();
                follow_keys(&transaction, &bound, &unlinked, &rows).await?;
                mark_later(&transaction, bound.id, &unlinked).await?;
                ahead.found += unlinked.len();
            }
            _ => {
                let missing: Vec<String> = keys
                    .into_iter()
                    .filter(|key| links.contains_key(key) && !rows.contains_key(key))
                    .collect();
                if !missing.is_empty() && is_empty(&transaction, &bound.table).await? {
                    let held = hold_links(&transaction, bound.id, Some(&missing), Some(true), EMPTY).await?;
                    warn!(held, "a bound table was found empty; its deletes are held for approval");
                } else {
                    mark_gone(&transaction, bound.id, &missing).await?;
                }
                ahead.found += missing.len();
            }
        }
        if ahead.ended {
            ahead.phase = if ahead.phase == Phase::Rows { Phase::Links } else { Phase::Done };
            ahead.place = None;
            ahead.ended = false;
        }
        let progress = progress(&mut ahead);
        save_comparison(&transaction, bound.id, Purpose::Recovery, self.lease, &progress).await?;
        transaction.commit().await?;
        if ahead.phase == Phase::Done {
            info!("every row was compared with its shadow");
            self.ahead = None;
        } else {
            self.ahead = Some(ahead);
        }
        Ok(Turned::worked(0))
    }

    async fn save(&self, ahead: &mut Ahead) -> Result<(), StoreError> {
        let client = self.store.client().await?;
        let progress = progress(ahead);
        save_comparison(&client, self.bound.id, Purpose::Recovery, self.lease, &progress).await
    }
}

/// What is to be saved; the counts begin anew.
fn progress(ahead: &mut Ahead) -> Progress {
    Progress {
        number: ahead.number,
        phase: ahead.phase,
        place: ahead.place.clone(),
        page: None,
        seen: std::mem::take(&mut ahead.seen),
        found: std::mem::take(&mut ahead.found),
    }
}

/// Whether a delivery would find anything to do.
fn differs(bound: &Bound, row: &Row, link: &Link, references: &References) -> bool {
    if link.state != LinkState::Linked {
        // a create in doubt is in the outbox, and a kept link has no twin
        return false;
    }
    let Some(shadow) = &link.shadow else { return true };
    let unwritten = bound.id_column.as_ref().is_some_and(|column| {
        row.get(column).and_then(serde_json::Value::as_str) != link.remote_id.as_deref()
    });
    unwritten
        || bound.mapping.outgrown(shadow)
        || bound
            .mapping
            .encode(row, references)
            .map_or(true, |encoded| !bound.mapping.push_diff(&encoded, shadow, &BTreeSet::new()).is_empty())
}

/// Rows whose primary key was changed unseen carry the id of a record whose link has lost its row.
async fn follow_keys(
    transaction: &deadpool_postgres::Transaction<'_>,
    bound: &Bound,
    unlinked: &[String],
    rows: &std::collections::HashMap<String, Row>,
) -> Result<(), StoreError> {
    let Some(column) = &bound.id_column else { return Ok(()) };
    let carried: Vec<(&String, &str)> =
        unlinked.iter().filter_map(|key| Some((key, rows.get(key)?.get(column)?.as_str()?))).collect();
    if carried.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = carried.iter().map(|(_, id)| (*id).to_owned()).collect();
    let links = links_by_remote(transaction, bound.id, &ids).await?;
    let old: Vec<String> = links.values().map(|link| link.key.clone()).collect();
    let there: BTreeSet<String> = existing_keys(transaction, &bound.table, &old).await?.into_iter().collect();
    for (key, id) in carried {
        if let Some(link) = links.get(id)
            && !there.contains(&link.key)
        {
            move_link(transaction, bound.id, &link.key, key).await?;
        }
    }
    Ok(())
}
