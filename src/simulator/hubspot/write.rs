//! Writing: one record, up to 100 at once. An invalid value refuses a whole batch, and so does a record that is there.

use serde_json::{Map, Value, json};

use super::{
    Refusal, bin, done, inputs, need_object,
    objects::{self, kept, moment, property},
    reply, shown,
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked, BatchTrouble},
        state::State,
        table::Row,
    },
};

type Formed = Vec<(String, Value)>;

fn formed(object: &str, given: Option<&Value>) -> Result<Formed, Refusal> {
    let mut formed = Vec::new();
    for (name, value) in given.and_then(Value::as_object).into_iter().flatten() {
        let refused = |code: &str, said: String| {
            Refusal::validation(format!("Property values were not valid: {said}")).because(code, name)
        };
        let Some((name, holds, by_system, _)) = property(object, name) else {
            return Err(refused("PROPERTY_DOESNT_EXIST", format!("Property \"{name}\" does not exist")));
        };
        if *by_system {
            return Err(refused("READ_ONLY_VALUE", format!("\"{name}\" is a read only property")));
        }
        let value = kept(name, *holds, value).map_err(|(code, said)| refused(code, said))?;
        formed.push(((*name).to_owned(), value));
    }
    Ok(formed)
}

fn check_unique(state: &mut State, object: &str, own: &str, formed: &Formed) -> Result<(), Refusal> {
    for (name, value) in formed.iter().filter(|(_, value)| !value.is_null()) {
        if !property(object, name).is_some_and(|(.., unique)| *unique) {
            continue;
        }
        let taken =
            state.table(object).rows().find(|row| row.id != own && row.fields.get(name) == Some(value));
        if let Some(row) = taken {
            let message = format!("Record already exists. Existing ID: {}", row.id);
            return Err(Refusal::of(409, "CONFLICT", message));
        }
    }
    Ok(())
}

pub(super) fn put(state: &mut State, object: &str, id: &str, fields: Record) {
    let stamp = fields.get(objects::stamp_of(object)).and_then(Value::as_str).and_then(objects::millis);
    let row = Row { id: id.to_owned(), stamp: stamp.unwrap_or_default(), fields, refers: Vec::new() };
    state.put_record(object, row);
}

/// Makes a record of values that are formed already, and gives its id.
pub(super) fn make(state: &mut State, object: &str, fields: Formed, id: Option<String>) -> String {
    let id = id.unwrap_or_else(|| (300 + state.next_serial()).to_string());
    let now = moment(state.now_ms());
    let mut record = Record::new();
    record.insert("hs_object_id".to_owned(), json!(id));
    record.insert("createdate".to_owned(), json!(now));
    record.insert(objects::stamp_of(object).to_owned(), json!(now));
    record.extend(fields);
    put(state, object, &id, record);
    id
}

/// Changes values that are formed already; false where there is no such record.
pub(super) fn change(state: &mut State, object: &str, id: &str, fields: Formed) -> bool {
    let Some(mut record) = state.table(object).get(id).map(|row| row.fields.clone()) else { return false };
    record.insert(objects::stamp_of(object).to_owned(), json!(moment(state.now_ms())));
    record.extend(fields);
    put(state, object, id, record);
    true
}

/// Archives a record; false where there is none.
pub(super) fn discard(state: &mut State, object: &str, id: &str) -> bool {
    let Some(row) = state.table(object).get(id).cloned() else { return false };
    state.remove_record(object, id);
    // The archive is no object of its own: what lies in it was noted as removed.
    state.table(&bin(object)).put(row);
    true
}

fn missing() -> Refusal {
    Refusal::of(404, "OBJECT_NOT_FOUND", "Object not found. objectId are usually numeric.")
}

/// What an answer to a write shows: what was sent, and a few properties more.
fn told(state: &mut State, object: &str, id: &str, formed: &Formed, trace: Option<&Value>) -> Value {
    let record = state.table(object).get(id).map(|row| row.fields.clone()).unwrap_or_default();
    let names: Vec<String> = formed.iter().map(|(name, _)| name.clone()).collect();
    let mut told = shown(object, &record, &names);
    if let (Value::Object(told), Some(trace)) = (&mut told, trace) {
        told.insert("objectWriteTraceId".to_owned(), trace.clone());
    }
    told
}

/// One record: create, update, archive.
pub(super) fn single(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    need_object(&asked.object)?;
    let object = asked.object.as_str();
    let id = asked.ids.first().cloned().unwrap_or_default();
    if asked.operation == "archive" {
        discard(state, object, &id);
        // Whether there was one is not told.
        return Ok(Answer { reply: super::empty(), ids: vec![id], error: None });
    }
    let values = formed(object, asked.payload.get("properties"))?;
    if asked.operation == "update" {
        if state.table(object).get(&id).is_none() {
            return Err(missing());
        }
        check_unique(state, object, &id, &values)?;
        change(state, object, &id, values.clone());
        let told = told(state, object, &id, &values, None);
        return Ok(Answer::ok(&told).with_ids(vec![id]));
    }
    check_unique(state, object, "", &values)?;
    let id = make(state, object, values.clone(), None);
    let told = told(state, object, &id, &values, None);
    Ok(Answer { reply: reply(201, &told), ids: vec![id], error: None })
}

fn error_of(refusal: &Refusal, context: Map<String, Value>) -> Value {
    json!({"status": "error", "category": refusal.category, "message": refusal.message, "context": context,
        "links": {}, "errors": []})
}

/// `batch/create`, `batch/update`, `batch/archive`. The results come in another order than the inputs.
pub(super) fn batch(
    state: &mut State,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    need_object(&asked.object)?;
    let object = asked.object.as_str();
    let inputs = inputs(asked)?;
    let id_of =
        |input: &Map<String, Value>| input.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    if asked.operation == "batch/archive" {
        for input in &inputs {
            discard(state, object, &id_of(input));
        }
        return Ok(Answer { reply: super::empty(), ids: asked.ids.clone(), error: None });
    }
    let create = asked.operation == "batch/create";
    // All are looked at before the first is written.
    let mut all = Vec::new();
    for (at, input) in inputs.iter().enumerate() {
        let values = formed(object, input.get("properties"))?;
        if create {
            check_unique(state, object, "", &values)?;
        }
        if !create && inputs.iter().take(at).any(|earlier| id_of(earlier) == id_of(input)) {
            return Err(Refusal::validation("Duplicate IDs found in batch input"));
        }
        all.push(values);
    }
    let (mut results, mut errors, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (input, values)) in inputs.iter().zip(all).enumerate() {
        let trace = input.get("objectWriteTraceId");
        let id = id_of(input);
        let refused = if trouble == Some(BatchTrouble::Partial) && at % 2 == 1 {
            Some(Refusal::validation("the simulator was told to refuse this record"))
        } else if !create && state.table(object).get(&id).is_none() {
            Some(missing())
        } else if create {
            None
        } else {
            check_unique(state, object, &id, &values).err()
        };
        if let Some(refusal) = refused {
            let mut context = Map::new();
            if let Some(trace) = trace {
                context.insert("objectWriteTraceId".to_owned(), json!([trace]));
            }
            if !create {
                context.insert("ids".to_owned(), json!([id]));
            }
            errors.push(error_of(&refusal, context));
            continue;
        }
        let id = if create {
            make(state, object, values.clone(), None)
        } else {
            change(state, object, &id, values.clone());
            id
        };
        results.insert(0, told(state, object, &id, &values, trace));
        ids.push(id);
    }
    let mut body = done(results);
    let mut status = if create { 201 } else { 200 };
    if !errors.is_empty() {
        status = 207;
        if let Value::Object(body) = &mut body {
            body.insert("numErrors".to_owned(), json!(errors.len()));
            body.insert("errors".to_owned(), Value::Array(errors));
        }
    }
    Ok(Answer { reply: reply(status, &body), ids, error: None })
}
