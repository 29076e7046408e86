//! The compiled manifest: the same shapes with every expression compiled, ready to be asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::connector::error::ConnectorError;
use crate::connector::expr::Expr;
use crate::connector::manifest::{ColumnSpec, OperationName, SettingSpec, SignInKind};
use crate::connector::settings::{self, Settings};
use crate::connector::webhook::Webhooks;
use crate::model::lifecycle::Lifecycle;
use crate::model::outcome::OutcomeKind;
use crate::remote::http::{BODY_LIMIT, HttpOptions};

/// A connector, compiled: shared by all clients of its systems. A clone shares the expressions.
#[derive(Debug, Clone)]
pub struct Connector {
    pub name: String,
    pub title: String,
    /// What an account has to say, by name.
    pub settings_spec: BTreeMap<String, SettingSpec>,
    /// Which column suits a field, by its kind.
    pub(super) columns: BTreeMap<String, ColumnSpec>,
    pub(super) http: HttpOptions,
    /// Answers are XML.
    pub(super) xml: bool,
    pub(super) timeout: Duration,
    pub(super) select: Option<Expr>,
    pub(super) sign_in: BTreeMap<String, SignIn>,
    pub(super) request: Shared,
    pub(super) limits: CompiledLimits,
    pub(super) answers: Vec<Rule>,
    pub(super) webhooks: Option<Webhooks>,
    pub(super) objects: BTreeMap<String, Arc<Object>>,
}

/// What a system allows; `None` where its documentation names no limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    pub per_second: Option<f64>,
    pub in_flight: Option<u32>,
    pub per_day: Option<u64>,
    /// The time zone in which the day ends.
    pub daily_reset: String,
}

#[derive(Debug, Clone)]
pub(super) struct CompiledLimits {
    pub(super) per_second: Option<f64>,
    pub(super) in_flight: Option<u32>,
    pub(super) per_day: Option<Expr>,
    pub(super) daily_reset: Option<String>,
    pub(super) usage: Option<Expr>,
}

#[derive(Debug, Clone)]
pub(super) struct SignIn {
    pub(super) kind: SignInKind,
    /// What is done before it.
    pub(super) begins_with: Option<Box<SignIn>>,
    pub(super) step: Option<Step>,
    pub(super) token: Option<Expr>,
    pub(super) expires_in: Option<Expr>,
    pub(super) margin: Duration,
    pub(super) identity: Option<Expr>,
    /// Secret settings that the answer replaces.
    pub(super) keep: BTreeMap<String, Expr>,
    pub(super) signature: Option<Expr>,
}

/// What all requests share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) base: Expr,
    pub(super) headers: Option<Expr>,
    pub(super) query: Option<Expr>,
    pub(super) body: Option<Expr>,
    pub(super) text: Option<Expr>,
}

/// A path: texts and expressions in turn.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(String),
    Hole(Expr),
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) method: Vec<Piece>,
    pub(super) path: Vec<Piece>,
    pub(super) query: Option<Expr>,
    pub(super) headers: Option<Expr>,
    pub(super) body: Option<Expr>,
    pub(super) form: Option<Expr>,
    pub(super) text: Option<Expr>,
    pub(super) results: Option<Expr>,
    pub(super) answers: Vec<Rule>,
    pub(super) lenient: bool,
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) batch: usize,
    pub(super) combined_batch: usize,
    pub(super) records: Option<Expr>,
    pub(super) next: Option<Expr>,
    pub(super) after: Option<Expr>,
    /// At least one.
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) when: Expr,
    pub(super) outcome: OutcomeKind,
    pub(super) reason: Option<Expr>,
    pub(super) after: Option<Expr>,
    pub(super) field: Option<Expr>,
    pub(super) id: Option<Expr>,
    pub(super) on: Vec<OperationName>,
}

/// An object with what it borrows from `*`.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) id: Expr,
    pub(super) version: Option<Expr>,
    pub(super) modified: Option<Expr>,
    pub(super) reference: Option<Expr>,
    pub(super) reference_field: Option<Expr>,
    pub(super) deleted: Option<Expr>,
    pub(super) attempt_field: Option<Expr>,
    pub(super) blank_is_null: bool,
    pub(super) numeric_ids: bool,
    pub(super) checks_version: bool,
    pub(super) idempotent_create: bool,
    pub(super) idempotent_for: Option<Duration>,
    pub(super) overlap: Duration,
    pub(super) read_only: Vec<String>,
    pub(super) parameters: serde_json::Map<String, Value>,
    pub(super) operations: BTreeMap<OperationName, Arc<Operation>>,
    pub(super) lifecycle: Option<Staged>,
    pub(super) lines: BTreeMap<String, Arc<Lines>>,
}

/// A lifecycle with its requests.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) state: Expr,
    /// The field that tells where a record stands.
    pub(super) field: String,
    pub(super) lifecycle: Lifecycle,
    pub(super) steps: BTreeMap<String, Arc<Operation>>,
}

/// Where the lines of a collection are.
#[derive(Debug)]
pub(super) enum Lines {
    /// Records of an object of their own.
    Own { object: String, parent: String, watch: bool },
    /// In the record itself.
    Nested(Expr),
    /// Read by a request of their own, so many of them in one page.
    Read { operation: Arc<Operation>, page: usize },
}

/// What can be done with an object, and how much of it at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Abilities {
    pub create_batch: usize,
    pub update_batch: usize,
    pub delete_batch: usize,
    pub read_batch: usize,
    /// Keys of one field in one call; the client cuts longer lists into calls itself.
    pub find_batch: usize,
    pub list_page: usize,
    pub can_create: bool,
    pub can_update: bool,
    pub can_find: bool,
    pub can_delete: bool,
    pub can_deactivate: bool,
    pub can_list: bool,
    pub can_read: bool,
    pub can_describe: bool,
    /// The remote itself refuses a write that is based on an older version.
    pub checks_version: bool,
    /// The field in which a create's attempt id is planted and can be found again.
    pub attempt_field: Option<String>,
    /// The field that holds the name by which other records refer to one, where that is not the id.
    pub reference_field: Option<String>,
    /// Fields that name another record by its id hold a number.
    pub numeric_ids: bool,
    /// A create that is sent twice makes one record.
    pub idempotent_create: bool,
    /// For how long the remote remembers a create; `None`: for ever.
    pub idempotent_for: Option<Duration>,
    pub blank_is_null: bool,
    /// How far a list has to reach back before its cursor.
    pub overlap_ms: i64,
    /// The field that holds the id, where it is one.
    pub id_field: Option<String>,
    /// The field that holds the last-modified stamp, where the object has one.
    pub modified_field: Option<String>,
    /// Fields that are never sent.
    pub read_only: Vec<String>,
}

impl Connector {
    /// How the system is spoken to: what a transport is made with.
    pub fn http_options(&self) -> HttpOptions {
        self.http
    }

    /// The objects that the manifest names; others go by `*` where there is one.
    pub fn objects(&self) -> Vec<&str> {
        self.objects.keys().map(String::as_str).filter(|name| *name != "*").collect()
    }

    /// What the system allows an account with these settings.
    pub fn limits(&self, system: &str, given: &Settings) -> Result<Limits, ConnectorError> {
        let checked = settings::check(system, self, given)?;
        let failed = |reason: String| ConnectorError::Expression {
            system: system.to_owned(),
            connector: self.name.clone(),
            reason,
        };
        let per_day = match &self.limits.per_day {
            Some(expr) => expr
                .first(&json!({ "settings": checked.plain }))
                .map_err(|error| failed(error.to_string()))?
                .and_then(|value| whole_number(&value)),
            None => None,
        };
        Ok(Limits {
            per_second: self.limits.per_second,
            in_flight: self.limits.in_flight,
            per_day,
            daily_reset: self.limits.daily_reset.clone().unwrap_or_else(|| "UTC".to_owned()),
        })
    }

    pub(super) fn object(&self, name: &str) -> Result<&Arc<Object>, ConnectorError> {
        self.objects.get(name).or_else(|| self.objects.get("*")).ok_or_else(|| ConnectorError::Object {
            connector: self.name.clone(),
            object: name.to_owned(),
            known: self.objects().join(", "),
        })
    }
}

impl Object {
    /// How the lines of a collection are read and written.
    pub(super) fn lines(&self, collection: &str) -> Option<&Lines> {
        self.lines.get(collection).or_else(|| self.lines.get("*")).map(Arc::as_ref)
    }

    /// `.object` as expressions see it.
    pub(super) fn seen(&self, name: &str) -> Value {
        let mut seen = self.parameters.clone();
        seen.insert("name".to_owned(), Value::from(name));
        Value::Object(seen)
    }

    pub(super) fn abilities(
        &self,
        attempt_field: Option<String>,
        reference_field: Option<String>,
    ) -> Abilities {
        let batch = |name| self.operations.get(&name).map_or(1, |operation| operation.batch);
        let can = |name| self.operations.contains_key(&name);
        Abilities {
            create_batch: batch(OperationName::Create),
            update_batch: batch(OperationName::Update),
            delete_batch: batch(OperationName::Delete),
            read_batch: batch(OperationName::Read),
            find_batch: batch(OperationName::Find),
            list_page: batch(OperationName::List),
            can_create: can(OperationName::Create),
            can_update: can(OperationName::Update),
            can_find: can(OperationName::Find),
            can_delete: can(OperationName::Delete),
            can_deactivate: can(OperationName::Deactivate),
            can_list: can(OperationName::List),
            can_read: can(OperationName::Read),
            can_describe: can(OperationName::Describe),
            checks_version: self.checks_version,
            attempt_field,
            reference_field,
            numeric_ids: self.numeric_ids,
            idempotent_create: self.idempotent_create,
            idempotent_for: self.idempotent_for,
            blank_is_null: self.blank_is_null,
            overlap_ms: i64::try_from(self.overlap.as_millis()).unwrap_or(i64::MAX),
            id_field: field_of(&self.id)
                .or_else(|| self.parameters.get("id_field").and_then(Value::as_str).map(str::to_owned)),
            modified_field: self.modified.as_ref().and_then(field_of),
            read_only: self.read_only.clone(),
        }
    }
}

impl Abilities {
    /// Whether a create that is this old can be sent once more without making a second record.
    pub fn repeats_a_create(&self, age: Duration) -> bool {
        self.idempotent_create && self.idempotent_for.is_none_or(|memory| age < memory)
    }
}

/// The field that an expression begins with: `.record.NAME …`.
pub(super) fn field_of(expr: &Expr) -> Option<String> {
    let rest = expr.source().trim().strip_prefix(".record.")?;
    let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len());
    rest.get(..end).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Where the brace that is open at the start of `text` is closed; texts in quotes are skipped.
pub(super) fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quoted = false;
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted && depth == 0 => return Some(at),
            '}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A number or a text of digits as a whole number.
pub(super) fn whole_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            (float >= 0.0 && float.fract() == 0.0 && float < 9e15).then_some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const DEFAULT_BODY_LIMIT: usize = BODY_LIMIT;
