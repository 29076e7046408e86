//! The methods of models. Each call is one transaction: of many records all are written, or none.

use serde_json::{Map, Value, json};

use super::{
    Failure, domain,
    models::{self, Holds, field, kept, millis, stored},
};
use crate::{
    model::record::Record,
    simulator::{state::State, table::Row},
};

type Formed = Vec<(String, Value)>;

fn validation(said: impl Into<String>) -> Failure {
    Failure::of(422, "odoo.exceptions.ValidationError", said)
}

fn missing(model: &str, id: i64) -> Failure {
    let said = format!("Record does not exist or has been deleted.\n(Record: {model}({id},), User: 2)");
    Failure::of(404, "odoo.exceptions.MissingError", said)
}

/// A change of lines that a write brings along.
struct Command {
    field: &'static str,
    line: Value,
}

fn formed(
    state: &mut State,
    model: &str,
    vals: &Map<String, Value>,
) -> Result<(Formed, Vec<Command>), Failure> {
    let (mut formed, mut commands) = (Vec::new(), Vec::new());
    for (name, value) in vals {
        let Some((name, holds, _)) = field(model, name) else {
            let said = format!("Invalid field '{name}' in '{model}'");
            return Err(Failure::of(500, "builtins.ValueError", said));
        };
        if matches!(*name, "id" | "create_date" | "write_date") {
            continue;
        }
        if let Holds::Many(..) = holds {
            let lines = value.as_array().cloned().unwrap_or_default();
            commands.extend(lines.into_iter().map(|line| Command { field: name, line }));
            continue;
        }
        let value = kept(name, *holds, value)?;
        if let (Holds::One(target), Some(id)) = (holds, value.as_i64())
            && state.table(target).get(&id.to_string()).is_none()
        {
            let said = format!("insert or update on table violates foreign key constraint of {name}");
            return Err(Failure::of(500, "psycopg2.errors.ForeignKeyViolation", said));
        }
        // The module for tax numbers refuses what is none; its rule is a looser one here.
        if *name == "vat" && value.as_str().is_some_and(|vat| vat.len() > 20 || vat.contains(' ')) {
            return Err(validation("The VAT number does not seem to be valid."));
        }
        formed.push(((*name).to_owned(), value));
    }
    Ok((formed, commands))
}

pub(super) fn put(state: &mut State, model: &str, id: i64, fields: Record) {
    let stamp = fields.get("write_date").and_then(Value::as_str).and_then(millis).unwrap_or_default();
    let refers = match (model, fields.get("order_id").and_then(Value::as_i64)) {
        ("sale.order.line", Some(order)) => vec![format!("order_id={order}")],
        _ => Vec::new(),
    };
    state.put_record(model, Row { id: id.to_string(), stamp, fields, refers });
}

fn touch(state: &State, record: &mut Record) {
    record.insert("write_date".to_owned(), json!(stored(state.now_ms())));
}

/// Makes a record of values that are formed already, and gives its id.
pub(super) fn make(state: &mut State, model: &str, fields: Formed) -> i64 {
    let serial = i64::try_from(state.next_serial()).unwrap_or(i64::MAX);
    let id =
        fields.iter().find(|(name, _)| name == "id").and_then(|(_, id)| id.as_i64()).unwrap_or(serial + 10);
    let mut record = Record::new();
    record.insert("id".to_owned(), json!(id));
    for (name, holds, _) in models::fields(model) {
        let none = match holds {
            Holds::Boolean => json!(*name == "active" || *name == "sale_ok"),
            Holds::Integer | Holds::Float(_) => json!(0),
            Holds::Many(..) => continue,
            _ => json!(false),
        };
        record.entry(*name).or_insert(none);
    }
    record.insert("create_date".to_owned(), json!(stored(state.now_ms())));
    touch(state, &mut record);
    if model == "sale.order" {
        record.insert("name".to_owned(), json!(format!("S{id:05}")));
        record.insert("state".to_owned(), json!("draft"));
        record.insert("date_order".to_owned(), json!(stored(state.now_ms())));
    }
    record.extend(fields);
    put(state, model, id, record);
    id
}

/// Changes values that are formed already; false where there is no such record.
pub(super) fn change(state: &mut State, model: &str, id: i64, fields: Formed) -> bool {
    let Some(mut record) = state.table(model).get(&id.to_string()).map(|row| row.fields.clone()) else {
        return false;
    };
    touch(state, &mut record);
    record.extend(fields);
    put(state, model, id, record);
    true
}

/// The ids of an order's lines, in the order in which they were made.
pub(super) fn lines(state: &mut State, order: i64) -> Vec<i64> {
    let reference = format!("order_id={order}");
    let rows = state.table("sale.order.line").referring(&reference);
    rows.filter_map(|row| row.id.parse().ok()).collect()
}

/// Removes a record without a trace, an order with its lines.
pub(super) fn discard(state: &mut State, model: &str, id: i64) -> bool {
    if model == "sale.order" {
        for line in lines(state, id) {
            state.remove_record("sale.order.line", &line.to_string());
        }
    }
    state.remove_record(model, &id.to_string())
}

fn obey(state: &mut State, model: &str, id: i64, commands: Vec<Command>) -> Result<(), Failure> {
    for Command { field: name, line } in commands {
        let Some((_, Holds::Many(target, back), _)) = field(model, name) else { continue };
        let parts = line.as_array().cloned().unwrap_or_default();
        let number = |at: usize| parts.get(at).and_then(Value::as_i64).unwrap_or(-1);
        let vals = parts.get(2).and_then(Value::as_object).cloned().unwrap_or_default();
        match number(0) {
            0 => {
                let mut vals = vals;
                vals.insert((*back).to_owned(), json!(id));
                create_one(state, target, &vals)?;
            }
            1 => write_one(state, target, number(1), &vals)?,
            2 => {
                if !discard(state, target, number(1)) {
                    return Err(missing(target, number(1)));
                }
            }
            5 => {
                for line in lines(state, id) {
                    discard(state, target, line);
                }
            }
            other => {
                return Err(Failure::of(
                    500,
                    "builtins.ValueError",
                    format!("command {other} is not for lines"),
                ));
            }
        }
    }
    Ok(())
}

fn create_one(state: &mut State, model: &str, vals: &Map<String, Value>) -> Result<i64, Failure> {
    let (formed, commands) = formed(state, model, vals)?;
    for (name, _, required) in models::fields(model) {
        let given = formed.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        if *required && given.is_none_or(|value| *value == json!(false)) {
            let said = format!("Missing required value for the field '{name}' ({name}).");
            return Err(validation(said));
        }
    }
    let id = make(state, model, formed);
    obey(state, model, id, commands)?;
    Ok(id)
}

fn write_one(state: &mut State, model: &str, id: i64, vals: &Map<String, Value>) -> Result<(), Failure> {
    if state.table(model).get(&id.to_string()).is_none() {
        return Err(missing(model, id));
    }
    let (formed, commands) = formed(state, model, vals)?;
    for (name, value) in &formed {
        if *value == json!(false)
            && field(model, name).is_some_and(|(_, holds, required)| *required && *holds != Holds::Boolean)
        {
            return Err(validation(format!("Missing required value for the field '{name}' ({name}).")));
        }
    }
    change(state, model, id, formed);
    obey(state, model, id, commands)
}

/// Does all of it or nothing: what was done before a failure is taken back.
fn whole<T>(state: &mut State, work: impl FnOnce(&mut State) -> Result<T, Failure>) -> Result<T, Failure> {
    let before: Vec<(String, Vec<Row>)> = models::MODELS
        .iter()
        .map(|(model, _)| ((*model).to_owned(), state.table(model).rows().cloned().collect()))
        .collect();
    let result = work(state);
    if result.is_err() {
        for (model, rows) in before {
            let table = state.table(&model);
            let now: Vec<String> = table.rows().map(|row| row.id.clone()).collect();
            for id in now {
                table.remove(&id);
            }
            for row in rows {
                table.put(row);
            }
        }
    }
    result
}

pub(super) fn create(state: &mut State, model: &str, vals: &Value) -> Result<Vec<i64>, Failure> {
    let list: Vec<Map<String, Value>> = match vals {
        Value::Array(list) => list.iter().filter_map(|one| one.as_object().cloned()).collect(),
        Value::Object(one) => vec![one.clone()],
        _ => return Err(Failure::of(422, "builtins.TypeError", "missing a required argument: 'vals_list'")),
    };
    whole(state, |state| list.iter().map(|vals| create_one(state, model, vals)).collect())
}

pub(super) fn write(state: &mut State, model: &str, ids: &[i64], vals: &Value) -> Result<(), Failure> {
    let vals = vals.as_object();
    let vals =
        vals.ok_or_else(|| Failure::of(422, "builtins.TypeError", "missing a required argument: 'vals'"))?;
    whole(state, |state| ids.iter().try_for_each(|id| write_one(state, model, *id, vals)))
}

pub(super) fn unlink(state: &mut State, model: &str, ids: &[i64]) -> Result<(), Failure> {
    if let Some(id) = ids.iter().find(|id| state.table(model).get(&id.to_string()).is_none()) {
        return Err(missing(model, *id));
    }
    for id in ids {
        discard(state, model, *id);
    }
    Ok(())
}

/// A record as reading shows it: pairs for what it names, moments without their fraction.
pub(super) fn shown(
    state: &mut State,
    model: &str,
    record: &Record,
    names: &[String],
) -> Result<Value, Failure> {
    let id = record.get("id").cloned().unwrap_or(Value::Null);
    let mut shown = Map::new();
    shown.insert("id".to_owned(), id.clone());
    let all: Vec<String> = models::fields(model).iter().map(|(name, ..)| (*name).to_owned()).collect();
    for name in if names.is_empty() { &all } else { names } {
        let Some((name, holds, _)) = field(model, name) else {
            let said = format!("Invalid field '{name}' on '{model}'");
            return Err(Failure::of(500, "builtins.ValueError", said));
        };
        let value = record.get(*name).cloned().unwrap_or(json!(false));
        let value = match (holds, &value) {
            (Holds::DateTime, Value::String(text)) => json!(text.get(..19)),
            (Holds::One(target), Value::Number(id)) => {
                let named =
                    state.table(target).get(&id.to_string()).and_then(|row| row.fields.get("name").cloned());
                json!([value, named.unwrap_or(json!(""))])
            }
            (Holds::Many(..), _) => json!(lines(state, id.as_i64().unwrap_or_default())),
            _ => value,
        };
        shown.insert((*name).to_owned(), value);
    }
    Ok(Value::Object(shown))
}

/// The records that a search finds, in its order. Archived ones are left out unless the context says otherwise.
pub(super) fn search(
    state: &mut State,
    model: &str,
    given: &Map<String, Value>,
) -> Result<Vec<Record>, Failure> {
    let none = Vec::new();
    let terms = given.get("domain").and_then(Value::as_array).unwrap_or(&none);
    let context = given.get("context");
    let all = context.and_then(|context| context.get("active_test")) == Some(&json!(false))
        || terms.iter().any(|term| term.get(0) == Some(&json!("active")));
    let records: Vec<Record> = state.table(model).rows().map(|row| row.fields.clone()).collect();
    let of_lines = model == "sale.order" && Value::Array(terms.clone()).to_string().contains("order_line.");
    let mut found = Vec::new();
    for record in records {
        let archived = record.get("active") == Some(&json!(false));
        let mut seen = record.clone();
        if of_lines {
            let ids = lines(state, record.get("id").and_then(Value::as_i64).unwrap_or_default());
            let table = state.table("sale.order.line");
            let rows = ids.iter().filter_map(|id| table.get(&id.to_string()));
            let rows: Vec<Value> = rows.map(|row| Value::Object(row.fields.clone())).collect();
            seen.insert("order_line".to_owned(), Value::Array(rows));
        }
        if (all || !archived) && domain::takes(model, terms, &seen)? {
            found.push(record);
        }
    }
    if given.get("order").and_then(Value::as_str).is_some_and(|order| order.trim().ends_with("desc")) {
        found.reverse();
    }
    let count = |name: &str| given.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let limit = count("limit").unwrap_or(usize::MAX);
    Ok(found.into_iter().skip(count("offset").unwrap_or(0)).take(limit).collect())
}

/// The description of a model's fields.
pub(super) fn fields_get(state: &State, model: &str) -> Value {
    let mut described = Map::new();
    for (name, holds, required) in models::fields(model) {
        let kind = match state.described.get(&(model.to_owned(), (*name).to_owned())) {
            Some(None) => continue,
            Some(Some(kind)) => kind.as_str(),
            None => holds.type_name(),
        };
        let by_system = matches!(*name, "id" | "create_date" | "write_date");
        described.insert(
            (*name).to_owned(),
            json!({"string": name, "type": kind, "required": required, "readonly": by_system, "store": true}),
        );
    }
    Value::Object(described)
}
