//! The only door to rowtwin's state in Postgres, and to the rows of mirror tables.
//!
//! One method per SQL function or statement. Nothing here decides: what to do is decided by pure code on values
//! that were read here, and every change of state is a function or constraint in `sql/`.

pub mod binding;
mod capturing;
pub mod catalog;
pub mod comparison;
pub mod drift;
pub mod error;
pub mod filter;
pub mod guard;
pub mod inbox;
pub mod limits;
pub mod lines;
pub mod link;
pub mod matching;
pub mod migrate;
pub mod mirror;
pub mod outbox;
pub mod reference;
pub mod sign_in;
pub mod slot;
pub mod standing;
pub mod steps;
pub mod upkeep;
pub mod walk;

use deadpool_postgres::{Client, Pool};

pub use error::StoreError;

/// A handle to the mirror database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
}

impl Store {
    /// Wraps a pool made by [`crate::postgres`].
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Reads a query as JSON objects.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn view(&self, sql: &str) -> Result<Vec<serde_json::Value>, StoreError> {
        let rows = self.client().await?.query(&format!("select to_jsonb(x) from ({sql}) x"), &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// A connection for one piece of work.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn client(&self) -> Result<Client, StoreError> {
        self.pool.get().await.map_err(StoreError::from)
    }
}
