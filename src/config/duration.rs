//! Durations and shares as people write them: `30s`, `1h`, `20%`.

use std::time::Duration;

use crate::model::binding::Allowance;

/// Reads `250ms`, `30s`, `5m`, `2h`, `1d`.
///
/// # Errors
/// A sentence that says which forms are understood.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let cure = || format!("\"{text}\" is not a duration; write for example 250ms, 30s, 5m, 2h or 1d");
    let number: u64 = number.parse().map_err(|_| cure())?;
    let millis = match unit.trim() {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => return Err(cure()),
    };
    millis.map(Duration::from_millis).ok_or_else(cure)
}

/// Reads a share between 0 and 1 from `20%` or `0.2`.
///
/// # Errors
/// A sentence that says which forms are understood.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    number
        .trim()
        .parse::<f64>()
        .ok()
        .map(|number| number / scale)
        .filter(|share| (0.0..1.0).contains(share))
        .ok_or_else(|| format!("\"{text}\" is not a share; write for example 20% (at least 0%, below 100%)"))
}

/// Reads what a guard allows: `20%`, `500`, or `off`.
///
/// # Errors
/// A sentence that says which forms are understood.
pub fn parse_allowance(value: &serde_json::Value) -> Result<Allowance, String> {
    let text = match value {
        serde_json::Value::Bool(false) => return Ok(Allowance::Unlimited),
        serde_json::Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    if text == "off" {
        return Ok(Allowance::Unlimited);
    }
    if let Ok(rows) = text.parse::<u64>() {
        return Ok(Allowance::Rows(rows));
    }
    if text.ends_with('%')
        && let Ok(share) = parse_share(&text)
    {
        return Ok(Allowance::Share(share));
    }
    Err("a guard allows a share below 100% (20%), a number of rows (500), or everything (off)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_shares_are_read_as_written() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert!(parse_duration("2 weeks").unwrap_err().contains("write for example"));
        assert!(parse_duration("99999999999999999999d").is_err());
        assert!(parse_duration("").is_err());
        assert_eq!(parse_share("20%"), Ok(0.2));
        assert!(parse_share("120%").is_err());
    }

    #[test]
    fn an_allowance_is_a_share_a_number_or_off() {
        use serde_json::json;
        assert_eq!(parse_allowance(&json!("20%")), Ok(Allowance::Share(0.2)));
        assert_eq!(parse_allowance(&json!(500)), Ok(Allowance::Rows(500)));
        assert_eq!(parse_allowance(&json!("off")), Ok(Allowance::Unlimited));
        assert_eq!(parse_allowance(&json!(false)), Ok(Allowance::Unlimited));
        for bad in [json!("120%"), json!(0.2), json!("many"), json!(true), json!(-1)] {
            assert!(parse_allowance(&bad).is_err(), "{bad}");
        }
    }
}
