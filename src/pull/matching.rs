//! Matching: which row is the twin of a record that nobody knows yet. What cannot be told is held, not guessed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deadpool_postgres::{GenericClient, Transaction};

use crate::mapping::Row;
use crate::model::record::{Record, RemoteRecord, same_value};
use crate::pull::apply::Context;
use crate::store::StoreError;
use crate::store::filter::inside;
use crate::store::link::{Doubt, Link, doubts, links_by_key};
use crate::store::matching::{Candidate, hold_ambiguous, matches, reopen_ambiguous};

/// What was found for the records without a link.
#[derive(Default)]
pub(super) struct Matched {
    /// Read again soon.
    pub deferred: BTreeSet<String>,
    /// Waits with a create in doubt for a person.
    pub parked: BTreeSet<String>,
    /// The row that agrees is outside of the binding's filter.
    pub outside: BTreeSet<String>,
    /// Several rows agree, or one that has a twin or another suitor: their keys.
    pub ambiguous: BTreeMap<String, Vec<String>>,
}

impl Matched {
    /// What was ambiguous with a record that is not any more is looked at again.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn reopen(
        &self,
        client: &impl GenericClient,
        binding: i32,
        before: Vec<(String, Vec<String>)>,
    ) -> Result<(), StoreError> {
        let (ids, keys): (Vec<String>, Vec<Vec<String>>) =
            before.into_iter().filter(|(id, _)| !self.ambiguous.contains_key(id)).unzip();
        reopen_ambiguous(client, binding, &keys.concat(), &ids).await
    }
}

impl Context<'_> {
    /// Keeps what is ambiguous in the inbox, for people to see.
    pub(super) async fn hold_ambiguous(
        &self,
        client: &impl GenericClient,
        matched: &Matched,
    ) -> Result<(), StoreError> {
        let fields = self.bound.mapping.match_fields.join(", ");
        for (id, keys) in &matched.ambiguous {
            let reason = match keys.as_slice() {
                [key] => format!("row {key} agrees with this record in {fields}, and with another one too"),
                several => format!("rows {} agree with this record in {fields}", several.join(", ")),
            };
            hold_ambiguous(client, self.bound.id, id, keys, &reason).await?;
        }
        Ok(())
    }

    /// Finds rows for records without a link. What cannot be told yet is deferred.
    pub(super) async fn match_rows(
        &self,
        transaction: &Transaction<'_>,
        records: &[RemoteRecord],
        links: &mut HashMap<String, Link>,
    ) -> Result<Matched, StoreError> {
        let bound = self.bound;
        let mut matched = Matched::default();
        let unlinked: Vec<&RemoteRecord> =
            records.iter().filter(|record| !record.deleted && !links.contains_key(&record.id)).collect();
        if unlinked.is_empty() {
            return Ok(matched);
        }
        // a record that one of our own creates may have made waits until that create is settled
        let doubts = doubts(transaction, bound.id).await?;
        for record in &unlinked {
            let mut makers = doubts.iter().filter(|doubt| self.may_have_made(doubt, record)).peekable();
            if makers.peek().is_none() {
                continue;
            }
            // what only a person can tell is not read again and again meanwhile
            if makers.all(|doubt| doubt.parked) {
                matched.parked.insert(record.id.clone());
            } else {
                matched.deferred.insert(record.id.clone());
            }
        }
        let fields = &bound.mapping.match_fields;
        if fields.is_empty() {
            return Ok(matched);
        }
        let wanted: BTreeSet<String> = fields.iter().cloned().collect();
        let known = bound.references(transaction, [], unlinked.iter().map(|record| &record.fields)).await?;
        let values: Vec<Row> = unlinked
            .iter()
            .filter_map(|record| bound.mapping.decode(&record.fields, &wanted, &known).ok())
            .filter(|row| row.values().all(|value| !same_value(Some(value), None, true)))
            .collect();
        let columns = bound.mapping.columns_of(fields);
        let mut candidates =
            matches(transaction, &bound.table, bound.id, &bound.row_columns(), &columns, &values).await?;
        let keys: Vec<String> = candidates.iter().map(|one| one.key.clone()).collect();
        let inside = inside(transaction, &bound.table, bound.filter.as_deref(), &keys).await?;
        let known = bound.references(transaction, candidates.iter().map(|one| &one.row), []).await?;
        candidates.sort_by(|left, right| left.key.cmp(&right.key));
        let encoded: Vec<(&Candidate, Record)> = candidates
            .iter()
            .filter_map(|one| Some((one, bound.mapping.encode(&one.row, &known).ok()?)))
            .collect();
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in unlinked {
            if matched.deferred.contains(&record.id) || matched.parked.contains(&record.id) {
                continue;
            }
            let (belong, outside): (Vec<&Candidate>, Vec<&Candidate>) = encoded
                .iter()
                .filter(|(_, row)| {
                    fields.iter().all(|field| {
                        same_value(row.get(field), record.fields.get(field), bound.mapping.blank_is_null)
                    })
                })
                .map(|(one, _)| *one)
                .partition(|one| inside.contains(&one.key));
            match belong.as_slice() {
                [] if outside.is_empty() => {}
                // a row for this record would be a second one
                [] => {
                    matched.outside.insert(record.id.clone());
                }
                [one] if one.twin.is_none() => {
                    found.entry(one.key.clone()).or_default().push(record.id.clone());
                }
                several => {
                    let keys = several.iter().map(|one| one.key.clone()).collect();
                    matched.ambiguous.insert(record.id.clone(), keys);
                }
            }
        }
        let mut pairs = Vec::new();
        for (key, ids) in found {
            match ids.as_slice() {
                [id] => pairs.push((key, id.clone())),
                // several records for one row: none of them is taken by chance
                _ => {
                    let keys = vec![key];
                    matched.ambiguous.extend(ids.into_iter().map(|id| (id, keys.clone())));
                }
            }
        }
        self.link_found(transaction, pairs, links, &mut matched).await?;
        Ok(matched)
    }

    /// Links rows and records that were found to be twins; the primary key of the link decides races.
    async fn link_found(
        &self,
        transaction: &Transaction<'_>,
        found: Vec<(String, String)>,
        links: &mut HashMap<String, Link>,
        matched: &mut Matched,
    ) -> Result<(), StoreError> {
        if found.is_empty() {
            return Ok(());
        }
        let (keys, ids): (Vec<String>, Vec<String>) = found.into_iter().unzip();
        let rows = transaction
            .query(
                "insert into rowtwin_private.link (binding_id, key, state, remote_id, matched)
                 select $1, key, 'linked', id, true from unnest($2::text[], $3::text[]) u (key, id) order by key
                 on conflict do nothing returning key, remote_id",
                &[&self.bound.id, &keys, &ids],
            )
            .await?;
        let mut by_key = links_by_key(transaction, self.bound.id, &keys).await?;
        let made: BTreeSet<String> = rows.iter().map(|row| row.get(1)).collect();
        for row in &rows {
            let (key, id): (String, String) = (row.get(0), row.get(1));
            if let Some(link) = by_key.remove(&key) {
                links.insert(id, link);
            }
        }
        reopen_ambiguous(transaction, self.bound.id, &keys, &ids).await?;
        matched.deferred.extend(ids.into_iter().filter(|id| !made.contains(id)));
        Ok(())
    }

    fn may_have_made(&self, doubt: &Doubt, record: &RemoteRecord) -> bool {
        if !doubt.parked {
            return doubt.attempted_at <= self.first_seen(&record.id);
        }
        // one that a person has to decide must not hold everything up: only what looks like it waits
        doubt.intent.iter().all(|(field, value)| {
            same_value(Some(value), record.fields.get(field), self.bound.mapping.blank_is_null)
        })
    }
}
