//! Durations and shares as people write them: `30s`, `1h`, `20%`.

use std::time::Duration;

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
}
