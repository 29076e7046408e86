//! Watch: lines whose change does not move their document's stamp are listed by polls too.
//!
//! What a poll finds is compared with the shadow first: our own writes move the lines' stamps as well.

use std::time::Duration;

use serde_json::{Value, json};

use crate::mapping::lines::MappedLines;
use crate::model::document::{Line, lines_of};
use crate::model::outcome::Outcome;
use crate::model::record::RemoteRecord;
use crate::pull::{Puller, Turned};
use crate::remote::gate::Priority;
use crate::store::StoreError;
use crate::store::inbox::note_records;
use crate::store::link::links_by_remote;
use crate::store::walk::{Walk, finish_walk, save_walk};

/// The collection that a walk's page is about; `None` for a page of records.
pub(super) fn lines_of_page(page: &Value) -> Option<String> {
    page.get("lines")?.as_str().map(str::to_owned)
}

/// Why lines could not be swept.
pub(super) enum Swept {
    Remote(Outcome),
    Store(StoreError),
}

impl Puller {
    /// The first page of the watched collection after this one; null after the last.
    pub(super) fn next_lines(&self, after: Option<&str>) -> Value {
        let mut watched =
            self.bound.watched_lines.iter().skip_while(|name| after.is_some_and(|after| after != *name));
        if after.is_some() {
            watched.next();
        }
        watched.next().map_or(Value::Null, |name| json!({"lines": name, "page": null}))
    }

    /// Lists a page of lines and notes the documents whose lines are not as the shadow says.
    pub(super) async fn walk_lines(
        &self,
        mut walk: Walk,
        collection: String,
        page: Option<Value>,
    ) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        let Some(lines) = bound.mapping.lines.iter().find(|lines| lines.collection == collection) else {
            walk.page = Value::Null;
            return self.saved(&walk, 0, &[]).await;
        };
        let fields: Vec<String> = lines.mapping.field_names().map(str::to_owned).collect();
        let (object, since) = (&bound.object, walk.since_ms);
        let listed = bound
            .client
            .list_lines(object, &collection, &fields, since, page.as_ref(), Priority::Backfill)
            .await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(outcome) => return self.not_listed(&outcome).await,
        };
        walk.newest_ms = walk.newest_ms.max(listed.newest_ms);
        let ended = listed.next.is_none() || listed.next == page;
        walk.page = match listed.next {
            Some(next) if !ended => json!({"lines": collection, "page": next}),
            _ => self.next_lines(Some(&collection)),
        };
        let documents: Vec<String> = listed.lines.iter().map(|(document, ..)| document.clone()).collect();
        let links = links_by_remote(&self.store.client().await?, bound.id, &documents).await?;
        let mut changed: Vec<String> = listed
            .lines
            .iter()
            .filter(|(document, line, deleted)| {
                let shadow = links.get(document).and_then(|link| link.shadow.as_ref());
                let known = shadow.and_then(|shadow| lines_of(shadow, &collection)).unwrap_or_default();
                if *deleted {
                    return known.iter().any(|other| other.id == line.id);
                }
                !is_known(lines, &known, line)
            })
            .map(|(document, ..)| document.clone())
            .collect();
        changed.sort();
        changed.dedup();
        self.saved(&walk, listed.lines.len(), &changed).await
    }

    /// The documents among these that lost a line which the shadow knows.
    pub(super) async fn swept_lines(&self, records: &[RemoteRecord]) -> Result<Vec<String>, Swept> {
        let bound = &self.bound;
        let mut fewer = Vec::new();
        if bound.watched_lines.is_empty() {
            return Ok(fewer);
        }
        let ids: Vec<String> =
            records.iter().filter(|record| !record.deleted).map(|record| record.id.clone()).collect();
        let client = self.store.client().await.map_err(Swept::Store)?;
        let links = links_by_remote(&client, bound.id, &ids).await.map_err(Swept::Store)?;
        drop(client);
        for collection in &bound.watched_lines {
            let linked: Vec<String> = links.keys().cloned().collect();
            let there = bound
                .client
                .line_ids(&bound.object, collection, &linked, Priority::Backfill)
                .await
                .map_err(Swept::Remote)?;
            for (id, link) in &links {
                let known = link.shadow.as_ref().and_then(|shadow| lines_of(shadow, collection));
                let there = there.get(id).map(Vec::as_slice).unwrap_or_default();
                let lacks = |line: &Line| line.id.as_ref().is_some_and(|id| !there.contains(id));
                if known.unwrap_or_default().iter().any(lacks) {
                    fewer.push(id.clone());
                }
            }
        }
        Ok(fewer)
    }

    async fn saved(&self, walk: &Walk, count: usize, changed: &[String]) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        let mut client = self.store.client().await?;
        let transaction = client.transaction().await?;
        note_records(&transaction, bound.id, changed, "a line of it changed", Duration::ZERO).await?;
        save_walk(&transaction, bound.id, self.lease, walk, i64::try_from(count).unwrap_or(0)).await?;
        if walk.page.is_null() {
            let (poll, sweep) = (bound.poll_every, bound.sweep_every);
            finish_walk(&transaction, bound.id, walk, poll, sweep, self.overlap_every()).await?;
        }
        transaction.commit().await?;
        Ok(Turned { seen: count, rest: None })
    }
}

fn is_known(lines: &MappedLines, known: &[Line], line: &Line) -> bool {
    known.iter().any(|other| other.id == line.id && lines.mapping.same(&other.fields, &line.fields))
}
