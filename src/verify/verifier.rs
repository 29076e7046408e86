//! Verify: rows, shadows and records of a binding, compared on both sides.
//!
//! Twins are read by their ids, so that what is missing is known to be missing (I16). Then the rows without a link are
//! looked for, and, by a list of ids, the records without one. What is on its way at that moment is left out: it is
//! no drift. Calls count as a backfill's, so people's edits come first (R15).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use deadpool_postgres::Transaction;
use serde_json::Value;
use tracing::{info, instrument, warn};
use uuid::Uuid;

use crate::bound::Bound;
use crate::mapping::reference::References;
use crate::model::lsn::Lsn;
use crate::model::outcome::Outcome;
use crate::model::record::RemoteRecord;
use crate::model::retry;
use crate::remote::gate::Priority;
use crate::store::comparison::{
    Comparison, Drift, Phase, Progress, Purpose, note_drift, save_comparison, waiting_keys, wal_insert,
};
use crate::store::link::{Link, LinkState, links_by_key, page_of_links, unlinked_ids};
use crate::store::mirror::{Row, existing_keys, read_page, read_rows};
use crate::store::{Store, StoreError};
use crate::verify::compare::compare;
use crate::verify::repair::{Known, repair};
use crate::verify::{LEASE, Turned};

/// Rows without a call that a turn reads.
const CHUNK: i64 = 1_000;
/// Twins that a turn reads, in as many calls as that takes.
const TWINS: usize = 200;

/// The verifying side of one binding.
pub struct Verifier {
    store: Store,
    bound: Arc<Bound>,
    slot: String,
    lease: Uuid,
    /// What was read and waits until capture has come past it.
    held: Option<Read>,
}

/// A chunk that was read.
struct Read {
    number: i64,
    keys: Vec<String>,
    /// Links without a row or rows without a link when they were read.
    alone: BTreeSet<String>,
    /// The records of the links, by id; `None` where they cannot be read.
    records: Option<HashMap<String, RemoteRecord>>,
    /// The mirror database's clock before the records were read.
    at: SystemTime,
    /// Where the log ended after the rows were read.
    log: Lsn,
    ended: bool,
}

impl Verifier {
    /// For one binding; `slot` is the one whose stream must be passed.
    pub fn new(store: Store, bound: Arc<Bound>, slot: String) -> Self {
        Self { store, bound, slot, lease: Uuid::new_v4(), held: None }
    }

    /// The binding.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Compares one chunk of the verification that is under way.
    ///
    /// # Errors
    /// When the mirror database fails; the chunk comes again then.
    #[instrument(name = "verify", skip_all, fields(binding = %self.bound.name))]
    pub async fn turn(&mut self) -> Result<Turned, StoreError> {
        if let Some(wait) = self.store.system_wait(&self.bound.system).await? {
            return Ok(Turned { rest: Some(wait), ..Turned::default() });
        }
        let taken =
            self.store.take_comparison(self.bound.id, Purpose::Verification, self.lease, LEASE).await?;
        let Some(comparison) = taken else {
            self.held = None;
            return Ok(Turned::nothing());
        };
        if comparison.phase == Phase::Records {
            return self.records(&comparison).await;
        }
        let read = match self.held.take().filter(|read| read.number == comparison.number) {
            Some(read) => read,
            None => match self.read(&comparison).await? {
                Ok(read) => read,
                Err(outcome) => return self.put_off(&outcome).await,
            },
        };
        let passed = read.alone.is_empty()
            || self.store.slot_confirmed(&self.slot).await?.is_some_and(|confirmed| confirmed >= read.log);
        if !passed {
            // a missing row may have another key by now, or its delete may be on its way
            self.held = Some(read);
            return Ok(Turned::waits());
        }
        self.judge(&comparison, read).await
    }

    /// Gives the lease back at a clean stop.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn release(&self) -> Result<(), StoreError> {
        self.store.leave_comparison(self.bound.id, self.lease).await
    }

    /// Reads the next chunk of links with their records, or of rows. The inner error is the system's.
    async fn read(&self, comparison: &Comparison) -> Result<Result<Read, Outcome>, StoreError> {
        let bound = &self.bound;
        let place = comparison.place.as_deref();
        let at = self.store.clock().await?;
        if comparison.phase == Phase::Rows {
            let client = self.store.client().await?;
            let rows = read_page(&client, &bound.table, &[], place, CHUNK).await?;
            let ended = i64::try_from(rows.len()).unwrap_or(CHUNK) < CHUNK;
            let keys: Vec<String> = rows.into_iter().map(|(key, _)| key).collect();
            let links = links_by_key(&client, bound.id, &keys).await?;
            let alone = keys.iter().filter(|key| !links.contains_key(*key)).cloned().collect();
            let log = wal_insert(&client).await?;
            return Ok(Ok(Read { number: comparison.number, keys, alone, records: None, at, log, ended }));
        }
        let limit = i64::try_from(TWINS).unwrap_or(CHUNK);
        let links = {
            let client = self.store.client().await?;
            page_of_links(&client, bound.id, place, limit).await?
        };
        let ended = links.len() < TWINS;
        let ids: Vec<String> = links
            .iter()
            .filter(|link| link.state == LinkState::Linked)
            .filter_map(|link| link.remote_id.clone())
            .collect();
        let mut records = None;
        if bound.abilities.can_read {
            let mut found = HashMap::new();
            for ids in ids.chunks(bound.abilities.read_batch.max(1)) {
                match bound.client.read(&bound.object, &bound.record_fields(), ids, Priority::Backfill).await
                {
                    Ok(more) => found.extend(more.into_iter().map(|record| (record.id.clone(), record))),
                    Err(outcome) => return Ok(Err(outcome)),
                }
            }
            records = Some(found);
        }
        let client = self.store.client().await?;
        let keys: Vec<String> = links.into_iter().map(|link| link.key).collect();
        let there: BTreeSet<String> =
            existing_keys(&client, &bound.table, &keys).await?.into_iter().collect();
        let alone = keys.iter().filter(|key| !there.contains(*key)).cloned().collect();
        let log = wal_insert(&client).await?;
        Ok(Ok(Read { number: comparison.number, keys, alone, records, at, log, ended }))
    }

    /// Compares what was read with what is there now, and writes the differences down.
    async fn judge(&self, comparison: &Comparison, read: Read) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        let mut client = self.store.client().await?;
        let transaction = client.transaction().await?;
        let links = links_by_key(&transaction, bound.id, &read.keys).await?;
        let waiting = waiting_keys(&transaction, bound.id, &read.keys).await?;
        let quiet: Vec<String> = read.keys.iter().filter(|key| !waiting.contains(*key)).cloned().collect();
        let columns = bound.row_columns();
        let rows = read_rows(&transaction, &bound.table, &columns, &quiet, false).await?;
        let references = bound.references(&transaction, rows.values(), []).await?;
        let drift: Vec<Drift> = if comparison.phase == Phase::Rows {
            let unlinked = |key: &&String| {
                read.alone.contains(*key) && !links.contains_key(*key) && rows.contains_key(*key)
            };
            quiet.iter().filter(unlinked).map(|key| alone("unlinked row", Some(key), None)).collect()
        } else {
            let noted = self.noted(&transaction, &links).await?;
            quiet
                .iter()
                .filter_map(|key| links.get(key))
                .filter(|link| link.state == LinkState::Linked && link.settled_at <= read.at)
                .filter(|link| link.remote_id.as_ref().is_some_and(|id| !noted.contains(id)))
                .filter_map(|link| self.difference(link, rows.get(&link.key), &read, &references))
                .collect()
        };
        let known = read.records.unwrap_or_default();
        if let Some(side) = comparison.repair {
            let known = Known { links: &links, rows: &rows, records: &known, references: &references };
            repair(&transaction, bound, side, &drift, &known).await?;
        }
        let (phase, place) = match (comparison.phase, read.ended) {
            (phase, false) => (phase, read.keys.last().cloned()),
            (Phase::Links, true) if bound.pushes => (Phase::Rows, None),
            _ if bound.pulls && bound.abilities.can_list => (Phase::Records, None),
            _ => (Phase::Done, None),
        };
        let seen = read.keys.len();
        self.save(&transaction, comparison, phase, place, None, seen, &drift).await?;
        transaction.commit().await?;
        told(phase);
        Ok(Turned::worked(seen))
    }

    /// One twin, row and record.
    fn difference(
        &self,
        link: &Link,
        row: Option<&Row>,
        read: &Read,
        references: &References,
    ) -> Option<Drift> {
        let id = link.remote_id.as_deref();
        let record = id.and_then(|id| read.records.as_ref()?.get(id)).filter(|record| !record.deleted);
        let Some(row) = row else {
            return read.alone.contains(&link.key).then(|| alone("missing row", Some(&link.key), id));
        };
        if read.records.is_some() && record.is_none() {
            return Some(alone("missing record", Some(&link.key), id));
        }
        // a row that cannot be put into the record's form is rejected, with its reason, by the delivery
        let encoded = self.bound.mapping.encode(row, references).ok()?;
        let fields = record.map(|record| &record.fields);
        let found = compare(&self.bound.mapping, &encoded, link.shadow.as_ref(), fields)?;
        Some(Drift {
            kind: found.kind,
            fields: found.fields,
            shadow: Some(found.shadow),
            row: Some(found.row),
            record: record.is_some().then_some(found.record),
            ..alone(found.kind, Some(&link.key), id)
        })
    }

    /// Ids that are to be read again anyway.
    async fn noted(
        &self,
        transaction: &Transaction<'_>,
        links: &HashMap<String, Link>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let ids: Vec<String> = links.values().filter_map(|link| link.remote_id.clone()).collect();
        let rows = transaction
            .query(
                "select remote_id from rowtwin_private.inbox where binding_id = $1 and remote_id = any ($2)",
                &[&self.bound.id, &ids],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// One page of ids: which of them have no link.
    async fn records(&self, comparison: &Comparison) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        let page = comparison.page.as_ref();
        let listed = bound
            .client
            .list(&bound.object, &bound.record_fields(), None, page, true, Priority::Backfill)
            .await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(outcome) => return self.put_off(&outcome).await,
        };
        let ids: Vec<String> =
            listed.records.iter().filter(|record| !record.deleted).map(|record| record.id.clone()).collect();
        let mut client = self.store.client().await?;
        let transaction = client.transaction().await?;
        let drift: Vec<Drift> = unlinked_ids(&transaction, bound.id, &ids)
            .await?
            .iter()
            .map(|id| alone("unlinked record", None, Some(id)))
            .collect();
        if let Some(side) = comparison.repair {
            let (links, rows, records) = (HashMap::new(), HashMap::new(), HashMap::new());
            let references = References::default();
            let known = Known { links: &links, rows: &rows, records: &records, references: &references };
            repair(&transaction, bound, side, &drift, &known).await?;
        }
        let after = listed.after;
        // a page that names itself as the next one would never end
        let next: Option<Value> = listed.next.filter(|next| Some(next) != page);
        let phase = if next.is_some() { Phase::Records } else { Phase::Done };
        self.save(&transaction, comparison, phase, None, next, ids.len(), &drift).await?;
        transaction.commit().await?;
        told(phase);
        Ok(Turned { rest: after, ..Turned::worked(ids.len()) })
    }

    #[expect(clippy::too_many_arguments, reason = "the end of two kinds of chunk")]
    async fn save(
        &self,
        transaction: &Transaction<'_>,
        comparison: &Comparison,
        phase: Phase,
        place: Option<String>,
        page: Option<Value>,
        seen: usize,
        drift: &[Drift],
    ) -> Result<(), StoreError> {
        note_drift(transaction, self.bound.id, comparison.number, comparison.repair, drift).await?;
        // ids are compared beside the rows and links that were counted
        let seen = if comparison.phase == Phase::Records { 0 } else { seen };
        let progress = Progress { number: comparison.number, phase, place, page, seen, found: drift.len() };
        save_comparison(transaction, self.bound.id, Purpose::Verification, self.lease, &progress).await
    }

    /// The system does not answer now, or not like this.
    async fn put_off(&self, outcome: &Outcome) -> Result<Turned, StoreError> {
        let asked = match outcome {
            Outcome::Retry { after, .. } | Outcome::Throttled { after, .. } => *after,
            _ => None,
        };
        let wait = retry::wait(2, 0.5, asked);
        warn!(
            reason = outcome.reason(),
            outcome = outcome.kind().word(),
            "a verification waits for the system"
        );
        self.store.comparison_failed(self.bound.id, Purpose::Verification, wait, outcome.reason()).await?;
        Ok(Turned { seen: 0, under_way: true, rest: Some(wait.min(Duration::from_secs(1))) })
    }
}

fn told(phase: Phase) {
    if phase == Phase::Done {
        info!("rows, shadows and records were compared");
    }
}

fn alone(kind: &'static str, key: Option<&String>, id: Option<&str>) -> Drift {
    Drift {
        kind,
        key: key.cloned(),
        remote_id: id.map(str::to_owned),
        fields: Vec::new(),
        shadow: None,
        row: None,
        record: None,
    }
}
