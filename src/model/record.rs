//! Records: the fields of one remote record, in the remote's own names and forms.

use serde_json::Value;

/// The fields of a record by name, in the order in which the remote sent them (order matters to some systems).
pub type Record = serde_json::Map<String, Value>;

/// A record as it was read from a remote, with what the connector found in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RemoteRecord {
    /// The remote's identity of the record, as text.
    pub id: String,
    /// What the remote calls its version (an ETag, a counter, a stamp); opaque, compared for equality only.
    pub version: Option<String>,
    /// When the remote says the record was last modified: milliseconds since 1970, UTC.
    pub modified_ms: Option<i64>,
    /// The name by which other records refer to this one (a number, a code), where that is not the id.
    pub reference: Option<String>,
    /// True when the remote reports this record as deleted (a tombstone or an invalidated record).
    pub deleted: bool,
    /// Where the record stands, where its object has a lifecycle and the answer told.
    pub stage: Option<String>,
    /// All fields that were read, mapped or not.
    pub fields: Record,
}

/// A member of a JSON object; null where there is none, or where the value is no object.
pub fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// Whether two field values mean the same.
///
/// Numbers are compared by value whatever their spelling (`1.50`, `1.5`, `15e-1`), to any number of digits. A
/// null and an absent field are the same; where `blank_is_null` is set (most systems store an empty text as
/// nothing) so is the empty text. A number and a text that spells the same number are the same too: many systems
/// answer a number that was sent with its text, and without this the two sides would rewrite each other for ever.
/// For the same reason a boolean is the same as the 1 or 0 that systems without booleans in their database answer.
pub fn same_value(left: Option<&Value>, right: Option<&Value>, blank_is_null: bool) -> bool {
    let left = present(left, blank_is_null);
    let right = present(right, blank_is_null);
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => same_present(left, right, blank_is_null),
        _ => false,
    }
}

fn present(value: Option<&Value>, blank_is_null: bool) -> Option<&Value> {
    match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if blank_is_null && text.is_empty() => None,
        other => other,
    }
}

fn same_present(left: &Value, right: &Value, blank_is_null: bool) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.to_string(), right.to_string());
            left == right || canonical_number(&left) == canonical_number(&right)
        }
        (Value::Number(number), Value::String(text)) | (Value::String(text), Value::Number(number)) => {
            canonical_number(text).is_some_and(|text| Some(text) == canonical_number(&number.to_string()))
        }
        (Value::Bool(flag), Value::Number(number)) | (Value::Number(number), Value::Bool(flag)) => {
            truth(number) == Some(*flag)
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(l, r)| same_value(Some(l), Some(r), blank_is_null))
        }
        (Value::Object(left), Value::Object(right)) => left
            .keys()
            .chain(right.keys().filter(|name| !left.contains_key(*name)))
            .all(|name| same_value(left.get(name), right.get(name), blank_is_null)),
        _ => left == right,
    }
}

/// The boolean that a 1 or a 0 stands for.
pub fn truth(number: &serde_json::Number) -> Option<bool> {
    let number = canonical_number(&number.to_string());
    if number == canonical_number("1") {
        Some(true)
    } else if number == canonical_number("0") {
        Some(false)
    } else {
        None
    }
}

/// A decimal number as (negative, digits without leading or trailing zeros, exponent of the last digit).
///
/// Returns `None` for text that is not a JSON number; two such texts then compare equal only when identical,
/// because the caller compared the texts first.
pub fn canonical_number(text: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some((false, "0".to_owned(), 0));
    }
    let trimmed = significant.trim_end_matches('0');
    let dropped = i64::try_from(significant.len() - trimmed.len()).ok()?;
    let scale = i64::try_from(fraction.len()).ok()?;
    let exponent = exponent.checked_sub(scale)?.checked_add(dropped)?;
    Some((negative, trimmed.to_owned(), exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn same(left: Value, right: Value) -> bool {
        same_value(Some(&left), Some(&right), true)
    }

    #[test]
    fn numbers_are_compared_by_value_and_keep_every_digit() {
        let number = |text: &str| serde_json::from_str::<Value>(text).expect("a JSON number");
        assert!(same(number("1.50"), number("1.5")));
        assert!(same(number("15e-1"), number("1.500")));
        assert!(same(number("-0"), number("0.000")));
        assert!(same(number("100"), number("1e2")));
        assert!(!same(number("1234567890123456789012345678.90"), number("1234567890123456789012345678.91")));
        assert!(!same(number("1"), number("-1")));
    }

    #[test]
    fn null_absent_and_blank_are_the_same_where_the_remote_says_so() {
        assert!(same_value(None, Some(&Value::Null), false));
        assert!(same_value(None, Some(&json!("")), true));
        assert!(!same_value(None, Some(&json!("")), false));
        assert!(!same_value(None, Some(&json!(0)), true));
        assert!(same_value(Some(&json!("9.50")), Some(&json!(9.5)), true));
        assert!(!same_value(Some(&json!("x1")), Some(&json!(1)), true));
    }

    #[test]
    fn a_boolean_is_the_one_or_zero_that_stands_for_it() {
        assert!(same(json!(true), json!(1)) && same(json!(0), json!(false)));
        assert!(
            !same(json!(true), json!(0)) && !same(json!(true), json!(2)) && !same(json!(false), Value::Null)
        );
        assert!(!same(json!(true), json!("true")));
    }

    #[test]
    fn nested_values_are_compared_inside() {
        assert!(same(json!({"a": 1.0, "b": null}), json!({"a": 1})));
        assert!(same(json!([{"FNumber": "X"}]), json!([{"FNumber": "X"}])));
        assert!(!same(json!(["1000", "1001"]), json!(["1001", "1000"])));
    }
}
