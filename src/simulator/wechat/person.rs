//! What users and the platform do: orders are paid, received, refunded. The door refuses nothing, so that every state can
//! be made; each change is told by a message.

use serde_json::{Value, json};

use super::{orders::put, push::push};
use crate::{
    model::record::Record,
    simulator::{credentials::wechat as known, state::State},
};

/// An order that is paid; a transaction and a time that are given are kept.
pub(in crate::simulator) fn insert(state: &mut State, _object: &str, fields: Record) -> String {
    let (now, serial) = (state.now_ms() / 1000, state.next_serial());
    let fresh = format!("42000020{serial:020}");
    let id = fields.get("transaction_id").and_then(Value::as_str).map_or(fresh, str::to_owned);
    let mut record = Record::new();
    for (name, value) in [
        ("transaction_id", json!(id)),
        ("merchant_trade_no", json!(format!("T{serial}"))),
        ("merchant_id", json!(known::MERCHANT_ID)),
        ("sub_merchant_id", json!("")),
        ("description", json!("")),
        ("paid_amount", json!(0)),
        ("openid", json!("ogqzt-demo")),
        ("trade_create_time", json!(now)),
        ("pay_time", json!(now)),
        ("order_state", json!(1)),
        ("in_complaint", json!(false)),
        ("shipping", json!({})),
    ] {
        record.insert(name.to_owned(), value);
    }
    record.extend(fields);
    put(state, &id, record);
    push(state, "trade_manage_remind_shipping", &id);
    id
}

/// An order that is changed: received, completed, refunded.
pub(in crate::simulator) fn edit(state: &mut State, object: &str, id: &str, fields: Record) -> bool {
    let Some(mut record) = state.table(object).get(id).map(|row| row.fields.clone()) else { return false };
    record.extend(fields);
    put(state, id, record);
    push(state, "trade_manage_order_settlement", id);
    true
}

/// Takes an order away, which the real system never does. False where there is none.
pub(in crate::simulator) fn remove(state: &mut State, object: &str, id: &str) -> bool {
    state.remove_record(object, id)
}
