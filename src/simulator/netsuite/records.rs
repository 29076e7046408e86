//! REST records: one in each call, named by its own id or by one that the caller has given (`eid:`).

use serde_json::{Map, Value, json};

use super::{
    Refusal,
    schema::{self, Holds, LINES, kept, moment},
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Reply, Request, pairs},
        state::State,
        table::Row,
        value::text_of,
    },
};

/// Fields that are formed, and the lines where some were given.
type Formed = (Vec<(String, Value)>, Option<Vec<Record>>);

fn formed(object: &str, body: &Map<String, Value>) -> Result<Formed, Refusal> {
    let (mut formed, mut lines) = (Vec::new(), None);
    for (name, value) in body {
        if object == "salesOrder" && name == LINES {
            let items = value.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            let items = items.iter().filter_map(Value::as_object).map(line);
            lines = Some(items.collect::<Result<Vec<_>, _>>()?);
            continue;
        }
        match schema::fields(object).and_then(|all| all.iter().find(|(known, ..)| known == name)) {
            None => return Err(Refusal::content(name, format!("Unknown reference or field '{name}'."))),
            Some((_, _, false)) => {}
            Some((name, holds, true)) => formed.push(((*name).to_owned(), kept(name, *holds, value)?)),
        }
    }
    Ok((formed, lines))
}

fn line(given: &Map<String, Value>) -> Result<Record, Refusal> {
    let mut line = Record::new();
    for (name, value) in given {
        match schema::field(LINES, name) {
            None => {
                return Err(Refusal::content(
                    &format!("item.items.{name}"),
                    format!("Unknown field '{name}'."),
                ));
            }
            Some(("line", ..)) => {
                line.insert("line".to_owned(), value.clone());
            }
            Some((name, holds, _)) => {
                line.insert((*name).to_owned(), kept(name, *holds, value)?);
            }
        }
    }
    Ok(line)
}

/// The lines of an order as they are kept.
pub(super) fn lines_of(record: &Record) -> Vec<Record> {
    let lines = record.get(LINES).and_then(Value::as_array);
    lines.into_iter().flatten().filter_map(Value::as_object).cloned().collect()
}

/// Lays lines over those that are there: known by their numbers, others are new. With `whole`, who is not named goes.
fn laid(record: &Record, given: Vec<Record>, whole: bool) -> Result<Vec<Record>, Refusal> {
    let old = lines_of(record);
    let number = |line: &Record| line.get("line").and_then(text_of).and_then(|text| text.parse::<u64>().ok());
    let mut last = old.iter().filter_map(number).max().unwrap_or(0);
    let mut all = if whole { Vec::new() } else { old.clone() };
    for line in given {
        match number(&line) {
            None => {
                last += 1;
                let mut fresh = Record::from_iter([("line".to_owned(), json!(last))]);
                fresh.extend(line);
                all.push(fresh);
            }
            Some(known) => {
                let mut kept =
                    old.iter().find(|line| number(line) == Some(known)).cloned().ok_or_else(|| {
                        Refusal::content("item.items.line", format!("There is no line {known}."))
                    })?;
                kept.extend(line);
                kept.insert("line".to_owned(), json!(known));
                match all.iter().position(|line| number(line) == Some(known)) {
                    Some(at) => {
                        if let Some(place) = all.get_mut(at) {
                            *place = kept;
                        }
                    }
                    None => all.push(kept),
                }
            }
        }
    }
    Ok(all)
}

/// Puts a record down; a new one gets an id. Gives it.
pub(super) fn put(
    state: &mut State,
    object: &str,
    id: Option<String>,
    (fields, lines): Formed,
    whole: bool,
) -> Result<String, Refusal> {
    let now = state.now_ms();
    let known = id.as_ref().and_then(|id| state.table(object).get(id)).map(|row| row.fields.clone());
    let lines = lines.map(|lines| laid(&known.clone().unwrap_or_default(), lines, whole)).transpose()?;
    let id = id.unwrap_or_else(|| (100 + state.next_serial()).to_string());
    let mut record = known.unwrap_or_else(|| {
        let made = if object == "customer" { "dateCreated" } else { "createdDate" };
        Record::from_iter([("id".to_owned(), json!(id)), (made.to_owned(), json!(moment(now)))])
    });
    record.extend(fields);
    if let Some(lines) = lines {
        record.insert(LINES.to_owned(), Value::Array(lines.into_iter().map(Value::Object).collect()));
    }
    record.insert("lastModifiedDate".to_owned(), json!(moment(now)));
    state.put_record(object, Row { id: id.clone(), stamp: now, fields: record, refers: Vec::new() });
    Ok(id)
}

/// The record that an id names: the system's own, or one that was given.
fn find(state: &mut State, object: &str, id: &str) -> Option<Row> {
    match id.strip_prefix("eid:") {
        None => state.table(object).get(id).cloned(),
        Some(given) => state
            .table(object)
            .rows()
            .find(|row| row.fields.get("externalId") == Some(&json!(given)))
            .cloned(),
    }
}

/// No two records of a type may have the same id of the caller's, and no two customers the same name.
fn check_unique(
    state: &mut State,
    object: &str,
    own: &str,
    fields: &[(String, Value)],
) -> Result<(), Refusal> {
    for (name, code) in [("externalId", "DUP_RCRD"), ("entityId", "DUP_ENTITY")] {
        let given = fields.iter().find(|(known, value)| known == name && !value.is_null());
        let taken = given.is_some_and(|(_, value)| {
            state.table(object).rows().any(|row| row.id != own && row.fields.get(name) == Some(value))
        });
        if taken {
            let said = format!("A {object} record with this {name} already exists.");
            return Err(Refusal { path: Some(name.to_owned()), ..Refusal::of(400, code, said) });
        }
    }
    Ok(())
}

fn done(location: Option<String>, id: String) -> Answer {
    let headers = location.into_iter().map(|location| ("location".to_owned(), location)).collect();
    Answer { reply: Reply { status: 204, headers, body: Vec::new() }, ids: vec![id], error: None }
}

/// `POST type`, or `PUT type/eid:X`, which changes what is there already.
pub(super) fn create(
    state: &mut State,
    request: &Request,
    object: &str,
    named: &str,
    body: &Map<String, Value>,
) -> Result<Answer, Refusal> {
    let (mut fields, lines) = formed(object, body)?;
    let known = (!named.is_empty()).then(|| find(state, object, named)).flatten().map(|row| row.id);
    if let (None, Some(given)) = (&known, named.strip_prefix("eid:")) {
        fields.push(("externalId".to_owned(), json!(given)));
    }
    check_unique(state, object, known.as_deref().unwrap_or_default(), &fields)?;
    let id = put(state, object, known, (fields, lines), false)?;
    let host = request.header("host").unwrap_or("127.0.0.1");
    Ok(done(Some(format!("http://{host}/services/rest/record/v1/{object}/{id}")), id))
}

/// `PATCH type/ID`; lines are added and changed, and with `?replace=item` they are the whole list.
pub(super) fn update(
    state: &mut State,
    object: &str,
    id: &str,
    body: &Map<String, Value>,
    replaces: bool,
) -> Result<Answer, Refusal> {
    let row = find(state, object, id).ok_or_else(Refusal::missing)?;
    let (fields, lines) = formed(object, body)?;
    check_unique(state, object, &row.id, &fields)?;
    let id = put(state, object, Some(row.id), (fields, lines), replaces)?;
    Ok(done(None, id))
}

/// `DELETE type/ID`.
pub(super) fn delete(state: &mut State, object: &str, id: &str) -> Result<Answer, Refusal> {
    let row = find(state, object, id).ok_or_else(Refusal::missing)?;
    state.remove_record(object, &row.id);
    Ok(done(None, row.id))
}

fn shown(object: &str, record: &Record) -> Record {
    let mut shown = Record::new();
    for (name, holds, _) in schema::fields(object).unwrap_or_default() {
        let Some(value) = record.get(*name).filter(|value| !value.is_null()) else { continue };
        let value = match holds {
            Holds::Reference(_) => json!({"id": value, "refName": format!("Nr. {value}")}),
            _ => value.clone(),
        };
        shown.insert((*name).to_owned(), value);
    }
    shown
}

/// `GET type/ID`.
pub(super) fn get(state: &mut State, request: &Request, object: &str, id: &str) -> Result<Answer, Refusal> {
    let row = find(state, object, id).ok_or_else(Refusal::missing)?;
    let mut body = shown(object, &row.fields);
    body.insert("links".to_owned(), json!([]));
    let expands =
        pairs(&request.query).iter().any(|(name, value)| name == "expandSubResources" && value == "true");
    if object == "salesOrder" {
        let lines = lines_of(&row.fields);
        let items: Vec<Value> = lines.iter().map(|line| Value::Object(shown(LINES, line))).collect();
        let lines = if expands {
            json!({"items": items, "totalResults": items.len()})
        } else {
            json!({"links": [{"rel": "self"}]})
        };
        body.insert(LINES.to_owned(), lines);
    }
    Ok(Answer::ok(&Value::Object(body)).with_ids(vec![row.id]))
}

/// `GET type`: ids and nothing else.
pub(super) fn list(state: &mut State, request: &Request, object: &str) -> Result<Answer, Refusal> {
    let given = pairs(&request.query);
    let count = |name: &str, otherwise: usize| {
        given.iter().find(|(known, _)| known == name).map_or(Some(otherwise), |(_, value)| value.parse().ok())
    };
    let (Some(limit), Some(offset)) = (count("limit", 1000), count("offset", 0)) else {
        return Err(Refusal::of(400, "INVALID_PARAMETER", "limit and offset are numbers"));
    };
    let ids: Vec<String> = state.table(object).rows().map(|row| row.id.clone()).collect();
    let page: Vec<Value> =
        ids.iter().skip(offset).take(limit.min(1000)).map(|id| json!({"links": [], "id": id})).collect();
    Ok(Answer::ok(&json!({"count": page.len(), "hasMore": offset + page.len() < ids.len(), "items": page,
        "offset": offset, "totalResults": ids.len(), "links": []})))
}

/// `GET metadata-catalog/TYPE`: a JSON Schema.
pub(super) fn describe(state: &State, object: &str) -> Result<Answer, Refusal> {
    let mut properties = Map::new();
    for (name, holds, written) in schema::fields(object).ok_or_else(Refusal::missing)? {
        let kind = match holds {
            Holds::Whole => json!({"type": "integer", "format": "int64"}),
            Holds::Number => json!({"type": "number", "format": "double"}),
            Holds::Truth => json!({"type": "boolean"}),
            Holds::Day => json!({"type": "string", "format": "date"}),
            Holds::Moment => json!({"type": "string", "format": "date-time"}),
            Holds::Text(_) => json!({"type": "string"}),
            Holds::Reference(_) => {
                json!({"type": "object", "properties": {"id": {"type": "string"}, "refName": {"type": "string"}}})
            }
        };
        let mut property = match state.described.get(&(object.to_owned(), (*name).to_owned())) {
            Some(None) => continue,
            Some(Some(kind)) => json!({ "type": kind }),
            None => kind,
        };
        if let Value::Object(property) = &mut property {
            property.insert("title".to_owned(), json!(name));
            property.insert("nullable".to_owned(), json!(true));
            if !written {
                property.insert("readOnly".to_owned(), json!(true));
            }
        }
        properties.insert((*name).to_owned(), property);
    }
    Ok(Answer::ok(&json!({"type": "object", "properties": properties, "x-ns-filterable": ["id"]})))
}
