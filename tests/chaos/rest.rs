//! Rest: all faults are over, and there is nothing left to do.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::Stage;

/// How long everything may take to come to rest. Rows that failed often wait up to five minutes for their next try.
const PATIENCE: Duration = Duration::from_secs(480);
/// How long the polls go on while nothing may be written any more.
const QUIET: &str = "3 s";

/// What is still to do, in numbers that are 0 at rest. Every object has been polled and swept since the faults ended: a
/// sweep that ends sets the next one 8 s later.
fn left(since: &str) -> String {
    format!(
        "select (select count(*) from rowtwin.outbox where state in ('ready', 'sending', 'waiting')) as to_send,
                (select count(*) from rowtwin.inbox where state in ('ready', 'waiting')) as to_read,
                (select count(*) from rowtwin.slot where state <> 'streaming' or lag_bytes > 200000) as to_capture,
                (select count(*) from rowtwin.systems where down_since is not null or throttled_until > clock_timestamp()) as down,
                (select count(*) from rowtwin_private.comparison where finished_at is null) as to_compare,
                (select count(*) from rowtwin_private.binding where last_poll_at is null or last_poll_at < '{since}'
                    or next_sweep_at < '{since}'::timestamptz + interval '5 s') as to_poll"
    )
}

/// Waits for rest.
///
/// # Errors
/// What is left to do when it does not come.
pub async fn come_to_rest(stage: &Stage) -> Result<Duration, String> {
    let began = Instant::now();
    let mut since: Option<String> = None;
    let mut still = 0;
    let mut last = String::new();
    while began.elapsed() < PATIENCE {
        if since.is_none() {
            let sql = format!("select (clock_timestamp() + interval '{QUIET}')::text as at");
            since = stage.rows(&sql).await.ok().and_then(|rows| rows[0]["at"].as_str().map(str::to_owned));
        }
        if let Some(since) = &since {
            match stage.rows(&left(since)).await {
                Ok(rows) => {
                    let busy =
                        rows[0].as_object().is_some_and(|row| row.values().any(|count| *count != json!(0)));
                    last = rows[0].to_string();
                    still = if busy { 0 } else { still + 1 };
                    if still >= 4 {
                        return Ok(began.elapsed());
                    }
                }
                Err(error) => last = format!("{error:#}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Err(format!("no rest within {} s: {last}{}", PATIENCE.as_secs(), story(stage).await))
}

/// Calls that write and that are made while there is nothing to do.
///
/// # Errors
/// When the run itself cannot look.
pub async fn writes_at_rest(stage: &Stage) -> anyhow::Result<Vec<String>> {
    for remote in stage.remotes() {
        remote.door("forget_calls", json!({})).await?;
    }
    let now = stage.rows(&format!("select (clock_timestamp() + interval '{QUIET}')::text as at")).await?;
    let since = now[0]["at"].as_str().unwrap_or_default().to_owned();
    let polled =
        format!("select count(*) as missing from rowtwin_private.binding where last_poll_at < '{since}'");
    let began = Instant::now();
    while stage.rows(&polled).await?[0]["missing"] != json!(0) && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let mut found = Vec::new();
    for remote in stage.remotes() {
        let answer = remote.door("call_counts", json!({})).await?;
        let counts = answer["counts"].as_array().cloned().unwrap_or_default();
        if counts.is_empty() {
            found.push(format!("{} was not even polled at rest", remote.name));
        }
        for count in counts {
            let operation = count["operation"].as_str().unwrap_or_default().to_lowercase();
            let writes = ["create", "update", "save", "delete", "invalid", "submit", "audit", "operation"];
            if writes.iter().any(|word| operation.contains(word)) {
                found.push(format!("at rest {} was written to: {count}", remote.name));
            }
        }
    }
    Ok(found)
}

/// What stands where, for a finding.
pub async fn story(stage: &Stage) -> String {
    let mut text = format!("\nthe processes of Postgres:{}", stage.server.describe());
    for view in [
        "select * from rowtwin.status",
        "select * from rowtwin.systems",
        "select * from rowtwin.slot",
        "select * from rowtwin.recovery where finished_at is null",
        "select * from rowtwin.outbox limit 20",
        "select * from rowtwin.inbox limit 20",
        "select id, last_poll_at, next_poll_at, next_sweep_at, lease, lease_until, failures, last_error from rowtwin_private.binding",
        "select * from rowtwin_private.call limit 10",
    ] {
        let told = match stage.rows(view).await {
            Ok(rows) => rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n  "),
            Err(error) => format!("{error:#}"),
        };
        text += &format!("\n{view}\n  {told}");
    }
    text
}
