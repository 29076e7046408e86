//! `QueryBusinessInfo`: what fields a form has, on which level.

use serde_json::{Value, json};

use super::{
    forms::{Field, Form, Holds, form, property},
    response_status,
};
use crate::simulator::{
    exchange::{Answer, Asked},
    state::State,
};

use Holds::{Base, Date, DateTime, Decimal, Flag, Text};

/// `QueryBusinessInfo`: the fields of a form; for a form without a list, those that its records have.
pub(super) fn describe(state: &mut State, asked: &Asked) -> Answer {
    let form = form(&asked.object);
    let mut heads: Vec<Value> = form.fields.iter().map(|field| described(&form, field)).collect();
    let mut entries: Vec<Value> = Vec::new();
    // How a part of the head stands in the list of entries is (unverified): here as one whose parent is the head.
    for (key, fields) in form.parts {
        let fields = fields.iter().map(|field| described(&form, field)).collect();
        entries.push(entry_described(key, key, json!("FBillHead"), fields));
    }
    if let Some(entry) = form.entry {
        let inside = form.inside(entry.key);
        let fields = entry.fields.iter().map(|field| described(&inside, field)).collect();
        entries.push(entry_described(entry.key, entry.label, Value::Null, fields));
    }
    if !form.closed {
        heads.insert(0, described(&form, &(form.number, "编码", Text)));
        heads.insert(0, described(&form, &(form.pk, "内码", Text)));
        for row in state.table(&asked.object).rows().take(100) {
            for (key, value) in &row.fields {
                let known = |list: &[Value]| list.iter().any(|field| field.get("Key") == Some(&json!(key)));
                if value.is_array() && !known(&entries) {
                    let fields: Vec<Value> = value
                        .get(0)
                        .and_then(Value::as_object)
                        .into_iter()
                        .flat_map(|line| line.keys())
                        .map(|key| loose(&form, key))
                        .collect();
                    entries.push(entry_described(key, key, Value::Null, fields));
                } else if !value.is_array() && !known(&heads) {
                    heads.push(loose(&form, key));
                }
            }
        }
    }
    let mut all = vec![json!({"Key": "FBillHead", "ParentKey": null, "EntryName": "BillHead",
        "Name": [{"Key": 2052, "Value": "单据头"}], "Fields": heads})];
    all.extend(entries);
    let label = if form.label.is_empty() { asked.object.as_str() } else { form.label };
    let info =
        json!({"Id": asked.object, "Name": [{"Key": 2052, "Value": label}], "Entrys": all, "Operations": []});
    Answer::ok(&json!({"Result": {"ResponseStatus": response_status(&[]), "NeedReturnData": info}}))
}

fn entry_described(key: &str, label: &str, parent: Value, fields: Vec<Value>) -> Value {
    json!({"Key": key, "ParentKey": parent, "EntryName": property(key),
        "Name": [{"Key": 2052, "Value": label}], "Fields": fields})
}

fn loose(form: &Form, key: &str) -> Value {
    match form.field(key) {
        Some((_, label, holds)) => described_as(form, key, label, *holds),
        None => described_as(form, key, key, Text),
    }
}

fn described(form: &Form, (key, label, holds): &Field) -> Value {
    described_as(form, key, label, *holds)
}

/// The numbers of the field types are not published; these are illustrative.
fn described_as(form: &Form, key: &str, label: &str, holds: Holds) -> Value {
    let (field_type, element, lookup) = match holds {
        Text => (231, 1, Value::Null),
        Decimal(_) => (232, 6, Value::Null),
        Flag => (167, 8, Value::Null),
        Date => (61, 4, Value::Null),
        DateTime => (61, 5, Value::Null),
        Base(target) => (56, 13, json!(target)),
    };
    json!({
        "Key": key, "Name": [{"Key": 2052, "Value": label}], "FieldName": key.to_uppercase(),
        "PropertyName": property(key), "FieldType": field_type, "ElementType": element,
        "MustInput": i32::from(form.required.contains(&key)), "LookUpObjectFormId": lookup,
    })
}
