//! Orders that were paid in the mini program, and their shipping.

use serde_json::{Value, json};

use super::{Refusal, well};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked},
        state::State,
        table::Row,
    },
};

/// Orders of a page, at most.
const PAGE: usize = 100;

fn number(record: &Value, name: &str) -> Option<i64> {
    record.get(name).and_then(Value::as_i64)
}

/// The order that a key names: by its transaction, or by the merchant and the merchant's own number.
fn named(state: &mut State, key: &Value) -> Result<Record, Refusal> {
    let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let missing = || Refusal::new(10_060_001, "支付单不存在");
    let transaction = text("transaction_id");
    if !transaction.is_empty() {
        return state.table("order").get(&transaction).map(|row| row.fields.clone()).ok_or_else(missing);
    }
    let own = |one: &str, other: &str| {
        Some(text(one)).filter(|text| !text.is_empty()).unwrap_or_else(|| text(other))
    };
    let (merchant, trade) = (own("merchant_id", "mchid"), own("merchant_trade_no", "out_trade_no"));
    if merchant.is_empty() || trade.is_empty() {
        return Err(Refusal::new(10_060_014, "请求参数非法"));
    }
    let mut rows = state.table("order").rows();
    let found = rows.find(|row| {
        row.fields.get("merchant_id") == Some(&json!(merchant))
            && row.fields.get("merchant_trade_no") == Some(&json!(trade))
    });
    found.map(|row| row.fields.clone()).ok_or_else(missing)
}

pub(super) fn one(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let record = named(state, &asked.payload)?;
    Ok(well(json!({ "order": record })))
}

/// By the time of payment, the payer and the state; the last index goes on.
pub(super) fn list(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let body = &asked.payload;
    let range = body.get("pay_time_range").cloned().unwrap_or_default();
    let (begin, end) =
        (number(&range, "begin_time").unwrap_or(0), number(&range, "end_time").unwrap_or(i64::MAX));
    let size = match body.get("page_size") {
        None => PAGE,
        Some(size) => {
            let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
            size.filter(|size| (1..=PAGE).contains(size))
                .ok_or_else(|| Refusal::new(10_060_014, "请求参数非法"))?
        }
    };
    let last = body.get("last_index").and_then(Value::as_str).filter(|index| !index.is_empty());
    let last = match last {
        None => None,
        Some(index) => {
            let bytes = hex::decode(index).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(bytes.ok_or_else(|| Refusal::new(10_060_011, "last_index不合法"))?)
        }
    };
    let mut found: Vec<Record> = state
        .table("order")
        .rows()
        .filter(|row| last.as_ref().is_none_or(|last| row.id > *last))
        .map(|row| row.fields.clone())
        .filter(|record| {
            let record = Value::Object(record.clone());
            let paid = number(&record, "pay_time").unwrap_or_default();
            let same = |name: &str| body.get(name).is_none_or(|wanted| record.get(name) == Some(wanted));
            (begin..=end).contains(&paid) && same("openid") && same("order_state")
        })
        .collect();
    let more = found.len() > size;
    found.truncate(size);
    let ids: Vec<String> = found
        .iter()
        .filter_map(|record| record.get("transaction_id").and_then(Value::as_str).map(str::to_owned))
        .collect();
    let index = ids.last().map(hex::encode).unwrap_or_default();
    Ok(well(json!({"order_list": found, "last_index": index, "has_more": more})).with_ids(ids))
}

pub(super) fn put(state: &mut State, id: &str, record: Record) {
    let stamp = state.now_ms();
    state.put_record("order", Row { id: id.to_owned(), stamp, fields: record, refers: Vec::new() });
}

/// Shipping: the first time, and one correction.
pub(super) fn ship(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let body = &asked.payload;
    let key = body.get("order_key").cloned().unwrap_or_default();
    let mut record = named(state, &key)?;
    let wrong = |why: &str| Refusal::new(10_060_014, format!("请求参数非法: {why}"));
    let whole = Value::Object(record.clone());
    let payer = body.get("payer").and_then(|payer| payer.get("openid"));
    if payer != record.get("openid") {
        return Err(wrong("payer"));
    }
    let time =
        body.get("upload_time").and_then(Value::as_str).and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let time = time.ok_or_else(|| wrong("upload_time"))?;
    let parcels = body.get("shipping_list").and_then(Value::as_array).cloned().unwrap_or_default();
    let way = body.get("logistics_type").and_then(Value::as_i64).ok_or_else(|| wrong("logistics_type"))?;
    let text =
        |parcel: &Value, name: &str| parcel.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    for parcel in &parcels {
        // what goes by express has a number and a company
        if way == 1 && (text(parcel, "tracking_no").is_empty() || text(parcel, "express_company").is_empty())
        {
            return Err(wrong("tracking_no, express_company"));
        }
        if text(parcel, "tracking_no").chars().count() > 128 || text(parcel, "item_desc").is_empty() {
            return Err(wrong("shipping_list"));
        }
    }
    if parcels.is_empty() || !matches!(number(&whole, "order_state"), Some(1 | 2)) {
        return Err(Refusal::new(10_060_004, "支付单处于不可发货的状态"));
    }
    let shipping = whole.get("shipping").cloned().unwrap_or_default();
    let times = number(&shipping, "finish_shipping_count").unwrap_or(0);
    if times >= 2 {
        return Err(Refusal::new(10_060_003, "支付单已使用重新发货机会"));
    }
    let list: Vec<Value> = parcels
        .iter()
        .map(|parcel| {
            json!({"tracking_no": text(parcel, "tracking_no"), "express_company": text(parcel, "express_company"),
                "goods_desc": text(parcel, "item_desc"), "upload_time": time.as_second()})
        })
        .collect();
    let goods = list.first().and_then(|one| one.get("goods_desc").cloned()).unwrap_or_default();
    record.insert(
        "shipping".to_owned(),
        json!({"delivery_mode": body.get("delivery_mode"), "logistics_type": way, "finish_shipping": true,
            "finish_shipping_count": times + 1, "goods_desc": goods, "shipping_list": list}),
    );
    record.insert("order_state".to_owned(), json!(2));
    let id = record.get("transaction_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    put(state, &id, record);
    Ok(well(json!({})).with_ids(vec![id]))
}
