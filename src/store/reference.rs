//! References: which record stands for the row that a row refers to, and the other way round.

use std::collections::{BTreeSet, HashMap};

use deadpool_postgres::GenericClient;

use crate::model::binding::ReferredBy;
use crate::store::{Store, StoreError};

/// By what the records of these rows are named in other records; rows without a twin are absent.
///
/// # Errors
/// When the statement fails.
pub async fn names_of_rows(
    client: &impl GenericClient,
    binding: i32,
    by: ReferredBy,
    keys: &[String],
) -> Result<HashMap<String, String>, StoreError> {
    let rows = client
        .query(
            "select key, case $3 when 'id' then remote_id else reference end from rowtwin_private.link
             where binding_id = $1 and key = any ($2) and state = 'linked'",
            &[&binding, &keys, &by.word()],
        )
        .await?;
    Ok(rows.iter().filter_map(|row| Some((row.get(0), row.get::<_, Option<String>>(1)?))).collect())
}

/// The rows whose records are named so; names without a row are absent.
///
/// # Errors
/// When the statement fails.
pub async fn rows_of_names(
    client: &impl GenericClient,
    binding: i32,
    by: ReferredBy,
    names: &[String],
) -> Result<HashMap<String, String>, StoreError> {
    let sql = match by {
        ReferredBy::Id => {
            "select remote_id, key from rowtwin_private.link
             where binding_id = $1 and remote_id = any ($2) and state = 'linked'"
        }
        ReferredBy::Reference => {
            "select reference, key from rowtwin_private.link
             where binding_id = $1 and reference = any ($2) and state = 'linked'"
        }
    };
    let rows = client.query(sql, &[&binding, &names]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Which of these rows have a record whose lifecycle is not finished: it may not be referred to yet.
///
/// # Errors
/// When the statement fails.
pub async fn unfinished_rows(
    client: &impl GenericClient,
    rows: &[(i32, String)],
) -> Result<BTreeSet<(i32, String)>, StoreError> {
    let (bindings, keys): (Vec<i32>, Vec<&str>) = rows.iter().map(|(id, key)| (*id, key.as_str())).unzip();
    let found = client
        .query(
            "select o.binding_id, o.key from rowtwin_private.outbox o
             join unnest($1::int[], $2::text[]) u (id, key) on o.binding_id = u.id and o.key = u.key
             where o.step is not null",
            &[&bindings, &keys],
        )
        .await?;
    Ok(found.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// A record that waits for the one that it refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitingRecord {
    /// The parent's binding.
    pub parent: i32,
    /// The name by which the parent is referred to.
    pub name: String,
    pub by: ReferredBy,
    pub remote_id: String,
    /// The record's own reference, where it has one.
    pub own_name: Option<String>,
    /// For people.
    pub reason: String,
}

/// Keeps records until the ones that they refer to have rows, and has those read.
///
/// # Errors
/// When the statement fails.
pub async fn await_records(
    client: &impl GenericClient,
    binding: i32,
    waiting: &BTreeSet<WaitingRecord>,
) -> Result<(), StoreError> {
    // in the order of the set, so that two pages do not wait for each other
    for one in waiting {
        client
            .execute(
                "select rowtwin_private.await_record($1, $2, $3, $4, $5, $6, $7)",
                &[
                    &binding,
                    &one.remote_id,
                    &one.own_name,
                    &one.parent,
                    &one.name,
                    &one.by.word(),
                    &one.reason,
                ],
            )
            .await?;
    }
    Ok(())
}

impl Store {
    /// Frees what waited for any record of this binding.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn release_waiting_for(&self, binding: i32) -> Result<(), StoreError> {
        self.client().await?.execute("select rowtwin_private.release_waiting($1)", &[&binding]).await?;
        Ok(())
    }

    /// Whether one of these bindings has not been read wholly for the first time.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn being_backfilled(&self, bindings: &[i32]) -> Result<bool, StoreError> {
        let sql = "select exists (select 1 from rowtwin_private.binding
                                  where id = any ($1) and pulls and active and state = 'running' and backfilled_at is null)";
        Ok(self.client().await?.query_one(sql, &[&bindings]).await?.get(0))
    }

    /// Frees rows and records that waited for these rows' records. What somebody holds just now is freed by the next
    /// [`Store::release_all_waiting`].
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn release_waiting(&self, binding: i32, keys: &[String]) -> Result<(), StoreError> {
        if !keys.is_empty() {
            let client = self.client().await?;
            client.execute("select rowtwin_private.release_waiting($1, $2)", &[&binding, &keys]).await?;
        }
        Ok(())
    }

    /// Frees everything that waits for records that exist by now, and breaks circles.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn release_all_waiting(&self) -> Result<(), StoreError> {
        let client = self.client().await?;
        client.execute("select rowtwin_private.release_waiting()", &[]).await?;
        client
            .execute("select rowtwin_private.break_circles(), rowtwin_private.break_record_circles()", &[])
            .await?;
        Ok(())
    }

    /// Marks rows that others wait for and that nothing would send otherwise.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn await_rows(&self, binding: i32, keys: &[String]) -> Result<(), StoreError> {
        let client = self.client().await?;
        client.execute("select rowtwin_private.await_rows($1, $2)", &[&binding, &keys]).await?;
        Ok(())
    }

    /// Which of these names records of another binding still hold in a field, while their own rows wait to be sent: a
    /// record that others refer to is deleted after them. Gives name → key of one such row.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn referring_rows(
        &self,
        child: i32,
        collection: Option<&str>,
        field: &str,
        names: &[String],
    ) -> Result<HashMap<String, String>, StoreError> {
        let sql = match collection {
            None => {
                "select l.shadow ->> $2, min(l.key)
                 from rowtwin_private.outbox o
                 join rowtwin_private.link l on l.binding_id = o.binding_id and l.key = o.key and l.state = 'linked'
                 where o.binding_id = $1 and l.shadow ->> $2 = any ($3) and $4::text is null
                 group by 1"
            }
            Some(_) => {
                "select line -> 'fields' ->> $2, min(l.key)
                 from rowtwin_private.outbox o
                 join rowtwin_private.link l on l.binding_id = o.binding_id and l.key = o.key and l.state = 'linked'
                 cross join jsonb_array_elements(
                   case jsonb_typeof(l.shadow -> $4::text) when 'array' then l.shadow -> $4::text else '[]' end) line
                 where o.binding_id = $1 and line -> 'fields' ->> $2 = any ($3)
                 group by 1"
            }
        };
        let client = self.client().await?;
        let rows = client.query(sql, &[&child, &field, &names, &collection]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}
