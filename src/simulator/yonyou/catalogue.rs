//! Objects and fields, as the pages of their interfaces name them, and what is kept of a value.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::Refusal;
use crate::simulator::value::{number, round_decimal, text_of};

/// The lines of an order.
pub(super) const LINES: &str = "orderDetails";

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The greatest length.
    Text(usize),
    /// A text in several languages: written and read as an object, kept as its Chinese text.
    Languages(usize),
    /// A decimal number as a text; the digits after the point.
    Money(usize),
    /// A JSON number; the digits after the point.
    Number(usize),
    Moment,
    /// A record, by its id or its code: the object.
    Refers(&'static str),
    Lines,
}

use Holds::{Languages, Lines as Rows, Moment, Money, Number, Refers, Text};

type Field = (&'static str, Holds);

const MERCHANT: [Field; 13] = [
    ("code", Text(50)),
    ("name", Languages(200)),
    ("shortname", Languages(200)),
    ("createOrgCode", Text(50)),
    ("enterpriseNature", Number(0)),
    ("taxpayerIdentificationNumber", Text(50)),
    ("creditCode", Text(50)),
    ("contactName", Text(50)),
    ("contactTel", Text(30)),
    ("address", Languages(200)),
    ("email", Text(100)),
    ("money", Money(2)),
    ("businessterm", Moment),
];

const PRODUCT: [Field; 4] =
    [("code", Text(50)), ("name", Languages(200)), ("modelDescription", Text(200)), ("unit", Text(50))];

const VOUCHERORDER: [Field; 11] = [
    ("code", Text(50)),
    ("vouchdate", Moment),
    ("salesOrgId", Text(50)),
    ("settlementOrgId", Text(50)),
    ("transactionTypeId", Text(50)),
    ("agentId", Refers("merchant")),
    ("invoiceAgentId", Refers("merchant")),
    // a name with a sign in it, and no path
    ("orderPrices!currency", Text(10)),
    ("payMoney", Number(2)),
    ("memo", Text(255)),
    (LINES, Rows),
];

const ORDER_DETAIL: [Field; 5] = [
    ("productId", Refers("product")),
    ("qty", Number(4)),
    ("oriTaxUnitPrice", Number(6)),
    ("oriSum", Number(2)),
    ("memo", Text(255)),
];

/// The fields of an object, or of the lines of orders.
pub(super) fn fields(object: &str) -> &'static [Field] {
    match object {
        "merchant" => &MERCHANT,
        "product" => &PRODUCT,
        "voucherorder" => &VOUCHERORDER,
        LINES => &ORDER_DETAIL,
        _ => &[],
    }
}

/// What a field holds; `None` where nobody knows it.
pub(super) fn holds(object: &str, name: &str) -> Option<Holds> {
    fields(object).iter().find(|(known, _)| *known == name).map(|(_, holds)| *holds)
}

fn china() -> TimeZone {
    jiff::tz::offset(8).to_time_zone()
}

/// A moment as the system writes it: whole seconds of China.
pub(super) fn clock(ms: i64) -> String {
    let stamp = Timestamp::from_millisecond(ms).unwrap_or_default();
    stamp.to_zoned(china()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment as the system reads it, in milliseconds; a day is its midnight.
pub(super) fn millis(text: &str) -> Option<i64> {
    let local = match jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text) {
        Ok(local) => local,
        Err(_) => jiff::civil::DateTime::from(text.parse::<jiff::civil::Date>().ok()?),
    };
    Some(local.to_zoned(china()).ok()?.timestamp().as_millisecond())
}

/// What the system keeps of a value; what is looked up is for the caller to look up.
pub(super) fn kept(name: &str, holds: Holds, value: &Value) -> Result<Value, Refusal> {
    let wrong = |why: &str| Refusal::business(format!("字段{name}{why}"));
    if value.is_null() {
        return Ok(Value::Null);
    }
    let text = |value: &Value, longest: usize| -> Result<Value, Refusal> {
        let text = text_of(value).ok_or_else(|| wrong("类型错误"))?;
        if text.chars().count() > longest {
            return Err(wrong("长度超过限制"));
        }
        Ok(if text.is_empty() { Value::Null } else { json!(text) })
    };
    match holds {
        Text(longest) => text(value, longest),
        Languages(longest) => match value.get("simplifiedName") {
            Some(value) => text(value, longest),
            None => Err(wrong("简体必填")),
        },
        Money(scale) | Number(scale) => {
            let digits = text_of(value).and_then(|text| round_decimal(&text, scale));
            let digits = digits.ok_or_else(|| wrong("类型错误"))?;
            Ok(if matches!(holds, Money(_)) { json!(digits) } else { number(&digits) })
        }
        Moment => {
            let ms = value.as_str().and_then(millis).ok_or_else(|| wrong("日期格式错误"))?;
            Ok(json!(clock(ms)))
        }
        Refers(_) => text(value, 50),
        Rows => Err(wrong("类型错误")),
    }
}

/// A value as an answer shows it: ids of records as numbers that are too large for a double.
pub(super) fn shown(object: &str, name: &str, value: &Value) -> Value {
    match (holds(object, name), value) {
        (Some(Languages(_)), Value::String(text)) => json!({"simplifiedName": text, "englishName": null}),
        (Some(Refers(_)), Value::String(id)) => number(id),
        _ if name == "id" => value.as_str().map_or(Value::Null, number),
        _ => value.clone(),
    }
}
