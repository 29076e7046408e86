//! Documents, put together: the tables of lines, their mapping, and whether the WAL leads from a line to its header.

use std::sync::Arc;

use crate::config::{BindingFile, Field, LinesFile};
use crate::connector::{Abilities, Client};
use crate::engine::{Engine, EngineError};
use crate::mapping::Mapping;
use crate::mapping::lines::MappedLines;
use crate::mapping::reference::Reference;
use crate::store::catalog::Column;
use crate::store::lines::Child;
use crate::store::mirror::Table;
use crate::store::{Store, StoreError};

/// What a binding has to know of its lines.
#[derive(Debug, Default)]
pub(super) struct BoundLines {
    pub apart: bool,
    pub watched: Vec<String>,
}

/// Looks the tables of a binding's lines up and compiles their mapping into the binding's own.
///
/// # Errors
/// When the database fails; the inner findings are what is wrong with the configuration.
pub(super) async fn lines_of(
    store: &Store,
    client: &Arc<Client>,
    binding: &BindingFile,
    mapping: &mut Mapping,
    table: &mut Table,
    abilities: &Abilities,
    refers: &impl Fn(&Field) -> Option<Reference>,
) -> Result<Result<BoundLines, Vec<String>>, EngineError> {
    let mut bound = BoundLines::default();
    let mut findings = Vec::new();
    for (collection, lines) in &binding.lines {
        let (of_lines, columns) = match store.table(&lines.table).await {
            Ok(found) => found,
            Err(StoreError::Table(reason)) => {
                findings.push(reason);
                continue;
            }
            Err(other) => return Err(other.into()),
        };
        match client.line_abilities(&binding.object, collection) {
            Ok(able) => {
                bound.apart |= able.apart;
                if able.watch {
                    bound.watched.push(collection.clone());
                }
            }
            Err(error) => findings.push(error.to_string()),
        }
        if !abilities.can_read {
            findings.push(format!("{} cannot be read by id, so its lines cannot be kept", binding.object));
        }
        findings.extend(wrong_columns(collection, lines, table, &columns));
        let type_of = |name: &str| {
            columns.iter().find(|column| column.name == name).map(|column| column.type_name.clone())
        };
        match Mapping::new(&binding.of_lines(collection, lines), type_of, abilities.blank_is_null, refers) {
            Ok(inner) => {
                table.children.push(child(collection, lines, of_lines, &columns));
                mapping.lines.push(MappedLines::new(
                    collection,
                    inner,
                    lines.id_column.clone(),
                    binding.direction,
                    binding.prefer,
                ));
            }
            Err(more) => {
                findings.extend(more.into_iter().map(|finding| format!("lines.{collection}: {finding}")));
            }
        }
    }
    Ok(if findings.is_empty() { Ok(bound) } else { Err(findings) })
}

fn wrong_columns(collection: &str, lines: &LinesFile, header: &Table, columns: &[Column]) -> Vec<String> {
    let mut findings = Vec::new();
    let there = |name: &String| columns.iter().any(|column| column.name == *name);
    if lines.parent.len() != header.key.len() {
        let key: Vec<&str> = header.key.iter().map(|column| column.name.as_str()).collect();
        findings.push(format!(
            "lines.{collection}.parent names {} columns, the primary key of {} has {} ({}); name one for each, in this order",
            lines.parent.len(), header.sql_name(), key.len(), key.join(", ")
        ));
    }
    for column in lines.parent.iter().chain(&lines.order_by).filter(|column| !there(column)) {
        findings
            .push(format!("lines.{collection}: {} has no column `{column}`; correct its name", lines.table));
    }
    if let Some(column) = lines.id_column.as_ref().filter(|column| !there(column)) {
        findings.push(format!(
            "lines.{collection}.id_column `{column}` does not exist; run: alter table {} add column {column} text",
            lines.table
        ));
    }
    for column in columns.iter().filter(|column| column.generated && lines.fields.contains_key(&column.name))
    {
        if lines.fields.get(&column.name).is_some_and(|field| field.direction.pulls()) {
            findings.push(format!(
                "lines.{collection}: column `{}` is generated and cannot be written; set `direction: push` on it",
                column.name
            ));
        }
    }
    findings
}

fn child(collection: &str, lines: &LinesFile, table: Table, columns: &[Column]) -> Child {
    let mut read: Vec<String> = lines.fields.keys().cloned().collect();
    let more = lines.order_by.iter().chain(&lines.id_column);
    for column in more {
        if !read.contains(column) {
            read.push(column.clone());
        }
    }
    let number = match lines.order_by.as_slice() {
        [only] if !lines.fields.contains_key(only) => columns
            .iter()
            .find(|column| column.name == *only && !column.has_default && !column.generated)
            .filter(|column| matches!(column.type_name.as_str(), "smallint" | "integer" | "bigint"))
            .map(|column| column.name.clone()),
        _ => None,
    };
    Child {
        collection: collection.to_owned(),
        table,
        parent: lines.parent.clone(),
        order_by: lines.order_by.clone(),
        number,
        columns: read,
    }
}

/// A table that is named several times, for rows of its own and as lines, is published once.
pub(super) fn keep_one_of_each(tables: &mut Vec<Table>) {
    let mut seen = std::collections::BTreeSet::new();
    tables.retain(|table| seen.insert((table.schema.clone(), table.name.clone())));
}

impl Engine {
    /// Tables of lines whose replica identity does not lead to the header, each with the statement that sets it.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn weak_identities(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut weak: Vec<(String, String)> = Vec::new();
        for bound in self.bounds.iter().filter(|bound| bound.pushes) {
            for child in &bound.table.children {
                let name = format!("{}.{}", child.table.schema, child.table.name);
                let (now, _) = self.store.table(&name).await?;
                let mut needed = child.parent.clone();
                let bound_itself = self.bounds.iter().any(|other| {
                    other.pushes && (&other.table.schema, &other.table.name) == (&now.schema, &now.name)
                });
                if bound_itself {
                    needed.extend(now.key.iter().map(|column| column.name.clone()));
                }
                if needed.iter().all(|column| now.identity.contains(column))
                    || weak.iter().any(|(known, _)| *known == name)
                {
                    continue;
                }
                weak.push((name, self.store.identity_statement(&now, &needed).await?));
            }
        }
        Ok(weak)
    }

    /// Sets the replica identity of tables of lines that lack it; says what it did.
    ///
    /// # Errors
    /// When a statement fails, for example for lack of ownership.
    pub async fn set_identities(&mut self) -> Result<Vec<String>, EngineError> {
        let mut done = Vec::new();
        for (name, statement) in self.weak_identities().await? {
            self.store.client().await?.batch_execute(&statement).await.map_err(StoreError::from)?;
            done.push(format!("{name}: {statement}"));
            let (now, _) = self.store.table(&name).await?;
            for table in &mut self.tables {
                if (&table.schema, &table.name) == (&now.schema, &now.name) {
                    *table = now.clone();
                }
            }
        }
        Ok(done)
    }
}
