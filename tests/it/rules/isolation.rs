//! R11: one bad row or record stops nothing else.

use serde_json::{Value, json};

use crate::support::{CRM, CUSTOMER, ERP, Scene, Script, fault};

fn crm_only() -> Script {
    Script { with_erp: false, ..Script::default() }
}

fn erp_only() -> Script {
    Script { with_crm: false, ..Script::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_value_that_fails_its_check_is_rejected_with_field_and_reason_and_mended_by_an_edit() {
    let scene = Scene::with(crm_only()).await;
    scene
        .run("insert into sales.customer (name, number, phone) values ('Acme', 'C1', '13800000001'), ('Bolt', 'C2', 'no phone'), ('Cord', 'C3', null)")
        .await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 2);
    let rejected = scene.row("select key, field, reason from rowtwin.rejected").await;
    assert_eq!((&rejected["key"], &rejected["field"]), (&json!("2"), &json!("tel")));
    let reason = rejected["reason"].as_str().unwrap();
    assert!(reason.contains("^1[0-9]{10}$"), "{reason}");
    assert!(!reason.contains("no phone"), "a reason never holds the value: {reason}");

    scene.run("update sales.customer set phone = '13800000002' where id = 2").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 3);
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_record_that_the_system_refuses_leaves_its_batch_alone() {
    let scene = Scene::with(erp_only()).await;
    scene.settle().await;
    scene
        .run("insert into sales.customer (name, number) select case when n <> 7 then 'Name ' || n end, 'C' || n from generate_series(1, 20) n")
        .await;
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 19);
    let rejected = scene.row("select key, field from rowtwin.rejected").await;
    assert_eq!(rejected, json!({"key": "7", "field": "FName"}));
    scene.run("update sales.customer set name = 'Name 7' where id = 7").await;
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_batch_refused_as_a_whole_is_halved_until_the_bad_one_is_alone() {
    let scene = Scene::with(erp_only()).await;
    scene.settle().await;
    scene.run("insert into sales.customer (name, number) select 'N' || n, 'C' || n from generate_series(1, 4) n").await;
    // refused: all four, the first two, the first
    scene.erp().add_fault(fault("status:400@BatchSavex3"));
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 3);
    assert_eq!(scene.rows("select key from rowtwin.rejected").await, [json!({"key": "1"})]);
    assert_eq!(scene.number("select rowtwin.retry('sales.customer')").await, 1);
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_one_error_for_a_whole_batch_in_the_apis_own_words_is_halved_too() {
    let scene = Scene::with(erp_only()).await;
    scene.settle().await;
    scene.run("insert into sales.customer (name, number) select 'N' || n, 'C' || n from generate_series(1, 4) n").await;
    scene.erp().add_fault(fault("error:11@BatchSavex3"));
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 3);
    assert_eq!(scene.rows("select key from rowtwin.rejected").await, [json!({"key": "1"})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_rejected_row_can_be_retried_or_discarded_in_sql() {
    let scene = Scene::with(crm_only()).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let reject = async || {
        scene.crm().add_fault(fault("error:10001@update"));
        scene.run("update sales.customer set address = 'Road ' || clock_timestamp()").await;
        scene.settle().await;
        assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 1);
    };
    reject().await;
    assert_eq!(scene.number("select rowtwin.retry('sales.customer', '1', 'crm')").await, 1);
    scene.settle().await;
    let address = scene.row("select address from sales.customer").await["address"].clone();
    assert_eq!(scene.crm().records(CRM)[0]["address"], address);
    reject().await;
    assert_eq!(scene.number("select rowtwin.discard('sales.customer', '1')").await, 1);
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
    assert_eq!(scene.crm().records(CRM)[0]["address"], address, "given up: the record keeps its own");
    assert_eq!(scene.number("select count(*) from rowtwin.journal where effect = 'reject'").await, 2);
}

/// Polls a page with one record that the table refuses, then has it mended in the remote.
async fn bad_record(schema: String, bad: Value, good: Value, reason: &str) {
    let scene = Scene::with(Script { schema, ..crm_only() }).await;
    scene.settle().await;
    let door = scene.crm();
    door.insert(CRM, json!({"name": "Acme", "account_no": "C1", "tel": "13800000001"}));
    let id = door.insert(CRM, {
        let mut fields = bad.as_object().unwrap().clone();
        fields.insert("account_no".to_owned(), json!("C2"));
        fields.entry("name").or_insert(json!("Bolt"));
        fields
    });
    door.insert(CRM, json!({"name": "Cord", "account_no": "C3"}));
    scene.poll().await;
    let numbers = scene.rows("select number from sales.customer order by 1").await;
    assert_eq!(numbers, [json!({"number": "C1"}), json!({"number": "C3"})], "the rest of the page stands");
    let kept = scene.row("select remote_id, state, reason from rowtwin.inbox").await;
    assert_eq!((&kept["remote_id"], &kept["state"]), (&json!(id), &json!("rejected")));
    assert!(kept["reason"].as_str().unwrap().contains(reason), "{kept}");
    assert_eq!(scene.number("select unreadable from rowtwin.status").await, 1);

    door.edit(CRM, &id, good);
    scene.poll().await;
    assert_eq!(scene.number("select count(*) from sales.customer where number = 'C2'").await, 1);
    assert_eq!(scene.number("select count(*) from rowtwin.inbox").await, 0, "mended in the remote");
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_record_too_long_for_its_column_is_kept_and_the_page_stands() {
    let schema = CUSTOMER.replace("phone text", "phone varchar(11)");
    let bad = json!({"tel": "+86 138 0000 0002 ext 12"});
    bad_record(schema, bad, json!({"tel": "13800000002"}), "too long").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_record_of_the_wrong_type_is_kept_and_the_page_stands() {
    let schema = CUSTOMER.replace("phone text", "phone bigint");
    bad_record(schema, json!({"tel": "none"}), json!({"tel": "13800000002"}), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_record_that_breaks_a_constraint_of_the_table_is_kept_and_the_page_stands() {
    let schema = CUSTOMER.replace("name text", "name text check (name <> 'Evil')");
    bad_record(schema, json!({"name": "Evil"}), json!({"name": "Good"}), "violates check constraint").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_records_that_are_read_again_and_again_keep_no_poll_waiting() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    let known = scene.crm().insert(CRM, json!({"name": "Known", "account_no": "C1"}));
    scene.settle().await;
    scene.crm().insert(CRM, json!({"name": "New", "account_no": "C2"}));
    scene
        .run(&format!(
            "update rowtwin_private.binding set next_poll_at = '-infinity';
             select rowtwin_private.note_records(id, array['{known}'], 'test') from rowtwin_private.binding"
        ))
        .await;
    let bound = scene.bound("crm");
    scene.puller(&bound).turn().await.unwrap();
    assert_eq!(scene.number("select count(*) from sales.customer").await, 2, "{}", scene.story().await);
    assert_eq!(scene.number("select count(*) from rowtwin.inbox").await, 0);
}
