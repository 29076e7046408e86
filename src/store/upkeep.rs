//! The work lists stay small: each entry that comes and goes leaves dead rows behind, and autovacuum looks by only once a
//! minute (`autovacuum_naptime`), which is a hundred megabytes of dead rows on a busy day.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::store::StoreError;

/// Dead rows of a work list that are worth a vacuum: one or two megabytes, a few milliseconds of work.
const WORTH_IT: i64 = 10_000;
/// A vacuum may take this part of the time at most. An old transaction that keeps dead rows makes each vacuum longer, and
/// vain; so they become seldom by themselves.
const SHARE: u32 = 20;

/// When each work list may be vacuumed again.
#[derive(Debug, Default)]
pub struct Rests(HashMap<String, Instant>);

impl Rests {
    fn is_over(&self, list: &str, now: Instant) -> bool {
        self.0.get(list).is_none_or(|until| *until <= now)
    }

    fn begin(&mut self, list: String, now: Instant, took: Duration) {
        self.0.insert(list, now + took.saturating_mul(SHARE));
    }
}

impl super::Store {
    /// Vacuums the work lists that have many dead rows, and says how many lists it vacuumed.
    ///
    /// Only the owner of a table may do that, and from Postgres 17 on who has the right MAINTAIN; for others it is left to
    /// autovacuum. A list that somebody locks or vacuums already is passed over.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn vacuum_work_lists(&self, rests: &mut Rests) -> Result<usize, StoreError> {
        let client = self.client().await?;
        let mut done = 0;
        for row in client.query("select list, dead from rowtwin_private.dead_rows()", &[]).await? {
            let (list, dead): (String, i64) = (row.get(0), row.get(1));
            let began = Instant::now();
            if dead <= WORTH_IT || !rests.is_over(&list, began) {
                continue;
            }
            // the name comes from the function and is quoted there
            client.batch_execute(&format!("vacuum (skip_locked) {list}")).await?;
            rests.begin(list, Instant::now(), began.elapsed());
            done += 1;
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vacuum_that_takes_long_is_seldom() {
        let (mut rests, now) = (Rests::default(), Instant::now());
        assert!(rests.is_over("outbox", now));
        rests.begin("outbox".to_owned(), now, Duration::from_secs(2));
        assert!(!rests.is_over("outbox", now + Duration::from_secs(39)));
        assert!(rests.is_over("outbox", now + Duration::from_secs(40)));
        assert!(rests.is_over("inbox", now));
    }
}
