//! Messages: written down encrypted and signed, in XML and in JSON by turns, for whoever wants to deliver, lose, repeat or
//! reorder them.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::simulator::{credentials::wechat as known, push::Push, state::State, yonyou::encrypted};

/// Writes down that something became of an order.
pub(super) fn push(state: &mut State, event: &str, id: &str) {
    let order = state.table("order").get(id).map(|row| row.fields.clone()).unwrap_or_default();
    let text = |name: &str| order.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (serial, seconds) = (state.next_serial(), state.now_ms().div_euclid(1000));
    let (openid, merchant, trade) = (text("openid"), text("merchant_id"), text("merchant_trade_no"));
    let xml = serial.is_multiple_of(2);
    let message = if xml {
        format!(
            "<xml><ToUserName><![CDATA[gh_demo]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>\
             <CreateTime>{seconds}</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{event}]]></Event>\
             <transaction_id><![CDATA[{id}]]></transaction_id><merchant_id><![CDATA[{merchant}]]></merchant_id>\
             <merchant_trade_no><![CDATA[{trade}]]></merchant_trade_no></xml>"
        )
    } else {
        json!({"ToUserName": "gh_demo", "FromUserName": openid, "CreateTime": seconds, "MsgType": "event",
            "Event": event, "transaction_id": id, "merchant_id": merchant, "merchant_trade_no": trade})
        .to_string()
    };
    let nonce = format!("n{serial}");
    let chance = u128::from(serial).to_be_bytes();
    let encrypt = encrypted(known::ENCODING_AES_KEY, chance, &message, known::APP_ID);
    let signed = |parts: &[&str]| {
        let mut parts = parts.to_vec();
        parts.sort_unstable();
        hex::encode(Sha1::digest(parts.concat()))
    };
    let stamp = seconds.to_string();
    let plain = signed(&[known::TOKEN, &stamp, &nonce]);
    let sealed = signed(&[known::TOKEN, &stamp, &nonce, &encrypt]);
    let query = format!(
        "signature={plain}&timestamp={stamp}&nonce={nonce}&openid={openid}&encrypt_type=aes&msg_signature={sealed}"
    );
    let (kind, body) = if xml {
        let body = format!(
            "<xml><ToUserName><![CDATA[gh_demo]]></ToUserName><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>"
        );
        ("text/xml", body)
    } else {
        ("application/json", json!({"ToUserName": "gh_demo", "Encrypt": encrypt}).to_string())
    };
    let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
    state.push(Push { query, headers, body });
}
