//! The threads that evaluate expressions: few, plain, with large stacks.
//!
//! jq recurses on the native stack, and a deep recursion must meet our bound before it meets the end of the
//! stack; threads of the async runtime are too small for that and must not be blocked.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::oneshot;

/// The stack of each thread, in bytes.
pub const STACK: usize = 32 * 1024 * 1024;

const THREADS: usize = 3;

type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    static ON_POOL: Cell<bool> = const { Cell::new(false) };
}

/// Where jobs are put, each one taken by a thread that is free.
type Queue = Mutex<mpsc::Sender<Job>>;

/// For calls to systems: few, since what they do is large.
fn calls() -> &'static Queue {
    static POOL: OnceLock<Queue> = OnceLock::new();
    POOL.get_or_init(|| threads("expr", THREADS))
}

/// For what must be answered in time: it does not wait behind a large page.
fn hurried() -> &'static Queue {
    static POOL: OnceLock<Queue> = OnceLock::new();
    POOL.get_or_init(|| threads("expr-hurried", 1))
}

fn threads(name: &str, count: usize) -> Queue {
    let (sender, receiver) = mpsc::channel::<Job>();
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 0..count {
        let receiver = Arc::clone(&receiver);
        let work = move || {
            ON_POOL.set(true);
            loop {
                let job = match receiver.lock() {
                    Ok(receiver) => receiver.recv(),
                    Err(poisoned) => poisoned.into_inner().recv(),
                };
                let Ok(job) = job else { return };
                // A panic in one evaluation must not cost the thread; its caller sees the lost answer.
                let _ = std::panic::catch_unwind(AssertUnwindSafe(job));
            }
        };
        let name = format!("{name}-{number}");
        if let Err(error) = std::thread::Builder::new().name(name).stack_size(STACK).spawn(work) {
            tracing::error!(%error, "a thread for expressions could not be started");
        }
    }
    Mutex::new(sender)
}

fn submit(queue: &Queue, job: Job) {
    let sender = match queue.lock() {
        Ok(sender) => sender.clone(),
        Err(poisoned) => poisoned.into_inner().clone(),
    };
    // A failure drops the job and with it the answer's sender, which the caller notices.
    let _ = sender.send(job);
}

/// Whether the caller is already on one of these threads.
pub fn on_pool_thread() -> bool {
    ON_POOL.get()
}

/// Runs `work` on one of these threads and waits for it without blocking; `None` when it panicked.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    run_on(calls(), work).await
}

/// Runs `work` on a thread that calls to systems do not use; `None` when it panicked.
pub async fn run_hurried<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    run_on(hurried(), work).await
}

async fn run_on<T: Send + 'static>(queue: &Queue, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    submit(
        queue,
        Box::new(move || {
            let _ = sender.send(work());
        }),
    );
    receiver.await.ok()
}

/// Runs `work` on one of these threads and blocks until it is done; `None` when it panicked.
pub fn run_and_wait<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if on_pool_thread() {
        return Some(work());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    submit(
        calls(),
        Box::new(move || {
            let _ = sender.send(work());
        }),
    );
    receiver.recv().ok()
}
