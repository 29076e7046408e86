//! Tables and columns, and what is kept of a value.

use serde_json::{Value, json};

use super::Refusal;
use crate::simulator::{
    odata::is_guid,
    value::{number, round_decimal, text_of},
};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Id,
    /// The greatest length.
    Text(usize),
    Whole,
    /// A whole number that stands for a label.
    Choice,
    /// A whole number that the system counts.
    Version,
    /// Digits after the point.
    Decimal(usize),
    Money,
    Truth,
    Day,
    Moment,
    /// The names by which it is written, each with the table that it then refers to.
    Lookup(&'static [(&'static str, &'static str)]),
}

use Holds::{Choice, Day, Decimal, Id, Lookup, Moment, Money, Text, Truth, Version, Whole};

impl Holds {
    /// The word of a description.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Id => "Uniqueidentifier",
            Text(most) if most > 1000 => "Memo",
            Text(_) => "String",
            Whole => "Integer",
            Choice => "Picklist",
            Version => "BigInt",
            Decimal(_) => "Decimal",
            Money => "Money",
            Truth => "Boolean",
            Day | Moment => "DateTime",
            Lookup([_, _, ..]) => "Customer",
            Lookup(_) => "Lookup",
        }
    }
}

/// Name as it is read, what it holds, whether the API may write it.
pub(super) type Column = (&'static str, Holds, bool);

/// Logical name, set, key column, name column, alternate key, columns.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) set: &'static str,
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) key: Option<&'static str>,
    columns: &'static [Column],
}

const SHARED: [Column; 4] = [
    ("createdon", Moment, false),
    ("modifiedon", Moment, false),
    ("versionnumber", Version, false),
    ("statecode", Choice, true),
];

const CUSTOMER: Holds = Lookup(&[("customerid_account", "account"), ("customerid_contact", "contact")]);
const PARENT: Holds =
    Lookup(&[("parentcustomerid_account", "account"), ("parentcustomerid_contact", "contact")]);

const TABLES: [Table; 5] = [
    Table {
        name: "account",
        set: "accounts",
        id: "accountid",
        title: "name",
        key: Some("accountnumber"),
        columns: &[
            ("accountid", Id, true),
            ("name", Text(160), true),
            ("accountnumber", Text(20), true),
            ("telephone1", Text(50), true),
            ("websiteurl", Text(200), true),
            ("description", Text(2000), true),
            ("revenue", Money, true),
            ("revenue_base", Money, false),
            ("numberofemployees", Whole, true),
            ("creditonhold", Truth, true),
            ("industrycode", Choice, true),
            ("_primarycontactid_value", Lookup(&[("primarycontactid", "contact")]), true),
            ("_parentaccountid_value", Lookup(&[("parentaccountid", "account")]), true),
            // Custom columns of the simulated organisation.
            ("new_since", Day, true),
            ("new_seen", Moment, true),
        ],
    },
    Table {
        name: "contact",
        set: "contacts",
        id: "contactid",
        title: "fullname",
        key: None,
        columns: &[
            ("contactid", Id, true),
            ("firstname", Text(50), true),
            ("lastname", Text(50), true),
            ("emailaddress1", Text(100), true),
            ("telephone1", Text(50), true),
            ("birthdate", Day, true),
            ("donotemail", Truth, true),
            ("_parentcustomerid_value", PARENT, true),
        ],
    },
    Table {
        name: "product",
        set: "products",
        id: "productid",
        title: "name",
        key: None,
        columns: &[
            ("productid", Id, true),
            ("name", Text(100), true),
            ("productnumber", Text(100), true),
            ("price", Money, true),
        ],
    },
    Table {
        name: "salesorder",
        set: "salesorders",
        id: "salesorderid",
        title: "name",
        key: None,
        columns: &[
            ("salesorderid", Id, true),
            ("name", Text(300), true),
            ("ordernumber", Text(100), true),
            ("description", Text(2000), true),
            ("totalamount", Money, false),
            ("_customerid_value", CUSTOMER, true),
        ],
    },
    Table {
        name: "salesorderdetail",
        set: "salesorderdetails",
        id: "salesorderdetailid",
        title: "productdescription",
        key: None,
        columns: &[
            ("salesorderdetailid", Id, true),
            ("productdescription", Text(500), true),
            ("description", Text(2000), true),
            ("quantity", Decimal(5), true),
            ("priceperunit", Money, true),
            ("_productid_value", Lookup(&[("productid", "product")]), true),
            ("_salesorderid_value", Lookup(&[("salesorderid", "salesorder")]), true),
        ],
    },
];

/// The name by which an order's lines are made with it, and their table.
pub(super) const LINES: (&str, &str, &str) = ("salesorder", "order_details", "salesorderdetail");

/// The table of this logical name.
pub(super) fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// The table of this set.
pub(super) fn of_set(set: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.set == set)
}

impl Table {
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().chain(SHARED.iter())
    }

    pub(super) fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns().find(|(known, ..)| *known == name)
    }

    /// The column that a name with `@odata.bind` writes, and the table that it refers to.
    pub(super) fn bound(&self, navigation: &str) -> Option<(&'static Column, &'static str)> {
        self.columns().find_map(|column| {
            let Lookup(ways) = column.1 else { return None };
            ways.iter().find(|(name, _)| *name == navigation).map(|(_, target)| (column, *target))
        })
    }
}

/// A moment as the API shows it: whole seconds.
pub(super) fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What is kept of a value. Nothing clears, and so does an empty text.
pub(super) fn kept(name: &str, holds: Holds, value: &Value) -> Result<Value, Refusal> {
    if value.is_null() || value == "" {
        return Ok(Value::Null);
    }
    let wrong = || {
        let said = format!(
            "An error occurred while validating input parameters: cannot convert the value of '{name}' to the expected type."
        );
        Refusal::of(400, "0x80048d19", said)
    };
    let text = text_of(value).ok_or_else(wrong)?;
    let is_number = value.is_number();
    Ok(match holds {
        Id | Lookup(_) if is_guid(&text) => json!(text.to_lowercase()),
        Id | Lookup(_) => return Err(wrong()),
        Text(most) => {
            let Value::String(text) = value else { return Err(wrong()) };
            if text.chars().count() > most {
                let said = format!(
                    "A validation error occurred. The length of the '{name}' attribute of the entity exceeded the maximum allowed length of '{most}'."
                );
                return Err(Refusal::of(400, "0x80044331", said));
            }
            json!(text)
        }
        Whole | Choice | Version if is_number && text.parse::<i32>().is_ok() => value.clone(),
        Whole | Choice | Version => return Err(wrong()),
        Decimal(_) | Money if !is_number => return Err(wrong()),
        Decimal(scale) => number(&round_decimal(&text, scale).ok_or_else(wrong)?),
        Money => number(&round_decimal(&text, 4).ok_or_else(wrong)?),
        Truth if value.is_boolean() => value.clone(),
        Truth => return Err(wrong()),
        Day => json!(text.parse::<jiff::civil::Date>().map_err(|_| wrong())?.to_string()),
        Moment => {
            let stamp = text.parse::<jiff::Timestamp>().map_err(|_| wrong())?;
            json!(moment(stamp.as_millisecond()))
        }
    })
}
