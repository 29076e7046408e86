//! Models and their fields, and what is kept of a value. Nothing is `false`, whatever the field.

use jiff::{Timestamp, civil::Date, civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};

use super::Failure;
use crate::simulator::value::{number, round_decimal, text_of};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Char,
    Text,
    Integer,
    /// Digits after the point.
    Float(usize),
    Boolean,
    Date,
    DateTime,
    Selection(&'static [&'static str]),
    /// One record of this model.
    One(&'static str),
    /// The records of this model that name this one in that field.
    Many(&'static str, &'static str),
}

impl Holds {
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Holds::Char => "char",
            Holds::Text => "text",
            Holds::Integer => "integer",
            Holds::Float(_) => "float",
            Holds::Boolean => "boolean",
            Holds::Date => "date",
            Holds::DateTime => "datetime",
            Holds::Selection(_) => "selection",
            Holds::One(_) => "many2one",
            Holds::Many(..) => "one2many",
        }
    }
}

use Holds::{Boolean, Char, Float, Integer, Many, One, Selection, Text};

/// Name, what it holds, whether a record needs it.
pub(super) type Field = (&'static str, Holds, bool);

const SHARED: [Field; 4] = [
    ("id", Integer, false),
    ("create_date", Holds::DateTime, false),
    ("write_date", Holds::DateTime, false),
    // A field that somebody has added.
    ("x_rowtwin_attempt", Char, false),
];

const PARTNER: [Field; 13] = [
    ("name", Char, true),
    ("ref", Char, false),
    ("vat", Char, false),
    ("email", Char, false),
    ("phone", Char, false),
    ("street", Char, false),
    ("city", Char, false),
    ("comment", Text, false),
    ("is_company", Boolean, false),
    ("active", Boolean, false),
    ("parent_id", One("res.partner"), false),
    ("x_credit", Float(2), false),
    ("x_seen", Holds::DateTime, false),
];

const PRODUCT: [Field; 5] = [
    ("name", Char, true),
    ("default_code", Char, false),
    ("list_price", Float(2), false),
    ("sale_ok", Boolean, false),
    ("active", Boolean, false),
];

const ORDER: [Field; 7] = [
    ("name", Char, false),
    ("partner_id", One("res.partner"), true),
    ("client_order_ref", Char, false),
    ("date_order", Holds::DateTime, false),
    ("commitment_date", Holds::Date, false),
    ("state", Selection(&["draft", "sent", "sale", "cancel"]), false),
    ("order_line", Many("sale.order.line", "order_id"), false),
];

const LINE: [Field; 5] = [
    ("order_id", One("sale.order"), true),
    ("product_id", One("product.product"), false),
    ("name", Text, false),
    ("product_uom_qty", Float(2), false),
    ("price_unit", Float(2), false),
];

pub(super) const MODELS: [(&str, &[Field]); 4] = [
    ("res.partner", &PARTNER),
    ("product.product", &PRODUCT),
    ("sale.order", &ORDER),
    ("sale.order.line", &LINE),
];

/// The fields of a model; empty where there is no such model.
pub(super) fn fields(model: &str) -> Vec<&'static Field> {
    match MODELS.iter().find(|(name, _)| *name == model) {
        Some((_, own)) => own.iter().chain(SHARED.iter()).collect(),
        None => Vec::new(),
    }
}

pub(super) fn field(model: &str, name: &str) -> Option<&'static Field> {
    fields(model).into_iter().find(|(known, ..)| *known == name)
}

/// A moment as it is stored: with the fraction of the second that reading leaves out.
pub(super) fn stored(ms: i64) -> String {
    let stamp = Timestamp::from_millisecond(ms).unwrap_or_default();
    stamp.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// The same as milliseconds since 1970.
pub(super) fn millis(text: &str) -> Option<i64> {
    let local: DateTime = text.replacen(' ', "T", 1).parse().ok()?;
    local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

fn invalid(name: &str) -> Failure {
    Failure::of(500, "builtins.ValueError", format!("Wrong value for {name}"))
}

/// What the system keeps of a value. Strictness is that of the real fields: what cannot be converted fails.
pub(super) fn kept(name: &str, holds: Holds, value: &Value) -> Result<Value, Failure> {
    let empty = value.is_null() || *value == json!(false);
    Ok(match holds {
        Boolean => json!(*value == json!(true)),
        Integer | Float(_) if empty => json!(0),
        _ if empty => json!(false),
        Char | Text => match text_of(value).ok_or_else(|| invalid(name))? {
            text if text.is_empty() => json!(false),
            text => json!(text),
        },
        Integer => json!(value.as_i64().ok_or_else(|| invalid(name))?),
        Float(scale) => {
            let text = text_of(value).ok_or_else(|| invalid(name))?;
            // A float has no trailing noughts.
            let rounded = round_decimal(&text, scale).ok_or_else(|| invalid(name))?;
            let plain = rounded.trim_end_matches('0').trim_end_matches('.');
            number(&if plain.contains('.') { plain.to_owned() } else { format!("{plain}.0") })
        }
        Holds::Date => {
            let text = value.as_str().ok_or_else(|| invalid(name))?;
            json!(text.parse::<Date>().map_err(|_| invalid(name))?.to_string())
        }
        Holds::DateTime => {
            let text = value.as_str().filter(|text| !text.contains('T') && !text.contains('Z'));
            let ms = text.and_then(millis).ok_or_else(|| invalid(name))?;
            json!(stored(ms))
        }
        Selection(keys) => match value.as_str().filter(|key| keys.contains(key)) {
            Some(key) => json!(key),
            None => return Err(invalid(name)),
        },
        One(_) => json!(value.as_i64().ok_or_else(|| invalid(name))?),
        Many(..) => Value::Null,
    })
}
