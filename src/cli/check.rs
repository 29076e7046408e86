//! `rowtwin check`: database, tables, systems, fields; each finding with its cure.

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bound::Bound;
use crate::cli::Common;
use crate::cli::nagios::{Thresholds, nagios};
use crate::connector::FieldInfo;
use crate::engine::Engine;
use crate::engine::certificates::tls_of;
use crate::mapping::Mapping;
use crate::model::record::member;
use crate::store::catalog::Column;
use crate::terminal::Listing;

#[derive(clap::Args)]
pub struct CheckArgs {
    /// One JSON document instead of a table.
    #[arg(long)]
    json: bool,
    /// One line for Nagios, from the views alone: exit code 0 fine, 1 warning, 2 critical, 3 unknown.
    #[arg(long, conflicts_with = "json")]
    nagios: bool,
    #[command(flatten)]
    thresholds: Thresholds,
}

struct Findings(Vec<Value>);

impl Findings {
    fn good(&mut self, what: &str, said: impl Into<String>) {
        self.0.push(json!({"what": what, "result": "ok", "said": said.into()}));
    }

    fn bad(&mut self, what: &str, said: impl Into<String>) {
        self.0.push(json!({"what": what, "result": "wrong", "said": said.into()}));
    }

    fn note(&mut self, what: &str, said: impl Into<String>) {
        self.0.push(json!({"what": what, "result": "note", "said": said.into()}));
    }
}

pub async fn check(common: &Common, args: CheckArgs) -> anyhow::Result<ExitCode> {
    if args.nagios {
        return Ok(nagios(common, &args.thresholds).await);
    }
    let engine = common.look().await?;
    let mut findings = Findings(Vec::new());
    database(&engine, &mut findings).await?;
    certificates(&engine, &mut findings);
    for (name, client) in &engine.clients {
        match client.sign_in().await {
            Ok(identity) => findings.good(
                &format!("system {name}"),
                identity
                    .map_or_else(|| "signed in".to_owned(), |identity| format!("signed in as {identity}")),
            ),
            Err(outcome) => {
                findings.bad(&format!("system {name}"), format!("cannot sign in: {}", outcome.reason()));
            }
        }
    }
    for bound in &engine.bounds {
        let (_, columns) =
            engine.store.table(&format!("{}.{}", bound.table.schema, bound.table.name)).await?;
        rows_can_be_made(bound, &columns, &mut findings);
        fields(bound, &mut findings).await;
    }
    let wrong = findings.0.iter().filter(|finding| member(finding, "result") == "wrong").count();
    if args.json {
        println!("{}", json!({"ok": wrong == 0, "findings": findings.0}));
    } else {
        Listing::of_json(&[("result", ""), ("what", "what"), ("said", "finding")], &findings.0).print();
        println!(
            "{}",
            if wrong == 0 { "all is well".to_owned() } else { format!("{wrong} finding(s) need a cure") }
        );
    }
    Ok(ExitCode::from(u8::from(wrong > 0)))
}

async fn database(engine: &Engine, findings: &mut Findings) -> anyhow::Result<()> {
    let facts = engine.store.server_facts().await?;
    let unfit = engine.unfit(&facts).await?;
    if unfit.is_empty() {
        findings.good(
            "database",
            format!(
                "Postgres {}, wal_level logical, role {} may replicate",
                facts.version_num / 10_000,
                facts.user
            ),
        );
    }
    for finding in unfit {
        findings.bad("database", finding);
    }
    if !facts.may_create {
        findings.note(
            "database",
            format!("role {0} may not create schemas; `rowtwin init` needs: grant create on database \"{1}\" to \"{0}\"", facts.user, facts.database),
        );
    }
    if facts.max_slot_wal_keep_size_mb < 0 {
        findings.note(
            "database",
            "max_slot_wal_keep_size is unlimited: a slot that nobody reads could fill the disk; a limit such as 10GB is safe",
        );
    }
    match engine.require_prepared().await {
        Ok(()) => findings.good(
            "prepared",
            format!("schemas, publication {} and slot {} are there", engine.publication, engine.slot),
        ),
        Err(error) => {
            for line in error.to_string().lines() {
                findings.bad("prepared", line);
            }
        }
    }
    if let Some(present) = engine.store.publication_tables(&engine.publication).await? {
        for table in &engine.tables {
            let name = format!("{}.{}", table.schema, table.name);
            if !present.contains(&name) {
                findings.bad(
                    &name,
                    format!("is not in the publication {}; run `rowtwin init`", engine.publication),
                );
            }
        }
    }
    Ok(())
}

/// Whether our own certificates hold, and for how long.
fn certificates(engine: &Engine, findings: &mut Findings) {
    let now = Timestamp::now();
    for (name, system) in &engine.file.systems {
        let what = format!("system {name}");
        match tls_of(name, system) {
            Err(said) => said.into_iter().for_each(|said| findings.bad(&what, said)),
            Ok(Some(tls)) => match tls.holds(now) {
                Some(Err(said)) => findings.bad(&what, said),
                Some(Ok(said)) if tls.ends_soon(now) => {
                    findings.note(&what, format!("{said}; renew it, then restart rowtwin"));
                }
                Some(Ok(said)) => findings.good(&what, said),
                None => {}
            },
            Ok(None) => {}
        }
    }
}

/// Whether a pulled record can become a row at all.
fn rows_can_be_made(bound: &Bound, columns: &[Column], findings: &mut Findings) {
    if !bound.pulls {
        return;
    }
    let filled: Vec<&str> =
        bound.mapping.fields.iter().filter(|field| field.pulls).map(|field| field.column.as_str()).collect();
    for column in columns.iter().filter(|column| column.not_null && !column.has_default && !column.generated)
    {
        let name = column.name.as_str();
        if !filled.contains(&name) && bound.id_column.as_deref() != Some(name) {
            findings.bad(
                &bound.name,
                format!("column `{name}` is not null, has no default and is not mapped, so no record can become a row; give it a default or map it"),
            );
        }
    }
    if bound.mapping.match_fields.is_empty() {
        findings.note(
            &bound.name,
            "names no match fields: rows and records that are there on both sides already would be doubled, and a create whose answer is lost may need a person",
        );
    }
}

/// Whether the remote has the mapped fields and lets us write them.
async fn fields(bound: &Bound, findings: &mut Findings) {
    if !bound.abilities.can_describe {
        return;
    }
    match bound.client.describe(&bound.object).await {
        Err(outcome) => {
            findings.bad(&bound.name, format!("{} cannot be described: {}", bound.object, outcome.reason()));
        }
        Ok(described) => compared(bound, &bound.object, &bound.mapping, &described, findings),
    }
    for lines in &bound.mapping.lines {
        let named = format!("{}.{}", bound.object, lines.collection);
        match bound.client.describe_lines(&bound.object, &lines.collection).await {
            Err(outcome) => {
                findings.bad(&bound.name, format!("{named} cannot be described: {}", outcome.reason()));
            }
            Ok(None) => {
                findings.note(&bound.name, format!("{} does not tell the fields of {named}", bound.system));
            }
            Ok(Some(described)) => compared(bound, &named, &lines.mapping, &described, findings),
        }
    }
}

/// Whether what is mapped is among what was described.
fn compared(
    bound: &Bound,
    object: &str,
    mapping: &Mapping,
    described: &[FieldInfo],
    findings: &mut Findings,
) {
    let mut good = true;
    for field in &mapping.fields {
        match described.iter().find(|present| present.is_of(&field.field)) {
            None => {
                good = false;
                findings.bad(
                    &bound.name,
                    format!(
                        "{object} has no field `{}`; correct its name, or check the rights of the account",
                        field.field
                    ),
                );
            }
            Some(present) if !present.writable && field.pushes => {
                findings.note(
                    &bound.name,
                    format!("field `{}` cannot be written; set `direction: pull` on it", field.field),
                );
            }
            Some(_) => {}
        }
    }
    if good {
        findings.good(&bound.name, format!("{object} has the {} mapped fields", mapping.fields.len()));
    }
}
