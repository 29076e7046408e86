//! The lines of documents: read with their records, and written inside them or as records of their own.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::connector::attach;
use crate::connector::client::{Change, Client, no_step, strip, unpack};
use crate::connector::compiled::{Lines, Object, Operation};
use crate::connector::error::ConnectorError;
use crate::connector::expr::{Expr, pool};
use crate::connector::manifest::OperationName;
use crate::connector::request::{as_text, first, object as members};
use crate::model::document::{Changes, Line, lines_of, lines_value};
use crate::model::outcome::{BatchAnswer, Outcome};
use crate::model::record::{Record, RemoteRecord};
use crate::remote::gate::Priority;

/// The most pages of lines that are read for one batch of documents.
const MOST_PAGES: usize = 500;

/// The name by which a field of a collection's lines is asked for: `FSaleOrderEntry[].FQty`.
pub fn lines_field(collection: &str, field: &str) -> String {
    format!("{collection}[].{field}")
}

/// What is wanted of records: their own fields, and those of their collections' lines.
pub(super) struct Wanted {
    pub(super) fields: Vec<String>,
    collections: Vec<(String, Vec<String>)>,
}

impl Wanted {
    /// Takes names apart as [`lines_field`] puts them together.
    pub(super) fn of(names: &[String]) -> Self {
        let mut wanted = Self { fields: Vec::new(), collections: Vec::new() };
        for name in names {
            let Some((collection, field)) = name.split_once("[].") else {
                wanted.fields.push(name.clone());
                continue;
            };
            match wanted.collections.iter_mut().find(|(known, _)| known == collection) {
                Some((_, fields)) => fields.push(field.to_owned()),
                None => wanted.collections.push((collection.to_owned(), vec![field.to_owned()])),
            }
        }
        wanted
    }

    /// `.collections` as the expressions of a read see it: the fields of each collection's lines.
    pub(super) fn collections(&self) -> Value {
        let fields = |(name, fields): &(String, Vec<String>)| (name.clone(), Value::from(fields.as_slice()));
        Value::Object(self.collections.iter().map(fields).collect())
    }
}

/// What can be done with the lines of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineAbilities {
    /// Lines are written by calls of their own, so a failure may leave a document half written.
    pub apart: bool,
    /// A change of a line does not move the document's stamp: lines are listed too.
    pub watch: bool,
}

/// One page of lines that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct LinePage {
    /// The ids of documents, with their line, and whether the remote reports the line as deleted.
    pub lines: Vec<(String, Line, bool)>,
    pub next: Option<Value>,
    pub newest_ms: Option<i64>,
}

impl Client {
    /// What can be done with the lines of a collection.
    ///
    /// # Errors
    /// When the connector does not know the object, or no such collection of it.
    pub fn line_abilities(&self, object: &str, collection: &str) -> Result<LineAbilities, ConnectorError> {
        let compiled = self.connector().object(object)?;
        match compiled.lines(collection) {
            Some(Lines::Own { watch, .. }) => Ok(LineAbilities { apart: true, watch: *watch }),
            Some(_) => Ok(LineAbilities { apart: false, watch: false }),
            None => Err(ConnectorError::Lines {
                connector: self.connector().name.clone(),
                object: object.to_owned(),
                collection: collection.to_owned(),
                known: compiled.lines.keys().cloned().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// One page of the lines of a watched collection that changed since then.
    pub async fn list_lines(
        &self,
        object: &str,
        collection: &str,
        fields: &[String],
        since_ms: Option<i64>,
        page: Option<&Value>,
        priority: Priority,
    ) -> Result<LinePage, Outcome> {
        let compiled = self.connector().object(object).map_err(misconfigured)?;
        let Some(Lines::Own { object: of_lines, parent, .. }) = compiled.lines(collection) else {
            return Err(Outcome::Misconfigured { reason: format!("{collection} cannot be listed") });
        };
        let fields = with_parent(fields, parent);
        let found = Box::pin(self.list(of_lines, &fields, since_ms, page, false, priority)).await?;
        let newest_ms = found.records.iter().filter_map(|record| record.modified_ms).max();
        let line = |record: RemoteRecord| {
            let document = record.fields.get(parent).filter(|id| !id.is_null()).map(as_text)?;
            Some((document, Line { id: Some(record.id), key: None, fields: record.fields }, record.deleted))
        };
        Ok(LinePage {
            lines: found.records.into_iter().filter_map(line).collect(),
            next: found.next,
            newest_ms,
        })
    }

    /// The ids of the lines that documents have in a watched collection, by document.
    pub async fn line_ids(
        &self,
        object: &str,
        collection: &str,
        documents: &[String],
        priority: Priority,
    ) -> Result<HashMap<String, Vec<String>>, Outcome> {
        let compiled = self.connector().object(object).map_err(misconfigured)?;
        let Some(Lines::Own { object: of_lines, parent, .. }) = compiled.lines(collection) else {
            return Err(Outcome::Misconfigured { reason: format!("{collection} cannot be listed") });
        };
        if documents.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.own_lines(of_lines, parent, &[], documents, priority).await?;
        let ids = |lines: Vec<Line>| lines.into_iter().filter_map(|line| line.id).collect();
        Ok(found.into_iter().map(|(document, lines)| (document, ids(lines))).collect())
    }

    /// Adds the lines of the collections that are wanted to records that were just read.
    pub(super) async fn add_lines(
        &self,
        object: &str,
        compiled: &Arc<Object>,
        wanted: &Wanted,
        records: &mut [RemoteRecord],
        priority: Priority,
    ) -> Result<(), Outcome> {
        for (collection, fields) in &wanted.collections {
            let ids = attach::ids(records);
            if ids.is_empty() {
                return Ok(());
            }
            let by_document: HashMap<String, Vec<Line>> = match compiled.lines(collection) {
                None => {
                    let reason = format!("the connector knows no lines {collection} of {object}");
                    return Err(Outcome::Misconfigured { reason });
                }
                Some(Lines::Own { object, parent, .. }) => {
                    self.own_lines(object, parent, fields, &ids, priority).await?
                }
                Some(Lines::Nested(expr)) => {
                    let seen = compiled.seen(object);
                    let lines = self.nested_lines(expr, seen, collection, fields, records).await?;
                    attach::each_its_own(records, collection, lines);
                    continue;
                }
                Some(Lines::Read { operation, page }) => {
                    let operation = Arc::clone(operation);
                    let mut found = HashMap::new();
                    for ids in ids.chunks(operation.batch) {
                        let lines = LinesCall {
                            object,
                            compiled,
                            operation: &operation,
                            page: *page,
                            collection,
                            fields,
                        };
                        found.extend(self.read_lines(&lines, ids, priority).await?);
                    }
                    found
                }
            };
            attach::by_document(records, collection, &by_document);
        }
        Ok(())
    }

    async fn own_lines(
        &self,
        object: &str,
        parent: &str,
        fields: &[String],
        ids: &[String],
        priority: Priority,
    ) -> Result<HashMap<String, Vec<Line>>, Outcome> {
        let by: Vec<Record> = ids.iter().map(|id| members([(parent, Value::from(id.as_str()))])).collect();
        let wanted = Wanted::of(&with_parent(fields, parent));
        let found = self.find_alone(object, &wanted, &by, priority).await?;
        let mut lines: HashMap<String, Vec<Line>> = HashMap::new();
        for record in found.into_iter().filter(|record| !record.deleted) {
            let Some(document) = record.fields.get(parent).map(as_text) else { continue };
            let line = Line { id: Some(record.id), key: None, fields: record.fields };
            lines.entry(document).or_default().push(line);
        }
        Ok(lines)
    }

    async fn nested_lines(
        &self,
        expr: &Expr,
        seen: Value,
        collection: &str,
        fields: &[String],
        records: &[RemoteRecord],
    ) -> Result<Vec<Vec<Line>>, Outcome> {
        let inputs: Vec<Value> = records
            .iter()
            .map(|record| {
                let input = members([
                    ("record", Value::Object(record.fields.clone())),
                    ("object", seen.clone()),
                    ("settings", self.caller.plain.clone()),
                    ("lines", wanted_lines(collection, fields)),
                ]);
                Value::Object(input)
            })
            .collect();
        let expr = expr.clone();
        let work = move || -> Result<Vec<Vec<Line>>, String> {
            let mut found = Vec::new();
            for input in inputs {
                let lines = match first(Some(&expr), &input)? {
                    Value::Null => Vec::new(),
                    Value::Array(lines) => lines
                        .iter()
                        .map(|line| Line::from_value(line).ok_or("a line is not {id, fields}".to_owned()))
                        .collect::<Result<_, _>>()?,
                    _ => return Err("the lines are not a list".to_owned()),
                };
                found.push(lines);
            }
            Ok(found)
        };
        unpack(pool::run(work).await)
    }

    async fn read_lines(
        &self,
        wanted: &LinesCall<'_>,
        ids: &[String],
        priority: Priority,
    ) -> Result<HashMap<String, Vec<Line>>, Outcome> {
        let mut inputs = members([
            ("fields", Value::from(wanted.fields)),
            ("lines", wanted_lines(wanted.collection, wanted.fields)),
            ("ids", Value::from(ids)),
            ("ids_only", Value::from(false)),
            ("limit", Value::from(wanted.page)),
        ]);
        let mut found: HashMap<String, Vec<Line>> = HashMap::new();
        for _ in 0..MOST_PAGES {
            let name = OperationName::Read;
            let call = self.call(name, wanted.object, wanted.compiled, inputs.clone(), ids.len(), priority);
            let step = wanted.operation.steps.first().ok_or_else(no_step)?;
            let answer = self.caller.exchange(&call, step).await?;
            let operation = Arc::clone(wanted.operation);
            let work = move || page_of_lines(&operation, &answer.input);
            let (lines, next) = unpack(pool::run(work).await)?;
            for (document, line) in lines {
                found.entry(document).or_default().push(line);
            }
            match next {
                Some(next) => inputs.insert("page".to_owned(), next),
                None => return Ok(found),
            };
        }
        let reason = format!("{} has more than {MOST_PAGES} pages of lines", wanted.object);
        Err(Outcome::Misconfigured { reason })
    }

    /// Changes documents some of whose lines are records of their own: first the records themselves, then line by line.
    ///
    /// The outcome of a document is the first that is not good. What was done before it is done: the caller reads the
    /// document again before it sends anything more.
    pub(super) async fn update_with_lines(
        &self,
        object: &str,
        compiled: &Arc<Object>,
        items: &[Change],
        priority: Priority,
    ) -> BatchAnswer {
        let mut headers = Vec::new();
        let mut of_lines = Vec::new();
        for item in items {
            let mut header = item.clone();
            let mut own = Vec::new();
            for (collection, value) in &item.changes {
                let found = Changes::from_value(value);
                if let (Some(Lines::Own { object, parent, .. }), Some(found)) =
                    (compiled.lines(collection), found)
                {
                    header.changes.shift_remove(collection);
                    own.push((collection.clone(), object.clone(), parent.clone(), found));
                }
            }
            headers.push(header);
            of_lines.push(own);
        }
        let sent: Vec<usize> = headers
            .iter()
            .enumerate()
            .filter(|(_, item)| !item.changes.is_empty())
            .map(|(at, _)| at)
            .collect();
        let mut outcomes = vec![Outcome::ok(); items.len()];
        if !sent.is_empty() {
            let chosen: Vec<Change> = sent.iter().filter_map(|at| headers.get(*at).cloned()).collect();
            let answer = self.update_alone(object, &chosen, priority).await;
            if answer.whole && chosen.len() == items.len() {
                return answer;
            }
            for (at, outcome) in sent.into_iter().zip(answer.outcomes) {
                if let Some(place) = outcomes.get_mut(at) {
                    *place = outcome;
                }
            }
        }
        for ((item, own), outcome) in items.iter().zip(of_lines).zip(&mut outcomes) {
            for (collection, object, parent, changes) in own {
                let Outcome::Ok { lines, .. } = outcome else { break };
                match self.write_lines(&object, &parent, &item.id, changes, priority).await {
                    Ok(ids) => drop(lines.insert(collection, Value::from(ids))),
                    Err(failed) => *outcome = failed,
                }
            }
        }
        BatchAnswer { outcomes, whole: false }
    }

    /// Writes lines that are records of their own; returns the ids of the added ones.
    async fn write_lines(
        &self,
        object: &str,
        parent: &str,
        document: &str,
        changes: Changes,
        priority: Priority,
    ) -> Result<Vec<String>, Outcome> {
        let removed = changes
            .removed
            .iter()
            .map(|line| members([("id", Value::from(line.label())), ("version", Value::Null)]));
        self.write_each(OperationName::Delete, object, removed.collect(), priority).await?;
        let compiled = Arc::clone(self.connector().object(object).map_err(misconfigured)?);
        let stripped = |mut fields: Record| {
            strip(&mut fields, &compiled);
            fields
        };
        let changed = changes.changed.into_iter().map(|line| {
            members([
                ("id", Value::from(line.label())),
                ("version", Value::Null),
                ("changes", Value::Object(stripped(line.fields))),
                ("shadow", Value::Object(Record::new())),
            ])
        });
        self.write_each(OperationName::Update, object, changed.collect(), priority).await?;
        let added = changes.added.into_iter().map(|line| {
            let mut fields = stripped(line.fields);
            fields.insert(parent.to_owned(), Value::from(document));
            members([("attempt", Value::from(Uuid::now_v7().to_string())), ("fields", Value::Object(fields))])
        });
        self.write_each(OperationName::Create, object, added.collect(), priority).await
    }

    async fn write_each(
        &self,
        name: OperationName,
        object: &str,
        items: Vec<Record>,
        priority: Priority,
    ) -> Result<Vec<String>, Outcome> {
        let mut ids = Vec::new();
        if items.is_empty() {
            return Ok(ids);
        }
        let (_, operation) = self.operation(object, name)?;
        for chunk in items.chunks(operation.batch) {
            let chunk = chunk.iter().cloned().map(Value::Object).collect();
            let answer = self.write(name, object, chunk, false, priority).await;
            for outcome in answer.outcomes {
                match (name, outcome) {
                    (_, Outcome::Ok { id, .. }) => ids.extend(id),
                    // removing what is gone already is done
                    (OperationName::Delete, Outcome::Gone { .. }) => {}
                    (_, Outcome::Gone { reason } | Outcome::Exists { reason, .. }) => {
                        return Err(Outcome::Conflict { reason });
                    }
                    (_, other) => return Err(other),
                }
            }
        }
        Ok(ids)
    }
}

struct LinesCall<'a> {
    object: &'a str,
    compiled: &'a Arc<Object>,
    operation: &'a Arc<Operation>,
    page: usize,
    collection: &'a str,
    fields: &'a [String],
}

/// `.lines` as expressions see it.
fn wanted_lines(collection: &str, fields: &[String]) -> Value {
    Value::Object(members([("name", Value::from(collection)), ("fields", Value::from(fields))]))
}

fn with_parent(fields: &[String], parent: &str) -> Vec<String> {
    let mut fields = fields.to_vec();
    if !fields.iter().any(|field| field == parent) {
        fields.push(parent.to_owned());
    }
    fields
}

fn misconfigured(error: ConnectorError) -> Outcome {
    Outcome::Misconfigured { reason: error.to_string() }
}

type FoundLines = (Vec<(String, Line)>, Option<Value>);

fn page_of_lines(operation: &Operation, input: &Value) -> Result<FoundLines, String> {
    let Value::Array(found) = first(operation.records.as_ref(), input)? else {
        return Err("the lines are not a list".to_owned());
    };
    let line = |value: &Value| {
        let parent = value.get("parent").filter(|parent| !parent.is_null()).map(as_text)?;
        Some((parent, Line::from_value(value)?))
    };
    let lines: Option<Vec<(String, Line)>> = found.iter().map(line).collect();
    let next = Some(first(operation.next.as_ref(), input)?).filter(|next| !next.is_null());
    Ok((lines.ok_or("a line is not {parent, id, fields}")?, next))
}

/// Whether an update changes lines that are records of their own.
pub(super) fn apart(object: &Object, item: &Change) -> bool {
    item.changes.iter().any(|(name, value)| {
        matches!(object.lines(name), Some(Lines::Own { .. })) && Changes::from_value(value).is_some()
    })
}

/// The lines of a create as its expressions see them: an array of fields for each collection. Returns the collections.
pub(super) fn of_create(object: &Object, fields: &mut Record) -> Vec<String> {
    let mut collections = Vec::new();
    let names: Vec<String> = fields.keys().filter(|name| object.lines(name).is_some()).cloned().collect();
    for name in names {
        // a list of anything else is a field like others
        let all = fields.get(&name).and_then(Value::as_array).map_or(0, Vec::len);
        let Some(lines) = lines_of(fields, &name).filter(|lines| !lines.is_empty() && lines.len() == all)
        else {
            continue;
        };
        let lines = lines.into_iter().map(|line| Value::Object(line.fields)).collect();
        fields.insert(name.clone(), Value::Array(lines));
        collections.push(name);
    }
    collections
}

/// The lines of an update as its expressions see them: `{added, changed, removed, all}`. Returns the collections.
pub(super) fn of_update(object: &Object, changes: &mut Record) -> Vec<String> {
    let mut collections = Vec::new();
    let names: Vec<String> = changes.keys().filter(|name| object.lines(name).is_some()).cloned().collect();
    for name in names {
        let Some(found) = changes.get(&name).and_then(Changes::from_value) else { continue };
        let bare = |line: &Line| Line { key: None, ..line.clone() };
        let several = |lines: &[Line]| lines_value(&lines.iter().map(bare).collect::<Vec<_>>());
        let added = found.added.iter().map(|line| Value::Object(line.fields.clone())).collect();
        let removed: Vec<&str> = found.removed.iter().filter_map(|line| line.id.as_deref()).collect();
        let seen = members([
            ("added", Value::Array(added)),
            ("changed", several(&found.changed)),
            ("removed", Value::from(removed)),
            ("all", several(&found.all)),
        ]);
        changes.insert(name.clone(), Value::Object(seen));
        collections.push(name);
    }
    collections
}
