//! What stands about single fields of rows: open conflicts, values that a person chose, and turns of direction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use deadpool_postgres::GenericClient;
use serde_json::Value;
use tokio_postgres::types::Json;

use crate::store::StoreError;

/// An open conflict of one field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Open {
    /// The group that is decided as one.
    pub unit: String,
    /// Frozen by the brake, not held by a policy.
    pub frozen: bool,
    /// The value that a person chose for both sides.
    pub chosen: Option<Value>,
}

/// What stands about the fields of one row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    pub open: BTreeMap<String, Open>,
    /// How often the direction of a field has turned within the brake's window.
    pub turns: BTreeMap<String, u32>,
}

impl Standing {
    /// The values that are to go to both sides: those of units in which nothing is left open.
    pub fn chosen(&self) -> BTreeMap<&str, &Value> {
        let undecided: BTreeSet<&str> =
            self.open.values().filter(|open| open.chosen.is_none()).map(|open| open.unit.as_str()).collect();
        self.open
            .iter()
            .filter(|(_, open)| !undecided.contains(open.unit.as_str()))
            .filter_map(|(field, open)| Some((field.as_str(), open.chosen.as_ref()?)))
            .collect()
    }
}

/// What stands about the fields of these keys.
///
/// # Errors
/// When a statement fails.
pub async fn standing(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
    within: Duration,
) -> Result<HashMap<String, Standing>, StoreError> {
    let mut found: HashMap<String, Standing> = HashMap::new();
    let open = client
        .query(
            "select key, field, coalesce(unit, field), policy = 'oscillation', chosen from rowtwin_private.conflict
             where binding_id = $1 and key = any ($2) and winner = 'held' and resolved_at is null",
            &[&binding, &keys],
        )
        .await?;
    for row in &open {
        let chosen = row.get::<_, Option<Json<Value>>>(4).map(|json| json.0);
        found
            .entry(row.get(0))
            .or_default()
            .open
            .insert(row.get(1), Open { unit: row.get(2), frozen: row.get(3), chosen });
    }
    let turning = client
        .query(
            "select key, field, turns from rowtwin_private.turning
             where binding_id = $1 and key = any ($2) and since >= rowtwin_private.clock() - make_interval(secs => $3)",
            &[&binding, &keys, &within.as_secs_f64()],
        )
        .await?;
    for row in &turning {
        let turns = u32::try_from(row.get::<_, i32>(2)).unwrap_or(0);
        found.entry(row.get(0)).or_default().turns.insert(row.get(1), turns);
    }
    Ok(found)
}

/// Counts turns: fields that went to the record and come back now, as (key, field).
///
/// # Errors
/// When the statement fails.
pub async fn count_turns(
    client: &impl GenericClient,
    binding: i32,
    turned: &[(String, String)],
    within: Duration,
) -> Result<(), StoreError> {
    if turned.is_empty() {
        return Ok(());
    }
    let (keys, fields): (Vec<&str>, Vec<&str>) =
        turned.iter().map(|(key, field)| (key.as_str(), field.as_str())).unzip();
    client
        .execute(
            "select rowtwin_private.take($1, $2, $3, make_interval(secs => $4))",
            &[&binding, &keys, &fields, &within.as_secs_f64()],
        )
        .await?;
    Ok(())
}

/// Closes open conflicts, as (key, field): a person's value is in the row now, or both sides agree by themselves.
///
/// # Errors
/// When the statement fails.
pub async fn close_conflicts(
    client: &impl GenericClient,
    binding: i32,
    closed: &[(String, String)],
) -> Result<(), StoreError> {
    if closed.is_empty() {
        return Ok(());
    }
    let (keys, fields): (Vec<&str>, Vec<&str>) =
        closed.iter().map(|(key, field)| (key.as_str(), field.as_str())).unzip();
    client.execute("select rowtwin_private.close_conflicts($1, $2, $3)", &[&binding, &keys, &fields]).await?;
    Ok(())
}
