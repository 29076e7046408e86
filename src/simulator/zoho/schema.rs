//! Modules, fields, and what is kept of a value.

use jiff::{Timestamp, civil::Date};
use serde_json::{Value, json};

use crate::simulator::value::{number, round_decimal, text_of};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The data type and the greatest length.
    Text(&'static str, usize),
    Boolean,
    /// The data type and the digits after the point.
    Number(&'static str, usize),
    Date,
    DateTime,
    /// The module that is looked up.
    Lookup(&'static str),
    Owner,
    Id,
    /// Rows of their own, known by ids: a subform.
    Lines,
}

impl Holds {
    pub(super) fn data_type(self) -> &'static str {
        match self {
            Holds::Text(name, _) | Holds::Number(name, _) => name,
            Holds::Boolean => "boolean",
            Holds::Date => "date",
            Holds::DateTime => "datetime",
            Holds::Lookup(_) => "lookup",
            Holds::Owner => "ownerlookup",
            Holds::Id => "bigint",
            Holds::Lines => "subform",
        }
    }
}

use Holds::{Boolean, Date as Day, DateTime, Id, Lines, Lookup, Number, Owner, Text};

/// Name, what it holds, whether only the system writes it, whether it is unique.
pub(super) type Field = (&'static str, Holds, bool, bool);

const SHARED: [Field; 6] = [
    ("id", Id, true, false),
    ("Owner", Owner, false, false),
    ("Created_Time", DateTime, true, false),
    ("Modified_Time", DateTime, true, false),
    // Custom fields of the simulated organisation.
    ("Rowtwin_Attempt", Text("text", 255), false, true),
    ("Seen", DateTime, false, false),
];

const ACCOUNTS: [Field; 9] = [
    ("Account_Name", Text("text", 200), false, false),
    ("Customer_No", Text("text", 255), false, true),
    ("Phone", Text("phone", 30), false, false),
    ("Website", Text("website", 450), false, false),
    ("Description", Text("textarea", 32_000), false, false),
    ("Annual_Revenue", Number("currency", 2), false, false),
    ("Employees", Number("integer", 0), false, false),
    ("Since", Day, false, false),
    ("Parent_Account", Lookup("Accounts"), false, false),
];

const CONTACTS: [Field; 6] = [
    ("Last_Name", Text("text", 80), false, false),
    ("First_Name", Text("text", 40), false, false),
    ("Email", Text("email", 100), false, true),
    ("Phone", Text("phone", 30), false, false),
    ("Email_Opt_Out", Boolean, false, false),
    ("Account_Name", Lookup("Accounts"), false, false),
];

const PRODUCTS: [Field; 5] = [
    ("Product_Name", Text("text", 200), false, false),
    ("Product_Code", Text("text", 40), false, false),
    ("Description", Text("textarea", 32_000), false, false),
    ("Unit_Price", Number("currency", 2), false, false),
    ("Product_Active", Boolean, false, false),
];

const SALES_ORDERS: [Field; 5] = [
    ("Subject", Text("text", 120), false, false),
    ("Account_Name", Lookup("Accounts"), false, false),
    ("Due_Date", Day, false, false),
    ("Description", Text("textarea", 32_000), false, false),
    (ORDERED, Lines, false, false),
];

/// The lines of a sales order.
pub(super) const ORDERED: &str = "Ordered_Items";

const ORDERED_ITEMS: [Field; 4] = [
    ("Product_Name", Lookup("Products"), false, false),
    ("Quantity", Number("double", 2), false, false),
    ("List_Price", Number("currency", 2), false, false),
    ("Description", Text("textarea", 2_000), false, false),
];

pub(super) const MODULES: [(&str, &[Field], &str); 4] = [
    ("Accounts", &ACCOUNTS, "Account_Name"),
    ("Contacts", &CONTACTS, "Last_Name"),
    ("Products", &PRODUCTS, "Product_Name"),
    ("Sales_Orders", &SALES_ORDERS, "Subject"),
];

/// The field that a record of a module cannot be without.
pub(super) fn required(module: &str) -> Option<&'static str> {
    MODULES.iter().find(|(name, ..)| *name == module).map(|(.., required)| *required)
}

/// All fields of a module, or of its lines; empty where there is no such module.
pub(super) fn fields(module: &str) -> Vec<&'static Field> {
    if module == ORDERED {
        return ORDERED_ITEMS.iter().collect();
    }
    match MODULES.iter().find(|(name, ..)| *name == module) {
        Some((_, own, _)) => own.iter().chain(SHARED.iter()).collect(),
        None => Vec::new(),
    }
}

/// A field by its name.
pub(super) fn field(module: &str, name: &str) -> Option<&'static Field> {
    fields(module).into_iter().find(|(known, ..)| *known == name)
}

/// A moment in the organisation's own offset: whole seconds, no fraction.
pub(super) fn stamp_text(ms: i64) -> String {
    let stamp = Timestamp::from_millisecond(ms).unwrap_or_default();
    let zone = jiff::tz::offset(8).to_time_zone();
    stamp.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A moment with its offset; with a fraction of a second it is none.
pub(super) fn stamp_of(text: &str) -> Option<i64> {
    if text.contains('.') {
        return None;
    }
    let stamp: Timestamp = text.parse().ok()?;
    Some(stamp.as_millisecond())
}

/// Why a value is refused: the details of the error.
pub(super) type Unfit = Value;

/// What the system keeps of a value; null is nothing.
pub(super) fn kept(name: &str, holds: Holds, value: &Value) -> Result<Value, Unfit> {
    let wrong = || json!({"api_name": name, "expected_data_type": holds.data_type()});
    if value.is_null() {
        return Ok(if holds == Boolean { json!(false) } else { Value::Null });
    }
    Ok(match (holds, value) {
        (Text(_, longest), Value::String(text)) => {
            let text = text.trim();
            if text.chars().count() > longest {
                return Err(json!({"api_name": name, "maximum_length": longest}));
            }
            if text.is_empty() { Value::Null } else { json!(text) }
        }
        (Boolean, Value::Bool(_)) => value.clone(),
        (Number(_, scale), Value::Number(given)) => {
            number(&round_decimal(&given.to_string(), scale).ok_or_else(wrong)?)
        }
        (Day, Value::String(text)) => json!(text.parse::<Date>().map_err(|_| wrong())?.to_string()),
        (DateTime, Value::String(text)) => json!(stamp_text(stamp_of(text).ok_or_else(wrong)?)),
        // An id alone, or the object that a read shows.
        (Lookup(_) | Owner, _) => {
            let id = value.get("id").unwrap_or(value);
            let id =
                text_of(id).filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())).ok_or_else(wrong)?;
            json!({ "id": id })
        }
        _ => return Err(wrong()),
    })
}
