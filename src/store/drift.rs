//! Schema drift: the columns and fields that a binding names, as they were and as they are now.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio_postgres::types::Json;

use crate::store::mirror::Table;
use crate::store::{Store, StoreError};

/// A field as it was described before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownField {
    pub name: String,
    /// `None`: whatever is described next is right.
    pub kind: Option<String>,
    pub writable: Option<bool>,
}

impl Store {
    /// How a table differs from what a mapping was made for: `columns` are the types of those that it uses. `None` when
    /// it does not. Other columns may come and go, and a column may become longer.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn column_drift(
        &self,
        table: &Table,
        columns: &BTreeMap<String, String>,
    ) -> Result<Option<String>, StoreError> {
        let name = format!("{}.{}", table.schema, table.name);
        let (now, present) = match self.table(&name).await {
            Ok(found) => found,
            Err(StoreError::Table(reason)) => return Ok(Some(reason)),
            Err(other) => return Err(other),
        };
        let mut changes = Vec::new();
        for (column, was) in columns {
            match present.iter().find(|one| one.name == *column) {
                None => changes.push(format!("column `{column}` of {name} is gone")),
                Some(one) if bare(&one.type_name) != bare(was) => {
                    changes
                        .push(format!("column `{column}` of {name} is {} now, and was {was}", one.type_name));
                }
                Some(_) => {}
            }
        }
        let key = |table: &Table| {
            let names: Vec<&str> = table.key.iter().map(|column| column.name.as_str()).collect();
            names.join(", ")
        };
        if changes.is_empty() && key(&now) != key(table) {
            changes.push(format!(
                "the primary key of {name} is ({}) now, and was ({})",
                key(&now),
                key(table)
            ));
        }
        Ok((!changes.is_empty()).then(|| changes.join("; ")))
    }

    /// Holds a binding for a person; false when it stood still already.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn hold_binding(&self, binding: i32, reason: &str) -> Result<bool, StoreError> {
        let sql = "select rowtwin_private.hold_binding($1, $2)";
        Ok(self.client().await?.query_one(sql, &[&binding, &reason]).await?.get(0))
    }

    /// Whether a binding of this name, with these fields and this id column, was at work before: what does not fit now
    /// fitted then.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn was_bound(&self, name: &str, mapping: &Value) -> Result<bool, StoreError> {
        let client = self.client().await?;
        let there =
            client.query_one("select to_regclass('rowtwin_private.binding') is not null", &[]).await?;
        if !there.get::<_, bool>(0) {
            return Ok(false);
        }
        let sql = "select exists (select 1 from rowtwin_private.binding
                   where name = $1 and active and mapping -> 'fields' = $2::jsonb -> 'fields'
                     and mapping -> 'id_column' is not distinct from $2::jsonb -> 'id_column')";
        Ok(client.query_one(sql, &[&name, &Json(mapping)]).await?.get(0))
    }

    /// The fields of a binding's object as they were last described.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn known_fields(&self, binding: i32) -> Result<Vec<KnownField>, StoreError> {
        let sql = "select field, kind, writable from rowtwin_private.remote_field where binding_id = $1 order by field";
        let rows = self.client().await?.query(sql, &[&binding]).await?;
        let known = |row: &tokio_postgres::Row| KnownField {
            name: row.get(0),
            kind: row.get(1),
            writable: row.get(2),
        };
        Ok(rows.iter().map(known).collect())
    }

    /// Takes in how fields are described now, and which are gone; see `rowtwin_private.note_fields`.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn note_fields(
        &self,
        binding: i32,
        described: &Value,
        gone: &[String],
    ) -> Result<(), StoreError> {
        let sql = "select rowtwin_private.note_fields($1, $2, $3)";
        self.client().await?.execute(sql, &[&binding, &Json(described), &gone]).await?;
        Ok(())
    }

    /// Puts the next description off.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn describe_later(&self, binding: i32, wait: Duration) -> Result<(), StoreError> {
        let sql = "update rowtwin_private.binding
                   set next_describe_at = rowtwin_private.clock() + make_interval(secs => $2) where id = $1";
        self.client().await?.execute(sql, &[&binding, &wait.as_secs_f64()]).await?;
        Ok(())
    }

    /// Makes the next description due, unless the last one is younger than `age`.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn describe_soon(&self, binding: i32, age: Duration) -> Result<(), StoreError> {
        let sql = "update rowtwin_private.binding
                   set next_describe_at = least(next_describe_at, rowtwin_private.clock())
                   where id = $1 and coalesce(described_at, '-infinity') < rowtwin_private.clock() - make_interval(secs => $2)";
        self.client().await?.execute(sql, &[&binding, &age.as_secs_f64()]).await?;
        Ok(())
    }
}

/// A type without its length, and the two names of unbounded text as one.
fn bare(type_name: &str) -> String {
    let mut bare = String::new();
    let mut depth = 0_u32;
    for char in type_name.chars() {
        match char {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => bare.push(char),
            _ => {}
        }
    }
    if bare == "character varying" { "text".to_owned() } else { bare }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_column_is_the_same_type() {
        for (one, other, same) in [
            ("character varying(20)", "character varying(50)", true),
            ("character varying(20)", "text", true),
            ("numeric(8,2)", "numeric", true),
            ("timestamp(3) with time zone", "timestamp with time zone", true),
            ("timestamp(3) with time zone", "timestamp without time zone", false),
            ("character(6)", "text", false),
            ("integer", "text", false),
        ] {
            assert_eq!(bare(one) == bare(other), same, "{one} {other}");
        }
    }
}
