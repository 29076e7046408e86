//! Which paths belong together: one that lists records, and one below it for a single record.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::api::{Api, Property};
use super::guess;

/// Records of one kind.
#[derive(Debug)]
pub(super) struct Resource<'a> {
    pub object: String,
    /// The path that lists and creates, with holes.
    pub path: String,
    /// The path of one record, with holes.
    pub item_path: String,
    pub list: Option<&'a Value>,
    pub list_parameters: Vec<&'a Value>,
    pub create: Option<&'a Value>,
    pub read: Option<&'a Value>,
    /// The method and its operation.
    pub update: Option<(&'static str, &'a Value)>,
    pub delete: Option<&'a Value>,
    /// The parameter that holds the id in the path.
    pub id_parameter: String,
    pub properties: Vec<Property<'a>>,
    /// Where the records of a list lie in its answer, as jq.
    pub rows: String,
    /// Other holes of the paths: settings of the account.
    pub settings: BTreeSet<String>,
}

/// All resources, by their paths; and what was left out, with the reason.
pub(super) fn find<'a>(api: &Api<'a>) -> (Vec<Resource<'a>>, Vec<String>) {
    let paths: BTreeMap<&str, &Value> = api.paths().collect();
    let below = |path: &str| {
        paths.keys().copied().find(|other| {
            other.strip_prefix(path.trim_end_matches('/')).is_some_and(|rest| {
                rest.strip_prefix('/').is_some_and(|rest| is_hole(rest.trim_end_matches('/')))
            })
        })
    };
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for (path, item) in api.paths() {
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if last.is_empty() || last.contains('{') {
            continue;
        }
        let list = item.get("get").and_then(|get| {
            let answer = api.answer(get)?;
            guess::rows(api, answer, last).map(|(rows, record)| (get, rows, record))
        });
        let Some(item_path) = below(path) else {
            if list.is_some() {
                left_out.push(format!("{path}: it lists, but no path reads one record by its id"));
            }
            continue;
        };
        let one = paths.get(item_path).copied().unwrap_or(&Value::Null);
        let holes: Vec<&str> = holes(path).collect();
        let nested = holes.iter().any(|hole| {
            let parent = path.split(&format!("/{{{hole}}}")).next().unwrap_or_default();
            paths.contains_key(parent)
        });
        if nested {
            left_out.push(format!(
                "{path}: its records lie below those of another object; see `lines` in docs/connectors.md"
            ));
            continue;
        }
        let Some((get, rows, record)) = list else {
            left_out.push(format!("{path}: no GET whose answer holds an array of records"));
            continue;
        };
        let read = one.get("get");
        let mut properties = read
            .and_then(|read| api.answer(read))
            .map(|answer| api.properties(guess::unwrapped(api, answer).1))
            .unwrap_or_default();
        for property in api.properties(record) {
            if !properties.iter().any(|known| known.name == property.name) {
                properties.push(property);
            }
        }
        let update = [("PATCH", "patch"), ("PUT", "put"), ("POST", "post")]
            .into_iter()
            .find_map(|(method, name)| Some((method, one.get(name)?)));
        found.push(Resource {
            object: last.to_owned(),
            path: path.to_owned(),
            item_path: item_path.to_owned(),
            list_parameters: api.parameters(item, get),
            list: Some(get),
            create: item.get("post"),
            read,
            update,
            delete: one.get("delete"),
            id_parameter: self::holes(item_path).last().unwrap_or("id").to_owned(),
            properties,
            rows,
            settings: holes.iter().map(|hole| (*hole).to_owned()).collect(),
        });
    }
    name_apart(&mut found);
    (found, left_out)
}

/// Objects of the same name are told apart by more of their paths.
fn name_apart(resources: &mut [Resource<'_>]) {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for one in resources.iter() {
        *count.entry(one.object.clone()).or_default() += 1;
    }
    for one in resources.iter_mut().filter(|one| count.get(&one.object).is_some_and(|count| *count > 1)) {
        let parts: Vec<&str> =
            one.path.split('/').filter(|part| !part.is_empty() && !part.contains('{')).collect();
        one.object = parts.join("_");
    }
}

fn is_hole(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}') && !segment.contains('/')
}

fn holes(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| is_hole(segment)).map(|segment| segment.trim_matches(['{', '}']))
}
