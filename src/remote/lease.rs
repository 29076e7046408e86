//! Leases: short, and renewed while their holder lives and the database answers.
//!
//! A process that was killed loses what it held within [`LEASE`], so that another one goes on soon. A process that was
//! paused finds its lease over and sends nothing: every request looks at the lease of the turn that it belongs to, at
//! the last moment before it goes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

/// How long a lease holds without a sign of life of its holder.
pub const LEASE: Duration = Duration::from_secs(8);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(2);
/// How often a holder that waits for an answer looks whether it still holds.
const LOOK: Duration = Duration::from_millis(250);

tokio::task_local! {
    static CURRENT: Lease;
}

/// A lease as its holder sees it: by its own clock, counted from before the database was asked.
#[derive(Debug, Clone)]
pub struct Lease {
    origin: Instant,
    /// Milliseconds after `origin` until which it surely holds.
    until: Arc<AtomicU64>,
}

impl Lease {
    /// A lease that was taken after `asked`.
    pub fn taken(asked: Instant) -> Self {
        let lease = Self { origin: asked, until: Arc::new(AtomicU64::new(0)) };
        lease.renewed(asked);
        lease
    }

    /// It was renewed by a statement that was sent after `asked`.
    pub fn renewed(&self, asked: Instant) {
        let until = asked.saturating_duration_since(self.origin) + LEASE;
        self.until.fetch_max(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Whether it surely still holds.
    pub fn holds(&self) -> bool {
        let now = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        now < self.until.load(Ordering::SeqCst)
    }

    /// Ends when it no longer holds.
    pub async fn lost(&self) {
        while self.holds() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Does a turn's work under this lease, renewing it again and again. `renew` says whether the lease was still ours.
    pub async fn during<T, F>(
        self,
        renew: impl Fn() -> F + Send + 'static,
        work: impl Future<Output = T>,
    ) -> T
    where
        F: Future<Output = bool> + Send,
    {
        let renewed = self.clone();
        let keeper = Keeper(tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW).await;
                let asked = Instant::now();
                if renew().await {
                    renewed.renewed(asked);
                }
            }
        }));
        let done = CURRENT.scope(self, work).await;
        drop(keeper);
        done
    }
}

/// Stops the renewing when the turn ends, however it ends.
struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether the turn that this code runs in still holds its lease; true where there is none to hold.
pub fn holds() -> bool {
    CURRENT.try_with(Lease::holds).unwrap_or(true)
}

/// Ends when the turn that this code runs in has lost its lease; never where there is none to lose.
pub async fn lost() {
    match CURRENT.try_with(Clone::clone) {
        Ok(lease) => lease.lost().await,
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_from_when_it_was_asked_for_and_no_longer() {
        let long_ago = Instant::now()
            .checked_sub(LEASE + Duration::from_millis(1))
            .expect("the machine runs for longer");
        let lease = Lease::taken(long_ago);
        assert!(!lease.holds());
        lease.renewed(Instant::now());
        assert!(lease.holds());
    }

    #[tokio::test]
    async fn code_outside_a_turn_has_nothing_to_lose_and_code_within_sees_its_lease() {
        assert!(holds());
        let long_ago = Instant::now().checked_sub(LEASE * 2).expect("the machine runs for longer");
        let seen = Lease::taken(long_ago).during(|| async { false }, async { holds() }).await;
        assert!(!seen);
    }
}
