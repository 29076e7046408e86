//! `Retry-After`, in both of its forms.

use std::time::Duration;

use jiff::Timestamp;

/// The longest wait that is believed; a remote with a broken clock may ask for years.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long to wait: seconds, or an HTTP date measured against `now_ms` (milliseconds since 1970).
pub fn parse_retry_after(text: &str, now_ms: i64) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0)
            .then(|| Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST));
    }
    let until = parse_http_date(text)?;
    let millis = u64::try_from(until.saturating_sub(now_ms)).unwrap_or(0);
    Some(Duration::from_millis(millis).min(LONGEST))
}

/// An HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`) as milliseconds since 1970.
pub fn parse_http_date(text: &str) -> Option<i64> {
    let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Timestamp::from(zoned).as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_understood() {
        let now = parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        assert_eq!(now, 784_111_777_000);
        assert_eq!(parse_retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(parse_retry_after("0.5", now), Some(Duration::from_millis(500)));
        let dated = parse_retry_after("Sun, 06 Nov 1994 08:50:07 GMT", now);
        assert_eq!(dated, Some(Duration::from_secs(30)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("1e300", now), Some(LONGEST));
        assert_eq!(parse_retry_after("soon", now), None);
        assert_eq!(parse_retry_after("-1", now), None);
    }
}
