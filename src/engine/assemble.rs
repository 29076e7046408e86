//! Assembling: from the configuration to compiled bindings, with all findings at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use secrecy::SecretString;
use serde_json::Value;

use crate::bound::Bound;
use crate::config::duration::{parse_duration, parse_share};
use crate::config::file::Field;
use crate::config::{BindingFile, RowtwinFile, Setting, SystemFile};
use crate::connector::{Client, Connector, SettingValue, Settings};
use crate::engine::gate::{SharedGate, UnderWay};
use crate::engine::{DEFAULT_NAME, Engine, EngineError};
use crate::mapping::Mapping;
use crate::mapping::reference::Reference;
use crate::metrics::Metrics;
use crate::model::binding::ReferredBy;
use crate::postgres::{ConnectOptions, connect_options};
use crate::remote::http::HttpTransport;
use crate::store::binding::{BindingSpec, SystemSpec};
use crate::store::{Store, StoreError};

/// Connections to the mirror database at the same time.
const POOL: usize = 16;
/// Calls of one binding at the same time where nothing says otherwise.
const IN_FLIGHT: u32 = 4;

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
    let manager = Manager::from_config(
        options.config().clone(),
        options.tls(),
        ManagerConfig { recycling_method: RecyclingMethod::Fast },
    );
    let pool = Pool::builder(manager)
        .max_size(POOL)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(30)))
        .create_timeout(Some(Duration::from_secs(15)))
        .build()
        .map_err(|error| EngineError::Database(error.to_string()))?;
    Ok((Store::new(pool), options))
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
        for (table_name, entry) in &file.tables {
            let (table, columns) = match store.table(table_name).await {
                Ok(found) => found,
                Err(StoreError::Table(reason)) => {
                    findings.push(reason);
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
                let mapping = match Mapping::new(binding, type_of, abilities.blank_is_null, refers) {
                    Ok(mapping) => mapping,
                    Err(more) => {
                        findings.extend(more.into_iter().map(|finding| format!("{place}: {finding}")));
                        continue;
                    }
                };
                specs.push(BindingSpec {
                    table: table_name.clone(),
                    system: binding.system.clone(),
                    object: binding.object.clone(),
                    pushes: binding.direction.pushes(),
                    pulls: binding.direction.pulls(),
                    settle_after_secs: duration(binding.settle_after.as_deref(), Duration::ZERO)
                        .as_secs_f64(),
                    mapping: serde_json::to_value(binding).unwrap_or(Value::Null),
                });
                bounds.push(Arc::new(Bound {
                    id: 0,
                    name: format!("{table_name} - {}.{}", binding.system, binding.object),
                    system: binding.system.clone(),
                    object: binding.object.clone(),
                    table: table.clone(),
                    mapping,
                    client: Arc::clone(client),
                    id_column: binding.id_column.clone(),
                    prefer: binding.prefer,
                    to_remote: binding.deletes.to_remote,
                    to_row: binding.deletes.to_row,
                    pushes: binding.direction.pushes(),
                    pulls: binding.direction.pulls(),
                    overwrite_check: binding.overwrite_check,
                    poll_every: duration(binding.poll.as_deref(), Duration::from_secs(30)),
                    sweep_every: sweep(binding),
                    doubt_window: duration(binding.doubt_window.as_deref(), Duration::from_secs(60)),
                    in_flight: usize::try_from(in_flight.get(&binding.system).copied().unwrap_or(IN_FLIGHT))
                        .unwrap_or(1),
                    abilities,
                    parents: Vec::new(),
                    children: Vec::new(),
                }));
            }
            tables.push(table);
        }
        if !findings.is_empty() {
            return Err(EngineError::Configuration(findings));
        }
        Ok(Self {
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
            bounds,
        })
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
    if !findings.is_empty() {
        return Err(EngineError::Configuration(findings));
    }
    let limits = connector.limits(name, &settings)?;
    let transport = Arc::new(HttpTransport::new(connector.http_options())?);
    let gate = Arc::new(SharedGate {
        store: store.clone(),
        system: name.to_owned(),
        metrics: metrics.clone(),
        only_looks: given.only_looks,
        under_way: UnderWay::default(),
    });
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
