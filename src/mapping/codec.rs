//! Codecs: native conversions between a column's form and a field's.
//!
//! A row is *encoded* to the record's form before the two are compared. So what the remote cannot hold
//! (microseconds, say) is gone on both sides and never looks like a change.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Number, Value};

use crate::config::file::{Codec, CodecName};
use crate::model::record::truth;

/// What a column holds, as far as a codec must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Date,
    /// `timestamp`: a civil time without zone.
    Timestamp,
    /// `timestamptz`: an instant.
    Instant,
    Boolean,
    /// `character(n)`: blanks at the end stand for nothing, and Postgres fills them up again.
    Padded,
    Other,
}

impl ColumnKind {
    /// From the type's name as `format_type` writes it.
    pub fn of(type_name: &str) -> Self {
        match type_name {
            "date" => Self::Date,
            "boolean" => Self::Boolean,
            name if name.starts_with("timestamp") && name.ends_with("with time zone") => Self::Instant,
            name if name.starts_with("timestamp") => Self::Timestamp,
            name if name.starts_with("character(") => Self::Padded,
            _ => Self::Other,
        }
    }
}

/// A codec, ready to use.
#[derive(Debug, Clone)]
pub enum Conversion {
    Same,
    Text,
    DecimalString,
    EpochMs,
    EpochMsDay(TimeZone),
    ListOfOne,
    /// (value that means true, value that means false)
    Flag(&'static str, &'static str),
    Date {
        format: String,
        zone: TimeZone,
    },
    Enum(Vec<(String, Value)>),
}

impl Conversion {
    /// Makes a codec from the configuration.
    ///
    /// # Errors
    /// A sentence when the zone or the date form is not known.
    pub fn new(codec: Option<&Codec>) -> Result<Self, String> {
        let zone = |name: &str| {
            TimeZone::get(name)
                .map_err(|_| format!("\"{name}\" is not a time zone; write for example Asia/Shanghai"))
        };
        Ok(match codec {
            None => Self::Same,
            Some(Codec::Name(CodecName::Text)) => Self::Text,
            Some(Codec::Name(CodecName::DecimalString)) => Self::DecimalString,
            Some(Codec::Name(CodecName::EpochMs)) => Self::EpochMs,
            Some(Codec::Name(CodecName::EpochMsShanghaiDay)) => Self::EpochMsDay(zone("Asia/Shanghai")?),
            Some(Codec::Name(CodecName::ListOfOne)) => Self::ListOfOne,
            Some(Codec::Name(CodecName::OneZero)) => Self::Flag("1", "0"),
            Some(Codec::Name(CodecName::UsableForbidden)) => Self::Flag("A", "B"),
            Some(Codec::Enum(pairs)) => {
                Self::Enum(pairs.iter().map(|(column, field)| (column.clone(), field.clone())).collect())
            }
            Some(Codec::Date { format, zone: name }) => {
                let zone = zone(name.as_deref().unwrap_or("UTC"))?;
                let probe = Zoned::new(Timestamp::UNIX_EPOCH, zone.clone());
                jiff::fmt::strtime::format(format, &probe)
                    .map_err(|error| format!("the date form \"{format}\" is not understood: {error}"))?;
                Self::Date { format: format.clone(), zone }
            }
        })
    }

    /// A column's value in the field's form.
    ///
    /// # Errors
    /// A sentence that says what the value should have been; it does not repeat the value.
    pub fn encode(&self, value: &Value) -> Result<Value, String> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        match self {
            Self::Same => Ok(value.clone()),
            Self::Text | Self::DecimalString => Ok(Value::from(plain_text(value))),
            Self::ListOfOne => Ok(Value::Array(vec![value.clone()])),
            Self::Flag(yes, no) => match value {
                Value::Bool(true) => Ok(Value::from(*yes)),
                Value::Bool(false) => Ok(Value::from(*no)),
                _ => Err("the column must be a boolean for this codec".to_owned()),
            },
            Self::Enum(pairs) => {
                let text = plain_text(value);
                pairs
                    .iter()
                    .find(|(column, _)| *column == text)
                    .map(|(_, field)| field.clone())
                    .ok_or_else(|| format!("the value is none of {}", names(pairs)))
            }
            Self::EpochMs => {
                let instant = moment(value, &TimeZone::UTC)?;
                Ok(Value::Number(Number::from(instant.timestamp().as_millisecond())))
            }
            Self::EpochMsDay(zone) => {
                let day = moment(value, zone)?.start_of_day().map_err(|error| error.to_string())?;
                Ok(Value::Number(Number::from(day.timestamp().as_millisecond())))
            }
            Self::Date { format, zone } => jiff::fmt::strtime::format(format, &moment(value, zone)?)
                .map(Value::from)
                .map_err(|error| error.to_string()),
        }
    }

    /// A field's value in the column's form.
    ///
    /// # Errors
    /// A sentence that says what the value should have been; it does not repeat the value.
    pub fn decode(&self, value: &Value, kind: ColumnKind) -> Result<Value, String> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        match self {
            Self::Same if kind == ColumnKind::Boolean => Ok(boolean(value)),
            Self::Same | Self::DecimalString => Ok(value.clone()),
            Self::Text => Ok(Value::from(plain_text(value))),
            Self::ListOfOne => match value {
                Value::Array(items) => match items.as_slice() {
                    [] => Ok(Value::Null),
                    [one] => Ok(one.clone()),
                    _ => Err(format!("the remote sent a list of {} where one was expected", items.len())),
                },
                other => Ok(other.clone()),
            },
            Self::Flag(yes, no) => match value {
                Value::Bool(flag) => Ok(Value::Bool(*flag)),
                Value::String(text) if text == yes => Ok(Value::Bool(true)),
                Value::String(text) if text == no => Ok(Value::Bool(false)),
                _ => Err(format!("the remote's value is neither \"{yes}\" nor \"{no}\"")),
            },
            Self::Enum(pairs) => pairs
                .iter()
                .find(|(_, field)| crate::model::record::same_value(Some(field), Some(value), false))
                .map(|(column, _)| Value::from(column.as_str()))
                .ok_or_else(|| format!("the remote's value stands for none of {}", names(pairs))),
            Self::EpochMs | Self::EpochMsDay(_) => {
                let zone = if let Self::EpochMsDay(zone) = self { zone.clone() } else { TimeZone::UTC };
                let ms = plain_text(value)
                    .parse::<i64>()
                    .map_err(|_| "the remote's value is not a number of milliseconds".to_owned())?;
                let instant = Timestamp::from_millisecond(ms).map_err(|error| error.to_string())?;
                Ok(column_text(&instant.to_zoned(zone), kind))
            }
            Self::Date { format, zone } => {
                let text = plain_text(value);
                if text.is_empty() {
                    return Ok(Value::Null);
                }
                let broken = jiff::fmt::strtime::parse(format, &text)
                    .map_err(|_| format!("the remote's value is not a date of the form \"{format}\""))?;
                let civil = broken
                    .to_datetime()
                    .or_else(|_| broken.to_date().map(DateTime::from))
                    .map_err(|error| error.to_string())?;
                let zoned = civil.to_zoned(zone.clone()).map_err(|error| error.to_string())?;
                Ok(column_text(&zoned, kind))
            }
        }
    }
}

/// The 1 or 0 of a system whose database has no booleans as one; anything else is left for Postgres to judge.
fn boolean(value: &Value) -> Value {
    match value {
        Value::Number(number) => truth(number).map_or_else(|| value.clone(), Value::Bool),
        other => other.clone(),
    }
}

fn names(pairs: &[(String, Value)]) -> String {
    pairs.iter().map(|(column, _)| column.as_str()).collect::<Vec<_>>().join(", ")
}

pub(super) fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn column_text(moment: &Zoned, kind: ColumnKind) -> Value {
    match kind {
        ColumnKind::Date => Value::from(moment.date().to_string()),
        ColumnKind::Timestamp => Value::from(moment.datetime().to_string()),
        ColumnKind::Instant | ColumnKind::Boolean | ColumnKind::Padded | ColumnKind::Other => {
            Value::from(moment.timestamp().to_string())
        }
    }
}

/// A column's date or time as Postgres writes it in JSON.
fn moment(value: &Value, zone: &TimeZone) -> Result<Zoned, String> {
    let text = value.as_str().ok_or("the column must be a date or timestamp for this codec")?;
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant.to_zoned(zone.clone()));
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(DateTime::from))
        .map_err(|_| "the column must be a finite date or timestamp for this codec".to_owned())?;
    civil.to_zoned(zone.clone()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn date(format: &str, zone: &str) -> Conversion {
        Conversion::new(Some(&Codec::Date { format: format.to_owned(), zone: Some(zone.to_owned()) }))
            .unwrap()
    }

    #[test]
    fn values_go_there_and_back() {
        let cases = [
            (Conversion::DecimalString, ColumnKind::Other, json!("31.50"), json!("31.50")),
            (
                Conversion::EpochMs,
                ColumnKind::Instant,
                json!("2023-11-14T22:13:20Z"),
                json!(1_700_000_000_000_i64),
            ),
            (
                date("%Y-%m-%d %H:%M:%S", "Asia/Shanghai"),
                ColumnKind::Instant,
                json!("2026-03-01T02:11:12Z"),
                json!("2026-03-01 10:11:12"),
            ),
            (date("%Y-%m-%d", "Asia/Shanghai"), ColumnKind::Date, json!("2026-03-01"), json!("2026-03-01")),
            (Conversion::Flag("1", "0"), ColumnKind::Other, json!(true), json!("1")),
            (Conversion::ListOfOne, ColumnKind::Other, json!("1000"), json!(["1000"])),
            (
                Conversion::Enum(vec![("gold".into(), json!("1"))]),
                ColumnKind::Other,
                json!("gold"),
                json!("1"),
            ),
        ];
        for (codec, kind, column, field) in cases {
            assert_eq!(codec.encode(&column), Ok(field.clone()), "{codec:?}");
            assert_eq!(codec.decode(&field, kind), Ok(column), "{codec:?}");
            assert_eq!(codec.encode(&Value::Null), Ok(Value::Null));
            assert_eq!(codec.decode(&Value::Null, kind), Ok(Value::Null));
        }
    }

    #[test]
    fn what_the_remote_cannot_hold_is_gone_on_both_sides() {
        let codec = date("%Y-%m-%d %H:%M:%S", "Asia/Shanghai");
        let fine = codec.encode(&json!("2026-03-01T02:11:12.654321+00:00"));
        assert_eq!(fine, codec.encode(&json!("2026-03-01T02:11:12+00:00")));
    }

    #[test]
    fn a_day_in_shanghai_begins_at_sixteen_hundred_utc() {
        let day = Conversion::new(Some(&Codec::Name(CodecName::EpochMsShanghaiDay))).unwrap();
        let ms = day.encode(&json!("2026-03-01")).unwrap();
        assert_eq!(day.decode(&ms, ColumnKind::Date), Ok(json!("2026-03-01")));
        assert_eq!(ms, json!(1_772_294_400_000_i64));
    }

    #[test]
    fn a_boolean_column_takes_one_and_zero_for_what_they_mean() {
        let column = |value| Conversion::Same.decode(&value, ColumnKind::Boolean);
        for (field, expected) in
            [(json!(1), json!(true)), (json!(0), json!(false)), (json!(true), json!(true))]
        {
            assert_eq!(column(field), Ok(expected));
        }
        assert_eq!(column(json!(2)), Ok(json!(2)), "Postgres says what is wrong with it");
        assert_eq!(Conversion::Same.decode(&json!(1), ColumnKind::Other), Ok(json!(1)));
    }

    #[test]
    fn numbers_keep_their_digits_as_text() {
        let number: Value = serde_json::from_str("1234567890123456789012345678.90").unwrap();
        assert_eq!(Conversion::DecimalString.encode(&number), Ok(json!("1234567890123456789012345678.90")));
    }

    #[test]
    fn bad_values_are_errors_with_a_cure() {
        assert!(Conversion::EpochMs.encode(&json!("infinity")).is_err());
        assert!(Conversion::EpochMs.decode(&json!("soon"), ColumnKind::Instant).is_err());
        assert!(Conversion::ListOfOne.decode(&json!(["a", "b"]), ColumnKind::Other).is_err());
        assert!(
            Conversion::new(Some(&Codec::Date { format: "%Y".into(), zone: Some("Mars/One".into()) }))
                .is_err()
        );
    }
}
