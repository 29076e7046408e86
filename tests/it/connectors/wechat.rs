//! Orders that were paid in a mini program, their shipping, and who paid them.

use rowtwin::simulator::{Kind, Simulator, credentials::wechat as known};
use serde_json::{Value, json};

use super::{room::Mailbox, scene_of};
use crate::support::{Scene, fault, secret};

const TABLES: &str = "
    create schema shop;
    create table shop.orders (
      transaction_id text primary key, trade_no text, fen bigint, paid bigint, state int, openid text,
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
        deletes: {{to_remote: keep}}
        fields: {{transaction_id: transaction_id, trade_no: merchant_trade_no, fen: paid_amount, paid: pay_time, state: order_state, openid: openid, tracking_no: tracking_no, company: express_company}}
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

#[tokio::test(flavor = "multi_thread")]
async fn orders_come_in_page_by_page_and_each_payer_once() {
    let scene = scene().await;
    scene.crm().insert_many("order", (0..207).map(order));
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from shop.orders").await, 207, "{}", scene.story().await);
    let row = scene.row("select trade_no, fen, state, openid, tracking_no from shop.orders where transaction_id = '4200000007'").await;
    assert_eq!(row, json!({"trade_no": "T7", "fen": 107, "state": 1, "openid": "o1", "tracking_no": null}));
    assert_eq!(scene.rows("select openid from shop.payer order by 1").await.len(), 3);
    assert!(Scene::writes(&scene.crm()).is_empty());
    assert_eq!(scene.crm().calls_of("stable_token", ""), 1, "one token for all");
    // what becomes of an order later does not move its time of payment, and is seen all the same
    scene.crm().edit("order", "4200000007", json!({"order_state": 5}));
    scene.crm().insert("order", order(207));
    scene.poll().await;
    assert_eq!(
        scene.number("select state::bigint from shop.orders where transaction_id = '4200000007'").await,
        5
    );
    assert_eq!(scene.number("select count(*) from shop.orders").await, 208);
    scene.sweep().await;
    assert_eq!(scene.number("select count(*) from shop.orders").await, 208);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shipped_once_and_corrected_once() {
    let scene = scene().await;
    let id = scene.crm().insert("order", order(1));
    scene.settle().await;
    let ship = async |number: &str| {
        scene.run(&format!("update shop.orders set tracking_no = '{number}', company = 'YTO'")).await;
        scene.settle().await;
    };
    // the answer is lost: what is there is read before anything is sent again
    scene.crm().add_fault(fault("lost-answer@upload_shipping_info"));
    ship("YT1").await;
    assert!(scene.crm().faults().is_empty());
    let order = scene.crm().record("order", &id).unwrap();
    assert_eq!(order["shipping"]["shipping_list"][0]["tracking_no"], "YT1", "{}", scene.story().await);
    assert_eq!(order["shipping"]["finish_shipping_count"], 1, "{:?}", scene.crm().calls());
    scene.poll().await;
    assert_eq!(scene.row("select state from shop.orders").await, json!({"state": 2}));
    ship("YT2").await;
    assert_eq!(scene.crm().record("order", &id).unwrap()["shipping"]["finish_shipping_count"], 2);
    // no more: it is refused before it is sent
    scene.crm().forget_calls();
    ship("YT3").await;
    let rejected = scene.rows("select reason from rowtwin.rejected").await;
    assert_eq!(rejected.len(), 1, "{}", scene.story().await);
    assert!(rejected[0]["reason"].as_str().unwrap().contains("corrected once already"), "{rejected:?}");
    assert_eq!(scene.crm().calls_of("upload_shipping_info", "order"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_throttling_and_outages_are_waited_out() {
    let scene = scene().await;
    let id = scene.crm().insert("order", order(1));
    scene.settle().await;
    scene.crm().set_faults(
        [
            "token-expired@upload_shipping_info",
            "throttled:1@upload_shipping_info",
            "error:-1@upload_shipping_info",
            "malformed:html@query",
            "status:502@query",
        ]
        .map(fault)
        .to_vec(),
    );
    scene.run("update shop.orders set tracking_no = 'YT1', company = 'YTO'").await;
    scene.settle().await;
    for _ in 0..20 {
        if scene.crm().faults().is_empty() {
            break;
        }
        scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
        scene.poll().await;
    }
    assert!(scene.crm().faults().is_empty(), "{:?}", scene.crm().faults());
    scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
    scene.poll().await;
    assert_eq!(scene.crm().record("order", &id).unwrap()["shipping"]["finish_shipping_count"], 1);
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0, "{}", scene.story().await);
    // a token that an administrator ended, while lists go on
    scene.crm().end_sessions();
    scene.crm().insert("order", order(2));
    scene.poll().await;
    assert_eq!(scene.number("select count(*) from shop.orders").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_messages_bring_an_order_without_a_poll() {
    let scene = scene().await;
    let mailbox = Mailbox::open(&scene).await;
    scene.settle().await;
    let id = scene.crm().insert("order", order(1));
    scene.crm().edit("order", &id, json!({"order_state": 3}));
    for push in scene.crm().take_pushes() {
        assert!(!push.body.contains(&id), "nothing of it can be read on its way");
        assert_eq!(mailbox.send_to("crm", &push).await, (200, "success".to_owned()));
    }
    scene.crm().forget_calls();
    scene.settle().await;
    assert_eq!(
        scene.row("select state from shop.orders").await,
        json!({"state": 3}),
        "{}",
        scene.story().await
    );
    assert_eq!(scene.row("select openid from shop.payer").await, json!({"openid": "o1"}));
    assert_eq!(scene.crm().calls_of("get_order", "order"), 1, "{:?}", scene.crm().calls());
}
