//! A real SOAP server: spyne from the Python package index, started by each test on a free port, gone when it is.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// The server's library, what it needs (`six` and `legacy-cgi` on newer Pythons than it was written for), and a client of
/// others.
const PACKAGES: [&str; 5] =
    ["spyne==2.14.0", "lxml==6.1.3", "zeep==4.3.1", "six==1.17.0", "legacy-cgi==2.6.4"];

fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/python.sh");
    let ran = Command::new(script).arg("soap").args(PACKAGES).output().expect("scripts/python.sh runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    PathBuf::from(String::from_utf8(ran.stdout).unwrap().trim())
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// The in-house system, and the other user, who works in it through its door.
pub struct Warehouse {
    pub base_url: String,
    process: Child,
    person: reqwest::Client,
}

impl Warehouse {
    pub async fn start() -> Self {
        Self::with("http://127.0.0.1", &[], |builder| builder).await
    }

    /// With arguments for the server, and a client that is let in.
    pub async fn with(
        address: &str,
        arguments: &[&Path],
        client: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut command = Command::new(tokio::task::spawn_blocking(python).await.unwrap());
        // the server ends when its input does, also if this process is killed
        command.arg(script("soap_server.py")).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let (process, port) = tokio::task::spawn_blocking(move || {
            let mut process = command.spawn().unwrap();
            let mut port = String::new();
            BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
            (process, port)
        })
        .await
        .unwrap();
        let port: u16 = port.trim().parse().expect("the server tells its port; its errors stand above");
        let person = client(reqwest::Client::builder()).build().unwrap();
        Self { base_url: format!("{address}:{port}"), process, person }
    }

    pub async fn door(&self, name: &str, asked: Value) -> Value {
        let url = format!("{}/door/{name}", self.base_url);
        let answer = self.person.post(url).body(asked.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{name}: {}", answer.status());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    pub async fn records(&self) -> Vec<Value> {
        self.door("records", Value::Null).await.as_array().unwrap().clone()
    }

    /// The customer with this code.
    pub async fn find(&self, code: &str) -> Value {
        let found = self.records().await.into_iter().find(|one| one["code"] == code);
        found.unwrap_or_else(|| panic!("there is no customer {code}"))
    }

    pub async fn insert(&self, records: Value) -> Vec<String> {
        let ids = self.door("insert", records).await;
        ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    pub async fn edit(&self, code: &str, mut changes: Value) {
        changes["id"] = self.find(code).await["id"].clone();
        self.door("edit", changes).await;
    }

    pub async fn remove(&self, code: &str) {
        let id = self.find(code).await["id"].clone();
        self.door("remove", json!({"id": id})).await;
    }

    /// Makes trouble once, for the next call of an operation.
    pub async fn fault(&self, operation: &str, kind: &str, more: Value) {
        let mut fault = json!({"operation": operation, "kind": kind});
        fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.door("fault", fault).await;
    }

    pub async fn no_faults_left(&self) -> bool {
        self.door("faults", Value::Null).await == json!([])
    }

    /// The operations that were called since the last time they were forgotten.
    pub async fn calls(&self) -> Vec<String> {
        let calls = self.door("calls", Value::Null).await;
        calls.as_array().unwrap().iter().map(|call| call.as_str().unwrap().to_owned()).collect()
    }

    /// Runs the client of others; gives what it printed last.
    pub async fn zeep(&self, arguments: &[&Path]) -> String {
        let mut command = Command::new(tokio::task::spawn_blocking(python).await.unwrap());
        command.arg(script("soap_client.py")).arg(&self.base_url).args(arguments);
        let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().lines().last().unwrap_or_default().to_owned()
    }
}

impl Drop for Warehouse {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
