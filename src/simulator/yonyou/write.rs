//! Writing customers, and what writing has in common.

use serde_json::{Map, Value, json};

use super::{
    KEPT_MS, Refusal,
    catalogue::{self, Holds, clock, kept},
    well,
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked},
        state::State,
        table::Row,
        value::{number, text_of},
    },
};

pub(super) type Formed = Vec<(String, Value)>;

/// The values of a write as they are kept. What nobody knows is left out without a word (unverified).
pub(super) fn formed(state: &mut State, object: &str, given: &Map<String, Value>) -> Result<Formed, Refusal> {
    let mut formed = Vec::new();
    for (name, value) in given {
        let Some(holds) = catalogue::holds(object, name) else { continue };
        if holds == Holds::Lines {
            continue;
        }
        let mut value = kept(name, holds, value)?;
        if let (Holds::Refers(target), Some(named)) = (holds, value.as_str()) {
            value = json!(referred(state, target, named)?);
        }
        formed.push((name.clone(), value));
    }
    Ok(formed)
}

/// The id of a record that is named by its id or by its code.
fn referred(state: &mut State, object: &str, named: &str) -> Result<String, Refusal> {
    let table = state.table(object);
    if table.get(named).is_some() {
        return Ok(named.to_owned());
    }
    let found = table.rows().find(|row| row.fields.get("code") == Some(&json!(named)));
    found.map(|row| row.id.clone()).ok_or_else(|| Refusal::business(format!("{object}:{named}未找到")))
}

pub(super) fn check_code(state: &mut State, object: &str, own: &str, formed: &Formed) -> Result<(), Refusal> {
    let code = formed.iter().find(|(name, _)| name == "code").map(|(_, value)| value.clone());
    let Some(code) = code.filter(|code| !code.is_null()) else { return Ok(()) };
    match state.table(object).rows().find(|row| row.id != own && row.fields.get("code") == Some(&code)) {
        Some(_) => Err(Refusal::business(format!("编码{}已存在", text_of(&code).unwrap_or_default()))),
        None => Ok(()),
    }
}

pub(super) fn put(state: &mut State, object: &str, id: &str, mut record: Record) {
    // stamps are of whole seconds
    let stamp = state.now_ms().div_euclid(1000) * 1000;
    for name in ["pubts", "modifyTime"] {
        record.insert(name.to_owned(), json!(clock(stamp)));
    }
    state.put_record(object, Row { id: id.to_owned(), stamp, fields: record, refers: Vec::new() });
}

/// Makes a record of values that are kept already, and gives its id.
pub(super) fn make(state: &mut State, object: &str, formed: Formed, id: Option<String>) -> String {
    let id = id.unwrap_or_else(|| (1_700_194_312_096_055_000 + state.next_serial()).to_string());
    let mut record = Record::new();
    record.insert("id".to_owned(), json!(id));
    record.insert("createTime".to_owned(), json!(clock(state.now_ms())));
    record.extend(formed);
    put(state, object, &id, record);
    id
}

/// The record that was made with this key within the hour, so that a save that is repeated makes no second one.
pub(super) fn made_before(state: &mut State, asked: &Asked) -> Option<String> {
    let now = state.now_ms();
    state.yonyou.keys.retain(|_, (at, _)| now - *at < KEPT_MS);
    state.yonyou.keys.get(&key(asked)?).map(|(_, id)| id.clone())
}

pub(super) fn remember(state: &mut State, asked: &Asked, id: &str) {
    if let Some(key) = key(asked) {
        let now = state.now_ms();
        state.yonyou.keys.insert(key, (now, id.to_owned()));
    }
}

fn key(asked: &Asked) -> Option<String> {
    let key = asked.payload.get("data")?.get("resubmitCheckKey")?.as_str()?;
    Some(format!("{} {key}", asked.operation))
}

/// The object in which a save is wrapped; a key that is too long is refused.
pub(super) fn wrapped(asked: &Asked) -> Result<Map<String, Value>, Refusal> {
    let data = asked.payload.get("data").and_then(Value::as_object).cloned();
    let data = data.ok_or_else(|| Refusal::gateway("310015", "缺少参数data"))?;
    match data.get("resubmitCheckKey").and_then(Value::as_str) {
        Some(key) if key.len() > 32 => Err(Refusal::business("resubmitCheckKey长度不能超过32位")),
        _ => Ok(data),
    }
}

fn needed(given: &Map<String, Value>, names: &[(&str, &str)]) -> Result<(), Refusal> {
    match names.iter().find(|(name, _)| given.get(*name).is_none_or(Value::is_null)) {
        // a failure of this kind has the number 0
        Some((_, title)) => {
            Err(Refusal { code: json!(0), message: format!("{title}不能为空!"), data: Value::Null })
        }
        None => Ok(()),
    }
}

const NEEDED: [(&str, &str); 3] = [("name", "客户名称"), ("code", "客户编码"), ("createOrgCode", "管理组织")];

/// `merchant/idempotent/newinsert`.
pub(super) fn insert(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let data = wrapped(asked)?;
    let told = |state: &mut State, id: &str| {
        let code = state.table("merchant").get(id).and_then(|row| row.fields.get("code").cloned());
        well(&json!([{"id": number(id), "code": code}])).with_ids(vec![id.to_owned()])
    };
    if let Some(id) = made_before(state, asked) {
        return Ok(told(state, &id));
    }
    needed(&data, &NEEDED)?;
    let formed = formed(state, "merchant", &data)?;
    check_code(state, "merchant", "", &formed)?;
    let id = make(state, "merchant", formed, None);
    remember(state, asked, &id);
    Ok(told(state, &id))
}

/// `merchant/newupdate`: what is not wrapped, and always with the same four fields.
pub(super) fn update(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let given = asked.payload.as_object().cloned().unwrap_or_default();
    needed(&given, &NEEDED)?;
    needed(&given, &[("enterpriseNature", "企业类型")])?;
    let formed = formed(state, "merchant", &given)?;
    let code = given.get("code").cloned().unwrap_or_default();
    let by_code = || {
        let mut rows = state.table("merchant").rows();
        rows.find(|row| row.fields.get("code") == Some(&code)).map(|row| row.id.clone())
    };
    let id = given.get("id").and_then(text_of).or_else(by_code).unwrap_or_default();
    check_code(state, "merchant", &id, &formed)?;
    let Some(mut record) = state.table("merchant").get(&id).map(|row| row.fields.clone()) else {
        return Err(Refusal::business("客户不存在"));
    };
    record.extend(formed);
    put(state, "merchant", &id, record);
    Ok(well(&json!({"id": number(&id), "code": code})).with_ids(vec![id]))
}

/// `merchant/stop`.
pub(super) fn stop(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let items = asked.payload.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut ids = Vec::new();
    for item in &items {
        let id = item.get("merchantId").and_then(text_of).unwrap_or_default();
        let Some(mut record) = state.table("merchant").get(&id).map(|row| row.fields.clone()) else {
            return Err(Refusal::business("客户不存在"));
        };
        record.insert("stopStatus".to_owned(), json!(true));
        put(state, "merchant", &id, record);
        ids.push(id);
    }
    Ok(well(&json!({"id": ids.first().map(|id| number(id))})).with_ids(ids))
}
