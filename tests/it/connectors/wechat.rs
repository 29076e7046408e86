//! Orders that were paid in a mini program, their shipping, and who paid them.

use rowtwin::simulator::{Kind, Simulator, credentials::wechat as known};
use serde_json::{Value, json};

use super::{room::Mailbox, scene_of};
use crate::support::{Scene, fault, secret};

const TABLES: &str = "
    create schema shop;
    create table shop.orders (
      transaction_id text primary key, trade_no text, fen bigint, paid timestamptz, state int, openid text,
      tracking_no text, company text);
    create table shop.payer (openid text primary key);";

async fn scene() -> Scene {
    let text = |crm: &Simulator| {
        format!(
            "database: {{}}
systems:
  crm:
    connector: wechat-miniprogram
    limits: {{per_second: 1000, in_flight: 4}}
    settings: {{base_url: '{}', app_id: {}, app_secret: {{file: '{}'}}, message_token: {{file: '{}'}}, encoding_aes_key: {{file: '{}'}}}}
tables:
  shop.orders:
    bindings:
      - system: crm
        object: order
        match: [transaction_id]
        poll: 1d
        sweep: 1d
        inserts: {{to_remote: false}}
        deletes: {{to_remote: keep}}
        fields: {{transaction_id: transaction_id, trade_no: merchant_trade_no, fen: paid_amount, paid: {{field: pay_time, codec: epoch_s}}, state: order_state, openid: openid, tracking_no: tracking_no, company: express_company}}
  shop.payer:
    bindings:
      - {{system: crm, object: user, match: [openid], direction: pull, poll: 1d, sweep: 1d, fields: {{openid: openid}}}}
",
            crm.base_url(),
            known::APP_ID,
            secret(known::APP_SECRET),
            secret(known::TOKEN),
            secret(known::ENCODING_AES_KEY),
        )
    };
    scene_of(Kind::WechatMiniprogram, TABLES, text).await
}

fn order(n: usize) -> Value {
    json!({"transaction_id": format!("4200{n:06}"), "merchant_trade_no": format!("T{n}"), "paid_amount": 100 + n,
        "openid": format!("o{}", n % 3), "description": "香蕉*1"})
}
