//! R9: a field that two sides keep rewriting is frozen, and everything else goes on.

use serde_json::{Value, json};

use crate::support::{CRM, Scene, Script};

/// The mirror ends every address with an exclamation mark, by a trigger of the user's own.
const PADS: &str = "
    create function sales.pads() returns trigger language plpgsql as
      $$ begin new.address := rtrim(new.address, '!') || '!'; return new; end $$;
    create trigger pads before insert or update on sales.customer for each row execute function sales.pads();";

async fn story(extra: &str) -> (Scene, String) {
    let scene =
        Scene::with(Script { with_erp: false, extra_crm: extra.to_owned(), ..Script::default() }).await;
    scene.run(PADS).await;
    scene.run("insert into sales.customer (name, number, phone, address) values ('Acme', 'C1', '13800000001', 'Road 1')").await;
    scene.settle().await;
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    (scene, id)
}

fn address(scene: &Scene, id: &str) -> Value {
    scene.crm().record(CRM, id).unwrap()["address"].clone()
}

/// The CRM trims what the mirror pads, and is polled; how many times it had something to trim.
async fn quarrel(scene: &Scene, id: &str, rounds: usize) -> usize {
    let mut trimmed = 0;
    for _ in 0..rounds {
        if address(scene, id).as_str().is_some_and(|text| text.ends_with('!')) {
            let text = address(scene, id).as_str().unwrap().trim_end_matches('!').to_owned();
            scene.crm().edit(CRM, id, json!({"address": text}));
            trimmed += 1;
        }
        scene.poll().await;
    }
    trimmed
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_two_systems_that_rewrite_each_other_end_by_themselves() {
    let (scene, id) = story("").await;
    let trimmed = quarrel(&scene, &id, 12).await;
    assert!((4..=6).contains(&trimmed), "it went on: {trimmed}");
    let frozen = scene.rows("select field, winner, policy, resolved_at from rowtwin.conflicts").await;
    assert_eq!(
        frozen,
        [json!({"field": "address", "winner": "held", "policy": "oscillation", "resolved_at": null})]
    );
    scene.crm().forget_calls();
    quarrel(&scene, &id, 3).await;
    assert!(Scene::writes(&scene.crm()).is_empty());

    // other fields go on, both ways
    scene.run("update sales.customer set phone = '13800000002'").await;
    scene.settle().await;
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["tel"], json!("13800000002"));
    scene.crm().edit(CRM, &id, json!({"name": "Acme Ltd"}));
    scene.poll().await;
    assert_eq!(scene.row("select name from sales.customer").await, json!({"name": "Acme Ltd"}));

    // the quarrel is mended, and a person says who was right
    scene.run("drop trigger pads on sales.customer").await;
    scene.run("select rowtwin.resolve_conflict(id, 'record') from rowtwin.conflicts").await;
    scene.poll().await;
    assert_eq!(scene.row("select address from sales.customer").await, json!({"address": "Road 1"}));
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts where resolved_at is null").await, 0);
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    assert_eq!(address(&scene, &id), json!("Road 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_slow_turns_are_no_quarrel() {
    let (scene, id) = story("").await;
    for _ in 0..5 {
        assert_eq!(quarrel(&scene, &id, 2).await, 2);
        scene.run("update rowtwin_private.turning set since = since - interval '11 minutes'").await;
    }
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_the_brake_can_be_set() {
    let (scene, id) = story(", brake: {turns: 2, within: 1h}").await;
    assert!(quarrel(&scene, &id, 8).await <= 3);
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts where policy = 'oscillation'").await, 1);
}
