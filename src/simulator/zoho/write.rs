//! Writing up to 100 records at once; each is told for itself.

use serde_json::{Map, Value, json};

use super::{
    Refusal, lines, reply,
    schema::{self, Holds, field, kept, stamp_of, stamp_text},
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked, BatchTrouble},
        state::State,
        table::Row,
        value::text_of,
    },
};

/// The table of a module's deleted records.
pub(super) fn bin(module: &str) -> String {
    format!("bin of {module}")
}

pub(super) fn formed(
    state: &mut State,
    module: &str,
    fields: &Map<String, Value>,
) -> Result<Vec<(String, Value)>, Refusal> {
    let invalid = |details: Value| Refusal::of(400, "INVALID_DATA", "invalid data").with(details);
    let mut formed = Vec::new();
    for (name, value) in fields {
        // A field that nobody knows, and one that only the system writes, is ignored (unverified).
        let Some((name, holds, by_system, _)) = field(module, name) else { continue };
        if *by_system {
            continue;
        }
        if *holds == Holds::Lines {
            formed.push(((*name).to_owned(), lines::formed(state, name, value)?));
            continue;
        }
        let value = kept(name, *holds, value).map_err(invalid)?;
        if let (Holds::Lookup(target), Some(id)) = (holds, value.get("id").and_then(Value::as_str))
            && state.table(target).get(id).is_none()
        {
            let message = "the id given seems to be invalid";
            return Err(Refusal::of(400, "INVALID_DATA", message).with(json!({"api_name": name})));
        }
        formed.push(((*name).to_owned(), value));
    }
    Ok(formed)
}

fn check_unique(
    state: &mut State,
    module: &str,
    own: &str,
    formed: &[(String, Value)],
) -> Result<(), Refusal> {
    for (name, value) in formed.iter().filter(|(_, value)| !value.is_null()) {
        if !field(module, name).is_some_and(|(.., unique)| *unique) {
            continue;
        }
        let taken =
            state.table(module).rows().find(|row| row.id != own && row.fields.get(name) == Some(value));
        if let Some(row) = taken {
            let details = json!({"api_name": name, "id": row.id,
                "duplicate_record": {"id": row.id, "module": {"api_name": module}}});
            return Err(Refusal::of(400, "DUPLICATE_DATA", "duplicate data").with(details));
        }
    }
    Ok(())
}

fn check_required(module: &str, formed: &[(String, Value)], new: bool) -> Result<(), Refusal> {
    let Some(required) = schema::required(module) else { return Ok(()) };
    let given = formed.iter().find(|(name, _)| name == required).map(|(_, value)| value);
    if given.is_some_and(Value::is_null) || (new && given.is_none()) {
        let details = json!({"api_name": required});
        return Err(Refusal::of(400, "MANDATORY_NOT_FOUND", "required field not found").with(details));
    }
    Ok(())
}

pub(super) fn put(state: &mut State, module: &str, id: &str, fields: Record) {
    let stamp = fields.get("Modified_Time").and_then(Value::as_str).and_then(stamp_of).unwrap_or_default();
    state.put_record(module, Row { id: id.to_owned(), stamp, fields, refers: Vec::new() });
}

fn touch(state: &State, record: &mut Record, user: &str) {
    record.insert("Modified_Time".to_owned(), json!(stamp_text(state.now_ms())));
    record.insert("Modified_By".to_owned(), json!({"id": user, "name": "demo"}));
}

/// Makes a record of fields that are formed already, and gives its id.
pub(super) fn make(
    state: &mut State,
    module: &str,
    fields: Vec<(String, Value)>,
    user: &str,
    id: Option<String>,
) -> String {
    let id = id.unwrap_or_else(|| (4_876_876_000_000_300_000 + state.next_serial()).to_string());
    let mut record = Record::new();
    record.insert("id".to_owned(), json!(id));
    record.insert("Created_Time".to_owned(), json!(stamp_text(state.now_ms())));
    record.insert("Owner".to_owned(), json!({"id": user, "name": "demo", "email": "demo@example.com"}));
    for (name, holds, ..) in schema::fields(module) {
        if *holds == Holds::Boolean {
            record.insert((*name).to_owned(), json!(false));
        }
    }
    touch(state, &mut record, user);
    lines::lay(state, &mut record, fields);
    put(state, module, &id, record);
    id
}

/// Changes fields that are formed already; false where there is no such record.
pub(super) fn change(
    state: &mut State,
    module: &str,
    id: &str,
    fields: Vec<(String, Value)>,
    user: &str,
) -> bool {
    let Some(mut record) = state.table(module).get(id).map(|row| row.fields.clone()) else { return false };
    touch(state, &mut record, user);
    lines::lay(state, &mut record, fields);
    put(state, module, id, record);
    true
}

/// Puts a record into the recycle bin; false where there is none.
pub(super) fn discard(state: &mut State, module: &str, id: &str) -> bool {
    let Some(row) = state.table(module).get(id).cloned() else { return false };
    state.remove_record(module, id);
    let stamp = state.now_ms();
    // The bin is no module of its own: what lies in it was noted as removed.
    state.table(&bin(module)).put(Row { stamp, ..row });
    true
}

/// Who writes by the API.
const API_USER: &str = "4876876000000300001";

fn invalid_id() -> Refusal {
    let details = json!({"api_name": "id"});
    Refusal::of(400, "INVALID_DATA", "the id given seems to be invalid").with(details)
}

fn save_one(
    state: &mut State,
    module: &str,
    operation: &str,
    asked: &Asked,
    record: &Map<String, Value>,
) -> Result<(String, &'static str), Refusal> {
    let formed = formed(state, module, record)?;
    let by = asked.payload.get("duplicate_check_fields").and_then(Value::as_array);
    let twin = by.into_iter().flatten().filter_map(Value::as_str).find_map(|name| {
        let value = formed.iter().find(|(known, _)| known == name).map(|(_, value)| value)?;
        let mut rows = state.table(module).rows();
        rows.find(|row| !value.is_null() && row.fields.get(name) == Some(value)).map(|row| row.id.clone())
    });
    // The vendor's SDK writes ids as numbers.
    let given = record.get("id").and_then(text_of);
    let id = match operation {
        "update" => Some(given.or_else(|| asked.ids.first().cloned()).ok_or_else(|| {
            Refusal::of(400, "MANDATORY_NOT_FOUND", "required field not found")
                .with(json!({"api_name": "id"}))
        })?),
        "upsert" => twin,
        _ => None,
    };
    check_required(module, &formed, id.is_none())?;
    match id {
        Some(id) => {
            if state.table(module).get(&id).is_none() {
                return Err(invalid_id());
            }
            check_unique(state, module, &id, &formed)?;
            change(state, module, &id, formed, API_USER);
            Ok((id, "record updated"))
        }
        None => {
            check_unique(state, module, "", &formed)?;
            Ok((make(state, module, formed, API_USER, None), "record added"))
        }
    }
}

/// One entry for each record in order. 207 where some were refused, 400 where all were.
fn told(results: Vec<Result<(String, Value), Refusal>>, well: u16) -> Answer {
    let good = results.iter().filter(|result| result.is_ok()).count();
    let status = match good {
        0 => 400,
        some if some < results.len() => 207,
        _ => well,
    };
    let ids = results.iter().flatten().map(|(id, _)| id.clone()).collect();
    let entries =
        results.into_iter().map(|result| result.map_or_else(|refusal| refusal.told(), |(_, told)| told));
    let entries: Vec<Value> = entries.collect();
    Answer { reply: reply(status, &json!({ "data": entries })), ids, error: None }
}

fn struck(trouble: Option<BatchTrouble>, index: usize) -> Result<(), Refusal> {
    if trouble == Some(BatchTrouble::Partial) && index % 2 == 1 {
        let message = "the simulator was told to refuse this record";
        return Err(Refusal::of(400, "INVALID_DATA", message));
    }
    Ok(())
}

/// `create`, `update` and `upsert`.
pub(super) fn save(
    state: &mut State,
    asked: &Asked,
    records: Vec<Map<String, Value>>,
    trouble: Option<BatchTrouble>,
) -> Answer {
    let module = asked.object.as_str();
    let work = |(index, record): (usize, &Map<String, Value>)| {
        struck(trouble, index)?;
        let (id, message) = save_one(state, module, &asked.operation, asked, record)?;
        let fields = state.table(module).get(&id).map(|row| row.fields.clone()).unwrap_or_default();
        let shown = |name: &str| fields.get(name).cloned().unwrap_or(Value::Null);
        let mut told = json!({"code": "SUCCESS", "status": "success", "message": message, "details": {
            "id": id, "Created_Time": shown("Created_Time"), "Modified_Time": shown("Modified_Time"),
            "Modified_By": shown("Modified_By"), "$approval_state": "approved"}});
        if let (Value::Object(told), "upsert") = (&mut told, asked.operation.as_str()) {
            let action = if message == "record added" { "insert" } else { "update" };
            told.insert("action".to_owned(), json!(action));
        }
        Ok((id, told))
    };
    let results = records.iter().enumerate().map(work).collect();
    told(results, if asked.operation == "create" { 201 } else { 200 })
}

/// Deletes into the recycle bin.
pub(super) fn delete(state: &mut State, asked: &Asked, trouble: Option<BatchTrouble>) -> Answer {
    let work = |(index, id): (usize, &String)| {
        struck(trouble, index)?;
        if !discard(state, &asked.object, id) {
            return Err(invalid_id());
        }
        let told = json!({"code": "SUCCESS", "status": "success", "message": "record deleted", "details": {"id": id}});
        Ok((id.clone(), told))
    };
    let results = asked.ids.iter().enumerate().map(work).collect();
    told(results, 200)
}
