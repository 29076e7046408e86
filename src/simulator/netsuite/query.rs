//! SuiteQL: queries over the same records. Names are in small letters, every value is a text, and a day or a moment is
//! shown in the user's own form, unless `TO_CHAR` says in which.

use serde_json::{Map, Value, json};

use super::{
    Refusal,
    schema::{self, Holds},
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked, Reply, Request, pairs},
        select::{self, Compared, Tongue, Written, Wrong},
        state::State,
        value::{number, text_of},
    },
};

/// The most rows in a page, and of all pages of a query.
const PAGE: usize = 1000;
const REACH: usize = 100_000;

/// The type of record that a query asks for.
pub(super) fn object_of(text: &str) -> &'static str {
    let lower = text.to_lowercase();
    let table = lower.split(" from ").nth(1).and_then(|rest| rest.split_whitespace().next());
    match table {
        Some("customer") => "customer",
        Some("transaction") => "salesOrder",
        Some("item") => "nonInventoryItem",
        _ => "",
    }
}

struct SuiteQl;

impl Tongue for SuiteQl {
    fn object(&self, name: &str) -> Option<String> {
        Some(object_of(&format!(" from {name}")).to_owned()).filter(|object| !object.is_empty())
    }

    fn field(&self, object: &str, name: &str) -> Option<(String, Compared)> {
        if (object, name) == ("salesOrder", "type") {
            return Some(("type".to_owned(), Compared::Folded));
        }
        let (name, holds, _) = schema::field(object, name)?;
        let compared = match holds {
            Holds::Whole | Holds::Number | Holds::Reference(_) => Compared::ByNumber,
            _ => Compared::Folded,
        };
        Some(((*name).to_owned(), compared))
    }

    fn literal(&self, _: &str, _: &str, written: Written<'_>) -> Option<Value> {
        match written {
            Written::Quoted(text) => Some(json!(text)),
            Written::Bare(text) => Some(number(text)).filter(Value::is_number),
        }
    }

    fn limits(&self) -> (Option<usize>, usize, usize) {
        (None, usize::MAX, usize::MAX)
    }
}

/// What a form of `TO_CHAR` and `TO_DATE` is to the library that reads times.
fn form_of(oracle: &str) -> String {
    [
        ("YYYY", "%Y"),
        ("MM", "%m"),
        ("DD", "%d"),
        ("HH24", "%H"),
        ("MI", "%M"),
        ("SS", "%S"),
        ("\"T\"", "T"),
        ("\"Z\"", "Z"),
    ]
    .iter()
    .fold(oracle.to_owned(), |form, (theirs, ours)| form.replace(theirs, ours))
}

/// The two arguments of a call of this function, and the text with what is made of them in its place.
fn replaced(
    text: &str,
    function: &str,
    make: &mut dyn FnMut(&str, &str) -> Option<String>,
) -> Option<String> {
    let (mut rest, mut whole) = (text, String::new());
    while let Some(at) = rest.find(function) {
        whole.push_str(rest.get(..at)?);
        let inner = rest.get(at + function.len()..)?;
        let (inner, after) = inner.split_once(')')?;
        let (first, second) = inner.split_once(',')?;
        whole.push_str(&make(first.trim().trim_matches('\''), second.trim().trim_matches('\''))?);
        rest = after;
    }
    whole.push_str(rest);
    Some(whole)
}

/// A query in the words that the shared reader knows, and the forms in which days and moments are shown.
fn plain(text: &str) -> Option<(String, Map<String, Value>)> {
    let mut forms = Map::new();
    let text = replaced(text, "TO_CHAR(", &mut |name, form| {
        forms.insert(name.to_lowercase(), json!(form_of(form)));
        Some(name.to_owned())
    })?;
    let text = replaced(&text, "TO_DATE(", &mut |value, form| {
        let local = jiff::civil::DateTime::strptime(form_of(form), value).ok()?;
        let moment = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(format!("'{}'", schema::moment(moment.timestamp().as_millisecond())))
    })?;
    // A quote in a text is doubled here; the shared reader wants it behind a backslash.
    let text = text.replace('\\', "\\\\").replace("''", "\\'");
    // What is shown under a name (`AS x`) is shown under that of its field here.
    let (mut kept, mut named): (Vec<&str>, bool) = (Vec::new(), false);
    for word in text.split(' ') {
        if std::mem::take(&mut named) {
            kept.extend(word.ends_with(',').then_some(","));
        } else if word.eq_ignore_ascii_case("as") {
            named = true;
        } else {
            kept.push(word);
        }
    }
    Some((kept.join(" "), forms))
}

fn shown(object: &str, record: &Record, names: &[String], forms: &Map<String, Value>) -> Value {
    let mut row = Map::from_iter([("links".to_owned(), json!([]))]);
    for name in names {
        let Some(value) = record.get(name).filter(|value| !value.is_null()) else { continue };
        let holds = schema::field(object, name).map(|(_, holds, _)| *holds);
        let form = forms.get(&name.to_lowercase()).and_then(Value::as_str);
        let text = text_of(value).unwrap_or_default();
        let text = match (holds, value) {
            (_, Value::Bool(truth)) => (if *truth { "T" } else { "F" }).to_owned(),
            (Some(Holds::Day | Holds::Moment), _) => {
                let day = text.parse::<jiff::civil::Date>().map(jiff::civil::DateTime::from);
                let local = text.trim_end_matches('Z').parse::<jiff::civil::DateTime>().or(day);
                local.map(|local| local.strftime(form.unwrap_or("%m/%d/%Y")).to_string()).unwrap_or(text)
            }
            _ => text,
        };
        row.insert(name.to_lowercase(), json!(text));
    }
    Value::Object(row)
}

/// `POST query/v1/suiteql`.
pub(super) fn run(state: &mut State, request: &Request, asked: &Asked) -> Result<Answer, Refusal> {
    let bad = |said: String| {
        Refusal::of(
            400,
            "INVALID_PARAMETER",
            format!("Invalid search query. Detailed unprocessed description follows. {said}"),
        )
    };
    if !request.header("prefer").is_some_and(|prefer| prefer.contains("transient")) {
        return Err(Refusal::of(
            400,
            "INVALID_HEADER",
            "The required request header 'Prefer' is missing or not 'transient'.",
        ));
    }
    let given = pairs(&request.query);
    let count = |name: &str, otherwise: usize| {
        given.iter().find(|(known, _)| known == name).map_or(Some(otherwise), |(_, value)| value.parse().ok())
    };
    let (Some(limit), Some(offset)) = (count("limit", PAGE), count("offset", 0)) else {
        return Err(bad("limit and offset are numbers".to_owned()));
    };
    if limit > PAGE || offset + limit > REACH {
        return Err(bad("limit is at most 1000, and no row lies beyond the 100000th".to_owned()));
    }
    let text = asked.payload.get("q").and_then(Value::as_str).unwrap_or_default();
    let (text, forms) = plain(text).ok_or_else(|| bad("a function is not closed".to_owned()))?;
    let query = select::parse(&SuiteQl, &text).map_err(|wrong| match wrong {
        Wrong::Field(name) => bad(format!("Field '{name}' was not found.")),
        Wrong::Object(name) => bad(format!("Record '{name}' was not found.")),
        Wrong::Query(said) | Wrong::Literal(said) | Wrong::Range(said) => bad(said),
    })?;
    let object = query.object.clone();
    let with_type = |mut record: Record| {
        record.insert("type".to_owned(), json!("SalesOrd"));
        record
    };
    let mut found: Vec<Record> = state
        .table(&object)
        .rows()
        .map(|row| with_type(row.fields.clone()))
        .filter(|record| query.takes(record))
        .collect();
    found.sort_by(|left, right| query.order(left, right));
    let page: Vec<&Record> = found.iter().skip(offset).take(limit).collect();
    let ids = page.iter().filter_map(|record| record.get("id").and_then(text_of)).collect();
    let items: Vec<Value> = page.iter().map(|record| shown(&object, record, &query.fields, &forms)).collect();
    let body = json!({"links": [], "count": items.len(), "hasMore": offset + items.len() < found.len(),
        "items": items, "offset": offset, "totalResults": found.len()});
    let reply = Reply::text(200, "application/vnd.oracle.resource+json; type=collection", body.to_string());
    Ok(Answer { reply, ids, error: None })
}
