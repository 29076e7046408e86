//! Submit, audit, delete and the other operations on records that are named by number or id.

use serde_json::{Value, json};

use super::{
    Done, INVALID, NO_DATA, NOT_OPERABLE, PARAMETER, Refusal, lines::reference, response_status, save,
    session_lost, values::local_text,
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked, BatchTrouble},
        state::State,
        value::text_of,
    },
};

/// The records that a request names: `Numbers` is a list, `Ids` a text with commas; `View` has one of each.
pub(super) fn named(data: &Value) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for key in ["Numbers", "Number"] {
        match data.get(key) {
            Some(Value::Array(numbers)) => names.extend(numbers.iter().filter_map(text_of)),
            Some(number) => names.extend(text_of(number)),
            None => {}
        }
    }
    names.extend(ids(data));
    names.retain(|name| !name.is_empty());
    names
}

fn ids(data: &Value) -> Vec<String> {
    let mut ids = Vec::new();
    for key in ["Ids", "Id"] {
        match data.get(key) {
            Some(Value::Array(list)) => ids.extend(list.iter().filter_map(text_of)),
            Some(value) => {
                let text = text_of(value).unwrap_or_default();
                ids.extend(text.split(',').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()));
            }
            None => {}
        }
    }
    ids
}

/// What an operation does to a record.
enum Step {
    /// From one of these states to the next.
    Status(&'static str, &'static str),
    /// To usable (`A`) or forbidden (`B`).
    Forbid(&'static str),
    Delete,
}

fn step(asked: &Asked) -> Result<Step, Refusal> {
    let operation = asked.payload.get("opNumber").and_then(Value::as_str).unwrap_or("");
    Ok(match (asked.operation.as_str(), operation) {
        ("Submit", _) => Step::Status("ADZ", "B"),
        ("Audit", _) => Step::Status("B", "C"),
        ("UnAudit", _) => Step::Status("C", "D"),
        ("CancelAssign", _) => Step::Status("B", "D"),
        ("Delete", _) => Step::Delete,
        (_, op) if op.eq_ignore_ascii_case("Forbid") => Step::Forbid("B"),
        (_, op) if op.eq_ignore_ascii_case("Enable") => Step::Forbid("A"),
        _ => return Err(Refusal::new(3, "opNumber", format!("操作{operation}不存在"))),
    })
}

/// Does an operation on each named record; one that cannot be changed leaves the others alone.
pub(super) fn operate(
    state: &mut State,
    asked: &Asked,
    data: &Value,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    let step = step(asked)?;
    let targets = targets(state, &asked.object, data)?;
    let half = targets.len() / 2;
    let mut done = Vec::new();
    let mut ids = Vec::new();
    for (index, id) in targets.into_iter().enumerate() {
        if trouble == Some(BatchTrouble::SessionEnds) && index >= half {
            state.end_sessions();
            let answer = Answer::failed(session_lost(asked), "session lost in the middle of a batch");
            return Ok(answer.with_ids(ids));
        }
        let became = if trouble == Some(BatchTrouble::Partial) && index % 2 == 1 {
            Err(Refusal::new(6, "", "数据库操作失败"))
        } else {
            operate_one(state, &asked.object, id, &step)
        };
        done.push(match became {
            Ok((id, number)) => {
                ids.push(id.to_string());
                Done::Entity { index, id, number }
            }
            Err(refusal) => Done::Refused { index, refusal },
        });
    }
    let mut answer = Answer::ok(&json!({"Result": {"ResponseStatus": response_status(&done)}})).with_ids(ids);
    answer.error = first_error(&done);
    Ok(answer)
}

/// What the log says of an operation of which a part was refused.
pub(super) fn first_error(done: &[Done]) -> Option<String> {
    done.iter().find_map(|item| match item {
        Done::Refused { refusal, .. } => Some(format!("{}: {}", refusal.code, refusal.message)),
        Done::Entity { .. } => None,
    })
}

/// The ids of the records that an operation names, in the order of the request; `None` for one that is not there.
pub(super) fn targets(state: &mut State, object: &str, data: &Value) -> Result<Vec<Option<String>>, Refusal> {
    let mut targets: Vec<Option<String>> = Vec::new();
    let table = state.table(object);
    if let Some(Value::Array(numbers)) = data.get("Numbers") {
        for number in numbers.iter().filter_map(text_of) {
            targets.push(table.named(&number).map(|row| row.id.clone()));
        }
    }
    for id in ids(data) {
        targets.push(table.get(&id).map(|row| row.id.clone()));
    }
    if targets.is_empty() {
        return Err(Refusal::new(PARAMETER, "", "单据编码集合与单据内码集合不能同时为空"));
    }
    Ok(targets)
}

fn operate_one(
    state: &mut State,
    object: &str,
    id: Option<String>,
    step: &Step,
) -> Result<(u64, String), Refusal> {
    let missing = || Refusal::new(NO_DATA, "", "传递的编码值不存在");
    let row = id.and_then(|id| state.table(object).get(&id).cloned()).ok_or_else(missing)?;
    let id: u64 = row.id.parse().map_err(|_| missing())?;
    let mut record: Record = row.fields;
    let number =
        ["FNumber", "FBillNo"].iter().find_map(|key| record.get(*key)).and_then(text_of).unwrap_or_default();
    let status = record.get("FDocumentStatus").and_then(Value::as_str).unwrap_or("A").to_owned();
    let now = local_text(state.now_ms());
    let refuse = |what: &str| Refusal::new(NOT_OPERABLE, "", format!("编码为“{number}”的数据{what}"));
    match step {
        Step::Delete => {
            if !matches!(status.as_str(), "A" | "D" | "Z") {
                return Err(refuse("不是创建、重新审核或暂存状态，不允许删除"));
            }
            if needed(state, object, &row.id, &number) {
                let message = format!("编码为“{number}”的数据已被其他单据引用，不允许删除");
                return Err(Refusal::new(INVALID, "", message));
            }
            state.remove_record(object, &row.id);
            return Ok((id, number));
        }
        Step::Status(from, to) => {
            if !from.contains(status.as_str()) {
                return Err(refuse(&format!("状态为{status}，不允许此操作")));
            }
            record.insert("FDocumentStatus".to_owned(), json!(to));
            if *to == "C" {
                record.insert("FApproveDate".to_owned(), json!(now));
            }
        }
        Step::Forbid(to) => {
            if record.get("FForbidStatus").and_then(Value::as_str) == Some(to) {
                return Err(refuse(if *to == "B" { "已禁用" } else { "未禁用" }));
            }
            record.insert("FForbidStatus".to_owned(), json!(to));
        }
    }
    record.insert("FModifyDate".to_owned(), json!(now));
    save::put(state, object, id, record);
    Ok((id, number))
}

/// Whether another record refers to this one. Only base data is referred to by its number.
fn needed(state: &State, object: &str, id: &str, number: &str) -> bool {
    let reference = reference(object, number);
    let itself = |name: &str, row: &str| name == object && row == id;
    state.objects.iter().any(|(name, table)| table.referring(&reference).any(|row| !itself(name, &row.id)))
}
