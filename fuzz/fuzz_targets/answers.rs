//! Feeds the built-in connectors with any answer of their systems: each operation ends with an outcome, never with a
//! panic, and a write answers for each of its items.
//!
//! The first byte chooses connector and operation, the second the status. The rest is the bodies, one after the other,
//! cut by zero bytes; the last one is answered again and again. Signing in is answered well, unless that is what is tried.

#![no_main]

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use libfuzzer_sys::fuzz_target;
use rowtwin::connector::{Change, Client, Connector, NewRecord, Removal, SettingValue, Settings};
use rowtwin::model::outcome::BatchAnswer;
use rowtwin::model::record::Record;
use rowtwin::remote::gate::{OpenGate, Priority};
use rowtwin::remote::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use serde_json::{Value, json};

/// More calls than any single operation makes before it gives up on a system that says "more" for ever.
const MOST_CALLS: usize = 30;
const STATUS: [u16; 8] = [200, 201, 204, 400, 401, 404, 429, 503];
const SIGN_IN: [(&str, &str); 3] = [
    ("/oauth2.0/token", r#"{"errorCode":0,"accessToken":"KEY","ea":"acme","expiresIn":7084}"#),
    ("/corpAccessToken/", r#"{"errorCode":0,"corpAccessToken":"TOK","corpId":42,"expiresIn":7200}"#),
    ("common.db.login", r#"{"id":1,"result":[1,"abc",null]}"#),
];

struct Scripted {
    status: u16,
    bodies: Mutex<Vec<Vec<u8>>>,
    calls: Mutex<usize>,
    signing_in: bool,
}

impl Transport for Scripted {
    fn send<'a>(&'a self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, TransportError>> {
        Box::pin(async move {
            let asked = format!("{} {}", request.url, String::from_utf8_lossy(&request.body));
            if let Some((_, body)) = SIGN_IN.iter().find(|(words, _)| !self.signing_in && asked.contains(words)) {
                return Ok(HttpResponse { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() });
            }
            let mut calls = self.calls.lock().expect("no panic before");
            *calls += 1;
            if *calls > MOST_CALLS {
                return Err(TransportError::NotSent { reason: "enough".to_owned() });
            }
            let mut bodies = self.bodies.lock().expect("no panic before");
            let body = if bodies.len() > 1 { bodies.remove(0) } else { bodies.first().cloned().unwrap_or_default() };
            let headers = vec![("retry-after".to_owned(), "3".to_owned())];
            Ok(HttpResponse { status: self.status, headers, body })
        })
    }
}

struct Systems {
    runtime: tokio::runtime::Runtime,
    connectors: Vec<(Arc<Connector>, &'static str, Settings)>,
}

fn systems() -> &'static Systems {
    static SYSTEMS: OnceLock<Systems> = OnceLock::new();
    SYSTEMS.get_or_init(|| {
        let plain = |pairs: Value, secrets: Value| {
            let mut settings = Settings::default();
            for (name, value) in pairs.as_object().into_iter().flatten() {
                settings.0.insert(name.clone(), SettingValue::Plain(value.clone()));
            }
            for (name, value) in secrets.as_object().into_iter().flatten() {
                let value = value.as_str().unwrap_or_default().into();
                settings.0.insert(name.clone(), SettingValue::Secret(value));
            }
            settings
        };
        let load = |name| Arc::new(Connector::load(name, None).expect("it is built in"));
        let base = "http://127.0.0.1:1";
        let connectors = vec![
            (
                load("fxiaoke"),
                "SalesOrderObj",
                plain(json!({"app_id": "A", "user_id": "1000"}), json!({"app_secret": "s", "permanent_code": "p"})),
            ),
            (
                load("kingdee-k3cloud"),
                "SAL_SaleOrder",
                plain(
                    json!({"base_url": base, "account_id": "a", "user": "u", "app_id": "204399_AAAA"}),
                    json!({"app_secret": "0123456789abcdef"}),
                ),
            ),
            (
                load("tryton"),
                "sale.sale",
                plain(json!({"base_url": base, "database": "tm", "user": "admin"}), json!({"password": "p"})),
            ),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Systems { runtime, connectors }
    })
}

fn of_each(answer: &BatchAnswer, items: usize) {
    assert_eq!(answer.outcomes.len(), items, "each item has an answer");
}

fuzz_target!(|input: &[u8]| {
    let [which, status, rest @ ..] = input else { return };
    let systems = systems();
    let (which, operation) = (usize::from(*which) % 3, usize::from(*which) / 3 % 10);
    let Some((connector, object, settings)) = systems.connectors.get(which) else { return };
    let bodies = rest.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    let transport = Scripted {
        status: STATUS.get(usize::from(*status) % STATUS.len()).copied().unwrap_or(200),
        bodies: Mutex::new(bodies),
        calls: Mutex::new(0),
        signing_in: operation == 9,
    };
    let client =
        Client::new("far", Arc::clone(connector), settings.clone(), Arc::new(transport), Arc::new(OpenGate))
            .expect("the settings are complete");
    let record = |value: Value| -> Record { value.as_object().cloned().unwrap_or_default() };
    let ids = ["1".to_owned(), "2".to_owned()];
    let fields = ["name".to_owned(), "FBillNo".to_owned(), "number".to_owned()];
    let removals = ids.clone().map(|id| Removal { id, version: Some("7".to_owned()) });
    let work = async {
        match operation {
            0 => drop(client.list(object, &fields, Some(1_700_000_000_000), None, false, Priority::Backfill).await),
            1 => drop(client.read(object, &fields, &ids, Priority::Edit).await),
            2 => {
                let by = [record(json!({"name": "a"})), record(json!({"name": "b"}))];
                drop(client.find(object, &fields, &by, Priority::Edit).await);
            }
            3 => {
                let fields = record(json!({"name": "a", "FBillNo": "n", "number": 1}));
                let items = [NewRecord { attempt: uuid::Uuid::nil(), fields }];
                of_each(&client.create(object, &items, Priority::Edit).await, items.len());
            }
            4 => {
                let item = |id: &String| Change {
                    id: id.clone(),
                    version: Some("7".to_owned()),
                    changes: record(json!({"name": "b"})),
                    shadow: record(json!({"name": "a"})),
                };
                let items: Vec<Change> = ids.iter().take(1).map(item).collect();
                of_each(&client.update(object, &items, Priority::Edit).await, items.len());
            }
            5 => of_each(&client.delete(object, &removals[..1], false, Priority::Edit).await, 1),
            6 => of_each(&client.delete(object, &removals[..1], true, Priority::Edit).await, 1),
            7 => drop(client.describe(object).await),
            8 => drop(client.list(object, &fields, None, Some(&json!(1)), true, Priority::Backfill).await),
            _ => drop(client.sign_in().await),
        }
    };
    systems.runtime.block_on(async {
        let done = tokio::time::timeout(Duration::from_secs(20), work).await;
        assert!(done.is_ok(), "an answer is understood, or not, in bounded time");
    });
});
