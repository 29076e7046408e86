//! Values as the server keeps them: local time, decimals, references, texts in several languages.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    INVALID, Refusal,
    forms::{Form, Holds, member},
};
use crate::simulator::value::{number, round_decimal, text_of};

/// Servers stand in China and send local time without an offset.
fn zone() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(8))
}

/// Epoch milliseconds as the server writes them.
pub(super) fn local_text(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(moment) => moment.to_zoned(zone()).datetime().to_string(),
        Err(_) => String::new(),
    }
}

/// Epoch milliseconds of a server's text.
pub(super) fn stamp_of(text: &str) -> Option<i64> {
    let moment: DateTime = text.trim().parse().ok()?;
    Some(moment.to_zoned(zone()).ok()?.timestamp().as_millisecond())
}

/// Whether a list is one text in several languages.
pub(super) fn is_multi_language(values: &[Value]) -> bool {
    values.iter().all(|value| value.get("Key").is_some() && value.get("Value").is_some())
}

/// What the system keeps of a value; `None` is nothing.
pub(super) fn kept(form: &Form, key: &str, value: &Value) -> Result<Option<Value>, Refusal> {
    let refuse = || Refusal::new(INVALID, key, format!("字段{key}的值不正确"));
    let value = match value {
        Value::Array(languages) if is_multi_language(languages) => {
            let chinese = languages.iter().find(|value| value.get("Key") == Some(&json!(2052)));
            chinese.or(languages.first()).and_then(|value| value.get("Value")).cloned().unwrap_or(Value::Null)
        }
        other => other.clone(),
    };
    let text = text_of(&value).map(|text| text.trim().to_owned());
    if value.is_null() || text.as_deref() == Some("") {
        return Ok(None);
    }
    if let Value::Object(reference) = &value {
        let number = member(reference, "FNumber").map(|(_, value)| value).or(reference.values().next());
        let number = number.and_then(text_of).map(|text| text.trim().to_owned());
        return Ok(number.filter(|number| !number.is_empty()).map(|number| json!({ "FNumber": number })));
    }
    let Some((_, _, holds)) = form.field(key) else {
        return Ok(match value {
            Value::String(_) => text.map(Value::String),
            other => Some(other),
        });
    };
    let text = text.ok_or_else(refuse)?;
    Ok(Some(match holds {
        Holds::Text => Value::String(text),
        Holds::Decimal(scale) => number(&round_decimal(&text, *scale).ok_or_else(refuse)?),
        Holds::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => json!(true),
            "false" | "0" => json!(false),
            _ => return Err(refuse()),
        },
        Holds::Date => {
            let moment: DateTime = text.parse().map_err(|_| refuse())?;
            json!(format!("{}T00:00:00", moment.date()))
        }
        Holds::DateTime => json!(text.parse::<DateTime>().map_err(|_| refuse())?.to_string()),
        Holds::Base(_) => json!({ "FNumber": text }),
    }))
}
