//! Orders: one address makes and changes them, and each line says what becomes of it.

use serde_json::{Map, Value, json};

use super::{
    Refusal,
    catalogue::LINES,
    well,
    write::{check_code, formed, made_before, make, put, remember, wrapped},
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked},
        state::State,
        value::{number, text_of},
    },
};

pub(super) fn lines_of(record: &Record) -> Vec<Map<String, Value>> {
    let lines = record.get(LINES).and_then(Value::as_array);
    lines.into_iter().flatten().filter_map(|line| line.as_object().cloned()).collect()
}

/// Lays lines over those that are there. One that is not named stays (unverified); one without `_status` is refused, so
/// that nobody relies on what becomes of it.
pub(super) fn lay(state: &mut State, record: &mut Record, given: &[Value]) -> Result<(), Refusal> {
    let mut lines = lines_of(record);
    for line in given.iter().filter_map(Value::as_object) {
        let status = line.get("_status").and_then(Value::as_str).unwrap_or_default();
        let id = line.get("id").and_then(text_of);
        let place = lines.iter().position(|known| id.is_some() && known.get("id").and_then(text_of) == id);
        let mut fields: Map<String, Value> = formed(state, LINES, line)?.into_iter().collect();
        match (status, place) {
            ("Insert", _) => {
                let id = (2_446_326_816_230_000_000 + state.next_serial()).to_string();
                fields.insert("id".to_owned(), json!(id));
                lines.push(fields);
            }
            ("Update", Some(at)) => {
                if let Some(known) = lines.get_mut(at) {
                    known.extend(fields);
                }
            }
            ("Delete", Some(at)) => {
                lines.remove(at);
            }
            ("Unchanged", Some(_)) => {}
            ("Update" | "Delete" | "Unchanged", None) => return Err(Refusal::business("订单行不存在")),
            _ => return Err(Refusal::business("子表_status不能为空")),
        }
    }
    record.insert(LINES.to_owned(), lines.into_iter().map(Value::Object).collect());
    Ok(())
}

/// `voucherorder/singleSave`.
pub(super) fn save(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let data = wrapped(asked)?;
    let told = |id: &str| well(&json!({"id": number(id)})).with_ids(vec![id.to_owned()]);
    let lines = data.get(LINES).and_then(Value::as_array).cloned().unwrap_or_default();
    let values = formed(state, "voucherorder", &data)?;
    match data.get("_status").and_then(Value::as_str) {
        Some("Insert") => {
            if let Some(id) = made_before(state, asked) {
                return Ok(told(&id));
            }
            let wanted = [
                "salesOrgId",
                "transactionTypeId",
                "vouchdate",
                "agentId",
                "settlementOrgId",
                "orderPrices!currency",
            ];
            let absent = |name: &&&str| data.get(**name).is_none_or(Value::is_null);
            if let Some(name) = wanted.iter().find(absent) {
                return Err(Refusal::business(format!("{name}不能为空")));
            }
            check_code(state, "voucherorder", "", &values)?;
            let mut record = Record::new();
            lay(state, &mut record, &lines)?;
            let mut values = values;
            values.push(("nextStatus".to_owned(), json!("CONFIRMORDER")));
            values.extend(record);
            let id = make(state, "voucherorder", values, None);
            remember(state, asked, &id);
            Ok(told(&id))
        }
        Some("Update") => {
            let id = data.get("id").and_then(text_of).unwrap_or_default();
            let Some(mut record) = state.table("voucherorder").get(&id).map(|row| row.fields.clone()) else {
                return Err(Refusal::business("订单不存在"));
            };
            check_code(state, "voucherorder", &id, &values)?;
            lay(state, &mut record, &lines)?;
            record.extend(values);
            put(state, "voucherorder", &id, record);
            Ok(told(&id))
        }
        _ => Err(Refusal::business("_status不能为空")),
    }
}

/// `voucherorder/delete`: the code says that all went well, whatever became of each.
pub(super) fn delete(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let mut messages = Vec::new();
    for id in &asked.ids {
        if !state.remove_record("voucherorder", id) {
            messages.push(json!(format!("单据{id}不存在")));
        }
    }
    let (count, failed) = (asked.ids.len(), messages.len());
    let data = json!({"count": count, "sucessCount": count - failed, "failCount": failed,
        "messages": messages, "infos": []});
    Ok(well(&data).with_ids(asked.ids.clone()))
}
