//! Changes: what the remote lacks of a row's lines.

use serde_json::{Value, json};

use crate::model::diff::overlay;
use crate::model::document::{Line, LineRules, align, lines_value};

/// What is to be sent of one collection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// Lines that the remote does not have, in the row's order: key and fields.
    pub added: Vec<Line>,
    /// Lines with the changed fields alone: id, key and fields.
    pub changed: Vec<Line>,
    /// Lines that the row no longer has, as the shadow knows them.
    pub removed: Vec<Line>,
    /// All lines as they are to be, in the row's order.
    pub all: Vec<Line>,
}

impl Changes {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// Whether a line is to be changed or removed whose id is not known: the record must be read first.
    pub fn lacks_ids(&self) -> bool {
        self.changed.iter().chain(&self.removed).any(|line| line.id.is_none())
    }

    /// The form in which connectors see it: `{added, changed, removed: [ids], all}`.
    pub fn to_value(&self) -> Value {
        let removed: Vec<&str> = self.removed.iter().filter_map(|line| line.id.as_deref()).collect();
        json!({
            "added": lines_value(&self.added),
            "changed": lines_value(&self.changed),
            "removed": removed,
            "all": lines_value(&self.all),
        })
    }

    /// Takes the JSON form apart; `None` when it is not one.
    pub fn from_value(value: &Value) -> Option<Self> {
        let lines = |name: &str| -> Option<Vec<Line>> {
            value.get(name)?.as_array()?.iter().map(Line::from_value).collect()
        };
        let removed = value.get("removed")?.as_array()?;
        Some(Self {
            added: lines("added")?,
            changed: lines("changed")?,
            removed: removed
                .iter()
                .map(|id| Line { id: id.as_str().map(str::to_owned), ..Line::default() })
                .collect(),
            all: lines("all")?,
        })
    }
}

/// What the remote lacks of the row's lines, with `shadow` as what it has.
pub fn changes(row: &[Line], shadow: &[Line], rules: &impl LineRules) -> Changes {
    let mut found = Changes::default();
    if !rules.pushes() {
        return found;
    }
    let mut removed = Vec::new();
    let triples = align(row, &[], shadow, rules.recognition(), false);
    let known: std::collections::HashMap<&str, &Line> = triples
        .iter()
        .filter_map(|triple| {
            if triple.row.is_none() {
                removed.extend(triple.shadow.cloned());
            }
            Some((triple.row?.key.as_deref()?, triple.shadow?))
        })
        .collect();
    for line in row {
        let base = line.key.as_deref().and_then(|key| known.get(key));
        match base {
            None => {
                let sent = Line { id: None, key: line.key.clone(), fields: rules.new_line(&line.fields) };
                found.all.push(Line { fields: rules.project(&sent.fields), ..sent.clone() });
                found.added.push(sent);
            }
            Some(base) => {
                let fields = rules.push_diff(&line.fields, &base.fields, base.label());
                let whole = overlay(&base.fields, &fields);
                found.all.push(Line { id: base.id.clone(), key: line.key.clone(), fields: whole });
                if !fields.is_empty() {
                    found.changed.push(Line { id: base.id.clone(), key: line.key.clone(), fields });
                }
            }
        }
    }
    found.removed = removed;
    found
}
