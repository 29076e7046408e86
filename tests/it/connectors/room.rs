//! A room: a scene whose only system is the simulated Jiandaoyun, and the door through which its pushes come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rowtwin::serve::{DoorLimits, Receive, listen};
use rowtwin::simulator::{Door, Kind, Options, Push, Simulator, credentials::jiandaoyun as known};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::{Scene, Script, secret};

/// The form.
pub const FORM: &str = "demo_app/customer";

pub const FIELDS: &str = "{name: _widget_name, number: _widget_code, note: _widget_note, credit: _widget_credit, \
    phone: {field: _widget_phone, push: 'if .phone then {phone: .phone} else null end', pull: '._widget_phone.phone'}}";

pub struct Room {
    pub scene: Scene,
    pub forms: Simulator,
    /// What stands after `tables:`.
    tables: String,
}

impl Room {
    pub async fn start() -> Self {
        Self::with("[_widget_code]", "").await
    }

    /// `more` are more keys of the binding, each with a comma before it.
    pub async fn with(match_fields: &str, more: &str) -> Self {
        let options = Options { calls_per_20s: Some(1_000_000), ..Options::default() };
        let forms = Simulator::start(Kind::Jiandaoyun, options).await.unwrap();
        let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
        let tables = format!(
            "tables:\n  sales.customer:\n    bindings:\n      - {{system: forms, object: {FORM}, match: {match_fields}, id_column: crm_id, poll: 1d, sweep: 1d, doubt_window: 2s{more}, fields: {FIELDS}}}\n"
        );
        let mut room = Self { scene, forms, tables };
        let text = room.text("{}");
        room.scene.reconfigure_with(&text).await;
        room
    }

    /// The configuration, with these keys of the database.
    pub fn text(&self, database: &str) -> String {
        format!(
            "database: {database}\nsystems:\n  forms:\n    connector: jiandaoyun\n    limits: {{per_second: 1000, in_flight: 4}}\n    settings: {{base_url: '{}', api_key: {{file: '{}'}}, webhook_secret: {{file: '{}'}}}}\n{}",
            self.forms.base_url(),
            secret(known::API_KEY),
            secret(known::WEBHOOK_SECRET),
            self.tables
        )
    }

    pub fn door(&self) -> Door {
        self.forms.door()
    }

    pub async fn row(&self, id: &str) -> Value {
        let sql =
            format!("select name, number, phone, credit, note from sales.customer where crm_id = '{id}'");
        self.scene.row(&sql).await
    }
}

/// The address that takes webhooks, until it is dropped.
pub struct Mailbox {
    pub address: SocketAddr,
    pub metrics: rowtwin::metrics::Metrics,
    stop: CancellationToken,
    http: reqwest::Client,
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Mailbox {
    pub async fn open(scene: &Scene) -> Self {
        Self::open_within(scene, Duration::from_secs(60)).await
    }

    pub async fn open_within(scene: &Scene, answer_within: Duration) -> Self {
        let receiver: Arc<dyn Receive> = Arc::new(scene.engine.receiver().unwrap());
        let stop = CancellationToken::new();
        let limits = DoorLimits { body: 1 << 20, answer_within };
        let serving = listen("127.0.0.1:0".parse().unwrap(), limits, receiver, stop.clone()).await.unwrap();
        Self::at(serving.address, scene.engine.metrics.clone(), stop)
    }

    pub fn at(address: SocketAddr, metrics: rowtwin::metrics::Metrics, stop: CancellationToken) -> Self {
        Self { address, metrics, stop, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Sends a push, and gives status and answer.
    pub async fn send(&self, push: &Push) -> (u16, String) {
        self.send_to("forms", push).await
    }

    pub async fn send_to(&self, place: &str, push: &Push) -> (u16, String) {
        let url = format!("http://{}/hooks/{place}?{}", self.address, push.query);
        let mut request = self.http.post(url).body(push.body.clone());
        for (name, value) in &push.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// What is counted under this name and these labels.
    pub fn counted(&self, line: &str) -> u64 {
        let text = self.metrics.encode();
        let found = text.lines().find_map(|have| have.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or(0)
    }
}
