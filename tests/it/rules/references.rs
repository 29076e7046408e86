//! R10: rows that refer to each other, by remote id (the CRM) and by number (the ERP), both ways.

use std::time::Duration;

use rowtwin::simulator::Deed;
use serde_json::{Value, json};

use crate::support::running::{Running, until, within};
use crate::support::{CRM, CUSTOMER, ERP, Scene, Script};

const CONTACT: &str = "ContactObj";
const ORDER: &str = "SAL_SaleOrder";

/// Customers with a parent company, contacts in the CRM, orders in the ERP.
pub fn script() -> Script {
    let tables = "
        alter table sales.customer add parent_id bigint references sales.customer deferrable initially deferred;
        create table sales.contact (
          id bigint generated always as identity primary key,
          name text, customer_id bigint references sales.customer on delete cascade, crm_id text);
        create table sales.orders (
          id bigint generated always as identity primary key,
          number text, day date, customer_id bigint not null references sales.customer, erp_id text);";
    Script {
        schema: format!("{CUSTOMER}{tables}"),
        crm: "{name: name, number: account_no, phone: {field: tel, check: {pattern: '^1[0-9]{10}$'}}, parent_id: {field: parent_account_id, refers_to: sales.customer}}"
            .to_owned(),
        more_tables: "  sales.contact:
    bindings:
      - {system: crm, object: ContactObj, match: [name], id_column: crm_id, poll: 1d, sweep: 1d, doubt_window: 2s, fields: {name: name, customer_id: {field: account_id, refers_to: sales.customer}}}
  sales.orders:
    bindings:
      - {system: erp, object: SAL_SaleOrder, match: [FBillNo], id_column: erp_id, poll: 1d, sweep: 1d, doubt_window: 2s, fields: {number: FBillNo, day: FDate, customer_id: {field: FCustId.FNumber, refers_to: sales.customer}}}
"
        .to_owned(),
        ..Script::default()
    }
}

async fn scene() -> Scene {
    let scene = Scene::with(script()).await;
    scene.settle().await;
    scene
}

/// The records of an object, by one of their fields.
fn by(
    records: Vec<rowtwin::model::record::Record>,
    field: &str,
    value: &str,
) -> rowtwin::model::record::Record {
    let found: Vec<_> = records.into_iter().filter(|one| one.get(field) == Some(&json!(value))).collect();
    assert_eq!(found.len(), 1, "{field} {value}");
    found.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_row_goes_after_the_row_that_it_refers_to_and_names_its_record() {
    let scene = scene().await;
    scene
        .run(
            "begin;
             insert into sales.customer (name, number) values ('Acme', 'C1');
             insert into sales.contact (name, customer_id) values ('Li', 1);
             insert into sales.orders (number, day, customer_id) values ('S1', '2026-03-01', 1);
             commit",
        )
        .await;
    scene.settle().await;
    scene.poll().await;
    let acme = by(scene.crm().records(CRM), "name", "Acme");
    assert_eq!(by(scene.crm().records(CONTACT), "name", "Li")["account_id"], acme["_id"]);
    assert_eq!(by(scene.erp().records(ORDER), "FBillNo", "S1")["FCustId"], json!({"FNumber": "C1"}));
    let creates = scene.crm().calls().iter().filter(|call| call.operation.contains("create")).count();
    assert_eq!(creates, 2, "no create was tried in vain");
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_row_whose_parent_is_refused_waits_without_calls_and_says_for_what() {
    let scene = scene().await;
    scene
        .run(
            "begin;
             insert into sales.customer (name, number, phone) values ('Acme', 'C1', 'none');
             insert into sales.contact (name, customer_id) values ('Li', 1), ('Wang', 1);
             commit",
        )
        .await;
    scene.settle().await;
    let waiting = scene
        .rows("select key, state, reason from rowtwin.outbox where table_name = 'sales.contact' order by key")
        .await;
    assert_eq!(waiting.len(), 2, "{}", scene.story().await);
    for one in &waiting {
        assert_eq!(one["state"], json!("waiting"));
        let reason = one["reason"].as_str().unwrap();
        assert!(reason.starts_with("waits for sales.customer 1: rejected, "), "{reason}");
    }
    let before = scene.crm().call_count();
    scene.settle().await;
    assert_eq!(scene.crm().call_count(), before, "waiting costs nothing");
    scene.run("update sales.customer set phone = '13800000000'").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CONTACT), 2, "{}", scene.story().await);
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_changed_reference_travels_as_the_other_records_name() {
    let scene = scene().await;
    scene
        .run(
            "insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2');
             insert into sales.contact (name, customer_id) values ('Li', 1);
             insert into sales.orders (number, customer_id) values ('S1', 1)",
        )
        .await;
    scene.settle().await;
    scene.run("update sales.contact set customer_id = 2; update sales.orders set customer_id = 2").await;
    scene.settle().await;
    let bolt = by(scene.crm().records(CRM), "name", "Bolt");
    assert_eq!(scene.crm().records(CONTACT)[0]["account_id"], bolt["_id"]);
    assert_eq!(scene.erp().records(ORDER)[0]["FCustId"], json!({"FNumber": "C2"}));
    scene.run("update sales.contact set customer_id = null").await;
    scene.settle().await;
    assert_eq!(scene.crm().records(CONTACT)[0].get("account_id").unwrap_or(&Value::Null), &Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_record_that_refers_to_an_unknown_one_has_that_one_read_first() {
    let scene = scene().await;
    // with a stamp of long ago the polls do not see the parents: only the reference leads to them
    scene.crm().set_clock(Some(1_600_000_000_000));
    scene.erp().set_clock(Some(1_600_000_000_000));
    let account = scene.crm().insert(CRM, json!({"name": "Acme", "account_no": "C1"}));
    scene.erp().insert(ERP, json!({"FName": "Bolt", "FNumber": "C2"}));
    scene.crm().set_clock(None);
    scene.erp().set_clock(None);
    scene.crm().insert(CONTACT, json!({"name": "Li", "account_id": account}));
    scene.erp().insert(
        ORDER,
        json!({"FBillNo": "S1", "FDate": "2026-03-01T00:00:00", "FCustId": {"FNumber": "C2"}}),
    );
    scene.poll().await;
    let contacts = scene
        .rows("select c.name, p.number from sales.contact c join sales.customer p on p.id = c.customer_id")
        .await;
    assert_eq!(contacts, [json!({"name": "Li", "number": "C1"})], "{}", scene.story().await);
    let orders = scene
        .rows("select o.number, p.number as customer from sales.orders o join sales.customer p on p.id = o.customer_id")
        .await;
    assert_eq!(orders, [json!({"number": "S1", "customer": "C2"})], "{}", scene.story().await);
    scene.crm().forget_calls();
    scene.erp().forget_calls();
    scene.settle().await;
    let writes: Vec<_> = Scene::writes(&scene.crm());
    assert!(writes.is_empty(), "nothing goes back: {writes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_record_whose_parent_cannot_be_had_is_kept_with_its_reason() {
    let scene = scene().await;
    scene.erp().insert(ORDER, json!({"FBillNo": "S1", "FCustId": {"FNumber": "NOBODY"}}));
    scene.poll().await;
    assert_eq!(scene.number("select count(*) from sales.orders").await, 0);
    let kept = scene.row("select state, reason from rowtwin.inbox where table_name = 'sales.orders'").await;
    assert_eq!(kept["state"], json!("waiting"), "{kept}");
    let reason = kept["reason"].as_str().unwrap();
    assert!(reason.contains("BD_Customer NOBODY") && reason.contains("does not give it"), "{reason}");
    // it appears, and everything follows
    scene.erp().insert(ERP, json!({"FName": "Nobody", "FNumber": "NOBODY"}));
    scene.poll().await;
    assert_eq!(scene.number("select count(*) from sales.orders").await, 1, "{}", scene.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_rows_that_refer_to_each_other_in_a_circle_are_created_and_then_patched() {
    let scene = scene().await;
    scene
        .run(
            "begin;
             insert into sales.customer (name, number, parent_id) values ('Acme', 'C1', 2), ('Bolt', 'C2', 3), ('Coil', 'C3', 1);
             insert into sales.customer (name, number, parent_id) values ('Self', 'C4', 4);
             commit",
        )
        .await;
    scene.settle().await;
    let records = scene.crm().records(CRM);
    assert_eq!(records.len(), 4, "{}", scene.story().await);
    for (name, parent) in [("Acme", "Bolt"), ("Bolt", "Coil"), ("Coil", "Acme"), ("Self", "Self")] {
        let parent = by(records.clone(), "name", parent);
        assert_eq!(by(records.clone(), "name", name)["parent_account_id"], parent["_id"], "{name}");
    }
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
    let creates = scene.crm().calls().iter().filter(|call| call.operation.contains("create")).count();
    assert_eq!(creates, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_records_that_refer_to_each_other_in_a_circle_become_rows() {
    let scene = scene().await;
    let acme = scene.crm().insert(CRM, json!({"name": "Acme", "account_no": "C1"}));
    let bolt =
        scene.crm().insert(CRM, json!({"name": "Bolt", "account_no": "C2", "parent_account_id": acme}));
    scene.crm().edit(CRM, &acme, json!({"parent_account_id": bolt}));
    let own = scene.crm().insert(CRM, json!({"name": "Self", "account_no": "C3"}));
    scene.crm().edit(CRM, &own, json!({"parent_account_id": own}));
    scene.poll().await;
    let pairs = scene
        .rows("select c.name, p.name as parent from sales.customer c join sales.customer p on p.id = c.parent_id order by 1")
        .await;
    assert_eq!(
        pairs,
        [
            json!({"name": "Acme", "parent": "Bolt"}),
            json!({"name": "Bolt", "parent": "Acme"}),
            json!({"name": "Self", "parent": "Self"})
        ],
        "{}",
        scene.story().await
    );
    let updates = scene.crm().calls().iter().filter(|call| call.operation.contains("update")).count();
    assert_eq!(updates, 0, "nothing goes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_records_are_deleted_before_the_ones_that_they_refer_to() {
    let scene = scene().await;
    scene
        .run(
            "insert into sales.customer (name, number) values ('Acme', 'C1');
             insert into sales.contact (name, customer_id) values ('Li', 1), ('Wang', 1)",
        )
        .await;
    scene.settle().await;
    scene.crm().forget_calls();
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!((scene.crm().count(CRM), scene.crm().count(CONTACT)), (0, 0), "{}", scene.story().await);
    let order: Vec<String> = scene
        .crm()
        .calls()
        .into_iter()
        .filter(|call| call.operation.contains("delete"))
        .map(|call| call.object)
        .collect();
    assert_eq!(order.last().map(String::as_str), Some(CRM), "the account went last: {order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_reference_to_a_row_that_is_not_there_is_refused_with_the_reason() {
    let scene = scene().await;
    scene.run("alter table sales.contact drop constraint contact_customer_id_fkey; insert into sales.contact (name, customer_id) values ('Li', 99)").await;
    scene.settle().await;
    let rejected = scene.row("select field, reason from rowtwin.rejected").await;
    assert_eq!(rejected["field"], json!("account_id"));
    assert!(rejected["reason"].as_str().unwrap().contains("row 99 of sales.customer"), "{rejected}");
    scene.run("update sales.contact set customer_id = null").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CONTACT), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_ten_thousand_orders_of_a_thousand_new_customers_go_in_order_and_in_few_calls() {
    let scene = Scene::with(Script {
        with_crm: false,
        more_tables: script()
            .more_tables
            .split("  sales.orders")
            .nth(1)
            .map(|orders| format!("  sales.orders{orders}"))
            .unwrap(),
        ..script()
    })
    .await;
    scene.settle().await;
    scene.erp().forget_calls();
    let running = Running::start(&scene).await;
    scene
        .run(
            "begin;
             insert into sales.customer (name, number) select 'Customer ' || i, 'C' || i from generate_series(1, 1000) i;
             insert into sales.orders (number, customer_id) select 'S' || i, 1 + i % 1000 from generate_series(1, 10000) i;
             commit",
        )
        .await;
    within(Duration::from_secs(180), "all orders are there", async || scene.erp().count(ORDER) == 10_000)
        .await;
    until("all is settled", async || scene.number("select count(*) from rowtwin.outbox").await == 0).await;
    running.stop().await;
    let calls = scene.erp().calls();
    // ids are given in the order of the creates: the simulator refuses a number that is not there yet
    assert!(
        calls.iter().all(|call| call.error.is_none()),
        "{:?}",
        calls.iter().find(|call| call.error.is_some())
    );
    let count = |object: &str, write: bool| {
        calls.iter().filter(|call| call.object == object && call.operation.contains("Save") == write).count()
    };
    // each new row is looked up once and created once, a hundred in a call; a busy machine may lose a lease on the way,
    // and then a batch is looked up once more
    let (least, made) = (
        10 + 10 + 100 + 100,
        count(ERP, true) + count(ERP, false) + count(ORDER, true) + count(ORDER, false),
    );
    assert_eq!((count(ERP, true) >= 10, count(ORDER, true) >= 100), (true, true));
    assert!(
        made * 100 <= least * 120,
        "{made} calls where {least} are the least: {} {} {} {}",
        count(ERP, true),
        count(ERP, false),
        count(ORDER, true),
        count(ORDER, false)
    );
    assert_eq!(
        (scene.erp().count(ERP), scene.number("select count(*) from rowtwin.rejected").await),
        (1000, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_an_order_waits_until_its_customer_is_audited() {
    let orders = script().more_tables;
    let scene = Scene::with(Script {
        with_crm: false,
        more_tables: format!("  sales.orders{}", orders.split("  sales.orders").nth(1).unwrap()),
        extra_erp: ", lifecycle: {until: audited}".to_owned(),
        ..script()
    })
    .await;
    scene.settle().await;
    scene
        .run(
            "begin;
             insert into sales.customer (name, number) select 'Customer ' || i, 'C' || i from generate_series(1, 5) i;
             insert into sales.orders (number, customer_id) select 'S' || i, i from generate_series(1, 5) i;
             commit",
        )
        .await;
    scene.settle().await;
    let effects = scene.erp().effects();
    let audited =
        effects.iter().filter(|one| one.by == "Audit" && one.object == ERP).map(|one| one.seq).max();
    let ordered = effects
        .iter()
        .filter(|one| one.deed == Deed::Created && one.object == ORDER)
        .map(|one| one.seq)
        .min();
    assert_eq!((scene.erp().count(ERP), scene.erp().count(ORDER)), (5, 5), "{}", scene.story().await);
    assert!(audited.is_some() && audited < ordered, "{audited:?} {ordered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_circle_of_rows_with_a_lifecycle_is_created_and_finished() {
    let base = script();
    let scene = Scene::with(Script {
        with_crm: false,
        more_tables: String::new(),
        erp: "{name: FName, number: FNumber, parent_id: {field: F_RT_Parent, refers_to: sales.customer}}"
            .to_owned(),
        extra_erp: ", lifecycle: {until: audited, reopen: true}".to_owned(),
        ..base
    })
    .await;
    scene.settle().await;
    scene
        .run("insert into sales.customer (name, number, parent_id) values ('Acme', 'C1', 2), ('Bolt', 'C2', 1)")
        .await;
    scene.settle().await;
    let records = scene.erp().records(ERP);
    for (name, parent) in [("Acme", "C2"), ("Bolt", "C1")] {
        let record = by(records.clone(), "FName", name);
        assert_eq!(
            (&record["F_RT_Parent"], &record["FDocumentStatus"]),
            (&json!(parent), &json!("C")),
            "{name}"
        );
    }
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0, "{}", scene.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_rows_that_refer_to_each_other_are_deleted_in_the_end() {
    let scene = scene().await;
    scene
        .run("insert into sales.customer (name, number, parent_id) values ('Acme', 'C1', 2), ('Bolt', 'C2', 1)")
        .await;
    scene.settle().await;
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    let kept = scene.rows("select state from rowtwin.outbox where state = 'ready'").await;
    assert!(kept.is_empty(), "{}", scene.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_row_whose_parent_is_outside_of_the_filter_is_refused_and_not_left_waiting() {
    let base = script();
    let scene = Scene::with(Script { extra_crm: ", where: \"name <> 'Secret'\"".to_owned(), ..base }).await;
    scene.settle().await;
    scene
        .run(
            "insert into sales.customer (name, number) values ('Secret', 'C1');
             insert into sales.contact (name, customer_id) values ('Li', 1)",
        )
        .await;
    scene.settle().await;
    let rejected = scene.row("select reason from rowtwin.rejected where table_name = 'sales.contact'").await;
    assert!(rejected["reason"].as_str().unwrap().contains("outside of the filter"), "{rejected}");
}
