//! Lines: the tables of documents' lines, read together with their headers and held together with them.

use std::collections::BTreeSet;

use deadpool_postgres::GenericClient;
use serde_json::Value;
use tokio_postgres::types::ToSql;

use crate::model::key::encode_key;
use crate::store::StoreError;
use crate::store::mirror::{Row, Table, quote};

/// A table whose rows are lines of another table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The remote's collection that the lines stand for.
    pub collection: String,
    pub table: Table,
    /// The columns that hold the header's primary key, in its order.
    pub parent: Vec<String>,
    /// The columns that the lines are ordered by; the primary key decides between equals.
    pub order_by: Vec<String>,
    /// A whole number that lines are ordered by and that nothing else fills: new lines are numbered on.
    pub number: Option<String>,
    /// The columns that are read.
    pub columns: Vec<String>,
}

/// The member of a document's row that holds its lines. No column has such a name by chance.
pub fn lines_member(collection: &str) -> String {
    format!("{collection}[]")
}

/// The lines of a document's row, in order: primary key and columns.
pub fn lines_of_row(row: &Row, collection: &str) -> Vec<(String, Row)> {
    let Some(Value::Array(lines)) = row.get(&lines_member(collection)) else { return Vec::new() };
    let line = |line: &Value| {
        let key = line.get("key")?.as_str()?.to_owned();
        Some((key, line.get("row")?.as_object()?.clone()))
    };
    lines.iter().filter_map(line).collect()
}

impl Child {
    /// `c.order_id = t.id and …`
    fn on_parent(&self, parent: &Table, line: &str, header: &str) -> String {
        let pairs: Vec<String> = self
            .parent
            .iter()
            .zip(&parent.key)
            .map(|(column, key)| format!("{line}.{} = {header}.{}", quote(column), quote(&key.name)))
            .collect();
        pairs.join(" and ")
    }

    /// The lines of the header `t` as a JSON array, in order.
    fn lines_json(&self, parent: &Table, header: &str) -> String {
        let mut order: Vec<String> =
            self.order_by.iter().map(|column| format!("c.{}", quote(column))).collect();
        order.extend(self.table.key.iter().map(|column| format!("c.{}", quote(&column.name))));
        format!(
            "coalesce((select jsonb_agg(jsonb_build_object('key', {}, 'row', {}) order by {})
                       from {} c where {}), '[]'::jsonb)",
            self.table.key_text("c"),
            Table::row_json("c", &self.columns),
            order.join(", "),
            self.table.sql_name(),
            self.on_parent(parent, "c", header),
        )
    }
}

impl Table {
    /// The row of `alias` as JSON, with the lines of its children.
    pub(super) fn document_json(&self, alias: &str, columns: &[String]) -> String {
        let mut json = Self::row_json(alias, columns);
        for child in &self.children {
            json.push_str(&format!(
                " || jsonb_build_object('{}', {})",
                lines_member(&child.collection).replace('\'', "''"),
                child.lines_json(self, alias)
            ));
        }
        json
    }
}

/// Locks headers and their lines until the transaction ends, waiting for nobody; returns the keys of the documents that
/// are held as a whole.
///
/// # Errors
/// When a statement fails.
pub(super) async fn lock_documents(
    client: &impl GenericClient,
    table: &Table,
    keys: &[String],
) -> Result<Vec<String>, StoreError> {
    let mut held = lock_headers(client, table, keys).await?;
    for child in &table.children {
        if held.is_empty() {
            break;
        }
        let sql = format!(
            "with l as materialized (
               select {0} as parent from {1} join {2} c on {3} for no key update of c skip locked),
             n as (select {0} as parent, count(*) as n from {1} join {2} c on {3} group by 1)
             select n.parent from n left join (select parent, count(*) as n from l group by 1) l on l.parent = n.parent
             where l.n is distinct from n.n",
            table.key_texts("t"),
            table.join_keys("join"),
            child.table.sql_name(),
            child.on_parent(table, "c", "t"),
        );
        let arrays = table.key_arrays(&held);
        let parameters: Vec<&(dyn ToSql + Sync)> =
            arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect();
        let rows = client.query(&sql, &parameters).await?;
        let busy: BTreeSet<String> =
            rows.iter().map(|row| encode_key(&row.get::<_, Vec<String>>(0))).collect();
        held.retain(|key| !busy.contains(key));
    }
    Ok(held)
}

async fn lock_headers(
    client: &impl GenericClient,
    table: &Table,
    keys: &[String],
) -> Result<Vec<String>, StoreError> {
    let sql = format!(
        "select {} from {} for no key update of t skip locked",
        table.key_texts("t"),
        table.join_keys("join")
    );
    let arrays = table.key_arrays(keys);
    let parameters: Vec<&(dyn ToSql + Sync)> =
        arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect();
    let rows = client.query(&sql, &parameters).await?;
    Ok(rows.iter().map(|row| encode_key(&row.get::<_, Vec<String>>(0))).collect())
}

/// Deletes the lines of headers; a foreign key that cascades would do the same, one that does not would refuse.
///
/// # Errors
/// When a statement fails.
pub async fn delete_lines_of(
    client: &impl GenericClient,
    table: &Table,
    keys: &[String],
) -> Result<(), StoreError> {
    for child in &table.children {
        let sql = format!(
            "delete from {} c using {} where {}",
            child.table.sql_name(),
            table.join_keys("join"),
            child.on_parent(table, "c", "t")
        );
        let arrays = table.key_arrays(keys);
        let parameters: Vec<&(dyn ToSql + Sync)> =
            arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect();
        client.execute(&sql, &parameters).await?;
    }
    Ok(())
}
