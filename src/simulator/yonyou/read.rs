//! Reading: the list of customers with conditions of its own, the list of orders with general ones, one record.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::{
    Refusal,
    catalogue::{LINES, millis, shown},
    well,
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked},
        state::State,
        value::{compare, text_of},
    },
};

/// Records of a page, at most.
const CUSTOMERS: usize = 5000;
const ORDERS: usize = 500;

/// A record as an answer shows it. Null fields of a customer are left out, as are an order's lines.
fn whole(object: &str, record: &Record) -> Value {
    let fields = record.iter().filter(|(name, value)| *name != LINES && !value.is_null());
    Value::Object(fields.map(|(name, value)| (name.clone(), shown(object, name, value))).collect())
}

fn page(body: &Value, most: usize) -> Result<(usize, usize), Refusal> {
    let number = |name: &str| body.get(name).and_then(text_of).and_then(|text| text.parse::<usize>().ok());
    match (number("pageIndex"), number("pageSize")) {
        (Some(index), Some(size)) if index >= 1 && (1..=most).contains(&size) => Ok((index, size)),
        _ => Err(Refusal::gateway("310023", "参数pageIndex或pageSize错误")),
    }
}

fn ids_of(records: &[Value]) -> Vec<String> {
    records.iter().filter_map(|record| record.get("id").and_then(text_of)).collect()
}

/// `merchant/newlist`: exact conditions, `pubts` (from then on) or a span of time; the answer is a bare array.
pub(super) fn customers(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let body = &asked.payload;
    let (index, size) = page(body, CUSTOMERS)?;
    let moment = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_str().and_then(millis) {
            Some(ms) => Ok(Some(ms)),
            None => Err(Refusal::gateway("310023", format!("参数{name}格式错误"))),
        },
    };
    let from = moment("pubts")?.max(moment("beganTime")?);
    let until = moment("endTime")?;
    let same = |record: &Record, name: &str| match body.get(name).and_then(text_of) {
        Some(wanted) => record.get(name).and_then(text_of) == Some(wanted),
        None => true,
    };
    // other names are no conditions of this list, and are left out
    let exact = ["id", "code", "name", "createOrgCode", "creditCode"];
    let rows = state.table("merchant").rows().filter(|row| {
        from.is_none_or(|from| row.stamp >= from)
            && until.is_none_or(|until| row.stamp <= until)
            && exact.iter().all(|name| same(&row.fields, name))
    });
    let found: Vec<Value> =
        rows.skip((index - 1) * size).take(size).map(|row| whole("merchant", &row.fields)).collect();
    let ids = ids_of(&found);
    // the code is a number here
    Ok(Answer::ok(&json!({"code": 200, "message": "处理成功", "data": found})).with_ids(ids))
}

fn meets(record: &Record, condition: &Map<String, Value>) -> Result<bool, Refusal> {
    let text = |name: &str| condition.get(name).and_then(Value::as_str).unwrap_or_default();
    let (field, op) = (text("field"), text("op"));
    let Some(value) = record.get(field).filter(|value| !value.is_null()) else { return Ok(op == "neq") };
    let numeric = field == "id";
    let order = |name: &str| condition.get(name).and_then(|given| compare(value, given, numeric));
    let among = || {
        let given = condition.get("value1").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
        given.iter().any(|given| text_of(given) == text_of(value))
    };
    let order1 = order("value1");
    Ok(match op {
        "eq" => order1 == Some(Ordering::Equal),
        "neq" => order1 != Some(Ordering::Equal),
        "lt" => order1 == Some(Ordering::Less),
        "gt" => order1 == Some(Ordering::Greater),
        "elt" => matches!(order1, Some(Ordering::Less | Ordering::Equal)),
        "egt" => matches!(order1, Some(Ordering::Greater | Ordering::Equal)),
        "between" => {
            matches!(order1, Some(Ordering::Greater | Ordering::Equal))
                && matches!(order("value2"), Some(Ordering::Less | Ordering::Equal))
        }
        "like" => text_of(value).is_some_and(|value| value.contains(text("value1"))),
        "in" => among(),
        "nin" => !among(),
        _ => return Err(Refusal::business(format!("不支持的比较符{op}"))),
    })
}

/// `voucherorder/list`: heads with `isSum`, else one row for each line.
pub(super) fn orders(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let body = &asked.payload;
    let (index, size) = page(body, ORDERS)?;
    let list = |name: &str| {
        let items = body.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        items.into_iter().filter_map(|item| item.as_object().cloned()).collect::<Vec<_>>()
    };
    let conditions = list("simpleVOs");
    let mut found: Vec<Record> = Vec::new();
    let records: Vec<Record> = state.table("voucherorder").rows().map(|row| row.fields.clone()).collect();
    for record in records {
        let mut meant = body.get("code").is_none_or(|code| record.get("code") == Some(code));
        for condition in &conditions {
            meant &= meets(&record, condition)?;
        }
        if meant {
            found.push(record);
        }
    }
    for by in list("queryOrders").iter().rev() {
        let field = by.get("field").and_then(Value::as_str).unwrap_or_default();
        let value = |record: &Record| record.get(field).cloned().unwrap_or_default();
        found.sort_by(|left, right| {
            compare(&value(left), &value(right), field == "id").unwrap_or(Ordering::Equal)
        });
        if by.get("order").and_then(Value::as_str) == Some("desc") {
            found.reverse();
        }
    }
    let mut rows = Vec::new();
    for record in &found {
        let head = whole("voucherorder", record);
        if body.get("isSum") == Some(&json!(true)) {
            rows.push(head);
            continue;
        }
        for line in record.get(LINES).and_then(Value::as_array).into_iter().flatten() {
            let mut row = head.as_object().cloned().unwrap_or_default();
            for (name, value) in line.as_object().into_iter().flatten() {
                let name = if name == "id" { "orderDetailId" } else { name };
                row.insert(name.to_owned(), shown(LINES, name, value));
            }
            rows.push(Value::Object(row));
        }
    }
    let count = rows.len();
    let shown: Vec<Value> = rows.into_iter().skip((index - 1) * size).take(size).collect();
    let ids = ids_of(&shown);
    let data = json!({"pageIndex": index, "pageSize": size, "recordCount": count,
        "pageCount": count.div_ceil(size), "recordList": shown});
    Ok(well(&data).with_ids(ids))
}

/// One record, an order with its lines.
pub(super) fn detail(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let id = asked.ids.first().cloned().unwrap_or_default();
    let Some(record) = state.table(&asked.object).get(&id).map(|row| row.fields.clone()) else {
        let missing = match asked.object.as_str() {
            "voucherorder" => "未获取到当前订单商品信息",
            _ => "数据不存在",
        };
        return Err(Refusal { code: json!("999"), message: missing.to_owned(), data: Value::Null });
    };
    let mut data = whole(&asked.object, &record);
    if let (Value::Object(data), Some(lines)) = (&mut data, record.get(LINES).and_then(Value::as_array)) {
        let line = |line: &Value| {
            let fields = line.as_object().into_iter().flatten();
            Value::Object(fields.map(|(name, value)| (name.clone(), shown(LINES, name, value))).collect())
        };
        data.insert(LINES.to_owned(), lines.iter().map(line).collect());
    }
    Ok(well(&data).with_ids(vec![id]))
}
