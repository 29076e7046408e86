//! Cases of webhooks: what is sent, and what is taken of it or why it is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::Value;

use super::{Cases, STILL_UUID, Script};
use crate::connector::call::{Caller, Still};
use crate::connector::client::Client;
use crate::connector::compiled::Connector;
use crate::connector::request::as_text;
use crate::connector::webhook::Webhook;
use crate::remote::gate::OpenGate;
use crate::remote::transport::Transport;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookCase {
    pub(super) name: String,
    #[serde(default = "post")]
    method: String,
    /// The whole address: `https://…/hooks/SYSTEM/REST?QUERY`.
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body as it is sent.
    #[serde(default)]
    text: String,
    /// The time when it comes; that of the file when left out.
    #[serde(default)]
    now_ms: Option<i64>,
    /// Laid over the file's settings.
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// `{object, id}` of each record that is named.
    #[serde(default)]
    records: Option<Vec<Named>>,
    /// The text of the answer.
    #[serde(default)]
    answer: Option<String>,
    /// The word of the refusal: `signature`, `stale`, `encryption`, `malformed`, `too_large`, `not_configured`.
    #[serde(default)]
    refused: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    object: String,
    id: Value,
}

fn post() -> String {
    "POST".to_owned()
}

pub(super) async fn run_case(
    connector: &Arc<Connector>,
    cases: &Cases,
    case: &WebhookCase,
) -> Result<(), String> {
    let script = Script { answers: Mutex::default(), asked: Mutex::default() };
    let transport: Arc<dyn Transport> = Arc::new(script);
    let settings = cases.account(&case.settings);
    let caller = Caller::new("case", Arc::clone(connector), &settings, transport, Arc::new(OpenGate));
    let mut caller = caller.map_err(|error| error.to_string())?;
    let now_ms = case.now_ms.unwrap_or(cases.now_ms);
    caller.still = Some(Still { now_ms, uuid: STILL_UUID });
    let client = Client::of_caller(caller);
    let (address, query) = case.url.split_once('?').unwrap_or((case.url.as_str(), ""));
    let place = address.split_once("/hooks/").map_or("", |(_, place)| place);
    let webhook = Webhook {
        method: case.method.clone(),
        url: case.url.clone(),
        rest: place.split_once('/').map_or("", |(_, rest)| rest).to_owned(),
        query: query.to_owned(),
        headers: case.headers.clone().into_iter().collect(),
        body: case.text.clone().into_bytes(),
    };
    let heard = client.hear(webhook, now_ms).await;
    let (told, expect) = match (heard, &case.expect) {
        (Err(refusal), Expected { refused: Some(word), .. }) if word == refusal.word() => return Ok(()),
        (Err(refusal), _) => return Err(format!("refused ({}): {refusal}", refusal.word())),
        (Ok(_), Expected { refused: Some(word), .. }) => {
            return Err(format!("expected to be refused ({word}), and it was taken"));
        }
        (Ok(told), expect) => (told, expect),
    };
    if let Some(records) = &expect.records {
        let wanted: Vec<(String, String)> =
            records.iter().map(|one| (one.object.clone(), as_text(&one.id))).collect();
        if wanted != told.records {
            return Err(format!("records: expected {wanted:?}, found {:?}", told.records));
        }
    }
    match &expect.answer {
        Some(answer) if *answer != told.answer => {
            Err(format!("answer: expected {answer}, found {}", told.answer))
        }
        _ => Ok(()),
    }
}
