//! Documents seen from their tables: cascades, lines that move, truncates, triggers, many lines, and what the WAL must say.

use serde_json::json;

use crate::rules::documents::{
    crm_lines, erp_lines, everywhere, forget, lines, row_lines, scene, sorted, writes,
};
use crate::support::Scene;

const ERP_ORDER: &str = "SAL_SaleOrder";

#[tokio::test(flavor = "multi_thread")]
async fn r17_an_order_that_is_deleted_takes_its_lines_along() {
    let scene = scene().await;
    scene.run("delete from sales.orders").await;
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP_ORDER), 0);
    assert!(scene.crm().records("SalesOrderObj").iter().all(|one| one["life_status"] == "invalid"));
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
    assert_eq!(scene.number("select count(*) from rowtwin_private.link l join rowtwin_private.binding b on b.id = l.binding_id where b.table_name = 'sales.orders'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_an_order_that_is_deleted_in_the_remote_takes_its_rows_along() {
    let scene = scene().await;
    let order = scene.erp().records(ERP_ORDER)[0]["FID"].to_string();
    assert!(scene.erp().remove(ERP_ORDER, &order));
    scene.sweep().await;
    assert_eq!(scene.number("select count(*) from sales.order_line").await, 0);
    assert_eq!(scene.number("select count(*) from sales.orders").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r05_a_line_that_moves_to_another_order_leaves_the_first() {
    let scene = scene().await;
    scene
        .run(
            "begin; insert into sales.orders (number, customer_id) values ('S2', 1);
             insert into sales.order_line values (2, 1, 3, 1); commit",
        )
        .await;
    scene.settle().await;
    scene.run("update sales.order_line set order_id = 2 where order_id = 1 and line_no = 2").await;
    scene.settle().await;
    everywhere(&scene, "S1", &[("P1", 2.0)]).await;
    everywhere(&scene, "S2", &[("P3", 1.0), ("P2", 5.0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_truncate_of_the_lines_is_held_until_somebody_approves() {
    let scene = scene().await;
    scene.run("truncate sales.order_line").await;
    scene.settle().await;
    assert_eq!(writes(&scene), (0, 0));
    assert_eq!(sorted(erp_lines(&scene, "S1")), lines(&[("P1", 2.0), ("P2", 5.0)]));
    let held = scene.rows("select state from rowtwin.outbox").await;
    assert_eq!(held, [json!({"state": "held"}), json!({"state": "held"})]);
    scene.run("select rowtwin.approve('sales.orders')").await;
    scene.settle().await;
    everywhere(&scene, "S1", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_what_a_trigger_makes_of_a_pulled_line_goes_out_again() {
    let scene = scene().await;
    scene
        .run(
            "create function sales.at_most() returns trigger language plpgsql as $$
               begin new.qty := least(new.qty, 50); return new; end $$;
             create trigger at_most before insert or update on sales.order_line
               for each row execute function sales.at_most()",
        )
        .await;
    let order = scene.erp().records(ERP_ORDER)[0]["FID"].to_string();
    scene.erp().add_line(ERP_ORDER, &order, json!({"FMaterialId": {"FNumber": "P3"}, "FQty": 80})).unwrap();
    scene.poll().await;
    everywhere(&scene, "S1", &[("P1", 2.0), ("P2", 5.0), ("P3", 50.0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_document_with_a_line_that_somebody_holds_waits_as_a_whole() {
    let scene = scene().await;
    let other = crate::support::connect(&scene.url).await;
    other.batch_execute("begin; update sales.order_line set note = 'mine' where line_no = 2").await.unwrap();
    let order = scene.erp().records(ERP_ORDER)[0]["FID"].to_string();
    scene.erp().add_line(ERP_ORDER, &order, json!({"FMaterialId": {"FNumber": "P3"}, "FQty": 9})).unwrap();
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    for _ in 0..3 {
        scene.round().await;
    }
    assert_eq!(
        row_lines(&scene, "S1").await,
        lines(&[("P1", 2.0), ("P2", 5.0)]),
        "nothing is written by half"
    );
    other.batch_execute("commit").await.unwrap();
    scene.settle().await;
    everywhere(&scene, "S1", &[("P1", 2.0), ("P2", 5.0), ("P3", 9.0)]).await;
    let notes = scene.erp().records(ERP_ORDER)[0]["FSaleOrderEntry"].to_string();
    assert!(notes.contains("mine"), "{notes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r05_of_five_hundred_lines_the_one_that_changed_is_sent() {
    let scene = scene().await;
    scene
        .run(
            "begin; insert into sales.orders (number, customer_id) values ('S2', 1);
             insert into sales.order_line select 2, n, 1 + n % 3, n from generate_series(1, 500) n; commit",
        )
        .await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(erp_lines(&scene, "S2").len(), 500);
    assert_eq!(crm_lines(&scene, "S2"), sorted(row_lines(&scene, "S2").await));
    forget(&scene);
    scene.run("update sales.order_line set qty = 1000 where order_id = 2 and line_no = 77").await;
    scene.settle().await;
    assert_eq!(writes(&scene), (1, 1));
    let sent = |calls: Vec<rowtwin::simulator::Call>, word: &str| -> Vec<usize> {
        let wrote = calls.into_iter().filter(|call| call.operation.to_lowercase().contains(word));
        wrote.map(|call| call.lines_sent).collect()
    };
    assert_eq!(sent(scene.erp().calls(), "save"), [1]);
    assert_eq!(sorted(erp_lines(&scene, "S2")), sorted(row_lines(&scene, "S2").await));
    assert_eq!(crm_lines(&scene, "S2"), sorted(row_lines(&scene, "S2").await));
    scene.poll().await;
    assert_eq!(writes(&scene), (1, 1), "an echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn r01_a_table_of_lines_whose_identity_does_not_lead_to_the_header_is_refused_and_mended() {
    let mut scene: Scene = scene().await;
    scene
        .run(
            "alter table sales.order_line drop constraint order_line_pkey, add column id bigint generated always as identity primary key",
        )
        .await;
    let engine = crate::support::reassemble(&scene).await;
    let refused = engine.require_prepared().await.unwrap_err().to_string();
    assert!(refused.contains("alter table \"sales\".\"order_line\" replica identity full"), "{refused}");
    scene.engine = engine;
    let done = scene.engine.set_identities().await.unwrap();
    assert_eq!(done.len(), 1, "{done:?}");
    scene.engine.init().await.unwrap();
    scene.run("delete from sales.order_line where line_no = 2").await;
    scene.settle().await;
    everywhere(&scene, "S1", &[("P1", 2.0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_documents_that_wait_or_are_edited_are_held_after_a_truncate_of_their_lines_too() {
    let scene = scene().await;
    scene
        .run(
            "insert into rowtwin_private.outbox (binding_id, key, state, waits_binding, waits_key)
             select id, '1', 'waiting', id, '99' from rowtwin_private.binding where table_name = 'sales.orders' and system = 'erp'",
        )
        .await;
    scene.run("truncate sales.order_line").await;
    scene.settle().await;
    let held = "select count(*) from rowtwin.outbox where table_name = 'sales.orders' and state = 'held'";
    assert_eq!(scene.number(held).await, 2, "{}", scene.story().await);
    scene.run("update sales.orders set number = 'S1b'").await;
    scene.settle().await;
    assert_eq!(scene.number(held).await, 2, "{}", scene.story().await);
    assert_eq!(scene.erp().records(ERP_ORDER)[0]["FSaleOrderEntry"].as_array().unwrap().len(), 2);
    scene.run("select rowtwin.approve('sales.orders')").await;
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0, "{}", scene.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_an_approval_by_the_guard_does_not_cover_a_line_that_is_edited_after_it() {
    let scene = scene().await;
    scene.run("update sales.order_line set qty = 7 where line_no = 1").await;
    scene.capture().await;
    scene
        .run("update rowtwin_private.outbox set state = 'held', hold = 'guard', reason = 'too much at once'")
        .await;
    assert_eq!(scene.number("select rowtwin.approve('sales.orders')").await, 2);
    let waved = "select count(*) from rowtwin_private.outbox where waved";
    assert_eq!(scene.number(waved).await, 2);
    // what rowtwin orders to be looked at again is no edit
    scene.run("select rowtwin_private.mark_later(id, array['1']) from rowtwin_private.binding where table_name = 'sales.orders'").await;
    assert_eq!(scene.number(waved).await, 2);
    scene.run("update sales.order_line set qty = 8 where line_no = 1").await;
    assert_eq!(scene.capture().await, 2);
    assert_eq!(scene.number(waved).await, 0, "somebody said yes to another change: {}", scene.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_line_added_in_the_remote_does_not_take_the_place_of_one_that_is_being_removed() {
    let scene = scene().await;
    let order = scene.erp().records(ERP_ORDER)[0]["FID"].to_string();
    scene.run("delete from sales.order_line where line_no = 2").await;
    scene.erp().add_line(ERP_ORDER, &order, json!({"FMaterialId": {"FNumber": "P3"}, "FQty": 7})).unwrap();
    // the record is read first: the row's line 2 is gone, the record has it still, and a third one
    let bound =
        scene.engine.bounds.iter().find(|one| one.system == "erp" && one.object == ERP_ORDER).unwrap();
    scene.capture().await;
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    let puller = scene.puller(bound);
    while puller.turn().await.unwrap().rest.is_none() {}
    puller.release().await.unwrap();
    scene.settle().await;
    scene.poll().await;
    everywhere(&scene, "S1", &[("P1", 2.0), ("P3", 7.0)]).await;
}
