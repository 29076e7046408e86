//! Assembling: from the configuration to compiled bindings, with all findings at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use crate::bound::Bound;
use crate::config::duration::{parse_allowance, parse_duration, parse_share, parse_size};
use crate::config::file::Field;
use crate::config::{BindingFile, LifecycleFile, RowtwinFile, Setting, SystemFile};
use crate::connector::{Client, Connector, SettingValue, Settings};
use crate::engine::certificates::tls_at_start;
use crate::engine::documents;
use crate::engine::gate::{SharedGate, UnderWay};
use crate::engine::keep::{LookingGate, SharedKeep};
pub use crate::engine::pool::open_pool;
use crate::engine::{DEFAULT_NAME, Drifted, Engine, EngineError};
use crate::mapping::Mapping;
use crate::mapping::reference::Reference;
use crate::metrics::Metrics;
use crate::model::binding::{Allowance, Brake, Guard, ReferredBy};
use crate::model::lifecycle::Plan;
use crate::remote::gate::{Gate, OpenGate};
use crate::remote::http::HttpTransport;
use crate::store::binding::{BindingSpec, SystemSpec};
use crate::store::slot::SlotSpec;
use crate::store::{Store, StoreError};

/// Calls of one binding at the same time where nothing says otherwise.
const IN_FLIGHT: u32 = 4;

/// WAL that the slot may retain before people are warned, and before its budget is used up.
const WARN_BYTES: i64 = 1 << 30;
const BUDGET_BYTES: i64 = 10 << 30;

/// What the command line adds to the configuration.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Overrules `database.url`.
    pub database_url: Option<String>,
    /// A folder whose manifests overrule the built-in ones.
    pub connectors: Option<std::path::PathBuf>,
    /// Values for `{env: NAME}` that come before the process's environment.
    pub environment: HashMap<String, String>,
    /// Only to look: a sign-in that fails with this configuration says nothing about the system that others run with
    /// theirs, and does not hold it.
    pub only_looks: bool,
}

impl Engine {
    /// Reads secrets, loads connectors, looks at the tables, compiles the mappings.
    ///
    /// Nothing is changed anywhere.
    ///
    /// # Errors
    /// All findings of configuration and tables at once; a database that cannot be reached.
    pub async fn assemble(file: RowtwinFile, given: &Given) -> Result<Self, EngineError> {
        let url = database_url(&file, given)?;
        let (store, options) = open_pool(&url)?;
        let metrics = Metrics::new();
        let mut findings = Vec::new();
        let mut clients = HashMap::new();
        let mut systems = Vec::new();
        let mut in_flight = HashMap::new();
        for (name, system) in &file.systems {
            match open_system(name, system, &store, given, &metrics) {
                Ok((client, spec)) => {
                    in_flight.insert(name.clone(), spec.in_flight.unwrap_or(IN_FLIGHT));
                    clients.insert(name.clone(), client);
                    systems.push(spec);
                }
                Err(EngineError::Configuration(more)) => findings.extend(more),
                Err(other) => findings.push(format!("systems.{name}: {other}")),
            }
        }
        let (mut specs, mut bounds, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        let mut drifted = Vec::new();
        for (table_name, entry) in &file.tables {
            let (table, columns) = match store.table(table_name).await {
                Ok(found) => found,
                Err(StoreError::Table(reason)) => {
                    for binding in &entry.bindings {
                        let spec = spec_of(table_name, binding);
                        if given.only_looks || !store.was_bound(&spec.name(), &spec.mapping).await? {
                            findings.push(reason.clone());
                            break;
                        }
                        drifted.push(Drifted { spec, table: None, reason: reason.clone(), id: 0 });
                    }
                    continue;
                }
                Err(other) => return Err(other.into()),
            };
            for binding in &entry.bindings {
                let place = format!("tables.{table_name} ({}.{})", binding.system, binding.object);
                let Some(client) = clients.get(&binding.system) else { continue };
                let abilities = match client.abilities(&binding.object) {
                    Ok(abilities) => abilities,
                    Err(error) => {
                        findings.push(format!("{place}: {error}"));
                        continue;
                    }
                };
                let type_of = |name: &str| {
                    columns.iter().find(|column| column.name == name).map(|column| column.type_name.clone())
                };
                let spec = spec_of(table_name, binding);
                let gone: Vec<&str> = binding
                    .fields
                    .keys()
                    .chain(&binding.id_column)
                    .filter(|column| type_of(column).is_none())
                    .map(String::as_str)
                    .collect();
                // with the same mapping it ran before: the others need not wait until somebody has mended this one
                if !gone.is_empty()
                    && !given.only_looks
                    && store.was_bound(&spec.name(), &spec.mapping).await?
                {
                    let reason = format!(
                        "{table_name} has no column `{}` any more; add it again or correct the configuration, then restart rowtwin",
                        gone.join("`, `")
                    );
                    drifted.push(Drifted { spec, table: Some(table.clone()), reason, id: 0 });
                    continue;
                }
                if let Some(column) = &binding.id_column
                    && type_of(column).is_none()
                {
                    findings.push(format!(
                        "{place}: id_column `{column}` does not exist; run: alter table {table_name} add column {column} text"
                    ));
                }
                for column in columns.iter().filter(|column| column.generated) {
                    if binding
                        .fields
                        .get(&column.name)
                        .is_some_and(|field| field.direction.pulls() && binding.direction.pulls())
                    {
                        findings.push(format!(
                            "{place}: column `{}` is generated and cannot be written; set `direction: push` on it",
                            column.name
                        ));
                    }
                }
                let lifecycle = match plan(client, binding) {
                    Ok(plan) => plan,
                    Err(finding) => {
                        findings.push(format!("{place}: {finding}"));
                        None
                    }
                };
                let refers = |field: &Field| {
                    let table = field.refers_to.clone()?;
                    let parent =
                        file.tables.get(&table)?.bindings.iter().find(|b| b.system == binding.system)?;
                    let theirs = client.abilities(&parent.object).ok()?;
                    let by = field.refers_by.unwrap_or(match theirs.reference_field {
                        Some(_) => ReferredBy::Reference,
                        None => ReferredBy::Id,
                    });
                    Some(Reference { table, by, numeric: theirs.numeric_ids, parent: 0 })
                };
                if let Some(filter) = &binding.filter
                    && let Some(said) = store.check_filter(&table, filter).await?
                {
                    findings.push(format!(
                        "{place}: where: {said}; write an SQL condition over the columns of {table_name}, such as region = 'east'"
                    ));
                }
                let mapping = match Mapping::new(binding, type_of, abilities.blank_is_null, refers) {
                    Ok(mapping) => mapping,
                    Err(more) => {
                        findings.extend(more.into_iter().map(|finding| format!("{place}: {finding}")));
                        continue;
                    }
                };
                let mut mapping = mapping;
                let mut table = table.clone();
                let found = documents::lines_of(
                    &store,
                    client,
                    binding,
                    &mut mapping,
                    &mut table,
                    &abilities,
                    &refers,
                );
                let bound_lines = match found.await? {
                    Ok(lines) => lines,
                    Err(more) => {
                        findings.extend(more.into_iter().map(|finding| format!("{place}: {finding}")));
                        continue;
                    }
                };
                tables.extend(table.children.iter().map(|child| child.table.clone()));
                let used = mapping.columns().chain(binding.id_column.as_deref());
                let used = used.chain(table.key.iter().map(|column| column.name.as_str()));
                let types = used.filter_map(|name| Some((name.to_owned(), type_of(name)?))).collect();
                specs.push(spec);
                bounds.push(Arc::new(Bound {
                    id: 0,
                    name: format!("{table_name} - {}.{}", binding.system, binding.object),
                    system: binding.system.clone(),
                    object: binding.object.clone(),
                    table,
                    column_types: types,
                    mapping,
                    client: Arc::clone(client),
                    id_column: binding.id_column.clone(),
                    prefer: binding.prefer,
                    to_remote: binding.deletes.to_remote,
                    to_row: binding.deletes.to_row,
                    against_edit: binding.deletes.against_edit,
                    approve_deletes: binding.deletes.approve,
                    guard: guard(binding),
                    brake: brake(binding),
                    filter: binding.filter.clone(),
                    columns: columns.clone(),
                    leaving: binding.leaving,
                    pushes: binding.direction.pushes(),
                    pulls: binding.direction.pulls(),
                    overwrite_check: binding.overwrite_check,
                    poll_every: duration(binding.poll.as_deref(), Duration::from_secs(30)),
                    sweep_every: sweep(binding),
                    verify_every: binding
                        .verify
                        .as_deref()
                        .filter(|text| *text != "never")
                        .and_then(|text| parse_duration(text).ok()),
                    doubt_window: duration(binding.doubt_window.as_deref(), Duration::from_secs(60)),
                    in_flight: usize::try_from(in_flight.get(&binding.system).copied().unwrap_or(IN_FLIGHT))
                        .unwrap_or(1),
                    lines_apart: bound_lines.apart,
                    watched_lines: bound_lines.watched,
                    abilities,
                    lifecycle,
                    heard: Arc::default(),
                    parents: Vec::new(),
                    children: Vec::new(),
                }));
            }
            tables.push(table);
        }
        if !findings.is_empty() {
            return Err(EngineError::Configuration(findings));
        }
        documents::keep_one_of_each(&mut tables);
        let guard = &file.database.slot_guard;
        let size = |text: &Option<String>, default| {
            text.as_deref().and_then(|text| parse_size(text).ok()).or(Some(default))
        };
        let slot_spec = SlotSpec {
            failover: file.database.failover,
            warn_bytes: size(&guard.warn, WARN_BYTES),
            budget_bytes: size(&guard.budget, BUDGET_BYTES),
        };
        Ok(Self {
            slot_spec,
            memory: Mutex::default(),
            slot: file.database.slot.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned()),
            publication: file.database.publication.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned()),
            journal_days: file.database.journal_days.and_then(|days| i32::try_from(days).ok()).unwrap_or(30),
            store,
            metrics,
            options,
            file,
            clients,
            systems,
            specs,
            tables,
            drifted,
            bounds,
        })
    }
}

/// What was checked when the file was read.
fn guard(binding: &BindingFile) -> Guard {
    let or = |value: &Option<Value>, default: Allowance| {
        value.as_ref().and_then(|value| parse_allowance(value).ok()).unwrap_or(default)
    };
    let default = Guard::default();
    Guard {
        deletes: or(&binding.guard.deletes, default.deletes),
        changes: or(&binding.guard.changes, default.changes),
        at_least: binding.guard.at_least.unwrap_or(default.at_least),
    }
}

fn brake(binding: &BindingFile) -> Brake {
    let default = Brake::default();
    Brake {
        turns: binding.brake.turns.unwrap_or(default.turns),
        within: duration(binding.brake.within.as_deref(), default.within),
    }
}

/// What a binding asks of its object's lifecycle.
fn plan(client: &Client, binding: &BindingFile) -> Result<Option<Plan>, String> {
    let asked = &binding.lifecycle;
    let Some(lifecycle) = client.lifecycle(&binding.object).map_err(|error| error.to_string())? else {
        return match asked == &LifecycleFile::default() {
            true => Ok(None),
            false => Err(format!(
                "`{}` has no lifecycle in the connector `{}`; remove `lifecycle` from the binding",
                binding.object,
                client.connector().name
            )),
        };
    };
    let until = match &asked.until {
        None => None,
        Some(target) => Some(lifecycle.targets.get(target).cloned().ok_or_else(|| {
            let known: Vec<&str> = lifecycle.targets.keys().map(String::as_str).collect();
            format!("lifecycle.until: there is no target `{target}`; there are {}", known.join(", "))
        })?),
    };
    Ok(Some(Plan { lifecycle, until, reopen: asked.reopen }))
}

fn spec_of(table: &str, binding: &BindingFile) -> BindingSpec {
    BindingSpec {
        table: table.to_owned(),
        system: binding.system.clone(),
        object: binding.object.clone(),
        pushes: binding.direction.pushes(),
        pulls: binding.direction.pulls(),
        settle_after_secs: duration(binding.settle_after.as_deref(), Duration::ZERO).as_secs_f64(),
        mapping: serde_json::to_value(binding).unwrap_or(Value::Null),
    }
}

fn sweep(binding: &BindingFile) -> Option<Duration> {
    match binding.sweep.as_deref() {
        Some("never") => None,
        other => Some(duration(other, Duration::from_secs(3600))),
    }
}

/// A duration that was checked when the file was read.
fn duration(text: Option<&str>, default: Duration) -> Duration {
    text.and_then(|text| parse_duration(text).ok()).unwrap_or(default)
}

/// Where the mirror database is.
///
/// # Errors
/// When nothing names it, or a named variable or file is missing.
pub fn database_url(file: &RowtwinFile, given: &Given) -> Result<String, EngineError> {
    if let Some(url) = &given.database_url {
        return Ok(url.clone());
    }
    match &file.database.url {
        Some(Setting::Plain(Value::String(url))) => Ok(url.clone()),
        Some(Setting::Plain(_)) => {
            Err(EngineError::Configuration(vec!["database.url must be a text or {env: NAME}".to_owned()]))
        }
        Some(found) => {
            resolve("database.url", found, given).map_err(|finding| EngineError::Configuration(vec![finding]))
        }
        None => Err(EngineError::Configuration(vec![
            "no mirror database is named; set database.url in the configuration or ROWTWIN_DATABASE_URL"
                .to_owned(),
        ])),
    }
}

/// One system alone, for a look at it: nothing of the tables is needed, and the database need not be prepared. Calls
/// count where the system is registered already.
///
/// # Errors
/// When there is no such system, a setting is missing, or a database that is named cannot be reached.
pub async fn open_client(
    file: &RowtwinFile,
    given: &Given,
    system: &str,
) -> Result<Arc<Client>, EngineError> {
    let Some(entry) = file.systems.get(system) else {
        let known: Vec<&str> = file.systems.keys().map(String::as_str).collect();
        return Err(EngineError::Configuration(vec![format!(
            "the configuration names no system `{system}`; there are: {}",
            known.join(", ")
        )]));
    };
    if given.database_url.is_some() || file.database.url.is_some() {
        let (store, _) = open_pool(&database_url(file, given)?)?;
        if store.knows_system(system).await? {
            let given = Given { only_looks: true, ..given.clone() };
            return Ok(open_system(system, entry, &store, &given, &Metrics::new())?.0);
        }
        if store.keeps_sign_ins().await? {
            let keep = Arc::new(SharedKeep { store, system: system.to_owned() });
            return Ok(system_behind(system, entry, given, Arc::new(LookingGate(keep)))?.0);
        }
    }
    let (client, _) = system_behind(system, entry, given, Arc::new(OpenGate))?;
    Ok(client)
}

/// Fetches what a setting points to.
fn resolve(place: &str, setting: &Setting, given: &Given) -> Result<String, String> {
    match setting {
        Setting::Env { env } => {
            given.environment.get(env).cloned().map_or_else(|| std::env::var(env), Ok).map_err(|_| {
                format!("{place}: the environment variable {env} is not set; export it before starting")
            })
        }
        Setting::File { file } => std::fs::read_to_string(file)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| format!("{place}: the file {file} cannot be read ({error})")),
        Setting::Plain(value) => Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
    }
}

fn open_system(
    name: &str,
    system: &SystemFile,
    store: &Store,
    given: &Given,
    metrics: &Metrics,
) -> Result<(Arc<Client>, SystemSpec), EngineError> {
    let gate = SharedGate {
        store: store.clone(),
        system: name.to_owned(),
        metrics: metrics.clone(),
        only_looks: given.only_looks,
        under_way: UnderWay::default(),
        keep: Arc::new(SharedKeep { store: store.clone(), system: name.to_owned() }),
    };
    system_behind(name, system, given, Arc::new(gate))
}

fn system_behind(
    name: &str,
    system: &SystemFile,
    given: &Given,
    gate: Arc<dyn Gate>,
) -> Result<(Arc<Client>, SystemSpec), EngineError> {
    let connector = Arc::new(Connector::load(&system.connector, given.connectors.as_deref())?);
    let mut findings = Vec::new();
    let mut settings = Settings::default();
    for (key, setting) in &system.settings {
        let value = match setting {
            Setting::Plain(value) => SettingValue::Plain(value.clone()),
            found => match resolve(&format!("systems.{name}.settings.{key}"), found, given) {
                Ok(text) => SettingValue::Secret(SecretString::from(text)),
                Err(finding) => {
                    findings.push(finding);
                    continue;
                }
            },
        };
        settings.0.insert(key.clone(), value);
    }
    let tls = match tls_at_start(name, system) {
        Ok(tls) => tls,
        Err(more) => {
            findings.extend(more);
            None
        }
    };
    if !findings.is_empty() {
        return Err(EngineError::Configuration(findings));
    }
    let limits = connector.limits(name, &settings)?;
    let transport = Arc::new(HttpTransport::with_tls(connector.http_options(), tls)?);
    let spec = SystemSpec {
        name: name.to_owned(),
        connector: connector.name.clone(),
        per_second: system.limits.per_second.or(limits.per_second),
        in_flight: system.limits.in_flight.or(limits.in_flight),
        per_day: system.limits.per_day.or(limits.per_day),
        day_zone: limits.daily_reset.clone(),
        reserve: system.limits.reserve.as_deref().and_then(|text| parse_share(text).ok()).unwrap_or(0.2),
        price: system.limits.price.unwrap_or(0.0),
    };
    let client = Client::new(name, connector, settings, transport, gate)?;
    Ok((Arc::new(client), spec))
}
