//! `ExecuteBillQuery` and `BillQuery`: lines, filters, orders, pages.

use std::{cmp::Ordering, ops::Bound};

use serde_json::{Map, Value, json};

use super::{
    PARAMETER, Refusal,
    entries::entry_id,
    filter::{Condition, Operand, parse},
    forms::{Form, form, prefixed},
    lines::{Line, entry_of, look},
    values::stamp_of,
};
use crate::model::record::Record;
use crate::simulator::{
    exchange::{Answer, Asked},
    state::State,
    table::{Order, Row, Table, Walk, lower, raise},
    value::{compare, text_of},
};

const LIMIT: usize = 2_000;

/// Answers a list: rows of values, or of objects for `BillQuery`.
pub(super) fn list(state: &mut State, asked: &Asked, data: &Value, objects: bool) -> Result<Answer, Refusal> {
    let form = form(&asked.object);
    let keys: Vec<String> = match data.get("FieldKeys") {
        Some(Value::String(keys)) => {
            keys.split(',').map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()).collect()
        }
        Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if keys.is_empty() {
        return Err(Refusal::new(PARAMETER, "FieldKeys", "查询字段不能为空"));
    }
    let filter = match data.get("FilterString") {
        None | Some(Value::Null) => parse("")?,
        Some(Value::String(text)) => parse(text)?,
        // The list form of newer servers is not simulated.
        Some(Value::Array(list)) if list.is_empty() => parse("")?,
        Some(_) => return Err(Refusal::new(PARAMETER, "FilterString", "过滤条件语法错误")),
    };
    let orders = orders(data.get("OrderString").and_then(Value::as_str).unwrap_or(""))?;
    let count = |name: &str| {
        let value = data.get(name).and_then(text_of);
        match value.as_deref() {
            None | Some("") => Ok(0),
            Some(text) => text.parse::<usize>().map_err(|_| Refusal::new(PARAMETER, name, "参数值不正确")),
        }
    };
    let (start, limit, top) = (count("StartRow")?, count("Limit")?, count("TopRowCount")?);
    // Some servers allow more; that this one refuses and does not cut short is (unverified).
    if limit > LIMIT {
        return Err(Refusal::new(PARAMETER, "Limit", "Limit不能超过2000"));
    }
    let mut end = start.saturating_add(if limit == 0 { LIMIT } else { limit });
    if top > 0 {
        end = end.min(top);
    }
    let mut used = keys.clone();
    filter.keys(&mut used);
    used.extend(orders.iter().map(|(key, _)| key.clone()));
    if let Some(unknown) = used.iter().find(|key| !form.may_ask(first_part(key))) {
        return Err(Refusal::no_field(unknown));
    }
    state.table(&asked.object);
    let Some(table) = state.objects.get(&asked.object) else { return Ok(Answer::ok(&json!([]))) };
    let entry = entry(table, &asked.object, &form, &used);
    let walk = plan(table, &form, &filter, &orders);
    // Lines in the order of their ids inside each bill, and bills in the order of theirs, need no sorting of the whole.
    let by_line_id = entry.as_deref().and_then(|entry| line_order(&form, entry, &orders));
    let walked = is_walked(&form, &orders, walk.order)
        && (entry.is_none() || by_line_id.is_some() || orders.len() < 2);
    let mut found: Vec<(&Row, Line<'_>)> = Vec::new();
    let mut passed = 0;
    'rows: for row in table.walk(&walk) {
        for line in lines(row, entry.as_deref(), by_line_id) {
            if !filter.holds(&|key| look(&state.objects, &form, line, key)) {
                continue;
            }
            if !walked || passed >= start {
                found.push((row, line));
            }
            passed += 1;
            if walked && passed >= end {
                break 'rows;
            }
        }
    }
    if !walked {
        let value = |line: &Line<'_>, key: &str| look(&state.objects, &form, *line, key);
        found.sort_by(|left, right| {
            let orders = orders.iter().map(|(key, ascending)| {
                let order = match (value(&left.1, key), value(&right.1, key)) {
                    (Some(left), Some(right)) => compare(&left, &right, false).unwrap_or(Ordering::Equal),
                    (left, right) => left.is_some().cmp(&right.is_some()),
                };
                if *ascending { order } else { order.reverse() }
            });
            orders.fold(Ordering::Equal, Ordering::then)
        });
        found = found.into_iter().skip(start).take(end.saturating_sub(start)).collect();
    } else if end <= start {
        found.clear();
    }
    let ids = found.iter().map(|(row, _)| row.id.clone()).collect();
    let page: Vec<Value> = found
        .iter()
        .map(|(_, line)| {
            let value = |key: &String| look(&state.objects, &form, *line, key).unwrap_or(Value::Null);
            if objects {
                Value::Object(keys.iter().map(|key| (key.clone(), value(key))).collect::<Map<_, _>>())
            } else {
                keys.iter().map(value).collect()
            }
        })
        .collect();
    Ok(Answer::ok(&Value::Array(page)).with_ids(ids))
}

fn first_part(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

/// The detail table that a query is about, if any. A custom field does not tell by its name where it is.
fn entry(table: &Table, object: &str, form: &Form, used: &[String]) -> Option<String> {
    if !form.closed {
        return entry_of(table, object, used);
    }
    let entry = form.entry?;
    if used.iter().any(|key| form.is_line_key(first_part(key))) {
        return Some(entry.key.to_owned());
    }
    let custom: Vec<String> = used.iter().filter(|key| key.starts_with("F_")).cloned().collect();
    if custom.is_empty() { None } else { entry_of(table, object, &custom) }
}

/// Whether the lines are asked for by the bill's id and then by their own; ascending or not.
fn line_order(form: &Form, entry: &str, orders: &[(String, bool)]) -> Option<bool> {
    let [(head, _), (line, ascending)] = orders else { return None };
    let own = prefixed(line, entry).unwrap_or(line);
    (head.eq_ignore_ascii_case(form.pk) && own.eq_ignore_ascii_case("FEntryID")).then_some(*ascending)
}

/// The lines of a record: one for each of its details, or the head alone. They stand in their places unless they are to be
/// ordered by their ids.
fn lines<'a>(row: &'a Row, entry: Option<&'a str>, by_id: Option<bool>) -> Vec<Line<'a>> {
    let head = &row.fields;
    let details = entry.and_then(|name| head.get(name).and_then(Value::as_array).map(|list| (name, list)));
    match details {
        Some((name, list)) if !list.is_empty() => {
            let mut records: Vec<&Record> = list.iter().filter_map(Value::as_object).collect();
            if let Some(ascending) = by_id {
                records.sort_by_key(|line| entry_id(line));
                if !ascending {
                    records.reverse();
                }
            }
            records.into_iter().map(|line| Line { head, entry: Some((name, line)) }).collect()
        }
        _ => vec![Line { head, entry: None }],
    }
}

fn orders(text: &str) -> Result<Vec<(String, bool)>, Refusal> {
    let mut orders = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let mut words = part.split_whitespace();
        let key = words.next().unwrap_or_default().to_owned();
        let ascending = match words.next().map(str::to_ascii_lowercase).as_deref() {
            None | Some("asc") => true,
            Some("desc") => false,
            Some(_) => return Err(Refusal::new(PARAMETER, "OrderString", "排序条件语法错误")),
        };
        orders.push((key, ascending));
    }
    Ok(orders)
}

/// Whether the walk's own order is the one that was asked for.
fn is_walked(form: &Form, orders: &[(String, bool)], order: Order) -> bool {
    let is_pk = |key: &str| key.eq_ignore_ascii_case(form.pk);
    match orders {
        [] => true,
        [(first, _)] => is_pk(first) || (order == Order::Stamp && first.eq_ignore_ascii_case("FModifyDate")),
        [(first, _), ..] if is_pk(first) => true,
        [(_, a), (second, b)] => order == Order::Stamp && is_pk(second) && a == b,
        _ => false,
    }
}

/// The part of the table that can hold what is searched for.
fn plan(table: &Table, form: &Form, filter: &Condition, orders: &[(String, bool)]) -> Walk {
    let mut walk = Walk::default();
    if let Some((first, ascending)) = orders.first() {
        let stamp = first.eq_ignore_ascii_case("FModifyDate");
        if stamp || first.eq_ignore_ascii_case(form.pk) {
            walk.order = if stamp { Order::Stamp } else { Order::Id };
            walk.descending = !ascending;
        }
    }
    for part in filter.conjuncts() {
        match part {
            Condition::In(Operand::Key(key), values) if key.eq_ignore_ascii_case(form.pk) => {
                walk.only = Some(values.iter().filter_map(text_of).collect());
            }
            Condition::Compare(Operand::Key(key), sign, Operand::Constant(value)) => {
                let Some(text) = text_of(value) else { continue };
                if key.eq_ignore_ascii_case(form.pk) && text.parse::<u64>().is_ok() {
                    match *sign {
                        "=" => walk.only = Some(vec![text]),
                        sign => bound(&mut walk.ids, sign, table.key(&text)),
                    }
                } else if key.eq_ignore_ascii_case("FModifyDate")
                    && let Some(stamp) = stamp_of(&text)
                {
                    bound(&mut walk.stamps, sign, stamp);
                }
            }
            _ => {}
        }
    }
    walk
}

fn bound<T: Ord>(bounds: &mut (Bound<T>, Bound<T>), sign: &str, value: T) {
    match sign {
        ">" => raise(bounds, Bound::Excluded(value)),
        ">=" => raise(bounds, Bound::Included(value)),
        "<" => lower(bounds, Bound::Excluded(value)),
        "<=" => lower(bounds, Bound::Included(value)),
        _ => {}
    }
}
