//! Matching: rows that come into question as the twin of a record, and people's view of what is ambiguous.

use deadpool_postgres::GenericClient;
use tokio_postgres::types::Json;

use crate::model::key::encode_key;
use crate::store::StoreError;
use crate::store::mirror::{Row, Table, quote};

/// A row that agrees with what was looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub key: String,
    pub row: Row,
    /// It is the twin of a record that was matched to it: its remote id.
    pub twin: Option<String>,
}

/// Rows whose match columns equal one of `values`, without a link in this binding or linked by a match.
///
/// # Errors
/// When the statement fails.
pub async fn matches(
    client: &impl GenericClient,
    table: &Table,
    binding: i32,
    columns: &[String],
    match_columns: &[String],
    values: &[Row],
) -> Result<Vec<Candidate>, StoreError> {
    if values.is_empty() || match_columns.is_empty() {
        return Ok(Vec::new());
    }
    let on: Vec<String> =
        match_columns.iter().map(|column| format!("t.{0} = m.{0}", quote(column))).collect();
    let sql = format!(
        "select distinct on (1) {}, {}, l.remote_id
         from jsonb_populate_recordset(null::{}, $1) m join {} t on {}
         left join rowtwin_private.link l on l.binding_id = $2 and l.key = {}
         where l.key is null or (l.state = 'linked' and l.matched)",
        table.key_texts("t"),
        table.document_json("t", columns),
        table.sql_name(),
        table.sql_name(),
        on.join(" and "),
        table.key_text("t"),
    );
    let rows = client.query(&sql, &[&Json(values), &binding]).await?;
    rows.iter()
        .map(|row| {
            let key: Vec<String> = row.get(0);
            let Json(fields): Json<Row> = row.try_get(1)?;
            Ok(Candidate { key: encode_key(&key), row: fields, twin: row.get(2) })
        })
        .collect()
}

/// The ids among these that are held as ambiguous, with the rows that came into question.
///
/// # Errors
/// When the statement fails.
pub async fn ambiguous_before(
    client: &impl GenericClient,
    binding: i32,
    ids: &[String],
) -> Result<Vec<(String, Vec<String>)>, StoreError> {
    let rows = client
        .query(
            "select remote_id, candidates from rowtwin_private.inbox
             where binding_id = $1 and remote_id = any ($2) and candidates is not null",
            &[&binding, &ids],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Keeps a record for which it cannot be told which row is its twin.
///
/// # Errors
/// When the statement fails.
pub async fn hold_ambiguous(
    client: &impl GenericClient,
    binding: i32,
    id: &str,
    keys: &[String],
    reason: &str,
) -> Result<(), StoreError> {
    client
        .execute("select rowtwin_private.hold_ambiguous($1, $2, $3, $4)", &[&binding, &id, &keys, &reason])
        .await?;
    Ok(())
}

/// Lets everything be looked at again that was ambiguous with one of these rows or records.
///
/// # Errors
/// When the statement fails.
pub async fn reopen_ambiguous(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
    ids: &[String],
) -> Result<(), StoreError> {
    if !keys.is_empty() || !ids.is_empty() {
        client
            .execute("select rowtwin_private.reopen_ambiguous($1, $2, $3)", &[&binding, &keys, &ids])
            .await?;
    }
    Ok(())
}
