//! Writing: create, update, owners, invalid, delete, recover, locks; and what a person does in the pages.

use serde_json::{Map, Value, json};

use super::{
    BUSINESS, Refusal, SERVICE, need_name_at,
    query::no_record,
    schema::{self, SYSTEM},
    success, texts,
};
use crate::{
    model::record::Record,
    simulator::{
        credentials::fxiaoke as known,
        exchange::{Answer, Asked},
        state::State,
        table::Row,
        value::{millis_of, text_of},
    },
};

/// Who works in the pages, as against the user of the API.
const PERSON: &str = "1001";

fn flag(value: &Value, name: &str) -> bool {
    value.get(name) == Some(&Value::Bool(true))
}

/// An id in the order of creation: seconds, then a counter, as in the real ids.
fn new_id(state: &mut State) -> String {
    let seconds = state.now_ms().div_euclid(1000) & 0xffff_ffff;
    format!("{seconds:08x}{:016x}", state.next_serial())
}

/// Checks and forms the fields of a write; system fields are dropped.
fn formed(object: &str, fields: &Map<String, Value>) -> Result<Vec<(String, Option<Value>)>, Refusal> {
    let mut formed = Vec::new();
    for (name, value) in fields {
        if SYSTEM.contains(&name.as_str()) || name == "dataObjectApiName" {
            continue;
        }
        // What the real system says to an unknown field is (unverified); a mapping is better off with an error.
        if !schema::may_have(object, name) {
            return Err(Refusal::new(super::INVALID, format!("the field {name} does not exist in {object}")));
        }
        formed.push((name.clone(), schema::kept(object, name, value)?));
    }
    Ok(formed)
}

fn set(record: &mut Record, fields: Vec<(String, Option<Value>)>) {
    for (name, value) in fields {
        match value {
            Some(value) => {
                record.insert(name, value);
            }
            // Kept in place, so that the order of the others stays.
            None => {
                record.shift_remove(&name);
            }
        }
    }
}

/// A new record with its defaults.
fn blank(object: &str, id: &str, now: i64, user: &str) -> Record {
    let record = json!({
        "_id": id, "object_describe_api_name": object, "record_type": "default__c", "life_status": "normal",
        "lock_status": "0", "is_deleted": false, "owner": [user], "create_time": now, "created_by": [user],
        "last_modified_time": now, "last_modified_by": [user], "data_own_department": ["1000"],
        "owner_department": "研发部", "version": "1", "tenant_id": "74860",
    });
    match record {
        Value::Object(record) => record,
        _ => Record::new(),
    }
}

fn touch(record: &mut Record, now: i64, user: &str) {
    let version =
        record.get("version").and_then(text_of).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    record.insert("version".to_owned(), json!((version + 1).to_string()));
    record.insert("last_modified_time".to_owned(), json!(now));
    record.insert("last_modified_by".to_owned(), json!([user]));
}

fn put(state: &mut State, object: &str, id: String, fields: Record) {
    let stamp = fields.get("last_modified_time").and_then(millis_of).unwrap_or_default();
    state.table(object).put(Row { id, stamp, fields });
}

pub(super) fn create(state: &mut State, asked: &Asked, data: &Value) -> Result<Answer, Refusal> {
    let object = asked.object.as_str();
    let given = data.get("object_data").unwrap_or(&Value::Null);
    need_name_at(asked, given)?;
    let Value::Object(given) = given else { return Err(Refusal::missing("object_data")) };
    let mut fields = formed(object, given)?;
    let specified = |flag_name: &str| flag(&asked.payload, flag_name) || flag(data, flag_name);
    fields.retain(|(name, _)| match name.as_str() {
        "create_time" => specified("hasSpecifyTime"),
        "created_by" => specified("hasSpecifyCreatedBy"),
        _ => true,
    });
    let name = fields.iter().find(|(name, _)| name == "name").and_then(|(_, value)| value.clone());
    if name.is_none() && schema::own(object).1 {
        return Err(Refusal::missing("name"));
    }
    let options = data.get("optionInfo").unwrap_or(&Value::Null);
    if flag(options, "isDuplicateSearch")
        && let Some(Value::String(name)) = &name
        && state.table(object).named(name).is_some()
    {
        // No code is documented; a client tells it by this word in the description.
        let mut refusal = Refusal::new(BUSINESS, "数据重复");
        refusal.description = Some(format!("duplicate data in {object}"));
        return Err(refusal);
    }
    let mut details = Vec::new();
    if let Some(Value::Object(lists)) = data.get("details") {
        for (detail, records) in lists {
            for record in records.as_array().into_iter().flatten() {
                let record = record.as_object().ok_or_else(|| Refusal::missing("details"))?;
                details.push((detail.clone(), formed(detail, record)?));
            }
        }
    }
    let now = state.now_ms();
    let id = new_id(state);
    let mut record = blank(object, &id, now, known::USER_ID);
    set(&mut record, fields);
    if !record.contains_key("name") {
        record.insert("name".to_owned(), json!(format!("{}-{id}", object.trim_end_matches("Obj"))));
    }
    put(state, object, id.clone(), record);
    let mut detail_ids = Map::new();
    for (detail, fields) in details {
        let detail_id = new_id(state);
        let mut record = blank(&detail, &detail_id, now, known::USER_ID);
        set(&mut record, fields);
        // The name of a custom object's master field is its own; this one stands for it.
        let master = if object == "SalesOrderObj" { "order_id" } else { "field_master__c" };
        record.insert(master.to_owned(), json!(id));
        if let Value::Array(ids) = detail_ids.entry(detail.clone()).or_insert_with(|| json!([])) {
            ids.push(json!(detail_id));
        }
        put(state, &detail, detail_id, record);
    }
    let mut answer = json!({"dataId": id});
    if specified("includeDetailIds") {
        answer = json!({"dataId": id, "detailIds": detail_ids});
    }
    Ok(Answer::ok(&success(answer)).with_ids(vec![id]))
}

/// Reads a record that is to be changed.
fn taken(state: &mut State, object: &str, id: &str, unlocked: bool) -> Result<Record, Refusal> {
    let record = state.table(object).get(id).map(|row| row.fields.clone()).ok_or_else(no_record)?;
    if unlocked && record.get("lock_status").and_then(Value::as_str) == Some("1") {
        return Err(Refusal::new(SERVICE, "不能进行[编辑]操作，以下这些数据已被锁定。"));
    }
    Ok(record)
}

pub(super) fn update(state: &mut State, asked: &Asked, data: &Value) -> Result<Answer, Refusal> {
    let given = data.get("object_data").unwrap_or(&Value::Null);
    need_name_at(asked, given)?;
    let Value::Object(given) = given else { return Err(Refusal::missing("object_data")) };
    let id = given.get("_id").and_then(Value::as_str).ok_or_else(|| Refusal::missing("_id"))?.to_owned();
    let skips = flag(data, "skipDataStatusValidate") || flag(&asked.payload, "skipDataStatusValidate");
    let mut record = taken(state, &asked.object, &id, !skips)?;
    // An invalid record cannot be edited; the code is (unverified).
    if record.get("life_status").and_then(Value::as_str) == Some("invalid") {
        return Err(Refusal::new(SERVICE, "不能进行[编辑]操作，以下这些数据已作废。"));
    }
    let mut fields = formed(&asked.object, given)?;
    // The owner changes by its own operation only; here it is left alone and the answer is still OK.
    fields.retain(|(name, _)| !matches!(name.as_str(), "owner" | "create_time" | "created_by"));
    if schema::own(&asked.object).1 && fields.iter().any(|(name, value)| name == "name" && value.is_none()) {
        return Err(Refusal::missing("name"));
    }
    set(&mut record, fields);
    touch(&mut record, state.now_ms(), known::USER_ID);
    put(state, &asked.object, id.clone(), record);
    Ok(Answer::ok(&success(json!({}))).with_ids(vec![id]))
}

pub(super) fn change_owner(state: &mut State, asked: &Asked, data: &Value) -> Result<Answer, Refusal> {
    need_name_at(asked, data)?;
    let Some(Value::Array(items)) = data.get("Data") else { return Err(Refusal::missing("Data")) };
    let mut changes = Vec::new();
    for item in items {
        let id = item.get("objectDataId").and_then(Value::as_str);
        let id = id.ok_or_else(|| Refusal::missing("objectDataId"))?.to_owned();
        let owner = texts(item.get("ownerId"));
        if owner.is_empty() {
            return Err(Refusal::missing("ownerId"));
        }
        changes.push((taken(state, &asked.object, &id, true)?, id, owner));
    }
    let now = state.now_ms();
    let mut ids = Vec::new();
    for (mut record, id, owner) in changes {
        record.insert("owner".to_owned(), json!(owner));
        touch(&mut record, now, known::USER_ID);
        ids.push(id.clone());
        put(state, &asked.object, id, record);
    }
    Ok(Answer::ok(&success(json!({}))).with_ids(ids))
}

/// Changes each named record, or none where one of them cannot be.
fn each(
    state: &mut State,
    asked: &Asked,
    unlocked: bool,
    change: impl Fn(&mut Record) -> Result<(), Refusal>,
) -> Result<Answer, Refusal> {
    if asked.ids.is_empty() {
        return Err(Refusal::missing("idList"));
    }
    let now = state.now_ms();
    let mut changed = Vec::new();
    for id in &asked.ids {
        let mut record = taken(state, &asked.object, id, unlocked)?;
        change(&mut record)?;
        touch(&mut record, now, known::USER_ID);
        changed.push((id.clone(), record));
    }
    for (id, record) in changed {
        put(state, &asked.object, id, record);
    }
    Ok(Answer::ok(&success(json!({}))))
}

/// The first step of a deletion.
pub(super) fn invalidate(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    each(state, asked, true, |record| {
        record.insert("life_status".to_owned(), json!("invalid"));
        record.insert("is_deleted".to_owned(), json!(true));
        Ok(())
    })
}

/// The second step: only what is invalid already.
pub(super) fn delete(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    if asked.ids.is_empty() {
        return Err(Refusal::missing("idList"));
    }
    for id in &asked.ids {
        let record = taken(state, &asked.object, id, false)?;
        if record.get("life_status").and_then(Value::as_str) != Some("invalid") {
            return Err(Refusal::new(BUSINESS, "只能删除已作废的数据"));
        }
    }
    for id in &asked.ids {
        state.table(&asked.object).remove(id);
    }
    Ok(Answer::ok(&success(json!({}))))
}

pub(super) fn recover(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    each(state, asked, false, |record| {
        record.insert("life_status".to_owned(), json!("normal"));
        record.insert("is_deleted".to_owned(), json!(false));
        Ok(())
    })
}

/// Locks (`"1"`) or unlocks (`"0"`).
pub(super) fn lock(state: &mut State, asked: &Asked, status: &str) -> Result<Answer, Refusal> {
    each(state, asked, false, |record| {
        record.insert("lock_status".to_owned(), json!(status));
        Ok(())
    })
}

/// What a person writes is formed where it can be and kept as it is where not: the door refuses nothing.
fn lenient(object: &str, fields: Record) -> Vec<(String, Option<Value>)> {
    let form = |(name, value): (String, Value)| match schema::kept(object, &name, &value) {
        Ok(kept) => (name, kept),
        Err(_) => (name, Some(value)),
    };
    fields.into_iter().map(form).collect()
}

/// A record made in the pages; an `_id` or a stamp that is given is kept.
pub(in crate::simulator) fn insert_by_person(state: &mut State, object: &str, fields: Record) -> String {
    let now = state.now_ms();
    let id = match fields.get("_id") {
        Some(Value::String(id)) => id.clone(),
        _ => new_id(state),
    };
    let mut record = blank(object, &id, now, PERSON);
    let mut formed = lenient(object, fields);
    formed.retain(|(name, _)| name != "_id");
    set(&mut record, formed);
    put(state, object, id.clone(), record);
    id
}

/// A record changed in the pages; a stamp that is given is kept.
pub(in crate::simulator) fn edit_by_person(
    state: &mut State,
    object: &str,
    id: &str,
    fields: Record,
) -> bool {
    let now = state.now_ms();
    let Some(mut record) = state.table(object).get(id).map(|row| row.fields.clone()) else { return false };
    touch(&mut record, now, PERSON);
    let mut formed = lenient(object, fields);
    formed.retain(|(name, _)| name != "_id");
    set(&mut record, formed);
    put(state, object, id.to_owned(), record);
    true
}
