//! The service manager's socket, with a process that has one.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use super::process::{Process, command, folder};
use crate::support::running::own_cluster;
use crate::support::{CUSTOMER, Scene, Script, execute};

struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    /// Reads until a message is heard, and gives those that came before it.
    fn until(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let began = Instant::now();
        self.socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        loop {
            if let Some(place) = self.heard.iter().position(|message| wanted(message)) {
                return self.heard.drain(..=place).collect();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "never heard; but: {:?}", self.heard);
            let mut buffer = [0; 4096];
            if let Ok(length) = self.socket.recv(&mut buffer) {
                self.heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_readiness_signs_of_life_and_the_stop() {
    // a cluster of its own, since it is stopped
    let mut cluster = own_cluster(&[("max_replication_slots", "4")]);
    execute(&cluster.url("postgres"), "create database mirror").await;
    let scene = Scene::at(cluster.url("mirror"), CUSTOMER, Script::default()).await;
    let folder = folder(&scene, "serve: {port: 0}\n");
    let path = folder.path().join("notify");
    let mut manager = Manager { socket: UnixDatagram::bind(&path).unwrap(), heard: Vec::new() };
    let mut run = command(&folder, &scene.url);
    run.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "900000");
    let process = Process::start(run);

    manager.until(|message| message == "READY=1");
    manager.until(|message| message == "STATUS=streaming");
    manager.until(|message| message == "WATCHDOG=1");
    manager.until(|message| message == "WATCHDOG=1");
    assert!(!manager.heard.iter().any(|message| message == "READY=1"), "said twice");

    // no sign of life while the database does not answer: the manager may try another process then
    cluster.stop();
    manager.until(|message| {
        message.starts_with("STATUS=") && message.contains("the mirror database is not reached")
    });
    let address = process.address();
    let health = reqwest::get(format!("http://{address}/health")).await.unwrap();
    assert_eq!(health.status(), 503);
    let metrics = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.lines().any(|line| line == "rowtwin_database_up 0"), "{metrics}");
    let pid = std::thread::spawn(move || process.stop());
    let last = manager.until(|message| message.starts_with("STOPPING=1"));
    assert!(!last.iter().any(|message| message == "WATCHDOG=1"), "{last:?}");
    pid.join().unwrap();
}
