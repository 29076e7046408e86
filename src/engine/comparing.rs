//! Comparing: the loops around recoveries and verifications.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::bound::Bound;
use crate::engine::run::Unwatched;
use crate::engine::{Engine, EngineError};
use crate::store::StoreError;
use crate::store::error::Class;
use crate::verify::recover::Recoverer;
use crate::verify::verifier::Verifier;

/// How often it is looked whether a scheduled verification is due.
const DUE_AGAIN: Duration = Duration::from_secs(30);
/// How long after a failed turn the next one comes.
const FAILED: Duration = Duration::from_secs(2);

/// Compares rows with shadows whenever the slot was made anew. No remote is asked, so one after the other will do.
pub(super) async fn recover_loop(engine: Arc<Engine>, stop: CancellationToken) {
    let mut recoverers = engine.recoverers();
    while !stop.is_cancelled() {
        let mut rest: Option<Duration> = None;
        for recoverer in &mut recoverers {
            let next = match recoverer.turn().await {
                Ok(turned) => turned.rest.unwrap_or(Duration::ZERO),
                Err(failure) => {
                    warn!(error = %failure, "a comparison after a lost slot failed and goes on");
                    FAILED
                }
            };
            rest = Some(rest.map_or(next, |rest| rest.min(next)));
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(rest.unwrap_or(FAILED)) => {}
        }
    }
    for recoverer in &recoverers {
        if let Err(failure) = recoverer.release().await {
            warn!(error = %failure, "a comparison's lease could not be given back; it runs out by itself");
        }
    }
}

/// Verifies one binding when its schedule, or a person, asks for it.
pub(super) async fn verify_loop(
    engine: Arc<Engine>,
    bound: Arc<Bound>,
    stop: CancellationToken,
    known: CancellationToken,
) {
    known.cancelled().await;
    let mut verifier = Verifier::new(engine.store.clone(), Arc::clone(&bound), engine.slot.clone());
    let mut due = tokio::time::Instant::now();
    while !stop.is_cancelled() {
        if let Some(every) = bound.verify_every
            && tokio::time::Instant::now() >= due
        {
            due += DUE_AGAIN.min(every);
            if let Err(failure) = engine.store.order_due_verification(bound.id, every).await {
                warn!(error = %failure, binding = %bound.name, "a scheduled verification could not be ordered");
            }
        }
        let rest = match verifier.turn().await {
            Ok(turned) => turned.rest,
            Err(failure) => {
                warn!(error = %failure, binding = %bound.name, "a verification turn failed");
                Some(FAILED)
            }
        };
        if let Some(rest) = rest {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }
    if let Err(failure) = verifier.release().await {
        warn!(error = %failure, "a verification's lease could not be given back; it runs out by itself");
    }
}

impl Engine {
    /// Those that compare rows with shadows, one for each binding that pushes.
    pub fn recoverers(&self) -> Vec<Recoverer> {
        self.bounds
            .iter()
            .filter(|bound| bound.pushes)
            .map(|bound| Recoverer::new(self.store.clone(), Arc::clone(bound), self.slot.clone()))
            .collect()
    }

    /// Whether a comparison after a lost slot is under way.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn recovering(&self) -> Result<bool, StoreError> {
        let row = self
            .store
            .client()
            .await?
            .query_one("select exists (select 1 from rowtwin.recovery where finished_at is null)", &[])
            .await?;
        Ok(row.get(0))
    }
}

impl Engine {
    /// Does `work` while this process, or another one, captures: comparisons wait for capture to come past what they
    /// have seen.
    ///
    /// # Errors
    /// When the work fails, or capture meets something that a person must change.
    pub async fn while_capturing<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
        stop: &CancellationToken,
    ) -> Result<T, EngineError> {
        let own = stop.child_token();
        let capture = self.capture_loop(HashMap::new(), Arc::new(Notify::new()), &own, Arc::new(Unwatched));
        tokio::pin!(capture, work);
        let ended = tokio::select! {
            ended = &mut work => ended,
            captured = &mut capture => {
                captured?;
                return Ok(work.await?);
            }
        };
        own.cancel();
        capture.await?;
        Ok(ended?)
    }

    /// Compares rows with shadows as long as it is polled; returns only what makes that impossible.
    pub async fn recover_until_cancelled(&self) -> StoreError {
        let mut recoverers = self.recoverers();
        loop {
            let mut rest = FAILED;
            for recoverer in &mut recoverers {
                match recoverer.turn().await {
                    Ok(turned) => rest = rest.min(turned.rest.unwrap_or(Duration::ZERO)),
                    Err(failure) if failure.class() == Class::Transient => {}
                    Err(failure) => return failure,
                }
            }
            tokio::time::sleep(rest).await;
        }
    }

    /// Verifies these bindings as long as it is polled; returns only what makes that impossible.
    pub async fn verify_until_cancelled(&self, bounds: &[Arc<Bound>]) -> StoreError {
        let mut verifiers: Vec<Verifier> = bounds
            .iter()
            .map(|bound| Verifier::new(self.store.clone(), Arc::clone(bound), self.slot.clone()))
            .collect();
        loop {
            let mut rest = FAILED;
            for verifier in &mut verifiers {
                match verifier.turn().await {
                    Ok(turned) => rest = rest.min(turned.rest.unwrap_or(Duration::ZERO)),
                    Err(failure) if failure.class() == Class::Transient => {}
                    Err(failure) => return failure,
                }
            }
            tokio::time::sleep(rest).await;
        }
    }
}
