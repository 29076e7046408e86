//! Upkeep: what a DBA sees of us. Short transactions, lock timeouts, plans that use their indexes, days of the journal.

use std::time::{Duration, Instant, SystemTime};

use rowtwin::engine::Engine;
use rowtwin::engine::assemble::Given;
use rowtwin::model::binding::ReferredBy;
use rowtwin::store::inbox::{DUE_RECORDS, note_records};
use rowtwin::store::link::{keys_in_flight, links_by_key, lock_links, marks_of};
use rowtwin::store::reference::rows_of_names;
use rowtwin::store::walk::mark_seen;
use serde_json::json;
use uuid::Uuid;

use crate::support::running::{Running, own_cluster, until};
use crate::support::{CRM, CUSTOMER, Scene, Script, connect, execute, fault};

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_remote_holds_no_transaction_of_ours_open() {
    let scene = Scene::start().await;
    scene.settle().await;
    let record = scene.crm().insert(CRM, json!({"name": "Bolt", "account_no": "C2"}));
    scene.poll().await;
    let running = Running::start(&scene).await;
    for text in ["slow:4s@create", "slow:4s@query", "slow:4s@update"] {
        scene.crm().add_fault(fault(text));
    }
    scene.erp().add_fault(fault("slow:4s"));
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1'); update sales.customer set phone = '13800000000'").await;
    scene.crm().edit(CRM, &record, json!({"address": "Road"}));
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    let (mut looks, mut oldest) = (0, 0.0f64);
    let began = Instant::now();
    while looks < 150 {
        assert!(began.elapsed() < Duration::from_secs(60), "slow calls are under way for a while");
        let under_way = "select count(*) from rowtwin_private.call where deadline > clock_timestamp()";
        looks += i32::from(scene.number(under_way).await > 0);
        let row = scene
            .sql
            .query_one(
                "select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 from pg_stat_activity
                 where datname = current_database() and application_name = 'rowtwin' and backend_type = 'client backend'",
                &[],
            )
            .await
            .unwrap();
        oldest = oldest.max(row.get(0));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(oldest < 1.5, "a transaction was open for {oldest} s while remotes took four");
    until("all of it arrives", async || scene.crm().count(CRM) == 2).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_locks_does_not_hold_us_for_long() {
    let scene = Scene::start().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let timeout =
        scene.engine.store.view("select current_setting('lock_timeout') as lock_timeout").await.unwrap();
    assert_eq!(timeout, [json!({"lock_timeout": "5s"})]);
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    scene.crm().edit(CRM, &id, json!({"address": "Road"}));
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    // somebody makes an index
    scene.run("begin; lock table sales.customer in share mode").await;
    let began = Instant::now();
    let puller = scene.puller(&scene.bound("crm"));
    let failed = puller.turn().await.expect_err("the row cannot be written").to_string();
    let took = began.elapsed();
    assert!(failed.contains("lock timeout"), "{failed}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    scene.run("rollback").await;
    puller.turn().await.unwrap();
    puller.release().await.unwrap();
    assert_eq!(scene.number("select count(*) from sales.customer where address = 'Road'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_cannot_be_made_yet_says_what_it_waits_for() {
    // of its own: nobody else could make a slot meanwhile, either
    let cluster = own_cluster(&[]);
    execute(&cluster.url("postgres"), "create database busy").await;
    let url = cluster.url("busy");
    let scene = Scene::at(url.clone(), CUSTOMER, Script::default()).await;
    let other = connect(&url).await;
    other.batch_execute("begin; create table of_a_long_import (i int)").await.unwrap();
    let mut file = scene.engine.file.clone();
    file.database.slot = Some("another".to_owned());
    let given = Given { database_url: Some(url), ..Given::default() };
    let mut engine = Engine::assemble(file, &given).await.unwrap();
    let said = engine.init().await.unwrap_err().to_string();
    assert!(said.contains("pg_stat_activity") && said.contains("began before"), "{said}");
    other.batch_execute("rollback").await.unwrap();
    engine.init().await.unwrap();
}

/// 200,000 rows of each table in the states in which they are found on a bad day, with statistics.
async fn fill(scene: &Scene, binding: i32) {
    scene
        .run(&format!(
            "insert into rowtwin_private.link (binding_id, key, state, remote_id, shadow, reference)
               select {binding}, i::text, 'linked', 'r' || i, '{{}}', 'n' || i from generate_series(1, 200000) i;
             insert into rowtwin_private.outbox (binding_id, key, state, since, not_before, reason, lease, lease_until, waits_binding, waits_key)
               select {binding}, i::text, s.state, now(), now() - interval '1 day', case when s.state in ('rejected') then 'no' end,
                      case when s.state = 'sending' then gen_random_uuid() end, case when s.state = 'sending' then now() + interval '1 hour' end,
                      case when s.state = 'waiting' then {binding} end, case when s.state = 'waiting' then 'x' || i end
               from generate_series(1, 200000) i
               cross join lateral (select case when i % 500 = 0 then 'waiting' when i % 501 = 0 then 'sending' when i % 10 = 0 then 'rejected' else 'ready' end as state) s;
             insert into rowtwin_private.inbox (binding_id, remote_id, why, state, reason, not_before, waits_binding, waits_value)
               select {binding}, 'r' || i, 'webhook', s.state, case when s.state <> 'ready' then 'no' end, now() - interval '1 day',
                      case when s.state = 'waiting' then {binding} end, case when s.state = 'waiting' then 'y' || i end
               from generate_series(1, 200000) i
               cross join lateral (select case when i % 500 = 0 then 'waiting' when i % 10 = 0 then 'rejected' else 'ready' end as state) s;
             insert into rowtwin_private.usage (system, hour, object, calls)
               select 'erp', date_trunc('hour', now()) - make_interval(hours => i), 'o' || j, 1 from generate_series(0, 2000) i, generate_series(1, 10) j;
             analyze rowtwin_private.link, rowtwin_private.outbox, rowtwin_private.inbox, rowtwin_private.usage"
        ))
        .await;
}

/// Watches how often tables were read whole, as the server counts it in this very transaction.
struct Whole {
    counted: Vec<(String, i64, i64)>,
    findings: Vec<String>,
}

impl Whole {
    async fn count(transaction: &deadpool_postgres::Transaction<'_>) -> Vec<(String, i64, i64)> {
        let sql = "select relname::text, seq_scan, seq_tup_read from pg_stat_xact_user_tables
                   where relname in ('outbox', 'inbox', 'link', 'usage') order by 1";
        let rows = transaction.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }

    /// Older servers have not reported all that the connection did before yet.
    async fn before(transaction: &deadpool_postgres::Transaction<'_>) -> Self {
        Self { counted: Self::count(transaction).await, findings: Vec::new() }
    }

    async fn after(&mut self, what: &str, transaction: &deadpool_postgres::Transaction<'_>) {
        let counted = Self::count(transaction).await;
        for (now, before) in counted.iter().zip(&self.counted).filter(|(now, before)| now.1 > before.1) {
            self.findings.push(format!(
                "{what}: {} times {}, {} rows",
                now.1 - before.1,
                now.0,
                now.2 - before.2
            ));
        }
        self.counted = counted;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_the_hot_paths_reads_a_whole_table() {
    let script = Script {
        erp_limits: "{per_second: 100000, in_flight: 100, per_day: 1000000}".to_owned(),
        ..Script::default()
    };
    // of its own: long transactions keep others from making slots
    let cluster = own_cluster(&[]);
    execute(&cluster.url("postgres"), "create database filled").await;
    let scene = Scene::at(cluster.url("filled"), CUSTOMER, script).await;
    let binding = scene.bound("erp").id;
    fill(&scene, binding).await;
    let mut client = scene.engine.store.client().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let keys: Vec<String> = (1..=100).map(|i| (i * 1999 + 1).to_string()).collect();
    let ids: Vec<String> = keys.iter().map(|key| format!("r{key}")).collect();
    let names: Vec<String> = keys.iter().map(|key| format!("n{key}")).collect();
    let nobody: Option<Vec<&str>> = None;
    let second = 60.0f64;
    let mut whole = Whole::before(&transaction).await;
    // more than five times: prepared statements get a general plan then
    for round in 0..7 {
        let lease = Uuid::new_v4();
        let claimed = transaction
            .query(
                "select key from rowtwin_private.claim($1, 100, $2, make_interval(secs => $3))",
                &[&binding, &lease, &second],
            )
            .await
            .unwrap();
        let held: Vec<String> = claimed.iter().map(|row| row.get(0)).collect();
        assert_eq!(held.len(), 100, "round {round}");
        whole.after("claim", &transaction).await;
        let revisions = vec![1i64; 100];
        let (attempts, intents) = (vec![None::<Uuid>; 100], vec![None::<serde_json::Value>; 100]);
        let begun = transaction
            .query(
                "select key from rowtwin_private.begin_send($1, $2, make_interval(secs => $3), $4, $5, $6, $7)",
                &[&binding, &lease, &second, &held, &revisions, &attempts, &intents],
            )
            .await
            .unwrap();
        assert_eq!(begun.len(), 100, "round {round}");
        whole.after("begin_send", &transaction).await;
        let results: Vec<serde_json::Value> = held
            .iter()
            .map(|key| json!({"key": key, "verdict": "done", "link": "linked", "remote_id": format!("r{key}"), "shadow": {"a": 1}, "effect": "update", "side": "remote"}))
            .collect();
        let settled = transaction
            .query(
                "select settled from rowtwin_private.settle($1, $2, $3)",
                &[&binding, &lease, &json!(results)],
            )
            .await
            .unwrap();
        assert!(settled.len() == 100 && settled.iter().all(|row| row.get(0)), "round {round}");
        whole.after("settle", &transaction).await;
        let now = SystemTime::now();
        transaction
            .execute(
                "select rowtwin_private.mark_rows($1, $2, array_fill('0/1'::pg_lsn, array[100]), $3, $4, $5)",
                &[
                    &vec![binding; 100],
                    &keys,
                    &vec![now; 100],
                    &vec![None::<String>; 100],
                    &vec![Some(false); 100],
                ],
            )
            .await
            .unwrap();
        whole.after("mark_rows", &transaction).await;
        let due = transaction.query(DUE_RECORDS, &[&binding, &100i64]).await.unwrap();
        assert_eq!(due.len(), 100);
        whole.after("due_records", &transaction).await;
        transaction
            .execute("select rowtwin_private.release_waiting($1, $2)", &[&binding, &keys])
            .await
            .unwrap();
        whole.after("release_waiting", &transaction).await;
        transaction.execute("select rowtwin_private.release_waiting(null, $1)", &[&nobody]).await.unwrap();
        whole.after("release_waiting of all", &transaction).await;
        transaction
            .execute("select rowtwin_private.break_circles() + rowtwin_private.break_record_circles()", &[])
            .await
            .unwrap();
        whole.after("break_circles", &transaction).await;
        transaction.execute("select rowtwin_private.rescue_outbox()", &[]).await.unwrap();
        whole.after("rescue_outbox", &transaction).await;
        transaction.execute("select rowtwin_private.await_rows($1, $2)", &[&binding, &keys]).await.unwrap();
        whole.after("await_rows", &transaction).await;
        let call = transaction
            .query_one("select call_id from rowtwin_private.take_call('erp', 'update', true, make_interval(secs => $1))", &[&second])
            .await
            .unwrap();
        let call: i64 = call.get::<_, Option<i64>>(0).expect("a free place");
        transaction
            .execute("select rowtwin_private.finish_call($1, 'erp', 'ok', true, 1, 1, null, null, null, 'o1', 'push')", &[&call])
            .await
            .unwrap();
        whole.after("take_call and finish_call", &transaction).await;
        links_by_key(&transaction, binding, &keys).await.unwrap();
        whole.after("links_by_key", &transaction).await;
        lock_links(&transaction, binding, &ids).await.unwrap();
        whole.after("lock_links", &transaction).await;
        keys_in_flight(&transaction, binding, &keys).await.unwrap();
        whole.after("keys_in_flight", &transaction).await;
        marks_of(&transaction, binding, &keys).await.unwrap();
        whole.after("changed_at", &transaction).await;
        rows_of_names(&transaction, binding, ReferredBy::Reference, &names).await.unwrap();
        whole.after("rows_of_names by reference", &transaction).await;
        rows_of_names(&transaction, binding, ReferredBy::Id, &ids).await.unwrap();
        whole.after("rows_of_names by id", &transaction).await;
        mark_seen(&transaction, binding, &ids, 1).await.unwrap();
        whole.after("mark_seen", &transaction).await;
        note_records(&transaction, binding, &ids, "webhook", Duration::ZERO).await.unwrap();
        whole.after("note_records", &transaction).await;
    }
    assert!(whole.findings.is_empty(), "read whole: {:#?}", whole.findings);
    let used = transaction
        .query_one("select count(*) from pg_stat_xact_user_tables where relname in ('outbox', 'inbox', 'link', 'usage') and idx_scan > 0", &[])
        .await
        .unwrap();
    assert_eq!(used.get::<_, i64>(0), 4, "the counters count");
    // and would have counted a whole read
    transaction
        .execute("select count(*) from rowtwin_private.outbox where generation > 0 and attempts > 5", &[])
        .await
        .unwrap();
    whole.after("a whole read", &transaction).await;
    assert_eq!(whole.findings.len(), 1, "a whole read is seen: {:?}", whole.findings);
    transaction.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn old_days_of_the_journal_are_dropped_and_new_ones_made() {
    let scene = Scene::start().await;
    let days = async || {
        let rows = scene.rows("select relname from pg_class where relname ~ '^journal_[0-9]{8}$' and relkind = 'r' order by 1").await;
        rows.iter()
            .map(|row| row["relname"].as_str().unwrap()["journal_".len()..].to_owned())
            .collect::<Vec<_>>()
    };
    scene.run("set rowtwin.now = '2031-01-01 12:00Z'; select rowtwin_private.keep_journal(30)").await;
    scene.run("insert into rowtwin_private.journal (at, binding_id, key, side, effect) values ('2031-01-02 01:00Z', 1, '1', 'row', 'update')").await;
    let made = days().await;
    assert_eq!(
        made[made.len() - 3..],
        ["20310101", "20310102", "20310103"],
        "days of before are gone: {made:?}"
    );
    assert_eq!(made.len(), 3, "{made:?}");
    assert_eq!(
        scene.number("select count(*) from rowtwin_private.journal_other").await,
        0,
        "it has a day of its own"
    );
    scene.run("set rowtwin.now = '2031-02-01 12:00Z'; select rowtwin_private.keep_journal(30)").await;
    assert_eq!(days().await[..2], ["20310102", "20310103"], "thirty days are kept");
    assert_eq!(scene.number("select count(*) from rowtwin_private.journal").await, 1);
    scene.run("set rowtwin.now = '2031-03-10 12:00Z'; select rowtwin_private.keep_journal(30)").await;
    assert_eq!(scene.number("select count(*) from rowtwin_private.journal").await, 0);
    assert_eq!(days().await, ["20310310", "20310311", "20310312"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_lists_stay_small_whatever_goes_through_them() {
    let cluster = own_cluster(&[("autovacuum", "off")]);
    execute(&cluster.url("postgres"), "create database mirror").await;
    let scene = Scene::at(cluster.url("mirror"), CUSTOMER, Script::default()).await;
    scene.settle().await;
    let running = Running::start(&scene).await;
    // nobody takes what the test puts in
    scene.run("select rowtwin.pause('crm')").await;
    let binding = scene.number("select id::bigint from rowtwin_private.binding where system = 'crm'").await;
    let size = "select pg_total_relation_size('rowtwin_private.outbox') + pg_total_relation_size('rowtwin_private.inbox')";
    let dead = "select pg_stat_get_dead_tuples('rowtwin_private.outbox'::regclass) + pg_stat_get_dead_tuples('rowtwin_private.inbox'::regclass)";
    let mut sizes = Vec::new();
    for round in 0..6 {
        let (first, last) = (round * 15_000, round * 15_000 + 14_999);
        scene
            .run(&format!(
                "select rowtwin_private.mark_later({binding}::int, array_agg(i::text)) from generate_series({first}, {last}) i;
                 select rowtwin_private.note_records({binding}::int, array_agg(i::text), 'test') from generate_series({first}, {last}) i;"
            ))
            .await;
        scene
            .run(&format!(
                "delete from rowtwin_private.outbox where binding_id = {binding};
                 delete from rowtwin_private.inbox where binding_id = {binding};"
            ))
            .await;
        // a session tells what it did every ten seconds, or when asked; before version 15 at once
        scene
            .run("do $$ begin if current_setting('server_version_num')::int >= 150000 then perform pg_stat_force_next_flush(); end if; end $$")
            .await;
        until("the process has vacuumed them", async || scene.number(dead).await < 20_001).await;
        sizes.push(scene.number(size).await);
    }
    // 46 MB without any vacuum
    assert!(sizes.iter().all(|size| *size < 24 << 20), "the lists grow though nothing is in them: {sizes:?}");
    running.stop().await;
}
