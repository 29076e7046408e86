//! Objects and their properties. Every value is a text, or nothing.

use serde_json::{Value, json};

use crate::simulator::value::text_of;

/// What a property holds, in the words of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Email,
    Number,
    Bool,
    Date,
    DateTime,
}

impl Holds {
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Holds::Text | Holds::Email => "string",
            Holds::Number => "number",
            Holds::Bool => "bool",
            Holds::Date => "date",
            Holds::DateTime => "datetime",
        }
    }
}

use Holds::{Bool, Date, DateTime, Email, Number, Text};

/// Name, what it holds, whether only the system writes it, whether no two records may have the same value.
pub(super) type Property = (&'static str, Holds, bool, bool);

const SHARED: [Property; 5] = [
    ("hs_object_id", Number, true, true),
    ("createdate", DateTime, true, false),
    // Custom properties of the simulated account.
    ("external_key", Text, false, true),
    ("rowtwin_attempt", Text, false, true),
    ("seen", DateTime, false, false),
];

const COMPANIES: [Property; 7] = [
    ("hs_lastmodifieddate", DateTime, true, false),
    ("name", Text, false, false),
    ("domain", Text, false, false),
    ("phone", Text, false, false),
    ("annualrevenue", Number, false, false),
    ("numberofemployees", Number, false, false),
    ("founded", Date, false, false),
];

const CONTACTS: [Property; 6] = [
    ("lastmodifieddate", DateTime, true, false),
    ("email", Email, false, true),
    ("firstname", Text, false, false),
    ("lastname", Text, false, false),
    ("phone", Text, false, false),
    ("hs_email_optout", Bool, false, false),
];

const DEALS: [Property; 5] = [
    ("hs_lastmodifieddate", DateTime, true, false),
    ("dealname", Text, false, false),
    ("dealstage", Text, false, false),
    ("amount", Number, false, false),
    ("closedate", DateTime, false, false),
];

const PRODUCTS: [Property; 4] = [
    ("hs_lastmodifieddate", DateTime, true, false),
    ("name", Text, false, false),
    ("hs_sku", Text, false, true),
    ("price", Number, false, false),
];

const OWN: [(&str, &[Property]); 4] =
    [("companies", &COMPANIES), ("contacts", &CONTACTS), ("deals", &DEALS), ("products", &PRODUCTS)];

/// The properties of an object; `None` where there is no such object.
pub(super) fn properties(object: &str) -> Option<Vec<&'static Property>> {
    let (_, own) = OWN.iter().find(|(name, _)| *name == object)?;
    Some(own.iter().chain(SHARED.iter()).collect())
}

pub(super) fn property(object: &str, name: &str) -> Option<&'static Property> {
    properties(object)?.into_iter().find(|(known, ..)| *known == name)
}

/// The property that holds when a record was last changed: contacts have a name of their own for it.
pub(super) fn stamp_of(object: &str) -> &'static str {
    if object == "contacts" { "lastmodifieddate" } else { "hs_lastmodifieddate" }
}

/// A moment: milliseconds are left out where there are none.
pub(super) fn moment(ms: i64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    let form = if ms.rem_euclid(1000) == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.3fZ" };
    stamp.strftime(form).to_string()
}

/// A moment as it is written to the API: ISO, or milliseconds since 1970.
pub(super) fn millis(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().or_else(|| text.parse::<jiff::Timestamp>().ok().map(|t| t.as_millisecond()))
}

/// What is kept of a value, or the code and the words of the refusal. An empty text clears.
pub(super) fn kept(name: &str, holds: Holds, value: &Value) -> Result<Value, (&'static str, String)> {
    let wrong = |code: &'static str| (code, format!("{name}: the value was not valid"));
    let Some(text) = text_of(value) else {
        return Err(wrong("INVALID_JSON_VALUE"));
    };
    if text.is_empty() {
        return Ok(Value::Null);
    }
    Ok(match holds {
        Text if text.chars().count() > 65_536 || (name == "phone" && text.chars().count() > 40) => {
            return Err(wrong("PROPERTY_VALUE_TOO_LONG"));
        }
        Text => json!(text),
        Email if !text.contains('@') => return Err(wrong("INVALID_EMAIL")),
        Email => json!(text.to_lowercase()),
        // A number keeps the text in which it was written.
        Number if text.parse::<f64>().is_err() => return Err(wrong("INVALID_LONG")),
        Number => json!(text),
        Bool if text != "true" && text != "false" => return Err(wrong("INVALID_BOOLEAN")),
        Bool => json!(text),
        Date => {
            const DAY: i64 = 86_400_000;
            let day = match text.parse::<i64>() {
                // Only midnight in universal time is a date.
                Ok(ms) if ms.rem_euclid(DAY) == 0 => moment(ms).get(..10).map(str::to_owned),
                Ok(_) => None,
                Err(_) => text.parse::<jiff::civil::Date>().ok().map(|date| date.to_string()),
            };
            json!(day.ok_or_else(|| wrong("INVALID_DATE"))?)
        }
        DateTime => json!(moment(millis(&text).ok_or_else(|| wrong("INVALID_DATE"))?)),
    })
}
