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

fn sender() -> &'static Mutex<mpsc::Sender<Job>> {
    static POOL: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    POOL.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..THREADS {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new().name(format!("expr-{number}")).stack_size(STACK).spawn(
                move || {
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
                },
            );
            if let Err(error) = thread {
                tracing::error!(%error, "a thread for expressions could not be started");
            }
        }
        Mutex::new(sender)
    })
}

fn submit(job: Job) {
    let sender = match sender().lock() {
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
    let (sender, receiver) = oneshot::channel();
    submit(Box::new(move || {
        let _ = sender.send(work());
    }));
    receiver.await.ok()
}

/// Runs `work` on one of these threads and blocks until it is done; `None` when it panicked.
pub fn run_and_wait<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if on_pool_thread() {
        return Some(work());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    submit(Box::new(move || {
        let _ = sender.send(work());
    }));
    receiver.recv().ok()
}
