//! Reading: lists, searches, reads of many by id or by a unique property.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::{Refusal, need_object, objects, shown};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked, Request, pairs},
        state::State,
        value::{compare, text_of},
    },
};

/// A search shows no more than so many records, whatever the pages.
const REACH: usize = 10_000;

fn wanted(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// `GET`: by id, from `after` on.
pub(super) fn list(state: &mut State, request: &Request, asked: &Asked) -> Result<Answer, Refusal> {
    need_object(&asked.object)?;
    let given = pairs(&request.query);
    let text = |name: &str| given.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let limit = text("limit").and_then(|text| text.parse().ok()).unwrap_or(10);
    if limit > 100 {
        return Err(Refusal::validation("limit must be at most 100"));
    }
    let names: Vec<String> = text("properties").unwrap_or_default().split(',').map(str::to_owned).collect();
    let begin = text("after").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    // Archived records are no longer in the table of the others.
    let object = if text("archived").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        super::bin(&asked.object)
    } else {
        asked.object.clone()
    };
    let rows = state.table(&object).rows().filter(|row| row.id.parse::<u64>().is_ok_and(|id| id >= begin));
    let found: Vec<Record> = rows.take(limit + 1).map(|row| row.fields.clone()).collect();
    let next = found.get(limit).and_then(|record| record.get("hs_object_id")).cloned();
    Ok(page(&asked.object, found.into_iter().take(limit), &names, next, None))
}

fn page(
    object: &str,
    found: impl Iterator<Item = Record>,
    names: &[String],
    next: Option<Value>,
    total: Option<usize>,
) -> Answer {
    let results: Vec<Value> = found.map(|record| shown(object, &record, names)).collect();
    let ids =
        results.iter().filter_map(|one| one.get("id").and_then(Value::as_str)).map(str::to_owned).collect();
    let mut body = Map::new();
    if let Some(total) = total {
        body.insert("total".to_owned(), json!(total));
    }
    body.insert("results".to_owned(), Value::Array(results));
    if let Some(after) = next {
        body.insert("paging".to_owned(), json!({"next": {"after": after}}));
    }
    Answer::ok(&Value::Object(body)).with_ids(ids)
}

/// What a filter compares: numbers and moments by value, texts in any case.
fn comparable(object: &str, name: &str, value: &Value) -> Option<Value> {
    let text = text_of(value)?;
    Some(match objects::property(object, name).map(|(_, holds, ..)| *holds) {
        Some(objects::Holds::DateTime) => json!(objects::millis(&text)?),
        Some(objects::Holds::Number) => serde_json::from_str(&text).ok()?,
        _ => json!(text.to_lowercase()),
    })
}

fn matches(object: &str, record: &Record, filter: &Value) -> Result<bool, Refusal> {
    let text = |name: &str| filter.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, operator) = (text("propertyName"), text("operator"));
    if objects::property(object, name).is_none() {
        return Err(Refusal::validation(format!(
            "There was a problem with the request: {name} is not a property"
        )));
    }
    let found = record.get(name).filter(|value| !value.is_null()).and_then(|v| comparable(object, name, v));
    let given = |key: &str| filter.get(key).and_then(|value| comparable(object, name, value));
    let order = |key: &str| found.as_ref().zip(given(key).as_ref()).and_then(|(l, r)| compare(l, r, false));
    let among = || {
        let values = filter.get("values").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
        found.is_some() && values.iter().any(|value| comparable(object, name, value) == found)
    };
    Ok(match operator {
        "HAS_PROPERTY" => found.is_some(),
        "NOT_HAS_PROPERTY" => found.is_none(),
        "EQ" => order("value") == Some(Ordering::Equal),
        "NEQ" => order("value") != Some(Ordering::Equal),
        "LT" => order("value") == Some(Ordering::Less),
        "LTE" => matches!(order("value"), Some(Ordering::Less | Ordering::Equal)),
        "GT" => order("value") == Some(Ordering::Greater),
        "GTE" => matches!(order("value"), Some(Ordering::Greater | Ordering::Equal)),
        "BETWEEN" => {
            matches!(order("value"), Some(Ordering::Greater | Ordering::Equal))
                && matches!(order("highValue"), Some(Ordering::Less | Ordering::Equal))
        }
        "IN" => among(),
        "NOT_IN" => !among(),
        _ => return Err(Refusal::validation(format!("{operator} is not an operator"))),
    })
}

/// `search`: groups of filters, of which one must hold; one order; pages up to the 10 000th record.
pub(super) fn search(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    need_object(&asked.object)?;
    let body = &asked.payload;
    let count = |name: &str, otherwise: usize| {
        let told = body.get(name).and_then(text_of);
        told.map_or(Some(otherwise), |text| text.parse().ok())
    };
    let limit = count("limit", 10).filter(|limit| *limit <= 200);
    let limit = limit.ok_or_else(|| Refusal::validation("limit must be at most 200"))?;
    let after = count("after", 0).ok_or_else(|| Refusal::validation("after is not a number"))?;
    if after + limit > REACH {
        return Err(Refusal::validation("a search shows at most 10000 records"));
    }
    let groups = body.get("filterGroups").and_then(Value::as_array).cloned().unwrap_or_default();
    let filters = |group: &Value| group.get("filters").and_then(Value::as_array).cloned().unwrap_or_default();
    if groups.len() > 5 || groups.iter().any(|group| filters(group).len() > 6) {
        return Err(Refusal::validation("at most 5 groups of 6 filters"));
    }
    let mut found = Vec::new();
    let records: Vec<Record> = state.table(&asked.object).rows().map(|row| row.fields.clone()).collect();
    for record in records {
        let mut meant = groups.is_empty();
        for group in &groups {
            let mut all = true;
            for filter in filters(group) {
                all &= matches(&asked.object, &record, &filter)?;
            }
            meant |= all;
        }
        if meant {
            found.push(record);
        }
    }
    let sorts = body.get("sorts").and_then(Value::as_array).cloned().unwrap_or_default();
    if sorts.len() > 1 {
        return Err(Refusal::validation("one order at most"));
    }
    if let Some(sort) = sorts.first() {
        let name = sort.get("propertyName").and_then(Value::as_str).unwrap_or_default().to_owned();
        let key =
            |record: &Record| record.get(&name).and_then(|value| comparable(&asked.object, &name, value));
        found.sort_by(|left, right| match (key(left), key(right)) {
            (Some(left), Some(right)) => compare(&left, &right, false).unwrap_or(Ordering::Equal),
            (left, right) => left.is_some().cmp(&right.is_some()),
        });
        if sort.get("direction").and_then(Value::as_str) == Some("DESCENDING") {
            found.reverse();
        }
    }
    let total = found.len();
    let next = (total > after + limit).then(|| json!((after + limit).to_string()));
    let names = wanted(body.get("properties"));
    Ok(page(&asked.object, found.into_iter().skip(after).take(limit), &names, next, Some(total)))
}

/// `batch/read`: by id, or by a unique property; what is missing is told as an error of its own.
pub(super) fn batch(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    need_object(&asked.object)?;
    let by = asked.payload.get("idProperty").and_then(Value::as_str).unwrap_or("hs_object_id").to_owned();
    match objects::property(&asked.object, &by) {
        Some((.., true)) => {}
        _ => return Err(Refusal::validation(format!("{by} is not a unique property"))),
    }
    let names = wanted(asked.payload.get("properties"));
    let (mut results, mut missing, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for input in super::inputs(asked)? {
        let id = input.get("id").cloned().unwrap_or(Value::Null);
        let record = state.table(&asked.object).rows().find(|row| row.fields.get(&by) == Some(&id));
        match record.map(|row| (row.id.clone(), row.fields.clone())) {
            Some((id, record)) => {
                results.push(shown(&asked.object, &record, &names));
                ids.push(id);
            }
            None => missing.push(id),
        }
    }
    let mut body = super::done(results);
    if missing.is_empty() {
        return Ok(Answer::ok(&body).with_ids(ids));
    }
    let error = json!({"status": "error", "category": "OBJECT_NOT_FOUND", "subCategory": "crm.generic",
        "message": "Could not get some objects, they may be deleted or not exist. Check that ids are valid.",
        "context": {"ids": missing}, "links": {}, "errors": []});
    if let Value::Object(body) = &mut body {
        body.insert("numErrors".to_owned(), json!(1));
        body.insert("errors".to_owned(), json!([error]));
    }
    Ok(Answer { reply: super::reply(207, &body), ids, error: None })
}
