//! Look: the row, the link and the shadow of each claimed key, as they are now.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::bound::Bound;
use crate::mapping::FieldError;
use crate::model::record::Record;
use crate::store::filter::inside_each;
use crate::store::link::{Link, held_fields, links_by_key};
use crate::store::mirror::{Row, read_rows};
use crate::store::outbox::{Claimed, approvals};
use crate::store::reference::unfinished_rows;
use crate::store::steps::owed_steps;
use crate::store::{Store, StoreError};

/// Everything that is known about one claimed key.
#[derive(Debug, Clone)]
pub struct Looked {
    pub key: String,
    pub attempts: i32,
    pub changed_at: SystemTime,
    pub actor: Option<String>,
    /// Capture saw the row's own delete; without it a missing row is no delete.
    pub row_gone: bool,
    /// The row is one of a circle of rows that wait for each other: it goes without the reference that is missing.
    pub loose: bool,
    /// `None`: the row is gone.
    pub row: Option<Row>,
    /// The row in the record's form, where there is a row.
    pub encoded: Option<Result<Record, FieldError>>,
    pub link: Option<Link>,
    /// The row is outside of the binding's filter.
    pub outside: bool,
    /// The effect that a person approved, where this binding asks for approvals.
    pub approved: Option<Value>,
    /// A person approved this entry, whatever it is.
    pub waved: bool,
    /// Fields whose conflict waits for a person.
    pub held: BTreeSet<String>,
    /// The step that is owed, where a save of ours is not finished.
    pub step: Option<String>,
    /// How long ago lines were sent whose answer was lost and that were not seen since.
    pub lines_unseen: Option<Duration>,
}

impl Looked {
    /// The link's revision; 0 where there is none.
    pub fn revision(&self) -> i64 {
        self.link.as_ref().map_or(0, |link| link.revision)
    }

    /// Where the record stands, as last known.
    pub fn stage(&self) -> Option<&str> {
        self.link.as_ref().and_then(|link| link.stage.as_deref())
    }

    /// The twin's id.
    pub fn remote_id(&self) -> Option<&str> {
        self.link.as_ref().and_then(|link| link.remote_id.as_deref())
    }
}

/// Reads what is known about the claimed keys.
///
/// # Errors
/// When a statement fails.
pub async fn look(store: &Store, bound: &Bound, claimed: &[Claimed]) -> Result<Vec<Looked>, StoreError> {
    let client = store.client().await?;
    let keys: Vec<String> = claimed.iter().map(|one| one.key.clone()).collect();
    let mut links = links_by_key(&client, bound.id, &keys).await?;
    let mut rows = read_rows(&client, &bound.table, &bound.row_columns(), &keys, false).await?;
    let references = bound.references(&client, rows.values(), []).await?;
    // a new record may name others only when their lifecycle is finished: an order needs an audited customer
    let known = references.known_rows();
    let unfinished =
        if known.is_empty() { BTreeSet::new() } else { unfinished_rows(&client, &known).await? };
    let finished = (!unfinished.is_empty()).then(|| references.without(&unfinished));
    let (inside, unclear) = inside_each(&client, &bound.table, bound.filter.as_deref(), &keys).await?;
    let mut held = held_fields(&client, bound.id, &keys).await?;
    // by the database's clock, which wrote down when lines were sent: ours may be ahead of it (I20)
    let unseen = links.values().any(|link| link.lines_sent_at.is_some());
    let now = if unseen { Some(store.clock().await?) } else { None };
    let age = |link: &Link| Some(now?.duration_since(link.lines_sent_at?).unwrap_or(Duration::ZERO));
    let mut approvals =
        if bound.asks_for_approvals() { approvals(&client, bound.id, &keys).await? } else { HashMap::new() };
    let mut approval = |key: &str| approvals.remove(key).unwrap_or_default();
    let mut steps = match &bound.lifecycle {
        Some(_) => owed_steps(&client, bound.id, &keys).await?,
        None => HashMap::new(),
    };
    Ok(claimed
        .iter()
        .map(|one| (one, approval(&one.key), rows.remove(&one.key)))
        .map(|(one, (approved, waved), row)| Looked {
            lines_unseen: links.get(&one.key).and_then(age),
            outside: row.is_some() && !inside.contains(&one.key) && !unclear.contains_key(&one.key),
            approved,
            waved,
            key: one.key.clone(),
            attempts: one.attempts,
            changed_at: one.changed_at,
            actor: one.actor.clone(),
            row_gone: one.row_gone,
            loose: one.loose,
            encoded: row.as_ref().map(|row| match unclear.get(&one.key) {
                // whether it belongs to the binding cannot be told
                Some(reason) => Err(FieldError { field: "where".to_owned(), reason: reason.clone() }),
                None if links.contains_key(&one.key) => bound.mapping.encode(row, &references),
                None => bound.mapping.encode(row, finished.as_ref().unwrap_or(&references)),
            }),
            row,
            link: links.remove(&one.key),
            held: bound.mapping.with_their_groups(&held.remove(&one.key).unwrap_or_default()),
            step: steps.remove(&one.key),
        })
        .collect())
}
