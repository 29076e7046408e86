//! Reading: queries and their pages, one record, what was deleted or changed within a time.

use serde_json::{Map, Value, json};

use super::{
    Refusal, bin, log, ok,
    schema::{self, long_id, stamp_of, stamp_text},
    soql,
    write::exists,
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked, Request, pairs},
        select::Query,
        state::State,
    },
};

/// Rows in a page, at most and unless fewer are asked for.
const PAGE: usize = 2_000;

fn shown(object: &str, record: &Record, fields: &[String]) -> Value {
    let id = record.get("Id").and_then(Value::as_str).unwrap_or_default();
    let mut shown = Map::new();
    let url = format!("/services/data/v67.0/sobjects/{object}/{id}");
    shown.insert("attributes".to_owned(), json!({"type": object, "url": url}));
    for name in fields {
        shown.insert(name.clone(), record.get(name).cloned().unwrap_or(Value::Null));
    }
    Value::Object(shown)
}

/// `query` and `queryAll`; the latter shows what lies in the recycle bin, too.
pub(super) fn query(state: &mut State, request: &Request, asked: &Asked) -> Result<Answer, Refusal> {
    let text = pairs(&request.query).into_iter().find(|(name, _)| name == "q").map(|(_, value)| value);
    let text =
        text.ok_or_else(|| Refusal::of(400, "MALFORMED_QUERY", "A query string has to be specified"))?;
    let (query, found) = found(state, &text, asked.operation == "queryAll")?;
    if query.fields.is_empty() {
        return Ok(ok(&json!({"totalSize": found.len(), "done": true, "records": []})));
    }
    let records: Vec<Value> =
        found.iter().map(|record| shown(&query.object, record, &query.fields)).collect();
    let wanted =
        request.header("sforce-query-options").and_then(|text| text.trim().strip_prefix("batchSize="));
    let page = wanted.and_then(|text| text.parse().ok()).map_or(PAGE, |size: usize| size.clamp(200, PAGE));
    let total = records.len();
    Ok(page_of(state, records, total, page))
}

/// What a query finds, in its order; `all`: in the recycle bin, too.
pub(super) fn found(state: &mut State, text: &str, all: bool) -> Result<(Query, Vec<Record>), Refusal> {
    let query = soql::parse(text)?;
    let mut found: Vec<Record> = Vec::new();
    let mut tables = vec![query.object.clone()];
    if all {
        tables.push(bin(&query.object));
    }
    for table in tables {
        let rows = state.table(&table).rows().filter(|row| query.takes(&row.fields));
        found.extend(rows.map(|row| row.fields.clone()));
    }
    found.sort_by(|left, right| query.order(left, right));
    let limit = query.limit.unwrap_or(found.len());
    let found = found.into_iter().skip(query.offset).take(limit).collect();
    Ok((query, found))
}

/// The next page of an earlier query.
pub(super) fn more(state: &mut State, locator: &str) -> Result<Answer, Refusal> {
    let kept = state.tasks.get(locator).and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let Some(Value::Array(records)) = kept.as_ref().and_then(|kept| kept.get("records")).cloned() else {
        return Err(Refusal::of(400, "INVALID_QUERY_LOCATOR", "invalid query locator"));
    };
    let count = |name: &str| {
        let told = kept.as_ref().and_then(|kept| kept.get(name)).and_then(Value::as_u64);
        told.and_then(|number| usize::try_from(number).ok()).unwrap_or(PAGE)
    };
    Ok(page_of(state, records, count("total"), count("page")))
}

fn page_of(state: &mut State, mut records: Vec<Value>, total: usize, page: usize) -> Answer {
    let rest = records.split_off(records.len().min(page));
    let ids = records.iter().filter_map(|record| record.get("Id").and_then(Value::as_str));
    let ids = ids.map(str::to_owned).collect();
    let mut answer = json!({"totalSize": total, "done": rest.is_empty(), "records": records});
    if !rest.is_empty() {
        let locator = format!("01g5g{:010}AAA-{}", state.next_serial(), total - rest.len());
        let kept = json!({"records": rest, "total": total, "page": page}).to_string();
        state.tasks.insert(locator.clone(), kept.into_bytes());
        if let Value::Object(answer) = &mut answer {
            let url = format!("/services/data/v67.0/query/{locator}");
            answer.insert("nextRecordsUrl".to_owned(), json!(url));
        }
    }
    ok(&answer).with_ids(ids)
}

/// One record with all its fields.
pub(super) fn get(state: &mut State, object: &str, id: &str) -> Result<Answer, Refusal> {
    exists(state, object, id)?;
    let id = long_id(id);
    let record = state.table(object).get(&id).map(|row| row.fields.clone()).unwrap_or_default();
    let mut fields: Vec<String> = schema::fields(object).map(|(name, ..)| (*name).to_owned()).collect();
    fields.extend(record.keys().filter(|name| !fields.contains(name)).cloned().collect::<Vec<_>>());
    Ok(ok(&shown(object, &record, &fields)).with_ids(vec![id]))
}

/// `deleted` and `updated`: ids within a time, to the minute.
pub(super) fn changed(
    state: &mut State,
    request: &Request,
    object: &str,
    deleted: bool,
) -> Result<Answer, Refusal> {
    let given = pairs(&request.query);
    let moment = |name: &str| {
        let text = given.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let ms = text.and_then(stamp_of).map(|ms| ms.div_euclid(60_000) * 60_000);
        ms.ok_or_else(|| Refusal::of(400, "INVALID_REPLICATION_DATE", format!("{name} is not a moment")))
    };
    let (start, end) = (moment("start")?, moment("end")?);
    let name = if deleted { log(object) } else { object.to_owned() };
    let rows = state.table(&name).rows().filter(|row| (start..end).contains(&row.stamp));
    let found: Vec<(String, i64)> = rows.map(|row| (row.id.clone(), row.stamp)).collect();
    let covered = stamp_text(end);
    Ok(ok(&if deleted {
        let records: Vec<Value> =
            found.iter().map(|(id, stamp)| json!({"id": id, "deletedDate": stamp_text(*stamp)})).collect();
        let earliest = stamp_text(end - 15 * 86_400_000);
        json!({"deletedRecords": records, "earliestDateAvailable": earliest, "latestDateCovered": covered})
    } else {
        json!({"ids": found.iter().map(|(id, _)| id).collect::<Vec<_>>(), "latestDateCovered": covered})
    }))
}
