//! Guesses: where records lie in an answer, which field is the id or the stamp, how a list is paged. Pure.

use serde_json::Value;

use super::api::{Api, Property, type_of};
use super::resource::Resource;

/// Names under which lists usually lie in an answer.
const LISTS: [&str; 10] =
    ["data", "items", "results", "records", "value", "values", "list", "rows", "content", "objects"];
/// Names under which one record usually lies in an answer.
const RECORDS: [&str; 5] = ["data", "result", "item", "record", "object"];

/// The name without `_`, `-` and `$`, in lower case.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// A member of something, as jq: `.body` and `a-b` make `.body["a-b"]`.
pub(super) fn member(of: &str, name: &str) -> String {
    let simple = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    match (simple, of) {
        (true, _) => format!("{of}.{name}"),
        (false, "") => format!(".[{}]", Value::from(name)),
        (false, _) => format!("{of}[{}]", Value::from(name)),
    }
}

/// Where the array of records lies in the answer of a list, as jq, and the schema of one.
pub(super) fn rows<'a>(api: &Api<'a>, answer: &'a Value, last: &str) -> Option<(String, &'a Value)> {
    rows_in(api, answer, ".body", last, 0)
}

fn rows_in<'a>(
    api: &Api<'a>,
    schema: &'a Value,
    at: &str,
    last: &str,
    depth: usize,
) -> Option<(String, &'a Value)> {
    let schema = api.resolve(schema);
    if let Some(items) = api.items(schema) {
        return Some((at.to_owned(), items));
    }
    if depth > 2 {
        return None;
    }
    let properties = api.properties(schema);
    let of_records = |property: &&Property<'a>| {
        api.items(property.schema).is_some_and(|items| !api.properties(items).is_empty())
    };
    let known =
        |property: &&Property<'a>| LISTS.contains(&plain(property.name).as_str()) || property.name == last;
    let lists: Vec<&Property<'a>> = properties.iter().filter(of_records).collect();
    let chosen = lists.iter().copied().find(known).or(match lists.as_slice() {
        [one] => Some(*one),
        _ => None,
    });
    if let Some(list) = chosen {
        return Some((member(at, list.name), api.items(list.schema)?));
    }
    // an envelope within an envelope
    properties
        .iter()
        .filter(|property| type_of(property.schema) == "object" && known(property))
        .find_map(|property| rows_in(api, property.schema, &member(at, property.name), last, depth + 1))
}

/// Where one record lies in an answer, as jq, and its schema.
pub(super) fn unwrapped<'a>(api: &Api<'a>, answer: &'a Value) -> (String, &'a Value) {
    let properties = api.properties(answer);
    let objects: Vec<&Property<'a>> = properties
        .iter()
        .filter(|property| {
            type_of(property.schema) == "object" && !api.properties(property.schema).is_empty()
        })
        .collect();
    let wrapped = match objects.as_slice() {
        [one] if properties.len() == 1 => Some(*one),
        several => several.iter().copied().find(|property| {
            RECORDS.contains(&plain(property.name).as_str())
                && !properties.iter().any(|other| plain(other.name).ends_with("id"))
        }),
    };
    match wrapped {
        Some(property) => (member(".body", property.name), property.schema),
        None => (".body".to_owned(), answer),
    }
}

/// The field that identifies a record, and whether the document leaves no doubt.
pub(super) fn id(resource: &Resource<'_>) -> (String, bool) {
    let has = |name: &str| resource.properties.iter().any(|property| property.name == name);
    if has(&resource.id_parameter) {
        return (resource.id_parameter.clone(), true);
    }
    if let Some(name) = ["id", "uuid", "_id", "key", "code"].into_iter().find(|name| has(name)) {
        return (name.to_owned(), name == "id");
    }
    let ends = resource.properties.iter().find(|property| plain(property.name).ends_with("id"));
    (ends.map_or_else(|| "id".to_owned(), |property| property.name.to_owned()), false)
}

/// The field that says when a record was last modified.
pub(super) fn modified<'a>(properties: &[Property<'a>]) -> Option<Property<'a>> {
    const NAMES: [&str; 12] = [
        "updatedat",
        "updated",
        "modifiedat",
        "modified",
        "lastmodified",
        "lastmodifieddate",
        "lastmodifiedat",
        "modifieddate",
        "modifiedtime",
        "updatetime",
        "updatedtime",
        "lastupdated",
    ];
    NAMES.iter().find_map(|name| properties.iter().find(|one| plain(one.name) == *name)).cloned()
}

/// The field that changes with every change of the record.
pub(super) fn version<'a>(properties: &[Property<'a>]) -> Option<Property<'a>> {
    ["version", "etag", "revision", "rowversion", "lockversion"]
        .iter()
        .find_map(|name| properties.iter().find(|one| plain(one.name) == *name))
        .cloned()
}

/// How pages of a list follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Paging {
    /// The whole list comes in one answer, as far as the document tells.
    Unknown,
    /// The answer holds what to ask for next: parameter, and where it lies.
    Cursor {
        parameter: String,
        next: String,
    },
    /// Behind the last record's id.
    Keyset {
        parameter: String,
    },
    Number {
        parameter: String,
    },
    Offset {
        parameter: String,
    },
}

pub(super) fn name_of(parameter: &Value) -> &str {
    parameter.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn query<'a>(parameters: &[&'a Value], names: &[&str]) -> Option<&'a Value> {
    let in_query = |one: &&&Value| one.get("in").and_then(Value::as_str) == Some("query");
    names
        .iter()
        .find_map(|name| parameters.iter().filter(in_query).find(|one| plain(name_of(one)) == *name).copied())
}

/// The parameter for the size of a page, and the largest size that it takes.
pub(super) fn page_size(api: &Api<'_>, parameters: &[&Value]) -> Option<(String, u64)> {
    let names = ["limit", "pagesize", "perpage", "size", "maxresults", "top", "count", "first", "take"];
    let found = query(parameters, &names)?;
    let schema = found.get("schema").and_then(|schema| match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => reference.strip_prefix('#').and_then(|pointer| api.root.pointer(pointer)),
        None => Some(schema),
    });
    let bound = |name: &str| schema.and_then(|schema| schema.get(name)).and_then(Value::as_u64);
    let size = bound("maximum").or_else(|| bound("default")).unwrap_or(100).clamp(1, 1000);
    Some((name_of(found).to_owned(), size))
}

pub(super) fn paging<'a>(api: &Api<'a>, resource: &Resource<'a>) -> Paging {
    let parameters = &resource.list_parameters;
    let told = |parameter: &Value| name_of(parameter).to_owned();
    let behind = query(parameters, &["startingafter", "afterid", "after", "sinceid", "lastid"]);
    let cursor = query(
        parameters,
        &["cursor", "pagetoken", "nextpagetoken", "continuationtoken", "marker", "nexttoken"],
    );
    let answer = resource.list.and_then(|list| api.answer(list));
    if let Some(parameter) = cursor.or(behind)
        && let Some(next) = answer.and_then(|answer| next_in(api, answer, ".body", 0))
    {
        return Paging::Cursor { parameter: told(parameter), next };
    }
    if let Some(parameter) = behind.or(cursor) {
        return Paging::Keyset { parameter: told(parameter) };
    }
    if let Some(parameter) = query(parameters, &["page", "pagenumber", "pageno", "pageindex", "p"]) {
        return Paging::Number { parameter: told(parameter) };
    }
    if let Some(parameter) = query(parameters, &["offset", "skip", "start", "startat", "startindex"]) {
        return Paging::Offset { parameter: told(parameter) };
    }
    Paging::Unknown
}

/// Where an answer says what to ask for next, as jq.
fn next_in<'a>(api: &Api<'a>, schema: &'a Value, at: &str, depth: usize) -> Option<String> {
    const NAMES: [&str; 7] =
        ["nextcursor", "nextpagetoken", "nexttoken", "endcursor", "cursor", "next", "continuationtoken"];
    let properties = api.properties(schema);
    let text = |one: &&Property<'a>| type_of(one.schema) == "string";
    let named =
        NAMES.iter().find_map(|name| properties.iter().filter(text).find(|one| plain(one.name) == *name));
    if let Some(found) = named {
        return Some(member(at, found.name));
    }
    if depth > 1 {
        return None;
    }
    let around = ["meta", "pagination", "paging", "pageinfo", "metadata", "links", "page"];
    properties
        .iter()
        .filter(|one| around.contains(&plain(one.name).as_str()))
        .find_map(|one| next_in(api, one.schema, &member(at, one.name), depth + 1))
}

/// The parameter that limits a list to what has changed since a moment, and whether it takes a text.
pub(super) fn since(parameters: &[&Value]) -> Option<(String, bool)> {
    let names = [
        "updatedsince",
        "modifiedsince",
        "updatedafter",
        "modifiedafter",
        "updatedatmin",
        "updatedfrom",
        "changedsince",
        "lastmodified",
        "lastmodifiedafter",
        "since",
        "updatedat",
    ];
    let found = query(parameters, &names)?;
    let kind = found.get("schema").map(type_of).unwrap_or_default();
    Some((name_of(found).to_owned(), !matches!(kind, "integer" | "number")))
}

/// The parameters of a list that are fields of its records: by these a record can be found.
pub(super) fn found_by(resource: &Resource<'_>) -> Vec<String> {
    resource
        .list_parameters
        .iter()
        .filter(|one| one.get("in").and_then(Value::as_str) == Some("query"))
        .map(|one| name_of(one))
        .filter(|name| resource.properties.iter().any(|property| property.name == *name))
        .map(str::to_owned)
        .collect()
}
