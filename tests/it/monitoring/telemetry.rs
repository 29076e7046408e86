//! OpenTelemetry: what a running process sends is decoded by OpenTelemetry's own Python definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rowtwin::simulator::credentials;
use serde_json::Value;

use super::process::{Process, command, folder};
use crate::support::running::until;
use crate::support::{CRM, Scene};

/// A foreign collector.
struct Collector {
    child: Child,
    port: u16,
    /// What arrived, a text a request.
    arrived: Arc<Mutex<Vec<String>>>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/python.sh");
    let found = Command::new(script).args(["opentelemetry", "opentelemetry-proto==1.45.2"]).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
}

impl Collector {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/otlp_collector.py");
        let mut child = Command::new(python()).arg(script).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.next().expect("the collector listens").parse().unwrap();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&arrived);
        std::thread::spawn(move || lines.for_each(|line| kept.lock().unwrap().push(line)));
        Self { child, port, arrived }
    }

    fn text(&self) -> String {
        self.arrived.lock().unwrap().join("\n")
    }

    /// The requests to one address.
    fn requests(&self, path: &str) -> Vec<Value> {
        let lines = self.arrived.lock().unwrap().clone();
        let all = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|one| one["path"] == path).collect()
    }

    /// The newest metrics, by name.
    fn metrics(&self) -> BTreeMap<String, Value> {
        let Some(last) = self.requests("/v1/metrics").pop() else { return BTreeMap::new() };
        let metrics = last["message"]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].clone();
        let metrics = metrics.as_array().cloned().unwrap_or_default();
        metrics.into_iter().map(|one| (one["name"].as_str().unwrap().to_owned(), one)).collect()
    }

    fn spans(&self) -> Vec<Value> {
        let requests = self.requests("/v1/traces");
        let scopes = requests.iter().flat_map(|one| one["message"]["resourceSpans"].as_array().unwrap());
        let scopes = scopes.flat_map(|one| one["scopeSpans"].as_array().unwrap());
        scopes.flat_map(|one| one["spans"].as_array().unwrap().clone()).collect()
    }
}

/// An attribute of a span or a point.
fn said(of: &Value, name: &str) -> Option<String> {
    let attributes = of["attributes"].as_array()?;
    let found = attributes.iter().find(|one| one["key"] == name)?;
    found["value"]["stringValue"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_collector_gets_the_numbers_of_the_metrics_page_and_the_spans_of_calls() {
    let scene = Scene::start().await;
    scene.settle().await;
    let collector = Collector::start();
    let folder = folder(&scene, "serve: {port: 0}\n");
    let mut run = command(&folder, &scene.url);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", collector.port))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collectors-own")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "300")
        .env("OTEL_BSP_SCHEDULE_DELAY", "200");
    let process = Process::start(run);
    let address = process.address();
    scene
        .run("insert into sales.customer (name, number, phone, address) values ('Wang Xiaoming', 'NR-4711', '13912345678', 'Nanjing Road 1')")
        .await;
    until("the row is sent", async || scene.crm().count(CRM) == 1).await;
    let creates = |spans: &[Value]| {
        let mut creates = spans.iter().filter(|one| said(one, "operation").as_deref() == Some("create"));
        creates.any(|one| said(one, "system").as_deref() == Some("crm")).then_some(())
    };
    until("its span arrives", async || creates(&collector.spans()).is_some()).await;
    let parents = async || {
        let spans = collector.spans();
        let create = spans.iter().find(|one| said(one, "operation").as_deref() == Some("create")).cloned();
        let parent = create.map(|one| one["parentSpanId"].clone())?;
        spans.iter().find(|one| one["spanId"] == parent).cloned()
    };
    until("the turn that it belongs to arrives", async || parents().await.is_some()).await;
    let turn = parents().await.unwrap();
    assert_eq!(turn["name"], "deliver");
    assert!(said(&turn, "binding").unwrap().starts_with("sales.customer - "), "{turn}");
    let called: BTreeSet<String> =
        collector.spans().iter().filter_map(|one| one["parentSpanId"].as_str().map(str::to_owned)).collect();
    for span in collector.spans().iter().filter(|one| said(one, "binding").is_some()) {
        let id = span["spanId"].as_str().unwrap();
        assert!(called.contains(id), "a turn that called nobody is not told: {span}");
    }
    for span in collector.spans() {
        let events = span["events"].as_array().map_or(0, Vec::len);
        assert_eq!(events, 0, "events stay in the log: {span}");
    }

    // the same names and labels as on the page, at some moment
    let page =
        async || reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    let told = |page: &str| -> BTreeSet<String> {
        page.lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .map(str::to_owned)
            .collect()
    };
    until("all numbers arrive", async || {
        let sent: BTreeSet<String> = collector.metrics().into_keys().collect();
        !sent.is_empty() && sent == told(&page().await)
    })
    .await;
    let outbox = |metrics: &BTreeMap<String, Value>| -> BTreeSet<String> {
        let points = metrics["rowtwin_outbox_waiting"]["gauge"]["dataPoints"].as_array().cloned();
        points.unwrap_or_default().iter().filter_map(|one| said(one, "binding")).collect()
    };
    until("both bindings are told", async || outbox(&collector.metrics()).len() == 2).await;
    let calls = &collector.metrics()["rowtwin_calls"]["sum"];
    assert_eq!(
        (calls["isMonotonic"].as_bool(), calls["aggregationTemporality"].as_str()),
        (Some(true), Some("AGGREGATION_TEMPORALITY_CUMULATIVE"))
    );
    let seconds = &collector.metrics()["rowtwin_call_seconds"]["histogram"]["dataPoints"][0];
    let (buckets, bounds) =
        (seconds["bucketCounts"].as_array().unwrap(), seconds["explicitBounds"].as_array().unwrap());
    assert_eq!(buckets.len(), bounds.len() + 1);

    let before = collector.requests("/v1/metrics").len();
    assert_eq!(process.stop(), Some(0));
    until("the last numbers arrive at a stop", async || collector.requests("/v1/metrics").len() > before)
        .await;
    let first = &collector.requests("/v1/traces")[0];
    assert_eq!(first["authorization"], "Bearer collectors-own");
    assert_eq!(first["type"], "application/x-protobuf");
    let sender = &first["message"]["resourceSpans"][0]["resource"];
    assert_eq!(said(sender, "service.name").as_deref(), Some("rowtwin"));
    assert_eq!(said(sender, "deployment.environment").as_deref(), Some("test"));

    let all = collector.text();
    use credentials::{fxiaoke as f, kingdee as k};
    let values = ["Wang", "NR-4711", "13912345678", "Nanjing"];
    for secret in values.into_iter().chain([f::APP_SECRET, f::PERMANENT_CODE, k::APP_SECRET]) {
        assert!(!all.contains(secret), "{secret} left the process");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_or_set_wrongly_keeps_nothing_from_running() {
    let scene = Scene::start().await;
    scene.settle().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (number, (protocol, wanted)) in
        [("http/protobuf", "the collector is not reached"), ("grpc", "speaks http/protobuf only")]
            .into_iter()
            .enumerate()
    {
        let folder = folder(&scene, "");
        let mut run = command(&folder, &scene.url);
        run.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{nobody}"))
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=pst-secret")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "100")
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        let process = Process::start(run);
        scene.run(&format!("insert into sales.customer (name, number) values ('One', 'C{number}')")).await;
        until("the row is sent", async || scene.crm().count(CRM) == number + 1).await;
        until("it is told", async || process.has_said(wanted)).await;
        assert!(!process.has_said("pst-secret"));
        assert_eq!(process.stop(), Some(0));
    }
}
