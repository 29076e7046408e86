//! Several processes on one mirror: they share the work, and each goes on where another one was killed.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rowtwin::store::StoreError;
use rowtwin::store::outbox::Mark;
use serde_json::json;
use uuid::Uuid;

use crate::support::running::{own_cluster, within};
use crate::support::{CRM, CUSTOMER, ERP, Scene, Script, execute, fault};

/// A `rowtwin run` of its own.
struct Process(Child);

impl Process {
    fn start(scene: &Scene, folder: &std::path::Path) -> Self {
        std::fs::write(folder.join("rowtwin.yaml"), scene.file().replace("poll: 1d", "poll: 1s")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_rowtwin"))
            .arg("run")
            .current_dir(folder)
            .env("ROWTWIN_DATABASE_URL", &scene.url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).unwrap();
    }

    /// SIGKILL: nothing is given back.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const LONG: Duration = Duration::from_secs(60);

async fn capturing(scene: &Scene) -> bool {
    scene
        .number(&format!(
            "select count(*) from pg_replication_slots where slot_name = '{}' and active",
            scene.engine.slot
        ))
        .await
        == 1
}

/// Waits until two processes share the work on a scene: one captures, the other stands by.
async fn two(scene: &Scene, folder: &std::path::Path) -> (Process, Process) {
    let first = Process::start(scene, folder);
    within(LONG, "the first captures", async || capturing(scene).await).await;
    let second = Process::start(scene, folder);
    // it registers before it runs; its connections are the sign that it does
    within(LONG, "the second runs", async || {
        scene
            .number("select count(distinct client_port) from pg_stat_activity where application_name like 'rowtwin%' and datname = current_database()")
            .await
            >= 4
    })
    .await;
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_process_that_is_killed_in_a_create_is_followed_by_another_without_a_second_record() {
    let scene = Scene::start().await;
    scene.settle().await;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = two(&scene, folder.path()).await;
    assert_ne!(first.pid(), second.pid());
    scene.crm().add_fault(fault("slow:3s@createx4"));
    scene.erp().add_fault(fault("slow:3s@createx2"));
    scene
        .run("insert into sales.customer (name, number) select 'Customer ' || i, 'C' || i from generate_series(1, 300) i")
        .await;
    within(LONG, "creates are under way", async || {
        scene.number("select count(*) from rowtwin_private.link where state = 'creating'").await > 0
            && scene.number("select count(*) from rowtwin_private.call").await > 0
    })
    .await;
    // what a killed process holds is free after this long at most
    let held = scene
        .row(
            "select extract(epoch from max(lease_until) - clock_timestamp()) <= 8 as short
             from rowtwin_private.outbox where state = 'sending'",
        )
        .await;
    assert_eq!(held, json!({"short": true}));
    let calls = scene
        .row("select extract(epoch from max(deadline) - clock_timestamp()) <= 8 as short from rowtwin_private.call")
        .await;
    assert_eq!(calls, json!({"short": true}));
    scene
        .run("create table held as select distinct lease from rowtwin_private.outbox where state = 'sending'")
        .await;
    first.kill();
    let killed = Instant::now();
    within(LONG, "nobody is left in the dead one's hands", async || {
        scene
            .number("select count(*) from rowtwin_private.outbox where lease in (select lease from held)")
            .await
            == 0
    })
    .await;
    within(LONG, "the other one captures", async || capturing(&scene).await).await;
    eprintln!("taken over after {} ms", killed.elapsed().as_millis());
    scene.run("update sales.customer set phone = '13800000000' where id = 1").await;
    within(LONG, "everything is sent", async || {
        scene.number("select count(*) from rowtwin_private.outbox").await == 0
            && scene.crm().records(CRM).iter().any(|one| one.get("tel") == Some(&json!("13800000000")))
    })
    .await;
    assert_eq!((scene.crm().count(CRM), scene.erp().count(ERP)), (300, 300), "{}", scene.story().await);
    second.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_a_killed_process_does_not_keep_its_places_within_the_limits() {
    let scene = Scene::start().await;
    scene.settle().await;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = two(&scene, folder.path()).await;
    scene.crm().add_fault(fault("slow:2sx*"));
    scene.run("insert into sales.customer (name, number) select 'N' || i, 'C' || i from generate_series(1, 40) i").await;
    within(LONG, "all places are taken", async || {
        scene.number("select count(*) from rowtwin_private.call where system = 'crm' and deadline > clock_timestamp()").await == 4
    })
    .await;
    first.kill();
    second.kill();
    scene.crm().clear_faults();
    // nobody renews them
    within(LONG, "the places are free", async || {
        scene.number("select count(*) from rowtwin_private.call where system = 'crm' and deadline > clock_timestamp()").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_frozen_process_does_not_keep_the_slot_and_does_no_harm_when_it_wakes_up() {
    // the server by itself would never end a connection that stands: only the other process can
    let cluster = own_cluster(&[("wal_sender_timeout", "0")]);
    execute(&cluster.url("postgres"), "create database mirror").await;
    let scene = Scene::at(cluster.url("mirror"), CUSTOMER, Script::default()).await;
    scene.settle().await;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = two(&scene, folder.path()).await;
    within(LONG, "the first shows that it lives", async || {
        scene.number("select count(*) from rowtwin_private.capturing a join pg_replication_slots s on s.active_pid = a.pid").await == 1
    })
    .await;
    scene.run("create table was as select holder, pid from rowtwin_private.capturing").await;
    first.signal(rustix::process::Signal::STOP);
    let frozen = Instant::now();
    scene.run("insert into sales.customer (name, number) values ('Edited meanwhile', 'C1')").await;
    within(LONG, "the other one captures", async || {
        scene.number("select count(*) from rowtwin_private.capturing a, was where a.holder <> was.holder and a.pid <> was.pid").await == 1
    })
    .await;
    eprintln!("taken over after {} ms", frozen.elapsed().as_millis());
    within(LONG, "the edit has arrived", async || (scene.crm().count(CRM), scene.erp().count(ERP)) == (1, 1))
        .await;
    scene.run("drop table was; create table was as select holder from rowtwin_private.capturing").await;
    first.signal(rustix::process::Signal::CONT);
    scene.run("update sales.customer set phone = '13800000000'").await;
    within(LONG, "the second edit has arrived", async || {
        scene.crm().records(CRM).iter().any(|one| one.get("tel") == Some(&json!("13800000000")))
            && scene.number("select count(*) from rowtwin_private.outbox").await == 0
    })
    .await;
    assert_eq!((scene.crm().count(CRM), scene.erp().count(ERP)), (1, 1), "{}", scene.story().await);
    let same = "select count(*) from rowtwin_private.capture c join was using (holder) where c.lost_reason is null and c.renewals = 0";
    assert_eq!(scene.number(same).await, 1, "who woke up stands by, and the slot is the same");
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_stream_that_was_taken_over_writes_nothing_any_more() {
    let scene = Scene::start().await;
    scene.run("insert into sales.customer (name, number) values ('One', 'C1')").await;
    scene.settle().await;
    let (store, slot, binding) = (&scene.engine.store, scene.engine.slot.as_str(), scene.bound("crm").id);
    let (old, new) = (Uuid::new_v4(), Uuid::new_v4());
    store.take_capture(slot, old).await.unwrap();
    store.take_capture(slot, new).await.unwrap();
    let mark = |key: &str| Mark {
        binding,
        key: key.to_owned(),
        position: 0,
        changed_at: std::time::SystemTime::now(),
        actor: None,
        gone: None,
    };
    // it would move the link of a row that has got the old key since
    let moves = [(binding, "1".to_owned(), "2".to_owned())];
    let refused = store.mark_rows(slot, Some(old), 0, &moves, &[mark("2")], &[]).await;
    assert!(matches!(refused, Err(StoreError::Superseded { .. })), "{refused:?}");
    let refused = store.hold_truncated(slot, Some(old), binding).await;
    assert!(matches!(refused, Err(StoreError::Superseded { .. })), "{refused:?}");
    assert!(!store.capture_alive(slot, old).await.unwrap());
    assert_eq!(scene.number("select count(*) from rowtwin_private.outbox").await, 0);
    let kept =
        format!("select count(*) from rowtwin_private.link where binding_id = {binding} and key = '1'");
    assert_eq!(scene.number(&kept).await, 1);
    store.mark_rows(slot, Some(new), 0, &[], &[mark("1")], &[]).await.unwrap();
    assert_eq!(scene.number("select count(*) from rowtwin_private.outbox").await, 1);
    scene.settle().await;
}
