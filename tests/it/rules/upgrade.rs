//! Upgrades: a database of the first version comes along with what is in it; versions that do not fit say so.

use refinery::{Migration, Runner};
use rowtwin::engine::assemble::open_pool;
use serde_json::json;

use crate::support::{CRM, Scene, connect, database, execute};

/// The first version as it was released: tables, and the functions and views over them.
const V1: &str = include_str!("../../../sql/migrations/V1__state.sql");
const V1_API: &str = include_str!("../../recordings/v1_api.sql");

/// Prepares a database as the first version did.
async fn v1() -> String {
    let url = database().await;
    let mut sql = connect(&url).await;
    sql.batch_execute("create schema rowtwin; create schema rowtwin_private").await.unwrap();
    let migration = Migration::unapplied("V1__state", V1).unwrap();
    let mut runner = Runner::new(&[migration]);
    runner.set_migration_table_name("rowtwin_private.migration");
    runner.run_async(&mut sql).await.unwrap();
    sql.batch_execute(V1_API).await.unwrap();
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_first_version_is_upgraded_with_everything_in_it() {
    let url = v1().await;
    execute(
        &url,
        "insert into rowtwin_private.system (name, connector, per_day) values ('old', 'fxiaoke', 100);
         insert into rowtwin_private.binding (name, table_name, system, object, mapping, pushes, pulls)
           values ('sales.thing - old.Thing', 'sales.thing', 'old', 'Thing', '{}', true, true);
         insert into rowtwin_private.link (binding_id, key, state, remote_id, shadow)
           select 1, i::text, 'linked', 'r' || i, '{\"a\": 1.10}' from generate_series(1, 100) i;
         insert into rowtwin_private.outbox (binding_id, key, state, reason) values (1, '1', 'ready', null), (1, '2', 'rejected', 'no');
         insert into rowtwin_private.inbox (binding_id, remote_id, why) values (1, 'r3', 'webhook');
         insert into rowtwin_private.conflict (binding_id, key, field, winner, policy) values (1, '4', 'a', 'held', 'manual');
         select rowtwin_private.keep_journal(30);
         insert into rowtwin_private.journal (binding_id, key, side, effect) values (1, '1', 'remote', 'update');
         insert into rowtwin_private.usage (system, hour, changes, calls, writes, records)
           values ('old', date_trunc('hour', now()), 50, 12, 7, 30)",
    )
    .await;
    let analyst = format!("r_{}", uuid::Uuid::new_v4().simple());
    execute(&url, &format!("create role {analyst}; grant usage on schema rowtwin to {analyst}; grant select on rowtwin.usage, rowtwin.systems to {analyst}")).await;
    execute(
        &url,
        "create view public.mine as select system, sum(calls) as calls from rowtwin.usage group by system",
    )
    .await;

    let (store, _) = open_pool(&url).unwrap();
    let said = store.schema_differs().await.unwrap().unwrap();
    assert!(said.contains("older version") && said.contains("rowtwin init"), "{said}");
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.schema_differs().await.unwrap(), None);

    let sql = connect(&url).await;
    let counts = sql
        .query_one(
            "select jsonb_build_object(
               'links', (select count(*) from rowtwin.links where shadow = '{\"a\": 1.10}'),
               'outbox', (select count(*) from rowtwin.outbox), 'rejected', (select count(*) from rowtwin.rejected),
               'inbox', (select count(*) from rowtwin.inbox), 'conflicts', (select count(*) from rowtwin.conflicts),
               'journal', (select count(*) from rowtwin.journal),
               'calls', (select sum(calls) from rowtwin.costs), 'saved', (select sum(calls_saved) from rowtwin.usage),
               'mine', (select calls from public.mine), 'today', (select calls_today from rowtwin.systems))::text",
            &[],
        )
        .await
        .unwrap();
    let counts: serde_json::Value = serde_json::from_str(counts.get(0)).unwrap();
    assert_eq!(
        counts,
        json!({"links": 100, "outbox": 2, "rejected": 1, "inbox": 1, "conflicts": 1, "journal": 1,
               "calls": 12, "saved": 43, "mine": 12, "today": 12})
    );
    // what was booked before counts against today's budget
    let row = sql
        .query_one("select call_id from rowtwin_private.take_call('old', 'list', false, '1 minute')", &[])
        .await
        .unwrap();
    let call: i64 = row.get(0);
    sql.execute(
        "select rowtwin_private.finish_call($1, 'old', 'ok', false, 0, 1, null, null, null)",
        &[&call],
    )
    .await
    .unwrap();
    sql.batch_execute(&format!("set role {analyst}; select * from rowtwin.usage; select * from rowtwin.systems; reset role; drop owned by {analyst}; drop role {analyst}"))
        .await
        .unwrap();

    // and it works: a binding of today beside the old one
    let scene = Scene::at(
        url,
        crate::support::CUSTOMER,
        crate::support::Script { with_erp: false, ..Default::default() },
    )
    .await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    crate::support::running::until("the row goes out", async || {
        scene.round().await;
        scene.crm().count(CRM) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_program_leaves_a_newer_database_alone_and_says_so() {
    let scene = Scene::start().await;
    scene
        .run("insert into rowtwin_private.migration select 999, 'future', applied_on, checksum from rowtwin_private.migration limit 1")
        .await;
    let before = scene.row("select max(xmin::text::bigint) as touched from pg_proc").await;
    let error = scene.engine.store.migrate().await.unwrap_err().to_string();
    assert!(error.contains("newer version of rowtwin") && error.contains("999"), "{error}");
    let error = scene.engine.require_prepared().await.unwrap_err().to_string();
    assert!(error.contains("newer version of rowtwin") && error.contains("999"), "{error}");
    assert_eq!(
        scene.row("select max(xmin::text::bigint) as touched from pg_proc").await,
        before,
        "no function was replaced"
    );
    let client = scene.engine.store.client().await.unwrap();
    client.execute("delete from rowtwin_private.migration where version = 999", &[]).await.unwrap();
    scene.engine.require_prepared().await.unwrap();
}
