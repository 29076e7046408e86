//! The manifest's text, with a remark at each guess.

use std::collections::BTreeSet;

use serde_json::Value;

use super::api::Api;
use super::guess::{self, Paging, member};
use super::resource::Resource;

/// Lines of YAML, indented.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, depth: usize, text: impl AsRef<str>) {
        self.0.push_str(&"  ".repeat(depth));
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    fn remark(&mut self, depth: usize, text: impl AsRef<str>) {
        self.line(depth, format!("# {}", one_line(text.as_ref())));
    }

    /// A key with a text that is quoted whatever is in it.
    fn text(&mut self, depth: usize, key: &str, value: &str) {
        self.line(depth, format!("{key}: {}", quoted(value)));
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A YAML text in single quotes: nothing in it means anything.
fn quoted(text: &str) -> String {
    format!("'{}'", one_line(text).replace('\'', "''"))
}

/// The whole manifest.
pub(super) fn manifest<'a>(
    api: &Api<'a>,
    name: &str,
    title: &str,
    resources: &[Resource<'a>],
    left_out: &[String],
) -> String {
    let mut page = Page::default();
    page.remark(
        0,
        format!(
            "{title}: drafted from its OpenAPI document, by nobody's experience. Read every line that says"
        ),
    );
    page.remark(0, "REVIEW, try it with a test account, and write cases for it (docs/connectors.md, \"Write your own\").");
    page.remark(0, "");
    page.remark(0, "REVIEW (unverified): is a page stable while records change? when is a stamp set? which error says that a record");
    page.remark(0, "exists already? is an empty text the same as nothing? what are the limits?");
    for line in left_out {
        page.remark(0, format!("left out: {line}"));
    }
    page.text(0, "connector", name);
    page.text(0, "title", title);
    page.line(0, "version: 1");
    page.line(0, "");
    let base = api_base(api);
    let holes: BTreeSet<&str> =
        resources.iter().flat_map(|one| one.settings.iter().map(String::as_str)).collect();
    let sign_in = SignIn::of(api);
    page.line(0, "settings:");
    page.line(1, "base_url:");
    if base.starts_with("http") && !base.contains('{') {
        page.text(2, "default", base);
    } else {
        page.line(2, "required: true");
    }
    page.text(2, "help", "the address of the API");
    for hole in &holes {
        page.line(1, format!("{}:", quoted(hole)));
        page.line(2, "required: true");
        page.text(2, "help", "a part of every path; see the documentation of the API");
    }
    sign_in.settings(&mut page);
    page.line(0, "");
    sign_in.kind(api, &mut page);
    page.line(0, "request:");
    page.line(1, "base: .settings.base_url");
    sign_in.request(&mut page);
    page.line(0, "");
    page.remark(0, "REVIEW: the document does not say how much may be asked.");
    page.line(0, "limits: {per_second: 5, in_flight: 2}");
    page.line(0, "");
    page.remark(0, "What is not said here is decided by the status: see \"Outcomes\" in docs/connectors.md.");
    page.line(0, "answers:");
    page.line(1, "- when: .status == 400 or .status == 422");
    page.line(2, "outcome: reject");
    page.remark(2, "REVIEW: where does an error say which field is wrong (`field`), and why?");
    page.text(
        2,
        "reason",
        ".body | if type == \"object\" then (.message // .error_description // .detail // .title // .error // .) else . end | tostring",
    );
    page.line(0, "");
    page.line(0, "objects:");
    for resource in resources {
        object(api, &mut page, resource);
    }
    page.0
}

/// The address that the document gives.
fn api_base<'a>(api: &Api<'a>) -> &'a str {
    api.root.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default()
}

/// A path as the manifest writes it: its holes hold jq.
fn path(resource: &Resource<'_>, path: &str, id: &str) -> String {
    let mut written = path.to_owned();
    for hole in &resource.settings {
        written = written.replace(&format!("{{{hole}}}"), &format!("{{{}}}", member(".settings", hole)));
    }
    written.replace(&format!("{{{}}}", resource.id_parameter), &format!("{{{id}}}"))
}

fn object<'a>(api: &Api<'a>, page: &mut Page, resource: &Resource<'a>) {
    let (id, sure) = guess::id(resource);
    page.line(1, format!("{}:", quoted(&resource.object)));
    let fields: Vec<String> = resource
        .properties
        .iter()
        .map(|one| {
            let kind = if one.format().is_empty() { one.type_name() } else { one.format() };
            format!("{} ({kind}{})", one.name, if one.read_only { ", read only" } else { "" })
        })
        .collect();
    if !fields.is_empty() {
        page.remark(2, format!("fields: {}", fields.join(", ")));
    }
    if !sure {
        page.remark(2, "REVIEW: is this the field that identifies a record?");
    }
    page.text(2, "id", &member(".record", &id));
    match guess::modified(&resource.properties) {
        Some(field) if field.type_name() == "string" => {
            page.text(
                2,
                "modified",
                &format!("{} | if . then parse_iso else null end", member(".record", field.name)),
            );
        }
        Some(field) => {
            page.remark(2, "REVIEW: seconds or milliseconds since 1970? Milliseconds are wanted.");
            page.text(2, "modified", &member(".record", field.name));
        }
        None => {
            page.remark(2, "REVIEW: no field tells when a record was modified: each poll reads everything.")
        }
    }
    if let Some(field) = guess::version(&resource.properties) {
        page.text(
            2,
            "version",
            &format!("{} | if . then tostring else null end", member(".record", field.name)),
        );
    }
    page.remark(2, "REVIEW: by how many seconds may a record show up after its stamp?");
    page.line(2, "overlap: 60");
    page.line(2, "blank_is_null: true # REVIEW");
    let mut read_only: Vec<&str> =
        resource.properties.iter().filter(|one| one.read_only).map(|one| one.name).collect();
    if !read_only.contains(&id.as_str()) {
        read_only.push(&id);
    }
    let read_only: Vec<String> = read_only.into_iter().map(quoted).collect();
    page.line(2, format!("read_only: [{}]", read_only.join(", ")));
    page.line(2, "operations:");
    list(api, page, resource, &id);
    read(api, page, resource);
    writes(api, page, resource, &id);
}

fn list<'a>(api: &Api<'a>, page: &mut Page, resource: &Resource<'a>, id: &str) {
    let size = guess::page_size(api, &resource.list_parameters);
    let since = guess::since(&resource.list_parameters);
    let paging = guess::paging(api, resource);
    let mut query: Vec<String> = Vec::new();
    let pair = |name: &str, value: &str| format!("{}: {value}", Value::from(name));
    if let Some((name, _)) = &size {
        query.push(pair(name, ".limit"));
    }
    if let Some((name, text)) = &since {
        let written = if *text {
            "(.since | if . then format_time(\"%Y-%m-%dT%H:%M:%SZ\"; \"UTC\") else null end)"
        } else {
            "(.since | if . then . / 1000 | floor else null end)"
        };
        query.push(pair(name, written));
    }
    let rows = &resource.rows;
    let next = match &paging {
        Paging::Unknown => None,
        Paging::Cursor { parameter, next } => {
            query.push(pair(parameter, ".page"));
            Some(format!("{next} | if . == \"\" then null else . end"))
        }
        Paging::Keyset { parameter } => {
            query.push(pair(parameter, ".page"));
            Some(format!(
                "if ({rows} | length) < .limit then null else {} end",
                member(&format!("{rows}[-1]"), id)
            ))
        }
        Paging::Number { parameter } => {
            query.push(pair(parameter, "(.page // 1)"));
            Some(format!("if ({rows} | length) < .limit then null else (.page // 1) + 1 end"))
        }
        Paging::Offset { parameter } => {
            query.push(pair(parameter, "(.page // 0)"));
            Some(format!("if ({rows} | length) < .limit then null else (.page // 0) + ({rows} | length) end"))
        }
    };
    page.line(3, "list:");
    page.line(4, "method: GET");
    page.line(4, format!("batch: {}", size.map_or(100, |(_, size)| size)));
    page.text(4, "path", &path(resource, &resource.path, ".ids[0]"));
    match paging {
        Paging::Unknown => page.remark(4, "REVIEW: no parameter for pages was found: does one answer hold everything?"),
        Paging::Number { .. } | Paging::Offset { .. } => page.remark(
            4,
            "REVIEW: pages are counted, and slide when a record changes meanwhile: ask for a fixed order (by id), or page by id.",
        ),
        Paging::Keyset { .. } => page.remark(4, "REVIEW: are records listed in the order of their ids?"),
        Paging::Cursor { .. } => {}
    }
    if since.is_none() {
        page.remark(4, "REVIEW: no parameter for \"changed since\" was found: each poll reads everything.");
    }
    if !query.is_empty() {
        page.text(4, "query", &format!("{{{}}}", query.join(", ")));
    }
    page.text(4, "records", rows);
    if let Some(next) = next {
        page.text(4, "next", &next);
    }
    let by = guess::found_by(resource);
    if by.is_empty() {
        page.remark(3, "REVIEW: no `find`: a create whose answer is lost waits for a person (rowtwin.resolve_doubt). Is there a search?");
        return;
    }
    page.remark(
        3,
        format!("REVIEW: match fields must be among these: {}. Is the comparison exact?", by.join(", ")),
    );
    page.line(3, "find:");
    page.line(4, "method: GET");
    page.text(4, "path", &path(resource, &resource.path, ".ids[0]"));
    page.text(4, "query", ".by[0]");
    page.text(4, "records", rows);
}

fn read<'a>(api: &Api<'a>, page: &mut Page, resource: &Resource<'a>) {
    let Some(read) = resource.read else {
        page.remark(3, "REVIEW: no `read` by id: deletes cannot be confirmed.");
        return;
    };
    let record =
        api.answer(read).map_or_else(|| ".body".to_owned(), |answer| guess::unwrapped(api, answer).0);
    page.line(3, "read:");
    page.line(4, "method: GET");
    page.text(4, "path", &path(resource, &resource.item_path, ".ids[0]"));
    page.line(4, "answers: [{when: .status == 404, outcome: ok}] # not there: no record, which is an answer and no error");
    page.text(4, "records", &format!("if .status == 404 then [] else [{record}] end"));
}

fn writes<'a>(api: &Api<'a>, page: &mut Page, resource: &Resource<'a>, id: &str) {
    if let Some(create) = resource.create {
        let (key, wrap) = body(api, create);
        let made =
            api.answer(create).map_or_else(|| ".body".to_owned(), |answer| guess::unwrapped(api, answer).0);
        page.line(3, "create:");
        page.text(4, "path", &path(resource, &resource.path, ".items[0].id"));
        page.text(4, key, &wrapped(wrap.as_deref(), ".items[0].fields"));
        page.text(
            4,
            "results",
            &format!(
                "[{made} | if type == \"object\" and {has} then {{id: ({has} | tostring), record: .}} else {{outcome: \"unknown\", reason: \"the answer has no id\"}} end]",
                has = member("", id),
            ),
        );
    } else {
        page.remark(3, "REVIEW: records cannot be created.");
    }
    match resource.update {
        Some((method, update)) => {
            let (key, wrap) = body(api, update);
            page.line(3, "update:");
            page.line(4, format!("method: {method}"));
            page.text(4, "path", &path(resource, &resource.item_path, ".items[0].id"));
            if method == "PATCH" {
                page.text(4, key, &wrapped(wrap.as_deref(), ".items[0].changes"));
            } else {
                page.remark(4, "REVIEW: does this change only what is sent? If it replaces the record, fields that are not mapped are lost:");
                page.remark(
                    4,
                    "then send `.items[0].shadow + .items[0].changes`, and map every field that matters.",
                );
                page.text(4, key, &wrapped(wrap.as_deref(), ".items[0].changes"));
            }
        }
        None => page.remark(3, "REVIEW: records cannot be changed."),
    }
    if resource.delete.is_some() {
        page.line(3, "delete:");
        page.line(4, "method: DELETE");
        page.text(4, "path", &path(resource, &resource.item_path, ".items[0].id"));
    }
}

/// Whether a body goes as `body` or `form`, and the one member in which it is wrapped.
fn body<'a>(api: &Api<'a>, operation: &'a Value) -> (&'static str, Option<String>) {
    let Some((schema, form)) = api.body(operation) else { return ("body", None) };
    let properties = api.properties(schema);
    let wrap = match properties.as_slice() {
        [one] if one.type_name() == "object" && !api.properties(one.schema).is_empty() => {
            Some(one.name.to_owned())
        }
        _ => None,
    };
    (if form { "form" } else { "body" }, wrap)
}

fn wrapped(wrap: Option<&str>, value: &str) -> String {
    wrap.map_or_else(|| value.to_owned(), |name| format!("{{{}: {value}}}", Value::from(name)))
}

/// How the document says that requests are signed in.
enum SignIn {
    None,
    /// A text in a header; what stands before it.
    Header {
        name: String,
        before: &'static str,
    },
    Query {
        name: String,
    },
    Basic,
    /// OAuth2 client credentials: where a token is to be had.
    Token {
        url: String,
    },
}

impl SignIn {
    fn of(api: &Api<'_>) -> Self {
        let Some(schemes) = api.root.pointer("/components/securitySchemes").and_then(Value::as_object) else {
            return Self::None;
        };
        let wanted = api
            .root
            .pointer("/security/0")
            .and_then(Value::as_object)
            .and_then(|one| one.keys().next())
            .and_then(|name| schemes.get(name));
        let Some(scheme) = wanted.or_else(|| schemes.values().next()).map(|one| api.resolve(one)) else {
            return Self::None;
        };
        let text = |name: &str| scheme.get(name).and_then(Value::as_str).unwrap_or_default();
        match (text("type"), text("scheme"), text("in")) {
            ("http", "basic", _) => Self::Basic,
            ("apiKey", _, "query") => Self::Query { name: text("name").to_owned() },
            ("apiKey", _, _) => Self::Header { name: text("name").to_owned(), before: "" },
            ("oauth2", ..) => {
                match scheme.pointer("/flows/clientCredentials/tokenUrl").and_then(Value::as_str) {
                    Some(url) => Self::Token { url: url.to_owned() },
                    None => Self::Header { name: "Authorization".to_owned(), before: "Bearer " },
                }
            }
            _ => Self::Header { name: "Authorization".to_owned(), before: "Bearer " },
        }
    }

    fn settings(&self, page: &mut Page) {
        let mut setting = |name: &str, secret: bool, help: &str| {
            page.line(1, format!("{name}:"));
            page.line(2, "required: true");
            if secret {
                page.line(2, "secret: true");
            }
            page.text(2, "help", help);
        };
        match self {
            Self::None => {}
            Self::Header { .. } | Self::Query { .. } => setting("key", true, "the key or token of the API"),
            Self::Basic => {
                setting("user", false, "who signs in");
                setting("password", true, "the user's password");
            }
            Self::Token { .. } => {
                setting("client_id", false, "from the page on which the application is registered");
                setting("client_secret", true, "from the same page");
            }
        }
    }

    fn kind(&self, api: &Api<'_>, page: &mut Page) {
        let token = match self {
            Self::None => {
                page.remark(0, "REVIEW: the document names no way of signing in.");
                return;
            }
            Self::Header { before, .. } => format!("\"{before}\" + .secrets.key"),
            Self::Query { .. } => ".secrets.key".to_owned(),
            Self::Basic => r#""Basic " + ("\(.settings.user):\(.secrets.password)" | base64)"#.to_owned(),
            Self::Token { url } => {
                page.line(0, "sign_in:");
                page.line(1, "kinds:");
                page.line(2, "token:");
                page.line(3, "kind: token_exchange");
                let base = api_base(api);
                let path =
                    url.strip_prefix(base.trim_end_matches('/')).filter(|_| !base.is_empty()).unwrap_or(url);
                if !path.starts_with('/') {
                    page.remark(3, "REVIEW: tokens are had at another address than the API's: enter the path behind `base_url`, or a proxy.");
                }
                page.text(3, "path", path);
                page.text(
                    3,
                    "form",
                    r#"{grant_type: "client_credentials", client_id: .settings.client_id, client_secret: .secrets.client_secret}"#,
                );
                page.text(3, "token", r#".body.access_token | if . then "Bearer " + . else null end"#);
                page.text(3, "expires_in", ".body.expires_in // 3600");
                page.line(0, "");
                return;
            }
        };
        page.line(0, "sign_in:");
        page.line(1, "kinds:");
        page.line(2, "key:");
        page.line(3, "kind: key");
        page.text(3, "token", &token);
        page.line(0, "");
    }

    fn request(&self, page: &mut Page) {
        match self {
            Self::None => {}
            Self::Query { name } => {
                page.text(1, "query", &format!("{{{}: .token}}", Value::from(name.as_str())))
            }
            Self::Header { name, .. } => {
                page.text(1, "headers", &format!("{{{}: .token}}", Value::from(name.as_str())));
            }
            Self::Basic | Self::Token { .. } => page.text(1, "headers", r#"{"Authorization": .token}"#),
        }
    }
}
