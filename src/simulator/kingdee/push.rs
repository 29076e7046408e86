//! `Push` (下推): a bill made from another one, here a delivery notice from the lines of a sales order.
//!
//! Unverified: that only an audited order that is neither closed nor cancelled can be pushed; that a rule must be named
//! or the default one allowed; that the same lines can be pushed twice, which makes a second notice. So an answer that
//! is lost and a call that is repeated make two.

use serde_json::{Value, json};

use super::{
    Done, NO_DATA, NOT_OPERABLE, PARAMETER, Refusal,
    forms::{form, member},
    lifecycle::{first_error, targets},
    response_status,
    save::{finished, put},
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked},
        state::State,
        value::text_of,
    },
};

const FROM: &str = "SAL_SaleOrder";
const TO: &str = "SAL_DELIVERYNOTICE";

/// What the notice has from the order's head, and from each of its lines.
const HEAD: [(&str, &str); 4] = [
    ("FSaleOrgId", "FSaleOrgId"),
    ("FDeliveryOrgID", "FSaleOrgId"),
    ("FCustomerID", "FCustId"),
    ("FNote", "FNote"),
];
const LINE: [(&str, &str); 4] = [
    ("FMaterialID", "FMaterialId"),
    ("FUnitID", "FUnitID"),
    ("FQty", "FQty"),
    ("FDeliveryDate", "FDeliveryDate"),
];

/// Pushes each of the orders that are named.
pub(super) fn push(state: &mut State, asked: &Asked, data: &Value) -> Result<Answer, Refusal> {
    let text = |name: &str| data.get(name).and_then(text_of).unwrap_or_default();
    let default_rule = text("IsEnableDefaultRule").eq_ignore_ascii_case("true");
    let to = text("TargetFormId");
    if asked.object != FROM || !(to == TO || to.is_empty() && default_rule) {
        return Err(Refusal::new(PARAMETER, "TargetFormId", "没有找到可用的单据转换规则"));
    }
    if text("RuleId").is_empty() && !default_rule {
        return Err(Refusal::new(PARAMETER, "RuleId", "转换规则不能为空"));
    }
    let only: Vec<String> =
        text("EntryIds").split(',').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect();
    let orders = targets(state, &asked.object, data)?;
    let (mut done, mut ids) = (Vec::new(), Vec::new());
    for (index, order) in orders.into_iter().enumerate() {
        done.push(match push_one(state, order, &only) {
            Ok((id, number)) => {
                ids.push(id.to_string());
                Done::Entity { index, id, number }
            }
            Err(refusal) => Done::Refused { index, refusal },
        });
    }
    // The conversion has made the bills, the saving has stored them; what is in each status is (unverified).
    let converted: Vec<Done> =
        done.iter().filter(|item| matches!(item, Done::Refused { .. })).cloned().collect();
    let answer = json!({"Result": {
        "ConvertResponseStatus": response_status(&converted), "ResponseStatus": response_status(&done),
    }});
    let mut answer = Answer::ok(&answer).with_ids(ids);
    answer.error = first_error(&done);
    Ok(answer)
}

fn push_one(state: &mut State, order: Option<String>, only: &[String]) -> Result<(u64, String), Refusal> {
    let missing = || Refusal::new(NO_DATA, "", "传递的编码值不存在");
    let order = order.and_then(|id| state.table(FROM).get(&id).cloned()).ok_or_else(missing)?.fields;
    let number = order.get("FBillNo").and_then(text_of).unwrap_or_default();
    let is = |key: &str, state: &str| order.get(key).and_then(Value::as_str) == Some(state);
    if !is("FDocumentStatus", "C") || is("FCloseStatus", "B") || is("FCancelStatus", "B") {
        let message = format!("单据编号为“{number}”的销售订单未审核、已关闭或已作废，不允许下推");
        return Err(Refusal::new(NOT_OPERABLE, "", message));
    }
    let wanted = |line: &&Record| {
        let id = member(line, "FEntryID").and_then(|(_, id)| text_of(id)).unwrap_or_default();
        only.is_empty() || only.contains(&id)
    };
    let lines = order.get("FSaleOrderEntry").and_then(Value::as_array);
    let lines: Vec<Record> =
        lines.into_iter().flatten().filter_map(Value::as_object).filter(wanted).cloned().collect();
    if lines.is_empty() {
        return Err(Refusal::new(NO_DATA, "", format!("单据编号为“{number}”的销售订单没有可下推的分录")));
    }
    let mut entries = Vec::new();
    for line in lines {
        let mut entry = Record::new();
        entry.insert("FEntryID".to_owned(), json!(100_000 + state.next_serial()));
        entry.insert("FSeq".to_owned(), json!(entries.len() + 1));
        copy(&line, &LINE, &mut entry);
        entry.insert("FSrcType".to_owned(), json!(FROM));
        entry.insert("FSrcBillNo".to_owned(), json!(number));
        entries.push(Value::Object(entry));
    }
    let mut notice = Record::new();
    copy(&order, &HEAD, &mut notice);
    notice.insert("FEntity".to_owned(), Value::Array(entries));
    let id = 100_000 + state.next_serial();
    let notice = finished(state, &form(TO), id, notice, false, false);
    let made = notice.get("FBillNo").and_then(text_of).unwrap_or_default();
    put(state, TO, id, notice);
    Ok((id, made))
}

fn copy(from: &Record, keys: &[(&str, &str)], into: &mut Record) {
    for (to, key) in keys {
        if let Some((_, value)) = member(from, key) {
            into.insert((*to).to_owned(), value.clone());
        }
    }
}
