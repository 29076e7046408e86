//! `Save` and `BatchSave`, and what a person does in the pages.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::{
    Done, INVALID, NO_DATA, NOT_OPERABLE, PARAMETER, Refusal,
    forms::{Form, Holds, form, member},
    lines::{is_reference, number_of, target},
    response_status, session_lost,
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked, BatchTrouble, Reply},
        state::State,
        table::Row,
        value::{number, round_decimal, text_of},
    },
};

/// What only the system writes; a caller's values for these are dropped.
const SYSTEM: [&str; 7] = [
    "FDocumentStatus",
    "FForbidStatus",
    "FCreateDate",
    "FModifyDate",
    "FApproveDate",
    "FCreatorId",
    "FModifierId",
];

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

/// The records of a request.
pub(super) fn models(method: &str, data: &Value) -> Vec<Map<String, Value>> {
    match data.get("Model") {
        Some(Value::Object(model)) => vec![model.clone()],
        Some(Value::Array(models)) if method == "BatchSave" => {
            models.iter().map(|model| model.as_object().cloned().unwrap_or_default()).collect()
        }
        _ => Vec::new(),
    }
}

/// The id that a model names; 0 and nothing are a new record.
pub(super) fn id_of(pk: &str, model: &Map<String, Value>) -> Option<u64> {
    member(model, pk)
        .and_then(|(_, value)| text_of(value))
        .and_then(|id| id.trim().parse().ok())
        .filter(|id| *id > 0)
}

/// The options of a save; texts and booleans both work.
struct Options {
    delete_lines: bool,
    verify: bool,
    audit: bool,
    /// Lower-case keys; empty means every key that was sent.
    only: Vec<String>,
    wanted: Vec<String>,
}

impl Options {
    fn of(data: &Value) -> Options {
        let flag = |name: &str, otherwise: bool| match data.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) if !text.is_empty() => text.eq_ignore_ascii_case("true"),
            _ => otherwise,
        };
        let keys = |name: &str| -> Vec<String> {
            let list = data.get(name).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Options {
            delete_lines: flag("IsDeleteEntry", true),
            verify: flag("IsVerifyBaseDataField", false),
            audit: flag("IsAutoSubmitAndAudit", false),
            only: keys("NeedUpDateFields").iter().map(|key| key.to_ascii_lowercase()).collect(),
            wanted: keys("NeedReturnFields"),
        }
    }

    fn takes(&self, key: &str) -> bool {
        self.only.is_empty() || self.only.contains(&key.to_ascii_lowercase())
    }
}

/// Saves one record, or each of a batch.
pub(super) fn save(
    state: &mut State,
    asked: &Asked,
    data: &Value,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    let models = models(&asked.operation, data);
    if models.is_empty() {
        return Err(Refusal::new(PARAMETER, "Model", "Model不能为空"));
    }
    let options = Options::of(data);
    let form = form(&asked.object);
    let half = models.len() / 2;
    let (mut done, mut returned, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for (index, model) in models.iter().enumerate() {
        if trouble == Some(BatchTrouble::SessionEnds) && index >= half {
            state.end_sessions();
            return Ok(
                Answer::failed(session_lost(asked), "session lost in the middle of a batch").with_ids(ids)
            );
        }
        let saved = if trouble == Some(BatchTrouble::Partial) && index % 2 == 1 {
            Err(Refusal::new(6, "", "数据库操作失败"))
        } else {
            save_one(state, &asked.object, &form, model, &options)
        };
        match saved {
            Ok((id, number, record)) => {
                let fields = options.wanted.iter().filter_map(|key| member(&record, key));
                returned
                    .push(Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect()));
                ids.push(id.to_string());
                done.push(Done::Entity { index, id, number });
            }
            Err(refusal) => {
                returned.push(json!({}));
                done.push(Done::Refused { index, refusal });
            }
        }
    }
    let status = response_status(&done);
    let error = done.iter().find_map(|item| match item {
        Done::Refused { refusal, .. } => Some(format!("{}: {}", refusal.code, refusal.message)),
        Done::Entity { .. } => None,
    });
    let mut result = json!({"ResponseStatus": status});
    if let Value::Object(result) = &mut result {
        if asked.operation == "Save" {
            let (id, number) = match done.first() {
                Some(Done::Entity { id, number, .. }) => (json!(id), json!(number)),
                _ => (json!(""), json!("")),
            };
            result.insert("Id".to_owned(), id);
            result.insert("Number".to_owned(), number);
        }
        result.insert("NeedReturnData".to_owned(), Value::Array(returned));
    }
    Ok(Answer { reply: Reply::json(&json!({ "Result": result })), ids, error })
}

fn save_one(
    state: &mut State,
    object: &str,
    form: &Form,
    model: &Map<String, Value>,
    options: &Options,
) -> Result<(u64, String, Record), Refusal> {
    let old = match id_of(form.pk, model) {
        Some(id) => {
            let row = state.table(object).get(&id.to_string()).cloned();
            Some((id, row.ok_or_else(|| Refusal::new(NO_DATA, form.pk, "传递的主键值不存在"))?))
        }
        None => None,
    };
    if let Some((_, row)) = &old {
        match row.fields.get("FDocumentStatus").and_then(Value::as_str) {
            Some("C") => return Err(Refusal::new(NOT_OPERABLE, "", "单据已审核，不允许修改")),
            Some("B") => return Err(Refusal::new(NOT_OPERABLE, "", "单据审核中，不允许修改")),
            _ => {}
        }
    }
    let updating = old.is_some();
    let mut record = old.as_ref().map(|(_, row)| row.fields.clone()).unwrap_or_default();
    let mut sent = Map::new();
    for (key, value) in model {
        let system = SYSTEM.iter().any(|system| system.eq_ignore_ascii_case(key));
        if !system && !key.eq_ignore_ascii_case(form.pk) && (!updating || options.takes(key)) {
            sent.insert(key.clone(), value.clone());
        }
    }
    apply(state, form, &mut record, &sent, Some((options, updating)))?;
    if form.named && !record.contains_key("FName") {
        return Err(Refusal::new(INVALID, "FName", format!("字段[{}名称]是必录字段", form.label)));
    }
    let name = record.get(form.number).and_then(text_of);
    if let Some(name) = &name
        && let Some(other) = state.table(object).named(name)
        && old.as_ref().is_none_or(|(_, row)| row.id != other.id)
    {
        let message = format!("违反字段唯一性要求：编码唯一。[{name}]在当前系统中已经被使用。");
        return Err(Refusal::new(INVALID, form.number, message));
    }
    let id = match old {
        Some((id, _)) => id,
        None => 100_000 + state.next_serial(),
    };
    let record = finished(state, form, id, record, updating, options.audit);
    let number = record.get(form.number).and_then(text_of).unwrap_or_default();
    put(state, object, id, record.clone());
    Ok((id, number, record))
}

/// Adds what the system itself knows: id, number, status, stamps.
fn finished(state: &State, form: &Form, id: u64, fields: Record, updating: bool, audit: bool) -> Record {
    let now = local_text(state.now_ms());
    let mut record = Record::new();
    record.insert(form.pk.to_owned(), json!(id));
    record.extend(fields.into_iter().filter(|(key, _)| key != form.pk));
    if !record.contains_key(form.number) {
        record.insert(form.number.to_owned(), json!(format!("{}{:06}", form.prefix, id % 1_000_000)));
    }
    let mut default = |key: &str, value: Value| {
        if !record.contains_key(key) {
            record.insert(key.to_owned(), value);
        }
    };
    default("FDocumentStatus", json!("A"));
    if form.number == "FNumber" {
        default("FForbidStatus", json!("A"));
        default("FCreateOrgId", json!({"FNumber": "100"}));
        default("FUseOrgId", json!({"FNumber": "100"}));
    }
    default("FCreateDate", json!(now));
    if audit {
        record.insert("FDocumentStatus".to_owned(), json!("C"));
        record.insert("FApproveDate".to_owned(), json!(now));
    } else if updating && record.get("FDocumentStatus") == Some(&json!("Z")) {
        record.insert("FDocumentStatus".to_owned(), json!("A"));
    }
    record.insert("FModifyDate".to_owned(), json!(now));
    record
}

/// Puts a record into its table, at the place of its stamp.
pub(super) fn put(state: &mut State, object: &str, id: u64, fields: Record) {
    let stamp = fields.get("FModifyDate").and_then(Value::as_str).and_then(stamp_of).unwrap_or_default();
    state.table(object).put(Row { id: id.to_string(), stamp, fields });
}

/// Writes what was sent into a record. `rules` are a save's options and whether it updates; a person has none.
fn apply(
    state: &mut State,
    form: &Form,
    record: &mut Record,
    sent: &Map<String, Value>,
    rules: Option<(&Options, bool)>,
) -> Result<(), Refusal> {
    for (key, value) in sent {
        if rules.is_some() && !form.may_have(key) {
            // Whether the real system refuses or ignores an unknown key is (unverified).
            return Err(Refusal::no_field(key));
        }
        // The form's own spelling of the key, else the one that the record has.
        let key = match (form.field(key), member(record, key)) {
            (Some((known, ..)), _) => (*known).to_owned(),
            (None, Some((known, _))) => known.clone(),
            (None, None) => key.clone(),
        };
        match value {
            // A null is ignored (unverified); a person can clear with it.
            Value::Null if rules.is_some() => {}
            Value::Array(lines) if lines.iter().any(Value::is_object) && !is_multi_language(lines) => {
                let old = record.get(&key).and_then(Value::as_array).cloned().unwrap_or_default();
                let lines = merge_lines(state, form, old, lines, rules)?;
                record.insert(key, Value::Array(lines));
            }
            Value::Object(part) if !is_reference(part) && !part.is_empty() => {
                let mut inner = record.get(&key).and_then(Value::as_object).cloned().unwrap_or_default();
                apply(state, form, &mut inner, part, rules)?;
                record.insert(key, Value::Object(inner));
            }
            _ => match kept(form, &key, value) {
                Ok(Some(value)) => {
                    let verify = rules.is_some_and(|(options, _)| options.verify);
                    match verified(state, form, &key, &value, verify)? {
                        true => record.insert(key, value),
                        // An unknown number is silently stored as nothing.
                        false => record.shift_remove(&key),
                    };
                }
                Ok(None) => {
                    record.shift_remove(&key);
                }
                Err(refusal) if rules.is_some() => return Err(refusal),
                Err(_) => {
                    record.insert(key, value.clone());
                }
            },
        }
    }
    Ok(())
}

/// Whether a reference's number exists. A form without any records is not simulated, and takes every number.
fn verified(state: &State, form: &Form, key: &str, value: &Value, verify: bool) -> Result<bool, Refusal> {
    let Some(table) = target(form, key).and_then(|target| state.objects.get(target)) else { return Ok(true) };
    let Some(number) = number_of(value) else { return Ok(true) };
    if table.len() == 0 || table.named(&number).is_some() {
        return Ok(true);
    }
    if verify {
        return Err(Refusal::new(super::UNKNOWN_FIELD, key, format!("字段{key}的值[{number}]不存在")));
    }
    Ok(false)
}

fn is_multi_language(values: &[Value]) -> bool {
    values.iter().all(|value| value.get("Key").is_some() && value.get("Value").is_some())
}

/// Merges detail lines by their ids. Lines that were not sent are deleted unless the options say otherwise.
fn merge_lines(
    state: &mut State,
    form: &Form,
    old: Vec<Value>,
    sent: &[Value],
    rules: Option<(&Options, bool)>,
) -> Result<Vec<Value>, Refusal> {
    let entry_id = |line: &Map<String, Value>| id_of("FEntryID", line);
    let mut lines: Vec<Map<String, Value>> =
        old.into_iter().filter_map(|line| line.as_object().cloned()).collect();
    let mut kept_ids = Vec::new();
    for line in sent.iter().filter_map(Value::as_object) {
        let place = entry_id(line).and_then(|id| lines.iter().position(|old| entry_id(old) == Some(id)));
        let mut fields: Map<String, Value> =
            line.iter().filter(|(key, _)| !key.eq_ignore_ascii_case("FEntryID")).map(owned).collect();
        if let (Some(_), Some((options, true))) = (place, rules) {
            fields.retain(|key, _| options.takes(key));
        }
        let id = match place.and_then(|place| lines.get(place)).and_then(entry_id) {
            Some(id) => id,
            None => 100_000 + state.next_serial(),
        };
        kept_ids.push(id);
        let mut merged = place.and_then(|place| lines.get(place)).cloned().unwrap_or_default();
        merged.insert("FEntryID".to_owned(), json!(id));
        apply(state, form, &mut merged, &fields, rules)?;
        match place.and_then(|place| lines.get_mut(place)) {
            Some(line) => *line = merged,
            None => lines.push(merged),
        }
    }
    if rules.is_none_or(|(options, _)| options.delete_lines) {
        lines.retain(|line| entry_id(line).is_some_and(|id| kept_ids.contains(&id)));
    }
    Ok(lines.into_iter().map(Value::Object).collect())
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// What the system keeps of a value; `None` is nothing.
fn kept(form: &Form, key: &str, value: &Value) -> Result<Option<Value>, Refusal> {
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
        let number = reference.values().next().and_then(text_of).map(|text| text.trim().to_owned());
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

/// A record made in the pages; an id, number, status or stamp that is given is kept.
pub(in crate::simulator) fn insert_by_person(state: &mut State, object: &str, fields: Record) -> String {
    let form = form(object);
    let id = id_of(form.pk, &fields).unwrap_or_else(|| 100_000 + state.next_serial());
    let mut record = Record::new();
    // A person's values are kept even where the form would refuse them, so there is no refusal here.
    let _ = apply(state, &form, &mut record, &fields, None);
    let stamp = record.get("FModifyDate").cloned();
    let mut record = finished(state, &form, id, record, false, false);
    if let Some(stamp) = stamp {
        record.insert("FModifyDate".to_owned(), stamp);
    }
    put(state, object, id, record);
    id.to_string()
}

/// A record changed in the pages, whatever its status; a stamp that is given is kept.
pub(in crate::simulator) fn edit_by_person(
    state: &mut State,
    object: &str,
    id: &str,
    fields: Record,
) -> bool {
    let form = form(object);
    let Some(row) = state.table(object).get(id).cloned() else { return false };
    let Ok(number) = row.id.parse() else { return false };
    let mut record = row.fields;
    record.insert("FModifyDate".to_owned(), json!(local_text(state.now_ms())));
    let fields = fields.into_iter().filter(|(key, _)| !key.eq_ignore_ascii_case(form.pk)).collect();
    let _ = apply(state, &form, &mut record, &fields, None);
    put(state, object, number, record);
    true
}
