//! What objects and fields there are.

use serde_json::{Value, json};

use super::{
    Refusal, ok,
    schema::{self, Field, Holds, KNOWN, Written},
};
use crate::simulator::{exchange::Answer, state::State};

/// All objects: the preset ones, and the custom ones that have records.
pub(super) fn list(state: &State) -> Answer {
    let mut custom: Vec<&str> = state.objects.keys().map(String::as_str).collect();
    custom.retain(|name| name.ends_with("__c"));
    custom.sort_unstable();
    let objects: Vec<Value> = KNOWN
        .iter()
        .map(|(name, prefix, ..)| (*name, *prefix))
        .chain(custom.into_iter().map(|name| (name, "a00")))
        .map(|(name, prefix)| {
            json!({"name": name, "label": name, "custom": name.ends_with("__c"), "keyPrefix": prefix,
                "queryable": true, "createable": true, "updateable": true, "deletable": true, "replicateable": true})
        })
        .collect();
    ok(&json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects}))
}

/// The fields of an object.
pub(super) fn describe(state: &State, name: &str) -> Result<Answer, Refusal> {
    let unknown = || Refusal::of(404, "NOT_FOUND", "The requested resource does not exist");
    let (name, prefix, _, required) = schema::object(name).ok_or_else(unknown)?;
    let mut fields: Vec<Value> =
        schema::fields(&name).map(|field| described(field, required.contains(&field.0))).collect();
    for ((_, field), kind) in state.described.iter().filter(|((object, _), _)| *object == name) {
        let place = fields.iter().position(|known| known.get("name") == Some(&json!(field)));
        match (kind, place) {
            (None, Some(at)) => {
                fields.remove(at);
            }
            (None, None) => {}
            (Some(kind), at) => {
                let changed = json!({"name": field, "label": field, "type": kind, "nillable": true,
                    "createable": true, "updateable": true, "defaultedOnCreate": false, "custom": true});
                match at.and_then(|at| fields.get_mut(at)) {
                    Some(known) => *known = changed,
                    None => fields.push(changed),
                }
            }
        }
    }
    Ok(ok(&json!({
        "name": name, "label": name, "custom": name.ends_with("__c"), "keyPrefix": prefix, "createable": true,
        "updateable": true, "deletable": true, "queryable": true, "replicateable": true, "retrieveable": true,
        "fields": fields, "childRelationships": [], "recordTypeInfos": [], "urls": {},
    })))
}

fn described((name, holds, written): &Field, required: bool) -> Value {
    let by_system = *written == Written::Never;
    let mut field = json!({
        "name": name, "label": name, "type": holds.type_name(), "nillable": !required && *holds != Holds::Boolean,
        "createable": !by_system, "updateable": *written == Written::Always,
        "defaultedOnCreate": *holds == Holds::Boolean || by_system || *name == "OwnerId",
        "custom": name.ends_with("__c"), "calculated": false, "unique": schema::is_unique(name),
        "externalId": schema::is_unique(name), "length": 0, "precision": 0, "scale": 0, "referenceTo": [],
    });
    let more = match holds {
        Holds::Text(_, length) => ("length", json!(length)),
        Holds::Number(_, scale) => ("scale", json!(scale)),
        Holds::Reference(target) => ("referenceTo", json!([target])),
        _ => return field,
    };
    if let Value::Object(field) = &mut field {
        field.insert(more.0.to_owned(), more.1);
    }
    field
}
