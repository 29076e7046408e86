//! Running: a loop around each worker's turn, until a clean stop (R19).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::capture::stream::{ErrorClass, Fault};
use crate::capture::worker::{CaptureError, Capturer};
use crate::deliver::Deliverer;
use crate::engine::comparing::{recover_loop, verify_loop};
use crate::engine::slot::{Alarm, Tended};
use crate::engine::{Engine, EngineError};
use crate::pull::Puller;
use crate::store::error::Class;
use crate::store::upkeep::Rests;

/// How often expired leases are looked for.
const RESCUE_EVERY: Duration = Duration::from_secs(1);
/// How often the journal's partitions are looked after.
const UPKEEP_EVERY: Duration = Duration::from_secs(3600);
/// How often the tables are compared with what the mappings were made for.
const DRIFT_EVERY: Duration = Duration::from_secs(3600);
/// Longest wait between two tries of a worker whose database fails.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A second process looks this often whether the slot is free.
const STAND_BY: Duration = Duration::from_secs(1);
/// A process that captures and gives no sign of life for so long is frozen: two of its signs are missing.
const FROZEN_AFTER: Duration = Duration::from_secs(5);
/// How long the server takes to let go of a slot whose stream was ended.
const LETS_GO: Duration = Duration::from_millis(100);

/// What the engine's loops tell to whoever watches.
pub trait Watch: Send + Sync {
    /// Capture started or stopped streaming.
    fn capture(&self, _streaming: bool) {}
    /// Another process captures.
    fn standing_by(&self) {}
    /// Capture waits for a person.
    fn capture_stopped(&self, _reason: &str) {}
    /// How much WAL the slot retains, by what it may; `reason` says it in words.
    fn slot(&self, _alarm: Alarm, _reason: &str) {}
    /// A turn read this many records.
    fn pulled(&self, _system: &str, _object: &str, _records: usize) {}
}

/// Nobody watches.
pub struct Unwatched;

impl Watch for Unwatched {}

impl Engine {
    /// Runs all workers until `stop`.
    ///
    /// # Errors
    /// Only when capture meets something that a person must change; everything else is waited out (R14).
    pub async fn run(
        self: Arc<Self>,
        stop: CancellationToken,
        watch: Arc<dyn Watch>,
    ) -> Result<(), EngineError> {
        let wake: HashMap<i32, Arc<Notify>> =
            self.bounds.iter().map(|bound| (bound.id, Arc::new(Notify::new()))).collect();
        let mut workers = JoinSet::new();
        // nothing goes to a system before it is known to be the one it was: not one row to another tenant
        let mut confirmed = HashMap::new();
        for (name, client) in &self.clients {
            let token = CancellationToken::new();
            confirmed.insert(name.clone(), token.clone());
            let (name, client, engine, stop) =
                (name.clone(), Arc::clone(client), Arc::clone(&self), stop.clone());
            workers.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = confirm_identity(&engine, &name, &client) => {}
                }
                token.cancel();
            });
        }
        for bound in &self.bounds {
            let known = confirmed.get(&bound.system).cloned().unwrap_or_default();
            let wake = wake.get(&bound.id).cloned().unwrap_or_default();
            if bound.pushes {
                let deliverer =
                    Deliverer { store: self.store.clone(), bound: Arc::clone(bound), stop: stop.clone() };
                workers.spawn(deliver_loop(deliverer, Arc::clone(&wake), stop.clone(), known.clone()));
            }
            let puller =
                Puller { store: self.store.clone(), bound: Arc::clone(bound), lease: Uuid::new_v4() };
            workers.spawn(pull_loop(puller, wake, stop.clone(), known.clone(), Arc::clone(&watch)));
            workers.spawn(verify_loop(Arc::clone(&self), Arc::clone(bound), stop.clone(), known));
        }
        workers.spawn(recover_loop(Arc::clone(&self), stop.clone()));
        workers.spawn(upkeep_loop(Arc::clone(&self), stop.clone(), Arc::clone(&watch)));
        let described = Arc::new(Notify::new());
        workers.spawn(drift_loop(Arc::clone(&self), Arc::clone(&described), stop.clone()));
        let result = tokio::select! {
            result = self.capture_loop(wake, described, &stop, Arc::clone(&watch)) => result,
            () = broken_down(&mut workers) => Err(EngineError::Database(
                "a worker broke down, which is a fault of rowtwin's own; the log shows where, and a restart goes on from here"
                    .to_owned(),
            )),
        };
        if let Err(error) = &result {
            watch.capture_stopped(&error.to_string());
        }
        stop.cancel();
        while workers.join_next().await.is_some() {}
        info!("stopped");
        result
    }

    pub(super) async fn capture_loop(
        &self,
        wake: HashMap<i32, Arc<Notify>>,
        described: Arc<Notify>,
        stop: &CancellationToken,
        watch: Arc<dyn Watch>,
    ) -> Result<(), EngineError> {
        let told = Arc::clone(&watch);
        let capturer = Capturer {
            store: self.store.clone(),
            options: self.options.clone(),
            slot: self.slot.clone(),
            publication: self.publication.clone(),
            watched: self.watched(),
            wake,
            described,
            on_state: Box::new(move |streaming| told.capture(streaming)),
        };
        let mut waits = waits();
        let mut suspicion: Option<String> = None;
        let mut told: Option<String> = None;
        loop {
            let began = tokio::time::Instant::now();
            let suspected = suspicion.take();
            let tended = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                tended = self.tend_slot(suspected.as_deref()) => tended,
            };
            let failure = match tended {
                Ok(Tended::Ready) => match capturer.run(stop).await {
                    Ok(()) => return Ok(()),
                    Err(failure) => EngineError::from(failure),
                },
                Ok(Tended::Busy) => {
                    pause(stop, STAND_BY).await;
                    continue;
                }
                Ok(Tended::Waits(reason)) => {
                    if told.as_ref() != Some(&reason) {
                        error!(%reason, "capture waits for a person");
                        watch.capture_stopped(&reason);
                        told = Some(reason);
                    }
                    // once a person has decided, what was seen of the database before counts no more
                    self.forget_database();
                    pause(stop, STAND_BY).await;
                    continue;
                }
                Err(failure) => failure,
            };
            told = None;
            if began.elapsed() > LONGEST_WAIT {
                waits = self::waits();
            }
            let wait = match &failure {
                EngineError::Capture(CaptureError::Stream(error)) if error.fault() == Fault::SlotInUse => {
                    info!(slot = %self.slot, "another process captures; standing by");
                    watch.standing_by();
                    if self.end_frozen_capture().await { LETS_GO } else { STAND_BY }
                }
                EngineError::Capture(CaptureError::Stream(error)) if error.fault() == Fault::SlotMissing => {
                    STAND_BY
                }
                EngineError::Capture(CaptureError::Stream(error))
                    if error.fault() == Fault::SlotInvalidated =>
                {
                    suspicion = Some(error.to_string());
                    STAND_BY
                }
                EngineError::Capture(CaptureError::Stream(error))
                    if error.class() == ErrorClass::Operator =>
                {
                    error!(error = %error, hint = error.hint(), "capture cannot go on");
                    return Err(failure);
                }
                EngineError::Capture(CaptureError::Mark(_) | CaptureError::Decode(_)) => return Err(failure),
                EngineError::Store(error) if error.class() == Class::Operator => return Err(failure),
                EngineError::Configuration(_) | EngineError::Address(_) | EngineError::Database(_) => {
                    return Err(failure);
                }
                _ => {
                    warn!(error = %failure, "capture was interrupted and starts again");
                    waits.next().unwrap_or(LONGEST_WAIT)
                }
            };
            if pause(stop, wait).await {
                return Ok(());
            }
        }
    }
}

impl Engine {
    /// A frozen process holds the slot as long as its connection stands: for the server's `wal_sender_timeout`, which
    /// may be for ever. True when its stream was ended.
    async fn end_frozen_capture(&self) -> bool {
        match self.store.end_frozen_capture(&self.slot, FROZEN_AFTER).await {
            Ok(true) => {
                warn!(slot = %self.slot, "the process that captures gives no sign of life; its stream was ended, and another one takes over");
                true
            }
            Ok(false) => false,
            Err(failure) => {
                warn!(error = %failure, slot = %self.slot, "the process that captures gives no sign of life, and its stream cannot be ended; let all processes sign in with the same role");
                false
            }
        }
    }
}

/// Waits; true when it is time to stop.
async fn pause(stop: &CancellationToken, wait: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => true,
        () = tokio::time::sleep(wait) => false,
    }
}

/// Returns when a worker panicked: its binding would stand still unseen.
async fn broken_down(workers: &mut JoinSet<()>) {
    while let Some(ended) = workers.join_next().await {
        if ended.is_err_and(|error| error.is_panic()) {
            return;
        }
    }
    std::future::pending().await
}

fn waits() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(LONGEST_WAIT)
        .without_max_times()
        .build()
}

async fn deliver_loop(
    deliverer: Deliverer,
    wake: Arc<Notify>,
    stop: CancellationToken,
    known: CancellationToken,
) {
    known.cancelled().await;
    let mut waits = waits();
    while !stop.is_cancelled() {
        let rest = match deliverer.turn().await {
            Ok(turned) => {
                waits = self::waits();
                match turned.rest {
                    Some(rest) => rest,
                    None => continue,
                }
            }
            Err(failure) => {
                warn!(error = %failure, binding = %deliverer.bound.name, "a delivery turn failed");
                waits.next().unwrap_or(LONGEST_WAIT)
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.notified() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

async fn pull_loop(
    puller: Puller,
    wake: Arc<Notify>,
    stop: CancellationToken,
    known: CancellationToken,
    watch: Arc<dyn Watch>,
) {
    known.cancelled().await;
    let mut waits = waits();
    while !stop.is_cancelled() {
        let rest = match puller.turn().await {
            Ok(turned) => {
                waits = self::waits();
                if turned.seen > 0 {
                    watch.pulled(&puller.bound.system, &puller.bound.object, turned.seen);
                    wake.notify_one();
                }
                match turned.rest {
                    Some(rest) => rest,
                    None => continue,
                }
            }
            Err(failure) => {
                warn!(error = %failure, binding = %puller.bound.name, "a pull turn failed");
                waits.next().unwrap_or(LONGEST_WAIT)
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = puller.bound.heard.notified() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
    if let Err(failure) = puller.release().await {
        warn!(error = %failure, "the pull lease could not be given back; it runs out by itself");
    }
}

async fn upkeep_loop(engine: Arc<Engine>, stop: CancellationToken, watch: Arc<dyn Watch>) {
    let mut alarm = Alarm::None;
    let mut rests = Rests::default();
    let mut upkeep_due = tokio::time::Instant::now() + UPKEEP_EVERY;
    while !stop.is_cancelled() {
        if let Err(failure) = engine.store.rescue_outbox().await {
            warn!(error = %failure, "expired leases could not be looked for");
        }
        if let Err(failure) = engine.store.release_all_waiting().await {
            warn!(error = %failure, "rows that wait for others could not be looked at");
        }
        if let Err(failure) = engine.store.vacuum_work_lists(&mut rests).await {
            warn!(error = %failure, "the work lists could not be vacuumed; autovacuum does it later");
        }
        match engine.guard_slot(alarm, watch.as_ref()).await {
            Ok(found) => alarm = found,
            Err(failure) => warn!(error = %failure, "the slot could not be looked at"),
        }
        if let Err(failure) = engine.note_place().await {
            warn!(error = %failure, "the database could not be looked at");
        }
        if tokio::time::Instant::now() >= upkeep_due {
            if let Err(failure) = engine.keep_journal().await {
                warn!(error = %failure, "the journal could not be looked after");
            }
            upkeep_due += UPKEEP_EVERY;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(RESCUE_EVERY) => {}
        }
    }
}

/// Compares the tables with what the mappings were made for: at the start, when the stream describes a table, and
/// every hour. What fails for it meanwhile is found by the turn that fails.
async fn drift_loop(engine: Arc<Engine>, described: Arc<Notify>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let mut rest = DRIFT_EVERY;
        for bound in &engine.bounds {
            if let Err(failure) = bound.hold_if_drifted(&engine.store).await {
                warn!(error = %failure, binding = %bound.name, "the table could not be looked at");
                rest = LONGEST_WAIT;
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = described.notified() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// Another tenant behind the same address must not receive our rows.
async fn confirm_identity(engine: &Engine, name: &str, client: &crate::connector::Client) {
    let mut waits = waits();
    loop {
        match client.sign_in().await {
            Ok(Some(identity)) => match engine.store.confirm_identity(name, &identity).await {
                Ok(true) => return,
                Ok(false) => {
                    error!(system = %name, "the system is held: it signed in to another account than before");
                    return;
                }
                Err(failure) => warn!(error = %failure, "the account could not be confirmed yet"),
            },
            Ok(None) => return,
            Err(outcome) => warn!(system = %name, reason = outcome.reason(), "signing in failed"),
        }
        tokio::time::sleep(waits.next().unwrap_or(LONGEST_WAIT)).await;
    }
}
