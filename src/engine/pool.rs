//! The connections to the mirror database.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};

use crate::engine::EngineError;
use crate::postgres::{ConnectOptions, connect_options};
use crate::store::Store;

/// Connections to the mirror database at the same time.
const POOL: usize = 16;

/// A pool for the mirror database.
///
/// # Errors
/// When the address is not one.
pub fn open_pool(url: &str) -> Result<(Store, ConnectOptions), EngineError> {
    let mut options = connect_options(url)?;
    let settings = "-c timezone=UTC -c datestyle=ISO -c lock_timeout=5s -c idle_in_transaction_session_timeout=120s -c client_min_messages=warning";
    options
        .config_mut()
        .application_name("rowtwin")
        .options(settings)
        .connect_timeout(Duration::from_secs(10));
    Ok((pool_of(&options, POOL)?, options))
}

/// A pool of so many connections to a database that is known already.
///
/// # Errors
/// When the pool cannot be made.
pub fn pool_of(options: &ConnectOptions, connections: usize) -> Result<Store, EngineError> {
    let manager = Manager::from_config(
        options.config().clone(),
        options.tls(),
        ManagerConfig { recycling_method: RecyclingMethod::Fast },
    );
    let pool = Pool::builder(manager)
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(30)))
        .create_timeout(Some(Duration::from_secs(15)))
        .build()
        .map_err(|error| EngineError::Database(error.to_string()))?;
    Ok(Store::new(pool))
}
