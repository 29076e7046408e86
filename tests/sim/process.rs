//! A process of ours: an engine, its pool and its spawned tasks, on a runtime of its own. Killing the runtime is the
//! nearest thing to SIGKILL inside one test process: nothing of it runs on, nothing is given back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rowtwin::capture::catch_up::catch_up;
use rowtwin::config;
use rowtwin::deliver::Deliverer;
use rowtwin::engine::Engine;
use rowtwin::engine::assemble::Given;
use rowtwin::engine::run::Unwatched;
use rowtwin::engine::slot::{Alarm, Tended};
use rowtwin::pull::Puller;
use rowtwin::verify::recover::Recoverer;
use rowtwin::verify::verifier::Verifier;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a process is asked to do in one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Capture,
    Upkeep,
    Recover,
    Verify,
    Pull(usize),
    Deliver(usize),
    /// Gives the pull leases back, as a clean stop does.
    Release,
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turned {
    /// So much was done; whether there is more to do at once.
    Did(usize, bool),
    /// The mirror database failed, or something else that the loop around the turn waits out.
    Failed(String),
    /// The turn was stopped in its middle.
    Died,
}

/// What all turns of a process share.
struct Inside {
    engine: Engine,
    pullers: Vec<Puller>,
    recoverers: Mutex<Vec<Recoverer>>,
    verifiers: Mutex<Vec<Verifier>>,
}

pub struct Process {
    runtime: Option<Runtime>,
    inside: Arc<Inside>,
}

impl Process {
    /// Starts a process with this configuration; `first` prepares slot and publication too.
    pub async fn start(url: &str, text: &str, first: bool) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("a-process")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let (url, text) = (url.to_owned(), text.to_owned());
        let made = runtime.spawn(async move { Inside::make(&url, &text, first).await }).await;
        match made.map_err(|error| error.to_string()).and_then(|made| made) {
            Ok(inside) => Ok(Self { runtime: Some(runtime), inside: Arc::new(inside) }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Begins a turn; with `polls` it is stopped when it has been polled that often.
    pub fn begin(&self, work: Work, polls: Option<u32>) -> JoinHandle<Turned> {
        let inside = Arc::clone(&self.inside);
        let turn = async move { inside.turn(work).await };
        let turn = Limited { turn: Box::pin(turn), left: polls };
        self.runtime.as_ref().unwrap().spawn(turn)
    }

    pub fn bindings(&self) -> usize {
        self.inside.engine.bounds.len()
    }

    /// The database's number and the name of a binding.
    pub fn binding(&self, at: usize) -> (i32, &str) {
        let bound = &self.inside.engine.bounds[at];
        (bound.id, &bound.name)
    }

    /// Ends the process at once. Its connections break, and nothing is given back.
    pub fn kill(mut self) {
        end(self.runtime.take());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(self.runtime.take());
    }
}

fn end(runtime: Option<Runtime>) {
    if let Some(runtime) = runtime {
        let ended = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
        ended.join().unwrap();
    }
}

impl Inside {
    async fn make(url: &str, text: &str, first: bool) -> Result<Self, String> {
        let file = config::parse("rowtwin.yaml", text).map_err(|error| format!("{error}\n{text}"))?.0;
        let given = Given { database_url: Some(url.to_owned()), ..Given::default() };
        let mut engine = Engine::assemble(file, &given).await.map_err(|error| error.to_string())?;
        if first {
            let published = engine.store.publish(&engine.publication, &engine.tables).await;
            published.map_err(|error| error.to_string())?;
            engine.prepare_slot().await.map_err(|error| error.to_string())?;
        }
        engine.register().await.map_err(|error| error.to_string())?;
        let pullers = engine
            .bounds
            .iter()
            .map(|bound| Puller {
                store: engine.store.clone(),
                bound: Arc::clone(bound),
                lease: Uuid::new_v4(),
            })
            .collect();
        let recoverers = Mutex::new(engine.recoverers());
        let slot = engine.slot.clone();
        let verifier = |bound: &Arc<_>| Verifier::new(engine.store.clone(), Arc::clone(bound), slot.clone());
        let verifiers = Mutex::new(engine.bounds.iter().map(verifier).collect());
        Ok(Self { engine, pullers, recoverers, verifiers })
    }

    async fn turn(&self, work: Work) -> Turned {
        match self.work(work).await {
            Ok((did, more)) => Turned::Did(did, more),
            Err(error) => Turned::Failed(error),
        }
    }

    async fn work(&self, work: Work) -> Result<(usize, bool), String> {
        let engine = &self.engine;
        let said = |error: &dyn std::fmt::Display| error.to_string();
        match work {
            Work::Capture => {
                match engine.tend_slot(None).await.map_err(|error| said(&error))? {
                    Tended::Ready => {}
                    Tended::Busy => return Err("the slot is busy".to_owned()),
                    Tended::Waits(reason) => return Err(reason),
                }
                let caught =
                    catch_up(&engine.store, &engine.slot, &engine.publication, engine.watched()).await;
                caught.map(|marks| (marks, false)).map_err(|error| said(&error))
            }
            Work::Upkeep => {
                let rescued = engine.store.rescue_outbox().await.map_err(|error| said(&error))?;
                engine.store.release_all_waiting().await.map_err(|error| said(&error))?;
                engine.guard_slot(Alarm::None, &Unwatched).await.map_err(|error| said(&error))?;
                engine.note_place().await.map_err(|error| said(&error))?;
                Ok((usize::try_from(rescued).unwrap_or(0), false))
            }
            Work::Recover => {
                let mut did = 0;
                for recoverer in self.recoverers.lock().await.iter_mut() {
                    // one that waits for another process's lease has done nothing, and time must pass
                    let turned = recoverer.turn().await.map_err(|error| said(&error))?;
                    did += usize::from(turned.rest.is_none());
                }
                Ok((did, false))
            }
            Work::Verify => {
                let mut did = 0;
                for verifier in self.verifiers.lock().await.iter_mut() {
                    let turned = verifier.turn().await.map_err(|error| said(&error))?;
                    did += usize::from(turned.rest.is_none());
                }
                Ok((did, false))
            }
            Work::Pull(at) => {
                let turned = self.pullers[at].turn().await.map_err(|error| said(&error))?;
                Ok((turned.seen, turned.rest.is_none()))
            }
            Work::Deliver(at) => {
                let deliverer = Deliverer {
                    store: engine.store.clone(),
                    bound: Arc::clone(&engine.bounds[at]),
                    stop: CancellationToken::new(),
                };
                let turned = deliverer.turn().await.map_err(|error| said(&error))?;
                Ok((turned.looked, turned.rest.is_none()))
            }
            Work::Release => {
                for puller in &self.pullers {
                    puller.release().await.map_err(|error| said(&error))?;
                }
                Ok((0, false))
            }
        }
    }
}

/// A turn that dies when it has been polled often enough.
struct Limited {
    turn: Pin<Box<dyn Future<Output = Turned> + Send>>,
    left: Option<u32>,
}

impl Future for Limited {
    type Output = Turned;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turned> {
        match &mut self.left {
            Some(0) => return Poll::Ready(Turned::Died),
            Some(left) => *left -= 1,
            None => {}
        }
        self.turn.as_mut().poll(context)
    }
}
