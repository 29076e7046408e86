//! The client of one system: what the rest of the program asks and tells a remote through.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::connector::answer;
use crate::connector::call::{Call, Caller};
use crate::connector::compiled::{Abilities, Connector, Lines, Object, Operation};
use crate::connector::error::ConnectorError;
use crate::connector::expr::pool;
pub use crate::connector::items::{Change, FieldInfo, NewRecord, Page, Removal, same_field};
use crate::connector::lines::{self, Wanted};
use crate::connector::manifest::{ColumnSpec, OperationName};
use crate::connector::records;
use crate::connector::request::object as members;
use crate::connector::settings::Settings;
use crate::connector::steps::{fields_value, named};
use crate::model::outcome::{BatchAnswer, Outcome};
use crate::model::record::{Record, RemoteRecord};
use crate::remote::gate::{Gate, Priority};
use crate::remote::transport::Transport;

/// The most pages that one read or find follows: beyond that the remote repeats itself.
const MOST_PAGES: usize = 500;

/// One system, spoken to in its connector's words. Share it by `Arc`.
pub struct Client {
    pub(super) caller: Arc<Caller>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("system", &self.caller.system).finish_non_exhaustive()
    }
}

impl Client {
    /// # Errors
    /// When a setting or secret is missing or wrong; the message names it and the cure.
    pub fn new(
        system: &str,
        connector: Arc<Connector>,
        settings: Settings,
        transport: Arc<dyn Transport>,
        gate: Arc<dyn Gate>,
    ) -> Result<Self, ConnectorError> {
        Ok(Self { caller: Arc::new(Caller::new(system, connector, &settings, transport, gate)?) })
    }

    pub(super) fn of_caller(caller: Caller) -> Self {
        Self { caller: Arc::new(caller) }
    }

    /// The connector that this client speaks by.
    pub fn connector(&self) -> &Connector {
        &self.caller.connector
    }

    /// What can be done with an object.
    ///
    /// # Errors
    /// When the connector has no such object.
    pub fn abilities(&self, object: &str) -> Result<Abilities, ConnectorError> {
        let compiled = self.caller.connector.object(object)?;
        let attempt_field = self.caller.attempt_field(compiled, object)?;
        let reference_field = self.caller.named_field(compiled.reference_field.as_ref(), compiled, object)?;
        Ok(compiled.abilities(attempt_field, reference_field))
    }

    /// Signs in where that is needed, and says who the remote is: an organisation, a tenant, a data centre.
    pub async fn sign_in(&self) -> Result<Option<String>, Outcome> {
        self.caller.identity(Priority::Edit).await
    }

    /// One page of an object's records, changed at or after `since_ms` where that is given.
    ///
    /// `page` is what the page before gave as `next`. With `ids_only` the records may hold nothing but their ids.
    pub async fn list(
        &self,
        object: &str,
        fields: &[String],
        since_ms: Option<i64>,
        page: Option<&Value>,
        ids_only: bool,
        priority: Priority,
    ) -> Result<Page, Outcome> {
        let (compiled, operation) = self.operation(object, OperationName::List)?;
        let wanted = Wanted::of(fields);
        let inputs = members([
            ("fields", fields_value(&compiled, &wanted.fields)),
            ("collections", wanted.collections()),
            ("since", since_ms.map_or(Value::Null, Value::from)),
            ("page", page.cloned().unwrap_or(Value::Null)),
            ("ids_only", Value::from(ids_only)),
            ("limit", Value::from(operation.batch)),
        ]);
        let name = OperationName::List;
        let mut page = self.pages(name, object, &compiled, &operation, inputs, 0, priority).await?;
        if !ids_only {
            self.add_lines(object, &compiled, &wanted, &mut page.records, priority).await?;
        }
        Ok(page)
    }

    /// The records with these ids; those that are missing are simply absent.
    pub async fn read(
        &self,
        object: &str,
        fields: &[String],
        ids: &[String],
        priority: Priority,
    ) -> Result<Vec<RemoteRecord>, Outcome> {
        let (compiled, operation) = self.operation(object, OperationName::Read)?;
        let wanted = Wanted::of(fields);
        let mut found = Vec::new();
        for ids in ids.chunks(operation.batch) {
            let inputs = members([
                ("fields", fields_value(&compiled, &wanted.fields)),
                ("collections", wanted.collections()),
                ("ids", Value::from(ids)),
                ("ids_only", Value::from(false)),
                ("limit", Value::from(operation.batch)),
            ]);
            let name = OperationName::Read;
            let read = self.all_pages(name, object, &compiled, &operation, inputs, ids.len(), priority);
            found.extend(read.await?);
        }
        self.add_lines(object, &compiled, &wanted, &mut found, priority).await?;
        Ok(found)
    }

    /// All records that match any of `by`, which all have the same fields; the caller tells which is whose.
    pub async fn find(
        &self,
        object: &str,
        fields: &[String],
        by: &[Record],
        priority: Priority,
    ) -> Result<Vec<RemoteRecord>, Outcome> {
        let wanted = Wanted::of(fields);
        let mut found = self.find_alone(object, &wanted, by, priority).await?;
        let (compiled, _) = self.operation(object, OperationName::Find)?;
        self.add_lines(object, &compiled, &wanted, &mut found, priority).await?;
        Ok(found)
    }

    /// What is found, without the lines of documents.
    pub(super) async fn find_alone(
        &self,
        object: &str,
        wanted: &Wanted,
        by: &[Record],
        priority: Priority,
    ) -> Result<Vec<RemoteRecord>, Outcome> {
        let (compiled, operation) = self.operation(object, OperationName::Find)?;
        let combined = by.first().is_some_and(|record| record.len() > 1);
        let batch = if combined { operation.combined_batch } else { operation.batch };
        let mut found = Vec::new();
        for by in by.chunks(batch) {
            let inputs = members([
                ("fields", fields_value(&compiled, &wanted.fields)),
                ("collections", wanted.collections()),
                ("by", Value::Array(by.iter().cloned().map(Value::Object).collect())),
                ("ids_only", Value::from(false)),
                ("limit", Value::from(operation.batch)),
            ]);
            let name = OperationName::Find;
            let read = self.all_pages(name, object, &compiled, &operation, inputs, by.len(), priority);
            found.extend(read.await?);
        }
        Ok(found)
    }

    /// Creates records. More than `create_batch` at once is the caller's mistake and is refused.
    pub async fn create(&self, object: &str, items: &[NewRecord], priority: Priority) -> BatchAnswer {
        let planted = self.caller.connector.object(object).ok().map(|compiled| {
            (self.caller.attempt_field(compiled, object).ok().flatten(), Arc::clone(compiled))
        });
        let items = items.iter().map(|item| {
            let mut fields = item.fields.clone();
            let mut collections = Vec::new();
            if let Some((attempt_field, compiled)) = &planted {
                collections = lines::of_create(compiled, &mut fields);
                strip(&mut fields, compiled);
                if let Some(field) = attempt_field {
                    fields.insert(field.clone(), Value::from(item.attempt.to_string()));
                }
            }
            Value::Object(members([
                ("attempt", Value::from(item.attempt.to_string())),
                ("fields", Value::Object(fields)),
                ("lines", Value::from(collections)),
            ]))
        });
        self.write(OperationName::Create, object, items.collect(), false, priority).await
    }

    /// Changes records. More than `update_batch` at once is the caller's mistake and is refused.
    pub async fn update(&self, object: &str, items: &[Change], priority: Priority) -> BatchAnswer {
        match self.caller.connector.object(object).cloned() {
            Ok(compiled) if items.iter().any(|item| lines::apart(&compiled, item)) => {
                self.update_with_lines(object, &compiled, items, priority).await
            }
            _ => self.update_alone(object, items, priority).await,
        }
    }

    /// Changes records, with the lines that are a part of them.
    pub(super) async fn update_alone(
        &self,
        object: &str,
        items: &[Change],
        priority: Priority,
    ) -> BatchAnswer {
        let compiled = self.caller.connector.object(object).ok().cloned();
        let items = items.iter().map(|item| {
            let mut changes = item.changes.clone();
            let mut collections = Vec::new();
            if let Some(compiled) = &compiled {
                strip(&mut changes, compiled);
                collections = lines::of_update(compiled, &mut changes);
            }
            Value::Object(members([
                ("id", Value::from(item.id.as_str())),
                ("version", item.version.as_deref().map_or(Value::Null, Value::from)),
                ("changes", Value::Object(changes)),
                ("shadow", Value::Object(item.shadow.clone())),
                ("lines", Value::from(collections)),
            ]))
        });
        self.write(OperationName::Update, object, items.collect(), false, priority).await
    }

    /// Deletes records, or deactivates them in the connector's own way.
    pub async fn delete(
        &self,
        object: &str,
        items: &[Removal],
        deactivate: bool,
        priority: Priority,
    ) -> BatchAnswer {
        let operation = if deactivate { OperationName::Deactivate } else { OperationName::Delete };
        self.write(operation, object, named(items), deactivate, priority).await
    }

    /// Which column suits a field, by the kind that [`Self::describe`] gives it.
    pub fn columns(&self) -> &BTreeMap<String, ColumnSpec> {
        &self.caller.connector.columns
    }

    /// The object's own fields as the remote describes them.
    pub async fn describe(&self, object: &str) -> Result<Vec<FieldInfo>, Outcome> {
        let mut fields = self.describe_all(object).await?;
        fields.retain(|field| field.collection.is_none());
        Ok(fields)
    }

    /// The fields of the lines of one of the object's collections; none where the remote does not tell.
    pub async fn describe_lines(
        &self,
        object: &str,
        collection: &str,
    ) -> Result<Option<Vec<FieldInfo>>, Outcome> {
        let (compiled, _) = self.operation(object, OperationName::Describe)?;
        if let Some(Lines::Own { object: of_lines, .. }) = compiled.lines(collection) {
            return self.describe(of_lines).await.map(Some);
        }
        let mut fields = self.describe_all(object).await?;
        let of_lines =
            fields.iter().find(|field| field.name == collection).and_then(|field| field.lines_of.clone());
        if let Some(of_lines) = of_lines {
            return self.describe(&of_lines).await.map(Some);
        }
        fields.retain(|field| field.collection.as_deref() == Some(collection));
        Ok(Some(fields).filter(|fields| !fields.is_empty()))
    }

    async fn describe_all(&self, object: &str) -> Result<Vec<FieldInfo>, Outcome> {
        let (compiled, operation) = self.operation(object, OperationName::Describe)?;
        let call = self.call(OperationName::Describe, object, &compiled, members([]), 0, Priority::Edit);
        let step = operation.steps.first().ok_or_else(no_step)?;
        let answer = self.caller.exchange(&call, step).await?;
        let work = move || records::fields(&operation, &answer.input);
        unpack(pool::run(work).await)
    }

    pub(super) fn operation(
        &self,
        object: &str,
        name: OperationName,
    ) -> Result<(Arc<Object>, Arc<Operation>), Outcome> {
        let misconfigured = |reason: String| Outcome::Misconfigured { reason };
        let compiled =
            self.caller.connector.object(object).map_err(|error| misconfigured(error.to_string()))?;
        let operation = compiled.operations.get(&name).ok_or_else(|| {
            misconfigured(format!(
                "connector {} cannot {} {object}",
                self.caller.connector.name,
                name.word().replace('_', " ")
            ))
        })?;
        Ok((Arc::clone(compiled), Arc::clone(operation)))
    }

    pub(super) fn call(
        &self,
        operation: OperationName,
        name: &str,
        compiled: &Object,
        mut inputs: Record,
        records: usize,
        priority: Priority,
    ) -> Call {
        inputs.insert("object".to_owned(), compiled.seen(name));
        Call { operation, object: name.to_owned(), inputs, records, priority }
    }

    #[expect(clippy::too_many_arguments, reason = "one inner step of the three reads")]
    pub(super) async fn pages(
        &self,
        name: OperationName,
        object: &str,
        compiled: &Arc<Object>,
        operation: &Arc<Operation>,
        inputs: Record,
        records: usize,
        priority: Priority,
    ) -> Result<Page, Outcome> {
        let call = self.call(name, object, compiled, inputs, records, priority);
        let step = operation.steps.first().ok_or_else(no_step)?;
        let answer = self.caller.exchange(&call, step).await?;
        let (compiled, operation) = (Arc::clone(compiled), Arc::clone(operation));
        let work = move || records::page(&compiled, &operation, &answer.input);
        let mut page = unpack(pool::run(work).await)?;
        page.remote_clock_ms = answer.remote_clock_ms;
        Ok(page)
    }

    #[expect(clippy::too_many_arguments, reason = "one inner step of two reads")]
    pub(super) async fn all_pages(
        &self,
        name: OperationName,
        object: &str,
        compiled: &Arc<Object>,
        operation: &Arc<Operation>,
        mut inputs: Record,
        records: usize,
        priority: Priority,
    ) -> Result<Vec<RemoteRecord>, Outcome> {
        let mut found = Vec::new();
        for _ in 0..MOST_PAGES {
            let page =
                self.pages(name, object, compiled, operation, inputs.clone(), records, priority).await?;
            if let Some((reason, _)) = page.unreadable.first() {
                return Err(Outcome::Reject { field: None, reason: reason.clone() });
            }
            found.extend(page.records);
            match page.next {
                // a page that is full by chance: all that was asked for by id is there
                Some(_) if name == OperationName::Read && found.len() >= records => return Ok(found),
                Some(next) => inputs.insert("page".to_owned(), next),
                None => return Ok(found),
            };
        }
        Err(Outcome::Misconfigured {
            reason: format!("{object} has more than {MOST_PAGES} pages of matches"),
        })
    }

    pub(super) async fn write(
        &self,
        name: OperationName,
        object: &str,
        items: Vec<Value>,
        deactivate: bool,
        priority: Priority,
    ) -> BatchAnswer {
        let inputs = members([("deactivate", Value::from(deactivate))]);
        self.write_by(self.operation(object, name), name, object, items, inputs, priority).await
    }

    pub(super) async fn write_by(
        &self,
        found: Result<(Arc<Object>, Arc<Operation>), Outcome>,
        name: OperationName,
        object: &str,
        items: Vec<Value>,
        more: Record,
        priority: Priority,
    ) -> BatchAnswer {
        let count = items.len();
        let whole = |outcome: Outcome| BatchAnswer { outcomes: vec![outcome; count], whole: true };
        if count == 0 {
            return BatchAnswer { outcomes: Vec::new(), whole: false };
        }
        let (compiled, operation) = match found {
            Ok(found) => found,
            Err(outcome) => return whole(outcome),
        };
        if count > operation.batch {
            let reason = format!("{count} records were sent where {} is the most", operation.batch);
            return whole(Outcome::Misconfigured { reason });
        }
        let mut outcomes = vec![Outcome::ok(); count];
        let mut going: Vec<usize> = (0..count).collect();
        let last = operation.steps.len().saturating_sub(1);
        let mut whole_failure = false;
        let mut before = Value::Null;
        for (number, step) in operation.steps.iter().enumerate() {
            let chosen: Vec<Value> = going.iter().filter_map(|at| items.get(*at).cloned()).collect();
            let mut inputs =
                members([("items", Value::Array(chosen)), ("limit", Value::from(operation.batch))]);
            inputs.extend(more.clone());
            inputs.insert("before".to_owned(), std::mem::take(&mut before));
            let call = self.call(name, object, &compiled, inputs, going.len(), priority);
            let told = match self.caller.exchange(&call, step).await {
                Ok(answer) => {
                    before = answer.input.get("body").cloned().unwrap_or_default();
                    let (step, many) = (step.clone(), going.len());
                    let work = move || answer::results(&step, name, &answer.input, many);
                    pool::run(work)
                        .await
                        .unwrap_or_else(|| Err(answer::lost(answer::effect(name), broke_down())))
                }
                Err(outcome) => Err(outcome),
            };
            let told = told.map(|outcomes| self.caller.scrub_all(outcomes)).unwrap_or_else(|outcome| {
                whole_failure = number == 0 || going.len() == count;
                vec![outcome; going.len()]
            });
            let mut next = Vec::new();
            for (at, outcome) in going.iter().zip(told) {
                let refused = matches!(outcome, Outcome::Reject { .. } | Outcome::Gone { .. });
                let goes_on = matches!(outcome, Outcome::Ok { .. }) || (step.lenient && refused);
                if goes_on && number < last {
                    next.push(*at);
                } else if let Some(place) = outcomes.get_mut(*at) {
                    *place = outcome;
                }
            }
            if next.is_empty() {
                break;
            }
            whole_failure = false;
            going = next;
        }
        BatchAnswer { outcomes, whole: whole_failure }
    }
}

pub(super) fn strip(fields: &mut Record, object: &Object) {
    for name in &object.read_only {
        fields.shift_remove(name);
    }
}

pub(super) fn no_step() -> Outcome {
    Outcome::Misconfigured { reason: "the manifest's operation has no request".to_owned() }
}

fn broke_down() -> String {
    "the answer could not be worked on".to_owned()
}

/// An answer to a read that cannot be understood is asked for again: most often a gateway answered instead.
pub(super) fn unpack<T>(done: Option<Result<T, String>>) -> Result<T, Outcome> {
    let reason = match done {
        Some(Ok(value)) => return Ok(value),
        Some(Err(reason)) => format!("the answer has an unexpected shape: {reason}"),
        None => broke_down(),
    };
    Err(Outcome::Retry { after: None, reason })
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
