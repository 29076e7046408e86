//! Data pushes: written down with their signature, for whoever wants to deliver, lose, repeat or reorder them.

use serde::Serialize;
use serde_json::json;
use sha1::{Digest, Sha1};

use super::read::whole;
use crate::simulator::{credentials::jiandaoyun as known, state::State};

/// The most pushes that wait to be taken; older ones are lost.
const KEPT: usize = 100_000;

/// One push as the system would send it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Push {
    /// What follows the `?` of the address.
    pub query: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

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
    let pushes = &mut state.jiandaoyun.pushes;
    if pushes.len() >= KEPT {
        pushes.remove(0);
    }
    pushes.push(Push { query: format!("nonce={nonce}&timestamp={seconds}"), headers, body });
}

/// Takes what waits.
pub(in crate::simulator) fn take(state: &mut State) -> Vec<Push> {
    std::mem::take(&mut state.jiandaoyun.pushes)
}
