//! The row filter of a binding: which rows are inside, and whether a row that is to be made would be.
//!
//! The predicate is the user's own SQL. It stands in a subquery of the table alone, so that its names mean the
//! table's columns and nothing of ours; the line break before the closing bracket ends a comment in it.

use std::collections::{BTreeSet, HashMap};

use deadpool_postgres::GenericClient;
use tokio_postgres::types::{Json, ToSql};

use crate::model::key::encode_key;
use crate::store::catalog::Column;
use crate::store::error::Class;
use crate::store::mirror::{Row, Table, quote};
use crate::store::{Store, StoreError};

impl Table {
    /// The table, or only its rows inside of a filter, as a thing to select from.
    pub(super) fn source(&self, filter: Option<&str>) -> String {
        match filter {
            None => self.sql_name(),
            Some(filter) => format!("(select * from {} where ({filter}\n))", self.sql_name()),
        }
    }
}

impl Store {
    /// Whether a predicate can be used on a table: what Postgres says against it.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn check_filter(&self, table: &Table, filter: &str) -> Result<Option<String>, StoreError> {
        let sql = format!("explain select 1 from {} t", table.source(Some(filter)));
        match self.client().await?.query(&sql, &[]).await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_db_error() {
                Some(said) => Ok(Some(said.message().to_owned())),
                None => Err(error.into()),
            },
        }
    }
}

/// The keys among these whose row is inside of the filter; all of them where there is none.
///
/// # Errors
/// When the statement fails, for example because the predicate divides by zero.
pub async fn inside(
    client: &impl GenericClient,
    table: &Table,
    filter: Option<&str>,
    keys: &[String],
) -> Result<BTreeSet<String>, StoreError> {
    if filter.is_none() || keys.is_empty() {
        return Ok(keys.iter().cloned().collect());
    }
    let sql =
        format!("select {} from {}", table.key_texts("t"), table.join_keys_of("join", &table.source(filter)));
    let arrays = table.key_arrays(keys);
    let parameters: Vec<&(dyn ToSql + Sync)> =
        arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect();
    let rows = client.query(&sql, &parameters).await?;
    Ok(rows.iter().map(|row| encode_key(&row.get::<_, Vec<String>>(0))).collect())
}

/// The same outside of a transaction, where one row for which the condition fails does not stop the others: such keys
/// come with what Postgres said.
///
/// # Errors
/// When the database fails for reasons that are not a row's own.
pub async fn inside_each(
    client: &impl GenericClient,
    table: &Table,
    filter: Option<&str>,
    keys: &[String],
) -> Result<(BTreeSet<String>, HashMap<String, String>), StoreError> {
    match inside(client, table, filter, keys).await {
        Ok(found) => return Ok((found, HashMap::new())),
        Err(error) if error.class() == Class::Definite => {}
        Err(error) => return Err(error),
    }
    let (mut found, mut unclear) = (BTreeSet::new(), HashMap::new());
    for key in keys {
        match inside(client, table, filter, std::slice::from_ref(key)).await {
            Ok(one) => found.extend(one),
            Err(error) if error.class() == Class::Definite => {
                unclear.insert(key.clone(), error.reason());
            }
            Err(error) => return Err(error),
        }
    }
    Ok((found, unclear))
}

/// For each of these rows that are to be inserted: whether it would be inside of the filter. A column without a
/// value counts with its default, unless that draws a number from a sequence.
///
/// # Errors
/// When the statement fails.
pub async fn would_be_inside(
    client: &impl GenericClient,
    table: &Table,
    columns: &[Column],
    filter: &str,
    rows: &[&Row],
) -> Result<Vec<bool>, StoreError> {
    let values: Vec<String> = columns
        .iter()
        .map(|column| {
            let name = quote(&column.name);
            match &column.default {
                Some(default) => {
                    format!("coalesce(r.{name}, ({default})::{}) as {name}", column.type_name)
                }
                None => format!("r.{name} as {name}"),
            }
        })
        .collect();
    let sql = format!(
        "select r.ordinality from rows from (jsonb_populate_recordset(null::{0}, $1)) with ordinality r
         where exists (select 1 from (select {1}) t where ({filter}\n))",
        table.sql_name(),
        values.join(", "),
    );
    let mut found = vec![false; rows.len()];
    for row in client.query(&sql, &[&Json(rows)]).await? {
        let place = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
        if let Some(one) = found.get_mut(place) {
            *one = true;
        }
    }
    Ok(found)
}

/// Notes whether the rows of these links are outside of the filter.
///
/// # Errors
/// When the statement fails.
pub async fn note_outside(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
    outside: bool,
) -> Result<(), StoreError> {
    if !keys.is_empty() {
        client
            .execute(
                "update rowtwin_private.link set outside = $3
                 where binding_id = $1 and key = any ($2) and outside <> $3",
                &[&binding, &keys, &outside],
            )
            .await?;
    }
    Ok(())
}
