//! Spelling: values that a system stores in its own way, without anybody having edited them. Pure.

use serde_json::Value;

use crate::model::record::{canonical_number, same_value};

/// Whether `told` may be what a system made of `sent` by itself: blanks cut, other capitals, fewer decimals.
///
/// It says what is possible and not what happened, so nothing may be thrown away because of it. It answers one
/// question: whether a record that differs from what it was sent shows that somebody edited it.
pub fn respelled(sent: Option<&Value>, told: Option<&Value>, blank_is_null: bool) -> bool {
    if same_value(sent, told, blank_is_null) {
        return true;
    }
    let (Some(sent), Some(told)) = (sent, told) else { return false };
    match (text_of(sent), text_of(told)) {
        (Some(sent), Some(told)) => fewer_decimals(&sent, &told) || same_words(&sent, &told),
        _ => false,
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn same_words(sent: &str, told: &str) -> bool {
    let words = |text: &str| text.to_lowercase().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    words(sent) == words(told)
}

/// Rounded or cut off: less than one unit of the last decimal apart.
fn fewer_decimals(sent: &str, told: &str) -> bool {
    let (Some(sent), Some(told)) = (canonical_number(sent), canonical_number(told)) else { return false };
    let scale = |number: &(bool, String, i64)| number.2.min(0);
    let (fine, coarse) = (scale(&sent), scale(&told));
    if coarse <= fine {
        return false;
    }
    let units = |(negative, digits, exponent): (bool, String, i64)| -> Option<i128> {
        let shift = u32::try_from(exponent.checked_sub(fine)?).ok()?;
        let value = digits.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(shift)?)?;
        Some(if negative { -value } else { value })
    };
    let unit = u32::try_from(coarse - fine).ok().and_then(|shift| 10_i128.checked_pow(shift));
    match (units(sent), units(told), unit) {
        (Some(sent), Some(told), Some(unit)) => sent.abs_diff(told) < unit.unsigned_abs(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn may(sent: Value, told: Value) -> bool {
        respelled(Some(&sent), Some(&told), true)
    }

    #[test]
    fn what_a_system_does_by_itself_is_no_edit() {
        assert!(may(json!(" Acme  Ltd "), json!("ACME Ltd")));
        assert!(may(json!("33.04"), json!(33.0)));
        assert!(may(json!(2.25), json!("2.3")));
        assert!(may(json!(2.25), json!("2.2")));
        assert!(may(json!(-0.5), json!(0)));
        assert!(may(json!(""), Value::Null));
    }

    #[test]
    fn what_only_a_person_can_have_done_is_one() {
        assert!(!may(json!("Acme"), json!("Acme Ltd")));
        assert!(!may(json!("10"), json!("10.4")), "nothing becomes finer by itself");
        assert!(!may(json!(2.25), json!(3.3)));
        assert!(!may(json!(12), json!(13)));
        assert!(!may(json!("v1"), Value::Null));
        assert!(!may(Value::Null, json!("filled in")));
        assert!(!may(json!([1]), json!([2])));
    }

    #[test]
    fn numbers_of_any_length_do_not_break_it() {
        let long = "9".repeat(200);
        assert!(!may(json!(format!("{long}.5")), json!(long)));
        assert!(!may(json!("1e-99999999999999999999"), json!("1")));
    }
}
