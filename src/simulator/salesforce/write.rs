//! Writing: one record, up to 200 at once, a tree.

use serde_json::{Map, Value, json};

use super::{
    Refusal, bin, log,
    schema::{self, Holds, Written, field, kept, long_id},
};
use crate::{
    model::record::Record,
    simulator::{credentials::salesforce as known, state::State, table::Row},
};

/// How a record is known in a URL or a batch.
pub(super) fn exists(state: &mut State, object: &str, id: &str) -> Result<(), Refusal> {
    let id = long_id(id);
    if state.table(object).get(&id).is_some() {
        return Ok(());
    }
    Err(if state.table(&bin(object)).get(&id).is_some() {
        Refusal::of(404, "ENTITY_IS_DELETED", "entity is deleted")
    } else {
        Refusal::of(404, "NOT_FOUND", "The requested resource does not exist")
    })
}

/// Checks and forms the fields of a write. `new` is a record that is made.
fn formed(
    state: &mut State,
    object: &str,
    fields: &Map<String, Value>,
    new: bool,
) -> Result<Vec<(String, Value)>, Refusal> {
    let mut formed = Vec::new();
    for (name, value) in fields {
        if name == "attributes" {
            continue;
        }
        let Some((name, holds, written)) = field(object, name) else {
            let message = format!("No such column '{name}' on sobject of type {object}");
            return Err(Refusal::of(400, "INVALID_FIELD", message));
        };
        if written == Written::Never || (written == Written::Once && !new) {
            let message = format!(
                "Unable to create/update fields: {name}. Please check the security settings of this field and verify that it is read/write for your profile or permission set."
            );
            return Err(Refusal::of(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message).naming(&name));
        }
        let value = kept(&name, holds, value)?;
        if let (Holds::Reference(target), Value::String(id)) = (holds, &value)
            && target != "User"
            && state.table(target).get(id).is_none()
        {
            let message = format!("invalid cross reference id: {id}");
            return Err(Refusal::of(400, "INVALID_CROSS_REFERENCE_KEY", message).naming(&name));
        }
        formed.push((name, value));
    }
    Ok(formed)
}

fn needed(fields: &[&str]) -> Refusal {
    let list = fields.join(", ");
    let mut refusal =
        Refusal::of(400, "REQUIRED_FIELD_MISSING", format!("Required fields are missing: [{list}]"));
    refusal.fields = fields.iter().map(|name| (*name).to_owned()).collect();
    refusal
}

/// A unique value that another record has is refused; the message names that record by its short id.
fn check_unique(
    state: &mut State,
    object: &str,
    own: &str,
    fields: &[(String, Value)],
) -> Result<(), Refusal> {
    for (name, value) in fields.iter().filter(|(name, value)| schema::is_unique(name) && !value.is_null()) {
        let taken =
            state.table(object).rows().find(|row| row.id != own && row.fields.get(name) == Some(value));
        if let Some(row) = taken {
            let short = row.id.get(..15).unwrap_or_default();
            let message =
                format!("duplicate value found: {name} duplicates value on record with id: {short}");
            return Err(Refusal::of(400, "DUPLICATE_VALUE", message));
        }
    }
    Ok(())
}

/// An order begins as a draft and is activated later; an activated one is closed to edits of anything else. The codes
/// are (unverified).
fn check_order(record: &Record, fields: &[(String, Value)], new: bool) -> Result<(), Refusal> {
    let status = fields.iter().find(|(name, _)| name == "Status").map(|(_, value)| value);
    if new && status != Some(&json!("Draft")) {
        let message = "Choose a valid status for this order: it must be a draft first";
        return Err(Refusal::of(400, "FAILED_ACTIVATION", message).naming("Status"));
    }
    let active = record.get("StatusCode") == Some(&json!("Activated"));
    if active && fields.iter().any(|(name, _)| name != "Status") {
        let message = "an activated order cannot be changed";
        return Err(Refusal::of(400, "FIELD_INTEGRITY_EXCEPTION", message));
    }
    Ok(())
}

/// Fields that the system itself derives from others.
fn derive(state: &mut State, object: &str, record: &mut Record) {
    let text =
        |record: &Record, name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match object {
        "Contact" => {
            let name = format!("{} {}", text(record, "FirstName"), text(record, "LastName"));
            record.insert("Name".to_owned(), json!(name.trim()));
        }
        "Order" => {
            let code = if text(record, "Status") == "Activated" { "Activated" } else { "Draft" };
            record.insert("StatusCode".to_owned(), json!(code));
            if !record.contains_key("OrderNumber") {
                let number = state.next_serial();
                record.insert("OrderNumber".to_owned(), json!(format!("{number:08}")));
            }
        }
        "OrderItem" => {
            let entry = text(record, "PricebookEntryId");
            let product = state
                .table("PricebookEntry")
                .get(&entry)
                .and_then(|row| row.fields.get("Product2Id").cloned());
            record.insert("Product2Id".to_owned(), product.unwrap_or(Value::Null));
        }
        _ => {}
    }
}

/// Puts a record into its table, at the place of its stamp.
pub(super) fn put(state: &mut State, object: &str, id: &str, fields: Record) {
    let stamp = fields.get("SystemModstamp").and_then(Value::as_str).and_then(schema::stamp_of);
    let refers = match object {
        "OrderItem" => fields.get("OrderId").and_then(Value::as_str).map(|id| format!("OrderId={id}")),
        _ => None,
    };
    let row = Row {
        id: id.to_owned(),
        stamp: stamp.unwrap_or_default(),
        fields,
        refers: refers.into_iter().collect(),
    };
    state.put_record(object, row);
}

fn touch(state: &State, record: &mut Record, user: &str) {
    let now = schema::stamp_text(state.now_ms());
    for name in ["LastModifiedDate", "SystemModstamp"] {
        record.insert(name.to_owned(), json!(now));
    }
    record.insert("LastModifiedById".to_owned(), json!(user));
}

/// Makes a record of fields that are formed already, and gives its id.
pub(super) fn make(
    state: &mut State,
    object: &str,
    fields: Vec<(String, Value)>,
    user: &str,
    id: Option<String>,
) -> String {
    let prefix = schema::object(object).map_or("a00", |(_, prefix, ..)| prefix);
    let id = id.unwrap_or_else(|| schema::new_id(prefix, state.next_serial()));
    let mut record = Record::new();
    record.insert("Id".to_owned(), json!(id));
    record.insert("IsDeleted".to_owned(), json!(false));
    record.insert("CreatedDate".to_owned(), json!(schema::stamp_text(state.now_ms())));
    record.insert("CreatedById".to_owned(), json!(user));
    touch(state, &mut record, user);
    for (name, holds, _) in schema::fields(object) {
        match holds {
            Holds::Boolean if *name != "IsDeleted" => record.insert((*name).to_owned(), json!(false)),
            Holds::Reference("User") if *name == "OwnerId" => record.insert((*name).to_owned(), json!(user)),
            _ => None,
        };
    }
    record.extend(fields);
    derive(state, object, &mut record);
    put(state, object, &id, record);
    id
}

/// Changes fields that are formed already.
pub(super) fn change(state: &mut State, object: &str, id: &str, fields: Vec<(String, Value)>, user: &str) {
    let Some(mut record) = state.table(object).get(id).map(|row| row.fields.clone()) else { return };
    touch(state, &mut record, user);
    record.extend(fields);
    derive(state, object, &mut record);
    put(state, object, id, record);
}

/// Creates one record.
pub(super) fn create(
    state: &mut State,
    object: &str,
    fields: &Map<String, Value>,
) -> Result<String, Refusal> {
    let formed = formed(state, object, fields, true)?;
    let required = schema::object(object).map_or(&[] as &[&str], |(.., required)| required);
    let missing: Vec<&str> = required
        .iter()
        .filter(|name| !formed.iter().any(|(known, value)| known == *name && !value.is_null()))
        .copied()
        .collect();
    if !missing.is_empty() {
        return Err(needed(&missing));
    }
    if object == "Order" {
        check_order(&Record::new(), &formed, true)?;
    }
    check_unique(state, object, "", &formed)?;
    Ok(make(state, object, formed, known::USER_ID, None))
}

/// Changes one record.
pub(super) fn update(
    state: &mut State,
    object: &str,
    id: &str,
    fields: &Map<String, Value>,
) -> Result<(), Refusal> {
    exists(state, object, id)?;
    let id = long_id(id);
    let formed = formed(state, object, fields, false)?;
    let required = schema::object(object).map_or(&[] as &[&str], |(.., required)| required);
    let emptied: Vec<&str> = required
        .iter()
        .filter(|name| formed.iter().any(|(known, value)| known == *name && value.is_null()))
        .copied()
        .collect();
    if !emptied.is_empty() {
        return Err(needed(&emptied));
    }
    let record = state.table(object).get(&id).map(|row| row.fields.clone()).unwrap_or_default();
    if object == "Order" {
        check_order(&record, &formed, false)?;
    }
    check_unique(state, object, &id, &formed)?;
    change(state, object, &id, formed, known::USER_ID);
    Ok(())
}

/// Creates or changes the record that has this value in an external id; tells whether it was created.
pub(super) fn upsert(
    state: &mut State,
    object: &str,
    by: &str,
    value: &Value,
    fields: &Map<String, Value>,
) -> Result<(String, bool), Refusal> {
    let by = match field(object, by) {
        Some((name, ..)) if schema::is_unique(&name) || name == "Id" => name,
        _ => {
            let message = format!("The field {by} is not an external id of {object}");
            return Err(Refusal::of(400, "INVALID_FIELD", message));
        }
    };
    let found: Vec<String> = state
        .table(object)
        .rows()
        .filter(|row| row.fields.get(&by) == Some(value))
        .map(|row| row.id.clone())
        .collect();
    let mut fields = fields.clone();
    match found.as_slice() {
        [] => {
            fields.insert(by, value.clone());
            create(state, object, &fields).map(|id| (id, true))
        }
        [id] => {
            fields.shift_remove(&by);
            update(state, object, id, &fields).map(|()| (id.clone(), false))
        }
        _ => Err(Refusal::of(300, "DUPLICATE_EXTERNAL_ID", "several records match")),
    }
}

/// Whether a record stands as it did at this moment (an HTTP date), where one is given.
pub(super) fn unmodified(
    state: &mut State,
    object: &str,
    id: &str,
    since: Option<&str>,
) -> Result<(), Refusal> {
    let Some(since) = since else { return Ok(()) };
    let since = jiff::fmt::rfc2822::parse(since)
        .map_err(|_| Refusal::of(400, "INVALID_HEADER", "If-Unmodified-Since is not a date"))?;
    let stamp = state.table(object).get(&long_id(id)).map_or(0, |row| row.stamp);
    if stamp > since.timestamp().as_millisecond() {
        // the code is (unverified)
        return Err(Refusal::of(412, "PRECONDITION_FAILED", "the record was changed since"));
    }
    Ok(())
}

/// Puts one record into the recycle bin, an order with its lines.
pub(super) fn delete(state: &mut State, object: &str, id: &str) -> Result<(), Refusal> {
    exists(state, object, id)?;
    let id = long_id(id);
    if object == "Order" {
        let active = state.table(object).get(&id).and_then(|row| row.fields.get("StatusCode").cloned());
        if active == Some(json!("Activated")) {
            let message = "an activated order cannot be deleted";
            return Err(Refusal::of(400, "DELETE_FAILED", message));
        }
    }
    discard(state, object, &id);
    Ok(())
}

/// The same, whatever its state; false where there is none.
pub(super) fn discard(state: &mut State, object: &str, id: &str) -> bool {
    if object == "Order" {
        for line in lines(state, id) {
            discard(state, "OrderItem", &line);
        }
    }
    let Some(mut record) = state.table(object).get(id).map(|row| row.fields.clone()) else { return false };
    state.remove_record(object, id);
    touch(state, &mut record, known::USER_ID);
    record.insert("IsDeleted".to_owned(), json!(true));
    let stamp = state.now_ms().div_euclid(1000) * 1000;
    let row = Row { id: id.to_owned(), stamp, fields: record, refers: Vec::new() };
    state.table(&log(object)).put(row.clone());
    // The bin is no object of the API: what lies in it was noted as removed.
    state.table(&bin(object)).put(row);
    true
}

/// Takes one record out of the recycle bin: only the log of deletes knows of it then.
pub(super) fn forget(state: &mut State, object: &str, id: &str) {
    state.table(&bin(object)).remove(id);
}

/// The ids of an order's lines, in the order in which they were made.
pub(super) fn lines(state: &mut State, order: &str) -> Vec<String> {
    let reference = format!("OrderId={order}");
    state.table("OrderItem").referring(&reference).map(|row| row.id.clone()).collect()
}

/// An order with its lines, all or nothing. Gives the ids by reference: of the order, then of its lines.
pub(super) fn tree(
    state: &mut State,
    object: &str,
    record: &Map<String, Value>,
) -> Result<Vec<(String, String)>, (String, Refusal)> {
    let reference = |record: &Map<String, Value>| {
        let attributes = record.get("attributes");
        let id = attributes.and_then(|told| told.get("referenceId")).and_then(Value::as_str);
        id.unwrap_or_default().to_owned()
    };
    let mut own = record.clone();
    let children = own.shift_remove("OrderItems");
    let name = reference(record);
    if name.is_empty() {
        let refusal =
            Refusal::of(400, "INVALID_INPUT", "Include a reference ID for each record in the request.");
        return Err((name, refusal));
    }
    let id = create(state, object, &own).map_err(|refusal| (name.clone(), refusal))?;
    let mut made = vec![(name, id.clone())];
    let children = children.as_ref().and_then(|list| list.get("records")).and_then(Value::as_array);
    for child in children.into_iter().flatten().filter_map(Value::as_object) {
        let mut child = child.clone();
        child.insert("OrderId".to_owned(), json!(id));
        match create(state, "OrderItem", &child) {
            Ok(line) => made.push((reference(&child), line)),
            Err(refusal) => {
                // Nothing of it has been there: it does not even lie in the bin.
                for line in lines(state, &id) {
                    state.remove_record("OrderItem", &line);
                }
                state.remove_record(object, &id);
                return Err((reference(&child), refusal));
            }
        }
    }
    Ok(made)
}
