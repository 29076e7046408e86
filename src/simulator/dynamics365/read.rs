//! Reading: pages, one record, what changed since a token, the description of a table.

use serde_json::{Value, json};

use super::{
    JSON, Refusal, Target, etag, options, root,
    schema::{self, Holds, Table},
    shown_as,
    write::grave,
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Reply, Request, pairs},
        odata::{Query, Version},
        state::State,
    },
};

/// The most records in a page, and as many where nothing is said.
const PAGE: usize = 5000;

/// Something in one of the comma-joined parts of `Prefer`.
fn preferred<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let parts = request.header("prefer")?.split(',').map(str::trim);
    parts.filter_map(|part| part.strip_prefix(name)).map(|rest| rest.trim_start_matches('=')).next()
}

fn checked(table: &Table, request: &Request) -> Result<Query, Refusal> {
    let mut query = Query::read(Version::V4, &options(request)).map_err(|wrong| Refusal::wrong(&wrong))?;
    query.folded = true;
    if query.skip > 0 {
        return Err(Refusal::of(400, "0x80060888", "Skip Clause is not supported in CRM"));
    }
    match query.names().into_iter().find(|name| table.column(name).is_none()) {
        Some(unknown) => Err(Refusal::property(table, unknown)),
        None => Ok(query),
    }
}

/// The address of the next request: the same query with a token.
fn link(request: &Request, table: &Table, token: &str, value: &str) -> String {
    let kept = pairs(&request.query).into_iter().filter(|(name, _)| name != token && name != "$deltatoken");
    let escape = |text: &str| text.bytes().map(escaped).collect::<String>();
    let kept: Vec<String> = kept.map(|(name, value)| format!("{name}={}&", escape(&value))).collect();
    format!("{}/{}?{}{token}={}", root(request), table.set, kept.concat(), escape(value))
}

fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.~,".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02x}")
    }
}

/// `GET set`.
pub(super) fn list(state: &mut State, request: &Request, target: &Target) -> Result<Answer, Refusal> {
    let table = target.table;
    let given = pairs(&request.query);
    if let Some((_, token)) = given.iter().find(|(name, _)| name == "$deltatoken") {
        return delta(state, request, table, token);
    }
    let query = checked(table, request)?;
    let tracks = preferred(request, "odata.track-changes").is_some();
    if tracks && (query.filters() || query.orders() || query.top.is_some() || query.expand.is_some()) {
        return Err(Refusal::of(
            400,
            "0x80060888",
            "The query options are not supported with change tracking.",
        ));
    }
    let all = query.all(state.table(table.name).rows().map(|row| row.fields.clone()));
    let id_of = |record: &Record| record.get(table.id).and_then(Value::as_str).unwrap_or_default().to_owned();
    // The cookie names the last record of the page before, so that a page does not slide.
    let start = match &query.skip_token {
        None => 0,
        Some(cookie) => {
            let last = cookie.split("last=\"").nth(1).and_then(|rest| rest.split('"').next());
            let last = last.ok_or_else(|| Refusal::of(400, "0x80060888", "Malformed Paging Cookie"))?;
            match all.iter().position(|record| id_of(record) == last) {
                Some(at) => at + 1,
                None => all.iter().take_while(|record| id_of(record).as_str() <= last).count(),
            }
        }
    };
    let told = preferred(request, "odata.maxpagesize").and_then(|size| size.parse().ok());
    let size = told.unwrap_or(PAGE).clamp(1, PAGE);
    let page: Vec<&Record> = all.iter().skip(start).take(query.top.unwrap_or(size).min(PAGE)).collect();
    let ids = page.iter().map(|record| id_of(record)).collect();
    let shown = page.iter().map(|record| Value::Object(shown_as(request, table, &query, record, false)));
    let mut body = json!({"@odata.context": format!("{}/$metadata#{}", root(request), table.set)});
    if let Value::Object(body) = &mut body {
        if query.count {
            body.insert("@odata.count".to_owned(), json!(all.len().min(PAGE)));
        }
        body.insert("value".to_owned(), shown.collect());
        let more = query.top.is_none() && start + page.len() < all.len();
        if let (true, Some(last)) = (more, page.last()) {
            let cookie = format!("<cookie pagenumber=\"2\" last=\"{}\" istracking=\"False\" />", id_of(last));
            body.insert("@odata.nextLink".to_owned(), json!(link(request, table, "$skiptoken", &cookie)));
        } else if tracks {
            body.insert("@odata.deltaLink".to_owned(), json!(delta_link(state, request, table)));
        }
    }
    let mut answer = Answer { reply: Reply::text(200, JSON, body.to_string()), ids, error: None };
    if let Some(applied) = request.header("prefer") {
        answer.reply.headers.push(("preference-applied".to_owned(), applied.to_owned()));
    }
    Ok(answer)
}

fn delta_link(state: &mut State, request: &Request, table: &Table) -> String {
    let version = 1_000_000 + state.next_serial();
    link(request, table, "$deltatoken", &format!("{version}!03/01/2026 10:11:12"))
}

fn version_of(record: &Record) -> u64 {
    record.get("versionnumber").and_then(Value::as_u64).unwrap_or_default()
}

/// What changed since a token, and what was deleted. Several changes of a record are one.
fn delta(state: &mut State, request: &Request, table: &Table, token: &str) -> Result<Answer, Refusal> {
    let since: Option<u64> = token.split('!').next().and_then(|version| version.parse().ok());
    let since =
        since.ok_or_else(|| Refusal::of(400, "0x80044352", "The delta token is invalid or has expired."))?;
    let selected =
        pairs(&request.query).into_iter().filter(|(name, _)| name == "$select").collect::<Vec<_>>();
    let query = Query::read(Version::V4, &selected).map_err(|wrong| Refusal::wrong(&wrong))?;
    let rows = state.table(table.name).rows().filter(|row| version_of(&row.fields) > since);
    let mut value: Vec<Value> =
        rows.map(|row| Value::Object(shown_as(request, table, &query, &row.fields, false))).collect();
    let dead: Vec<(String, u64)> = state
        .table(&grave(table.name))
        .rows()
        .map(|row| (row.id.clone(), version_of(&row.fields)))
        .filter(|(_, version)| *version > since)
        .collect();
    let context = format!("{}/$metadata#{}", root(request), table.set);
    for (id, _) in dead {
        value.push(
            json!({"@odata.context": format!("{context}/$deletedEntity"), "id": id, "reason": "deleted"}),
        );
    }
    let next = delta_link(state, request, table);
    let body =
        json!({"@odata.context": format!("{context}/$delta"), "value": value, "@odata.deltaLink": next});
    Ok(Answer { reply: Reply::text(200, JSON, body.to_string()), ids: Vec::new(), error: None })
}

/// `GET set(key)`.
pub(super) fn get(state: &mut State, request: &Request, target: &Target) -> Result<Answer, Refusal> {
    let query = checked(target.table, request)?;
    let row = target.find(state).ok_or_else(|| Refusal::missing(target.table.name, &target.named()))?;
    if request.header("if-none-match") == Some(etag(&row.fields).as_str()) {
        return Ok(Answer { reply: Reply::text(304, JSON, ""), ids: vec![row.id], error: None });
    }
    let shown = shown_as(request, target.table, &query, &row.fields, true);
    let reply = Reply::text(200, JSON, Value::Object(shown).to_string());
    Ok(Answer { reply, ids: vec![row.id], error: None })
}

/// `GET EntityDefinitions(LogicalName='…')`.
pub(super) fn describe(state: &State, name: &str) -> Result<Answer, Refusal> {
    let table = schema::table(name).ok_or_else(|| {
        Refusal::of(404, "0x80060888", format!("Could not find an entity with name {name}"))
    })?;
    let mut attributes = Vec::new();
    for (column, holds, written) in table.columns() {
        // A lookup is described by its own name, and read by another.
        let plain = match holds {
            Holds::Lookup(_) => column.trim_start_matches('_').trim_end_matches("_value"),
            _ => column,
        };
        let kind = match state.described.get(&(name.to_owned(), plain.to_owned())) {
            Some(None) => continue,
            Some(Some(kind)) => kind.as_str(),
            None => holds.kind(),
        };
        let format = match holds {
            Holds::Day => "DateOnly",
            Holds::Moment => "DateAndTime",
            _ => "",
        };
        attributes.push(json!({
            "LogicalName": plain, "AttributeType": kind, "Format": format, "AttributeOf": null,
            "DisplayName": {"UserLocalizedLabel": {"Label": plain, "LanguageCode": 1033}},
            "IsPrimaryId": *column == table.id, "IsValidForRead": true, "IsValidForCreate": written,
            "IsValidForUpdate": *written && *column != table.id,
            "RequiredLevel": {"Value": if *column == table.title { "ApplicationRequired" } else { "None" }},
        }));
    }
    let keys = table.key.map(|key| json!({"LogicalName": format!("{name}_key"), "KeyAttributes": [key]}));
    let body = json!({
        "LogicalName": name, "EntitySetName": table.set, "PrimaryIdAttribute": table.id,
        "PrimaryNameAttribute": table.title, "ChangeTrackingEnabled": true, "Attributes": attributes,
        "Keys": keys.into_iter().collect::<Vec<_>>(),
    });
    Ok(Answer { reply: Reply::text(200, JSON, body.to_string()), ids: Vec::new(), error: None })
}
