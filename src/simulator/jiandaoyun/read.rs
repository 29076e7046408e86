//! Lists, in the order of ids, and single records.

use std::ops::Bound;

use serde_json::{Map, Value, json};

use super::{INVALID_PARAMETER, MOST, NO_RECORD, Refusal};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked},
        state::State,
        table::{Walk, raise},
    },
};

/// Whether a record meets the conditions that are understood; the others count for nothing.
fn meets(record: &Record, filter: &Value) -> bool {
    let conditions = filter.get("cond").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut judged = conditions.iter().filter_map(|condition| {
        let field = condition.get("field").and_then(Value::as_str)?;
        let wanted = condition.get("value").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if !field.starts_with("_widget_") {
            return None;
        }
        let value = record.get(field).unwrap_or(&Value::Null);
        match condition.get("method").and_then(Value::as_str)? {
            "eq" if wanted.len() == 1 => Some(wanted.contains(value)),
            "in" if !wanted.is_empty() && wanted.len() <= 200 => Some(wanted.contains(value)),
            "ne" if wanted.len() == 1 => Some(!wanted.contains(value)),
            "empty" => Some(value.is_null()),
            "not_empty" => Some(!value.is_null()),
            _ => None,
        }
    });
    match filter.get("rel").and_then(Value::as_str) {
        Some("or") => conditions.is_empty() || judged.any(|met| met),
        _ => judged.all(|met| met),
    }
}

/// What a record shows: what was never set is left out.
fn shown(record: &Record, fields: Option<&Vec<Value>>) -> Value {
    let asked: Vec<&str> = fields.into_iter().flatten().filter_map(Value::as_str).collect();
    let whole = asked.is_empty() || asked == ["_id"];
    let shown = record.iter().filter(|(name, value)| {
        !(name.starts_with("_widget_") && value.is_null())
            && (whole || *name == "_id" || asked.contains(&name.as_str()))
    });
    Value::Object(shown.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
}

/// A record as answers to writes show it.
pub(super) fn whole(record: &Record) -> Value {
    shown(record, None)
}

pub(super) fn list(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let payload = &asked.payload;
    let limit = match payload.get("limit") {
        None => 10,
        Some(limit) => limit
            .as_u64()
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| (1..=MOST).contains(limit))
            .ok_or_else(|| Refusal::new(INVALID_PARAMETER, "参数 limit 不合法"))?,
    };
    let mut walk = Walk::default();
    let table = state.table(&asked.object);
    if let Some(after) = payload.get("data_id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        raise(&mut walk.ids, Bound::Excluded(table.key(after)));
    }
    let filter = payload.get("filter").unwrap_or(&Value::Null);
    let fields = payload.get("fields").and_then(Value::as_array);
    let found: Vec<Value> = table
        .walk(&walk)
        .filter(|row| meets(&row.fields, filter))
        .take(limit)
        .map(|row| shown(&row.fields, fields))
        .collect();
    Ok(Answer::ok(&json!({ "data": found })))
}

pub(super) fn get(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let id = asked.ids.first().map(String::as_str).unwrap_or_default();
    let row = state.table(&asked.object).get(id).ok_or_else(gone)?;
    Ok(Answer::ok(&json!({ "data": whole(&row.fields) })))
}

pub(super) fn gone() -> Refusal {
    Refusal::new(NO_RECORD, "数据不存在")
}
