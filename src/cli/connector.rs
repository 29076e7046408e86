//! `rowtwin connector`: which systems can be spoken to, what each asks for, and whether its manifest says what was
//! meant.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};

use crate::connector::manifest::{Manifest, ObjectSpec, OperationSpec, SettingSpec};
use crate::connector::{CaseResult, Connector, openapi, run_cases};
use crate::terminal::{Listing, say};

/// About the connectors
#[derive(Debug, clap::Args)]
pub struct ConnectorArgs {
    #[command(subcommand)]
    command: ConnectorCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConnectorCommand {
    /// Lists the connectors that are built in
    List,
    /// Shows what a connector asks for and what it can do
    Show {
        /// A name, or a manifest's path (….yaml)
        connector: String,
    },
    /// Drafts a manifest, from the documentation of an API where there is one; what is guessed in it is marked with REVIEW
    New {
        /// What the draft begins with
        #[arg(long, value_enum)]
        from: Source,
        /// The document: an OpenAPI 3 description in JSON or YAML
        #[arg(required_if_eq("from", "openapi"))]
        file: Option<PathBuf>,
        /// The connector's name; made of the document's title, or the language, when left out
        #[arg(long)]
        name: Option<String>,
        /// Where to write the manifest; it is printed when left out, and a file that is there is not overwritten
        #[arg(long)]
        output: Option<PathBuf>,
    },
    /// Runs the cases that stand beside a manifest; status 1 when one fails
    Test {
        /// A name, or a manifest's path (….yaml) with its cases beside it (….test.yaml); all built-in ones when left out
        connector: Option<String>,
        /// Prints the results as JSON
        #[arg(long)]
        json: bool,
    },
}

/// What a manifest can be drafted from.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Source {
    /// An OpenAPI 3 document
    Openapi,
    /// A system that speaks GraphQL: a starting point, without a document
    Graphql,
}

/// Runs `rowtwin connector …`.
///
/// # Errors
/// There is no such connector, its manifest is wrong (every mistake is named), or it has no cases.
pub fn connector(args: ConnectorArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ConnectorCommand::List => {
            list()?.print();
            Ok(ExitCode::SUCCESS)
        }
        ConnectorCommand::Show { connector } => {
            show(&connector)?;
            Ok(ExitCode::SUCCESS)
        }
        ConnectorCommand::New { from, file, name, output } => {
            let draft = match (from, file) {
                (Source::Openapi, Some(file)) => drafted(&file, name.as_deref())?,
                (Source::Openapi, None) => bail!("name the OpenAPI document"),
                (Source::Graphql, None) => starting_point("graphql", name.as_deref())?,
                (Source::Graphql, Some(file)) => {
                    bail!("{}: a starting point for GraphQL reads no document; leave it out", file.display())
                }
            };
            new(&draft, output.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }
        ConnectorCommand::Test { connector, json } => test(connector.as_deref(), json),
    }
}

fn list() -> anyhow::Result<Listing> {
    let mut listing = Listing::new(["name", "title", "objects", "needs"]);
    for name in Connector::built_in() {
        let (connector, manifest) = read(name)?;
        let needed: Vec<&str> = needed(&manifest).collect();
        listing.row([connector.name.as_str(), &connector.title, &objects(&manifest), &needed.join(", ")]);
    }
    Ok(listing)
}

/// What a document leads to.
fn drafted(file: &Path, name: Option<&str>) -> anyhow::Result<openapi::Draft> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    openapi::draft(&text, name).with_context(|| file.display().to_string())
}

/// A built-in manifest that is there to be copied, under another name.
fn starting_point(built_in: &str, name: Option<&str>) -> anyhow::Result<openapi::Draft> {
    let (_, manifest) = read(built_in)?;
    let own = format!("\nconnector: {}\n", name.unwrap_or(built_in));
    let text = text_of(built_in)?.replacen(&format!("\nconnector: {built_in}\n"), &own, 1);
    Ok(openapi::Draft { text, objects: manifest.objects.into_keys().collect(), left_out: Vec::new() })
}

/// Checks that a draft loads, and writes it.
fn new(draft: &openapi::Draft, output: Option<&Path>) -> anyhow::Result<()> {
    Connector::compile(&draft.text, "the draft").context("this leads to a manifest that does not load")?;
    let Some(output) = output else {
        say(draft.text.trim_end());
        return Ok(());
    };
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(output);
    let mut written = written.with_context(|| {
        format!("{} cannot be made; remove it or name another file with --output", output.display())
    })?;
    std::io::Write::write_all(&mut written, draft.text.as_bytes())?;
    say(format!("{}: {}", output.display(), draft.objects.join(", ")));
    for line in &draft.left_out {
        say(format!("left out: {line}"));
    }
    say(format!(
        "{} places are guesses: look for REVIEW. Then write cases beside it and run `rowtwin connector test {}`.",
        draft.to_review(),
        output.display()
    ));
    Ok(())
}

fn needed(manifest: &Manifest) -> impl Iterator<Item = &str> {
    manifest
        .settings
        .iter()
        .filter(|(_, spec)| spec.required && spec.default.is_none())
        .map(|(name, _)| name.as_str())
}

fn objects(manifest: &Manifest) -> String {
    let named: Vec<&str> = manifest.objects.keys().map(String::as_str).filter(|name| *name != "*").collect();
    match (named.is_empty(), manifest.objects.contains_key("*")) {
        (true, _) => "any".to_owned(),
        (false, true) => format!("{} and any other", named.join(", ")),
        (false, false) => named.join(", "),
    }
}

/// A connector that was compiled, so that every mistake is known, and its manifest as it was written.
fn read(name_or_path: &str) -> anyhow::Result<(Connector, Manifest)> {
    let connector = Connector::load(name_or_path, None)?;
    let text = text_of(name_or_path)?;
    let manifest = serde_saphyr::from_str(&text).map_err(|error| anyhow!("{name_or_path}: {error}"))?;
    Ok((connector, manifest))
}

fn is_path(name_or_path: &str) -> bool {
    Path::new(name_or_path).extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn text_of(name_or_path: &str) -> anyhow::Result<String> {
    if is_path(name_or_path) {
        return std::fs::read_to_string(name_or_path)
            .with_context(|| format!("the manifest {name_or_path} cannot be read"));
    }
    let text = Connector::built_in_text(name_or_path);
    Ok(text.with_context(|| format!("there is no connector {name_or_path} inside the binary"))?.to_owned())
}

fn show(name_or_path: &str) -> anyhow::Result<()> {
    let (connector, manifest) = read(name_or_path)?;
    say(format!("{}: {}", connector.name, connector.title));
    for line in notes(&text_of(name_or_path)?) {
        say(format!("  {line}"));
    }
    say("\nsettings");
    settings(&manifest).print();
    say("\noperations");
    operations(&manifest.operations.iter().map(|(name, spec)| (name.word(), spec)).collect::<Vec<_>>())
        .print();
    say("\nlimits");
    for line in limits(&manifest) {
        say(format!("  {line}"));
    }
    if let Some(webhooks) = &manifest.webhooks {
        say(format!("\nwebhooks: with one of the secrets {}", webhooks.signature.secrets.join(", ")));
    }
    say(format!("\nobjects: {}", objects(&manifest)));
    for (name, object) in &manifest.objects {
        let traits = traits(object);
        if name != "*" && !traits.is_empty() {
            say(format!("  {name}: {traits}"));
        }
    }
    Ok(())
}

/// What the manifest's author wrote above it.
fn notes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim)
}

fn settings(manifest: &Manifest) -> Listing {
    let mut listing = Listing::new(["name", "", "default", "help"]);
    for (name, spec) in &manifest.settings {
        let kind: Vec<&str> = [(spec.required, "required"), (spec.secret, "secret")]
            .into_iter()
            .filter_map(|(holds, word)| holds.then_some(word))
            .collect();
        listing.row([name.as_str(), &kind.join(", "), &plain(spec.default.as_ref()), &help(spec)]);
    }
    listing
}

fn help(spec: &SettingSpec) -> String {
    match (spec.one_of.is_empty(), spec.help.is_empty()) {
        (true, _) => spec.help.clone(),
        (false, true) => format!("one of {}", spec.one_of.join(", ")),
        (false, false) => format!("one of {}: {}", spec.one_of.join(", "), spec.help),
    }
}

fn plain(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

fn operations(operations: &[(&str, &OperationSpec)]) -> Listing {
    let mut listing = Listing::new(["name", "records in a call", "requests"]).right(&[1]);
    for (name, spec) in operations {
        listing.row([
            (*name).to_owned(),
            spec.batch.unwrap_or(1).to_string(),
            spec.steps.len().max(1).to_string(),
        ]);
    }
    listing
}

fn limits(manifest: &Manifest) -> Vec<String> {
    let limits = &manifest.limits;
    let mut lines = Vec::new();
    if let Some(calls) = limits.per_second {
        lines.push(format!("{calls} calls per second"));
    }
    if let Some(calls) = limits.in_flight {
        lines.push(format!("{calls} calls at the same time"));
    }
    if let Some(calls) = &limits.per_day {
        let zone = limits.daily_reset.as_deref().unwrap_or("UTC");
        lines.push(format!("calls per day: {} (jq); the day ends in {zone}", calls.text.trim()));
    }
    if limits.usage.is_some() {
        lines.push("what is used up is told by its answers".to_owned());
    }
    if lines.is_empty() {
        lines.push("none are documented".to_owned());
    }
    lines
}

/// What is particular to an object.
fn traits(object: &ObjectSpec) -> String {
    let mut words = Vec::new();
    if !object.without.is_empty() {
        let names: Vec<&str> = object.without.iter().map(|name| name.word()).collect();
        words.push(format!("without {}", names.join(", ")));
    }
    if !object.operations.is_empty() {
        let names: Vec<&str> = object.operations.keys().map(|name| name.word()).collect();
        words.push(format!("requests of its own for {}", names.join(", ")));
    }
    if let Some(fields) = object.read_only.as_ref().filter(|fields| !fields.is_empty()) {
        words.push(format!("never sent: {}", fields.join(", ")));
    }
    words.join("; ")
}

fn test(name_or_path: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    let chosen = match name_or_path {
        Some(chosen) => vec![chosen],
        None => Connector::built_in(),
    };
    let mut results = Vec::new();
    for name in chosen {
        let connector = Connector::load(name, None)?;
        let cases = cases_of(name)?;
        let of_this = run_cases(&connector, &cases);
        if of_this.is_empty() {
            bail!("{name} has no cases: write one for each operation into {}", cases_file(name).display());
        }
        results.extend(of_this.into_iter().map(|result| (connector.name.clone(), result)));
    }
    let failed = results.iter().filter(|(_, result)| !result.passed).count();
    if as_json {
        say(format!("{:#}", as_array(&results)));
    } else {
        let mut listing = Listing::new(["connector", "case", "", "what differs"]);
        for (connector, result) in &results {
            let word = if result.passed { "ok" } else { "FAILED" };
            listing.row([connector.as_str(), &result.name, word, &result.detail]);
        }
        listing.print();
        say(format!("\n{} cases, {failed} failed", results.len()));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_array(results: &[(String, CaseResult)]) -> Value {
    let line = |(connector, result): &(String, CaseResult)| json!({"connector": connector, "case": result.name, "passed": result.passed, "detail": result.detail});
    results.iter().map(line).collect()
}

/// `crm.yaml` has its cases in `crm.test.yaml`.
fn cases_file(name_or_path: &str) -> PathBuf {
    if is_path(name_or_path) {
        Path::new(name_or_path).with_extension("test.yaml")
    } else {
        PathBuf::from(format!("connectors/{name_or_path}.test.yaml"))
    }
}

fn cases_of(name_or_path: &str) -> anyhow::Result<String> {
    if is_path(name_or_path) {
        let path = cases_file(name_or_path);
        return std::fs::read_to_string(&path).with_context(|| {
            format!("the cases of {name_or_path} cannot be read: write them into {}", path.display())
        });
    }
    let cases = Connector::built_in_cases(name_or_path);
    Ok(cases.with_context(|| format!("there are no cases of {name_or_path} inside the binary"))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_connector_is_listed_with_what_it_needs() {
        let text = list().unwrap().to_string();
        for name in Connector::built_in() {
            assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
        }
        let line = text.lines().find(|line| line.starts_with("fxiaoke")).unwrap();
        assert!(line.contains("app_secret") && line.contains("permanent_code"), "{line}");
        assert!(!line.contains("generation"), "it has a default: {line}");
    }

    #[test]
    fn settings_and_operations_are_shown_as_the_manifest_has_them() {
        for name in Connector::built_in() {
            let (_, manifest) = read(name).unwrap();
            let text = settings(&manifest).to_string();
            for (setting, spec) in &manifest.settings {
                let line = text.lines().find(|line| line.split(' ').next() == Some(setting)).unwrap();
                assert_eq!(
                    line.contains("secret"),
                    spec.secret || spec.help.contains("secret") || setting.contains("secret"),
                    "{line}"
                );
                assert!(line.contains(spec.help.trim()), "{line}");
            }
            assert!(!limits(&manifest).is_empty());
        }
    }

    #[test]
    fn the_authors_notes_end_where_the_manifest_begins() {
        let text = "# one\n#\n# two\nconnector: x\n# three\n";
        assert_eq!(notes(text).collect::<Vec<_>>(), ["one", "", "two"]);
    }

    #[test]
    fn cases_stand_beside_their_manifest() {
        assert_eq!(cases_file("somewhere/crm.yaml"), Path::new("somewhere/crm.test.yaml"));
        assert_eq!(cases_file("crm"), Path::new("connectors/crm.test.yaml"));
        let error = cases_of("/nowhere/crm.yaml").unwrap_err().to_string();
        assert!(error.contains("/nowhere/crm.test.yaml"), "{error}");
    }

    #[test]
    fn a_starting_point_is_written_under_another_name_and_holds_its_cases() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crm.yaml");
        let draft = starting_point("graphql", Some("crm")).unwrap();
        assert!(draft.to_review() > 5, "{}", draft.to_review());
        new(&draft, Some(&path)).unwrap();
        assert_eq!(read(path.to_str().unwrap()).unwrap().0.name, "crm");
        assert!(new(&draft, Some(&path)).is_err(), "what is there is not overwritten");
        let cases = Connector::built_in_cases("graphql").unwrap();
        std::fs::write(folder.path().join("crm.test.yaml"), cases).unwrap();
        let status = |code: ExitCode| format!("{code:?}");
        assert_eq!(status(test(path.to_str(), true).unwrap()), status(ExitCode::SUCCESS));
    }

    #[test]
    fn a_failed_case_is_told_by_the_status() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("crm.yaml");
        std::fs::write(&manifest, Connector::built_in_text("fxiaoke").unwrap()).unwrap();
        let name = manifest.to_str().unwrap();
        let cases = Connector::built_in_cases("fxiaoke").unwrap();
        std::fs::write(folder.path().join("crm.test.yaml"), cases).unwrap();
        let status = |code: ExitCode| format!("{code:?}");
        assert_eq!(status(test(Some(name), true).unwrap()), status(ExitCode::SUCCESS));
        let spoilt = cases.replacen("identity: acme", "identity: other", 1);
        assert_ne!(spoilt, cases);
        std::fs::write(folder.path().join("crm.test.yaml"), spoilt).unwrap();
        assert_eq!(status(test(Some(name), false).unwrap()), status(ExitCode::FAILURE));
        std::fs::write(folder.path().join("crm.test.yaml"), "cases: []").unwrap();
        assert!(test(Some(name), false).unwrap_err().to_string().contains("no cases"));
    }
}
