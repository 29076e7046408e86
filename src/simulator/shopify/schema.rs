//! Objects and their fields. A record is flat: `totalPriceSet.shopMoney.amount`, `metafields.custom.number`.

use serde_json::{Value, json};

use crate::simulator::value::{round_decimal, text_of};

/// What a field holds, in the words of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Id,
    Text,
    Email,
    Bool,
    Int,
    Money,
    DateTime,
    Texts,
    /// An amount with its currency, in the shop's and in the buyer's money.
    MoneyBag,
    /// The id of a record of another object.
    Refers(&'static str),
    /// The lines of an order.
    Lines,
}

use Holds::{Bool, DateTime, Email, Id, Int, Lines, Money, MoneyBag, Refers, Text, Texts};

/// Name, what it holds, whether a client may write it.
pub(super) type FieldOf = (&'static str, Holds, bool);

/// An object of the API.
#[derive(Debug)]
pub(super) struct Object {
    /// The field that lists it, and its name at the door.
    pub(super) list: &'static str,
    pub(super) type_name: &'static str,
    /// The field of one, where it can be written: `customer` in `customerCreate`.
    pub(super) one: &'static str,
    pub(super) inputs: [&'static str; 2],
    pub(super) owner: &'static str,
    pub(super) fields: &'static [FieldOf],
}

pub(super) const OBJECTS: [Object; 4] = [
    Object {
        list: "customers",
        type_name: "Customer",
        one: "customer",
        inputs: ["CustomerInput", "CustomerInput"],
        owner: "CUSTOMER",
        fields: &[
            ("id", Id, false),
            ("legacyResourceId", Text, false),
            ("createdAt", DateTime, false),
            ("updatedAt", DateTime, false),
            ("firstName", Text, true),
            ("lastName", Text, true),
            ("email", Email, true),
            ("phone", Text, true),
            ("note", Text, true),
            ("locale", Text, true),
            ("taxExempt", Bool, true),
            ("tags", Texts, true),
            ("numberOfOrders", Int, false),
        ],
    },
    Object {
        list: "products",
        type_name: "Product",
        one: "product",
        inputs: ["ProductCreateInput", "ProductUpdateInput"],
        owner: "PRODUCT",
        fields: &[
            ("id", Id, false),
            ("legacyResourceId", Text, false),
            ("createdAt", DateTime, false),
            ("updatedAt", DateTime, false),
            ("title", Text, true),
            ("handle", Text, true),
            ("descriptionHtml", Text, true),
            ("vendor", Text, true),
            ("productType", Text, true),
            ("status", Text, true),
            ("tags", Texts, true),
        ],
    },
    Object {
        list: "productVariants",
        type_name: "ProductVariant",
        one: "",
        inputs: ["", ""],
        owner: "PRODUCTVARIANT",
        fields: &[
            ("id", Id, false),
            ("createdAt", DateTime, false),
            ("updatedAt", DateTime, false),
            ("title", Text, false),
            ("sku", Text, false),
            ("price", Money, false),
            ("inventoryQuantity", Int, false),
            ("product", Refers("products"), false),
        ],
    },
    Object {
        list: "orders",
        type_name: "Order",
        one: "",
        inputs: ["", ""],
        owner: "ORDER",
        fields: &[
            ("id", Id, false),
            ("createdAt", DateTime, false),
            ("updatedAt", DateTime, false),
            ("name", Text, false),
            ("email", Text, false),
            ("displayFinancialStatus", Text, false),
            ("totalPriceSet", MoneyBag, false),
            ("customer", Refers("customers"), false),
            ("lineItems", Lines, false),
        ],
    },
];

/// The fields of a line of an order.
pub(super) const LINE: &[FieldOf] = &[
    ("id", Id, false),
    ("title", Text, false),
    ("sku", Text, false),
    ("quantity", Int, false),
    ("originalUnitPriceSet", MoneyBag, false),
];

/// What is known of metafields: namespace and key, type, whether values are unique, the longest text.
pub(super) type Definition = (&'static str, &'static str, bool, usize);

/// The definitions of the simulated shop, for customers and products.
pub(super) const METAFIELDS: [Definition; 5] = [
    ("custom.number", "single_line_text_field", true, 255),
    ("custom.phone", "single_line_text_field", false, 20),
    ("custom.credit", "number_decimal", false, 255),
    ("custom.seen", "date_time", false, 255),
    ("custom.rowtwin_attempt", "single_line_text_field", true, 255),
];

pub(super) fn metafield(name: &str) -> Option<&'static Definition> {
    METAFIELDS.iter().find(|(known, ..)| *known == name)
}

pub(super) fn object(list: &str) -> Option<&'static Object> {
    OBJECTS.iter().find(|object| object.list == list)
}

/// The object of a global id.
pub(super) fn object_of_id(id: &str) -> Option<&'static Object> {
    let type_name = id.strip_prefix("gid://shopify/")?.split('/').next()?;
    OBJECTS.iter().find(|object| object.type_name == type_name)
}

pub(super) fn field(fields: &'static [FieldOf], name: &str) -> Option<&'static FieldOf> {
    fields.iter().find(|(known, ..)| *known == name)
}

/// The type of a field, as introspection shows it.
pub(super) fn type_of(holds: Holds) -> Value {
    let named = |kind: &str, name: &str| json!({"kind": kind, "name": name, "ofType": null});
    match holds {
        Id => json!({"kind": "NON_NULL", "name": null, "ofType": named("SCALAR", "ID")}),
        Text | Email => named("SCALAR", "String"),
        Bool => named("SCALAR", "Boolean"),
        Int => named("SCALAR", "Int"),
        Money => named("SCALAR", "Money"),
        DateTime => named("SCALAR", "DateTime"),
        Texts => json!({"kind": "LIST", "name": null, "ofType": named("SCALAR", "String")}),
        MoneyBag => named("OBJECT", "MoneyBag"),
        Refers(list) => named("OBJECT", object(list).map_or("Node", |object| object.type_name)),
        Lines => named("OBJECT", "LineItemConnection"),
    }
}

/// A moment, to the second.
pub(super) fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A moment as it is written to the API.
pub(super) fn millis(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(|stamp| stamp.as_millisecond())
}

/// What is kept of a value of a field, or what is said against it. An empty text is nothing.
pub(super) fn kept(holds: Holds, value: &Value) -> Result<Value, String> {
    let wrong = || format!("Could not coerce value {value} to the type of the field");
    Ok(match (holds, value) {
        (Texts, Value::Array(list)) if list.iter().all(Value::is_string) => value.clone(),
        (Texts, Value::Null) => json!([]),
        (_, Value::Null) => Value::Null,
        (Bool, Value::Bool(_)) => value.clone(),
        (Int, Value::Number(number)) if number.as_i64().is_some() => value.clone(),
        (Money, value) => {
            let text = text_of(value).ok_or_else(wrong)?;
            json!(round_decimal(&text, 2).ok_or_else(wrong)?)
        }
        (Text | Email | DateTime | Id | MoneyBag | Refers(_), Value::String(text)) if text.is_empty() => {
            Value::Null
        }
        (Email, Value::String(text)) => json!(text.to_lowercase()),
        (Text | DateTime | Id | MoneyBag | Refers(_), Value::String(_)) | (Lines, Value::Array(_)) => {
            value.clone()
        }
        _ => return Err(wrong()),
    })
}

/// What is kept of a metafield's value, or what is said against it.
pub(super) fn kept_metafield(definition: &Definition, text: &str) -> Result<String, String> {
    let (_, type_name, _, longest) = definition;
    match *type_name {
        "number_decimal" if round_decimal(text, 9).is_none() => Err("Value must be a decimal.".to_owned()),
        // (unverified): the form in which a moment is shown.
        "date_time" => match millis(text) {
            Some(ms) => Ok(moment(ms).replace('Z', "+00:00")),
            None => Err("Value must be in \u{201c}YYYY-MM-DDTHH:MM:SS\u{201d} format.".to_owned()),
        },
        _ if text.chars().count() > *longest => Err(format!("Value has a maximum length of {longest}.")),
        _ => Ok(text.to_owned()),
    }
}
