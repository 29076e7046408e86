//! Reading: COQL, lists, one record, deleted records, fields.

use serde_json::{Map, Value, json};

use super::{
    Refusal, nothing, parameter,
    schema::{self, Holds, MODULES, stamp_of, stamp_text},
    write::bin,
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked, Request},
        select::{self, Compared, Tongue, Written, Wrong},
        state::State,
    },
};

/// Rows in a page of a list.
const PAGE: usize = 200;

struct Coql;

impl Tongue for Coql {
    fn object(&self, name: &str) -> Option<String> {
        MODULES.iter().find(|(known, ..)| *known == name).map(|(known, ..)| (*known).to_owned())
    }

    fn field(&self, module: &str, name: &str) -> Option<(String, Compared)> {
        let (name, holds, ..) =
            schema::field(module, name).filter(|(_, holds, ..)| *holds != Holds::Lines)?;
        let compared = match holds {
            Holds::Number(..) | Holds::Id | Holds::Lookup(_) | Holds::Owner => Compared::ByNumber,
            Holds::Text(..) => Compared::Folded,
            _ => Compared::Exactly,
        };
        Some(((*name).to_owned(), compared))
    }

    /// Texts, dates, moments and ids stand in quotes.
    fn literal(&self, module: &str, field: &str, written: Written<'_>) -> Option<Value> {
        let (_, holds, ..) = schema::field(module, field)?;
        match (holds, written) {
            (Holds::Text(..), Written::Quoted(text)) => Some(json!(text)),
            (Holds::Id | Holds::Lookup(_) | Holds::Owner, Written::Quoted(id) | Written::Bare(id)) => {
                id.parse::<u64>().ok().map(|_| json!(id))
            }
            (Holds::Boolean, Written::Bare(word) | Written::Quoted(word)) => {
                word.parse().ok().map(Value::Bool)
            }
            (Holds::Number(..), Written::Bare(word)) if word.parse::<f64>().is_ok() => {
                serde_json::from_str(word).ok()
            }
            (Holds::Date, Written::Quoted(text)) => {
                text.parse::<jiff::civil::Date>().ok().map(|_| json!(text))
            }
            (Holds::DateTime, Written::Quoted(text)) => stamp_of(text).map(|ms| json!(stamp_text(ms))),
            _ => None,
        }
    }

    fn joined(&self) -> usize {
        2
    }

    fn limits(&self) -> (Option<usize>, usize, usize) {
        (Some(200), 2_000, 100_000)
    }
}

/// A record as conditions see it: what is looked up is its id.
fn flat(record: &Record) -> Record {
    let flat = record.iter().map(|(name, value)| (name.clone(), value.get("id").unwrap_or(value).clone()));
    flat.collect()
}

/// `coql`: a page of a query, which must have a condition.
pub(super) fn coql(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let text = asked.payload.get("select_query").and_then(Value::as_str).unwrap_or_default();
    let refused = |wrong: Wrong| match wrong {
        Wrong::Query(said) => Refusal::of(400, "SYNTAX_ERROR", said),
        Wrong::Object(name) => {
            Refusal::of(400, "INVALID_QUERY", "the module given is invalid").with(json!({"module": name}))
        }
        Wrong::Field(name) => Refusal::of(400, "INVALID_QUERY", "column given seems to be invalid")
            .with(json!({"column_name": name})),
        Wrong::Literal(name) => {
            Refusal::of(400, "INVALID_QUERY", "value given seems to be invalid for the column")
                .with(json!({"column_name": name}))
        }
        Wrong::Range(said) => Refusal::of(400, "LIMIT_EXCEEDED", said),
    };
    if !text.to_lowercase().contains(" where ") {
        return Err(Refusal::of(
            400,
            "SYNTAX_ERROR",
            "error occured while parsing the query: where is missing",
        ));
    }
    let query = select::parse(&Coql, text).map_err(refused)?;
    let mut found: Vec<(Record, Record)> = state
        .table(&query.object)
        .rows()
        .map(|row| (flat(&row.fields), row.fields.clone()))
        .filter(|(flat, _)| query.takes(flat))
        .collect();
    found.sort_by(|(left, _), (right, _)| query.order(left, right));
    let limit = query.limit.unwrap_or(PAGE);
    let more = found.len() > query.offset + limit;
    let shown = found.into_iter().skip(query.offset).take(limit).map(|(_, record)| {
        let mut shown = Map::new();
        for name in query.fields.iter().map(String::as_str).chain(["id"]) {
            let value = record.get(name).cloned().unwrap_or(Value::Null);
            // What is looked up comes by its id alone.
            let value = value.get("id").map_or(value.clone(), |id| json!({ "id": id }));
            shown.insert(name.to_owned(), value);
        }
        Value::Object(shown)
    });
    Ok(page(shown.collect(), |count| json!({"count": count, "more_records": more})))
}

/// Nothing found is no list without entries, but an answer without a body.
fn page(records: Vec<Value>, info: impl FnOnce(usize) -> Value) -> Answer {
    if records.is_empty() {
        return nothing(204);
    }
    let ids = records.iter().filter_map(|record| record.get("id").and_then(Value::as_str));
    let ids = ids.map(str::to_owned).collect();
    let info = info(records.len());
    Answer::ok(&json!({"data": records, "info": info})).with_ids(ids)
}

/// A list: by `page` up to the 2000th record, by `page_token` beyond.
pub(super) fn list(state: &mut State, request: &Request, asked: &Asked) -> Result<Answer, Refusal> {
    let missing = |name: &str| {
        Refusal::of(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing")
            .with(json!({"param_name": name}))
    };
    let fields = parameter(request, "fields").ok_or_else(|| missing("fields"))?;
    let fields: Vec<&str> = fields.split(',').collect();
    if fields.len() > 50 {
        return Err(Refusal::of(400, "LIMIT_EXCEEDED", "at most 50 fields"));
    }
    let number = |name: &str| parameter(request, name).and_then(|text| text.parse::<usize>().ok());
    let per_page = number("per_page").unwrap_or(PAGE).clamp(1, PAGE);
    let token = parameter(request, "page_token").map(|token| token.parse::<usize>().unwrap_or(usize::MAX));
    let begin = token.unwrap_or_else(|| (number("page").unwrap_or(1).max(1) - 1) * per_page);
    if token.is_none() && begin + per_page > 2_000 {
        let message = "page_token is needed beyond the 2000th record";
        return Err(Refusal::of(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", message));
    }
    let since = match request.header("if-modified-since") {
        None => None,
        // An ISO 8601 text, not the date of HTTP.
        Some(text) => Some(
            stamp_of(text)
                .ok_or_else(|| Refusal::of(400, "INVALID_DATA", "If-Modified-Since is no ISO 8601 moment"))?,
        ),
    };
    let rows = state.table(&asked.object).rows().filter(|row| since.is_none_or(|since| row.stamp >= since));
    let mut found: Vec<Record> = rows.map(|row| row.fields.clone()).collect();
    if parameter(request, "sort_order").as_deref() != Some("asc") {
        found.reverse();
    }
    if since.is_some() && found.is_empty() {
        return Ok(nothing(304));
    }
    let more = found.len() > begin.saturating_add(per_page);
    let shown = found.into_iter().skip(begin).take(per_page).map(|record| {
        let mut shown = Map::new();
        for name in fields.iter().copied().chain(["id"]) {
            shown.insert(name.to_owned(), record.get(name).cloned().unwrap_or(Value::Null));
        }
        Value::Object(shown)
    });
    let next = if more { json!((begin + per_page).to_string()) } else { Value::Null };
    Ok(page(shown.collect(), |count| {
        json!({"per_page": per_page, "count": count, "page": begin / per_page + 1, "sort_by": "id",
            "sort_order": "desc", "more_records": more, "next_page_token": next, "previous_page_token": null})
    }))
}

/// One record with all that it has.
pub(super) fn get(state: &mut State, asked: &Asked) -> Result<Answer, Refusal> {
    let id = asked.ids.first().cloned().unwrap_or_default();
    match state.table(&asked.object).get(&id).map(|row| row.fields.clone()) {
        Some(record) => Ok(Answer::ok(&json!({"data": [record]})).with_ids(vec![id])),
        // There is no answer to an id that nobody has (unverified).
        None => Ok(nothing(204)),
    }
}

/// What was deleted.
pub(super) fn deleted(state: &mut State, request: &Request, asked: &Asked) -> Result<Answer, Refusal> {
    let since = request.header("if-modified-since").and_then(stamp_of).unwrap_or(i64::MIN);
    let rows = state.table(&bin(&asked.object)).rows().filter(|row| row.stamp >= since);
    let records =
        rows.map(|row| json!({"id": row.id, "type": "recycle", "deleted_time": stamp_text(row.stamp)}));
    Ok(page(records.collect(), |count| json!({"count": count, "more_records": false})))
}

pub(super) fn modules() -> Answer {
    let modules: Vec<Value> = MODULES
        .iter()
        .map(|(name, ..)| {
            json!({"api_name": name, "module_name": name, "generated_type": "default", "api_supported": true,
                "creatable": true, "editable": true, "deletable": true, "viewable": true})
        })
        .collect();
    Answer::ok(&json!({ "modules": modules }))
}

pub(super) fn fields(state: &State, module: &str) -> Answer {
    let described = |name: &str, kind: &str, by_system: bool, length: usize, required: bool| {
        let mut field = json!({
            "api_name": name, "field_label": name, "data_type": kind, "json_type": json_type(kind), "length": length,
            "system_mandatory": required, "read_only": by_system, "field_read_only": by_system, "visible": true,
            "custom_field": false, "id": "4876876000000002000", "type": "used",
            "operation_type": {"api_create": !by_system, "api_update": !by_system, "web_create": true, "web_update": true},
        });
        if kind == "lookup"
            && let Value::Object(field) = &mut field
        {
            field.insert("lookup".to_owned(), json!({"module": {"api_name": "Accounts"}}));
        }
        field
    };
    let mut list = Vec::new();
    for (name, holds, by_system, _) in schema::fields(module) {
        let length = if let Holds::Text(_, length) = holds { *length } else { 0 };
        let kind = match state.described.get(&(module.to_owned(), (*name).to_owned())) {
            Some(None) => continue,
            Some(Some(kind)) => kind.as_str(),
            None => holds.data_type(),
        };
        list.push(described(name, kind, *by_system, length, schema::required(module) == Some(*name)));
    }
    Answer::ok(&json!({ "fields": list }))
}

fn json_type(kind: &str) -> &'static str {
    match kind {
        "boolean" => "boolean",
        "integer" => "integer",
        "currency" | "double" | "percent" => "double",
        "lookup" | "ownerlookup" => "jsonobject",
        _ => "string",
    }
}
