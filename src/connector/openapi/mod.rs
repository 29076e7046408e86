//! A first manifest from an OpenAPI 3 document: what the document tells is written down, and what it cannot tell is marked
//! for review. The result compiles; whether it says what the system means, its case file must show.

mod document;
mod guess;

use std::fmt::Write;

use serde_json::Value;

use document::{Document, Thing};

/// Why no manifest can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenApiError {
    #[error("the document cannot be read: {0}")]
    Unreadable(String),
    #[error(
        "this is not an OpenAPI 3 document: `openapi` must begin with 3 (convert a Swagger 2 document first)"
    )]
    NotOpenApi,
    #[error(
        "no path of the document lists or reads records; write the manifest by hand (docs/connectors.md)"
    )]
    Nothing,
}

/// What stands before everything that a person must look at.
const REVIEW: &str = "# review:";

/// The text of a manifest. `name` is the connector's; the document's title when left out.
///
/// # Errors
/// [`OpenApiError`] where the document says too little.
pub fn draft(text: &str, name: Option<&str>) -> Result<String, OpenApiError> {
    let root: Value = serde_saphyr::from_str(text)
        .map_err(|error| OpenApiError::Unreadable(error.without_snippet().to_string()))?;
    let document = Document::new(&root).ok_or(OpenApiError::NotOpenApi)?;
    let things = document.things();
    if things.is_empty() {
        return Err(OpenApiError::Nothing);
    }
    let title = document.title();
    let name = name.map_or_else(|| slug(title), slug);
    let mut out = format!(
        "# {}. Made from an OpenAPI document: a beginning. Look at every line that says review, then write\n\
         # {name}.test.yaml beside it and run `rowtwin connector test {name}.yaml`.\n\
         connector: {name}\ntitle: {}\nversion: 1\n\n",
        one_line(title),
        quoted(title)
    );
    sign_in(&document, &mut out);
    out += COMMON;
    out += "\nobjects:\n";
    for thing in &things {
        object(&document, thing, &mut out);
    }
    for path in document.left_out() {
        let _ = writeln!(out, "{REVIEW} left out, since its records stand below others: {}", one_line(path));
    }
    Ok(out)
}

/// What errors mean almost everywhere.
const COMMON: &str = r##"
limits:
  # review: the document does not tell; look at the pages about limits
  per_second: 5
  in_flight: 2

definitions: |
  def said: [.body.message?, .body.error?.message?, .body.error?, .body.detail?, .body.title?]
    | map(select(type == "string")) | .[0] // "no message";
  def answer: "\(said) (status \(.status))";

answers:
  # review: systems that say 200 to an error need rules of their own
  - when: .status == 429
    outcome: throttled
    reason: answer
  - when: .status == 401 or .status == 403
    outcome: misconfigured
    reason: answer
  - when: .status == 404 or .status == 410
    on: [update, delete]
    outcome: gone
    reason: answer
  - when: .status == 409 or .status == 412
    on: [update, delete]
    outcome: conflict
    reason: answer
  - when: .status >= 400 and .status < 500
    outcome: reject
    reason: answer
"##;

fn sign_in(document: &Document<'_>, out: &mut String) {
    let (server, absolute) = document.server();
    let base = if absolute { format!("default: {}", quoted(server)) } else { "required: true".to_owned() };
    let _ = write!(out, "settings:\n  base_url: {{{base}, help: the address of the API}}\n");
    let secret = |name: &str| {
        format!("  {name}: {{required: true, secret: true}} {REVIEW} say in `help` where to find it\n")
    };
    let key = "sign_in:\n  kinds:\n    key: {kind: key, token: .secrets.key}\n";
    let request = "request:\n  base: .settings.base_url\n";
    let with_headers = |headers: &str| format!("{request}  headers: {}\n", quoted(headers));
    let scheme = document.security();
    let text =
        |name: &str| scheme.and_then(|scheme| scheme.get(name)).and_then(Value::as_str).unwrap_or_default();
    let kind = (text("type"), text("scheme").to_ascii_lowercase(), text("in"));
    match (kind.0, kind.1.as_str(), kind.2) {
        ("http", "bearer", _) => {
            *out += &secret("key");
            *out += key;
            *out += &with_headers(r#"{"Authorization": "Bearer \(.token)"}"#);
        }
        ("http", "basic", _) => {
            *out += "  user: {required: true}\n";
            *out += &secret("password");
            *out += "sign_in:\n  kinds:\n    key: {kind: key, token: '\"\\(.settings.user):\\(.secrets.password)\" | base64'}\n";
            *out += &with_headers(r#"{"Authorization": "Basic \(.token)"}"#);
        }
        ("apiKey", _, place @ ("header" | "query")) => {
            *out += &secret("key");
            *out += key;
            let pair = format!("{{{}: .token}}", Value::from(text("name")));
            let part = if place == "query" { "query" } else { "headers" };
            let _ = writeln!(out, "{request}  {part}: {}", quoted(&pair));
        }
        ("oauth2", ..) if document.token_url().is_some() => {
            *out += "  client_id: {required: true}\n";
            *out += &secret("client_secret");
            let _ = write!(
                out,
                "sign_in:\n  kinds:\n    token:\n      kind: token_exchange\n      {REVIEW} the address of the tokens, below the base\n      path: {}\n      form: '{{grant_type: \"client_credentials\", client_id: .settings.client_id, client_secret: .secrets.client_secret}}'\n      token: .body.access_token\n      expires_in: .body.expires_in\n",
                quoted(&document.token_url().unwrap_or_default())
            );
            *out += &with_headers(r#"{"Authorization": "Bearer \(.token)"}"#);
        }
        _ => {
            let _ = writeln!(out, "{REVIEW} the document does not say how requests are signed in");
            *out += request;
        }
    }
}

/// A member of a value in jq.
fn member(name: &str) -> String {
    format!("[{}]", Value::from(name))
}

fn object<'a>(document: &Document<'a>, thing: &Thing<'a>, out: &mut String) {
    let shape = guess::shape(document, thing);
    let _ = writeln!(out, "  {}:", quoted(&thing.name));
    if !shape.fields.is_empty() {
        let _ = writeln!(out, "    # fields: {}", one_line(&shape.fields.join(", ")));
    }
    let plain = shape.id.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
        && !shape.id.starts_with(|char: char| char.is_ascii_digit());
    let id = if plain { format!(".record.{}", shape.id) } else { format!(".record{}", member(&shape.id)) };
    let sure = if shape.id_is_sure { String::new() } else { format!(" {REVIEW} is this the id?") };
    let _ = writeln!(out, "    id: {}{sure}", quoted(&id));
    match &shape.modified {
        Some((field, true)) => {
            let jq = format!(".record{} | if . == null then null else parse_iso end", member(field));
            let _ = writeln!(out, "    modified: {}", quoted(&jq));
        }
        Some((field, false)) => {
            let _ = writeln!(
                out,
                "    modified: {} {REVIEW} milliseconds are wanted",
                quoted(&format!(".record{}", member(field)))
            );
        }
        None => {
            let _ = writeln!(
                out,
                "    {REVIEW} no field looks like the time of the last change: every poll reads everything"
            );
        }
    }
    *out += "    operations:\n";
    let records = format!(".body{}", shape.list_at.as_deref().map(member).unwrap_or_default());
    if thing.list.is_some() {
        let _ = writeln!(out, "      list:\n        method: GET\n        path: {}", quoted(&thing.path));
        let paging = guess::paging(document, thing, &records);
        let _ = writeln!(out, "        batch: {}", paging.size);
        if !paging.query.is_empty() {
            let _ = writeln!(out, "        query: {}", quoted(&format!("{{{}}}", paging.query.join(", "))));
        }
        let _ = writeln!(out, "        records: {}", quoted(&format!("[{records}[]?]")));
        if let Some(next) = &paging.next {
            let _ = writeln!(out, "        next: {}", quoted(next));
        }
        for note in &paging.notes {
            let _ = writeln!(out, "        {REVIEW} {note}");
        }
    }
    let item = |id: &str| quoted(&format!("{}/{{{id}}}", thing.path));
    let one = format!(".body{}", shape.one_at.as_deref().map(member).unwrap_or_default());
    if thing.read.is_some() {
        let _ = writeln!(
            out,
            "      read:\n        method: GET\n        path: {}\n        answers:\n          - when: .status == 404 or .status == 410\n            outcome: ok\n        records: {}",
            item(".ids[0]"),
            quoted(&format!("if .status < 400 then [{one}] else [] end"))
        );
    } else {
        let _ = writeln!(
            out,
            "      {REVIEW} no path reads one record: deletes in the remote cannot be confirmed"
        );
    }
    let sent = |operation: Option<&'a Value>, fields: &str| match guess::wrapper(document, operation) {
        Some(name) => format!("{{{}: {fields}}}", Value::from(name)),
        None => fields.to_owned(),
    };
    if thing.create.is_some() {
        let made = format!("{one}{}", member(&shape.id));
        let results = format!(
            "[if {made}? then {{id: ({made} | tostring)}} else {{outcome: \"unknown\", reason: \"the answer has no id\"}} end]"
        );
        let fields = "(.items[0].fields | with_entries(select(.value != null)))";
        let _ = writeln!(
            out,
            "      create:\n        path: {}\n        body: {}\n        results: {}",
            quoted(&thing.path),
            quoted(&sent(thing.create, fields)),
            quoted(&results)
        );
    }
    if let Some((method, operation)) = thing.update {
        let whole = if method == "PUT" {
            let _ = writeln!(
                out,
                "      {REVIEW} a PUT may replace the whole record: fields that are not sent may be lost"
            );
            "(.items[0].shadow + .items[0].changes)"
        } else {
            ".items[0].changes"
        };
        let _ = writeln!(
            out,
            "      update:\n        method: {method}\n        path: {}\n        body: {}",
            item(".items[0].id"),
            quoted(&sent(Some(operation), whole))
        );
    }
    if thing.delete.is_some() {
        let _ =
            writeln!(out, "      delete:\n        method: DELETE\n        path: {}", item(".items[0].id"));
    }
}

/// A text as YAML, which takes JSON's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(2000).collect()
}

/// A name for files and configurations.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for char in text.chars().take(60) {
        match char.is_ascii_alphanumeric() {
            true => slug.push(char.to_ascii_lowercase()),
            false if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            false => {}
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "my-system".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
