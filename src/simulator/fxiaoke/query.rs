//! Reading: filters, orders, projections, pages.

use std::{cmp::Ordering, ops::Bound};

use serde_json::{Map, Value, json};

use super::{INVALID, NO_RECORD, Refusal, need_name_at, schema, success, texts};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked},
        state::State,
        table::{Order, Row, Table, Walk, lower, raise},
        value::{compare, millis_of, text_of},
    },
};

const PAGE: usize = 100;
const OFFSET: usize = 10_000;

struct Filter {
    field: String,
    operator: String,
    values: Vec<Value>,
    numeric: bool,
}

struct Search {
    filters: Vec<Filter>,
    /// Field, ascending.
    orders: Vec<(String, bool)>,
    projection: Vec<String>,
    limit: usize,
    offset: usize,
    /// Whether records that were made invalid are wanted too.
    invalid_too: bool,
}

/// `query` and `findSimple`.
pub(super) fn query(state: &mut State, asked: &Asked, data: &Value) -> Result<Answer, Refusal> {
    need_name_at(asked, data)?;
    let search = parse(asked, data.get("search_query_info"), data.get("field_projection"))?;
    let counted = !["find_explicit_total_num", "returnTotalNum", "need_return_count_num"]
        .iter()
        .any(|name| data.get(*name).or_else(|| asked.payload.get(*name)) == Some(&Value::Bool(false)));
    let (found, total) = run(state.table(&asked.object), &asked.object, &search, counted);
    let ids = found.iter().filter_map(|record| record.get("_id").and_then(text_of)).collect();
    let found: Vec<Value> = found.into_iter().map(Value::Object).collect();
    let total = if counted { total } else { 0 };
    let page = json!({"dataList": found, "offset": search.offset, "limit": search.limit, "total": total});
    Ok(Answer::ok(&success(json!({ "data": page }))).with_ids(ids))
}

/// `findOne`: the first record of a search.
pub(super) fn find_one(state: &mut State, asked: &Asked, data: &Value) -> Result<Answer, Refusal> {
    need_name_at(asked, data)?;
    let mut search = parse(asked, data.get("search_query_info"), data.get("field_projection"))?;
    search.limit = 1;
    let (found, _) = run(state.table(&asked.object), &asked.object, &search, false);
    let record = found.into_iter().next().map_or(Value::Null, Value::Object);
    Ok(Answer::ok(&success(json!({"data": {"objectData": record}}))))
}

/// `get`: one record by its id, invalid ones too.
pub(super) fn get(state: &mut State, asked: &Asked, data: &Value) -> Result<Answer, Refusal> {
    need_name_at(asked, data)?;
    let id =
        data.get("objectDataId").and_then(Value::as_str).ok_or_else(|| Refusal::missing("objectDataId"))?;
    let row = state.table(&asked.object).get(id).ok_or_else(no_record)?;
    Ok(Answer::ok(&success(json!({ "data": row.fields }))))
}

/// The answer to an id that there is none of (unverified).
pub(super) fn no_record() -> Refusal {
    Refusal::new(NO_RECORD, "the data does not exist or has been deleted")
}

fn parse(asked: &Asked, info: Option<&Value>, beside: Option<&Value>) -> Result<Search, Refusal> {
    let none = Value::Object(Map::new());
    let info = info.unwrap_or(&none);
    let invalid = |what: &str| Refusal::new(INVALID, format!("the parameter {what} is illegal"));
    let count = |name: &str, otherwise: usize| match info.get(name) {
        None | Some(Value::Null) => Ok(otherwise),
        Some(value) => value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| invalid(name)),
    };
    let (limit, offset) = (count("limit", 20)?, count("offset", 0)?);
    // That a larger page is refused and not cut short is (unverified).
    if limit == 0 || limit > PAGE {
        return Err(Refusal::new(INVALID, "limit must be between 1 and 100"));
    }
    if offset > OFFSET {
        return Err(Refusal::new(10013, "offset out of range 10000"));
    }
    if !offset.is_multiple_of(limit) {
        return Err(Refusal::new(INVALID, "offset must be a multiple of limit"));
    }
    let items = |name: &str| info.get(name).and_then(Value::as_array).into_iter().flatten();
    let mut filters = Vec::new();
    for item in items("filters") {
        let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
        let field = text("field_name").ok_or_else(|| invalid("field_name"))?;
        let operator = text("operator").ok_or_else(|| invalid("operator"))?;
        known_field(asked, &field)?;
        let values = match item.get("field_values") {
            Some(Value::Array(values)) => values.clone(),
            None | Some(Value::Null) if matches!(operator.as_str(), "IS" | "ISN") => Vec::new(),
            _ => return Err(invalid("field_values")),
        };
        let fits = match operator.as_str() {
            "IS" | "ISN" => true,
            "BETWEEN" | "NBETWEEN" => values.len() == 2,
            "EQ" | "N" | "GT" | "GTE" | "LT" | "LTE" | "LIKE" | "NLIKE" | "STARTWITH" | "ENDWITH" => {
                values.len() == 1
            }
            "IN" | "NIN" | "HASANYOF" | "NHASANYOF" | "CONTAINS" => !values.is_empty(),
            _ => return Err(invalid("operator")),
        };
        if !fits {
            return Err(invalid("field_values"));
        }
        let numeric = matches!(
            schema::field(&asked.object, &field),
            Some((_, _, schema::Holds::Decimal(..) | schema::Holds::Date | schema::Holds::DateTime))
        );
        filters.push(Filter { field, operator, values, numeric });
    }
    let mut orders = Vec::new();
    for item in items("orders") {
        let field = item.get("fieldName").and_then(Value::as_str).ok_or_else(|| invalid("fieldName"))?;
        known_field(asked, field)?;
        orders.push((field.to_owned(), item.get("isAsc") != Some(&Value::Bool(false))));
    }
    let mut projection = texts(info.get("fieldProjection"));
    projection.extend(texts(beside));
    let invalid_too = filters.iter().any(|f| matches!(f.field.as_str(), "life_status" | "is_deleted"));
    Ok(Search { filters, orders, projection, limit, offset, invalid_too })
}

fn known_field(asked: &Asked, name: &str) -> Result<(), Refusal> {
    if schema::may_have(&asked.object, name) {
        return Ok(());
    }
    Err(Refusal::new(INVALID, format!("the field {name} does not exist in {}", asked.object)))
}

/// One page, and the number of all records found where it is `counted`.
fn run(table: &Table, object: &str, search: &Search, counted: bool) -> (Vec<Record>, usize) {
    let walk = plan(table, object, search);
    // The walk's own order is enough where nothing but it was asked for; otherwise all that is found is sorted.
    let walked = search.orders.is_empty()
        || match (search.orders.as_slice(), walk.order) {
            ([(first, _)], _) => first == "_id" || first == "last_modified_time",
            ([(first, a), (second, b)], Order::Stamp) => {
                first == "last_modified_time" && second == "_id" && a == b
            }
            _ => false,
        };
    let wanted = |row: &&Row| {
        (search.invalid_too || row.fields.get("life_status").and_then(Value::as_str) != Some("invalid"))
            && search.filters.iter().all(|filter| holds(filter, &row.fields))
    };
    let mut total = 0;
    let mut page: Vec<&Row> = Vec::new();
    let end = search.offset + search.limit;
    for row in table.walk(&walk).filter(wanted) {
        if !walked || (total >= search.offset && total < end) {
            page.push(row);
        }
        total += 1;
        if walked && !counted && total >= end {
            break;
        }
    }
    if !walked {
        page.sort_by(|left, right| ordered(search, left, right));
        page = page.into_iter().skip(search.offset).take(search.limit).collect();
    }
    (page.into_iter().map(|row| projected(&row.fields, &search.projection)).collect(), total)
}

fn projected(record: &Record, projection: &[String]) -> Record {
    if projection.is_empty() {
        return record.clone();
    }
    let kept = record.iter().filter(|(name, _)| *name == "_id" || projection.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn ordered(search: &Search, left: &Row, right: &Row) -> Ordering {
    for (field, ascending) in &search.orders {
        let order = match (left.fields.get(field), right.fields.get(field)) {
            (Some(left), Some(right)) => compare(left, right, false).unwrap_or(Ordering::Equal),
            (left, right) => left.is_some().cmp(&right.is_some()),
        };
        let order = if *ascending { order } else { order.reverse() };
        if order != Ordering::Equal {
            return order;
        }
    }
    left.id.cmp(&right.id)
}

/// The part of the table that can hold what is searched for.
fn plan(table: &Table, object: &str, search: &Search) -> Walk {
    let mut walk = Walk::default();
    if let Some((field, ascending)) = search.orders.first()
        && (field == "_id" || field == "last_modified_time")
    {
        walk.order = if field == "_id" { Order::Id } else { Order::Stamp };
        walk.descending = !ascending;
    }
    for filter in &search.filters {
        let first = filter.values.first().and_then(text_of);
        let operator = filter.operator.as_str();
        match (filter.field.as_str(), first) {
            ("_id", Some(_)) if matches!(operator, "IN" | "EQ") => {
                walk.only = Some(filter.values.iter().filter_map(text_of).collect());
            }
            (field, Some(_))
                if matches!(operator, "IN" | "EQ")
                    && walk.only.is_none()
                    && schema::references(object).any(|(known, _)| known == field) =>
            {
                let targets = filter.values.iter().filter_map(text_of);
                let found = targets.flat_map(|id| {
                    table
                        .referring(&super::refs::reference(field, &id))
                        .map(|row| row.id.clone())
                        .collect::<Vec<_>>()
                });
                walk.only = Some(found.collect());
            }
            ("_id", Some(id)) => bound(&mut walk.ids, operator, table.key(&id)),
            ("last_modified_time", Some(_)) => {
                let stamps: Vec<i64> = filter.values.iter().filter_map(millis_of).collect();
                match (operator, stamps.as_slice()) {
                    ("BETWEEN", [low, high]) => {
                        bound(&mut walk.stamps, "GTE", *low);
                        bound(&mut walk.stamps, "LTE", *high);
                    }
                    (_, [stamp]) => bound(&mut walk.stamps, operator, *stamp),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    walk
}

fn bound<T: Ord>(bounds: &mut (Bound<T>, Bound<T>), operator: &str, value: T) {
    match operator {
        "GT" => raise(bounds, Bound::Excluded(value)),
        "GTE" => raise(bounds, Bound::Included(value)),
        "LT" => lower(bounds, Bound::Excluded(value)),
        "LTE" => lower(bounds, Bound::Included(value)),
        _ => {}
    }
}

/// Whether a record passes a filter. A record without the field passes only the negations (unverified).
fn holds(filter: &Filter, record: &Record) -> bool {
    let value = record.get(&filter.field);
    let operator = filter.operator.as_str();
    match operator {
        "IS" => return value.is_none(),
        "ISN" => return value.is_some(),
        "N" => return !any(filter, value, "EQ"),
        "NIN" | "NHASANYOF" => return !any(filter, value, "IN"),
        "NLIKE" => return !any(filter, value, "LIKE"),
        "NBETWEEN" => return !any(filter, value, "BETWEEN"),
        _ => {}
    }
    any(filter, value, operator)
}

/// Whether the value, or any member of a list, passes.
fn any(filter: &Filter, value: Option<&Value>, operator: &str) -> bool {
    match value {
        None => false,
        Some(Value::Array(members)) => members.iter().any(|member| passes(filter, member, operator)),
        Some(value) => passes(filter, value, operator),
    }
}

fn passes(filter: &Filter, value: &Value, operator: &str) -> bool {
    let against = |other: &Value| compare(value, other, filter.numeric);
    let first = filter.values.first().unwrap_or(&Value::Null);
    let text = |value: &Value| text_of(value).unwrap_or_default().to_lowercase();
    match operator {
        "EQ" => against(first) == Some(Ordering::Equal),
        "GT" => against(first) == Some(Ordering::Greater),
        "GTE" => against(first).is_some_and(Ordering::is_ge),
        "LT" => against(first) == Some(Ordering::Less),
        "LTE" => against(first).is_some_and(Ordering::is_le),
        "IN" | "HASANYOF" => filter.values.iter().any(|other| against(other) == Some(Ordering::Equal)),
        "BETWEEN" => {
            let last = filter.values.last().unwrap_or(&Value::Null);
            against(first).is_some_and(Ordering::is_ge) && against(last).is_some_and(Ordering::is_le)
        }
        "LIKE" | "CONTAINS" => text(value).contains(&text(first)),
        "STARTWITH" => text(value).starts_with(&text(first)),
        "ENDWITH" => text(value).ends_with(&text(first)),
        _ => false,
    }
}
