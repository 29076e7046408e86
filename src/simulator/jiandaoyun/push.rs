//! Data pushes, with their signature.

use serde_json::json;
use sha1::{Digest, Sha1};

use super::read::whole;
use crate::simulator::{credentials::jiandaoyun as known, push::Push, state::State};

/// Writes down that a record was changed in the pages.
pub(super) fn push(state: &mut State, op: &str, object: &str, id: &str) {
    let Some(row) = state.table(object).get(id).map(|row| whole(&row.fields)) else { return };
    let body = json!({"op": op, "data": row}).to_string();
    let (nonce, seconds) = (format!("n{}", state.next_serial()), state.now_ms().div_euclid(1000));
    let signed = format!("{nonce}:{body}:{}:{seconds}", known::WEBHOOK_SECRET);
    let headers = vec![
        ("Content-Type".to_owned(), "application/json;charset=utf-8".to_owned()),
        ("X-JDY-Signature".to_owned(), hex::encode(Sha1::digest(signed.as_bytes()))),
        ("X-JDY-DeliverId".to_owned(), format!("d{nonce}")),
    ];
    state.push(Push { query: format!("nonce={nonce}&timestamp={seconds}"), headers, body });
}
