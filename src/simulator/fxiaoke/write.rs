//! Writing: create, update, owners, invalid, delete, recover, locks.

use serde_json::{Map, Value, json};

use super::{
    BUSINESS, Refusal, SERVICE, need_name_at,
    query::no_record,
    refs,
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

fn flag(value: &Value, name: &str) -> bool {
    value.get(name) == Some(&Value::Bool(true))
}

/// An id in the order of creation: seconds, then a counter, as in the real ids.
pub(super) fn new_id(state: &mut State) -> String {
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

pub(super) fn set(record: &mut Record, fields: Vec<(String, Option<Value>)>) {
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
pub(super) fn blank(object: &str, id: &str, now: i64, user: &str) -> Record {
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

pub(super) fn touch(record: &mut Record, now: i64, user: &str) {
    let version =
        record.get("version").and_then(text_of).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    record.insert("version".to_owned(), json!((version + 1).to_string()));
    record.insert("last_modified_time".to_owned(), json!(now));
    record.insert("last_modified_by".to_owned(), json!([user]));
}

/// A record without a name is given one.
pub(super) fn name_it(object: &str, id: &str, record: &mut Record) {
    if !record.contains_key("name") {
        record.insert("name".to_owned(), json!(format!("{}-{id}", object.trim_end_matches("Obj"))));
    }
}

/// Puts a record into its table, at the place of its stamp.
pub(super) fn put(state: &mut State, object: &str, id: String, fields: Record) {
    let stamp = fields.get("last_modified_time").and_then(millis_of).unwrap_or_default();
    let refers = refs::refers(object, &fields);
    state.put_record(object, Row { id, stamp, fields, refers });
}

/// The value of a field that is to be written.
fn value_of<'a>(fields: &'a [(String, Option<Value>)], name: &str) -> Option<&'a Value> {
    fields.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.as_ref())
}

/// Checks the fields of a new record: what it needs, and what it refers to. `master` is a master that is about to be made.
fn check_new(
    state: &mut State,
    object: &str,
    fields: &[(String, Option<Value>)],
    master: Option<&str>,
) -> Result<(), Refusal> {
    if schema::needs_name(object) && value_of(fields, "name").is_none() {
        return Err(Refusal::missing("name"));
    }
    for name in schema::required(object) {
        if master != Some(name) && value_of(fields, name).is_none() {
            return Err(Refusal::missing(name));
        }
    }
    refs::check(state, object, |name| value_of(fields, name).filter(|_| master != Some(name)))
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
    check_new(state, object, &fields, None)?;
    let options = data.get("optionInfo").unwrap_or(&Value::Null);
    if flag(options, "isDuplicateSearch")
        && let Some(Value::String(name)) = value_of(&fields, "name")
        && state.table(object).named(name).is_some()
    {
        // No code is documented; a client tells it by this word in the description.
        let mut refusal = Refusal::new(BUSINESS, "数据重复");
        refusal.description = Some(format!("duplicate data in {object}"));
        return Err(refusal);
    }
    let details = formed_details(state, object, data.get("details"))?;
    let now = state.now_ms();
    let id = new_id(state);
    let mut record = blank(object, &id, now, known::USER_ID);
    set(&mut record, fields);
    name_it(object, &id, &mut record);
    put(state, object, id.clone(), record);
    let mut detail_ids = Map::new();
    for (detail, fields) in details {
        let detail_id = new_id(state);
        let mut record = blank(&detail, &detail_id, now, known::USER_ID);
        set(&mut record, fields);
        name_it(&detail, &detail_id, &mut record);
        record.insert(master_field(&detail).to_owned(), json!(id));
        if let Value::Array(ids) = detail_ids.entry(detail.clone()).or_insert_with(|| json!([])) {
            ids.push(json!(detail_id));
        }
        put(state, &detail, detail_id, record);
    }
    let mut answer = json!({"dataId": id});
    // The shape is (unverified): the ids of each detail object in the order in which its records were sent.
    if flag(&asked.payload, "includeDetailIds") {
        answer = json!({"dataId": id, "detailIds": detail_ids});
    }
    Ok(Answer::ok(&success(answer)).with_ids(vec![id]))
}

/// The field of a detail that names its master. That of a custom object has a name of its own; this one stands for it.
fn master_field(detail: &str) -> &'static str {
    schema::master_of(detail).map_or("field_master__c", |(field, _)| field)
}

/// A record that is to be made: its object, and its fields.
type New = (String, Vec<(String, Option<Value>)>);

/// Checks and forms the details of a new master, before anything is made.
fn formed_details(state: &mut State, object: &str, lists: Option<&Value>) -> Result<Vec<New>, Refusal> {
    let mut details = Vec::new();
    let Some(Value::Object(lists)) = lists else { return Ok(details) };
    for (detail, records) in lists {
        let fits = match schema::master_of(detail) {
            Some((_, master)) => master == object,
            // The details of custom objects are not known.
            None => !schema::KNOWN.contains(&detail.as_str()),
        };
        let Some(records) = records.as_array().filter(|_| fits) else { return Err(Refusal::missing(detail)) };
        for record in records {
            let record = record.as_object().ok_or_else(|| Refusal::missing(detail))?;
            let mut fields = formed(detail, record)?;
            let master = master_field(detail);
            fields
                .retain(|(name, _)| name != master && !matches!(name.as_str(), "create_time" | "created_by"));
            check_new(state, detail, &fields, Some(master))?;
            details.push((detail.clone(), fields));
        }
    }
    Ok(details)
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
    if refs::is_invalid(&record) {
        return Err(Refusal::new(SERVICE, "不能进行[编辑]操作，以下这些数据已作废。"));
    }
    let mut fields = formed(&asked.object, given)?;
    // The owner changes by its own operation only; here it is left alone and the answer is still OK.
    fields.retain(|(name, _)| !matches!(name.as_str(), "owner" | "create_time" | "created_by"));
    for (name, value) in &fields {
        let needed = schema::required(&asked.object).contains(&name.as_str())
            || (name == "name" && schema::own(&asked.object).1);
        if needed && value.is_none() {
            return Err(Refusal::missing(name));
        }
        // That a detail stays with its master is (unverified).
        let is_master = schema::master_of(&asked.object).is_some_and(|(field, _)| field == name);
        if is_master && value.as_ref() != record.get(name) {
            return Err(Refusal::new(super::INVALID, format!("the field {name} cannot be changed")));
        }
    }
    refs::check(state, &asked.object, |name| value_of(&fields, name))?;
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

fn mark(record: &mut Record, invalid: bool) {
    record.insert("life_status".to_owned(), json!(if invalid { "invalid" } else { "normal" }));
    record.insert("is_deleted".to_owned(), json!(invalid));
}

/// The first step of a deletion. The details of a master go with it.
pub(super) fn invalidate(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    for id in &asked.ids {
        refs::unreferred(state, &asked.object, id)?;
    }
    let answer = each(state, asked, true, |record| {
        mark(record, true);
        Ok(())
    })?;
    mark_details(state, asked, true);
    Ok(answer)
}

/// Makes the details of the named masters invalid, or brings back those that went with them.
fn mark_details(state: &mut State, asked: &Asked, invalid: bool) {
    let now = state.now_ms();
    for id in &asked.ids {
        let Some((detail, lines)) = refs::details(state, &asked.object, id) else { continue };
        for line in lines {
            let Some(mut record) = state.table(detail).get(&line).map(|row| row.fields.clone()) else {
                continue;
            };
            if refs::is_invalid(&record) != invalid {
                mark(&mut record, invalid);
                touch(&mut record, now, known::USER_ID);
                put(state, detail, line, record);
            }
        }
    }
}

/// The second step: only what is invalid already.
pub(super) fn delete(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    if asked.ids.is_empty() {
        return Err(Refusal::missing("idList"));
    }
    for id in &asked.ids {
        let record = taken(state, &asked.object, id, false)?;
        if !refs::is_invalid(&record) {
            return Err(Refusal::new(BUSINESS, "只能删除已作废的数据"));
        }
        refs::unreferred(state, &asked.object, id)?;
    }
    for id in &asked.ids {
        remove(state, &asked.object, id);
    }
    Ok(Answer::ok(&success(json!({}))))
}

/// Removes a record with its details; false where there is none.
pub(in crate::simulator) fn remove(state: &mut State, object: &str, id: &str) -> bool {
    if let Some((detail, lines)) = refs::details(state, object, id) {
        for line in lines {
            state.remove_record(detail, &line);
        }
    }
    state.remove_record(object, id)
}

/// Takes an invalidation back. All details come back with their master (unverified).
pub(super) fn recover(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    for id in &asked.ids {
        let record = taken(state, &asked.object, id, false)?;
        refs::check(state, &asked.object, |name| record.get(name))?;
    }
    let answer = each(state, asked, false, |record| {
        mark(record, false);
        Ok(())
    })?;
    mark_details(state, asked, false);
    Ok(answer)
}

/// Locks (`"1"`) or unlocks (`"0"`).
pub(super) fn lock(state: &mut State, asked: &Asked, status: &str) -> Result<Answer, Refusal> {
    each(state, asked, false, |record| {
        record.insert("lock_status".to_owned(), json!(status));
        Ok(())
    })
}
