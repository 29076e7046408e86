//! The work lists stay small: each entry that comes and goes leaves dead rows behind, and autovacuum looks by only once a
//! minute (`autovacuum_naptime`), which is a hundred megabytes of dead rows on a busy day.

use std::collections::HashMap;

use crate::store::StoreError;

/// Dead rows of a work list that are worth a vacuum: one or two megabytes, a few milliseconds of work.
const WORTH_IT: i64 = 10_000;

/// How many dead rows the last vacuum of each work list had to leave, since some transaction could still see them.
#[derive(Debug, Default)]
pub struct Left(HashMap<String, i64>);

impl Left {
    /// Whether so many dead rows are worth another vacuum. What an old transaction keeps is not tried for again and
    /// again: each time, three times as much must have gathered.
    fn is_worth_it(&self, list: &str, dead: i64) -> bool {
        dead > WORTH_IT.saturating_add(self.0.get(list).copied().unwrap_or(0).saturating_mul(2))
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
    pub async fn vacuum_work_lists(&self, left: &mut Left) -> Result<usize, StoreError> {
        let client = self.client().await?;
        let mut done = 0;
        for row in client.query("select list, dead from rowtwin_private.dead_rows()", &[]).await? {
            let (list, dead): (String, i64) = (row.get(0), row.get(1));
            if !left.is_worth_it(&list, dead) {
                continue;
            }
            // the name comes from the function and is quoted there
            client.batch_execute(&format!("vacuum (skip_locked) {list}")).await?;
            let after = client.query("select list, dead from rowtwin_private.dead_rows()", &[]).await?;
            let still = after.iter().find(|row| row.get::<_, String>(0) == list).map_or(0, |row| row.get(1));
            left.0.insert(list, still);
            done += 1;
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_old_transaction_keeps_is_not_tried_for_again_and_again() {
        let mut left = Left::default();
        assert!(!left.is_worth_it("outbox", WORTH_IT));
        assert!(left.is_worth_it("outbox", WORTH_IT + 1));
        left.0.insert("outbox".to_owned(), 50_000);
        assert!(!left.is_worth_it("outbox", 2 * 50_000 + WORTH_IT));
        assert!(left.is_worth_it("outbox", 2 * 50_000 + WORTH_IT + 1));
        assert!(left.is_worth_it("inbox", WORTH_IT + 1));
    }
}
