//! R6: no echo.

use serde_json::json;

use crate::support::{CRM, ERP, Scene, Script};

async fn linked() -> (Scene, String) {
    let scene = Scene::start().await;
    scene.settle().await;
    let id = scene
        .crm()
        .insert(CRM, json!({"name": "Acme", "account_no": "C1", "tel": "13800000001", "address": "Road 1"}));
    scene.poll().await;
    scene.poll().await;
    scene.crm().forget_calls();
    scene.erp().forget_calls();
    (scene, id)
}

/// How often the row was written.
async fn row_version(scene: &Scene) -> i64 {
    scene.number("select xmin::text::bigint from sales.customer").await
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_what_was_pulled_is_not_pushed_back_to_where_it_came_from() {
    let (scene, id) = linked().await;
    scene.crm().edit(CRM, &id, json!({"tel": "13900000002"}));
    scene.poll().await;
    scene.poll().await;
    assert_eq!(scene.row("select phone from sales.customer").await, json!({"phone": "13900000002"}));
    assert!(Scene::writes(&scene.crm()).is_empty(), "{:?}", scene.crm().calls());
    assert_eq!(Scene::writes(&scene.erp()).len(), 1, "the other system gets it once");
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_the_tag_saves_even_the_look() {
    let (scene, id) = linked().await;
    scene.crm().edit(CRM, &id, json!({"tel": "13900000002"}));
    scene.sql.execute("update rowtwin_private.binding set next_poll_at = '-infinity'", &[]).await.unwrap();
    let crm = scene.bound("crm");
    while scene.puller(&crm).turn().await.unwrap().rest.is_none() {}
    scene.capture().await;
    let marked = scene.rows("select system from rowtwin.outbox").await;
    assert_eq!(marked, [json!({"system": "erp"})], "only the other system's key is marked");
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_what_was_pushed_is_not_written_back_to_the_row() {
    let (scene, _) = linked().await;
    scene.run("update sales.customer set phone = '13900000002'").await;
    let before = row_version(&scene).await;
    scene.settle().await;
    scene.poll().await;
    scene.poll().await;
    assert_eq!(row_version(&scene).await, before, "nobody but the analyst wrote the row");
    assert_eq!(Scene::writes(&scene.crm()).len(), 1);
    assert_eq!(Scene::writes(&scene.erp()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_what_the_remote_makes_of_a_value_comes_back_once_and_then_there_is_rest() {
    let (scene, _) = linked().await;
    scene.run("update sales.customer set address = '  Road 7  '").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(scene.row("select address from sales.customer").await, json!({"address": "Road 7"}));
    scene.crm().forget_calls();
    scene.erp().forget_calls();
    let before = row_version(&scene).await;
    scene.poll().await;
    assert!(Scene::writes(&scene.crm()).is_empty() && Scene::writes(&scene.erp()).is_empty());
    assert_eq!(row_version(&scene).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_what_a_users_trigger_makes_of_a_pulled_record_still_goes_out() {
    let (scene, id) = linked().await;
    scene
        .run("create function sales.tidy() returns trigger language plpgsql as $$
              begin new.address := 'called ' || new.phone; return new; end $$;
              create trigger tidy before update on sales.customer for each row execute function sales.tidy();")
        .await;
    scene.crm().edit(CRM, &id, json!({"tel": "13900000002"}));
    scene.poll().await;
    scene.poll().await;
    let address = json!("called 13900000002");
    assert_eq!(scene.crm().records(CRM)[0]["address"], address);
    assert_eq!(scene.erp().records(ERP)[0]["FADDRESS"], address);
    let crm = Scene::writes(&scene.crm());
    assert_eq!(crm.len(), 1, "{crm:?}");
    assert!(crm[0].1.contains(&"address".to_owned()) && !crm[0].1.contains(&"tel".to_owned()), "{crm:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_what_a_users_trigger_makes_of_a_written_id_still_goes_out() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene
        .run(
            "create function sales.tidy() returns trigger language plpgsql as $$
              begin
                if new.crm_id is distinct from old.crm_id then new.address := 'known to the CRM'; end if;
                return new;
              end $$;
              create trigger tidy before update on sales.customer for each row execute function sales.tidy();
              insert into sales.customer (name, number) values ('Acme', 'C1');",
        )
        .await;
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["address"], json!("known to the CRM"));
}
