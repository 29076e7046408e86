//! Mirror tables: reading and writing the user's own rows.
//!
//! The only place where SQL is put together from names; every name is quoted. Values travel as JSON and Postgres
//! does the typing (`jsonb_populate_recordset`), so that numbers keep every digit.

use std::collections::{BTreeMap, HashMap};

use deadpool_postgres::GenericClient;
use serde_json::{Map, Value};
use tokio_postgres::types::{Json, ToSql};

use crate::model::key::{decode_key, encode_key};
use crate::store::StoreError;
use crate::store::lines::{Child, lock_documents};

/// A row as JSON: column → value.
pub type Row = Map<String, Value>;

/// A column of the primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    pub name: String,
    pub type_name: String,
}

/// Quotes an identifier.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A mirror table, as far as its rows are read and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub schema: String,
    pub name: String,
    pub key: Vec<KeyColumn>,
    /// Replica identity full: a publication may then not leave columns out.
    pub identity_full: bool,
    /// The columns of the replica identity: what the WAL tells of a row that was deleted. All of them where it is full.
    pub identity: Vec<String>,
    /// Tables whose rows are lines of this table's rows; read together with them, in one snapshot.
    pub children: Vec<Child>,
}

impl Table {
    /// The quoted name with schema.
    pub fn sql_name(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }

    /// The keys as one array of texts per key column; keys that do not fit the table are left out.
    pub(super) fn key_arrays(&self, keys: &[String]) -> Vec<Vec<String>> {
        let mut arrays = vec![Vec::with_capacity(keys.len()); self.key.len()];
        for parts in keys.iter().filter_map(|key| decode_key(key, self.key.len())) {
            for (array, part) in arrays.iter_mut().zip(parts) {
                array.push(part);
            }
        }
        arrays
    }

    /// `from unnest($1::text[], …) k (k0, …) join table t on t.a = k.k0::type and …`
    pub(super) fn join_keys(&self, join: &str) -> String {
        self.join_keys_of(join, &self.sql_name())
    }

    /// The same with another source than the table as a whole.
    pub(super) fn join_keys_of(&self, join: &str, source: &str) -> String {
        let arrays: Vec<String> = (1..=self.key.len()).map(|place| format!("${place}::text[]")).collect();
        let names: Vec<String> = (0..self.key.len()).map(|place| format!("k{place}")).collect();
        format!(
            "unnest({}) k ({}) {join} {} t on {}",
            arrays.join(", "),
            names.join(", "),
            source,
            self.on_key()
        )
    }

    /// `t.a = k.k0::type and …`
    fn on_key(&self) -> String {
        let pairs: Vec<String> = self
            .key
            .iter()
            .enumerate()
            .map(|(place, column)| format!("t.{} = k.k{place}::{}", quote(&column.name), column.type_name))
            .collect();
        pairs.join(" and ")
    }

    /// `t.a = key::type and …`, for a key in the form of [`encode_key`].
    pub(super) fn on_key_text(&self, key: &str) -> String {
        let single = self.key.len() == 1;
        let pairs: Vec<String> = self
            .key
            .iter()
            .enumerate()
            .map(|(place, column)| {
                let part = if single { key.to_owned() } else { format!("({key}::jsonb ->> {place})") };
                format!("t.{} = {part}::{}", quote(&column.name), column.type_name)
            })
            .collect();
        pairs.join(" and ")
    }

    /// The key of a row of `alias` in the form of [`encode_key`].
    pub(super) fn key_text(&self, alias: &str) -> String {
        if self.key.len() == 1 {
            format!("({})[1]", self.key_texts(alias))
        } else {
            format!("to_json({})::text", self.key_texts(alias))
        }
    }

    pub(super) fn key_texts(&self, alias: &str) -> String {
        let texts: Vec<String> =
            self.key.iter().map(|column| format!("{alias}.{}::text", quote(&column.name))).collect();
        format!("array[{}]", texts.join(", "))
    }

    pub(super) fn row_json(alias: &str, columns: &[String]) -> String {
        // jsonb_build_object takes at most 100 arguments, so wide tables are joined from slices
        let slices: Vec<String> = columns
            .chunks(45)
            .map(|chunk| {
                let pairs: Vec<String> = chunk
                    .iter()
                    .map(|column| format!("'{}', {alias}.{}", column.replace('\'', "''"), quote(column)))
                    .collect();
                format!("jsonb_build_object({})", pairs.join(", "))
            })
            .collect();
        if slices.is_empty() { "'{}'::jsonb".to_owned() } else { slices.join(" || ") }
    }
}

/// The rows of these keys; keys without a row are absent from the answer.
///
/// Documents come with their lines, in one snapshot. With `lock` the rows (and lines) are locked until the transaction
/// ends, and rows that somebody else holds are absent too, and so is a document with a line that somebody holds.
///
/// # Errors
/// When the statement fails.
pub async fn read_rows(
    client: &impl GenericClient,
    table: &Table,
    columns: &[String],
    keys: &[String],
    lock: bool,
) -> Result<HashMap<String, Row>, StoreError> {
    if lock && !table.children.is_empty() {
        let keys = lock_documents(client, table, keys).await?;
        return Box::pin(read_rows(client, table, columns, &keys, false)).await;
    }
    let sql = format!(
        "select {}, {} from {}{}",
        table.key_texts("t"),
        table.document_json("t", columns),
        table.join_keys("join"),
        if lock { " for no key update of t skip locked" } else { "" }
    );
    let arrays = table.key_arrays(keys);
    let parameters: Vec<&(dyn ToSql + Sync)> =
        arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect();
    rows_of(client.query(&sql, &parameters).await?)
}

fn rows_of(rows: Vec<tokio_postgres::Row>) -> Result<HashMap<String, Row>, StoreError> {
    Ok(pairs_of(&rows)?.into_iter().collect())
}

pub(super) fn pairs_of(rows: &[tokio_postgres::Row]) -> Result<Vec<(String, Row)>, StoreError> {
    rows.iter()
        .map(|row| {
            let key: Vec<String> = row.get(0);
            let Json(fields): Json<Row> = row.try_get(1)?;
            Ok((encode_key(&key), fields))
        })
        .collect()
}

/// The keys among these that have a row, seen without locks.
///
/// # Errors
/// When the statement fails.
pub async fn existing_keys(
    client: &impl GenericClient,
    table: &Table,
    keys: &[String],
) -> Result<Vec<String>, StoreError> {
    let sql = format!("select {} from {}", table.key_texts("t"), table.join_keys("join"));
    let arrays = table.key_arrays(keys);
    let parameters: Vec<&(dyn ToSql + Sync)> =
        arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect();
    let rows = client.query(&sql, &parameters).await?;
    Ok(rows.iter().map(|row| encode_key(&row.get::<_, Vec<String>>(0))).collect())
}

/// Inserts rows and returns their keys and columns in the order given.
///
/// Columns that are null in a row are left out, so that their defaults apply.
///
/// # Errors
/// When the statement fails, or a trigger swallowed a row.
pub async fn insert_rows(
    client: &impl GenericClient,
    table: &Table,
    columns: &[String],
    rows: &[Row],
) -> Result<Vec<(String, Row)>, StoreError> {
    let mut by_columns: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let mut present: Vec<String> =
            row.iter().filter(|(_, value)| !value.is_null()).map(|(column, _)| column.clone()).collect();
        present.sort();
        by_columns.entry(present).or_default().push(index);
    }
    let mut inserted: Vec<Option<(String, Row)>> = vec![None; rows.len()];
    for (present, indexes) in by_columns {
        let batch: Vec<&Row> = indexes.iter().filter_map(|index| rows.get(*index)).collect();
        let names: Vec<String> = present.iter().map(|column| quote(column)).collect();
        let returning = format!("returning {}, {}", table.key_texts("t"), Table::row_json("t", columns));
        let returned = if names.is_empty() {
            let mut all = Vec::new();
            for _ in &batch {
                let sql = format!("insert into {} as t default values {returning}", table.sql_name());
                all.extend(pairs_of(&client.query(&sql, &[]).await?)?);
            }
            all
        } else {
            let sql = format!(
                "insert into {} as t ({}) select {} from rows from (jsonb_populate_recordset(null::{}, $1)) with ordinality r order by ordinality {returning}",
                table.sql_name(),
                names.join(", "),
                names.join(", "),
                table.sql_name(),
            );
            pairs_of(&client.query(&sql, &[&Json(&batch)]).await?)?
        };
        if returned.len() != indexes.len() {
            return Err(StoreError::Table(format!(
                "a trigger or rule of {} swallowed {} of {} inserted rows",
                table.sql_name(),
                indexes.len() - returned.len().min(indexes.len()),
                indexes.len()
            )));
        }
        for (index, pair) in indexes.into_iter().zip(returned) {
            if let Some(slot) = inserted.get_mut(index) {
                *slot = Some(pair);
            }
        }
    }
    Ok(inserted.into_iter().flatten().collect())
}

/// Updates columns of rows and returns the rows as they are then (a trigger may have changed more).
///
/// # Errors
/// When a statement fails.
pub async fn update_rows(
    client: &impl GenericClient,
    table: &Table,
    columns: &[String],
    changes: &[(String, Row)],
) -> Result<HashMap<String, Row>, StoreError> {
    let mut by_columns: BTreeMap<Vec<String>, Vec<(&String, &Row)>> = BTreeMap::new();
    for (key, row) in changes {
        let mut names: Vec<String> = row.keys().cloned().collect();
        names.sort();
        by_columns.entry(names).or_default().push((key, row));
    }
    let mut updated = HashMap::new();
    for (names, batch) in by_columns {
        if names.is_empty() {
            continue;
        }
        let keys: Vec<String> = batch.iter().map(|(key, _)| (*key).clone()).collect();
        let rows: Vec<&Row> = batch.iter().map(|(_, row)| *row).collect();
        let arrays = table.key_arrays(&keys);
        let sets: Vec<String> = names.iter().map(|name| format!("{0} = r.{0}", quote(name))).collect();
        let key_arrays: Vec<String> =
            (2..2 + table.key.len()).map(|place| format!("${place}::text[]")).collect();
        let key_names: Vec<String> = (0..table.key.len()).map(|place| format!("k{place}")).collect();
        let sql = format!(
            "with r as (select * from rows from (jsonb_populate_recordset(null::{0}, $1)) with ordinality),
                  k as (select * from unnest({1}) with ordinality k ({2}, place))
             update {0} t set {3} from r, k where r.ordinality = k.place and {4} returning {5}, {6}",
            table.sql_name(),
            key_arrays.join(", "),
            key_names.join(", "),
            sets.join(", "),
            table.on_key(),
            table.key_texts("t"),
            Table::row_json("t", columns),
        );
        let json = Json(&rows);
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&json];
        parameters.extend(arrays.iter().map(|array| array as &(dyn ToSql + Sync)));
        updated.extend(rows_of(client.query(&sql, &parameters).await?)?);
    }
    Ok(updated)
}

/// Deletes rows and returns the keys of those that were there.
///
/// # Errors
/// When the statement fails, for example because another table still refers to a row.
pub async fn delete_rows(
    client: &impl GenericClient,
    table: &Table,
    keys: &[String],
) -> Result<Vec<String>, StoreError> {
    let key_arrays: Vec<String> = (1..=table.key.len()).map(|place| format!("${place}::text[]")).collect();
    let key_names: Vec<String> = (0..table.key.len()).map(|place| format!("k{place}")).collect();
    let sql = format!(
        "delete from {} t using unnest({}) k ({}) where {} returning {}",
        table.sql_name(),
        key_arrays.join(", "),
        key_names.join(", "),
        table.on_key(),
        table.key_texts("t")
    );
    let arrays = table.key_arrays(keys);
    let parameters: Vec<&(dyn ToSql + Sync)> =
        arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect();
    let rows = client.query(&sql, &parameters).await?;
    Ok(rows.iter().map(|row| encode_key(&row.get::<_, Vec<String>>(0))).collect())
}

/// Marks every row of a table (inside of the filter) for a binding, whether it is linked or not.
///
/// # Errors
/// When the statement fails.
pub async fn mark_table(
    client: &impl GenericClient,
    table: &Table,
    filter: Option<&str>,
    binding: i32,
) -> Result<u64, StoreError> {
    let key_text = table.key_text("t");
    let sql = format!(
        "insert into rowtwin_private.outbox as o (binding_id, key, changed_at)
         select $1, {key_text}, rowtwin_private.clock() from {} t order by 2
         on conflict (binding_id, key) do update set generation = o.generation + 1",
        table.source(filter)
    );
    Ok(client.execute(&sql, &[&binding]).await?)
}

/// How many rows a table has.
///
/// # Errors
/// When the statement fails.
pub async fn count_rows(client: &impl GenericClient, table: &Table) -> Result<i64, StoreError> {
    Ok(client.query_one(&format!("select count(*) from {}", table.sql_name()), &[]).await?.get(0))
}

/// Ends a transaction in which we wrote mirror rows: names the binding and the keys whose rows are known to equal
/// their new shadow, so that capture does not mark them for the way back (R6). All other bindings still see them.
///
/// # Errors
/// When the statement fails.
pub async fn emit_tag(client: &impl GenericClient, binding: i32, keys: &[String]) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let content = serde_json::json!({"binding": binding, "keys": keys}).to_string();
    client.execute("select pg_logical_emit_message(true, 'rowtwin', $1)", &[&content]).await?;
    Ok(())
}

/// Marks every linked key of a binding, so that rows deleted unseen are found too.
///
/// # Errors
/// When the statement fails.
pub async fn mark_links(client: &impl GenericClient, binding: i32) -> Result<u64, StoreError> {
    let marked = client
        .execute(
            "insert into rowtwin_private.outbox as o (binding_id, key, changed_at, row_gone)
             select binding_id, key, rowtwin_private.clock(), true from rowtwin_private.link
             where binding_id = $1 and state = 'linked' order by key
             on conflict (binding_id, key) do update set generation = o.generation + 1, row_gone = true",
            &[&binding],
        )
        .await?;
    Ok(marked)
}

/// The keys of all rows of a table.
///
/// # Errors
/// When the statement fails.
pub async fn all_keys(client: &impl GenericClient, table: &Table) -> Result<Vec<String>, StoreError> {
    let rows =
        client.query(&format!("select {} from {} t", table.key_texts("t"), table.sql_name()), &[]).await?;
    Ok(rows.iter().map(|row| encode_key(&row.get::<_, Vec<String>>(0))).collect())
}
