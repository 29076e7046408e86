//! Creating, changing, deleting through the API. None of it is pushed.

use serde_json::{Value, json};

use super::{
    BATCH_TOO_LARGE, INVALID_REQUEST, MOST, Refusal, form,
    read::{gone, whole},
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked, BatchTrouble},
        state::State,
        table::Row,
    },
};

/// Who an API key writes as.
const API: &str = "api";
/// How long a transaction is remembered.
const REMEMBERED_MS: i64 = 3_600_000;

/// Puts a record into its table under the stamp of now.
pub(super) fn put(state: &mut State, object: &str, id: &str, mut record: Record, by: &str) {
    let now = state.now_ms();
    record.insert("updateTime".to_owned(), json!(form::stamp(now)));
    let who = json!({"_id": format!("u_{by}"), "name": by, "username": by, "status": 1, "type": 0});
    record.insert("updater".to_owned(), who);
    state.put_record(object, Row { id: id.to_owned(), stamp: now, fields: record, refers: Vec::new() });
}

fn make(state: &mut State, object: &str, fields: Record) -> String {
    let (id, mut record) = form::blank(state, object, API);
    record.extend(fields);
    put(state, object, &id, record, API);
    id
}

/// What a transaction has made already, within its hour.
fn made_before(state: &mut State, asked: &Asked) -> Option<Vec<String>> {
    let transaction = asked.payload.get("transaction_id").and_then(Value::as_str)?;
    let now = state.now_ms();
    state.jiandaoyun.transactions.retain(|_, (at, _)| now - *at < REMEMBERED_MS);
    state.jiandaoyun.transactions.get(transaction).map(|(_, ids)| ids.clone())
}

fn remember(state: &mut State, asked: &Asked, ids: Vec<String>) {
    let now = state.now_ms();
    if let Some(transaction) = asked.payload.get("transaction_id").and_then(Value::as_str) {
        state.jiandaoyun.transactions.insert(transaction.to_owned(), (now, ids));
    }
}

/// A transaction that comes again finds its record: it stays as it is (unverified for single records).
pub(super) fn create(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let fields = form::sent(asked.payload.get("data"))?;
    let id = match made_before(state, asked).and_then(|ids| ids.into_iter().next()) {
        Some(id) => id,
        None => {
            let id = make(state, &asked.object, fields);
            remember(state, asked, vec![id.clone()]);
            id
        }
    };
    let row = state.table(&asked.object).get(&id).ok_or_else(gone)?;
    Ok(Answer::ok(&json!({ "data": whole(&row.fields) })).with_ids(vec![id]))
}

/// A transaction that comes again overwrites the first one's records, and names none.
pub(super) fn batch_create(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let list = asked.payload.get("data_list").and_then(Value::as_array);
    let list = list.ok_or_else(|| Refusal::new(INVALID_REQUEST, "缺少参数 data_list"))?;
    if list.len() > MOST {
        return Err(Refusal::new(BATCH_TOO_LARGE, "批量操作数据超过上限"));
    }
    let records: Result<Vec<Record>, Refusal> = list.iter().map(|data| form::sent(Some(data))).collect();
    let records = records?;
    let (ids, named) = match made_before(state, asked) {
        Some(ids) => {
            for (id, fields) in ids.iter().zip(records) {
                change(state, &asked.object, id, fields)?;
            }
            (ids, Vec::new())
        }
        None => {
            let ids: Vec<String> =
                records.into_iter().map(|fields| make(state, &asked.object, fields)).collect();
            remember(state, asked, ids.clone());
            (ids.clone(), ids)
        }
    };
    let answer = json!({"status": "success", "success_count": ids.len(), "success_ids": named});
    Ok(Answer::ok(&answer).with_ids(ids))
}

fn change(state: &mut State, object: &str, id: &str, fields: Record) -> Result<(), Refusal> {
    let mut record = state.table(object).get(id).map(|row| row.fields.clone()).ok_or_else(gone)?;
    record.extend(fields);
    put(state, object, id, record, API);
    Ok(())
}

pub(super) fn update(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let fields = form::sent(asked.payload.get("data"))?;
    let id = asked.ids.first().cloned().unwrap_or_default();
    change(state, &asked.object, &id, fields)?;
    let row = state.table(&asked.object).get(&id).ok_or_else(gone)?;
    Ok(Answer::ok(&json!({ "data": whole(&row.fields) })))
}

pub(super) fn delete(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let id = asked.ids.first().cloned().unwrap_or_default();
    match state.remove_record(&asked.object, &id) {
        true => Ok(Answer::ok(&json!({"status": "success"}))),
        false => Err(gone()),
    }
}

/// Counts those that were there; a partial batch leaves every second one.
pub(super) fn batch_delete(
    state: &mut State,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    if asked.ids.len() > MOST {
        return Err(Refusal::new(BATCH_TOO_LARGE, "批量操作数据超过上限"));
    }
    let step = if trouble == Some(BatchTrouble::Partial) { 2 } else { 1 };
    let ids = asked.ids.iter().step_by(step);
    let count = ids.filter(|id| state.remove_record(&asked.object, id)).count();
    Ok(Answer::ok(&json!({"status": "success", "success_count": count})))
}
