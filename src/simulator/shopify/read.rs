//! What a question shows: pages of a list, records by their ids or by what is unique, types.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::{
    Said,
    graphql::{Field, Selected},
    schema::{self, FieldOf, Holds, LINE, METAFIELDS, OBJECTS, Object, millis},
    search,
};
use crate::{model::record::Record, simulator::state::State};

/// Records in one page.
const MOST: usize = 250;

fn undefined(type_name: &str, name: &str) -> Said {
    let message = format!("Field '{name}' doesn't exist on type '{type_name}'");
    Said::new("undefinedField", message).with(json!({"typeName": type_name, "fieldName": name}))
}

/// Whether all that is asked for of a type is there.
pub(super) fn check(
    fields: &[&Field],
    type_name: &str,
    known: &'static [FieldOf],
    metafields: bool,
) -> Result<(), Said> {
    for field in fields {
        if field.name == "__typename" || (metafields && field.name == "metafield") {
            continue;
        }
        let Some((_, holds, _)) = schema::field(known, &field.name) else {
            return Err(undefined(type_name, &field.name));
        };
        match holds {
            Holds::Refers(list) => {
                if let Some(object) = schema::object(list) {
                    check(&field.of(object.type_name), object.type_name, object.fields, true)?;
                }
            }
            Holds::Lines => check(&nodes(field, "LineItem"), "LineItem", LINE, false)?,
            Holds::MoneyBag => {}
            _ if !field.within.is_empty() => {
                let message = format!("Selections can't be made on scalars (field '{}')", field.name);
                return Err(Said::new("selectionMismatch", message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is asked for of each record of a connection.
fn nodes<'a>(field: &'a Field, type_name: &'a str) -> Vec<&'a Field> {
    let straight = field.inner("nodes");
    let edged = field.inner("edges").and_then(|edges| edges.inner("node"));
    straight.into_iter().chain(edged).flat_map(|nodes| nodes.of(type_name)).collect()
}

/// The points that a question may cost: one for each object, and the most that a connection may hold of them.
pub(super) fn cost(field: &Field) -> usize {
    fn of(within: &[Selected]) -> usize {
        within
            .iter()
            .map(|part| match part {
                Selected::Field(field) => cost(field),
                Selected::On(_, parts) => of(parts),
            })
            .sum()
    }
    if field.within.is_empty() || field.name == "pageInfo" {
        return 0;
    }
    let inner = of(&field.within);
    let count = |name: &str| field.arguments.get(name).and_then(Value::as_u64);
    if let Some(first) = count("first").or_else(|| count("last")) {
        return inner.saturating_mul(usize::try_from(first).unwrap_or(usize::MAX)).saturating_add(2);
    }
    match field.arguments.get("ids").and_then(Value::as_array) {
        Some(ids) => ids.len().saturating_mul(inner + 1),
        None if field.name == "edges" => inner,
        None => inner + 1,
    }
}

/// A record, or a line, as it was asked for.
pub(super) fn shown(state: &mut State, record: &Record, fields: &[&Field], type_name: &str) -> Value {
    let known = match type_name {
        "LineItem" => LINE,
        _ => OBJECTS.iter().find(|object| object.type_name == type_name).map_or(LINE, |object| object.fields),
    };
    let value = |name: &str| record.get(name).cloned().unwrap_or(Value::Null);
    let mut answer = Map::new();
    for field in fields {
        let holds = schema::field(known, &field.name).map(|(_, holds, _)| *holds);
        let shown = match (field.name.as_str(), holds) {
            ("__typename", _) => json!(type_name),
            ("metafield", _) => {
                let key = format!(
                    "metafields.{}.{}",
                    field.text("namespace").unwrap_or("custom"),
                    field.text("key").unwrap_or_default()
                );
                match value(&key) {
                    Value::Null => Value::Null,
                    value => metafield(field, &value),
                }
            }
            (name, Some(Holds::MoneyBag)) => {
                let amount = |bag: &str| match value(&format!("{name}.{bag}.amount")) {
                    Value::Null => value(&format!("{name}.shopMoney.amount")),
                    amount => amount,
                };
                let money = |bag: &str| json!({"amount": amount(bag), "currencyCode": "CNY"});
                picked(
                    &json!({"shopMoney": money("shopMoney"), "presentmentMoney": money("presentmentMoney")}),
                    field,
                )
            }
            (name, Some(Holds::Refers(list))) => {
                let id = value(name).as_str().unwrap_or_default().to_owned();
                let other = state.table(list).get(&id).map(|row| row.fields.clone());
                match (other, schema::object(list)) {
                    (Some(other), Some(object)) => {
                        shown(state, &other, &field.of(object.type_name), object.type_name)
                    }
                    _ => Value::Null,
                }
            }
            (name, Some(Holds::Lines)) => {
                let lines: Vec<Record> = match value(name) {
                    Value::Array(lines) => {
                        lines.into_iter().filter_map(|line| line.as_object().cloned()).collect()
                    }
                    _ => Vec::new(),
                };
                connection(state, field, &lines, "LineItem")
            }
            (name, _) => value(name),
        };
        answer.insert(field.key.clone(), shown);
    }
    Value::Object(answer)
}

fn metafield(field: &Field, value: &Value) -> Value {
    let key = field.text("key").unwrap_or_default();
    picked(&json!({"value": value, "key": key, "namespace": field.text("namespace")}), field)
}

/// The parts of a plain value that were asked for.
fn picked(value: &Value, field: &Field) -> Value {
    if field.within.is_empty() {
        return value.clone();
    }
    let mut answer = Map::new();
    for part in &field.within {
        if let Selected::Field(inner) = part {
            let value = value.get(&inner.name).unwrap_or(&Value::Null);
            answer.insert(inner.key.clone(), picked(value, inner));
        }
    }
    Value::Object(answer)
}

fn encoded(id: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(json!({"last_id": id}).to_string())
}

fn decoded(cursor: &str) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(cursor).ok()?;
    let cursor: Value = serde_json::from_slice(&bytes).ok()?;
    cursor.get("last_id")?.as_str().map(str::to_owned)
}

/// A page of these records, which are in their order.
fn connection(state: &mut State, field: &Field, all: &[Record], type_name: &str) -> Value {
    let id = |record: &Record| record.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let first = field.arguments.get("first").and_then(Value::as_u64).unwrap_or(0);
    let first = usize::try_from(first).unwrap_or(MOST);
    let after = field.text("after").and_then(decoded);
    let start =
        after.map_or(0, |after| all.iter().position(|one| id(one) == after).map_or(all.len(), |at| at + 1));
    let page: Vec<Record> = all.iter().skip(start).take(first).cloned().collect();
    let asked = nodes(field, type_name);
    let mut answer = Map::new();
    for part in &field.within {
        let Selected::Field(part) = part else { continue };
        let value = match part.name.as_str() {
            "nodes" => page.iter().map(|one| shown(state, one, &asked, type_name)).collect(),
            "edges" => {
                let edge = |one: &Record| {
                    let node = shown(state, one, &asked, type_name);
                    picked_edge(part, &encoded(&id(one)), node)
                };
                page.iter().map(edge).collect()
            }
            "pageInfo" => {
                let info = json!({"hasNextPage": start + page.len() < all.len(), "hasPreviousPage": start > 0,
                    "startCursor": page.first().map(|one| encoded(&id(one))),
                    "endCursor": page.last().map(|one| encoded(&id(one)))});
                picked(&info, part)
            }
            _ => Value::Null,
        };
        answer.insert(part.key.clone(), value);
    }
    Value::Object(answer)
}

fn picked_edge(edges: &Field, cursor: &str, node: Value) -> Value {
    let mut edge = Map::new();
    for part in &edges.within {
        if let Selected::Field(part) = part {
            let value = if part.name == "node" { node.clone() } else { json!(cursor) };
            edge.insert(part.key.clone(), value);
        }
    }
    Value::Object(edge)
}

/// A list of an object: what a search takes, in its order. The ids are those of the page.
pub(super) fn list(
    state: &mut State,
    field: &Field,
    object: &'static Object,
) -> Result<(Value, Vec<String>), Said> {
    check(&nodes(field, object.type_name), object.type_name, object.fields, true)?;
    let first = field.arguments.get("first").and_then(Value::as_u64);
    match first {
        None => return Err(Said::new("BAD_REQUEST", "you must provide one of first or last")),
        Some(first) if first > MOST as u64 => {
            return Err(Said::new("BAD_REQUEST", format!("first must be at most {MOST}")));
        }
        Some(_) => {}
    }
    let condition = search::parse(field.text("query").unwrap_or_default());
    let mut found: Vec<Record> = state
        .table(object.list)
        .rows()
        .map(|row| row.fields.clone())
        .filter(|record| condition.takes(record))
        .collect();
    let stamp = |record: &Record, name: &str| record.get(name).and_then(Value::as_str).and_then(millis);
    match field.text("sortKey") {
        Some("UPDATED_AT") => found.sort_by_key(|record| stamp(record, "updatedAt")),
        Some("CREATED_AT") => found.sort_by_key(|record| stamp(record, "createdAt")),
        // The table is in the order of its ids.
        _ => {}
    }
    if field.arguments.get("reverse") == Some(&Value::Bool(true)) {
        found.reverse();
    }
    let page = connection(state, field, &found, object.type_name);
    let of = |key: &str| page.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let ids = of("nodes").iter().filter_map(|one| one.get("id")?.as_str().map(str::to_owned)).collect();
    Ok((page, ids))
}

/// One record by its id; null where there is none.
pub(super) fn node(state: &mut State, field: &Field, id: &str) -> Result<Value, Said> {
    let Some(object) = schema::object_of_id(id) else {
        return Err(Said::new("RESOURCE_NOT_FOUND", format!("Invalid global id '{id}'")));
    };
    let asked = field.of(object.type_name);
    check(&asked, object.type_name, object.fields, true)?;
    let record = state.table(object.list).get(id).map(|row| row.fields.clone());
    Ok(record.map_or(Value::Null, |record| shown(state, &record, &asked, object.type_name)))
}

/// One record by what is unique; null where there is none.
pub(super) fn identified(state: &mut State, field: &Field, object: &'static Object) -> Result<Value, Said> {
    let asked = field.of(object.type_name);
    check(&asked, object.type_name, object.fields, true)?;
    let given =
        field.arguments.get("identifier").and_then(Value::as_object).and_then(|given| given.iter().next());
    let (name, value) = match given {
        Some((name, value)) if name == "customId" => {
            let part = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
            let known = format!("{}.{}", part("namespace"), part("key"));
            if !schema::metafield(&known).is_some_and(|(_, _, unique, _)| *unique) {
                let message =
                    format!("Metafield definition of type 'id' is required when using custom ids ({known})");
                return Err(Said::new("BAD_REQUEST", message));
            }
            (format!("metafields.{known}"), value.get("value").cloned().unwrap_or(Value::Null))
        }
        Some((name, value)) => {
            let own =
                [("emailAddress", "email"), ("phoneNumber", "phone"), ("handle", "handle"), ("id", "id")];
            let name = own.iter().find(|(asked, _)| asked == name).map_or("id", |(_, own)| own);
            let value = if name == "email" {
                json!(value.as_str().unwrap_or_default().to_lowercase())
            } else {
                value.clone()
            };
            (name.to_owned(), value)
        }
        None => return Err(Said::new("INVALID_VARIABLE", "identifier requires exactly one argument")),
    };
    let found = state.table(object.list).rows().find(|row| row.fields.get(&name) == Some(&value));
    let record = found.map(|row| row.fields.clone());
    Ok(record.map_or(Value::Null, |record| shown(state, &record, &asked, object.type_name)))
}

/// A type, as introspection shows it; null where there is none.
pub(super) fn type_of(state: &State, field: &Field) -> Value {
    let name = field.text("name").unwrap_or_default();
    let mut fields = Vec::new();
    let mut inputs = Vec::new();
    for object in &OBJECTS {
        for (known, holds, writable) in object.fields {
            let described = state.described.get(&(object.list.to_owned(), (*known).to_owned()));
            if described == Some(&None) {
                continue;
            }
            let kind = schema::type_of(*holds);
            if object.type_name == name {
                fields.push(json!({"name": known, "type": kind}));
            }
            if *writable && object.inputs.contains(&name) {
                inputs.push(json!({"name": known, "type": kind}));
            }
        }
    }
    if fields.is_empty() && inputs.is_empty() {
        return Value::Null;
    }
    // What the rest of a type is asked for is shown whole.
    json!({"name": name, "fields": (!fields.is_empty()).then_some(fields), "inputFields": (!inputs.is_empty()).then_some(inputs)})
}

/// The metafields that are defined.
pub(super) fn definitions(field: &Field) -> Value {
    let owned =
        OBJECTS.iter().any(|object| !object.one.is_empty() && field.text("ownerType") == Some(object.owner));
    let nodes: Vec<Value> = METAFIELDS
        .iter()
        .filter(|_| owned)
        .filter_map(|(name, type_name, ..)| {
            let (namespace, key) = name.split_once('.')?;
            Some(json!({"namespace": namespace, "key": key, "name": key, "type": {"name": type_name}}))
        })
        .collect();
    json!({ "nodes": nodes })
}
