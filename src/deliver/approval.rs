//! Approval: fields and deletes that go only when a person has said so. Pure.

use serde_json::{Value, json};

use crate::bound::Bound;
use crate::deliver::decide::{AtOnce, Decision};
use crate::deliver::look::Looked;
use crate::model::binding::Approval;
use crate::model::record::{Record, same_value};

/// Turns a decision that needs an approval, and has none, into a hold.
///
/// What was approved is the effect, not the row: it goes only while the fields that need the approval still have the
/// values that a person saw.
pub fn or_hold(decision: Decision, looked: &Looked, bound: &Bound) -> Decision {
    let (word, fields, values) = match &decision {
        Decision::Update(changes) => ("update", needing(bound, changes, Approval::Updates), Some(changes)),
        Decision::Create(record) => ("create", needing(bound, record, Approval::Creates), Some(record)),
        Decision::Delete { .. } if bound.approve_deletes && !looked.waved => ("delete", Vec::new(), None),
        _ => return decision,
    };
    let Some(values) = values else {
        let shadow = looked.link.as_ref().and_then(|link| link.shadow.clone()).unwrap_or_default();
        let reason = "a delete needs an approval: rowtwin.approve or rowtwin.reject".to_owned();
        return hold(reason, None, json!({ word: shadow }));
    };
    let Some(first) = fields.first() else { return decision };
    let approved = looked.approved.as_ref().and_then(|effect| effect.get(word)).and_then(Value::as_object);
    let still = approved.is_some_and(|approved| {
        needing(bound, approved, least(word)) == fields
            && fields
                .iter()
                .all(|field| same_value(values.get(field), approved.get(field), bound.mapping.blank_is_null))
    });
    if still {
        return decision;
    }
    let names = fields.join(", ");
    let reason = if looked.approved.is_some() {
        format!("{names}: what was approved has changed meanwhile, so it needs an approval again")
    } else {
        format!("{names} needs an approval: rowtwin.approve or rowtwin.reject")
    };
    hold(reason, Some(first.clone()), json!({ word: values }))
}

fn hold(reason: String, field: Option<String>, would: Value) -> Decision {
    Decision::Settle(AtOnce::Hold { reason, field, would })
}

fn least(word: &str) -> Approval {
    if word == "create" { Approval::Creates } else { Approval::Updates }
}

/// The fields among these that need an approval of this kind.
fn needing(bound: &Bound, values: &Record, kind: Approval) -> Vec<String> {
    bound
        .mapping
        .fields
        .iter()
        .filter(|field| match kind {
            Approval::Never => false,
            Approval::Updates => field.approval != Approval::Never,
            Approval::Creates => field.approval == Approval::Creates,
        })
        .filter(|field| values.contains_key(&field.field))
        .map(|field| field.field.clone())
        .collect()
}
