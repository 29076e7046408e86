//! `rowtwin check --nagios`: one line, performance data, and the exit codes of a monitoring plugin.
//!
//! Only the views of schema `rowtwin` are read: a role with `rowtwin_reader` is enough, and no system is asked.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::cli::Common;
use crate::config::duration::{parse_duration, parse_share};
use crate::engine::assemble::{database_url, open_pool};
use crate::model::record::member;
use crate::store::{Store, StoreError};

/// When a number is a warning, and when it is critical.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "With --nagios")]
pub struct Thresholds {
    /// A row waits for longer than this: warning.
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = parse_duration)]
    warn_lag: Duration,
    /// A row waits for longer than this: critical.
    #[arg(long, default_value = "30m", value_name = "DURATION", value_parser = parse_duration)]
    crit_lag: Duration,
    /// The slot retains more WAL than this: warning.
    #[arg(long, default_value = "5GB", value_name = "SIZE")]
    warn_retained: String,
    /// The slot retains more WAL than this: critical.
    #[arg(long, default_value = "20GB", value_name = "SIZE")]
    crit_retained: String,
    /// More rows, records and conflicts than this wait for a person: warning.
    #[arg(long, default_value = "0", value_name = "COUNT")]
    warn_parked: u64,
    /// More rows, records and conflicts than this wait for a person: critical.
    #[arg(long, value_name = "COUNT")]
    crit_parked: Option<u64>,
    /// A remote was not read up to its end for longer than this: warning. Longer than the longest `poll`.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    warn_freshness: Option<Duration>,
    /// A remote was not read up to its end for longer than this: critical.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    crit_freshness: Option<Duration>,
    /// More than this share of a system's day is used: warning.
    #[arg(long, default_value = "90%", value_name = "SHARE", value_parser = parse_share)]
    warn_budget: f64,
    /// The database must have answered by then, else: critical.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = parse_duration)]
    timeout: Duration,
}

/// The states of a service, in the order in which the worse one wins; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ok,
    Warning,
    Critical,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
        }
    }
}

/// What was found, and the numbers.
struct Service {
    state: State,
    said: Vec<String>,
    data: Vec<String>,
}

impl Service {
    fn new() -> Self {
        Self { state: State::Ok, said: Vec::new(), data: Vec::new() }
    }

    fn bad(&mut self, state: State, said: String) {
        self.state = self.state.max(state);
        self.said.push(said);
    }

    /// A number that is not to exceed its limits.
    fn number(&mut self, label: &str, unit: &str, value: u64, limits: [Option<u64>; 2], said: String) {
        let [warn, crit] = limits;
        if crit.is_some_and(|limit| value > limit) {
            self.bad(State::Critical, said);
        } else if warn.is_some_and(|limit| value > limit) {
            self.bad(State::Warning, said);
        }
        let text = |limit: Option<u64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        let label: String = label.chars().filter(|char| !matches!(char, '\'' | '=' | '|')).collect();
        self.data.push(format!("'{label}'={value}{unit};{};{};0", text(warn), text(crit)));
    }

    fn line(&self, fine: &str) -> String {
        let said = if self.said.is_empty() { fine.to_owned() } else { self.said.join("; ") };
        one_line(self.state.word(), &said, &self.data)
    }
}

/// `ROWTWIN STATE - text | performance data`: a bar or a line's end in the text would end it.
fn one_line(word: &str, said: &str, data: &[String]) -> String {
    let said: String =
        said.chars().map(|char| if char == '|' || char.is_control() { ' ' } else { char }).collect();
    if data.is_empty() {
        format!("ROWTWIN {word} - {said}")
    } else {
        format!("ROWTWIN {word} - {said} | {}", data.join(" "))
    }
}

/// What could not be found out at all: exit code 3.
pub(super) fn unknown(said: &str) -> ExitCode {
    println!("{}", one_line("UNKNOWN", said, &[]));
    ExitCode::from(3)
}

pub(super) async fn nagios(common: &Common, limits: &Thresholds) -> ExitCode {
    let store = match open(common) {
        Ok(store) => store,
        Err(error) => return unknown(&error.to_string()),
    };
    let looked = tokio::time::timeout(limits.timeout, look(&store, limits)).await;
    let (state, line) = match looked {
        Ok(Ok(service)) => (service.state, service.line("all is well")),
        Ok(Err(StoreError::Statement(error))) if error.as_db_error().is_some() => {
            let error = StoreError::Statement(error);
            let cure = super::store_hint(&error).map(|hint| format!("; {hint}")).unwrap_or_default();
            return unknown(&format!("{error}{cure}"));
        }
        Ok(Err(error)) => (State::Critical, one_line(State::Critical.word(), &error.to_string(), &[])),
        Err(_) => {
            let said = format!("the mirror database did not answer within {} s", limits.timeout.as_secs());
            (State::Critical, one_line(State::Critical.word(), &said, &[]))
        }
    };
    println!("{line}");
    ExitCode::from(state.code())
}

fn open(common: &Common) -> anyhow::Result<Store> {
    let url = match &common.database_url {
        Some(url) => url.clone(),
        None => database_url(&common.load()?, &common.given())?,
    };
    Ok(open_pool(&url)?.0)
}

async fn look(store: &Store, limits: &Thresholds) -> Result<Service, StoreError> {
    let client = store.client().await?;
    let mut sizes = Vec::new();
    for size in [&limits.warn_retained, &limits.crit_retained] {
        // 1GB, 512 MB: as Postgres reads it
        let bytes: i64 = client.query_one("select pg_size_bytes($1)", &[size]).await?.get(0);
        sizes.push(u64::try_from(bytes).unwrap_or(0));
    }
    drop(client);
    let mut service = Service::new();
    let slots = store.view("select * from rowtwin.slot").await?;
    if slots.is_empty() {
        service.bad(State::Critical, "no slot is known; run `rowtwin init`".to_owned());
    }
    for slot in &slots {
        look_at_slot(slot, [sizes.first().copied(), sizes.get(1).copied()], &mut service);
    }
    let bindings = "select b.*, extract(epoch from clock_timestamp() - waiting_since)::bigint as oldest,
                      extract(epoch from clock_timestamp() - last_poll_at)::bigint as poll_age
                    from rowtwin.status b where state <> 'not configured'";
    look_at_bindings(&store.view(bindings).await?, limits, &mut service);
    for system in &store.view("select * from rowtwin.systems").await? {
        look_at_system(system, limits, &mut service);
    }
    Ok(service)
}

fn look_at_slot(slot: &Value, retained_limits: [Option<u64>; 2], service: &mut Service) {
    let name = text(slot, "slot");
    match (text(slot, "state"), text(slot, "wal_status")) {
        (_, "lost") => service.bad(State::Critical, format!("slot {name} is lost")),
        ("streaming", _) => {}
        ("missing", _) => service.bad(State::Critical, format!("slot {name} is missing")),
        (state, _) => service.bad(State::Warning, format!("slot {name} is {state}")),
    }
    let retained = count(slot, "retained_bytes");
    let said = format!("slot {name} retains {} MB of WAL", retained >> 20);
    service.number("retained", "B", retained, retained_limits, said);
    service.number("wal lag", "B", count(slot, "lag_bytes"), [None, None], String::new());
}

fn look_at_bindings(bindings: &[Value], limits: &Thresholds, service: &mut Service) {
    let name = |one: &Value| {
        format!("{} - {}.{}", text(one, "table_name"), text(one, "system"), text(one, "object"))
    };
    let seconds = |limit: Duration| Some(limit.as_secs());
    for held in bindings.iter().filter(|one| text(one, "state") == "held") {
        service.bad(State::Critical, format!("{} is held: {}", name(held), text(held, "reason")));
    }
    let worst = |member: &str| bindings.iter().max_by_key(|one| count(one, member));
    let late = worst("oldest");
    let lag = late.map_or(0, |one| count(one, "oldest"));
    let said = format!("a row of {} has waited for {lag} s", late.map(name).unwrap_or_default());
    service.number("lag", "s", lag, [seconds(limits.warn_lag), seconds(limits.crit_lag)], said);
    let old = worst("poll_age");
    let age = old.map_or(0, |one| count(one, "poll_age"));
    let said = format!("{} was last read {age} s ago", old.map(name).unwrap_or_default());
    let freshness = [limits.warn_freshness.and_then(seconds), limits.crit_freshness.and_then(seconds)];
    service.number("freshness", "s", age, freshness, said);
    let sum = |members: &[&str]| -> u64 {
        bindings.iter().flat_map(|one| members.iter().map(|member| count(one, member))).sum()
    };
    service.number("waiting", "", sum(&["waiting"]), [None, None], String::new());
    let kinds = ["rejected", "held", "doubtful", "unreadable", "conflicts_open"];
    let parked: Vec<String> = kinds
        .iter()
        .map(|kind| (kind, sum(&[kind])))
        .filter(|(_, number)| *number > 0)
        .map(|(kind, number)| format!("{number} {}", kind.replace('_', " ")))
        .collect();
    let said = format!("waiting for a person: {}", parked.join(", "));
    service.number("parked", "", sum(&kinds), [Some(limits.warn_parked), limits.crit_parked], said);
}

fn look_at_system(system: &Value, limits: &Thresholds, service: &mut Service) {
    let name = text(system, "name");
    match text(system, "state") {
        "held" => {
            service.bad(State::Critical, format!("system {name} is held: {}", text(system, "held_reason")));
        }
        "paused" => service.bad(State::Warning, format!("system {name} is paused")),
        _ if !member(system, "down_since").is_null() => {
            service
                .bad(State::Warning, format!("system {name} is down since {}", text(system, "down_since")));
        }
        _ => {}
    }
    if let Some(limit) = member(system, "per_day").as_u64().filter(|limit| *limit > 0) {
        let used = count(system, "budget_used");
        let share = used.saturating_mul(100) / limit;
        let warn = (limits.warn_budget * 100.0) as u64;
        let said = format!("{used} of {limit} calls to {name} are used today");
        service.number(&format!("budget {name}"), "%", share, [Some(warn), None], said);
    }
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    member(row, name).as_str().unwrap_or_default()
}

fn count(row: &Value, name: &str) -> u64 {
    member(row, name).as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_state_wins_and_limits_are_told() {
        let mut service = Service::new();
        service.number("lag", "s", 6, [Some(5), Some(9)], "late".to_owned());
        service.number("o'd|d=", "B", 1, [None, None], String::new());
        assert_eq!(service.line("fine"), "ROWTWIN WARNING - late | 'lag'=6s;5;9;0 'odd'=1B;;;0");
        service.number("lag", "s", 10, [Some(5), Some(9)], "too late".to_owned());
        service.number("lag", "s", 5, [Some(5), Some(9)], "not said".to_owned());
        assert_eq!(service.state, State::Critical);
        assert!(service.line("fine").starts_with("ROWTWIN CRITICAL - late; too late | "));
    }

    #[test]
    fn what_a_remote_said_cannot_end_the_line() {
        let mut service = Service::new();
        service.bad(State::Critical, "held: a|b\nc".to_owned());
        assert_eq!(service.line(""), "ROWTWIN CRITICAL - held: a b c");
        assert_eq!(Service::new().line("fine"), "ROWTWIN OK - fine");
    }
}
