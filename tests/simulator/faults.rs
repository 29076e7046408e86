//! Each fault behaves as it is described, and ends after its count.

use std::time::{Duration, Instant};

use rowtwin::simulator::{Kind, Options, Simulator};
use serde_json::{Value, json};

use crate::callers::{Fxiaoke, Kingdee, fault, parse, start};

#[tokio::test]
async fn a_lost_answer_leaves_the_change_made() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let door = simulator.door();
    door.add_fault(fault("lost-answer@create"));
    assert!(caller.create("a").await.is_err());
    assert_eq!(door.records("AccountObj")[0]["name"], "a");
    assert_eq!(door.calls().last().unwrap().status, 0);
    assert_eq!(caller.create("b").await.unwrap()["errorCode"], 0, "once only");
}

#[tokio::test]
async fn a_late_commit_shows_only_when_its_time_has_come() {
    let simulator = start(Kind::Fxiaoke).await;
    let door = simulator.door();
    door.set_clock(Some(1_700_000_000_000));
    let caller = Fxiaoke::sign_in(&simulator).await;
    door.add_fault(fault("late-commit:2s@create"));
    assert!(caller.create("late").await.is_err());
    assert_eq!(door.count("AccountObj"), 0);
    door.set_clock(Some(1_700_000_001_999));
    assert_eq!(caller.query(json!({})).await["data"]["total"], 0);
    door.set_clock(Some(1_700_000_002_000));
    assert_eq!(caller.query(json!({})).await["data"]["dataList"][0]["name"], "late");
}

#[tokio::test]
async fn refusing_faults_do_nothing_and_end_after_their_count() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let door = simulator.door();
    let path = "/cgi/crm/v2/data/create";
    let body = caller.body(json!({"object_data": {"dataObjectApiName": "AccountObj", "name": "a"}}));
    door.set_faults(vec![fault("status:503x2")]);
    for _ in 0..2 {
        assert_eq!(caller.raw(path, body.clone()).await.unwrap().0, 503);
    }
    door.set_faults(vec![fault("throttled:20@create")]);
    let (status, after, text) = caller.raw(path, body.clone()).await.unwrap();
    assert_eq!((status, after.as_deref(), &parse(&text)["errorCode"]), (200, Some("20"), &json!(30004)));
    door.set_faults(vec![fault("error:50009")]);
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 50009);
    door.set_faults(vec![fault("down")]);
    assert!(caller.create("a").await.is_err());
    assert_eq!(door.count("AccountObj"), 0);
    assert!(door.faults().is_empty());
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 0);
}

#[tokio::test]
async fn an_expired_token_is_refused_until_a_new_one_is_fetched() {
    let simulator = start(Kind::Fxiaoke).await;
    let mut caller = Fxiaoke::sign_in(&simulator).await;
    simulator.door().add_fault(fault("token-expired@create"));
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 20016);
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 20016, "it stays expired");
    caller.renew().await;
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 0);
}

#[tokio::test]
async fn mangled_answers_come_after_the_work_is_done() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let door = simulator.door();
    let path = "/cgi/crm/v2/data/create";
    let body = caller.body(json!({"object_data": {"dataObjectApiName": "AccountObj", "name": "a"}}));
    for (how, is_so) in [
        (
            "truncated",
            (|text| serde_json::from_str::<Value>(text).is_err() && text.starts_with('{'))
                as fn(&str) -> bool,
        ),
        ("html", |text| text.starts_with("<!DOCTYPE html>")),
        ("wrong-type", |text| parse(text).is_string()),
        ("huge", |text| text.len() > 10_000_000 && parse(text).is_object()),
    ] {
        door.set_faults(vec![fault(&format!("malformed:{how}@create"))]);
        let (status, _, text) = caller.raw(path, body.clone()).await.unwrap();
        assert!(status == 200 && is_so(&text), "{how}");
    }
    assert_eq!(door.count("AccountObj"), 4);
}

#[tokio::test]
async fn a_duplicate_page_and_a_slow_answer() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let door = simulator.door();
    door.insert_many("AccountObj", (0..4).map(|n| json!({"name": format!("n{n}")})));
    door.add_fault(fault("duplicate-page@query"));
    let first = caller.query(json!({"limit": 2, "offset": 0})).await;
    assert_eq!(first["data"]["dataList"][0]["name"], "n0", "there was no page yet to repeat");
    let second = caller.query(json!({"limit": 2, "offset": 2})).await;
    assert_eq!(second["data"]["dataList"], first["data"]["dataList"]);
    let third = caller.query(json!({"limit": 2, "offset": 2})).await;
    assert_eq!(third["data"]["dataList"][0]["name"], "n2");
    door.add_fault(fault("slow:300ms@query"));
    let begun = Instant::now();
    caller.query(json!({})).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_simulator_that_is_down_answers_nobody_but_the_door() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let ring = async |verb: &str, body: Value| {
        let url = format!("{}/{verb}", simulator.door_url());
        let response = caller.http.post(url).body(body.to_string()).send().await.unwrap();
        (response.status().as_u16(), parse(&response.text().await.unwrap()))
    };
    assert_eq!(ring("set_down", json!({"down": true})).await.0, 200);
    assert!(caller.create("a").await.is_err());
    assert_eq!(ring("set_down", json!({"down": false})).await.0, 200);
    let id = caller.create("a").await.unwrap()["dataId"].clone();
    let (_, found) = ring("record", json!({"object": "AccountObj", "id": id})).await;
    assert_eq!(found["record"]["name"], "a");
    let (status, refused) = ring("add_fault", json!({"fault": "nonsense"})).await;
    assert!(status == 400 && refused["error"].as_str().unwrap().contains("lost-answer"), "{refused}");
    assert_eq!(ring("calls", json!({})).await.1["calls"][1]["error"], "down");
    let door = simulator.door();
    let port: u16 = simulator.base_url().rsplit(':').next().unwrap().parse().unwrap();
    simulator.stop().await;
    assert!(caller.create("b").await.is_err(), "neither on an open connection nor on a new one");
    assert_eq!(door.count("AccountObj"), 1);
    let again = Simulator::start(Kind::Fxiaoke, Options { port, ..Options::default() }).await.unwrap();
    assert_eq!(again.base_url(), caller.base);
    let taken = Simulator::start(Kind::Fxiaoke, Options { port, ..Options::default() }).await.unwrap_err();
    assert!(taken.to_string().contains("choose another port"), "{taken}");
}

#[tokio::test]
async fn the_limit_of_an_interface_is_kept_and_passes_with_its_window() {
    let options = Options { calls_per_20s: Some(2), ..Options::default() };
    let simulator = Simulator::start(Kind::Fxiaoke, options).await.unwrap();
    let door = simulator.door();
    door.set_clock(Some(1_700_000_000_000));
    let caller = Fxiaoke::sign_in(&simulator).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(caller.create("a").await.unwrap()["errorCode"].clone());
    }
    assert_eq!(codes, [json!(0), json!(0), json!(30004)]);
    assert_eq!(caller.query(json!({})).await["errorCode"], 0, "another interface has its own window");
    door.set_clock(Some(1_700_000_020_000));
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 0);
}

#[tokio::test]
async fn kingdee_batches_break_where_they_are_told_to() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let caller = Kingdee::sign_in(&simulator).await;
    let door = simulator.door();
    let batch = |prefix: &str| {
        let models: Vec<Value> =
            (0..4).map(|n| json!({"FNumber": format!("{prefix}{n}"), "FName": "n"})).collect();
        json!({ "Model": models })
    };
    door.add_fault(fault("partial-batch@BatchSave"));
    let answer = caller.call("BatchSave", batch("P")).await;
    let status = &answer["Result"]["ResponseStatus"];
    assert_eq!(status["SuccessEntitys"][1]["DIndex"], 2);
    assert_eq!(status["Errors"][1]["DIndex"], 3);
    assert_eq!(door.count("BD_Customer"), 2);
    door.add_fault(fault("token-expired@create"));
    let answer = caller.call("BatchSave", batch("T")).await;
    assert_eq!(answer["Result"]["ResponseStatus"]["MsgCode"], 1);
    assert_eq!(door.count("BD_Customer"), 4, "the first half is done");
    let lost = caller.query("BD_Customer", "FCUSTID", "").await;
    assert_eq!(
        lost[0][0]["Result"]["ResponseStatus"]["MsgCode"], 1,
        "the session is gone for the next call too"
    );
    let text = caller.text("DynamicFormService.Nothing", "{}".to_owned()).await;
    assert_eq!(parse(&text)["Result"]["ResponseStatus"]["MsgCode"], 1);
    let caller = Kingdee::sign_in(&simulator).await;
    assert!(caller.text("DynamicFormService.Nothing", "{}".to_owned()).await.starts_with("response_error:{"));
    assert!(caller.text("DynamicFormService.Save", "[".to_owned()).await.starts_with("response_error:{"));
}
