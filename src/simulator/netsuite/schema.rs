//! Record types, their fields, and what is kept of a value. Records are kept in the words of the REST records; SuiteQL shows
//! the same fields in small letters, and every value as a text.

use serde_json::{Value, json};

use super::Refusal;
use crate::simulator::value::{number, round_decimal, text_of};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The greatest length.
    Text(usize),
    Whole,
    Number,
    Truth,
    Day,
    Moment,
    /// Another record, of this type.
    Reference(&'static str),
}

use Holds::{Day, Moment, Number, Reference, Text, Truth, Whole};

/// Name, what it holds, whether the API may write it.
pub(super) type Field = (&'static str, Holds, bool);

const CUSTOMER: [Field; 15] = [
    ("id", Whole, false),
    ("externalId", Text(255), true),
    ("entityId", Text(80), true),
    ("companyName", Text(83), true),
    ("email", Text(254), true),
    ("phone", Text(32), true),
    ("creditLimit", Number, true),
    ("isInactive", Truth, true),
    ("startDate", Day, true),
    ("subsidiary", Reference("subsidiary"), true),
    ("salesRep", Reference("employee"), true),
    ("comments", Text(4000), true),
    ("dateCreated", Moment, false),
    ("lastModifiedDate", Moment, false),
    // A custom field of the simulated account.
    ("custentity_seen", Moment, true),
];

const ITEM: [Field; 5] = [
    ("id", Whole, false),
    ("externalId", Text(255), true),
    ("itemId", Text(60), true),
    ("displayName", Text(60), true),
    ("lastModifiedDate", Moment, false),
];

const ORDER: [Field; 9] = [
    ("id", Whole, false),
    ("externalId", Text(255), true),
    ("tranId", Text(45), true),
    ("tranDate", Day, true),
    ("entity", Reference("customer"), true),
    ("memo", Text(999), true),
    ("otherRefNum", Text(45), true),
    ("createdDate", Moment, false),
    ("lastModifiedDate", Moment, false),
];

const LINE: [Field; 5] = [
    ("line", Whole, false),
    ("item", Reference("nonInventoryItem"), true),
    ("quantity", Number, true),
    ("rate", Number, true),
    ("description", Text(4000), true),
];

/// The sublist of an order's lines.
pub(super) const LINES: &str = "item";

/// The fields of a type; `None` where there is no such type.
pub(super) fn fields(object: &str) -> Option<&'static [Field]> {
    match object {
        "customer" => Some(&CUSTOMER),
        "salesOrder" => Some(&ORDER),
        "nonInventoryItem" => Some(&ITEM),
        LINES => Some(&LINE),
        _ => None,
    }
}

/// A field by the name of the REST records, or by that of SuiteQL.
pub(super) fn field(object: &str, name: &str) -> Option<&'static Field> {
    fields(object)?.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name))
}

/// A moment as the API shows it: whole seconds.
pub(super) fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What is kept of a value. A reference is kept by its id.
pub(super) fn kept(name: &str, holds: Holds, value: &Value) -> Result<Value, Refusal> {
    if value.is_null() || value == "" {
        return Ok(Value::Null);
    }
    let wrong = || {
        Refusal::content(
            name,
            format!("Invalid value for the resource or sub-resource field '{name}'. Provide a valid value."),
        )
    };
    if let Reference(_) = holds {
        let id = value.get("id").and_then(text_of).ok_or_else(wrong)?;
        return if id.parse::<u64>().is_ok() { Ok(json!(id)) } else { Err(wrong()) };
    }
    let text = text_of(value).ok_or_else(wrong)?;
    Ok(match holds {
        Text(_) if !value.is_string() => return Err(wrong()),
        Text(most) if text.chars().count() > most => {
            return Err(Refusal::content(
                name,
                format!(
                    "The field {name} contained more than the maximum number ( {most} ) of characters allowed."
                ),
            ));
        }
        Text(_) => json!(text),
        Whole | Number | Reference(_) if !value.is_number() => return Err(wrong()),
        Whole | Reference(_) => value.clone(),
        Number => number(round_decimal(&text, 2).ok_or_else(wrong)?.as_str()),
        Truth if value.is_boolean() => value.clone(),
        Truth => return Err(wrong()),
        Day => json!(text.parse::<jiff::civil::Date>().map_err(|_| wrong())?.to_string()),
        Moment => json!(moment(text.parse::<jiff::Timestamp>().map_err(|_| wrong())?.as_millisecond())),
    })
}
