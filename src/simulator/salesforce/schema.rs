//! Objects, fields, ids, and what is kept of a value.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use super::Refusal;
use crate::simulator::value::{number, round_decimal, text_of};

/// What a field holds, in the words of a describe where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The describe's type and the greatest length.
    Text(&'static str, usize),
    Email,
    Boolean,
    /// The describe's type and the digits after the point.
    Number(&'static str, usize),
    Date,
    DateTime,
    /// The object that is referred to.
    Reference(&'static str),
    Id,
}

impl Holds {
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Holds::Text(name, _) | Holds::Number(name, _) => name,
            Holds::Email => "email",
            Holds::Boolean => "boolean",
            Holds::Date => "date",
            Holds::DateTime => "datetime",
            Holds::Reference(_) => "reference",
            Holds::Id => "id",
        }
    }
}

use Holds::{Boolean, Date as Day, DateTime, Email, Id, Number, Reference, Text};

/// Who may write a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// The API, at any time.
    Always,
    /// The API, when the record is made.
    Once,
    /// The system alone.
    Never,
}

use Written::{Always, Never, Once};

/// Name, what it holds, who writes it.
pub(super) type Field = (&'static str, Holds, Written);

const SHARED: [Field; 9] = [
    ("Id", Id, Never),
    ("IsDeleted", Boolean, Never),
    ("CreatedDate", DateTime, Never),
    ("CreatedById", Reference("User"), Never),
    ("LastModifiedDate", DateTime, Never),
    ("LastModifiedById", Reference("User"), Never),
    ("SystemModstamp", DateTime, Never),
    // Custom fields of the simulated organisation; both are unique external ids.
    ("External_Key__c", Text("string", 255), Always),
    ("Rowtwin_Attempt__c", Text("string", 255), Always),
];

const ACCOUNT: [Field; 14] = [
    ("Name", Text("string", 255), Always),
    ("AccountNumber", Text("string", 40), Always),
    ("Phone", Text("phone", 40), Always),
    ("Website", Text("url", 255), Always),
    ("Industry", Text("picklist", 255), Always),
    ("Description", Text("textarea", 32_000), Always),
    ("AnnualRevenue", Number("currency", 2), Always),
    ("NumberOfEmployees", Number("int", 0), Always),
    ("BillingStreet", Text("textarea", 255), Always),
    ("BillingCity", Text("string", 40), Always),
    ("ParentId", Reference("Account"), Always),
    ("OwnerId", Reference("User"), Always),
    ("Since__c", Day, Always),
    ("Seen__c", DateTime, Always),
];

const CONTACT: [Field; 8] = [
    ("FirstName", Text("string", 40), Always),
    ("LastName", Text("string", 80), Always),
    ("Name", Text("string", 121), Never),
    ("Email", Email, Always),
    ("Phone", Text("phone", 40), Always),
    ("HasOptedOutOfEmail", Boolean, Always),
    ("AccountId", Reference("Account"), Always),
    ("OwnerId", Reference("User"), Always),
];

const PRODUCT: [Field; 5] = [
    ("Name", Text("string", 255), Always),
    ("ProductCode", Text("string", 255), Always),
    ("Description", Text("textarea", 4_000), Always),
    ("Family", Text("picklist", 255), Always),
    ("IsActive", Boolean, Always),
];

const PRICE_BOOK: [Field; 3] = [
    ("Name", Text("string", 255), Always),
    ("IsActive", Boolean, Always),
    ("Description", Text("string", 255), Always),
];

const PRICE: [Field; 4] = [
    ("Pricebook2Id", Reference("Pricebook2"), Once),
    ("Product2Id", Reference("Product2"), Once),
    ("UnitPrice", Number("currency", 2), Always),
    ("IsActive", Boolean, Always),
];

const ORDER: [Field; 10] = [
    ("AccountId", Reference("Account"), Always),
    ("EffectiveDate", Day, Always),
    ("Status", Text("picklist", 255), Always),
    ("StatusCode", Text("picklist", 255), Never),
    ("OrderNumber", Text("string", 30), Never),
    ("PoNumber", Text("string", 80), Always),
    ("Description", Text("textarea", 32_000), Always),
    ("Pricebook2Id", Reference("Pricebook2"), Always),
    ("TotalAmount", Number("currency", 2), Never),
    ("OwnerId", Reference("User"), Always),
];

const ORDER_ITEM: [Field; 6] = [
    ("OrderId", Reference("Order"), Once),
    ("PricebookEntryId", Reference("PricebookEntry"), Once),
    ("Product2Id", Reference("Product2"), Never),
    ("Quantity", Number("double", 2), Always),
    ("UnitPrice", Number("currency", 2), Always),
    ("Description", Text("string", 255), Always),
];

/// Object, the beginning of its ids, its own fields, and those that it cannot be made without.
type Known = (&'static str, &'static str, &'static [Field], &'static [&'static str]);

pub(super) const KNOWN: [Known; 7] = [
    ("Account", "001", &ACCOUNT, &["Name"]),
    ("Contact", "003", &CONTACT, &["LastName"]),
    ("Product2", "01t", &PRODUCT, &["Name"]),
    ("Pricebook2", "01s", &PRICE_BOOK, &["Name"]),
    ("PricebookEntry", "01u", &PRICE, &["Pricebook2Id", "Product2Id", "UnitPrice"]),
    ("Order", "801", &ORDER, &["AccountId", "EffectiveDate", "Status"]),
    ("OrderItem", "802", &ORDER_ITEM, &["OrderId", "PricebookEntryId", "Quantity", "UnitPrice"]),
];

const CUSTOM: [Field; 2] = [("Name", Text("string", 80), Always), ("OwnerId", Reference("User"), Always)];

/// What is known of an object: its own name, the beginning of its ids, its fields, what it needs.
pub(super) fn object(
    name: &str,
) -> Option<(String, &'static str, &'static [Field], &'static [&'static str])> {
    let preset = KNOWN.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
    match preset {
        Some((known, prefix, fields, required)) => Some(((*known).to_owned(), prefix, fields, required)),
        None if name.ends_with("__c") => Some((name.to_owned(), "a00", &CUSTOM, &[])),
        None => None,
    }
}

/// All fields of an object, its own first.
pub(super) fn fields(name: &str) -> impl Iterator<Item = &'static Field> {
    let own = object(name).map_or(&[] as &[Field], |(_, _, fields, _)| fields);
    own.iter().chain(SHARED.iter())
}

/// A field by its name in any case, with its own spelling. A custom field that nobody has declared holds a text.
pub(super) fn field(object: &str, name: &str) -> Option<(String, Holds, Written)> {
    let known = fields(object).find(|(known, ..)| known.eq_ignore_ascii_case(name));
    match known {
        Some((known, holds, written)) => Some(((*known).to_owned(), *holds, *written)),
        None if name.ends_with("__c") => Some((name.to_owned(), Text("string", 255), Always)),
        None => None,
    }
}

/// Whether two records may not have the same value in this field.
pub(super) fn is_unique(name: &str) -> bool {
    matches!(name, "External_Key__c" | "Rowtwin_Attempt__c")
}

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The id of the record with this number: 15 characters in the order of creation, and the three that make their case
/// superfluous.
pub(super) fn new_id(prefix: &str, serial: u64) -> String {
    let mut digits = Vec::new();
    let mut rest = serial;
    while digits.len() < 10 {
        let digit = usize::try_from(rest % 62).unwrap_or_default();
        digits.push(char::from(DIGITS.get(digit).copied().unwrap_or(b'0')));
        rest /= 62;
    }
    let digits: String = digits.into_iter().rev().collect();
    long_id(&format!("{prefix}5g{digits}"))
}

/// An id in its long form; what is no id of 15 characters stays as it is.
pub(super) fn long_id(id: &str) -> String {
    if id.len() != 15 || !id.is_ascii() {
        return id.to_owned();
    }
    let suffix = id.as_bytes().chunks(5).map(|chunk| {
        let bits = chunk.iter().enumerate().filter(|(_, byte)| byte.is_ascii_uppercase());
        let at: usize = bits.map(|(place, _)| 1 << place).sum();
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345".get(at).copied().unwrap_or(b'A'))
    });
    id.chars().chain(suffix).collect()
}

/// A moment as the API writes it: whole seconds, an offset without a colon.
pub(super) fn stamp_text(ms: i64) -> String {
    let stamp = Timestamp::from_millisecond(ms.div_euclid(1000) * 1000).unwrap_or_default();
    stamp.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string()
}

/// A moment as anybody may write it to the API.
pub(super) fn stamp_of(text: &str) -> Option<i64> {
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Some(stamp.as_millisecond());
    }
    ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M:%S%z"]
        .iter()
        .find_map(|form| Timestamp::strptime(form, text).ok())
        .map(|stamp| stamp.as_millisecond())
}

/// What the system keeps of a value; null is nothing.
pub(super) fn kept(name: &str, holds: Holds, value: &Value) -> Result<Value, Refusal> {
    let wrong = || {
        let message = format!("Cannot deserialize instance of {} from {name}", holds.type_name());
        Refusal::of(400, "JSON_PARSER_ERROR", message).naming(name)
    };
    if value.is_null() {
        // A boolean is never null.
        return if holds == Boolean { Err(wrong()) } else { Ok(Value::Null) };
    }
    let text = text_of(value).ok_or_else(wrong)?.trim().to_owned();
    if text.is_empty() && holds != Boolean {
        return Ok(Value::Null);
    }
    Ok(match holds {
        Text(_, longest) => {
            if text.chars().count() > longest {
                let message = format!("{name}: data value too large: (max length={longest})");
                return Err(Refusal::of(400, "STRING_TOO_LONG", message).naming(name));
            }
            Value::String(text)
        }
        Email if !text.contains('@') => {
            let message = format!("{name}: invalid email address: {text}");
            return Err(Refusal::of(400, "INVALID_EMAIL_ADDRESS", message).naming(name));
        }
        Email => Value::String(text),
        Boolean => match value {
            Value::Bool(_) => value.clone(),
            _ => return Err(wrong()),
        },
        Number(_, scale) => number(&round_decimal(&text, scale).ok_or_else(wrong)?),
        Day => Value::String(text.parse::<Date>().map_err(|_| wrong())?.to_string()),
        DateTime => json!(stamp_text(stamp_of(&text).ok_or_else(wrong)?)),
        Reference(_) | Id => {
            let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !plain || !matches!(text.len(), 15 | 18) {
                let message = format!("{name}: id value of incorrect type: {text}");
                return Err(Refusal::of(400, "MALFORMED_ID", message).naming(name));
            }
            Value::String(long_id(&text))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_form_of_an_id_is_the_one_that_is_published() {
        // A pair of ids of one record, from a real organisation's published page.
        assert_eq!(long_id("001A0000006Vm9u"), "001A0000006Vm9uIAC");
        assert_eq!(long_id("001A0000006Vm9uIAC"), "001A0000006Vm9uIAC");
        assert!(new_id("001", 9) < new_id("001", 10) && new_id("001", 61) < new_id("001", 62));
    }

    #[test]
    fn a_moment_is_read_in_each_of_its_forms() {
        for text in ["2026-03-01T10:11:12Z", "2026-03-01T11:11:12.000+0100", "2026-03-01T10:11:12.000+00:00"]
        {
            let ms = stamp_of(text).unwrap();
            assert_eq!(stamp_text(ms), "2026-03-01T10:11:12.000+0000", "{text}");
        }
    }
}
