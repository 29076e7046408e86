//! Receiving webhooks: the client judges one, its ids go into the inbox in one statement, and who reads them is woken.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tracing::warn;

use crate::bound::Bound;
use crate::config::WebhooksFile;
use crate::config::duration::{parse_duration, parse_size};
use crate::connector::{Client, Webhook};
use crate::engine::pool::pool_of;
use crate::engine::{Engine, EngineError};
use crate::metrics::Metrics;
use crate::serve::{DoorLimits, Receive, Reply};
use crate::store::Store;

/// Connections of their own: webhooks must not wait for the engine's work.
const CONNECTIONS: usize = 4;
/// The largest body, in bytes.
const BODY: usize = 1 << 20;
const ANSWER_WITHIN: Duration = Duration::from_millis(50);

/// Takes the webhooks of all systems.
pub struct Receiver {
    store: Store,
    metrics: Metrics,
    systems: BTreeMap<String, Arc<Client>>,
    bounds: Vec<Arc<Bound>>,
    options: WebhooksFile,
}

impl Engine {
    /// What takes webhooks for this configuration; its bindings must be registered.
    ///
    /// # Errors
    /// When the pool cannot be made.
    pub fn receiver(&self) -> Result<Receiver, EngineError> {
        Ok(Receiver {
            store: pool_of(&self.options, CONNECTIONS)?,
            metrics: self.metrics.clone(),
            systems: self.clients.iter().map(|(name, client)| (name.clone(), Arc::clone(client))).collect(),
            bounds: self.bounds.clone(),
            options: self.file.serve.webhooks.clone().unwrap_or_default(),
        })
    }
}

impl Receiver {
    /// Where to listen; it was checked when the file was read.
    ///
    /// # Errors
    /// When the configuration says nothing, or no address.
    pub fn address(&self) -> Result<SocketAddr, EngineError> {
        let wrong = |_| EngineError::Configuration(vec!["serve.webhooks.listen: no address".to_owned()]);
        self.options.listen.parse().map_err(wrong)
    }

    /// What the configuration allows.
    pub fn limits(&self) -> DoorLimits {
        let (body, within) = (self.options.body_limit.as_deref(), self.options.answer_within.as_deref());
        DoorLimits {
            body: body
                .and_then(|text| parse_size(text).ok())
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(BODY),
            answer_within: within.and_then(|text| parse_duration(text).ok()).unwrap_or(ANSWER_WITHIN),
        }
    }

    /// Each system, and whether its webhooks can be taken.
    pub fn systems(&self) -> Vec<(&str, bool)> {
        self.systems.iter().map(|(name, client)| (name.as_str(), client.can_hear())).collect()
    }

    /// The records that are named, by the binding that wants them. What nobody pulls is left out.
    fn wanted<'a>(&'a self, system: &str, records: &'a [(String, String)]) -> Vec<(&'a Arc<Bound>, &'a str)> {
        let of_system: Vec<&Arc<Bound>> =
            self.bounds.iter().filter(|bound| bound.pulls && bound.system == system).collect();
        let mut wanted = Vec::new();
        for (object, id) in records {
            wanted.extend(
                of_system.iter().filter(|bound| bound.object == *object).map(|bound| (*bound, id.as_str())),
            );
        }
        wanted
    }

    async fn judge(&self, system: &str, mut webhook: Webhook) -> (Reply, &'static str) {
        let Some((name, client)) = self.systems.get_key_value(system) else {
            return (Reply::new(404, "there is no such system\n"), "no_such_system");
        };
        if let Some(public) = &self.options.public_url {
            webhook.url = format!("{}{}", public.trim_end_matches('/'), webhook.url);
        }
        let told = match client.hear(webhook, Timestamp::now().as_millisecond()).await {
            Ok(told) => told,
            Err(refusal) => {
                warn!(system = %name, reason = %refusal, "a webhook was refused");
                // whoever sends it learns no more than that
                let words = match refusal.status() {
                    401 => "the signature is missing, wrong or old\n",
                    404 => "webhooks of this system are not taken\n",
                    413 => "it names too many records\n",
                    _ => "it cannot be understood\n",
                };
                return (Reply::new(refusal.status(), words), refusal.word());
            }
        };
        let wanted = self.wanted(name, &told.records);
        let known: usize = told
            .records
            .iter()
            .filter(|(object, id)| wanted.iter().any(|(bound, other)| bound.object == *object && other == id))
            .count();
        if !wanted.is_empty() {
            let bindings: Vec<i32> = wanted.iter().map(|(bound, _)| bound.id).collect();
            let ids: Vec<String> = wanted.iter().map(|(_, id)| (*id).to_owned()).collect();
            if let Err(error) = self.store.note_webhook(&bindings, &ids).await {
                warn!(system = %name, %error, "a webhook could not be put away; it is asked for again");
                return (Reply::again(), "database");
            }
            for (bound, _) in &wanted {
                bound.heard.notify_one();
            }
        }
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.metrics.webhook_records(name, count(known), count(told.records.len().saturating_sub(known)));
        (Reply::new(200, told.answer), "taken")
    }
}

impl Receive for Receiver {
    fn receive(self: Arc<Self>, system: String, webhook: Webhook) -> BoxFuture<'static, Reply> {
        Box::pin(async move {
            let (reply, outcome) = self.judge(&system, webhook).await;
            self.count(&system, outcome);
            reply
        })
    }

    fn prepare(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.store.clock().await {
                warn!(%error, "the database cannot be reached yet; webhooks are asked for again until it can");
            }
        })
    }

    fn turned_away(&self, system: &str, why: &'static str) {
        self.count(system, why);
    }
}

impl Receiver {
    fn count(&self, system: &str, outcome: &'static str) {
        let known = self.systems.contains_key(system);
        self.metrics.webhook(if known { system } else { "" }, outcome);
    }
}
