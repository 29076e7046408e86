//! Salesforce's accounts, and its orders with their lines.

use rowtwin::simulator::{Kind, Simulator, credentials::salesforce as known};
use serde_json::{Value, json};

use super::{Remote, behaves, body, scene_of};
use crate::support::{Scene, fault, secret};

fn settings(simulator: &Simulator) -> String {
    format!(
        "base_url: '{}', client_id: {}, client_secret: {{file: '{}'}}",
        simulator.base_url(),
        known::CLIENT_ID,
        secret(known::CLIENT_SECRET)
    )
}

pub const ACCOUNTS: Remote = Remote {
    kind: Kind::Salesforce,
    settings,
    object: "Account",
    id: "Id",
    name: "Name",
    number: "AccountNumber",
    phone: "Phone",
    credit: "AnnualRevenue",
    seen: "{field: Seen__c, codec: {date: {format: '%Y-%m-%dT%H:%M:%S.000%z', zone: UTC}}}",
    more: || json!({"AnnualRevenue": 12.5, "Since__c": "2026-03-01", "Seen__c": "2026-03-01T10:11:12Z", "NumberOfEmployees": 7, "Website": "example.com"}),
    refused_phone: "this phone is longer than the forty characters that there are",
    page: 2000,
    long_ago: 7200,
    polls_deletes: true,
};

behaves!(ACCOUNTS =>
    a_row_becomes_a_record_and_a_record_a_row,
    twins_that_are_there_already_are_linked_and_not_made_again,
    only_what_changed_travels_both_ways,
    deletes_go_both_ways,
    a_poll_reads_what_changed_and_no_more,
    more_than_one_page_is_read_whole,
    a_refused_record_stops_no_other,
    half_a_batch_that_is_refused_goes_when_it_is_retried,
    a_token_that_is_over_is_renewed,
    throttling_is_waited_out,
    a_lost_answer_makes_no_second_record,
    an_outage_and_nonsense_are_waited_out,
    a_pulled_schema_works_as_it_is,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_is_found_by_the_attempt_that_was_planted() {
    body::a_lost_create_is_found_by_the_attempt_that_was_planted(
        &ACCOUNTS,
        ", attempt_field: Rowtwin_Attempt__c",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_assertion_and_a_refresh_token_sign_in_as_well() {
    let jwt = format!(
        ", auth: jwt, username: '{}', private_key: {{file: '{}'}}",
        known::USERNAME,
        secret(&known::private_key())
    );
    let refresh =
        format!(", auth: refresh_token, refresh_token: {{file: '{}'}}", secret(known::REFRESH_TOKEN));
    for settings in [jwt, refresh] {
        let scene = ACCOUNTS.scene_with(&settings, "[AccountNumber]").await;
        scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
        scene.settle().await;
        scene.crm().end_sessions();
        scene.run("update sales.customer set phone = '1'").await;
        scene.settle().await;
        assert_eq!(ACCOUNTS.find(&scene, "C1")["Phone"], json!("1"));
        assert_eq!(scene.crm().calls().iter().filter(|call| call.operation == "token").count(), 2);
    }
}

const ORDERS: &str = "
    create schema sales;
    create table sales.orders (
      id bigint generated always as identity primary key,
      number text, account text, starts date, status text, book text, crm_id text);
    create table sales.order_line (
      order_id bigint not null references sales.orders on delete cascade, line_no int not null,
      price_entry text, qty numeric, price numeric, note text, crm_line text, primary key (order_id, line_no));";

/// An order of two lines on both sides.
async fn order() -> Scene {
    let scene = scene_of(Kind::Salesforce, ORDERS, |crm| {
        format!(
            "database: {{}}
systems:
  crm:
    connector: salesforce
    limits: {{per_second: 1000, in_flight: 4}}
    settings: {{{}}}
tables:
  sales.orders:
    bindings:
      - system: crm
        object: Order
        match: [PoNumber]
        id_column: crm_id
        poll: 1d
        sweep: 1d
        doubt_window: 2s
        fields: {{number: PoNumber, account: AccountId, starts: EffectiveDate, status: Status, book: Pricebook2Id}}
        lines:
          OrderItem: {{table: sales.order_line, parent: [order_id], order_by: [line_no], id_column: crm_line, fields: {{price_entry: PricebookEntryId, qty: Quantity, price: UnitPrice, note: Description}}}}
",
            settings(crm)
        )
    })
    .await;
    let door = scene.crm();
    let account = door.insert("Account", json!({"Name": "Acme"}));
    let book = door.insert("Pricebook2", json!({"Name": "Standard"}));
    let entry = |name: &str| {
        let product = door.insert("Product2", json!({"Name": name}));
        door.insert("PricebookEntry", json!({"Pricebook2Id": book, "Product2Id": product, "UnitPrice": 5}))
    };
    let (bolt, nut) = (entry("Bolt"), entry("Nut"));
    scene.settle().await;
    scene
        .run(&format!(
            "begin;
             insert into sales.orders (number, account, starts, status, book) values ('S1', '{account}', '2026-03-01', 'Draft', '{book}');
             insert into sales.order_line values (1, 1, '{bolt}', 2, 9.50), (1, 2, '{nut}', 5, 1.25);
             commit"
        ))
        .await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(lines(&scene), [json!([2, 9.5]), json!([5, 1.25])], "{}", scene.story().await);
    scene
}

/// Quantity and price of all lines in the remote, by quantity.
fn lines(scene: &Scene) -> Vec<Value> {
    let plain = |value: &Value| json!(value.as_f64().unwrap());
    let mut lines: Vec<Value> = scene
        .crm()
        .records("OrderItem")
        .iter()
        .map(|line| json!([plain(&line["Quantity"]), plain(&line["UnitPrice"])]))
        .collect();
    lines.sort_by_key(|line| line[0].as_f64().unwrap() as i64);
    lines.into_iter().map(|line| json!([line[0].as_f64().unwrap() as i64, line[1]])).collect()
}

async fn rows(scene: &Scene) -> Vec<Value> {
    let rows = scene.rows("select qty::int as qty, note from sales.order_line order by qty").await;
    rows.iter().map(|row| json!([row["qty"], row["note"]])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_made_whole_and_its_lines_change_both_ways() {
    let scene = order().await;
    let door = scene.crm();
    let trees = || door.calls().iter().filter(|call| call.operation == "tree").count();
    assert_eq!((trees(), door.count("Order"), door.count("OrderItem")), (1, 1, 2));
    assert_eq!(scene.number("select count(crm_line) from sales.order_line").await, 2);
    // one line changes, one goes, one comes
    door.forget_calls();
    scene
        .run(
            "begin;
             update sales.order_line set qty = 3 where line_no = 1;
             insert into sales.order_line select 1, 3, price_entry, 7, 2 from sales.order_line where line_no = 2;
             delete from sales.order_line where line_no = 2;
             commit",
        )
        .await;
    scene.settle().await;
    assert_eq!(lines(&scene), [json!([3, 9.5]), json!([7, 2.0])], "{}", scene.story().await);
    let writes = Scene::writes(&door);
    assert_eq!(writes.len(), 3, "each line for itself: {writes:?}");
    // somebody edits a line in the pages, and adds another
    let id = door.records("Order")[0]["Id"].as_str().unwrap().to_owned();
    let line = door.records("OrderItem")[0]["Id"].as_str().unwrap().to_owned();
    door.edit_line("Order", &id, &line, json!({"Description": "urgent"}));
    let entry = door.records("PricebookEntry")[0]["Id"].clone();
    door.add_line("Order", &id, json!({"PricebookEntryId": entry, "Quantity": 9, "UnitPrice": 1}));
    door.forget_calls();
    scene.poll().await;
    assert_eq!(rows(&scene).await, [json!([3, "urgent"]), json!([7, null]), json!([9, null])]);
    assert!(Scene::writes(&door).is_empty(), "{:?}", door.calls());
    scene.run("delete from sales.orders").await;
    scene.settle().await;
    assert_eq!((door.count("Order"), door.count("OrderItem")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_answer_is_lost_is_not_made_twice() {
    let scene = order().await;
    scene.crm().add_fault(fault("lost-answer@create"));
    scene
        .run(
            "begin;
             insert into sales.orders (number, account, starts, status, book) select 'S2', account, starts, status, book from sales.orders;
             insert into sales.order_line select 2, line_no, price_entry, 10 + qty, price from sales.order_line;
             commit",
        )
        .await;
    scene.settle().await;
    scene.poll().await;
    assert!(scene.crm().faults().is_empty());
    assert_eq!((scene.crm().count("Order"), scene.crm().count("OrderItem")), (2, 4));
    assert_eq!(scene.number("select count(crm_line) from sales.order_line").await, 4);
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}

/// Accounts of all kinds of values, so many.
fn many(count: usize) -> impl Iterator<Item = Value> {
    (0..count).map(|n| {
        json!({"Name": format!("Name {n:05}, \"quoted\""), "AccountNumber": format!("C{n:05}"),
            "AnnualRevenue": if n % 2 == 0 { json!(n) } else { Value::Null },
            "Seen__c": if n % 3 == 0 { json!("2026-03-01T10:11:12Z") } else { Value::Null }})
    })
}

/// Calls for accounts by operation, but for those that every scene makes once.
fn reads(scene: &Scene) -> Vec<String> {
    let calls = scene.crm().calls().into_iter().map(|call| call.operation);
    calls.filter(|operation| operation != "token" && operation != "describe").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_is_read_by_a_job() {
    let scene = ACCOUNTS.scene_with(", bulk_from: 2500", "[AccountNumber]").await;
    scene.crm().insert_many("Account", many(3_000));
    scene.settle().await;
    let facts = "select count(*)::int as rows, count(credit)::int as credits, sum(credit)::int as sum, count(seen)::int as seen,
        count(distinct crm_id)::int as ids, min(name) as first from sales.customer";
    let expected = json!({"rows": 3000, "credits": 1500, "sum": 2_248_500, "seen": 1000, "ids": 3000,
        "first": "Name 00000, \"quoted\""});
    assert_eq!(scene.row(facts).await, expected);
    assert_eq!(
        reads(&scene)[..5],
        ["query", "queryJob", "jobInfo", "jobInfo", "queryResults"],
        "{:?}",
        reads(&scene)
    );
    // what the job gave is what a query gives: nothing is different, and nothing goes back
    scene.crm().forget_calls();
    scene.sql.execute("update rowtwin_private.binding set next_overlap_at = '-infinity'", &[]).await.unwrap();
    scene.poll().await;
    assert!(Scene::writes(&scene.crm()).is_empty(), "{:?}", reads(&scene));
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0, "{}", scene.story().await);
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts").await, 0);
    // a sweep goes the same way
    scene.crm().forget_calls();
    scene.sweep().await;
    let began = std::time::Instant::now();
    while scene.number("select count(*) from rowtwin_private.binding where walk is not null").await > 0 {
        assert!(
            began.elapsed() < std::time::Duration::from_secs(60),
            "the sweep does not end: {:?}",
            reads(&scene)
        );
        scene.settle().await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(reads(&scene).contains(&"queryResults".to_owned()), "{:?}", reads(&scene));
    assert_eq!(scene.number("select count(*) from sales.customer").await, 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_job_reads_is_read_by_queries() {
    for refusal in ["error:400@queryJob", "error:404@queryResults"] {
        let scene = ACCOUNTS.scene_with(", bulk_from: '2500'", "[AccountNumber]").await;
        scene.crm().insert_many("Account", many(4_500));
        scene.crm().add_fault(fault(refusal));
        scene.settle().await;
        assert!(scene.crm().faults().is_empty(), "{refusal}: {:?}", reads(&scene));
        assert_eq!(
            scene.number("select count(distinct crm_id) from sales.customer").await,
            4500,
            "{refusal}"
        );
        assert_eq!(reads(&scene).iter().filter(|operation| *operation == "query").count(), 3, "{refusal}");
        assert_eq!(scene.number("select count(*) from rowtwin.systems where state <> 'running'").await, 0);
    }
}

/// Removes records for good, as somebody's data loader does: they never lie in the recycle bin.
async fn remove_for_good(scene: &Scene, ids: &[String]) {
    let base = scene.crm.base_url();
    let http = reqwest::Client::new();
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        known::CLIENT_ID,
        known::CLIENT_SECRET
    );
    let answer = http.post(format!("{base}/services/oauth2/token")).body(form).send().await.unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let token = answer["access_token"].as_str().unwrap().to_owned();
    let ask = async |method: reqwest::Method, path: &str, body: String| {
        let url = format!("{base}/services/data/v67.0/jobs/ingest{path}");
        let answer = http.request(method, url).bearer_auth(&token).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap_or_default()
    };
    let job =
        json!({"object": "Account", "operation": "hardDelete", "contentType": "CSV", "lineEnding": "LF"});
    let job = ask(reqwest::Method::POST, "", job.to_string()).await;
    let path = format!("/{}", job["id"].as_str().unwrap());
    ask(reqwest::Method::PUT, &format!("{path}/batches"), format!("Id\n{}\n", ids.join("\n"))).await;
    ask(reqwest::Method::PATCH, &path, json!({"state": "UploadComplete"}).to_string()).await;
    ask(reqwest::Method::GET, &path, String::new()).await;
    let state = ask(reqwest::Method::GET, &path, String::new()).await;
    assert_eq!((&state["state"], &state["numberRecordsFailed"]), (&json!("JobComplete"), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_for_good_is_in_the_log_that_polls_ask_for() {
    let scene = ACCOUNTS.scene().await;
    let door = scene.crm();
    let ids = door.insert_many("Account", many(4));
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 4);
    // the log is cut at minutes
    door.set_clock(Some(jiff::Timestamp::now().as_millisecond() - 120_000));
    remove_for_good(&scene, &ids[..2]).await;
    door.set_clock(None);
    scene.poll().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 4, "most polls do not ask the log");
    for _ in 0..2 {
        // the second poll is told of the same deletes, and nothing comes of it
        door.forget_calls();
        scene
            .sql
            .execute("update rowtwin_private.binding set next_overlap_at = '-infinity'", &[])
            .await
            .unwrap();
        scene.poll().await;
        assert_eq!(reads(&scene).iter().filter(|operation| *operation == "deleted").count(), 1);
        assert_eq!(scene.number("select count(*) from sales.customer").await, 2, "{}", scene.story().await);
        assert_eq!(scene.number("select count(*) from rowtwin_private.inbox").await, 0);
    }
    assert!(Scene::writes(&door).is_empty(), "{:?}", door.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_somebody_was_faster_than_is_refused_and_merged() {
    // without the look before the write, only Salesforce itself can tell
    let scene = ACCOUNTS.scene_with("", "[AccountNumber], overwrite_check: none").await;
    let door = scene.crm();
    let id = door.insert("Account", json!({"Name": "Acme", "AccountNumber": "C1", "Phone": "1"}));
    scene.settle().await;
    door.set_clock(Some(jiff::Timestamp::now().as_millisecond() + 60_000));
    door.edit("Account", &id, json!({"Phone": "2"}));
    door.set_clock(None);
    door.forget_calls();
    scene.run("update sales.customer set name = 'Acme & Co', phone = '3'").await;
    scene.settle().await;
    let refused = |call: &rowtwin::simulator::Call| call.operation == "update" && call.status == 412;
    assert_eq!(door.calls().iter().filter(|call| refused(call)).count(), 1, "{:?}", door.calls());
    let record = door.record("Account", &id).unwrap();
    assert_eq!(record["Name"], json!("Acme & Co"), "{}", scene.story().await);
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts where field = 'Phone'").await, 1);
}
