//! Field values as the remote systems keep and compare them.

use std::cmp::Ordering;

use serde_json::Value;

/// Rounds a decimal number, half away from zero, to exactly `scale` digits after the point.
///
/// `None` where the text is no number, or one so large that no real system would take it.
pub(super) fn round_decimal(text: &str, scale: usize) -> Option<String> {
    let text = text.trim();
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => {
            let (mantissa, exponent) = unsigned.split_at(at);
            (mantissa, exponent.get(1..)?.parse::<i32>().ok()?)
        }
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if digits.is_empty()
        || digits.len() > 400
        || !digits.iter().all(u8::is_ascii_digit)
        || exponent.abs() > 400
    {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let digit = |place: i32| -> u8 {
        usize::try_from(place).ok().and_then(|place| digits.get(place)).map_or(0, |digit| digit - b'0')
    };
    let scale_places = i32::try_from(scale).ok()?;
    let last = point.checked_add(scale_places)?;
    let mut kept: Vec<u8> = (point.min(0)..last).map(digit).collect();
    // The digit at `last` decides the rounding; one leading zero takes the carry.
    kept.insert(0, 0);
    if digit(last) >= 5 {
        for place in kept.iter_mut().rev() {
            if *place == 9 {
                *place = 0;
            } else {
                *place += 1;
                break;
            }
        }
    }
    let text: String = kept.iter().map(|digit| char::from(digit + b'0')).collect();
    let (whole, fraction) = text.split_at(text.len().saturating_sub(scale));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let zero = whole == "0" && fraction.bytes().all(|digit| digit == b'0');
    let sign = if negative && !zero { "-" } else { "" };
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// A JSON number with these digits.
pub(super) fn number(digits: &str) -> Value {
    serde_json::from_str(digits).unwrap_or(Value::Null)
}

/// A number's or a text's characters; `None` for anything else.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Compares two values: as numbers where both read as numbers and `numeric` is set (or one is a JSON number),
/// else as texts.
pub(super) fn compare(left: &Value, right: &Value, numeric: bool) -> Option<Ordering> {
    if let (Value::String(left), Value::String(right), false) = (left, right, numeric) {
        return Some(left.cmp(right));
    }
    let (left, right) = (text_of(left)?, text_of(right)?);
    match (integer(&left), integer(&right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => match (left.parse::<f64>(), right.parse::<f64>()) {
            (Ok(l), Ok(r)) => match l.partial_cmp(&r) {
                // Closer than a double can tell: the digits decide.
                Some(Ordering::Equal) => Some(digits(&left).cmp(&digits(&right))),
                other => other,
            },
            _ => Some(left.cmp(&right)),
        },
    }
}

fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn digits(text: &str) -> String {
    round_decimal(text, 30).unwrap_or_else(|| text.to_owned())
}

/// Epoch milliseconds of a JSON number or a text of digits.
pub(super) fn millis_of(value: &Value) -> Option<i64> {
    text_of(value)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn decimals_are_rounded_half_away_from_zero_with_every_digit() {
        for (text, scale, rounded) in [
            ("1.005", 2, "1.01"),
            ("-1.005", 2, "-1.01"),
            ("999.999", 2, "1000.00"),
            ("0.004", 2, "0.00"),
            ("-0.004", 2, "0.00"),
            ("1e3", 2, "1000.00"),
            ("5e-3", 2, "0.01"),
            ("5e-4", 2, "0.00"),
            ("12345678901234567890123.455", 2, "12345678901234567890123.46"),
            (".5", 0, "1"),
            ("7", 0, "7"),
        ] {
            assert_eq!(round_decimal(text, scale).as_deref(), Some(rounded), "{text}");
        }
        for text in ["", "abc", "1.2.3", "1e999999999", "--1", "."] {
            assert_eq!(round_decimal(text, 2), None, "{text}");
        }
    }

    #[test]
    fn numbers_compare_by_value_and_texts_by_their_characters() {
        assert_eq!(compare(&json!("9"), &json!("10"), true), Some(Ordering::Less));
        assert_eq!(compare(&json!("9"), &json!("10"), false), Some(Ordering::Greater));
        assert_eq!(compare(&json!(1.50), &json!("1.5"), false), Some(Ordering::Equal));
        assert_eq!(compare(&json!([]), &json!(1), false), None);
    }
}
