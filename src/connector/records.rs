//! Records and fields out of answers.

use serde_json::Value;

use crate::connector::answer;
use crate::connector::client::{FieldInfo, Page};
use crate::connector::compiled::{Object, Operation};
use crate::connector::expr::Expr;
use crate::connector::request::{as_text, first, object as members};
use crate::model::record::RemoteRecord;

/// The records of an answer, each on its own: one that cannot be understood does not stop the others.
pub(super) fn page(object: &Object, operation: &Operation, input: &Value) -> Result<Page, String> {
    let records = match first(operation.records.as_ref(), input)? {
        Value::Array(records) => records,
        _ => return Err("the records are not a list".to_owned()),
    };
    let next = Some(first(operation.next.as_ref(), input)?).filter(|next| !next.is_null());
    let seen = input.get("object").cloned().unwrap_or(Value::Null);
    let settings = input.get("settings").cloned().unwrap_or(Value::Null);
    let after = answer::seconds(&first(operation.after.as_ref(), input)?);
    let mut page = Page { records: Vec::new(), next, after, remote_clock_ms: None, unreadable: Vec::new() };
    for record in records {
        match read(object, &record, &seen, &settings) {
            Ok(record) => page.records.push(record),
            Err(reason) => page.unreadable.push((reason, record)),
        }
    }
    Ok(page)
}

fn read(object: &Object, record: &Value, seen: &Value, settings: &Value) -> Result<RemoteRecord, String> {
    let Value::Object(fields) = record else { return Err("the record is not an object".to_owned()) };
    let input = Value::Object(members([
        ("record", record.clone()),
        ("object", seen.clone()),
        ("settings", settings.clone()),
    ]));
    let told = |expr: Option<&Expr>| -> Result<Option<Value>, String> {
        Ok(Some(first(expr, &input)?).filter(|value| !value.is_null()))
    };
    let id = match told(Some(&object.id))? {
        Some(Value::String(id)) if !id.is_empty() => id,
        Some(Value::Number(id)) => id.to_string(),
        _ => return Err("the record has no id".to_owned()),
    };
    let modified_ms = match told(object.modified.as_ref())? {
        None => None,
        Some(Value::Number(number)) => {
            Some(milliseconds(&number).ok_or("the record's last-modified stamp is out of range")?)
        }
        Some(_) => return Err("the record's last-modified stamp is not a number".to_owned()),
    };
    Ok(RemoteRecord {
        id,
        version: told(object.version.as_ref())?.map(|value| as_text(&value)),
        modified_ms,
        reference: told(object.reference.as_ref())?.map(|value| as_text(&value)),
        deleted: told(object.deleted.as_ref())?.is_some_and(|value| value != Value::Bool(false)),
        stage: told(object.lifecycle.as_ref().map(|staged| &staged.state))?.map(|value| as_text(&value)),
        fields: fields.clone(),
    })
}

fn milliseconds(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|float| float.abs() < 9e15)?;
        Some(float as i64)
    })
}

/// The fields of a describe's answer.
pub(super) fn fields(operation: &Operation, input: &Value) -> Result<Vec<FieldInfo>, String> {
    let Value::Array(fields) = first(operation.records.as_ref(), input)? else {
        return Err("the fields are not a list".to_owned());
    };
    let field = |field: &Value| {
        let text = |name: &str| field.get(name).filter(|value| !value.is_null()).map(as_text);
        let truth = |name: &str, missing| match field.get(name) {
            None | Some(Value::Null) => missing,
            Some(value) => *value != Value::Bool(false),
        };
        let name = text("name").ok_or("a field has no name")?;
        Ok(FieldInfo {
            label: text("label").unwrap_or_else(|| name.clone()),
            name,
            kind: text("kind").unwrap_or_default(),
            required: truth("required", false),
            writable: truth("writable", true),
            collection: text("collection"),
            lines_of: text("lines_of"),
        })
    };
    fields.iter().map(field).collect()
}
