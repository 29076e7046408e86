//! Refresh tokens that rotate: each is good for one sign-in, and gives the next one. Salesforce's app does it here; what is
//! shown holds for every connector that says `keep`.

use std::time::{Duration, Instant};

use rowtwin::engine::Engine;
use rowtwin::engine::assemble::Given;
use rowtwin::model::outcome::Outcome;
use rowtwin::model::record::RemoteRecord;
use rowtwin::remote::gate::Priority;
use rowtwin::simulator::credentials::salesforce as known;
use serde_json::json;

use super::salesforce::ACCOUNTS;
use crate::support::{Scene, connect, fault, reassemble, secret};

/// A system that signs in by a refresh token, which rotates.
async fn scene() -> Scene {
    let settings =
        format!(", auth: refresh_token, refresh_token: {{file: '{}'}}", secret(known::REFRESH_TOKEN));
    let scene = ACCOUNTS.scene_with(&settings, "[AccountNumber]").await;
    scene.crm().rotate_refresh_tokens(known::REFRESH_TOKEN);
    scene
}

async fn read(engine: &Engine) -> Result<Vec<RemoteRecord>, Outcome> {
    let bound = engine.bounds.first().unwrap();
    let ids = ["001A0000006Vm9uIAC".to_owned()];
    bound.client.read(&bound.object, &["Name".to_owned()], &ids, Priority::Edit).await
}

fn sign_ins(scene: &Scene) -> usize {
    scene.crm().calls().iter().filter(|call| call.operation == "token").count()
}

async fn held(scene: &Scene) -> String {
    let row =
        scene.row("select state, coalesce(held_reason, '') as reason from rowtwin_private.system").await;
    assert_eq!(row["state"], json!("held"), "{row}");
    row["reason"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_renew_fifty_times_and_nobody_is_signed_out() {
    let scene = scene().await;
    let other = reassemble(&scene).await;
    for engine in [&scene.engine, &other] {
        read(engine).await.expect("each process signs in once by itself");
    }
    // what the second one got has ended, too: the first one tries it, and then signs in itself
    scene.crm().end_sessions();
    read(&scene.engine).await.expect("a borrowed token that has ended is no reason to give up");
    for round in 0..49 {
        scene.crm().end_sessions();
        let (one, two) = tokio::join!(read(&scene.engine), read(&other));
        assert!(one.is_ok() && two.is_ok(), "round {round}: {one:?} {two:?}");
    }
    assert_eq!(sign_ins(&scene), 52, "who comes second takes what the first one got");
    assert_eq!(scene.number("select generation from rowtwin_private.sign_in").await, 52);
    assert_eq!(scene.number("select count(*) from rowtwin.systems where state = 'running'").await, 1);
    // a third one, started later, goes on with what is kept
    read(&reassemble(&scene).await).await.expect("the kept token is taken");
    let free = "select count(*) from rowtwin_private.sign_in where holder is null and sent_at is null";
    assert_eq!(scene.number(free).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_holds_the_system_and_tells_the_cure() {
    let scene = scene().await;
    read(&scene.engine).await.expect("signed in");
    scene.crm().end_sessions();
    scene.crm().add_fault(fault("lost-answer@token"));
    assert!(matches!(read(&scene.engine).await, Err(Outcome::Retry { .. })));
    let refused =
        read(&scene.engine).await.expect_err("the token was used up by the call whose answer was lost");
    assert!(matches!(refused, Outcome::Misconfigured { .. }), "{refused:?}");
    let reason = held(&scene).await;
    for part in
        ["the answer to the sign-in of", "was lost", "sign in to the system anew", "rowtwin.resume('crm')"]
    {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert!(!reason.contains("5Aep"), "no token is shown: {reason}");

    // somebody signs in anew and does as the reason says
    scene.crm().rotate_refresh_tokens("5Aep861.given.to.a.person");
    let old = secret(known::REFRESH_TOKEN);
    let text = scene.text.replace(&old, &secret("5Aep861.given.to.a.person"));
    let mut file = rowtwin::config::parse("rowtwin.yaml", &text).unwrap().0;
    file.database.slot = Some(scene.engine.slot.clone());
    let given = Given { database_url: Some(scene.url.clone()), ..Given::default() };
    let mut mended = Engine::assemble(file, &given).await.unwrap();
    mended.register().await.unwrap();
    scene.run("select rowtwin.resume('crm')").await;
    for _ in 0..2 {
        read(&mended).await.expect("the new one is taken, and the ones after it");
        scene.crm().end_sessions();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_before_it_has_kept_the_answer_leaves_a_word() {
    let scene = scene().await;
    read(&scene.engine).await.expect("signed in");
    scene.crm().end_sessions();
    // what is kept waits for this lock
    scene
        .run(
            "create function rowtwin_private.wait() returns trigger language plpgsql as
               'begin perform pg_advisory_xact_lock(7411); return new; end';
             create trigger wait before update on rowtwin_private.sign_in for each row
               when (new.generation <> old.generation) execute function rowtwin_private.wait()",
        )
        .await;
    let locker = connect(&scene.url).await;
    locker.execute("select pg_advisory_lock(7411)", &[]).await.unwrap();
    let dying = reassemble(&scene).await;
    let work = tokio::spawn(async move { read(&dying).await });
    let waits = "select count(*) from pg_stat_activity
                 where datname = current_database() and query like '%keep_sign_in%' and wait_event = 'advisory'";
    let began = Instant::now();
    while scene.number(waits).await == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "the answer is never kept");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    scene
        .run(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and query like '%keep_sign_in%' and wait_event = 'advisory'",
        )
        .await;
    let began = Instant::now();
    while scene.number(waits).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "the dead process's connection stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    locker.execute("select pg_advisory_unlock(7411)", &[]).await.unwrap();
    scene.run("drop trigger wait on rowtwin_private.sign_in").await;
    assert_eq!(scene.number("select generation from rowtwin_private.sign_in").await, 1);
    // its lease ends
    scene.run("update rowtwin_private.sign_in set held_until = '-infinity' where holder is not null").await;
    let refused = read(&scene.engine).await.expect_err("the token is used up");
    assert!(matches!(refused, Outcome::Misconfigured { .. }), "{refused:?}");
    assert!(held(&scene).await.contains("was lost, and with it the refresh_token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_for_nobody_who_reads_the_database() {
    let scene = scene().await;
    read(&scene.engine).await.expect("signed in");
    let rights =
        "select has_table_privilege('rowtwin_reader', 'rowtwin_private.sign_in', 'select') as reader,
        has_table_privilege('rowtwin_operator', 'rowtwin_private.sign_in', 'select') as operator,
        has_table_privilege('public', 'rowtwin_private.sign_in', 'select') as anybody,
        has_table_privilege('rowtwin_service', 'rowtwin_private.sign_in', 'select') as service";
    let expected = json!({"reader": false, "operator": false, "anybody": false, "service": true});
    assert_eq!(scene.row(rights).await, expected);
    // tokens of the simulator begin like this
    let open = "select count(*) from rowtwin_private.sign_in
                where position('5Aep'::bytea in sealed) > 0 or position('00D5g'::bytea in sealed) > 0";
    assert_eq!(scene.number(open).await, 0);
    assert_eq!(
        scene.number("select count(*) from rowtwin_private.sign_in where length(sealed) > 40").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_does_not_rotate_is_not_kept() {
    let settings =
        format!(", auth: refresh_token, refresh_token: {{file: '{}'}}", secret(known::REFRESH_TOKEN));
    let scene = ACCOUNTS.scene_with(&settings, "[AccountNumber]").await;
    for _ in 0..2 {
        read(&scene.engine).await.expect("signed in");
        scene.crm().end_sessions();
    }
    assert_eq!(
        scene.number("select count(*) from rowtwin_private.sign_in where sealed is not null").await,
        0
    );
    assert_eq!(
        scene.number("select count(*) from rowtwin_private.sign_in where sent_at is not null").await,
        0
    );
}
