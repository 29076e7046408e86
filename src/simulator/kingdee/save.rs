//! `Save` and `BatchSave`.

use serde_json::{Map, Value, json};

use super::{
    Done, INVALID, NO_DATA, NOT_OPERABLE, PARAMETER, Refusal,
    entries::{merge_lines, missing, returned},
    forms::{Form, Holds, form, member},
    lifecycle::first_error,
    lines::{is_reference, number_of, refers, target},
    response_status, session_lost,
    values::{is_multi_language, kept, local_text, stamp_of},
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked, BatchTrouble, Reply},
        state::State,
        table::Row,
        value::text_of,
    },
};

/// What only the system writes; a caller's values for these are dropped.
const SYSTEM: [&str; 9] = [
    "FDocumentStatus",
    "FForbidStatus",
    "FCloseStatus",
    "FCancelStatus",
    "FCreateDate",
    "FModifyDate",
    "FApproveDate",
    "FCreatorId",
    "FModifierId",
];

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
pub(super) struct Options {
    pub(super) delete_lines: bool,
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
}

/// The rules of a save: its options, and whether it updates.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) options: &'a Options,
    updating: bool,
}

impl Rules<'_> {
    /// Whether a member that was sent is taken. An update may name those that are; a line's change then needs the key of
    /// the detail table in that list and the key of the field.
    pub(super) fn takes(&self, key: &str) -> bool {
        let only = &self.options.only;
        !self.updating || only.is_empty() || only.contains(&key.to_ascii_lowercase())
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
    let (mut done, mut needed, mut ids) = (Vec::new(), Vec::new(), Vec::new());
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
                needed.push(returned(&record, &options.wanted));
                ids.push(id.to_string());
                done.push(Done::Entity { index, id, number });
            }
            Err(refusal) => {
                needed.push(json!({}));
                done.push(Done::Refused { index, refusal });
            }
        }
    }
    let status = response_status(&done);
    let error = first_error(&done);
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
        result.insert("NeedReturnData".to_owned(), Value::Array(needed));
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
    let rules = Rules { options, updating: old.is_some() };
    let mut record = old.as_ref().map(|(_, row)| row.fields.clone()).unwrap_or_default();
    let mut sent = Map::new();
    for (key, value) in model {
        let system = SYSTEM.iter().any(|system| system.eq_ignore_ascii_case(key));
        if !system && !key.eq_ignore_ascii_case(form.pk) && rules.takes(key) {
            sent.insert(key.clone(), value.clone());
        }
    }
    if let Some(missing) = missing(form, &sent, old.is_none()) {
        let label = match form.field(missing) {
            Some((_, label, _)) if missing != "FName" => (*label).to_owned(),
            _ => format!("{}名称", form.label),
        };
        return Err(Refusal::new(INVALID, missing, format!("字段[{label}]是必录字段")));
    }
    apply(state, form, &mut record, &sent, Some(rules))?;
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
    let record = finished(state, form, id, record, rules.updating, options.audit);
    let number = record.get(form.number).and_then(text_of).unwrap_or_default();
    put(state, object, id, record.clone());
    Ok((id, number, record))
}

/// Adds what the system itself knows: id, number, status, stamps.
pub(super) fn finished(
    state: &State,
    form: &Form,
    id: u64,
    fields: Record,
    updating: bool,
    audit: bool,
) -> Record {
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
    if form.entry.is_some() {
        default("FDate", json!(format!("{}T00:00:00", now.split('T').next().unwrap_or_default())));
        default("FCloseStatus", json!("A"));
        default("FCancelStatus", json!("A"));
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
    let refers = refers(&form(object), &fields);
    state.put_record(object, Row { id: id.to_string(), stamp, fields, refers });
}

/// Writes what was sent into a record, a part or a line. A person has no `rules`.
pub(super) fn apply(
    state: &mut State,
    form: &Form,
    record: &mut Record,
    sent: &Map<String, Value>,
    rules: Option<Rules<'_>>,
) -> Result<(), Refusal> {
    for (key, value) in sent {
        if rules.is_some() && !form.may_have(key) {
            // Whether the real system refuses or ignores an unknown key is (unverified).
            return Err(Refusal::no_field(key));
        }
        // The form's own spelling of the key, else the one that the record has.
        let container = form.container(key);
        let key = match (container.or(form.field(key).map(|(known, ..)| *known)), member(record, key)) {
            (Some(known), _) => known.to_owned(),
            (None, Some((known, _))) => known.clone(),
            (None, None) => key.clone(),
        };
        let is_base = matches!(form.field(&key), Some((.., Holds::Base(_))));
        match value {
            // A null is ignored (unverified); a person can clear with it.
            Value::Null if rules.is_some() => {}
            Value::Array(lines)
                if container.is_some() || lines.iter().any(Value::is_object) && !is_multi_language(lines) =>
            {
                let old = record.get(&key).and_then(Value::as_array).cloned().unwrap_or_default();
                let lines = merge_lines(state, form, &key, old, lines, rules)?;
                record.insert(key, Value::Array(lines));
            }
            Value::Object(part) if !is_base && !is_reference(part) && !part.is_empty() => {
                let mut inner = record.get(&key).and_then(Value::as_object).cloned().unwrap_or_default();
                let mut part = part.clone();
                part.retain(|key, _| rules.is_none_or(|rules| rules.takes(key)));
                apply(state, &form.inside(&key), &mut inner, &part, rules)?;
                record.insert(key, Value::Object(inner));
            }
            _ => match kept(form, &key, value) {
                Ok(Some(value)) => {
                    let known = match rules {
                        Some(rules) => verified(state, form, &key, &value, rules.options.verify)?,
                        None => true,
                    };
                    match known {
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

/// Whether a reference's number exists. A form that is not known and has no records is not simulated, and takes every
/// number.
fn verified(state: &State, form: &Form, key: &str, value: &Value, verify: bool) -> Result<bool, Refusal> {
    let Some(target) = target(form, key) else { return Ok(true) };
    let Some(number) = number_of(value) else { return Ok(true) };
    let table = state.objects.get(target);
    let simulated = super::forms::form(target).closed || table.is_some_and(|table| table.len() > 0);
    if !simulated || table.is_some_and(|table| table.named(&number).is_some()) {
        return Ok(true);
    }
    if verify {
        return Err(Refusal::new(super::UNKNOWN_FIELD, key, format!("字段{key}的值[{number}]不存在")));
    }
    Ok(false)
}
