//! R18 in the database: who may see what.

use crate::support::Scene;

async fn refused(scene: &Scene, sql: &str) -> bool {
    let code = scene.sql.batch_execute(sql).await.err().and_then(|error| error.code().cloned());
    code == Some(tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE)
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_a_role_sees_only_what_it_was_given() {
    let scene = Scene::start().await;
    let role = format!("r_{}", uuid::Uuid::new_v4().simple());
    scene.run(&format!("create role {role}; set role {role}")).await;
    for sql in [
        "select * from rowtwin_private.link",
        "select * from rowtwin_private.outbox",
        "select rowtwin_private.clock()",
        "select * from rowtwin.status",
        "select rowtwin.pause('crm')",
    ] {
        assert!(refused(&scene, sql).await, "{sql}");
    }

    // an analyst may be given views and single functions, and needs nothing of the private schema for them
    scene
        .run(&format!(
            "reset role; grant usage on schema rowtwin to {role}; grant select on rowtwin.status, rowtwin.rejected to {role};
             grant execute on function rowtwin.retry(text, text, text) to {role}; set role {role}"
        ))
        .await;
    assert_eq!(scene.number("select count(*) from rowtwin.status").await, 2);
    assert_eq!(scene.number("select rowtwin.retry('sales.customer')").await, 0);
    for sql in [
        "select * from rowtwin_private.link",
        "select rowtwin_private.mark_later(1, array['1'])",
        "select * from rowtwin.journal",
        "select rowtwin.pause('crm')",
        "select rowtwin.approve('sales.customer')",
    ] {
        assert!(refused(&scene, sql).await, "{sql}");
    }

    // a later version's migration takes nothing away
    scene.engine.store.migrate().await.unwrap();
    assert_eq!(scene.number("select count(*) from rowtwin.status").await, 2);
    scene.run(&format!("reset role; drop owned by {role}; drop role {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_every_function_and_view_says_what_it_does() {
    let scene = Scene::start().await;
    let silent = scene
        .rows(
            "select p.oid::regprocedure::text as what from pg_proc p
             where p.pronamespace in ('rowtwin'::regnamespace, 'rowtwin_private'::regnamespace)
               and (obj_description(p.oid, 'pg_proc') is null or not coalesce(array_to_string(p.proconfig, ','), '') like '%search_path=%')
             union all
             select c.oid::regclass::text from pg_class c
             where c.relnamespace = 'rowtwin'::regnamespace and c.relkind = 'v' and obj_description(c.oid, 'pg_class') is null",
        )
        .await;
    assert!(silent.is_empty(), "without a comment or a search_path: {silent:?}");
}
