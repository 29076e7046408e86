//! Writing: create, update, upsert, delete, all with the conditions of their headers.

use serde_json::{Value, json};

use super::{
    Refusal, Target,
    schema::{self, Holds, LINES, Table, kept, moment},
    shown_as,
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Reply, Request},
        odata::{self, Literal, Query, Version},
        state::State,
        table::Row,
    },
};

type Formed = Vec<(String, Value)>;

/// Where a table's deleted records are remembered, for those that track changes.
pub(super) fn grave(table: &str) -> String {
    format!("deleted {table}")
}

/// What a lookup is bound to: the id of a record that must be there.
fn bound(state: &mut State, name: &str, target: &str, value: &Value) -> Result<Value, Refusal> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let wrong = || Refusal::of(400, "0x80048d19", format!("'{name}' is not bound to a record"));
    let text = value.as_str().ok_or_else(wrong)?;
    let last = text.rsplit('/').next().unwrap_or_default();
    let (set, key) = odata::segment(Version::V4, last).ok_or_else(wrong)?;
    let table = schema::of_set(&set).filter(|table| table.name == target).ok_or_else(wrong)?;
    let [(None, Literal::Guid(id))] = key.as_slice() else { return Err(wrong()) };
    if state.table(table.name).get(id).is_none() {
        return Err(Refusal::missing(table.name, id));
    }
    Ok(json!(id))
}

/// Checks what a write brings, and gives the lines that come with it.
fn formed(state: &mut State, table: &Table, body: &Record) -> Result<(Formed, Vec<Record>), Refusal> {
    let (mut formed, mut lines) = (Vec::new(), Vec::new());
    for (name, value) in body.iter().filter(|(name, _)| !name.starts_with("@odata.")) {
        if let Some(navigation) = name.strip_suffix("@odata.bind") {
            let found = table.bound(navigation);
            let Some((column, target)) = found else { return Err(Refusal::property(table, navigation)) };
            formed.push((column.0.to_owned(), bound(state, name, target, value)?));
        } else if (table.name, name.as_str()) == (LINES.0, LINES.1) {
            lines = value.as_array().into_iter().flatten().filter_map(Value::as_object).cloned().collect();
        } else {
            match table.column(name) {
                // A lookup is written by its other name; what the system keeps is passed over.
                None | Some((_, Holds::Lookup(_), _)) => return Err(Refusal::property(table, name)),
                Some((_, _, false)) => {}
                Some((name, holds, true)) => formed.push(((*name).to_owned(), kept(name, *holds, value)?)),
            }
        }
    }
    Ok((formed, lines))
}

fn check_key(state: &mut State, table: &Table, own: &str, formed: &Formed) -> Result<(), Refusal> {
    let Some(key) = table.key else { return Ok(()) };
    let Some((_, value)) = formed.iter().find(|(name, value)| name == key && !value.is_null()) else {
        return Ok(());
    };
    let taken = state.table(table.name).rows().any(|row| row.id != own && row.fields.get(key) == Some(value));
    if taken {
        let said = format!(
            "A record that has the attribute values {key} already exists. The entity key requires that this set of attributes contains unique values."
        );
        return Err(Refusal::of(412, "0x80060892", said));
    }
    Ok(())
}

/// Puts a record down as it is now, with a new version.
pub(super) fn put(state: &mut State, table: &Table, id: &str, fields: Formed) {
    let now = state.now_ms();
    let mut record = state.table(table.name).get(id).map(|row| row.fields.clone()).unwrap_or_else(|| {
        let mut record = Record::new();
        record.insert(table.id.to_owned(), json!(id));
        record.insert("createdon".to_owned(), json!(moment(now)));
        record.insert("statecode".to_owned(), json!(0));
        record
    });
    record.extend(fields.into_iter().filter(|(name, _)| name != table.id));
    record.insert("modifiedon".to_owned(), json!(moment(now)));
    record.insert("versionnumber".to_owned(), json!(1_000_000 + state.next_serial()));
    if let (true, Some(revenue)) = (table.name == "account", record.get("revenue").cloned()) {
        record.insert("revenue_base".to_owned(), revenue);
    }
    let parent = record.get("_salesorderid_value").and_then(Value::as_str);
    let refers = parent.map(|order| format!("order={order}")).into_iter().collect();
    state.put_record(table.name, Row { id: id.to_owned(), stamp: now, fields: record, refers });
}

/// Makes a record with its lines, and gives its id.
pub(super) fn make(state: &mut State, table: &Table, formed: Formed) -> String {
    let given = formed.iter().find(|(name, _)| name == table.id).and_then(|(_, value)| value.as_str());
    let id = given.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    put(state, table, &id, formed);
    id
}

/// Deletes a record with its lines; false where there is none.
pub(super) fn discard(state: &mut State, table: &Table, id: &str) -> bool {
    let lines: Vec<String> =
        state.table(LINES.2).referring(&format!("order={id}")).map(|row| row.id.clone()).collect();
    if let (true, Some(of_lines)) = (table.name == LINES.0, schema::table(LINES.2)) {
        for line in lines {
            discard(state, of_lines, &line);
        }
    }
    if !state.remove_record(table.name, id) {
        return false;
    }
    // What is remembered of it is no record: it was noted as removed.
    let fields = Record::from_iter([("versionnumber".to_owned(), json!(1_000_000 + state.next_serial()))]);
    let stamp = state.now_ms();
    state.table(&grave(table.name)).put(Row { id: id.to_owned(), stamp, fields, refers: Vec::new() });
    true
}

fn wants_body(request: &Request) -> bool {
    request.header("prefer").is_some_and(|prefer| prefer.contains("return=representation"))
}

/// The answer to a write: nothing but the address, or the record where that was asked for.
fn written(
    state: &mut State,
    request: &Request,
    target: &Target,
    id: &str,
    made: bool,
) -> Result<Answer, Refusal> {
    let address = format!("{}/{}({id})", super::root(request), target.table.set);
    let row = state.table(target.table.name).get(id).cloned();
    let record = row.map(|row| row.fields).unwrap_or_default();
    let etag = super::etag(&record);
    let mut reply = if wants_body(request) {
        let query =
            Query::read(Version::V4, &super::options(request)).map_err(|wrong| Refusal::wrong(&wrong))?;
        let shown = shown_as(request, target.table, &query, &record, true);
        Reply::text(if made { 201 } else { 200 }, super::JSON, Value::Object(shown).to_string())
    } else {
        Reply { status: 204, headers: Vec::new(), body: Vec::new() }
    };
    reply.headers.push(("odata-entityid".to_owned(), address));
    reply.headers.push(("etag".to_owned(), etag));
    Ok(Answer { reply, ids: vec![id.to_owned()], error: None })
}

/// `POST set`.
pub(super) fn create(
    state: &mut State,
    request: &Request,
    target: &Target,
    body: &Record,
) -> Result<Answer, Refusal> {
    let table = target.table;
    let (values, lines) = formed(state, table, body)?;
    let given = values.iter().find(|(name, _)| name == table.id).and_then(|(_, value)| value.as_str());
    if given.is_some_and(|id| state.table(table.name).get(id).is_some()) {
        return Err(Refusal::of(412, "0x80040237", "A record with matching key values already exists."));
    }
    check_key(state, table, "", &values)?;
    let of_lines = schema::table(LINES.2).filter(|_| !lines.is_empty());
    let mut ready = Vec::new();
    for line in &lines {
        if let Some(of_lines) = of_lines {
            ready.push(formed(state, of_lines, line)?.0);
        }
    }
    let id = make(state, table, values);
    for mut line in ready {
        line.push(("_salesorderid_value".to_owned(), json!(id)));
        if let Some(of_lines) = of_lines {
            make(state, of_lines, line);
        }
    }
    written(state, request, target, &id, true)
}

/// Whether the conditions of the headers hold for what is there.
fn check_conditions(request: &Request, target: &Target, found: Option<&Record>) -> Result<(), Refusal> {
    let missing = || Err(Refusal::missing(target.table.name, &target.named()));
    match (request.header("if-match"), found) {
        (Some(_), None) => return missing(),
        (Some(etag), Some(record)) if etag != "*" && etag != super::etag(record) => {
            return Err(Refusal::of(
                412,
                "0x80060882",
                "The version of the existing record doesn't match the RowVersion property provided.",
            ));
        }
        _ => {}
    }
    if request.header("if-none-match") == Some("*") && found.is_some() {
        return Err(Refusal::of(412, "0x80040237", "A record with matching key values already exists."));
    }
    Ok(())
}

/// `PATCH set(key)`: an update, and without a condition an upsert.
pub(super) fn update(
    state: &mut State,
    request: &Request,
    target: &Target,
    body: &Record,
) -> Result<Answer, Refusal> {
    let table = target.table;
    let row = target.find(state);
    check_conditions(request, target, row.as_ref().map(|row| &row.fields))?;
    let (mut values, _) = formed(state, table, body)?;
    let Some(row) = row else {
        values.extend(target.key.iter().map(|(name, literal)| {
            (name.clone().unwrap_or_else(|| table.id.to_owned()), json!(literal.text()))
        }));
        check_key(state, table, "", &values)?;
        let id = make(state, table, values);
        return written(state, request, target, &id, true);
    };
    check_key(state, table, &row.id, &values)?;
    put(state, table, &row.id, values);
    written(state, request, target, &row.id, false)
}

/// `DELETE set(key)`.
pub(super) fn delete(state: &mut State, request: &Request, target: &Target) -> Result<Answer, Refusal> {
    let Some(row) = target.find(state) else {
        return Err(Refusal::missing(target.table.name, &target.named()));
    };
    check_conditions(request, target, Some(&row.fields))?;
    discard(state, target.table, &row.id);
    let reply = Reply { status: 204, headers: Vec::new(), body: Vec::new() };
    Ok(Answer { reply, ids: vec![row.id], error: None })
}
