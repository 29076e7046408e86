//! The gate of a system, shared by all processes through Postgres (R15).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tracing::warn;

use crate::engine::keep::SharedKeep;
use crate::metrics::Metrics;
use crate::model::outcome::{Outcome, OutcomeKind};
use crate::remote::gate::{CallNote, Gate, Pass, Priority};
use crate::remote::keep::Keep;
use crate::remote::lease::LEASE;
use crate::store::Store;
use crate::store::limits::{EndedCall, LOOK_AGAIN, Leave};

/// How long a call is said to be under way; one that was given up on is forgotten by then.
const LONGEST_CALL: Duration = Duration::from_secs(120);
/// How often calls under way are renewed.
const RENEW: Duration = Duration::from_secs(2);
/// How long a call waits at the gate; longer waits are given back, so that leases do not run out.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks Postgres for leave before each call of one system.
pub struct SharedGate {
    pub store: Store,
    pub system: String,
    pub metrics: Metrics,
    /// See `Given::only_looks`.
    pub only_looks: bool,
    pub under_way: UnderWay,
    pub keep: Arc<SharedKeep>,
}

/// The calls of this process that have not ended.
#[derive(Clone, Default)]
pub struct UnderWay(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    /// With when they began.
    began: BTreeMap<i64, Instant>,
    /// Somebody renews them.
    renewed: bool,
}

impl UnderWay {
    /// Notes a call; true when somebody has to begin renewing.
    fn begin(&self, id: i64) -> bool {
        let Ok(mut calls) = self.0.lock() else { return false };
        calls.began.insert(id, Instant::now());
        !std::mem::replace(&mut calls.renewed, true)
    }

    fn end(&self, id: i64) {
        if let Ok(mut calls) = self.0.lock() {
            calls.began.remove(&id);
        }
    }

    /// What is to be renewed. A call whose caller went away without a word is forgotten after a while.
    fn list(&self) -> Vec<i64> {
        let Ok(mut calls) = self.0.lock() else { return Vec::new() };
        calls.began.retain(|_, began| began.elapsed() < LONGEST_CALL);
        calls.renewed = !calls.began.is_empty();
        calls.began.keys().copied().collect()
    }

    /// Renews for as long as there are calls.
    async fn renew(self, store: Store, system: String) {
        loop {
            tokio::time::sleep(RENEW).await;
            let calls = self.list();
            if calls.is_empty() {
                return;
            }
            if let Err(error) = store.renew_calls(&system, &calls, LEASE).await {
                // their places count as free for a while, no more
                warn!(error = %error, system = %system, "calls under way could not be renewed");
            }
        }
    }
}

impl SharedGate {
    async fn wait(&self, operation: &'static str, priority: Priority) -> Result<Pass, Outcome> {
        let began = Instant::now();
        loop {
            let leave = self
                .store
                .take_call(&self.system, operation, priority == Priority::Backfill, LEASE)
                .await
                .map_err(|error| Outcome::Retry { after: None, reason: error.to_string() })?;
            match leave {
                Leave::Granted(id) => {
                    if self.under_way.begin(id) {
                        tokio::spawn(self.under_way.clone().renew(self.store.clone(), self.system.clone()));
                    }
                    return Ok(Pass(id));
                }
                Leave::Wait { reason, ask_again } => {
                    let short = reason == "pace" || reason == "in flight";
                    if short && began.elapsed() + ask_again < PATIENCE {
                        tokio::time::sleep(ask_again).await;
                        continue;
                    }
                    let after = Some(ask_again.min(Duration::from_secs(300)));
                    return Err(match reason.as_str() {
                        // no row waits for longer than the system does: nothing is claimed while it is down
                        "down" => Outcome::Retry {
                            after: Some(ask_again.min(LOOK_AGAIN)),
                            reason: format!("{} is down", self.system),
                        },
                        "budget" => Outcome::Throttled {
                            after,
                            reason: format!("the calls of today for {} are used up", self.system),
                        },
                        "reserve" => Outcome::Throttled {
                            after,
                            reason: format!(
                                "what is left of today's calls for {} is kept for people's edits (limits.reserve)",
                                self.system
                            ),
                        },
                        "held" => Outcome::Throttled {
                            after,
                            reason: format!(
                                "{0} is held (rowtwin.systems says why); mend it, then select rowtwin.resume('{0}')",
                                self.system
                            ),
                        },
                        "paused" => Outcome::Throttled {
                            after,
                            reason: format!("{0} is paused until select rowtwin.resume('{0}')", self.system),
                        },
                        "moved" => Outcome::Throttled {
                            after,
                            reason: "the mirror database was restored or promoted and is looked at first (rowtwin.slot says more)".to_owned(),
                        },
                        _ => Outcome::Throttled { after, reason: format!("{} is {reason}", self.system) },
                    });
                }
            }
        }
    }
}

impl Gate for SharedGate {
    fn enter<'a>(
        &'a self,
        operation: &'static str,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Pass, Outcome>> {
        Box::pin(self.wait(operation, priority))
    }

    fn keep(&self) -> Option<Arc<dyn Keep>> {
        Some(Arc::clone(&self.keep) as Arc<dyn Keep>)
    }

    fn leave<'a>(&'a self, pass: Pass, note: CallNote) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.under_way.end(pass.0);
            let took = Duration::from_millis(note.millis);
            self.metrics.called(&self.system, note.operation, note.outcome, took);
            let write = matches!(note.operation, "create" | "update" | "delete" | "deactivate" | "step");
            if write {
                let records = u64::try_from(note.records).unwrap_or(0);
                self.metrics.written(&self.system, &note.object, note.outcome, records);
            }
            let direction = match (note.operation, note.priority) {
                ("sign_in" | "describe", _) => "other",
                (_, Priority::Edit) => "push",
                _ if write => "push",
                _ => "pull",
            };
            let ended = EndedCall {
                id: pass.0,
                system: self.system.clone(),
                outcome: match note.outcome {
                    // an account that may not see the fields may still read and write them
                    OutcomeKind::Misconfigured if self.only_looks || note.operation == "describe" => "looked",
                    kind => kind.word(),
                },
                write,
                records: if write { note.records } else { 0 },
                millis: note.millis,
                wait: note.retry_after,
                used: note.usage.map(|(used, _)| used),
                reason: note.misconfigured,
                object: note.object,
                direction,
            };
            if let Err(error) = self.store.finish_call(&ended).await {
                // the call's deadline frees its place; only the books lack it
                warn!(error = %error, system = %self.system, "a call could not be booked");
            }
        })
    }
}
