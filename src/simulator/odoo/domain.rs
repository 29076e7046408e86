//! Domains: conditions in prefix form, as lists.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::{
    Failure,
    models::{Holds, field, millis},
};
use crate::{
    model::record::Record,
    simulator::value::{compare, text_of},
};

fn wrong(said: impl Into<String>) -> Failure {
    Failure::of(500, "builtins.ValueError", said)
}

/// Whether a domain takes a record. Terms that no operator joins must all hold.
pub(super) fn takes(model: &str, domain: &[Value], record: &Record) -> Result<bool, Failure> {
    let mut rest = domain;
    let mut all = true;
    while !rest.is_empty() {
        let (held, after) = term(model, rest, record)?;
        all &= held;
        rest = after;
    }
    Ok(all)
}

fn term<'a>(model: &str, domain: &'a [Value], record: &Record) -> Result<(bool, &'a [Value]), Failure> {
    let (first, rest) = domain.split_first().ok_or_else(|| wrong("Domain is not complete"))?;
    match first {
        Value::String(sign) if sign == "!" => {
            let (held, rest) = term(model, rest, record)?;
            Ok((!held, rest))
        }
        Value::String(sign) if sign == "&" || sign == "|" => {
            let (left, rest) = term(model, rest, record)?;
            let (right, rest) = term(model, rest, record)?;
            Ok((if sign == "&" { left && right } else { left || right }, rest))
        }
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(name), Value::String(operator), value] => {
                Ok((leaf(model, name, operator, value, record)?, rest))
            }
            _ => Err(wrong("Domain() invalid item in domain")),
        },
        _ => Err(wrong("Domain() invalid item in domain")),
    }
}

/// A value as it is compared: moments by their milliseconds.
fn comparable(holds: Holds, value: &Value) -> Value {
    match (holds, value) {
        (Holds::DateTime, Value::String(text)) => millis(text).map_or(Value::Null, |ms| json!(ms)),
        (Holds::Boolean, Value::Bool(flag)) => json!(i32::from(*flag)),
        (_, Value::Bool(false)) => Value::Null,
        (_, other) => other.clone(),
    }
}

fn leaf(model: &str, name: &str, operator: &str, value: &Value, record: &Record) -> Result<bool, Failure> {
    if let Some((head, tail)) = name.split_once('.') {
        let Some((_, Holds::Many(target, _), _)) = field(model, head) else {
            return Err(wrong(format!("Invalid field {model}.{name} in condition")));
        };
        // One of the lines, which the search has put into the record, is enough.
        for line in record.get(head).and_then(Value::as_array).into_iter().flatten() {
            if let Value::Object(line) = line
                && leaf(target, tail, operator, value, line)?
            {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let known = field(model, name);
    let (_, holds, _) = known.ok_or_else(|| wrong(format!("Invalid field {model}.{name} in condition")))?;
    let found = comparable(*holds, record.get(name).unwrap_or(&Value::Null));
    let same = |other: &Value| {
        let other = comparable(*holds, other);
        match (found.is_null(), other.is_null()) {
            (true, true) => true,
            (false, false) => compare(&found, &other, false) == Some(Ordering::Equal),
            _ => false,
        }
    };
    let order = || {
        let given = comparable(*holds, value);
        if found.is_null() || given.is_null() { None } else { compare(&found, &given, false) }
    };
    let among = || value.as_array().is_some_and(|list| list.iter().any(same));
    let folded = |value: &Value| text_of(value).unwrap_or_default().to_lowercase();
    Ok(match operator {
        "=" => same(value),
        "!=" => !same(value),
        "in" => among(),
        "not in" => !among(),
        "<" => order() == Some(Ordering::Less),
        "<=" => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
        ">" => order() == Some(Ordering::Greater),
        ">=" => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
        "ilike" => !found.is_null() && folded(&found).contains(&folded(value)),
        _ => return Err(wrong(format!("Invalid operator {operator}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_hold_as_they_are_written() {
        let record = json!({"id": 7, "name": "Acme", "ref": false, "active": true, "write_date": "2026-03-01 10:11:12.345"});
        let record = record.as_object().unwrap();
        for (domain, whether) in [
            (json!([]), true),
            (json!([["name", "=", "Acme"], ["id", ">", 6]]), true),
            (json!(["|", ["name", "=", "x"], ["id", "in", [7, 8]]]), true),
            (json!(["|", "&", ["name", "=", "Acme"], ["id", "=", 1], ["ref", "=", "y"]]), false),
            (json!(["!", ["ref", "=", false]]), false),
            (json!([["write_date", ">", "2026-03-01 10:11:12"]]), true),
            (json!([["write_date", "=", "2026-03-01 10:11:12"]]), false),
            (json!([["active", "=", true], ["name", "ilike", "CM"]]), true),
        ] {
            assert_eq!(
                takes("res.partner", domain.as_array().unwrap(), record).unwrap(),
                whether,
                "{domain}"
            );
        }
        assert!(takes("res.partner", &[json!(["nme", "=", 1])], record).is_err());
        assert!(takes("res.partner", &[json!("&"), json!(["id", "=", 1])], record).is_err());
    }
}
