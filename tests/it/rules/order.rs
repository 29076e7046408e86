//! R10: a row's deliveries are in order, whatever fails and whoever delivers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rowtwin::deliver::Deliverer;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{CRM, Scene, Script};

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_rows_deliveries_are_in_order_under_retries_and_several_deliverers() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.run("insert into sales.customer (name, number, address) select 'n' || n, 'C' || n, '0' from generate_series(1, 6) n").await;
    scene.settle().await;
    scene.crm().set_faults(
        ["slow:15ms@updatex40", "status:503@updatex2", "lost-answer@updatex2"]
            .map(|fault| fault.parse().unwrap())
            .into(),
    );
    let done = Arc::new(AtomicBool::new(false));
    let mut deliverers = Vec::new();
    for _ in 0..3 {
        let deliverer = Deliverer {
            store: scene.engine.store.clone(),
            bound: Arc::clone(&scene.engine.bounds[0]),
            stop: CancellationToken::new(),
        };
        let done = Arc::clone(&done);
        deliverers.push(tokio::spawn(async move {
            let mut looked = 0;
            while !done.load(Ordering::Relaxed) {
                looked += deliverer.turn().await.unwrap().looked;
                tokio::task::yield_now().await;
            }
            looked
        }));
    }
    for round in 1..=25 {
        scene.run(&format!("update sales.customer set address = '{round}'")).await;
        scene.capture().await;
        scene.round().await;
    }
    scene.settle().await;
    done.store(true, Ordering::Relaxed);
    let mut looked = Vec::new();
    for deliverer in deliverers {
        looked.push(deliverer.await.unwrap());
    }
    assert!(looked.iter().sum::<usize>() > 0, "the test's deliverers never worked: {looked:?}");

    assert!(scene.crm().records(CRM).iter().all(|record| record["address"] == json!("25")));
    let steps = scene
        .rows("select key, after ->> 'address' as step from rowtwin.journal where effect = 'update' order by key, id")
        .await;
    for (before, after) in steps.iter().zip(steps.iter().skip(1)) {
        let step = |line: &Value| line["step"].as_str().unwrap().parse::<u32>().unwrap();
        assert!(before["key"] != after["key"] || step(before) < step(after), "{before} then {after}");
    }
    assert_eq!(scene.crm().count(CRM), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_an_edit_during_a_call_goes_out_after_it() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    scene.run("update sales.customer set address = 'first'").await;
    scene.capture().await;
    scene.crm().set_faults(vec!["slow:300ms@update".parse().unwrap()]);
    scene.crm().forget_calls();
    let editor = async {
        crate::support::running::until("the first call is under way", async || {
            scene.number("select count(*) from rowtwin_private.call").await > 0
        })
        .await;
        scene.run("update sales.customer set address = 'second'").await;
        scene.capture().await;
        assert_eq!(
            scene.number("select count(*) from rowtwin_private.outbox where state = 'sending'").await,
            1
        );
        // another deliverer finds nothing that it may take
        assert_eq!(scene.deliver(&scene.engine.bounds[0]).await, 0);
    };
    tokio::join!(scene.deliver(&scene.engine.bounds[0]), editor);
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["address"], json!("second"));
    let steps = scene
        .rows("select after ->> 'address' as a from rowtwin.journal where effect = 'update' order by id")
        .await;
    assert_eq!(steps.last(), Some(&json!({"a": "second"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_sent_in_the_order_of_the_configuration() {
    let orders = [
        ["phone: FTEL", "number: FNumber", "name: FName"],
        ["name: FName", "phone: FTEL", "number: FNumber"],
    ];
    for order in orders {
        let script =
            Script { with_crm: false, erp: format!("{{{}}}", order.join(", ")), ..Script::default() };
        let scene = Scene::with(script).await;
        scene.settle().await;
        scene
            .run("insert into sales.customer (name, number, phone) values ('Acme', 'C1', '13800000000')")
            .await;
        scene.settle().await;
        let saves = scene.erp().calls().into_iter().filter(|call| call.operation == "BatchSave");
        let sent: Vec<Vec<String>> = saves.map(|call| call.fields_sent).collect();
        let wanted: Vec<String> =
            order.iter().map(|pair| pair.split(": ").nth(1).unwrap().to_owned()).collect();
        assert_eq!(sent, [wanted]);
    }
}
