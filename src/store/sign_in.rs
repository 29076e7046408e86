//! Sign-ins that replace their own secret: what was kept, and who signs in at this moment.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::store::{Store, StoreError};

/// What was kept when the right to sign in was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSignIn {
    /// Counts what was kept; 0: nothing yet.
    pub generation: i64,
    /// As it was kept; it cannot be read here.
    pub sealed: Option<Vec<u8>>,
    /// Since when the answer to a sign-in is missing.
    pub sent_at: Option<SystemTime>,
}

impl Store {
    /// Takes the right to sign in; `None` while another process has it.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn take_sign_in(
        &self,
        system: &str,
        holder: Uuid,
        lease: Duration,
    ) -> Result<Option<KeptSignIn>, StoreError> {
        let sql = "select taken, generation, sealed, sent_at
                   from rowtwin_private.take_sign_in($1, $2, make_interval(secs => $3))";
        let client = self.client().await?;
        let row = client.query_one(sql, &[&system, &holder, &lease.as_secs_f64()]).await?;
        let kept = || KeptSignIn { generation: row.get(1), sealed: row.get(2), sent_at: row.get(3) };
        Ok(row.get::<_, bool>(0).then(kept))
    }

    /// Says that the sign-in is still under way; false when the right to it is lost.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn renew_sign_in(
        &self,
        system: &str,
        holder: Uuid,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let sql = "select rowtwin_private.renew_sign_in($1, $2, make_interval(secs => $3))";
        let client = self.client().await?;
        Ok(client.query_one(sql, &[&system, &holder, &lease.as_secs_f64()]).await?.get(0))
    }

    /// Notes that a sign-in goes out; false when nothing may be sent, since the right to it is lost.
    ///
    /// # Errors
    /// When the statement fails; nothing may be sent then.
    pub async fn begin_sign_in(&self, system: &str, holder: Uuid) -> Result<bool, StoreError> {
        let sql = "select rowtwin_private.begin_sign_in($1, $2)";
        Ok(self.client().await?.query_one(sql, &[&system, &holder]).await?.get(0))
    }

    /// Keeps what a sign-in gave behind this generation; false when another one is kept by now.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn keep_sign_in(
        &self,
        system: &str,
        generation: i64,
        sealed: &[u8],
    ) -> Result<bool, StoreError> {
        let sql = "select rowtwin_private.keep_sign_in($1, $2, $3)";
        Ok(self.client().await?.query_one(sql, &[&system, &generation, &sealed]).await?.get(0))
    }

    /// Gives the right to sign in back. `answered`: nothing of what the system gave is missing.
    ///
    /// # Errors
    /// When the statement fails; the lease ends by itself then.
    pub async fn leave_sign_in(&self, system: &str, holder: Uuid, answered: bool) -> Result<(), StoreError> {
        let sql = "select rowtwin_private.leave_sign_in($1, $2, $3)";
        self.client().await?.execute(sql, &[&system, &holder, &answered]).await?;
        Ok(())
    }

    /// Whether there is a place to keep what a sign-in gives.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn keeps_sign_ins(&self) -> Result<bool, StoreError> {
        let sql = "select to_regclass('rowtwin_private.sign_in') is not null";
        Ok(self.client().await?.query_one(sql, &[]).await?.get(0))
    }
}
