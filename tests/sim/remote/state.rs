//! The records of a simulated remote, what each call makes of them, and who wrote what: the checker reads that history.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::remote::abilities::Abilities;
use crate::remote::fault::{Fault, Op};

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Person,
    Engine,
}

/// One effect on one record.
#[derive(Debug, Clone)]
pub struct Effect {
    pub object: String,
    pub id: String,
    /// The record's code: what ties it to its row, whatever the engine believes.
    pub code: String,
    pub by: By,
    pub op: Op,
    /// The record before and after; none where there was or is none.
    pub before: Option<Map<String, Value>>,
    pub after: Option<Map<String, Value>>,
    /// The caller was told, as far as the remote knows.
    pub answered: bool,
}

#[derive(Debug, Clone)]
pub struct Record {
    pub fields: Map<String, Value>,
    pub version: u64,
    pub modified_ms: i64,
    pub deleted: bool,
    /// Lists and finds show it once so many calls were made.
    pub shown_from: usize,
}

/// A call that the remote remembers.
#[derive(Debug, Clone)]
pub struct Call {
    pub op: Op,
    pub body: Value,
}

#[derive(Debug, Default)]
pub struct State {
    pub objects: BTreeMap<String, BTreeMap<u64, Record>>,
    pub last_id: u64,
    pub token: u64,
    pub calls: Vec<Call>,
    pub calls_ever: usize,
    pub effects: Vec<Effect>,
    /// Armed faults, and the calls that they are for.
    pub faults: Vec<(Op, Fault)>,
    /// Writes that broke off and are still to be done.
    pub late: Vec<(Op, Value)>,
    pub(super) attempts: HashMap<String, u64>,
    /// Promises that a call of ours broke.
    pub broken: Vec<String>,
    /// Which field of which object refers to which object.
    pub references: Vec<(String, String, String)>,
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl State {
    pub fn id_text(abilities: &Abilities, id: u64) -> String {
        if abilities.numeric_ids { id.to_string() } else { format!("r{id}") }
    }

    fn number(text: &str) -> u64 {
        text.trim_start_matches('r').parse().unwrap_or(0)
    }

    fn id_value(abilities: &Abilities, id: u64) -> Value {
        if abilities.numeric_ids { Value::from(id) } else { Value::from(Self::id_text(abilities, id)) }
    }

    fn told(abilities: &Abilities, id: u64, record: &Record) -> Value {
        let mut told = record.fields.clone();
        told.insert("_id".to_owned(), Self::id_value(abilities, id));
        let stamp = if abilities.seconds { record.modified_ms / 1000 } else { record.modified_ms };
        told.insert("_modified".to_owned(), Value::from(stamp));
        if abilities.versions {
            told.insert("_version".to_owned(), Value::from(record.version));
        }
        if abilities.tombstones {
            told.insert("_deleted".to_owned(), Value::from(record.deleted));
        }
        Value::Object(told)
    }

    pub fn code(fields: &Map<String, Value>) -> String {
        fields.get("code").and_then(Value::as_str).unwrap_or("?").to_owned()
    }

    /// The live records of an object.
    pub fn live(&self, object: &str) -> Vec<(u64, &Record)> {
        self.objects
            .get(object)
            .into_iter()
            .flatten()
            .filter(|(_, record)| !record.deleted)
            .map(|(id, record)| (*id, record))
            .collect()
    }

    fn note(
        &mut self,
        object: &str,
        id: String,
        by: By,
        op: Op,
        before: Option<Map<String, Value>>,
        after: Option<Map<String, Value>>,
    ) {
        let code = Self::code(after.as_ref().or(before.as_ref()).unwrap_or(&Map::new()));
        self.effects.push(Effect {
            object: object.to_owned(),
            id,
            code,
            by,
            op,
            before,
            after,
            answered: true,
        });
    }

    pub fn insert(
        &mut self,
        abilities: &Abilities,
        object: &str,
        fields: &Map<String, Value>,
        by: By,
    ) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let mut stored: Map<String, Value> = Map::new();
        for (field, value) in fields {
            if field == "lines" {
                let lines =
                    value.as_array().into_iter().flatten().map(|line| self.line(abilities, line)).collect();
                stored.insert(field.clone(), Value::Array(lines));
            } else {
                stored.insert(field.clone(), abilities.stored(field, value));
            }
        }
        let code = Self::code(&stored);
        let twin = self.live(object).iter().any(|(_, record)| Self::code(&record.fields) == code);
        if by == By::Engine && twin {
            self.broken.push(format!("a second record with code {code} was made while the first is there"));
        }
        let shown_from =
            if by == By::Engine || abilities.lag > 0 { self.calls_ever + abilities.lag } else { 0 };
        let record =
            Record { fields: stored.clone(), version: 1, modified_ms: now_ms(), deleted: false, shown_from };
        self.objects.entry(object.to_owned()).or_default().insert(id, record);
        self.note(object, Self::id_text(abilities, id), by, Op::Create, None, Some(stored));
        id
    }

    /// A new line, with an id of its own.
    fn line(&mut self, abilities: &Abilities, fields: &Value) -> Value {
        self.last_id += 1;
        let mut line = Map::new();
        line.insert("id".to_owned(), Value::from(format!("l{}", self.last_id)));
        for (field, value) in fields.as_object().into_iter().flatten() {
            line.insert(field.clone(), abilities.stored(field, value));
        }
        Value::Object(line)
    }

    /// The lines of a record after `{added, changed, removed}`.
    fn lines(&mut self, abilities: &Abilities, before: Option<&Value>, changes: &Value) -> Value {
        let mut lines: Vec<Value> = before.and_then(Value::as_array).cloned().unwrap_or_default();
        let removed = changes["removed"].as_array().cloned().unwrap_or_default();
        lines.retain(|line| !removed.contains(&line["id"]));
        for change in changes["changed"].as_array().into_iter().flatten() {
            let Some(line) = lines.iter_mut().find(|line| line["id"] == change["id"]) else { continue };
            for (field, value) in change["fields"].as_object().into_iter().flatten() {
                line[field] = abilities.stored(field, value);
            }
        }
        for added in changes["added"].as_array().into_iter().flatten() {
            let line = self.line(abilities, added);
            lines.push(line);
        }
        Value::Array(lines)
    }

    pub fn change(
        &mut self,
        abilities: &Abilities,
        object: &str,
        id: u64,
        changes: &Map<String, Value>,
        by: By,
    ) {
        let there = self.objects.get(object).and_then(|records| records.get(&id));
        let Some(lines) = there.map(|record| record.fields.get("lines").cloned()) else { return };
        let lines = changes.get("lines").map(|changes| self.lines(abilities, lines.as_ref(), changes));
        let Some(record) = self.objects.get_mut(object).and_then(|records| records.get_mut(&id)) else {
            return;
        };
        let before = record.fields.clone();
        if let Some(lines) = lines {
            record.fields.insert("lines".to_owned(), lines);
        }
        for (field, value) in changes.iter().filter(|(field, _)| *field != "lines") {
            record.fields.insert(field.clone(), abilities.stored(field, value));
        }
        let after = record.fields.clone();
        if before != after || abilities.bumps {
            record.version += 1;
            record.modified_ms = now_ms();
        }
        if before != after {
            self.note(object, Self::id_text(abilities, id), by, Op::Update, Some(before), Some(after));
        }
    }

    pub fn remove(&mut self, abilities: &Abilities, object: &str, id: u64, by: By) {
        let Some(records) = self.objects.get_mut(object) else { return };
        let Some(record) = records.get_mut(&id) else { return };
        let before = record.fields.clone();
        if abilities.tombstones {
            record.deleted = true;
            record.version += 1;
            record.modified_ms = now_ms();
        } else {
            records.remove(&id);
        }
        self.note(object, Self::id_text(abilities, id), by, Op::Delete, Some(before), None);
    }

    /// Does the writes that broke off.
    pub fn do_late(&mut self, abilities: &Abilities) {
        for (op, body) in std::mem::take(&mut self.late) {
            let before = self.effects.len();
            let _ = self.answer(abilities, op, &body, None);
            for effect in &mut self.effects[before..] {
                effect.answered = false;
            }
        }
    }

    /// What a call does, and its answer: a status and a body.
    pub fn answer(
        &mut self,
        abilities: &Abilities,
        op: Op,
        body: &Value,
        fault: Option<Fault>,
    ) -> (u16, Value) {
        let object = body["object"].as_str().unwrap_or_default().to_owned();
        match op {
            Op::SignIn => {
                (200, json!({"token": format!("token-{:08}", self.token), "account": "the only one"}))
            }
            Op::List => (200, self.list(abilities, &object, body, fault)),
            Op::Read => {
                let ids: Vec<u64> = body["ids"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|id| Self::number(id.as_str().unwrap()))
                    .collect();
                let known = self.objects.get(&object);
                let found = ids.iter().filter_map(|id| known?.get(id).map(|record| (*id, record)));
                let records = found.map(|(id, record)| Self::told(abilities, id, record)).collect();
                (200, json!({"records": shuffled(records, fault)}))
            }
            Op::Find => {
                let fits = |record: &Record| {
                    body["by"].as_array().unwrap().iter().any(|by| {
                        by.as_object()
                            .unwrap()
                            .iter()
                            .all(|(field, value)| record.fields.get(field) == Some(value))
                    })
                };
                let found =
                    self.shown(&object).into_iter().filter(|(_, record)| fits(record) && !record.deleted);
                let records = found.map(|(id, record)| Self::told(abilities, id, record)).collect();
                (200, json!({"records": shuffled(records, fault)}))
            }
            Op::Create | Op::Update | Op::Delete => self.write(abilities, op, &object, body, fault),
        }
    }

    fn shown(&self, object: &str) -> Vec<(u64, &Record)> {
        let records = self.objects.get(object).into_iter().flatten();
        records
            .filter(|(_, record)| record.shown_from <= self.calls_ever)
            .map(|(id, record)| (*id, record))
            .collect()
    }

    fn list(&self, abilities: &Abilities, object: &str, body: &Value, fault: Option<Fault>) -> Value {
        let after = body["after"].as_u64().unwrap_or(0);
        let since = body["since"].as_i64();
        let limit = usize::try_from(body["limit"].as_u64().unwrap()).unwrap();
        let ids_only = body["ids_only"].as_bool().unwrap_or(false);
        let stamp =
            |record: &Record| if abilities.seconds { record.modified_ms / 1000 } else { record.modified_ms };
        let found: Vec<(u64, &Record)> = self
            .shown(object)
            .into_iter()
            .filter(|(id, record)| *id > after && since.is_none_or(|since| stamp(record) >= since))
            .filter(|(_, record)| !(ids_only && record.deleted))
            .collect();
        let next = (found.len() > limit).then(|| found[limit - 1].0);
        let page = found.iter().take(limit).enumerate();
        let kept = page.filter(|(place, _)| fault != Some(Fault::Hidden) || place % 2 == 1);
        let records = kept.map(|(_, (id, record))| Self::told(abilities, *id, record)).collect();
        json!({"records": shuffled(records, fault), "next": next})
    }

    fn refusal(&self, op: Op, object: &str, item: &Value) -> Option<Value> {
        let fields = if op == Op::Create { &item["fields"] } else { &item["changes"] };
        for (field, value) in fields.as_object().into_iter().flatten() {
            if value.as_str().is_some_and(|text| text.contains("!!")) {
                return Some(
                    json!({"outcome": "reject", "field": field, "reason": "no exclamation marks, please"}),
                );
            }
            let refers = self.references.iter().find(|(of, name, _)| of == object && name == field);
            if let Some((_, _, to)) = refers
                && !value.is_null()
            {
                let id = value.as_u64().unwrap_or_else(|| Self::number(value.as_str().unwrap_or_default()));
                if !self.live(to).iter().any(|(known, _)| *known == id) {
                    return Some(json!({"outcome": "reject", "field": field, "reason": "refers to nothing"}));
                }
            }
        }
        None
    }

    fn write(
        &mut self,
        abilities: &Abilities,
        op: Op,
        object: &str,
        body: &Value,
        fault: Option<Fault>,
    ) -> (u16, Value) {
        let items = body["items"].as_array().unwrap().clone();
        if abilities.atomic
            && let Some(refusal) = items.iter().find_map(|item| self.refusal(op, object, item))
        {
            return (422, refusal);
        }
        let mut results = Vec::new();
        for (place, item) in items.iter().enumerate() {
            if fault == Some(Fault::Partial) && place > 0 {
                results.push(json!({"outcome": "retry", "reason": "not now"}));
                continue;
            }
            let result = match self.refusal(op, object, item) {
                Some(refusal) => refusal,
                None if op == Op::Create => self.create(abilities, object, item),
                None => self.change_or_remove(abilities, op, object, item),
            };
            results.push(result);
        }
        (200, json!({"results": results}))
    }

    fn done(&self, abilities: &Abilities, object: &str, id: u64) -> Value {
        let mut done = json!({"id": Self::id_text(abilities, id)});
        let record = &self.objects[object][&id];
        if abilities.versions {
            done["version"] = Value::from(record.version.to_string());
        }
        if abilities.echo {
            done["record"] = Self::told(abilities, id, record);
        }
        done
    }

    fn create(&mut self, abilities: &Abilities, object: &str, item: &Value) -> Value {
        let attempt = item["attempt"].as_str().unwrap().to_owned();
        let fields = item["fields"].as_object().unwrap();
        if abilities.idempotent
            && let Some(id) = self.attempts.get(&attempt).copied()
            && self.objects[object].contains_key(&id)
        {
            return self.done(abilities, object, id);
        }
        let id = self.insert(abilities, object, fields, By::Engine);
        self.attempts.insert(attempt, id);
        self.done(abilities, object, id)
    }

    fn change_or_remove(&mut self, abilities: &Abilities, op: Op, object: &str, item: &Value) -> Value {
        let id = Self::number(item["id"].as_str().unwrap());
        let Some(record) =
            self.objects.get(object).and_then(|records| records.get(&id)).filter(|r| !r.deleted)
        else {
            return json!({"outcome": "gone", "reason": "there is no such record"});
        };
        let based_on = item["version"].as_str();
        if abilities.versions && based_on.is_some_and(|version| version != record.version.to_string()) {
            return json!({"outcome": "conflict", "reason": "somebody was faster"});
        }
        if op == Op::Delete {
            self.remove(abilities, object, id, By::Engine);
            return json!({});
        }
        self.change(abilities, object, id, item["changes"].as_object().unwrap(), By::Engine);
        self.done(abilities, object, id)
    }
}

/// The records in another order, the last one twice, where the fault says so.
fn shuffled(mut records: Vec<Value>, fault: Option<Fault>) -> Vec<Value> {
    if fault == Some(Fault::Shuffled) {
        records.reverse();
        records.extend(records.first().cloned());
    }
    records
}
