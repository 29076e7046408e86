//! The document: references followed, schemas taken apart.

use serde_json::Value;

/// How many references are followed, and how deep schemas are looked into: documents may refer to themselves.
const DEEPEST: usize = 16;

/// An OpenAPI document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Api<'a> {
    pub root: &'a Value,
}

/// A field of a record, as its schema describes it.
#[derive(Debug, Clone)]
pub(super) struct Property<'a> {
    pub name: &'a str,
    pub schema: &'a Value,
    pub read_only: bool,
}

impl Property<'_> {
    pub fn type_name(&self) -> &str {
        type_of(self.schema)
    }

    pub fn format(&self) -> &str {
        self.schema.get("format").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The type of a schema; of 3.1's list of types the first that is not null.
pub(super) fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default()
        }
        _ if schema.get("properties").is_some() || schema.get("allOf").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "",
    }
}

impl<'a> Api<'a> {
    pub fn new(root: &'a Value) -> Self {
        Self { root }
    }

    /// What a value refers to, or itself. A reference to another file is nothing.
    pub fn resolve(&self, value: &'a Value) -> &'a Value {
        let mut value = value;
        for _ in 0..DEEPEST {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
            let Some(target) = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer))
            else {
                return &Value::Null;
            };
            value = target;
        }
        &Value::Null
    }

    pub fn get(&self, value: &'a Value, name: &str) -> &'a Value {
        value.get(name).map_or(&Value::Null, |value| self.resolve(value))
    }

    /// The paths, each with its item.
    pub fn paths(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let api = *self;
        let paths = self.root.get("paths").and_then(Value::as_object);
        paths.into_iter().flatten().map(move |(path, item)| (path.as_str(), api.resolve(item)))
    }

    /// The parameters of an operation: its own, and those of its path.
    pub fn parameters(&self, item: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
        let mut found: Vec<&Value> = Vec::new();
        for parameters in [operation.get("parameters"), item.get("parameters")].into_iter().flatten() {
            for parameter in parameters.as_array().into_iter().flatten().map(|one| self.resolve(one)) {
                let same = |other: &&Value| {
                    other.get("name") == parameter.get("name") && other.get("in") == parameter.get("in")
                };
                if !found.iter().any(same) {
                    found.push(parameter);
                }
            }
        }
        found
    }

    /// The JSON schema in `content`, whatever kind of JSON it is called.
    fn json_schema(&self, content: &'a Value) -> Option<&'a Value> {
        let content = content.get("content")?.as_object()?;
        let (_, media) = content.iter().find(|(kind, _)| kind.contains("json"))?;
        Some(self.get(media, "schema"))
    }

    /// The schema of an operation's good answer.
    pub fn answer(&self, operation: &'a Value) -> Option<&'a Value> {
        let responses = operation.get("responses")?.as_object()?;
        let good = ["200", "201", "202", "2XX", "default"];
        good.iter()
            .filter_map(|status| responses.get(*status))
            .find_map(|response| self.json_schema(self.resolve(response)))
    }

    /// The schema of an operation's body, and whether it is sent as a form.
    pub fn body(&self, operation: &'a Value) -> Option<(&'a Value, bool)> {
        let body = self.resolve(operation.get("requestBody")?);
        if let Some(schema) = self.json_schema(body) {
            return Some((schema, false));
        }
        let form = body.get("content")?.get("application/x-www-form-urlencoded")?;
        Some((self.get(form, "schema"), true))
    }

    /// The properties of an object, those of all its parts together.
    pub fn properties(&self, schema: &'a Value) -> Vec<Property<'a>> {
        let mut found = Vec::new();
        self.gather(schema, &mut found, 0);
        found
    }

    fn gather(&self, schema: &'a Value, found: &mut Vec<Property<'a>>, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let schema = self.resolve(schema);
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.gather(part, found, depth + 1);
        }
        // of several possible forms the first stands for all
        for choice in ["oneOf", "anyOf"] {
            if let Some(part) = schema.get(choice).and_then(|parts| parts.get(0)) {
                self.gather(part, found, depth + 1);
            }
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let read_only = property.get("readOnly").and_then(Value::as_bool).unwrap_or(false);
            let schema = self.resolve(property);
            let read_only = read_only || schema.get("readOnly").and_then(Value::as_bool).unwrap_or(false);
            if !found.iter().any(|known| known.name == name) {
                found.push(Property { name, schema, read_only });
            }
        }
    }

    /// What an array is made of.
    pub fn items(&self, schema: &'a Value) -> Option<&'a Value> {
        let schema = self.resolve(schema);
        (type_of(schema) == "array").then(|| self.get(schema, "items"))
    }
}
