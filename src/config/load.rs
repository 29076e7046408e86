//! Reading and checking the configuration: all findings at once, each with file, line and cure.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::config::duration::{parse_allowance, parse_duration, parse_share, parse_size};
use crate::config::file::{BindingFile, RowtwinFile};
use crate::config::lines;
use crate::config::located::{Located, Place, step};

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub place: Place,
    /// What is wrong, with the cure in the same sentence where there is one.
    pub message: String,
}

/// Everything that is wrong with the configuration.
#[derive(Debug)]
pub struct ConfigError {
    pub file: String,
    pub text: String,
    pub findings: Vec<Finding>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            let Place { line, column } = finding.place;
            write!(formatter, "{}:{line}:{column}: {}", self.file, finding.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The JSON Schema of `rowtwin.yaml`, for editors (`rowtwin config schema`).
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RowtwinFile);
    schema.insert("title".to_owned(), Value::from("rowtwin.yaml"));
    schema.to_value()
}

/// Reads and checks a file.
///
/// # Errors
/// [`ConfigError`] with every finding; a file that cannot be read is a finding of its own.
pub fn load(path: &Path) -> Result<(RowtwinFile, Located), ConfigError> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&file, &text),
        Err(error) => Err(ConfigError {
            findings: vec![Finding {
                place: Place { line: 1, column: 1 },
                message: format!("cannot be read ({error}); name the file with --config"),
            }],
            file,
            text: String::new(),
        }),
    }
}

/// Checks a configuration text; `file` is the name used in findings.
///
/// # Errors
/// [`ConfigError`] with every finding.
pub fn parse(file: &str, text: &str) -> Result<(RowtwinFile, Located), ConfigError> {
    let fail =
        |findings: Vec<Finding>| ConfigError { file: file.to_owned(), text: text.to_owned(), findings };
    let located = Located::parse(text).map_err(|error| {
        let place = error.location().map_or(Place { line: 1, column: 1 }, |location| Place {
            line: location.line().max(1),
            column: location.column().max(1),
        });
        let message = error.to_string();
        let message = message.lines().next().unwrap_or("this is not YAML");
        // the parser adds its place, which stands before the message already, and a cure for programmers
        let message = message
            .split_once(": ")
            .filter(|(head, _)| head.starts_with("error"))
            .map_or(message, |(_, rest)| rest);
        let message = message
            .strip_prefix(&format!("line {} column {}: ", place.line, place.column))
            .unwrap_or(message);
        let message = match message.split_once(", set DuplicateKeyPolicy") {
            Some((said, _)) => format!("{said}; keep one of the two"),
            None => message.to_owned(),
        };
        fail(vec![Finding { place, message }])
    })?;
    let findings = against_schema(&located);
    if !findings.is_empty() {
        return Err(fail(findings));
    }
    let typed: RowtwinFile = serde_json::from_value(located.value.clone()).map_err(|error| {
        fail(vec![Finding { place: Place { line: 1, column: 1 }, message: error.to_string() }])
    })?;
    let findings = meaning(&typed, &located);
    if findings.is_empty() { Ok((typed, located)) } else { Err(fail(findings)) }
}

fn against_schema(located: &Located) -> Vec<Finding> {
    let validator = jsonschema::validator_for(&schema()).expect("the published schema is a valid schema");
    let mut findings: Vec<Finding> = validator
        .iter_errors(&located.value)
        .flat_map(|error| {
            let pointer = error.instance_path().to_string();
            describe(&error, &pointer)
                .into_iter()
                .map(|(pointer, message)| Finding { place: located.place(&pointer), message })
        })
        .collect();
    findings.sort_by(|left, right| (left.place, &left.message).cmp(&(right.place, &right.message)));
    findings.dedup();
    findings
}

/// Puts one schema error into plain words: (pointer, message) pairs.
fn describe(error: &jsonschema::ValidationError<'_>, pointer: &str) -> Vec<(String, String)> {
    use jsonschema::error::ValidationErrorKind as Kind;
    let here = if pointer.is_empty() {
        "the file".to_owned()
    } else {
        format!("`{}`", pointer.trim_start_matches('/').replace('/', "."))
    };
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| {
                (format!("{pointer}/{}", step(name)), format!("unknown key `{name}` in {here}; remove it or correct its spelling (`rowtwin config schema` lists the keys)"))
            })
            .collect(),
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![(pointer.to_owned(), format!("{here} lacks the key `{name}`"))]
        }
        Kind::Enum { options } => {
            vec![(pointer.to_owned(), format!("{here} must be one of {}", plain(options)))]
        }
        // the value itself may be a secret in the wrong place
        Kind::Type { kind } => {
            let wanted = match kind {
                jsonschema::error::TypeKind::Single(one) => one.to_string(),
                jsonschema::error::TypeKind::Multiple(several) => {
                    several.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or ")
                }
            };
            vec![(pointer.to_owned(), format!("{here} must be of type {wanted}"))]
        }
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => {
            vec![(pointer.to_owned(), format!("{here} has none of the forms that are understood here (`rowtwin config schema` shows them)"))]
        }
        _ => vec![(pointer.to_owned(), format!("{here}: {}", error.masked_with("the value")))],
    }
}

fn plain(options: &Value) -> String {
    match options.as_array() {
        Some(options) => {
            options.iter().map(|option| option.to_string().replace('"', "")).collect::<Vec<_>>().join(", ")
        }
        None => options.to_string(),
    }
}

/// What the schema cannot say.
fn meaning(file: &RowtwinFile, located: &Located) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |pointer: String, message: String| {
        findings.push(Finding { place: located.place(&pointer), message });
    };
    let guard = &file.database.slot_guard;
    for (key, text) in [("warn", &guard.warn), ("budget", &guard.budget)] {
        if let Some(text) = text
            && let Err(message) = parse_size(text)
        {
            say(format!("/database/slot_guard/{key}"), message);
        }
    }
    if let Some(webhooks) = &file.serve.webhooks {
        if webhooks.listen.parse::<std::net::SocketAddr>().is_err() {
            let message = "`listen` must be an address with a port, as in `127.0.0.1:8088`";
            say("/serve/webhooks/listen".to_owned(), message.to_owned());
        }
        if let Some(Err(message)) = webhooks.body_limit.as_deref().map(parse_size) {
            say("/serve/webhooks/body_limit".to_owned(), message);
        }
        if let Some(Err(message)) = webhooks.answer_within.as_deref().map(parse_duration) {
            say("/serve/webhooks/answer_within".to_owned(), message);
        }
        if webhooks.public_url.as_ref().is_some_and(|url| !url.starts_with("http")) {
            let message = "`public_url` must begin with https:// (or http://)";
            say("/serve/webhooks/public_url".to_owned(), message.to_owned());
        }
    }
    for (name, system) in &file.systems {
        let at = format!("/systems/{}", step(name));
        if let Some(reserve) = &system.limits.reserve
            && let Err(message) = parse_share(reserve)
        {
            say(format!("{at}/limits/reserve"), message);
        }
        if system.limits.per_second.is_some_and(|rate| rate <= 0.0) {
            say(format!("{at}/limits/per_second"), "`per_second` must be above 0".to_owned());
        }
        if system.limits.price.is_some_and(|price| price < 0.0 || !price.is_finite()) {
            say(format!("{at}/limits/price"), "`price` must be 0 or more".to_owned());
        }
        if system.http.key.is_some() && system.http.certificate.is_none() {
            let message = "`key` needs the `certificate` that it belongs to";
            say(format!("{at}/http/key"), message.to_owned());
        }
        if system.limits.in_flight == Some(0) {
            say(format!("{at}/limits/in_flight"), "`in_flight` must be at least 1".to_owned());
        }
    }
    for (table, bindings) in &file.tables {
        if table.split('.').count() != 2 {
            say(
                format!("/tables/{}", step(table)),
                format!("table `{table}` must be named with its schema, as in `sales.customer`"),
            );
        }
        for (index, binding) in bindings.bindings.iter().enumerate() {
            let at = format!("/tables/{}/bindings/{index}", step(table));
            if !file.systems.contains_key(&binding.system) {
                say(
                    format!("{at}/system"),
                    format!("there is no system `{}`; add it under `systems`", binding.system),
                );
            }
            let twin = bindings
                .bindings
                .iter()
                .take(index)
                .find(|other| other.system == binding.system && other.object == binding.object);
            if twin.is_some() {
                say(
                    at.clone(),
                    format!(
                        "`{table}` is bound to `{}` of `{}` twice; keep one of the two",
                        binding.object, binding.system
                    ),
                );
            }
            for (key, text) in [
                ("poll", &binding.poll),
                ("settle_after", &binding.settle_after),
                ("sweep", &binding.sweep),
                ("verify", &binding.verify),
                ("doubt_window", &binding.doubt_window),
                ("brake/within", &binding.brake.within),
            ] {
                if let Some(text) = text
                    && !(matches!(key, "sweep" | "verify") && text == "never")
                    && let Err(message) = parse_duration(text)
                {
                    say(format!("{at}/{key}"), message);
                }
            }
            for (key, allowed) in [("deletes", &binding.guard.deletes), ("changes", &binding.guard.changes)] {
                if let Some(allowed) = allowed
                    && let Err(message) = parse_allowance(allowed)
                {
                    say(format!("{at}/guard/{key}"), message);
                }
            }
            if binding.fields.is_empty() {
                say(format!("{at}/fields"), "a binding needs at least one field".to_owned());
            }
            for (below, message) in mapped(file, binding).into_iter().chain(lines::meaning(table, binding)) {
                say(format!("{at}{below}"), message);
            }
            for (collection, lines) in &binding.lines {
                for (below, message) in mapped(file, &binding.of_lines(collection, lines)) {
                    say(format!("{at}/lines/{}{below}", step(collection)), message);
                }
            }
        }
    }
    findings.sort_by_key(|finding| finding.place);
    findings
}

/// What the schema cannot say of a binding's fields: (place below the binding, message) pairs.
fn mapped(file: &RowtwinFile, binding: &BindingFile) -> Vec<(String, String)> {
    let mut said = Vec::new();
    let mut say = |place: String, message: String| said.push((place, message));
    let fields: Vec<&str> = binding.fields.values().map(|field| field.field.as_str()).collect();
    for name in &binding.match_fields {
        if !fields.contains(&name.as_str()) {
            say(
                "/match".to_owned(),
                format!("match field `{name}` is not among the mapped fields; map it to a column first"),
            );
        }
    }
    for (group, members) in &binding.groups {
        for member in members {
            if !fields.contains(&member.as_str()) {
                say(
                    format!("/groups/{}", step(group)),
                    format!("group `{group}` names `{member}`, which is not a mapped field"),
                );
            }
        }
    }
    for (column, field) in &binding.fields {
        let at = format!("/fields/{}", step(column));
        if fields.iter().filter(|other| **other == field.field).count() > 1 {
            say(at.clone(), format!("field `{}` is mapped to more than one column", field.field));
        }
        if field.codec.is_some() && (field.push.is_some() || field.pull.is_some()) {
            say(at.clone(), "a field takes a codec or jq (`push`, `pull`), not both".to_owned());
        }
        if let Some(parent) = &field.refers_to {
            let there = file.tables.get(parent).map_or(0, |table| {
                table.bindings.iter().filter(|other| other.system == binding.system).count()
            });
            if there > 1 {
                say(
                    format!("{at}/refers_to"),
                    format!(
                        "`{parent}` is bound to several objects of `{}`, so a reference to it is ambiguous; keep one of them",
                        binding.system
                    ),
                );
            }
            if there == 0 {
                say(
                    format!("{at}/refers_to"),
                    format!(
                        "`{parent}` is not bound to `{}`, so its records there are not known; bind it under `tables`",
                        binding.system
                    ),
                );
            }
            if field.push.is_some() || field.pull.is_some() {
                say(at.clone(), "a reference takes no jq (`push`, `pull`)".to_owned());
            }
        } else if field.refers_by.is_some() {
            say(at.clone(), "`refers_by` says nothing without `refers_to`".to_owned());
        }
        if let Some(check) = &field.check
            && let Err(error) = jsonschema::validator_for(check)
        {
            say(format!("{at}/check"), format!("`check` is not a JSON Schema: {error}"));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
database:
  url: {env: DATABASE_URL}
systems:
  crm:
    connector: fxiaoke
    settings:
      app_id: FSAID_1
      app_secret: {env: CRM_SECRET}
    limits: {per_second: 5, in_flight: 4, reserve: 20%}
tables:
  sales.customer:
    bindings:
      - system: crm
        object: AccountObj
        match: [name]
        id_column: crm_id
        fields:
          name: name
          phone: {field: tel, check: {pattern: '^1\d{10}$'}}
          credit: {field: credit_limit, codec: decimal_string, policy: local}
          signed: {field: sign_time, codec: {date: {format: '%Y-%m-%d', zone: Asia/Shanghai}}}
          level: {field: account_level, codec: {enum: {gold: '1', plain: '2'}}}
          note: {field: remark, push: '.note', pull: '.remark'}
"#;

    fn findings(text: &str) -> Vec<(u64, String)> {
        let error = parse("rowtwin.yaml", text).unwrap_err();
        error.findings.into_iter().map(|finding| (finding.place.line, finding.message)).collect()
    }

    #[test]
    fn a_good_file_is_read() {
        let (file, _) = parse("rowtwin.yaml", GOOD).unwrap();
        let fields = &file.tables["sales.customer"].bindings[0].fields;
        assert_eq!(fields["name"].field, "name");
        assert_eq!(fields["phone"].check, Some(serde_json::json!({"pattern": "^1\\d{10}$"})));
        assert!(fields["level"].codec.is_some());
    }

    #[test]
    fn all_findings_come_at_once_with_their_lines() {
        let text = GOOD
            .replace("connector: fxiaoke", "conector: fxiaoke")
            .replace("id_column: crm_id", "policy: newest");
        let findings = findings(&text);
        let lines: Vec<u64> = findings.iter().map(|(line, _)| *line).collect();
        assert!(lines.contains(&6), "{findings:?}");
        assert!(lines.contains(&17), "{findings:?}");
        assert!(findings.iter().any(|(_, message)| message.contains("unknown key `conector`")));
        assert!(findings.iter().any(|(_, message)| message.contains("lacks the key `connector`")));
    }

    #[test]
    fn what_the_schema_cannot_say_is_said_too() {
        let text = GOOD.replace("match: [name]", "match: [email]").replace("system: crm", "system: erp");
        let findings = findings(&text);
        assert!(
            findings.iter().any(|(line, m)| *line == 14 && m.contains("no system `erp`")),
            "{findings:?}"
        );
        assert!(
            findings.iter().any(|(line, m)| *line == 16 && m.contains("match field `email`")),
            "{findings:?}"
        );
    }

    #[test]
    fn a_key_without_its_certificate_is_refused_at_its_place() {
        let alone = GOOD.replace("    limits:", "    http: {key: a.key}\n    limits:");
        assert_eq!(findings(&alone), [(10, "`key` needs the `certificate` that it belongs to".to_owned())]);
        let (file, _) =
            parse("rowtwin.yaml", &alone.replace("{key", "{ca: ca.pem, certificate: a.pem, key")).unwrap();
        assert_eq!(file.systems["crm"].http.ca.as_deref(), Some("ca.pem"));
    }

    #[test]
    fn the_same_object_twice_is_refused() {
        let second = GOOD.split("    bindings:\n").nth(1).unwrap();
        let findings = findings(&format!("{GOOD}{second}"));
        assert!(findings.iter().any(|(_, message)| message.contains("twice")), "{findings:?}");
    }

    #[test]
    fn a_field_of_the_wrong_shape_is_an_error_not_a_panic() {
        for bad in ["name: 5", "name: {}", "name: {field: a, codec: nonsense}", "name: [a]"] {
            let text = GOOD.replacen("name: name", bad, 1);
            assert!(!findings(&text).is_empty(), "{bad}");
        }
        assert!(!findings("systems: 5").is_empty());
        assert!(!findings("").is_empty());
        assert!(!findings("a: [").is_empty());
    }
}
