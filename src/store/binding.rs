//! Systems and bindings, as last loaded from the configuration.

use serde_json::Value;
use tokio_postgres::types::Json;

use crate::store::{Store, StoreError};

/// A system to register.
#[derive(Debug, Clone)]
pub struct SystemSpec {
    pub name: String,
    pub connector: String,
    pub per_second: Option<f64>,
    pub in_flight: Option<u32>,
    pub per_day: Option<u64>,
    pub reserve: f64,
    /// What one call costs.
    pub price: f64,
    /// The time zone in which the day's calls are counted anew.
    pub day_zone: String,
}

/// A binding to register.
#[derive(Debug, Clone)]
pub struct BindingSpec {
    pub table: String,
    pub system: String,
    pub object: String,
    pub pushes: bool,
    pub pulls: bool,
    pub settle_after_secs: f64,
    /// The binding's part of the file, for people.
    pub mapping: Value,
}

impl BindingSpec {
    /// The binding's name: `sales.customer - crm.AccountObj`.
    pub fn name(&self) -> String {
        format!("{} - {}.{}", self.table, self.system, self.object)
    }
}

impl Store {
    /// Brings the systems and bindings up to the configuration; returns the bindings' ids in the order given.
    ///
    /// Bindings that the configuration no longer names become inactive and keep their links. A binding whose mapping
    /// or filter changed is compared again, since a newly mapped field has no shadow yet.
    ///
    /// # Errors
    /// When a statement fails; nothing was changed then.
    pub async fn register(
        &self,
        systems: &[SystemSpec],
        bindings: &[BindingSpec],
    ) -> Result<Vec<i32>, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        for system in systems {
            transaction
                .execute(
                    "insert into rowtwin_private.system as s (name, connector, per_second, in_flight, per_day, reserve, day_zone, price)
                     values ($1, $2, $3, $4, $5, $6, $7, $8::float8::numeric)
                     on conflict (name) do update set
                       connector = excluded.connector, per_second = excluded.per_second, in_flight = excluded.in_flight,
                       per_day = excluded.per_day, reserve = excluded.reserve, day_zone = excluded.day_zone,
                       price = excluded.price,
                       -- a restart is how a person says that settings or rights have been mended; a restored database
                       -- asks for a decision
                       state = case when s.state = 'held' and not exists (
                           select 1 from rowtwin_private.capture c where c.restored_reason is not null) then 'running' else s.state end,
                       held_reason = case when exists (
                           select 1 from rowtwin_private.capture c where c.restored_reason is not null) then s.held_reason end",
                    &[
                        &system.name,
                        &system.connector,
                        &system.per_second,
                        &system.in_flight.map(|value| i32::try_from(value).unwrap_or(i32::MAX)),
                        &system.per_day.map(|value| i64::try_from(value).unwrap_or(i64::MAX)),
                        &system.reserve,
                        &system.day_zone,
                        &system.price,
                    ],
                )
                .await?;
        }
        let named: Vec<String> = bindings.iter().map(BindingSpec::name).collect();
        transaction
            .execute(
                "update rowtwin_private.binding set active = false where active and name <> all ($1)",
                &[&named],
            )
            .await?;
        let mut ids = Vec::with_capacity(bindings.len());
        for (binding, name) in bindings.iter().zip(&named) {
            let row = transaction
                .query_one(
                    "insert into rowtwin_private.binding as b
                       (name, table_name, system, object, mapping, pushes, pulls, settle_after)
                     values ($1, $2, $3, $4, $5, $6, $7, make_interval(secs => $8))
                     on conflict (table_name, system, object) do update set
                       active = true, mapping = excluded.mapping, pushes = excluded.pushes, pulls = excluded.pulls,
                       settle_after = excluded.settle_after,
                       -- what was not watched for a while is compared again, and so is what is mapped otherwise
                       first_push_at = case when b.active and b.pushes and rowtwin_private.same_mapping(b.mapping, excluded.mapping) then b.first_push_at end,
                       backfilled_at = case when rowtwin_private.same_mapping(b.mapping, excluded.mapping) then b.backfilled_at end,
                       walk = case when rowtwin_private.same_mapping(b.mapping, excluded.mapping) then b.walk end,
                       next_poll_at = case when b.active and rowtwin_private.same_mapping(b.mapping, excluded.mapping) then b.next_poll_at else '-infinity' end
                     returning id",
                    &[
                        name,
                        &binding.table,
                        &binding.system,
                        &binding.object,
                        &Json(&binding.mapping),
                        &binding.pushes,
                        &binding.pulls,
                        &binding.settle_after_secs,
                    ],
                )
                .await?;
            ids.push(row.get(0));
        }
        // a restart is how a person says that a table or an object has been mended
        transaction.execute("select rowtwin_private.free_bindings($1)", &[&ids]).await?;
        transaction.commit().await?;
        Ok(ids)
    }

    /// Whether the database is prepared and the system registered in it.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn knows_system(&self, system: &str) -> Result<bool, StoreError> {
        let client = self.client().await?;
        let there = client.query_one("select to_regclass('rowtwin_private.system') is not null", &[]).await?;
        if !there.get::<_, bool>(0) {
            return Ok(false);
        }
        let sql = "select exists (select 1 from rowtwin_private.system where name = $1)";
        Ok(client.query_one(sql, &[&system]).await?.get(0))
    }

    /// Compares the remote's own identity with the one of the first sign-in; holds the system when it is another one.
    ///
    /// Returns false when the system was held.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn confirm_identity(&self, system: &str, identity: &str) -> Result<bool, StoreError> {
        let row = self
            .client()
            .await?
            .query_one(
                "update rowtwin_private.system set
                   identity = coalesce(identity, $2),
                   state = case when coalesce(identity, $2) = $2 then state else 'held' end,
                   held_reason = case when coalesce(identity, $2) = $2 then held_reason
                     else format('signed in to another account (%s) than before (%s); correct the address, or give this system a new name', $2, identity) end
                 where name = $1 returning coalesce(identity, $2) = $2 and state <> 'held'",
                &[&system, &identity],
            )
            .await?;
        Ok(row.get(0))
    }
}
