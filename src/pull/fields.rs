//! Fields: how the remote describes the object, once a day. A mapped field that goes or changes holds the binding.

use std::time::Duration;

use serde_json::{Value, json};
use tracing::{debug, error};

use crate::bound::Bound;
use crate::connector::{FieldInfo, same_field};
use crate::pull::Puller;
use crate::store::StoreError;
use crate::store::drift::KnownField;

/// When a description that failed is tried again.
const AGAIN: Duration = Duration::from_secs(600);

impl Puller {
    /// Asks the remote for the object's fields; true when the binding is held for what they are.
    pub(super) async fn describe(&self) -> Result<bool, StoreError> {
        let bound = &self.bound;
        let described = match bound.client.describe(&bound.object).await {
            Ok(described) => described,
            Err(outcome) => {
                debug!(reason = outcome.reason(), "the object's fields could not be read");
                self.store.describe_later(bound.id, AGAIN).await?;
                return Ok(false);
            }
        };
        let known = self.store.known_fields(bound.id).await?;
        let drift = drift(bound, &known, &described);
        let gone: Vec<String> = known
            .iter()
            .filter(|field| !described.iter().any(|one| one.name == field.name))
            .map(|field| field.name.clone())
            .collect();
        // what has drifted stays known as it was, until a person says that it is right
        let fields: Vec<Value> = described
            .iter()
            .filter(|field| !drift.iter().any(|(name, _)| *name == field.name))
            .map(|field| {
                json!({"field": field.name, "label": field.label, "kind": field.kind, "required": field.required,
                       "writable": field.writable})
            })
            .collect();
        self.store.note_fields(bound.id, &Value::Array(fields), &gone).await?;
        if drift.is_empty() {
            return Ok(false);
        }
        let changes: Vec<String> = drift.into_iter().map(|(_, change)| change).collect();
        let changes = changes.join("; ");
        let reason = format!(
            "{changes}; mend it there, or correct `fields` and restart rowtwin; if it is right as it is: select rowtwin.resume('{}')",
            bound.system
        );
        if self.store.hold_binding(bound.id, &reason).await? {
            error!(binding = %bound.name, reason = %changes, "the remote's object has changed; the binding is held");
        }
        Ok(true)
    }
}

/// What became of the mapped fields that were described before: (name, change). A field that never was described is
/// none of ours to judge: not every system describes all that it takes.
fn drift(bound: &Bound, known: &[KnownField], described: &[FieldInfo]) -> Vec<(String, String)> {
    let object = format!("{}.{}", bound.system, bound.object);
    let mut changes = Vec::new();
    for was in known {
        let mut mapped =
            bound.mapping.fields.iter().filter(|field| same_field(&was.name, &field.field)).peekable();
        if mapped.peek().is_none() {
            continue;
        }
        let pushes = mapped.any(|field| field.pushes);
        match described.iter().find(|field| field.name == was.name) {
            // a reference may be described by another name of the same field
            None if described.iter().any(|field| field.is_of(&was.name)) => {}
            None => {
                changes.push((was.name.clone(), format!("{object} has no field `{}` any more", was.name)))
            }
            Some(now) => {
                if let Some(kind) = was.kind.as_ref().filter(|kind| **kind != now.kind) {
                    let change =
                        format!("field `{}` of {object} is {} now, and was {kind}", was.name, now.kind);
                    changes.push((was.name.clone(), change));
                } else if was.writable == Some(true) && !now.writable && pushes {
                    let change = format!("field `{}` of {object} cannot be written any more", was.name);
                    changes.push((was.name.clone(), change));
                }
            }
        }
    }
    changes
}
