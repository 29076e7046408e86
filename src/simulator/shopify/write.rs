//! Mutations. What is wrong with a record is told with status 200, in `userErrors`.

use serde_json::{Map, Value, json};

use super::{
    Said,
    graphql::{Document, Field, Selected},
    read,
    schema::{self, Holds, OBJECTS, Object, kept, kept_metafield, metafield, millis, moment},
};
use crate::{
    model::record::Record,
    simulator::{exchange::BatchTrouble, state::State, table::Row},
};

/// Values in the form in which they are kept.
pub(super) type Formed = Vec<(String, Value)>;

/// What is wrong with a record: the field's path and the words.
type Wrong = (Vec<String>, String);

/// The object and the deed of a mutation: `customerCreate`.
pub(super) fn meant(name: &str) -> Option<(&'static Object, &'static str)> {
    OBJECTS.iter().filter(|object| !object.one.is_empty()).find_map(|object| {
        let deed = name.strip_prefix(object.one)?;
        let deed = ["Create", "Update", "Delete"].into_iter().find(|known| *known == deed)?;
        Some((object, deed))
    })
}

/// The input of a mutation: its first argument.
pub(super) fn input(field: &Field) -> Map<String, Value> {
    let given = ["input", "product"].iter().find_map(|name| field.arguments.get(*name));
    given.and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The names of the fields that a mutation sends.
pub(super) fn names(input: &Map<String, Value>) -> Vec<String> {
    let plain = input.keys().filter(|name| !["id", "metafields"].contains(&name.as_str())).cloned();
    plain.chain(metafields(input).into_iter().map(|(name, _)| format!("metafields.{name}"))).collect()
}

fn metafields(input: &Map<String, Value>) -> Vec<(String, Value)> {
    let given = input.get("metafields").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |one: &Value, name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    given
        .iter()
        .map(|one| {
            let name = format!("{}.{}", text(one, "namespace"), text(one, "key"));
            (name, one.get("value").cloned().unwrap_or(Value::Null))
        })
        .collect()
}

/// What no type takes refuses the whole question before anything of it is done.
fn check_types(document: &Document) -> Result<(), Said> {
    for field in &document.fields {
        let Some((object, deed)) = meant(&field.name) else { continue };
        let input = input(field);
        let type_name = match deed {
            "Create" => object.inputs.first().copied().unwrap_or_default(),
            "Update" => object.inputs.last().copied().unwrap_or_default(),
            _ => "DeleteInput",
        };
        for (name, value) in &input {
            if name == "id" || (name == "metafields" && deed != "Delete") {
                continue;
            }
            let known =
                schema::field(object.fields, name).filter(|(.., writable)| *writable && deed != "Delete");
            let said = match known {
                None => Some(format!("Field is not defined on {type_name}")),
                Some((_, holds, _)) => kept(*holds, value).err(),
            };
            if let Some(said) = said {
                let message =
                    format!("Variable of type {type_name}! was provided invalid value for {name} ({said})");
                let problems = json!({"problems": [{"path": [name], "explanation": said}]});
                return Err(Said::new("INVALID_VARIABLE", message).with(problems));
            }
        }
    }
    Ok(())
}

fn formed(object: &Object, input: &Map<String, Value>, place: &str) -> Result<Formed, Wrong> {
    let mut formed = Vec::new();
    for (name, value) in input.iter().filter(|(name, _)| !["id", "metafields"].contains(&name.as_str())) {
        let holds = schema::field(object.fields, name).map_or(Holds::Text, |(_, holds, _)| *holds);
        let wrong = |said: &str| (vec![place.to_owned(), name.clone()], said.to_owned());
        let value = kept(holds, value).map_err(|said| wrong(&said))?;
        if let (Holds::Email, Some(text)) = (holds, value.as_str())
            && !text.contains('@')
        {
            return Err(wrong("Email is invalid"));
        }
        formed.push((name.clone(), value));
    }
    for (at, (name, value)) in metafields(input).into_iter().enumerate() {
        let path =
            |last: &str| vec![place.to_owned(), "metafields".to_owned(), at.to_string(), last.to_owned()];
        let Some(definition) = metafield(&name) else {
            return Err((path("type"), "Type can't be blank".to_owned()));
        };
        let text = value.as_str().filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| (path("value"), "Value can't be blank".to_owned()))?;
        let kept = kept_metafield(definition, text).map_err(|said| (path("value"), said))?;
        formed.push((format!("metafields.{name}"), json!(kept)));
    }
    Ok(formed)
}

fn check_unique(state: &mut State, object: &Object, own: &str, formed: &Formed) -> Result<(), Wrong> {
    for (name, value) in formed.iter().filter(|(_, value)| !value.is_null()) {
        let custom = name.strip_prefix("metafields.");
        let unique = ["email", "phone", "handle"].contains(&name.as_str())
            || custom.and_then(metafield).is_some_and(|(_, _, unique, _)| *unique);
        let taken = |row: &&Row| {
            row.fields.get("id").and_then(Value::as_str) != Some(own) && row.fields.get(name) == Some(value)
        };
        if unique && state.table(object.list).rows().any(|row| taken(&row)) {
            let mut words = custom.unwrap_or(name).chars();
            let word: String = words.next().into_iter().flat_map(char::to_uppercase).chain(words).collect();
            return Err((vec!["input".to_owned(), name.clone()], format!("{word} has already been taken")));
        }
    }
    Ok(())
}

fn put(state: &mut State, object: &Object, id: &str, fields: Record) {
    let stamp = fields.get("updatedAt").and_then(Value::as_str).and_then(millis).unwrap_or_default();
    state.put_record(object.list, Row { id: id.to_owned(), stamp, fields, refers: Vec::new() });
}

/// Makes a record of values that are formed already, and gives its id.
pub(super) fn make(state: &mut State, object: &Object, fields: Formed) -> String {
    let serial = 6_000_000_000 + state.next_serial();
    let id = format!("gid://shopify/{}/{serial}", object.type_name);
    let now = moment(state.now_ms());
    let mut record = Record::new();
    record.insert("id".to_owned(), json!(id));
    record.insert("legacyResourceId".to_owned(), json!(serial.to_string()));
    record.insert("createdAt".to_owned(), json!(now));
    record.insert("updatedAt".to_owned(), json!(now));
    record.insert("tags".to_owned(), json!([]));
    for (name, value) in fields {
        record.insert(name, value);
    }
    put(state, object, &id, record);
    id
}

/// Changes values that are formed already; false where there is no such record.
pub(super) fn change(state: &mut State, object: &Object, id: &str, fields: Formed) -> bool {
    let Some(mut record) = state.table(object.list).get(id).map(|row| row.fields.clone()) else {
        return false;
    };
    record.insert("updatedAt".to_owned(), json!(moment(state.now_ms())));
    for (name, value) in fields {
        record.insert(name, value);
    }
    put(state, object, id, record);
    true
}

fn work(state: &mut State, object: &Object, deed: &str, field: &Field) -> Result<String, Wrong> {
    let input = input(field);
    let id = input.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let place = if field.arguments.contains_key("product") { "product" } else { "input" };
    let gone = || (vec!["id".to_owned()], format!("{} does not exist", object.type_name));
    if deed != "Create" && state.table(object.list).get(&id).is_none() {
        return Err(gone());
    }
    if deed == "Delete" {
        state.remove_record(object.list, &id);
        return Ok(id);
    }
    let formed = formed(object, &input, place)?;
    check_unique(state, object, &id, &formed)?;
    if deed == "Update" {
        change(state, object, &id, formed);
        return Ok(id);
    }
    let has = |name: &str| formed.iter().any(|(known, value)| known == name && !value.is_null());
    if object.list == "customers" && !["firstName", "lastName", "email", "phone"].iter().any(|name| has(name))
    {
        return Err((Vec::new(), "A name, phone number, or email address must be present".to_owned()));
    }
    if object.list == "products" && !has("title") {
        return Err((vec!["title".to_owned()], "Title can't be blank".to_owned()));
    }
    Ok(make(state, object, formed))
}

/// Takes metafields away.
fn clear(state: &mut State, field: &Field) {
    for one in field.arguments.get("metafields").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
        let (owner, name) = (text("ownerId"), format!("metafields.{}.{}", text("namespace"), text("key")));
        if let Some(object) = schema::object_of_id(owner) {
            change(state, object, owner, vec![(name, Value::Null)]);
        }
    }
}

fn payload(
    state: &mut State,
    field: &Field,
    object: &'static Object,
    done: &Result<String, Wrong>,
    deed: &str,
) -> Value {
    let mut answer = Map::new();
    for part in &field.within {
        let Selected::Field(part) = part else { continue };
        let value = match (part.name.as_str(), done) {
            ("userErrors", Ok(_)) => json!([]),
            ("userErrors", Err((path, message))) => {
                let path = if path.is_empty() { Value::Null } else { json!(path) };
                json!([{"field": path, "message": message}])
            }
            (name, Ok(id)) if deed == "Delete" && name.starts_with("deleted") => json!(id),
            (name, Ok(id)) if name == object.one => {
                let record =
                    state.table(object.list).get(id).map(|row| row.fields.clone()).unwrap_or_default();
                read::shown(state, &record, &part.of(object.type_name), object.type_name)
            }
            _ => Value::Null,
        };
        answer.insert(part.key.clone(), value);
    }
    Value::Object(answer)
}

/// Does all mutations of a question, one after the other. The ids are those of the records that were touched.
pub(super) fn mutate(
    state: &mut State,
    document: &Document,
    trouble: Option<BatchTrouble>,
) -> Result<(Map<String, Value>, Vec<String>), Said> {
    check_types(document)?;
    let (mut data, mut ids) = (Map::new(), Vec::new());
    let mut number = 0;
    for field in &document.fields {
        if field.name == "metafieldsDelete" {
            clear(state, field);
            data.insert(field.key.clone(), json!({"userErrors": []}));
            continue;
        }
        let Some((object, deed)) = meant(&field.name) else {
            let message = format!("Field '{}' doesn't exist on type 'Mutation'", field.name);
            return Err(Said::new("undefinedField", message));
        };
        number += 1;
        let done = if trouble == Some(BatchTrouble::Partial) && number % 2 == 0 {
            Err((Vec::new(), "the simulator was told to refuse this record".to_owned()))
        } else {
            work(state, object, deed, field)
        };
        ids.extend(done.clone().ok());
        let payload = payload(state, field, object, &done, deed);
        data.insert(field.key.clone(), payload);
    }
    Ok((data, ids))
}
