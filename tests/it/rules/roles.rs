//! Roles: the process runs under a login that owns nothing; an operator and a reader do their work with SQL alone.

use rowtwin::engine::Engine;
use rowtwin::engine::assemble::Given;
use serde_json::json;
use tokio_postgres::error::SqlState;

use crate::support::running::{Running, until};
use crate::support::{CRM, ERP, Scene, connect};

/// A login of the test's own; roles belong to the whole server.
struct Login {
    name: String,
    url: String,
}

impl Login {
    async fn of(scene: &Scene, attributes: &str) -> Self {
        let name = format!("r_{}", uuid::Uuid::new_v4().simple());
        scene.run(&format!("create role {name} login {attributes}")).await;
        Self { url: scene.url.replace("postgres@", &format!("{name}@")), name }
    }

    async fn drop(self, scene: &Scene) {
        scene.run(&format!("drop owned by {0}; drop role {0}", self.name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_round_runs_under_a_login_that_is_only_a_member_of_rowtwin_service() {
    let mut scene = Scene::start().await;
    let login =
        Login::of(&scene, "replication nosuperuser nocreaterole nocreatedb in role rowtwin_service").await;
    scene
        .run(&format!(
            "grant usage on schema sales to {0}; grant select, insert, update, delete on sales.customer to {0}",
            login.name
        ))
        .await;
    let rights = "select coalesce(array_to_string(relacl, ' '), '') as acl from pg_class where oid = 'sales.customer'::regclass";
    let before = scene.row(rights).await;

    // as `rowtwin run` does it: nothing is installed or made
    let given = Given { database_url: Some(login.url.clone()), ..Given::default() };
    let mut engine = Engine::assemble(scene.engine.file.clone(), &given).await.unwrap();
    engine.require_prepared().await.unwrap();
    engine.register().await.unwrap();
    engine.keep_journal().await.unwrap();
    let owner = std::mem::replace(&mut scene.engine, engine);
    let service = Given { database_url: Some(login.url.clone()), ..Given::default() };
    let mut running_engine = Engine::assemble(scene.engine.file.clone(), &service).await.unwrap();
    running_engine.register().await.unwrap();
    // from 17 on a right of its own lets the process vacuum its work lists; before, only their owner may
    let version = scene.number("select current_setting('server_version_num')::bigint").await;
    let own: i64 = connect(&login.url)
        .await
        .query_one("select count(*) from rowtwin_private.dead_rows()", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(own, if version >= 170_000 { 2 } else { 0 });
    let running = Running::of(&scene, running_engine);

    scene.run("insert into sales.customer (name, number, phone) values ('Acme', 'C1', '13800000000')").await;
    until("it is in both systems", async || scene.crm().count(CRM) == 1 && scene.erp().count(ERP) == 1).await;
    until("the ids are in the row", async || {
        scene
            .number("select count(*) from sales.customer where crm_id is not null and erp_id is not null")
            .await
            == 1
    })
    .await;
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    scene.crm().edit(CRM, &id, json!({"tel": "13811111111"}));
    scene.crm().insert(CRM, json!({"name": "Bolt", "account_no": "C2"}));
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    until("the edit and the new record are rows", async || {
        scene.number("select count(*) from sales.customer where phone = '13811111111' or number = 'C2'").await
            == 2
    })
    .await;
    until("and go on to the ERP", async || scene.erp().count(ERP) == 2).await;
    scene.run("delete from sales.customer where number = 'C1'").await;
    until("a delete goes out", async || scene.crm().count(CRM) == 1 && scene.erp().count(ERP) == 1).await;
    running.stop().await;

    assert_eq!(scene.row(rights).await, before, "the table's rights are as they were");
    let owned = format!("select count(*) from pg_class where relowner = '{}'::regrole", login.name);
    assert_eq!(scene.number(&owned).await, 0, "the process owns nothing");
    let other = connect(&login.url).await;
    for sql in [
        "drop table rowtwin_private.link",
        "create table rowtwin.x (i int)",
        "delete from rowtwin_private.migration",
    ] {
        let error = other.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    drop(other);
    scene.engine = owner;
    login.drop(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_may_not_replicate_is_told_which_right_it_lacks() {
    let scene = Scene::start().await;
    let login = Login::of(&scene, "in role rowtwin_service").await;
    let given = Given { database_url: Some(login.url.clone()), ..Given::default() };
    let engine = Engine::assemble(scene.engine.file.clone(), &given).await.unwrap();
    let error = engine.require_prepared().await.unwrap_err().to_string();
    assert!(error.contains("may not replicate") && error.contains("rds_replication"), "{error}");
    // where the right is a role, as on Amazon RDS, membership is enough
    let made = scene.sql.batch_execute("create role rds_replication nologin").await;
    assert!(made.is_ok(), "{made:?}");
    scene.run(&format!("grant rds_replication to {}", login.name)).await;
    let prepared = engine.require_prepared().await;
    scene.run("drop role rds_replication").await;
    prepared.unwrap();
    login.drop(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_does_everything_of_the_sql_page_and_nothing_else() {
    let scene = Scene::start().await;
    scene.run("insert into sales.customer (name, number, phone) values ('Acme', 'C1', 'no phone')").await;
    scene.settle().await;
    let login = Login::of(&scene, "in role rowtwin_operator").await;
    let sql = connect(&login.url).await;
    sql.batch_execute(
        "select * from rowtwin.status; select * from rowtwin.systems; select * from rowtwin.rejected; select * from rowtwin.costs;
         select * from rowtwin.journal; select * from rowtwin.slot;
         select rowtwin.pause('crm'); select rowtwin.resume('crm'); select rowtwin.retry('sales.customer');
         select rowtwin.resync('sales.customer', 'erp'); select rowtwin.approve('sales.customer');
         select rowtwin.set_actor('li_wei')",
    )
    .await
    .unwrap();
    for refused in [
        "select * from rowtwin_private.link",
        "update rowtwin_private.system set state = 'paused'",
        "select rowtwin_private.rescue_outbox()",
        "select * from sales.customer",
        "drop view rowtwin.status",
    ] {
        let error = sql.batch_execute(refused).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused}");
    }
    drop(sql);
    login.drop(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_all_views_and_changes_nothing() {
    let scene = Scene::start().await;
    scene.settle().await;
    let login = Login::of(&scene, "in role rowtwin_reader").await;
    let sql = connect(&login.url).await;
    let views = sql
        .query("select 'rowtwin.' || quote_ident(viewname) from pg_views where schemaname = 'rowtwin'", &[])
        .await
        .unwrap();
    assert!(views.len() >= 14, "{}", views.len());
    for view in views {
        let view: String = view.get(0);
        sql.batch_execute(&format!("select * from {view}"))
            .await
            .unwrap_or_else(|error| panic!("{view}: {error:?}"));
    }
    let functions = sql
        .query(
            "select p.oid::regprocedure::text from pg_proc p
             where p.pronamespace = 'rowtwin'::regnamespace and has_function_privilege(p.oid, 'execute') order by 1",
            &[],
        )
        .await
        .unwrap();
    let functions: Vec<String> = functions.iter().map(|row| row.get(0)).collect();
    assert_eq!(functions, ["rowtwin.history(text,text)", "rowtwin.set_actor(text)"]);
    drop(sql);
    login.drop(&scene).await;
}
