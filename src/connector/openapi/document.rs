//! Reading an OpenAPI document: its paths as things that can be listed, read and written.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

/// References that are followed one after the other, and schemas inside of schemas.
const DEPTH: usize = 20;

/// A document, looked at.
pub(super) struct Document<'a> {
    root: &'a Value,
}

/// A collection of records with what can be done.
#[derive(Debug, Default)]
pub(super) struct Thing<'a> {
    pub(super) name: String,
    /// Of the collection.
    pub(super) path: String,
    /// What the path of one record calls its id.
    pub(super) parameter: String,
    pub(super) list: Option<&'a Value>,
    pub(super) read: Option<&'a Value>,
    pub(super) create: Option<&'a Value>,
    /// With its method.
    pub(super) update: Option<(&'static str, &'a Value)>,
    pub(super) delete: Option<&'a Value>,
}

static NOTHING: Value = Value::Null;

impl<'a> Document<'a> {
    pub(super) fn new(root: &'a Value) -> Option<Self> {
        let version = root.get("openapi")?;
        let version = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
        (version.starts_with('3') && root.get("paths").is_some_and(Value::is_object)).then_some(Self { root })
    }

    pub(super) fn title(&self) -> &'a str {
        self.root.pointer("/info/title").and_then(Value::as_str).unwrap_or("my system")
    }

    /// The first server, and whether it is a whole address.
    pub(super) fn server(&self) -> (&'a str, bool) {
        let url = self.root.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
        (url, url.starts_with("http") && !url.contains('{'))
    }

    /// The first way of signing in that the document asks for, else the first that it knows.
    pub(super) fn security(&self) -> Option<&'a Value> {
        let schemes = self.root.pointer("/components/securitySchemes")?.as_object()?;
        let asked = self.root.pointer("/security/0").and_then(Value::as_object);
        let asked = asked.and_then(|asked| asked.keys().next()).and_then(|name| schemes.get(name));
        asked.or_else(|| schemes.values().next()).map(|scheme| self.resolved(scheme))
    }

    /// Where tokens are given to a client by itself: its path, since calls go below one base.
    pub(super) fn token_url(&self) -> Option<String> {
        let url = self.security()?.pointer("/flows/clientCredentials/tokenUrl")?.as_str()?;
        let after = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = after.find('/').and_then(|at| after.get(at..)).unwrap_or("/");
        Some(path.replace(['{', '}'], ""))
    }

    /// The value itself, or what it refers to within the document.
    pub(super) fn resolved(&self, value: &'a Value) -> &'a Value {
        let mut at = value;
        for _ in 0..DEPTH {
            let Some(reference) = at.get("$ref").and_then(Value::as_str) else { return at };
            let Some(found) = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer))
            else {
                return &NOTHING;
            };
            at = found;
        }
        &NOTHING
    }

    /// The collections at the top, in the document's order.
    pub(super) fn things(&self) -> Vec<Thing<'a>> {
        let mut things: IndexMap<String, Thing<'a>> = IndexMap::new();
        for (path, item) in self.root.get("paths").and_then(Value::as_object).into_iter().flatten() {
            let (collection, parameter) = apart(path);
            if collection.contains('{') || collection.len() < 2 {
                continue;
            }
            let item = self.resolved(item);
            let thing = things.entry(collection.to_owned()).or_default();
            match parameter {
                None => {
                    thing.list = item.get("get").or(thing.list);
                    thing.create = item.get("post").or(thing.create);
                }
                Some(parameter) => {
                    thing.parameter = parameter.to_owned();
                    thing.read = item.get("get").or(thing.read);
                    let update = item.get("patch").map(|patch| ("PATCH", patch));
                    let update = update.or_else(|| item.get("put").map(|put| ("PUT", put)));
                    thing.update = update.or(thing.update);
                    thing.delete = item.get("delete").or(thing.delete);
                }
            }
        }
        let mut taken = BTreeSet::new();
        let mut kept = Vec::new();
        for (path, mut thing) in things {
            // a page of its own or a record of its own: anything else is no table
            let lists = thing.list.is_some_and(|list| self.lists(list));
            if !lists {
                thing.list = None;
            }
            if thing.list.is_none() && thing.read.is_none() {
                continue;
            }
            let last = path.rsplit('/').next().unwrap_or_default().to_owned();
            let whole = path.trim_matches('/').replace('/', "_");
            thing.name = if taken.insert(last.clone()) { last } else { whole };
            taken.insert(thing.name.clone());
            thing.path = path;
            kept.push(thing);
        }
        kept
    }

    /// Paths of records below other records.
    pub(super) fn left_out(&self) -> Vec<&'a str> {
        let paths = self.root.get("paths").and_then(Value::as_object).into_iter().flatten();
        paths.map(|(path, _)| path.as_str()).filter(|path| apart(path).0.contains('{')).take(50).collect()
    }

    fn lists(&self, operation: &'a Value) -> bool {
        let schema = self.answer(operation);
        self.is(schema, "array")
            || self.properties(schema).iter().any(|(_, schema, _)| self.is(self.resolved(schema), "array"))
    }

    /// The schema of a good answer.
    pub(super) fn answer(&self, operation: &'a Value) -> &'a Value {
        let answers = operation.get("responses");
        let good = ["200", "201", "2XX", "default"];
        let answer = good.iter().find_map(|status| answers.and_then(|answers| answers.get(*status)));
        answer.map_or(&NOTHING, |answer| self.content(self.resolved(answer)))
    }

    /// The schema of what an operation is sent.
    pub(super) fn sent(&self, operation: &'a Value) -> &'a Value {
        operation.get("requestBody").map_or(&NOTHING, |body| self.content(self.resolved(body)))
    }

    fn content(&self, holder: &'a Value) -> &'a Value {
        let kinds = holder.get("content").and_then(Value::as_object);
        let json = kinds.into_iter().flatten().find(|(kind, _)| kind.contains("json"));
        json.and_then(|(_, media)| media.get("schema")).map_or(&NOTHING, |schema| self.resolved(schema))
    }

    /// Whether a schema is of this type; 3.1 has lists of types.
    pub(super) fn is(&self, schema: &Value, kind: &str) -> bool {
        match schema.get("type") {
            Some(Value::String(text)) => text == kind,
            Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
            _ => {
                (kind == "array" && schema.get("items").is_some())
                    || (kind == "object"
                        && (schema.get("properties").is_some() || schema.get("allOf").is_some()))
            }
        }
    }

    /// Names, schemas and whether each is required, with those of all parts.
    pub(super) fn properties(&self, schema: &'a Value) -> Vec<(&'a str, &'a Value, bool)> {
        let mut found = IndexMap::new();
        self.gather(schema, DEPTH, &mut found);
        found.into_iter().map(|(name, (schema, required))| (name, schema, required)).collect()
    }

    fn gather(&self, schema: &'a Value, depth: usize, found: &mut IndexMap<&'a str, (&'a Value, bool)>) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let schema = self.resolved(schema);
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten().take(50) {
            self.gather(part, depth, found);
        }
        let required = schema.get("required").and_then(Value::as_array);
        let needs = |name: &str| required.is_some_and(|required| required.iter().any(|one| one == name));
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            found.insert(name.as_str(), (self.resolved(property), needs(name)));
        }
    }

    /// Names and schemas of an operation's query.
    pub(super) fn query(&self, operation: &'a Value) -> Vec<(&'a str, &'a Value)> {
        let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        parameters
            .map(|parameter| self.resolved(parameter))
            .filter(|parameter| parameter.get("in").is_some_and(|place| place == "query"))
            .filter_map(|parameter| {
                let schema = parameter.get("schema").map_or(&NOTHING, |schema| self.resolved(schema));
                Some((parameter.get("name")?.as_str()?, schema))
            })
            .collect()
    }
}

/// A path without the id at its end, and what the id is called.
fn apart(path: &str) -> (&str, Option<&str>) {
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        Some((collection, last)) => match last.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(parameter) if !parameter.contains(['{', '}']) => (collection, Some(parameter)),
            _ => (path, None),
        },
        None => (path, None),
    }
}
