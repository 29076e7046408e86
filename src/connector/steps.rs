//! Steps: the part of the client that takes records on in their lifecycle.

use std::sync::Arc;

use serde_json::Value;

use crate::connector::client::{Client, Removal};
use crate::connector::compiled::Object;
use crate::connector::error::ConnectorError;
use crate::connector::manifest::OperationName;
use crate::connector::request::object as members;
use crate::model::lifecycle::Lifecycle;
use crate::model::outcome::{BatchAnswer, Outcome};
use crate::remote::gate::Priority;

impl Client {
    /// Where an object's records can stand and the steps between; `None` where they have no lifecycle.
    ///
    /// # Errors
    /// When the connector has no such object.
    pub fn lifecycle(&self, object: &str) -> Result<Option<Lifecycle>, ConnectorError> {
        let compiled = self.caller.connector.object(object)?;
        Ok(compiled.lifecycle.as_ref().map(|staged| staged.lifecycle.clone()))
    }

    /// How many records one call of a step takes; 1 where there is no such step.
    pub fn step_batch(&self, object: &str, step: &str) -> usize {
        let compiled = self.caller.connector.object(object).ok();
        let staged = compiled.and_then(|compiled| compiled.lifecycle.as_ref());
        staged.and_then(|staged| staged.steps.get(step)).map_or(1, |operation| operation.batch)
    }

    /// Takes records one step on in their lifecycle. More than [`Self::step_batch`] at once is the caller's mistake
    /// and is refused.
    pub async fn step(&self, object: &str, step: &str, items: &[Removal], priority: Priority) -> BatchAnswer {
        let found = self.caller.connector.object(object).ok().and_then(|compiled| {
            let staged = compiled.lifecycle.as_ref()?;
            Some((Arc::clone(compiled), Arc::clone(staged.steps.get(step)?)))
        });
        let found = found.ok_or_else(|| Outcome::Misconfigured {
            reason: format!("connector {} cannot {step} {object}", self.caller.connector.name),
        });
        let inputs = members([("step", Value::from(step))]);
        self.write_by(found, OperationName::Step, object, named(items), inputs, priority).await
    }
}

/// The fields to ask for: where a record stands is always asked for as well.
pub(super) fn fields_value(object: &Object, fields: &[String]) -> Value {
    let field = object.lifecycle.as_ref().map(|staged| &staged.field);
    let more = field.filter(|field| !fields.contains(field));
    Value::Array(fields.iter().chain(more).map(|field| Value::from(field.as_str())).collect())
}

/// Records by their ids, as items of a write.
pub(super) fn named(items: &[Removal]) -> Vec<Value> {
    let item = |item: &Removal| {
        Value::Object(members([
            ("id", Value::from(item.id.as_str())),
            ("version", item.version.as_deref().map_or(Value::Null, Value::from)),
        ]))
    };
    items.iter().map(item).collect()
}
