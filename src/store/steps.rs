//! Steps of a lifecycle: what is owed, and what is under way.

use std::collections::HashMap;

use deadpool_postgres::GenericClient;
use uuid::Uuid;

use crate::store::StoreError;

/// The steps that are owed for these keys, where some are.
///
/// # Errors
/// When the statement fails.
pub async fn owed_steps(
    client: &impl GenericClient,
    binding: i32,
    keys: &[String],
) -> Result<HashMap<String, String>, StoreError> {
    let rows = client
        .query(
            "select key, step from rowtwin_private.outbox
             where binding_id = $1 and key = any ($2) and step is not null",
            &[&binding, &keys],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Writes down what a call leads to, just before it; see `rowtwin_private.begin_steps`.
///
/// # Errors
/// When the statement fails; nothing may be sent then.
pub async fn begin_steps(
    client: &impl GenericClient,
    binding: i32,
    lease: Uuid,
    steps: &[(String, String)],
    moves: bool,
) -> Result<(), StoreError> {
    let (keys, steps): (Vec<&str>, Vec<&str>) =
        steps.iter().map(|(key, step)| (key.as_str(), step.as_str())).unzip();
    client
        .execute(
            "select rowtwin_private.begin_steps($1, $2, $3, $4, $5)",
            &[&binding, &lease, &keys, &steps, &moves],
        )
        .await?;
    Ok(())
}
