//! Guessing from names what an OpenAPI document does not say: the id, the time of the last change, the pages.

use serde_json::Value;

use super::document::{Document, Thing};

/// What the records of a thing look like.
pub(super) struct Shape {
    pub(super) id: String,
    pub(super) id_is_sure: bool,
    /// The field, and whether it is an ISO text.
    pub(super) modified: Option<(String, bool)>,
    /// The member of a list's answer that holds the records; the answer itself when none.
    pub(super) list_at: Option<String>,
    /// The same for one record.
    pub(super) one_at: Option<String>,
    /// For people: name and type.
    pub(super) fields: Vec<String>,
}

/// How a list is asked for in pages.
pub(super) struct Paging {
    pub(super) size: u64,
    /// Members of a jq object.
    pub(super) query: Vec<String>,
    pub(super) next: Option<String>,
    pub(super) notes: Vec<String>,
}

/// Small letters and digits alone: `updated_at` and `updatedAt` are the same.
fn bare(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}

const MODIFIED: [&str; 14] = [
    "updatedat",
    "modifiedat",
    "lastmodifiedat",
    "lastmodified",
    "lastupdated",
    "lastupdatedat",
    "updated",
    "modified",
    "dateupdated",
    "datemodified",
    "updatetime",
    "updatedtime",
    "modifiedtime",
    "changedat",
];
const SIZES: [&str; 9] =
    ["limit", "perpage", "pagesize", "size", "count", "maxresults", "first", "top", "max"];
const PAGES: [&str; 4] = ["page", "pagenumber", "pageno", "pageindex"];
const OFFSETS: [&str; 5] = ["offset", "skip", "start", "startat", "startindex"];
const CURSORS: [&str; 7] =
    ["cursor", "pagetoken", "nexttoken", "continuationtoken", "startingafter", "after", "afterid"];
const NEXTS: [&str; 6] = ["nextcursor", "nextpagetoken", "nexttoken", "continuationtoken", "next", "cursor"];
const SINCES: [&str; 9] = [
    "updatedsince",
    "modifiedsince",
    "since",
    "updatedafter",
    "modifiedafter",
    "updatedatmin",
    "updatedatgte",
    "lastmodifiedafter",
    "changedsince",
];

/// The member that holds the records of a list.
fn array_of<'a>(document: &Document<'a>, schema: &'a Value, name: &str) -> Option<(&'a str, &'a Value)> {
    let arrays: Vec<(&str, &Value)> = document
        .properties(schema)
        .into_iter()
        .filter(|(_, schema, _)| document.is(schema, "array"))
        .map(|(name, schema, _)| (name, schema))
        .collect();
    let known = [name, "data", "items", "results", "records", "value", "list"];
    let named = known.iter().find_map(|known| arrays.iter().find(|(name, _)| bare(name) == bare(known)));
    named.or_else(|| arrays.first()).copied()
}

/// What the records of a thing look like, by the answers that hold them.
pub(super) fn shape<'a>(document: &Document<'a>, thing: &Thing<'a>) -> Shape {
    let listed = thing.list.map(|list| document.answer(list));
    let at = listed
        .filter(|schema| !document.is(schema, "array"))
        .and_then(|schema| array_of(document, schema, &thing.name));
    let array = at.map(|(_, schema)| schema).or(listed);
    let record = array.and_then(|array| array.get("items")).map(|items| document.resolved(items));
    let read = thing.read.map(|read| document.answer(read));
    let parameter = bare(&thing.parameter);
    let is_id = |name: &str| {
        let name = bare(name);
        name == "id" || name == parameter || name == "uuid"
    };
    let has_id = |schema: &&Value| document.properties(schema).iter().any(|(name, ..)| is_id(name));
    // one record may lie in a member of its own
    let one_at = read.filter(|schema| !has_id(schema)).and_then(|schema| {
        let inside = document.properties(schema).into_iter().find(|(_, schema, _)| has_id(schema));
        inside.map(|(name, schema, _)| (name, schema))
    });
    let one = one_at.map(|(_, schema)| schema).or(read);
    let record = record.filter(|record| !document.properties(record).is_empty()).or(one);
    let properties = record.map(|record| document.properties(record)).unwrap_or_default();
    let exact = properties.iter().find(|(name, ..)| bare(name) == "id");
    let id = exact.or_else(|| properties.iter().find(|(name, ..)| is_id(name)));
    let modified =
        MODIFIED.iter().find_map(|known| properties.iter().find(|(name, ..)| bare(name) == *known));
    let kind = |schema: &Value| match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("any").to_owned()
        }
        _ => "any".to_owned(),
    };
    let told = |(name, schema, required): &(&str, &Value, bool)| {
        let needed = if *required { ", required" } else { "" };
        format!("{name} ({}{needed})", kind(schema))
    };
    Shape {
        id: id.map_or_else(|| "id".to_owned(), |(name, ..)| (*name).to_owned()),
        id_is_sure: id.is_some(),
        modified: modified.map(|(name, schema, _)| ((*name).to_owned(), document.is(schema, "string"))),
        list_at: at.map(|(name, _)| name.to_owned()),
        one_at: one_at.map(|(name, _)| name.to_owned()),
        fields: properties.iter().take(60).map(told).collect(),
    }
}

/// The only member of what is sent, where the record's fields lie inside of it.
pub(super) fn wrapper<'a>(document: &Document<'a>, operation: Option<&'a Value>) -> Option<&'a str> {
    match document.properties(document.sent(operation?)).as_slice() {
        [(name, schema, _)] if document.is(schema, "object") => Some(name),
        _ => None,
    }
}

/// How a list is asked for in pages; `records` is jq for the array of its records.
pub(super) fn paging<'a>(document: &Document<'a>, thing: &Thing<'a>, records: &str) -> Paging {
    let parameters = thing.list.map(|list| document.query(list)).unwrap_or_default();
    let of = |known: &[&str]| {
        known.iter().find_map(|known| parameters.iter().find(|(name, _)| bare(name) == *known)).copied()
    };
    let mut paging = Paging { size: 100, query: Vec::new(), next: None, notes: Vec::new() };
    let member = |name: &str, jq: &str| format!("{}: {jq}", Value::from(name));
    let size = of(&SIZES);
    if let Some((name, schema)) = size {
        let told = ["maximum", "default"].iter().find_map(|word| schema.get(*word).and_then(Value::as_u64));
        paging.size = told.unwrap_or(100).clamp(1, 1000);
        paging.query.push(member(name, ".limit"));
    }
    let full = |then: &str| format!("if ({records} | length) < .limit then null else {then} end");
    let slides = "pages by number slide when a record changes between two of them: look for a way to ask for ids beyond the last one";
    if let Some((name, _)) = of(&CURSORS) {
        paging.query.push(member(name, ".page"));
        let answer = thing.list.map(|list| document.properties(document.answer(list))).unwrap_or_default();
        let told = NEXTS.iter().find_map(|known| answer.iter().find(|(name, ..)| bare(name) == *known));
        match told {
            Some((next, ..)) => {
                paging.next =
                    Some(format!(".body[{}] | if . == \"\" then null else . end", Value::from(*next)));
            }
            None => {
                let id = shape(document, thing).id;
                paging.next = Some(full(&format!("{records}[-1][{}]", Value::from(id))));
                paging.notes.push(format!("is `{name}` the id of the last record, in the order of ids?"));
            }
        }
    } else if let Some((name, _)) = of(&PAGES) {
        paging.query.push(member(name, "(.page // 1)"));
        paging.next = Some(full("(.page // 1) + 1"));
        paging.notes.push(slides.to_owned());
    } else if let Some((name, _)) = of(&OFFSETS) {
        paging.query.push(member(name, "(.page // 0)"));
        paging.next = Some(full("(.page // 0) + .limit"));
        paging.notes.push(slides.to_owned());
    } else {
        paging.notes.push("no parameter asks for a further page: is everything in one answer?".to_owned());
    }
    if size.is_none() && paging.next.is_some() {
        paging.notes.push("how many records are in a page? `batch` must say it".to_owned());
    }
    match of(&SINCES) {
        Some((name, _)) => paging.query.push(member(
            name,
            "(if .since then (.since | format_time(\"%Y-%m-%dT%H:%M:%SZ\"; \"UTC\")) else null end)",
        )),
        None => paging
            .notes
            .push("no parameter asks for what has changed: every poll reads everything".to_owned()),
    }
    paging
}
