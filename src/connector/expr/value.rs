//! Between JSON values and jq values, by hand: a number crosses as its text, so that it keeps every digit.

use jaq_json::{Map, Num, Val};
use serde_json::Value;

/// The deepest nesting that an expression may yield.
const DEEPEST: usize = 200;

/// A JSON value as a jq value.
pub(super) fn to_jq(value: &Value) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(bool) => Val::Bool(*bool),
        Value::Number(number) => number_to_jq(&number.to_string()),
        Value::String(text) => Val::from(text.clone()),
        Value::Array(items) => items.iter().map(to_jq).collect(),
        Value::Object(map) => {
            let entries = map.iter().map(|(name, value)| (Val::from(name.clone()), to_jq(value)));
            Val::obj(entries.collect::<Map>())
        }
    }
}

fn number_to_jq(text: &str) -> Val {
    match Num::from_str_radix(text, 10) {
        Some(whole) => Val::Num(whole),
        None => Val::Num(Num::Dec(text.to_owned().into())),
    }
}

/// A jq value as a JSON value.
pub(super) fn from_jq(value: &Val) -> Result<Value, String> {
    convert(value, 0)
}

fn convert(value: &Val, depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err("its value is nested too deeply".to_owned());
    }
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(bool) => Value::Bool(*bool),
        Val::Num(number) => {
            let text = number.to_string();
            // Not a number and the infinities have no JSON form.
            serde_json::from_str::<serde_json::Number>(&text)
                .map(Value::Number)
                .map_err(|_| "its value is a number that JSON cannot hold".to_owned())?
        }
        Val::TStr(bytes) | Val::BStr(bytes) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
        Val::Arr(items) => {
            Value::Array(items.iter().map(|item| convert(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        Val::Obj(map) => {
            let mut object = serde_json::Map::with_capacity(map.len());
            for (name, value) in map.iter() {
                let name = match name {
                    Val::TStr(bytes) | Val::BStr(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    _ => return Err("its value is an object with a key that is not text".to_owned()),
                };
                object.insert(name, convert(value, depth + 1)?);
            }
            Value::Object(object)
        }
    })
}

/// The message of an error without the values that jq puts into it: they are values of records.
pub(super) fn without_values(error: &jaq_core::Error<Val>) -> String {
    let text = error.to_string();
    let after = |separator: &str| text.rsplit_once(separator).map_or("", |(_, end)| end).to_owned();
    if text.starts_with("cannot use ") {
        format!("a value cannot be used as {}", after(" as "))
    } else if text.starts_with("cannot calculate ") {
        "cannot calculate with values of these kinds".to_owned()
    } else if text.starts_with("cannot index ") {
        "a value cannot be indexed that way".to_owned()
    } else if text.starts_with("invalid path expression") {
        "this is no path that can be assigned to".to_owned()
    } else if text.starts_with("\"cannot parse") || text.starts_with("cannot parse") {
        "a text cannot be parsed".to_owned()
    } else {
        text.trim_matches('"').chars().take(300).collect()
    }
}
