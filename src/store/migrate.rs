//! Installing and upgrading the two schemas.
//!
//! Tables are numbered migrations, never edited once released. Functions and views have one home each and are
//! applied again as a whole every time, so that their history is the history of their file.

use refinery::{Migration, Runner};

use crate::store::{Store, StoreError};

const MIGRATIONS: &[(&str, &str)] = &[
    ("V1__state", include_str!("../../sql/migrations/V1__state.sql")),
    ("V2__references", include_str!("../../sql/migrations/V2__references.sql")),
    ("V3__recovery", include_str!("../../sql/migrations/V3__recovery.sql")),
    ("V4__schema_drift", include_str!("../../sql/migrations/V4__schema_drift.sql")),
    ("V5__documents", include_str!("../../sql/migrations/V5__documents.sql")),
    ("V6__lifecycle", include_str!("../../sql/migrations/V6__lifecycle.sql")),
    ("V7__decisions", include_str!("../../sql/migrations/V7__decisions.sql")),
    ("V8__usage", include_str!("../../sql/migrations/V8__usage.sql")),
    ("V9__sign_in", include_str!("../../sql/migrations/V9__sign_in.sql")),
];

/// The number of the last migration.
fn known() -> i32 {
    let number = |name: &str| name.strip_prefix('V')?.split_once("__")?.0.parse().ok();
    MIGRATIONS.iter().filter_map(|(name, _)| number(name)).max().unwrap_or(0)
}

/// Functions and views in the order in which they depend on each other.
const REPEATABLE: &[&str] = &[
    include_str!("../../sql/api/time.sql"),
    include_str!("../../sql/api/guard.sql"),
    include_str!("../../sql/api/turns.sql"),
    include_str!("../../sql/api/outbox.sql"),
    include_str!("../../sql/api/steps.sql"),
    include_str!("../../sql/api/documents.sql"),
    include_str!("../../sql/api/inbox.sql"),
    include_str!("../../sql/api/recovery.sql"),
    include_str!("../../sql/api/limits.sql"),
    include_str!("../../sql/api/sign_in.sql"),
    include_str!("../../sql/api/upkeep.sql"),
    include_str!("../../sql/api/drift.sql"),
    include_str!("../../sql/views/people.sql"),
    include_str!("../../sql/views/fields.sql"),
    include_str!("../../sql/views/decisions.sql"),
    include_str!("../../sql/api/people.sql"),
    include_str!("../../sql/api/approvals.sql"),
    include_str!("../../sql/api/conflicts.sql"),
    include_str!("../../sql/api/twins.sql"),
    include_str!("../../sql/api/history.sql"),
    include_str!("../../sql/api/rights.sql"),
];

/// One migrator at a time, whatever the process.
const LOCK: i64 = 0x0072_6f77_7477_696e;

impl Store {
    /// Brings the schemas to this version; safe to run twice and from several processes at once.
    ///
    /// # Errors
    /// When a statement fails, or the schema was made by a newer version.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        if let Some(newest) = self.newest_migration().await?.filter(|newest| *newest > known()) {
            return Err(StoreError::Migration(too_new(newest)));
        }
        let mut client = self.client().await?;
        client.execute("select pg_advisory_lock($1)", &[&LOCK]).await?;
        let result = migrate(&mut client).await;
        client.execute("select pg_advisory_unlock($1)", &[&LOCK]).await?;
        result
    }

    /// Whether the tables are those of this version; if not, the cure.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn schema_differs(&self) -> Result<Option<String>, StoreError> {
        Ok(match self.newest_migration().await? {
            Some(newest) if newest > known() => Some(too_new(newest)),
            Some(newest) if newest == known() => None,
            older => Some(format!(
                "the database was prepared by an older version of rowtwin (schema {}, this one needs {}); stop the older processes, then run `rowtwin init`",
                older.unwrap_or(0),
                known()
            )),
        })
    }

    /// The number of the newest migration that was applied; `None` in a database that was never prepared.
    async fn newest_migration(&self) -> Result<Option<i32>, StoreError> {
        let client = self.client().await?;
        let present: bool = client
            .query_one("select to_regclass('rowtwin_private.migration') is not null", &[])
            .await?
            .get(0);
        if !present {
            return Ok(None);
        }
        Ok(client.query_one("select max(version) from rowtwin_private.migration", &[]).await?.get(0))
    }
}

fn too_new(newest: i32) -> String {
    format!(
        "the database was prepared by a newer version of rowtwin (schema {newest}, this one knows {}); run that version, or a later one",
        known()
    )
}

async fn migrate(client: &mut deadpool_postgres::Client) -> Result<(), StoreError> {
    client
        .batch_execute(
            "set client_min_messages = warning;
             create schema if not exists rowtwin;
             create schema if not exists rowtwin_private;
             comment on schema rowtwin is 'rowtwin: views and functions for people; stable.';
             comment on schema rowtwin_private is 'rowtwin: its own tables; may change with every version.';",
        )
        .await?;
    let migrations: Result<Vec<Migration>, _> =
        MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect();
    let migrations = migrations.map_err(|error| StoreError::Migration(error.to_string()))?;
    let mut runner = Runner::new(&migrations).set_abort_divergent(true).set_abort_missing(true);
    runner.set_migration_table_name("rowtwin_private.migration");
    let connection: &mut tokio_postgres::Client = client;
    runner.run_async(connection).await.map_err(|error| StoreError::Migration(error.to_string()))?;
    let all = REPEATABLE.join("\n");
    let transaction = client.transaction().await?;
    transaction.batch_execute(&all).await?;
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_schema_is_that_of_the_last_migration() {
        let (last, _) = MIGRATIONS.last().unwrap();
        assert!(last.starts_with(&format!("V{}__", known())), "{last}");
    }
}
