//! Documents on their way out: what is remembered of lines before they are sent, and their ids afterwards.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use deadpool_postgres::Transaction;
use serde_json::Value;

use crate::deliver::Deliverer;
use crate::deliver::look::Looked;
use crate::deliver::settle::Settler;
use crate::model::document::lines_of;
use crate::model::record::Record;
use crate::store::StoreError;
use crate::store::inbox::note_records;
use crate::store::lines::lines_of_row;
use crate::store::link::note_lines_sent;
use crate::store::mirror::{Row, emit_tag, read_rows, update_rows};
use crate::store::outbox::Settlement;

/// The first wait for lines whose answer was lost; it grows with their age, since each look costs a call.
const FIRST_LOOK: Duration = Duration::from_millis(500);

impl Deliverer {
    /// Commits which lines the updates of a batch are about to add (I8, for lines).
    pub(super) async fn remember_lines(&self, batch: &[(Looked, Record)]) -> Result<(), StoreError> {
        let mapping = &self.bound.mapping;
        let added: Vec<(String, Record)> = batch
            .iter()
            .map(|(one, changes)| (one.key.clone(), mapping.added_lines(changes)))
            .filter(|(_, added)| !added.is_empty())
            .collect();
        if added.is_empty() {
            return Ok(());
        }
        note_lines_sent(&self.store.client().await?, self.bound.id, &added).await
    }

    /// Lines were added by an update whose answer was lost: the record is read, for as long as they may still turn up.
    pub(super) async fn look_for_lines(
        &self,
        settler: &Settler<'_>,
        keys: Vec<(Looked, Duration)>,
    ) -> Result<(), StoreError> {
        let mut ids = Vec::new();
        let mut settlements = Vec::new();
        for (one, age) in keys {
            ids.extend(one.remote_id().map(str::to_owned));
            let left = self.bound.doubt_window.saturating_sub(age);
            let wait = age.max(FIRST_LOOK).min(left.max(FIRST_LOOK));
            settlements.push(Settlement {
                key: one.key.clone(),
                verdict: "again",
                wait_ms: Some(i64::try_from(wait.as_millis()).unwrap_or(500)),
                ..Settlement::default()
            });
        }
        if settlements.is_empty() {
            return Ok(());
        }
        settler.settle(settlements).await?;
        settler.read_again(&ids, "lines whose answer was lost").await
    }
}

impl Settler<'_> {
    /// Writes the ids that lines have got to their rows, for documents that were linked or confirmed just now.
    pub(super) async fn write_line_ids(
        &self,
        transaction: &Transaction<'_>,
        settlements: &[Settlement],
        linked: &[(String, String)],
    ) -> Result<(), StoreError> {
        let bound = self.bound;
        if bound.mapping.lines.iter().all(|lines| lines.id_column.is_none()) || linked.is_empty() {
            return Ok(());
        }
        let shadows: HashMap<&str, &Record> = settlements
            .iter()
            .filter(|one| linked.iter().any(|(key, _)| *key == one.key))
            .filter_map(|one| Some((one.key.as_str(), one.shadow.as_ref()?)))
            .collect();
        let keys: Vec<String> = shadows.keys().map(|key| (*key).to_owned()).collect();
        let columns = bound.row_columns();
        let rows = read_rows(transaction, &bound.table, &columns, &keys, true).await?;
        let mut written = BTreeSet::new();
        for (lines, child) in bound.mapping.lines.iter().zip(&bound.table.children) {
            let Some(column) = &lines.id_column else { continue };
            let mut changes = Vec::new();
            for (key, shadow) in &shadows {
                let Some(row) = rows.get(*key) else { continue };
                let of_row: HashMap<String, Row> = lines_of_row(row, &lines.collection).into_iter().collect();
                for line in lines_of(shadow, &lines.collection).unwrap_or_default() {
                    let (Some(id), Some(name)) = (line.id, line.key) else { continue };
                    let stands = of_row.get(&name).map(|row| row.get(column).and_then(Value::as_str));
                    if stands.is_some_and(|stands| stands != Some(id.as_str())) {
                        let mut change = Row::new();
                        change.insert(column.clone(), Value::from(id));
                        changes.push((name, change));
                        written.insert((*key).to_owned());
                    }
                }
            }
            update_rows(transaction, &child.table, &child.columns, &changes).await?;
        }
        // a document that somebody holds gets its ids when its record is read again
        let busy: Vec<String> = linked
            .iter()
            .filter(|(key, _)| shadows.contains_key(key.as_str()) && !rows.contains_key(key))
            .map(|(_, id)| id.clone())
            .collect();
        note_records(transaction, bound.id, &busy, "busy when its lines got their ids", Duration::ZERO)
            .await?;
        let written: Vec<String> = written.into_iter().collect();
        let after = read_rows(transaction, &bound.table, &columns, &written, false).await?;
        let references = bound.references(transaction, after.values(), []).await?;
        let quiet: Vec<String> = written
            .into_iter()
            .filter(|key| {
                let (Some(row), Some(shadow)) = (after.get(key), shadows.get(key.as_str())) else {
                    return false;
                };
                bound.mapping.encode(row, &references).is_ok_and(|encoded| {
                    bound.mapping.push_diff(&encoded, shadow, &BTreeSet::new()).is_empty()
                })
            })
            .collect();
        emit_tag(transaction, bound.id, &quiet).await
    }
}
