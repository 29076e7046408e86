//! The replication slot, what capture knows of it, and the identity of the database that it belongs to.

use deadpool_postgres::{Client, ClientWrapper};
use serde::Serialize;
use tokio_postgres::types::PgLsn;
use uuid::Uuid;

use crate::model::lsn::Lsn;
use crate::store::{Store, StoreError};

/// One keeper of the slot at a time, whatever the process.
const KEEPER: i64 = 0x0072_6f77_736c_6f74;

/// The replication slot as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotFacts {
    pub name: String,
    pub plugin: Option<String>,
    pub database: Option<String>,
    /// Whether `database` is the one that we are signed in to.
    pub here: bool,
    pub active: bool,
    pub active_pid: Option<i32>,
    pub wal_status: Option<String>,
    pub retained_bytes: Option<i64>,
    pub confirmed: Option<Lsn>,
    /// Why the server took it away; from Postgres 17 on.
    pub invalidated: Option<String>,
}

/// What capture wrote down about the slot and the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaptureFacts {
    /// How far the marks are in the outbox.
    pub confirmed: Lsn,
    /// How far the slot may have been confirmed by us; `None` before a version that writes it down.
    pub horizon: Option<Lsn>,
    pub system_identifier: Option<String>,
    pub timeline: Option<i32>,
    /// The slot is being given up, and why.
    pub lost_reason: Option<String>,
    /// The database was restored to an earlier point, and a person has to decide.
    pub restored_reason: Option<String>,
}

/// Which server this is, and how far its log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseIdentity {
    pub system_identifier: String,
    pub timeline: i32,
    /// Where the next change will be written.
    pub insert: Lsn,
    /// What no crash takes back.
    pub flushed: Lsn,
}

/// What the configuration says about the slot.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlotSpec {
    /// Kept on standbys too; from Postgres 17 on.
    pub failover: bool,
    pub warn_bytes: Option<i64>,
    pub budget_bytes: Option<i64>,
}

fn lsn(value: Option<PgLsn>) -> Option<Lsn> {
    value.map(|value| Lsn(u64::from(value)))
}

impl Store {
    /// The slot, if there is one of this name.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn slot(&self, slot: &str) -> Result<Option<SlotFacts>, StoreError> {
        let row = self
            .client()
            .await?
            .query_opt(
                // columns that only newer servers have are read through JSON
                "select s.slot_name::text, s.plugin::text, s.database::text, coalesce(s.database = current_database(), false),
                        s.active, s.active_pid, s.wal_status,
                        pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint, s.confirmed_flush_lsn,
                        to_jsonb(s) ->> 'invalidation_reason'
                 from pg_replication_slots s where s.slot_name = $1",
                &[&slot],
            )
            .await?;
        Ok(row.map(|row| SlotFacts {
            name: row.get(0),
            plugin: row.get(1),
            database: row.get(2),
            here: row.get(3),
            active: row.get(4),
            active_pid: row.get(5),
            wal_status: row.get(6),
            retained_bytes: row.get(7),
            confirmed: lsn(row.get(8)),
            invalidated: row.get(9),
        }))
    }

    /// What capture knows; `None` before the slot was registered.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn capture_facts(&self, slot: &str) -> Result<Option<CaptureFacts>, StoreError> {
        let row = self
            .client()
            .await?
            .query_opt(
                "select confirmed, horizon, system_identifier, timeline, lost_reason, restored_reason
                 from rowtwin_private.capture where slot = $1",
                &[&slot],
            )
            .await?;
        Ok(row.map(|row| CaptureFacts {
            confirmed: lsn(row.get(0)).unwrap_or_default(),
            horizon: lsn(row.get(1)),
            system_identifier: row.get(2),
            timeline: row.get(3),
            lost_reason: row.get(4),
            restored_reason: row.get(5),
        }))
    }

    /// Which server this is.
    ///
    /// # Errors
    /// When the statement fails, in particular on a standby, which can be read but not written to.
    pub async fn database_identity(&self) -> Result<DatabaseIdentity, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "select system_identifier, timeline, pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()
                 from rowtwin_private.database_identity()",
                &[],
            )
            .await?;
        Ok(DatabaseIdentity {
            system_identifier: row.get(0),
            timeline: row.get(1),
            insert: lsn(row.get(2)).unwrap_or_default(),
            flushed: lsn(row.get(3)).unwrap_or_default(),
        })
    }

    /// Makes the slot and returns where it begins; `None` when it was there already.
    ///
    /// The server waits for transactions that write at this moment; after `patience` it gives up.
    ///
    /// # Errors
    /// When it cannot be made: no free slot, `wal_level` too low, no right to replicate, a foreign plugin, or a
    /// transaction that does not end (SQLSTATE 55P03).
    pub async fn create_slot(&self, slot: &str, failover: bool) -> Result<Option<Lsn>, StoreError> {
        if let Some(present) = self.slot(slot).await? {
            if present.plugin.as_deref() != Some("pgoutput") || !present.here {
                return Err(StoreError::Table(format!(
                    "the replication slot `{slot}` exists with another plugin or for another database; name a different one under database.slot"
                )));
            }
            return Ok(None);
        }
        let mut client = self.client().await?;
        let version: i32 =
            client.query_one("select current_setting('server_version_num')::int", &[]).await?.get(0);
        if failover && version < 170_000 {
            return Err(StoreError::Table(
                "database.failover needs Postgres 17 or later; take it out of the configuration".to_owned(),
            ));
        }
        let transaction = client.transaction().await?;
        transaction.batch_execute("set local lock_timeout = '30s'").await?;
        let made = if failover {
            transaction
                .query_one(
                    "select lsn from pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)",
                    &[&slot],
                )
                .await?
        } else {
            transaction
                .query_one("select lsn from pg_create_logical_replication_slot($1, 'pgoutput')", &[&slot])
                .await?
        };
        let began = lsn(made.get(0)).unwrap_or_default();
        transaction.commit().await?;
        Ok(Some(began))
    }

    /// Drops the slot; returns false when there was none.
    ///
    /// # Errors
    /// When it is in use.
    pub async fn drop_slot(&self, slot: &str) -> Result<bool, StoreError> {
        if self.slot(slot).await?.is_none() {
            return Ok(false);
        }
        self.client().await?.execute("select pg_drop_replication_slot($1)", &[&slot]).await?;
        Ok(true)
    }

    /// Moves the slot to the end of the log: what it retained is given up.
    ///
    /// # Errors
    /// When it is in use or missing.
    pub async fn advance_slot(&self, slot: &str) -> Result<Lsn, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "select end_lsn from pg_replication_slot_advance($1, pg_current_wal_flush_lsn())",
                &[&slot],
            )
            .await?;
        Ok(lsn(row.get(0)).unwrap_or_default())
    }

    /// Ends the session that streams from the slot; true when there was one that we may end.
    ///
    /// # Errors
    /// When the statement fails, in particular for lack of the right.
    pub async fn end_streaming(&self, slot: &str) -> Result<bool, StoreError> {
        let rows = self
            .client()
            .await?
            .query(
                "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active",
                &[&slot],
            )
            .await?;
        Ok(rows.iter().any(|row| row.get(0)))
    }

    /// Notes which slot and publication feed the outbox, and the server that it is on; returns false when that was
    /// known already.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn register_capture(
        &self,
        slot: &str,
        publication: &str,
        spec: SlotSpec,
    ) -> Result<bool, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "insert into rowtwin_private.capture as c
                   (slot, publication, system_identifier, timeline, warn_bytes, budget_bytes)
                 select $1, $2, i.system_identifier, i.timeline, $3, $4 from rowtwin_private.database_identity() i
                 on conflict (slot) do update set
                   publication = excluded.publication, warn_bytes = excluded.warn_bytes, budget_bytes = excluded.budget_bytes,
                   system_identifier = coalesce(c.system_identifier, excluded.system_identifier),
                   timeline = coalesce(c.timeline, excluded.timeline)
                 returning xmax = 0",
                &[&slot, &publication, &spec.warn_bytes, &spec.budget_bytes],
            )
            .await?;
        Ok(row.get(0))
    }

    /// Notes where a slot begins that is the first of its name on a database where nothing was compared yet.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn slot_begun(&self, slot: &str) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "update rowtwin_private.capture c
                 set anchor = s.confirmed_flush_lsn, confirmed = s.confirmed_flush_lsn, horizon = s.confirmed_flush_lsn
                 from pg_replication_slots s where c.slot = $1 and s.slot_name = c.slot",
                &[&slot],
            )
            .await?;
        Ok(())
    }

    /// Whether anything was ever compared with a remote on this database: then a slot that is made now comes late.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn was_in_use(&self) -> Result<bool, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "select exists (select 1 from rowtwin_private.binding where first_push_at is not null)",
                &[],
            )
            .await?;
        Ok(row.get(0))
    }

    /// Raises how far the slot may be confirmed; must have committed before that is confirmed.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn raise_horizon(&self, slot: &str, to: Lsn) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "update rowtwin_private.capture set horizon = greatest(horizon, $2) where slot = $1",
                &[&slot, &PgLsn::from(to.0)],
            )
            .await?;
        Ok(())
    }

    /// Sets how far the slot was confirmed, exactly: at a clean stop, unless another stream than `holder` has it by now.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn set_horizon(&self, slot: &str, holder: Uuid, to: Lsn) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute(
                "update rowtwin_private.capture set horizon = $2 where slot = $1 and holder = $3",
                &[&slot, &PgLsn::from(to.0), &holder],
            )
            .await?;
        Ok(())
    }

    /// Writes down that the slot is being given up, before it is dropped.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn note_lost(&self, slot: &str, reason: &str) -> Result<(), StoreError> {
        self.client()
            .await?
            .execute("update rowtwin_private.capture set lost_reason = $2 where slot = $1", &[&slot, &reason])
            .await?;
        Ok(())
    }

    /// Takes note of a new slot and orders the comparison of everything; returns the number of bindings.
    ///
    /// # Errors
    /// When the statement fails; the slot still counts as lost then.
    pub async fn slot_renewed(&self, slot: &str, anchor: Lsn, reason: &str) -> Result<i64, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "select rowtwin_private.slot_renewed($1, $2, $3)",
                &[&slot, &PgLsn::from(anchor.0), &reason],
            )
            .await?;
        Ok(row.get(0))
    }

    /// The database changed hands and its slot came along: takes its identity over and has everything compared.
    ///
    /// # Errors
    /// When a statement fails; nothing was changed then.
    pub async fn accept_promotion(&self, reason: &str) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute("select rowtwin_private.accept_database()", &[]).await?;
        transaction.execute("select rowtwin_private.order_recovery($1)", &[&reason]).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Holds every system until a person has said which side of a restored database is right.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn hold_restored(&self, reason: &str) -> Result<(), StoreError> {
        self.client().await?.execute("select rowtwin_private.hold_restored($1)", &[&reason]).await?;
        Ok(())
    }

    /// Takes the right to care for the slot; `None` when another process has it. See [`Keeper::leave`].
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn keep_slot(&self) -> Result<Option<Keeper>, StoreError> {
        let client = self.client().await?;
        let got: bool = client.query_one("select pg_try_advisory_lock($1)", &[&KEEPER]).await?.get(0);
        // out of the pool: whatever happens, the right ends with the session
        Ok(got.then(|| Keeper { session: Client::take(client) }))
    }
}

/// The right to care for the slot, held by a session.
pub struct Keeper {
    session: ClientWrapper,
}

impl Keeper {
    /// Gives the right back at once; merely dropped, the server notices it a moment later.
    ///
    /// # Errors
    /// When the statement fails; the session's end gives it back then.
    pub async fn leave(self) -> Result<(), StoreError> {
        self.session.execute("select pg_advisory_unlock($1)", &[&KEEPER]).await?;
        Ok(())
    }
}
