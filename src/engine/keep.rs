//! The keep of a system, shared by all processes through Postgres.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tracing::warn;
use uuid::Uuid;

use crate::model::outcome::Outcome;
use crate::remote::gate::{CallNote, Gate, OpenGate, Pass, Priority};
use crate::remote::keep::{Keep, Turn};
use crate::remote::lease::{LEASE, Lease};
use crate::store::Store;

/// How long a call waits for another process to sign in, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);
/// How long the only copy of a new secret is tried to be kept while the database does not answer, and how often.
const KEEP_TRYING: Duration = Duration::from_secs(60);
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Keeps the sign-ins of one system in the mirror database.
pub struct SharedKeep {
    pub store: Store,
    pub system: String,
}

impl SharedKeep {
    async fn wait(&self) -> Result<Turn, Outcome> {
        let began = Instant::now();
        let holder = Uuid::new_v4();
        loop {
            let taken = self.store.take_sign_in(&self.system, holder, LEASE).await;
            match taken.map_err(|error| Outcome::Retry { after: None, reason: error.to_string() })? {
                Some(kept) => {
                    return Ok(Turn {
                        holder,
                        generation: kept.generation,
                        sealed: kept.sealed,
                        missing_since: kept.sent_at,
                    });
                }
                None if began.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
                None => {
                    let reason = format!("another process signs in to {} at this moment", self.system);
                    return Err(Outcome::Retry { after: Some(Duration::from_secs(1)), reason });
                }
            }
        }
    }

    async fn work(&self, turn: &Turn, work: BoxFuture<'_, Result<(), Outcome>>) -> Result<(), Outcome> {
        let asked = Instant::now();
        let lost = |reason: String| Outcome::Retry { after: None, reason };
        match self.store.begin_sign_in(&self.system, turn.holder).await {
            Ok(true) => {}
            Ok(false) => return Err(lost("the right to sign in was lost before the request".to_owned())),
            Err(error) => return Err(lost(error.to_string())),
        }
        let (store, system, holder) = (self.store.clone(), self.system.clone(), turn.holder);
        let renew = move || {
            let (store, system) = (store.clone(), system.clone());
            async move { store.renew_sign_in(&system, holder, LEASE).await.unwrap_or(false) }
        };
        Lease::taken(asked).during(renew, work).await
    }

    async fn keep(&self, turn: &Turn, sealed: Vec<u8>) -> Result<(), Outcome> {
        let began = Instant::now();
        loop {
            match self.store.keep_sign_in(&self.system, turn.generation, &sealed).await {
                Ok(true) => return Ok(()),
                // somebody who took over while this process stood still has kept a newer one
                Ok(false) => {
                    let reason = format!("another process has signed in to {} meanwhile", self.system);
                    return Err(Outcome::Retry { after: None, reason });
                }
                Err(error) if began.elapsed() < KEEP_TRYING => {
                    warn!(error = %error, system = %self.system, "a new secret cannot be kept yet; trying again");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                Err(error) => return Err(Outcome::Retry { after: None, reason: error.to_string() }),
            }
        }
    }
}

impl Keep for SharedKeep {
    fn take<'a>(&'a self) -> BoxFuture<'a, Result<Turn, Outcome>> {
        Box::pin(self.wait())
    }

    fn during<'a>(
        &'a self,
        turn: &'a Turn,
        work: BoxFuture<'a, Result<(), Outcome>>,
    ) -> BoxFuture<'a, Result<(), Outcome>> {
        Box::pin(self.work(turn, work))
    }

    fn put<'a>(&'a self, turn: &'a Turn, sealed: Vec<u8>) -> BoxFuture<'a, Result<(), Outcome>> {
        Box::pin(self.keep(turn, sealed))
    }

    fn leave<'a>(&'a self, turn: &'a Turn, answered: bool) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(error) = self.store.leave_sign_in(&self.system, turn.holder, answered).await {
                warn!(error = %error, system = %self.system, "the right to sign in could not be given back; it ends by itself");
            }
        })
    }
}

/// No limits, for a look at a system that is not registered yet; but what it gives at a sign-in is kept.
pub struct LookingGate(pub Arc<SharedKeep>);

impl Gate for LookingGate {
    fn enter<'a>(
        &'a self,
        operation: &'static str,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Pass, Outcome>> {
        OpenGate.enter(operation, priority)
    }

    fn leave<'a>(&'a self, pass: Pass, note: CallNote) -> BoxFuture<'a, ()> {
        OpenGate.leave(pass, note)
    }

    fn keep(&self) -> Option<Arc<dyn Keep>> {
        Some(Arc::clone(&self.0) as Arc<dyn Keep>)
    }
}
