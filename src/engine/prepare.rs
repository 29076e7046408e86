//! Preparing the mirror database, and checking that it is fit.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tracing::error;

use crate::bound::Bound;
use crate::config::file::OnLostSlot;
use crate::engine::relate::relate;
use crate::engine::slot::Tended;
use crate::engine::{Engine, EngineError};
use crate::store::StoreError;
use crate::store::catalog::ServerFacts;

/// How soon a slot that somebody else cares for is looked at again.
const TEND_AGAIN: Duration = Duration::from_millis(500);

/// The oldest Postgres that is supported.
const OLDEST: i32 = 140_000;

impl Engine {
    /// Installs schemas, publication and slot and registers systems and bindings; says what it did. Safe to run twice.
    ///
    /// # Errors
    /// When the database is not fit, or a statement fails.
    pub async fn init(&mut self) -> Result<Vec<String>, EngineError> {
        let facts = self.store.server_facts().await?;
        let unfit = self.unfit(&facts).await?;
        if !unfit.is_empty() {
            return Err(EngineError::Database(unfit.join("\n")));
        }
        let mut done = Vec::new();
        self.store.migrate().await?;
        done.push("schemas rowtwin and rowtwin_private are up to date".to_owned());
        let roles = self
            .store
            .view("select rolname from pg_roles where rolname in ('rowtwin_reader', 'rowtwin_operator', 'rowtwin_service')")
            .await?;
        done.push(if roles.len() == 3 {
            "roles rowtwin_reader (views), rowtwin_operator (functions) and rowtwin_service (runs the process) are there to be granted".to_owned()
        } else {
            format!("not all of the roles rowtwin_reader, rowtwin_operator and rowtwin_service are there, since {} may not create roles; docs/roles.md says how a DBA makes them", facts.user)
        });
        match self.store.publish(&self.publication, &self.tables).await? {
            Some(what) => done.push(what),
            None => done.push(format!("publication {} holds the bound tables", self.publication)),
        }
        done.push(self.prepare_slot().await?);
        self.register().await?;
        done.push(format!("{} systems and {} bindings registered", self.systems.len(), self.bounds.len()));
        done.extend(self.drifted.iter().map(|one| format!("held: {}", one.reason)));
        self.keep_journal().await?;
        Ok(done)
    }

    /// Makes the slot if it is the first one here; else sees that no change was skipped. Says what it did.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn prepare_slot(&self) -> Result<String, EngineError> {
        let (slot, spec) = (&self.slot, self.slot_spec);
        if self.store.register_capture(slot, &self.publication, spec).await? {
            if !self.store.was_in_use().await? {
                let made = self.store.create_slot(slot, spec.failover).await.map_err(slot_error)?.is_some();
                self.store.slot_begun(slot).await?;
                return Ok(format!("replication slot {slot} {}", if made { "made" } else { "is there" }));
            }
            // rows were compared here before, and this slot knows nothing of what was changed since
            self.store.note_lost(slot, "the slot is new on a database that had another one").await?;
        }
        let mut tries = 60;
        loop {
            return Ok(match self.tend_slot(None).await? {
                Tended::Ready if self.recovering().await? => {
                    format!(
                        "replication slot {slot} is there; every row is being compared (rowtwin.recovery)"
                    )
                }
                Tended::Ready => format!("replication slot {slot} is there"),
                Tended::Busy if tries > 0 => {
                    tries -= 1;
                    tokio::time::sleep(TEND_AGAIN).await;
                    continue;
                }
                Tended::Busy => format!(
                    "replication slot {slot} is being made by another process, or waits for a transaction"
                ),
                Tended::Waits(reason) => format!("capture waits: {reason}"),
            });
        }
    }

    /// Brings the database's systems and bindings up to the configuration and takes their ids over.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn register(&mut self) -> Result<(), EngineError> {
        let drifted = self.drifted.iter().map(|one| &one.spec);
        let specs: Vec<_> = self.specs.iter().chain(drifted).cloned().collect();
        let ids = self.store.register(&self.systems, &specs).await?;
        for (one, id) in self.drifted.iter_mut().zip(ids.iter().skip(self.specs.len())) {
            one.id = *id;
            if self.store.hold_binding(*id, &one.reason).await? {
                error!(binding = %one.spec.table, reason = %one.reason, "the table has changed; the binding is held");
            }
        }
        let bounds = std::mem::take(&mut self.bounds);
        let mut bounds: Vec<Bound> = bounds
            .into_iter()
            .zip(ids)
            .map(|(bound, id)| {
                let bound = Arc::into_inner(bound).expect("nothing runs before the bindings are registered");
                Bound { id, ..bound }
            })
            .collect();
        relate(&mut bounds);
        self.bounds = bounds.into_iter().map(Arc::new).collect();
        Ok(())
    }

    /// Makes the journal's partitions and drops old ones.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn keep_journal(&self) -> Result<(), StoreError> {
        self.store
            .client()
            .await?
            .execute("select rowtwin_private.keep_journal($1)", &[&self.journal_days])
            .await?;
        Ok(())
    }

    /// What makes the database unfit, each with its cure; empty when all is well.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn unfit(&self, facts: &ServerFacts) -> Result<Vec<String>, EngineError> {
        let mut findings = Vec::new();
        if facts.version_num < OLDEST {
            findings.push(format!(
                "Postgres {} is too old; rowtwin needs 14 or later",
                facts.version_num / 10_000
            ));
        }
        if facts.wal_level != "logical" {
            findings.push(format!(
                "wal_level is {}; run `alter system set wal_level = logical` and restart Postgres",
                facts.wal_level
            ));
        }
        if !facts.may_replicate {
            findings.push(format!(
                "role {0} may not replicate; run as an administrator: alter role \"{0}\" replication (on Amazon RDS and Aurora: grant rds_replication to \"{0}\")",
                facts.user
            ));
        }
        let ours = self.store.slot(&self.slot).await?;
        if ours.is_none() && facts.used_replication_slots >= facts.max_replication_slots {
            findings.push(format!(
                "all {} replication slots are taken; drop an unused one or raise max_replication_slots",
                facts.max_replication_slots
            ));
        }
        if self.file.database.on_lost_slot == OnLostSlot::Hold
            && let Some(slot) = &ours
            && slot.wal_status.as_deref() == Some("lost")
        {
            findings.push(format!(
                "the replication slot {0} has been invalidated; run `rowtwin slot recreate`, which compares every row afterwards",
                self.slot
            ));
        }
        for (table, statement) in self.weak_identities().await? {
            findings.push(format!(
                "the WAL does not say which document a deleted or moved line of {table} belonged to; run `rowtwin init --set-identity`, or: {statement}"
            ));
        }
        Ok(findings)
    }

    /// Refuses to run on a database that was not prepared.
    ///
    /// # Errors
    /// With the cure.
    pub async fn require_prepared(&self) -> Result<(), EngineError> {
        let facts = self.store.server_facts().await?;
        let mut findings = self.unfit(&facts).await?;
        let client = self.store.client().await?;
        let ready: bool = client
            .query_one("select to_regclass('rowtwin_private.comparison') is not null", &[])
            .await
            .map_err(StoreError::from)?
            .get(0);
        if !ready {
            findings.push("the database is not prepared; run `rowtwin init`".to_owned());
        } else if let Some(finding) = self.store.schema_differs().await? {
            findings.push(finding);
        } else if self.store.capture_facts(&self.slot).await?.is_none() {
            findings.push(format!("the slot {} is not registered; run `rowtwin init`", self.slot));
        } else if self.store.publication_tables(&self.publication).await?.is_none() {
            findings.push(format!("there is no publication {}; run `rowtwin init`", self.publication));
        }
        if findings.is_empty() { Ok(()) } else { Err(EngineError::Database(findings.join("\n"))) }
    }
}

/// A slot begins where all transactions that are under way have ended; making it waits for them.
fn slot_error(error: StoreError) -> EngineError {
    match &error {
        StoreError::Statement(cause) if cause.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            EngineError::Database(
                "the replication slot cannot be made while transactions run that began before it; wait until they end, or end them (select pid, usename, xact_start, query from pg_stat_activity where xact_start is not null order by xact_start), then run this again"
                    .to_owned(),
            )
        }
        _ => EngineError::Store(error),
    }
}
