//! The fields of the simulated forms, and what the system makes of a value.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::{INVALID_PARAMETER, NO_MEMBER, Refusal};
use crate::{model::record::Record, simulator::state::State};

/// Every form has these: name, label, type.
pub(super) const WIDGETS: [(&str, &str, &str); 10] = [
    ("_widget_name", "客户名称", "text"),
    ("_widget_code", "客户编码", "text"),
    ("_widget_note", "备注", "textarea"),
    ("_widget_phone", "电话", "phone"),
    ("_widget_credit", "信用额度", "number"),
    ("_widget_since", "合作开始", "datetime"),
    ("_widget_tags", "标签", "checkboxgroup"),
    ("_widget_owner", "负责人", "user"),
    ("_widget_no", "流水号", "sn"),
    ("_widget_key", "外部编号", "text"),
];

/// The only members that there are: user name and name.
const MEMBERS: [(&str, &str); 2] = [("zhang", "张三"), ("li", "李四")];

fn kind_of(name: &str) -> Option<&'static str> {
    WIDGETS.iter().find(|(widget, ..)| *widget == name).map(|(_, _, kind)| *kind)
}

/// What `widget/list` says.
pub(super) fn describe(state: &State, object: &str) -> Value {
    let widget = |(name, label, kind): &(&str, &str, &str)| {
        let told = state.described.get(&(object.to_owned(), (*name).to_owned()));
        let kind = match told {
            Some(None) => return None,
            Some(Some(other)) => other.clone(),
            None => (*kind).to_owned(),
        };
        Some(json!({"name": name, "widgetName": name, "label": label, "type": kind}))
    };
    let widgets: Vec<Value> = WIDGETS.iter().filter_map(widget).collect();
    json!({"widgets": widgets, "sysWidgets": [], "dataModifyTime": stamp(state.now_ms())})
}

/// A moment as the API writes it.
pub(super) fn stamp(ms: i64) -> String {
    let moment = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Values that a call sends, as they are kept: bare values and unknown keys are left out, and what has the wrong shape
/// is nothing.
pub(super) fn sent(data: Option<&Value>) -> Result<Record, Refusal> {
    let mut kept = Record::new();
    for (name, wrapped) in data.and_then(Value::as_object).into_iter().flatten() {
        let (Some(kind), Some(value)) = (kind_of(name), wrapped.get("value")) else { continue };
        if value.is_null() || value == "" {
            return Err(Refusal::new(INVALID_PARAMETER, format!("参数 {name} 不合法")));
        }
        if kind != "sn" {
            kept.insert(name.clone(), kept_value(kind, value)?);
        }
    }
    Ok(kept)
}

/// A value as its field keeps it; an empty object clears.
pub(super) fn kept_value(kind: &str, value: &Value) -> Result<Value, Refusal> {
    let kept = match (kind, value) {
        ("number", Value::Number(_)) => value.clone(),
        ("datetime", Value::String(text)) => moment(text).map_or(Value::Null, Value::from),
        ("checkboxgroup", Value::Array(items)) if items.iter().all(Value::is_string) => value.clone(),
        ("phone", Value::Object(phone)) => match phone.get("phone").and_then(Value::as_str) {
            Some(phone) => json!({"verified": false, "phone": phone}),
            None => Value::Null,
        },
        ("user", Value::String(user)) => match MEMBERS.iter().find(|(known, _)| known == user) {
            Some((username, name)) => {
                json!({"_id": format!("u_{username}"), "name": name, "username": username, "status": 1, "type": 0})
            }
            None => return Err(Refusal::new(NO_MEMBER, "成员不存在")),
        },
        ("text" | "textarea" | "sn", Value::String(_)) => value.clone(),
        _ => Value::Null,
    };
    Ok(kept)
}

/// A text of the forms that are taken, as it is kept: without an offset it is UTC.
fn moment(text: &str) -> Option<String> {
    let whole = text.parse::<Timestamp>().ok();
    let moment = whole.or_else(|| {
        let local = text.replace(' ', "T");
        let local = local
            .parse::<DateTime>()
            .or_else(|_| local.parse::<jiff::civil::Date>().map(DateTime::from))
            .ok()?;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    Some(stamp(moment.as_millisecond()))
}

/// What a person types in the pages: as a call would send it, and as it is where it does not fit.
pub(super) fn typed(fields: Record) -> Record {
    let form = |(name, value): (String, Value)| {
        let kept = kind_of(&name).and_then(|kind| kept_value(kind, &value).ok());
        (name, kept.filter(|kept| !kept.is_null()).unwrap_or(value))
    };
    fields.into_iter().map(form).collect()
}

/// A record without values.
pub(super) fn blank(state: &mut State, object: &str, by: &str) -> (String, Record) {
    let now = state.now_ms();
    // ids count up in the order of creation
    let id = format!("{:08x}{:016x}", now.div_euclid(1000), state.next_serial());
    let (app, entry) = object.split_once('/').unwrap_or((object, ""));
    let who = json!({"_id": format!("u_{by}"), "name": by, "username": by, "status": 1, "type": 0});
    let record = json!({
        "_id": id, "appId": app, "entryId": entry, "creator": who, "updater": who,
        "createTime": stamp(now), "updateTime": stamp(now), "deleter": null, "deleteTime": null,
        "_widget_no": format!("{:05}", state.next_serial()),
    });
    let record = if let Value::Object(record) = record { record } else { Map::new() };
    (id, record)
}
