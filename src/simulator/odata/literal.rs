//! Literals of OData as they stand in a filter or a key, and how the values of records compare with them.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Version, Wrong};
use crate::simulator::value::{compare, number, text_of};

/// A value as a query writes it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::simulator) enum Literal {
    Null,
    Bool(bool),
    /// Every digit is kept.
    Number(Value),
    Text(String),
    /// In small letters.
    Guid(String),
    /// A day without a time.
    Day(String),
    /// Milliseconds since 1970.
    Moment(i64),
}

/// Whether a text has the shape of a GUID.
pub(in crate::simulator) fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// Milliseconds since 1970 of an ISO time with or without an offset (then universal time), of a day, or of the old form
/// `/Date(1700000000000+0000)/`.
pub(in crate::simulator) fn moment_of(text: &str) -> Option<i64> {
    if let Some(inner) = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")) {
        let end = inner.get(1..).and_then(|rest| rest.find(['+', '-'])).map_or(inner.len(), |at| at + 1);
        return inner.get(..end)?.parse().ok();
    }
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(stamp.as_millisecond());
    }
    let local = text.parse::<jiff::civil::DateTime>().ok();
    let local = local.or_else(|| text.parse::<jiff::civil::Date>().ok().map(Into::into))?;
    local.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

impl Literal {
    /// What a word without quotes stands for; `None` where it is a name.
    pub(super) fn of_word(version: Version, word: &str) -> Option<Literal> {
        match word {
            "null" => return Some(Literal::Null),
            "true" | "false" => return Some(Literal::Bool(word == "true")),
            _ => {}
        }
        if version == Version::V4 && is_guid(word) {
            return Some(Literal::Guid(word.to_lowercase()));
        }
        if !word.starts_with(|first: char| first.is_ascii_digit() || first == '-' || first == '+') {
            return None;
        }
        // The second version marks the kind of a number by a letter.
        let plain = if version == Version::V2 {
            word.strip_suffix(['M', 'm', 'L', 'l', 'D', 'd', 'F', 'f']).unwrap_or(word)
        } else {
            word
        };
        let digits = number(plain.strip_prefix('+').unwrap_or(plain));
        if digits.is_number() {
            return Some(Literal::Number(digits));
        }
        if version == Version::V2 {
            return None;
        }
        if word.parse::<jiff::civil::Date>().is_ok() && !word.contains('T') {
            return Some(Literal::Day(word.to_owned()));
        }
        // A moment needs its offset.
        word.parse::<jiff::Timestamp>().ok().map(|stamp| Literal::Moment(stamp.as_millisecond()))
    }

    /// What a quoted text stands for, behind its prefix (the second version's `datetime'…'`).
    pub(super) fn of_quoted(version: Version, prefix: &str, text: String) -> Result<Literal, Wrong> {
        let moment = || {
            let moment = moment_of(&text).map(Literal::Moment);
            moment.ok_or_else(|| Wrong::Syntax(format!("{text} is not a moment")))
        };
        match (version, prefix) {
            (_, "") => Ok(Literal::Text(text)),
            (Version::V2, "datetime" | "datetimeoffset") => moment(),
            (Version::V2, "guid") if is_guid(&text) => Ok(Literal::Guid(text.to_lowercase())),
            _ => Err(Wrong::Syntax(format!("{prefix}'{text}' is no literal"))),
        }
    }

    /// The text of a literal, as a key names a record.
    pub(in crate::simulator) fn text(&self) -> String {
        match self {
            Literal::Null => String::new(),
            Literal::Bool(flag) => flag.to_string(),
            Literal::Number(digits) => text_of(digits).unwrap_or_default(),
            Literal::Text(text) | Literal::Guid(text) | Literal::Day(text) => text.clone(),
            Literal::Moment(ms) => ms.to_string(),
        }
    }

    /// How a record's value compares with it; `None` where one of them is null or they are of different kinds.
    pub(super) fn compare(&self, value: &Value, folded: bool) -> Option<Ordering> {
        match (self, value) {
            (Literal::Null, _) | (_, Value::Null) => None,
            (Literal::Bool(flag), Value::Bool(found)) => Some(found.cmp(flag)),
            (Literal::Number(digits), Value::Number(_) | Value::String(_)) => compare(value, digits, true),
            (Literal::Text(text), Value::String(found)) if folded => {
                Some(found.to_lowercase().cmp(&text.to_lowercase()))
            }
            (Literal::Text(text), Value::String(found)) => Some(found.cmp(text)),
            (Literal::Guid(guid), Value::String(found)) => Some(found.to_lowercase().cmp(guid)),
            (Literal::Day(day), Value::String(found)) => {
                let of = |text: &str| text.parse::<jiff::civil::Date>().ok();
                Some(of(found)?.cmp(&of(day)?))
            }
            (Literal::Moment(ms), Value::String(found)) => Some(moment_of(found)?.cmp(ms)),
            (Literal::Moment(ms), Value::Number(found)) => Some(found.as_i64()?.cmp(ms)),
            _ => None,
        }
    }
}
