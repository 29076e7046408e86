//! The demo: the whole product on a private database, a simulated CRM and a simulated ERP.
//!
//! The engine runs as it does in production. Every step is verified by reading the three sides with other means than
//! the engine's: plain SQL, and the simulators' own doors.

mod orders;
mod stage;
mod story;
mod tell;

use std::time::Instant;

use serde_json::json;

use crate::demo::stage::Stage;
use crate::demo::tell::Teller;
use crate::model::record::member;

/// What a demo found out.
pub struct Told {
    /// Whether every step was as promised.
    pub good: bool,
    /// The counts, as one JSON document.
    pub summary: serde_json::Value,
}

/// Tells the story. `check` leaves the pauses out.
///
/// # Errors
/// When the stage cannot be set up: no Postgres, no free port.
pub async fn tell(check: bool) -> anyhow::Result<Told> {
    let began = Instant::now();
    let mut teller = Teller::new(!check);
    let stage = Stage::set(&mut teller).await?;
    let outcome = story::tell(&stage, &mut teller).await;
    let summary = match &outcome {
        Ok(counts) => json!({
            "ok": teller.failed().is_empty(),
            "steps": teller.steps(),
            "failed": teller.failed(),
            "seconds": began.elapsed().as_secs_f64(),
            "counts": counts,
        }),
        Err(error) => json!({
            "ok": false,
            "steps": teller.steps(),
            "failed": teller.failed(),
            "error": error.to_string(),
            "seconds": began.elapsed().as_secs_f64(),
        }),
    };
    let good = member(&summary, "ok") == &serde_json::Value::Bool(true);
    if !good {
        teller.line(&stage.states().await);
    }
    stage.strike().await;
    Ok(Told { good, summary })
}
