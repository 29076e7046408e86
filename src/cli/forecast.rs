//! What a day costs: calls of polls and sweeps by the configuration, and of edits as the last week had them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bound::Bound;
use crate::engine::Engine;
use crate::model::record::member;
use crate::store::{Store, StoreError};

const DAY: Duration = Duration::from_secs(86_400);
/// Days of the past that say how much people edit.
const LOOK_BACK_DAYS: i32 = 7;

/// The calls and the cost of one binding in a day of rest plus what people edit, as JSON: polls, sweeps and edits in
/// calls. `edits` counts what goes out, with the reads before it; it is null where nothing was booked yet.
///
/// # Errors
/// When the statement fails.
pub async fn of_day(store: &Store, bound: &Bound, price: f64) -> Result<Value, StoreError> {
    let row = store
        .client()
        .await?
        .query_one(
            "select (select count(*) from rowtwin_private.link l where l.binding_id = $1 and l.state = 'linked'),
                    (select (sum(u.calls) / greatest(1, extract(epoch from rowtwin_private.clock() - min(u.hour)) / 86400))::float8
                     from rowtwin_private.usage u
                     where u.system = $2 and u.object = $3 and u.direction = 'push'
                       and u.hour > rowtwin_private.clock() - make_interval(days => $4))",
            &[&bound.id, &bound.system, &bound.object, &LOOK_BACK_DAYS],
        )
        .await?;
    let (linked, edits): (i64, Option<f64>) = (row.get(0), row.get(1));
    let pages = u64::try_from(linked)
        .unwrap_or(0)
        .div_ceil(u64::try_from(bound.abilities.list_page).unwrap_or(1).max(1));
    let lists = bound.pulls && bound.abilities.can_list;
    let polls = if lists { times(bound.poll_every) } else { 0 };
    let sweeps = match bound.sweep_every {
        Some(every) if lists => times(every).saturating_mul(pages.max(1)),
        _ => 0,
    };
    let edits = edits.map(whole);
    let calls = polls.saturating_add(sweeps).saturating_add(edits.unwrap_or(0));
    Ok(json!({
        "table": format!("{}.{}", bound.table.schema, bound.table.name),
        "system": bound.system,
        "object": bound.object,
        "polls": polls,
        "sweeps": sweeps,
        "edits": edits,
        "calls": calls,
        "cost": money(real(calls) * price),
    }))
}

/// Which systems will use up more than what the budget leaves to what runs by itself, with the cure.
pub fn beyond_budget(engine: &Engine, plans: &[Value]) -> Vec<String> {
    let mut by_system: BTreeMap<&str, f64> = BTreeMap::new();
    for day in plans.iter().map(|one| member(one, "day")) {
        let own = ["polls", "sweeps"].iter().filter_map(|name| member(day, name).as_f64()).sum::<f64>();
        *by_system.entry(member(day, "system").as_str().unwrap_or_default()).or_default() += own;
    }
    engine
        .systems
        .iter()
        .filter_map(|system| {
            let allowed = real(system.per_day?) * (1.0 - system.reserve);
            let own = by_system.get(system.name.as_str()).copied()?;
            (own > allowed).then(|| {
                format!(
                    "\n{}: polls and sweeps want {own:.0} calls a day, and may have {allowed:.0} (limits.per_day less limits.reserve); poll or sweep less often",
                    system.name
                )
            })
        })
        .collect()
}

/// An amount with four decimals, which is enough for prices of thousandths.
pub fn money(amount: f64) -> Value {
    json!((amount * 10_000.0).round() / 10_000.0)
}

/// How often something that comes every so often comes in a day.
fn times(every: Duration) -> u64 {
    whole(DAY.as_secs_f64() / every.as_secs_f64().max(0.001))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of calls, never negative"
)]
fn whole(number: f64) -> u64 {
    number.ceil().max(0.0) as u64
}

#[expect(clippy::cast_precision_loss, reason = "a forecast")]
fn real(number: u64) -> f64 {
    number as f64
}
