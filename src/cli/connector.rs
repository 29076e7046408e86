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
    /// Begins a manifest: drafted from the documentation of an API (what is guessed is marked with REVIEW), or copied from
    /// a connector (of `graphql`, `rest` and `soap`, what is to be changed is marked with CHANGE)
    New {
        /// What the document is
        #[arg(long, value_enum, required_unless_present = "like", requires = "file")]
        from: Option<Source>,
        /// The document: an OpenAPI 3 description in JSON or YAML
        #[arg(conflicts_with = "like")]
        file: Option<PathBuf>,
        /// Copies this connector, a name or a path, with its cases
        #[arg(long, conflicts_with = "from")]
        like: Option<String>,
        /// The connector's name; made of the document's title, or the same as that of the copied one, when left out
        #[arg(long)]
        name: Option<String>,
        /// Where to write the manifest, and the copied cases beside it (….test.yaml); the manifest is printed when left
        /// out, and a file that is there is not overwritten
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
        ConnectorCommand::New { from, file, like, name, output } => {
            match (like, from, file) {
                (Some(like), ..) => copy(&like, name.as_deref(), output.as_deref())?,
                (None, Some(Source::Openapi), Some(file)) => {
                    new(&drafted(&file, name.as_deref())?, output.as_deref())?;
                }
                (None, ..) => bail!("say what to begin with: --from openapi FILE, or --like NAME"),
            }
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

/// Checks that a draft loads, and writes it.
fn new(draft: &openapi::Draft, output: Option<&Path>) -> anyhow::Result<()> {
    Connector::compile(&draft.text, "the draft").context("this leads to a manifest that does not load")?;
    let Some(output) = output else {
        say(draft.text.trim_end());
        return Ok(());
    };
    write_new(output, &draft.text)?;
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

/// Writes a file that must not be there yet.
fn write_new(output: &Path, text: &str) -> anyhow::Result<()> {
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(output);
    let mut written = written.with_context(|| {
        format!("{} cannot be made; remove it or name another file with --output", output.display())
    })?;
    std::io::Write::write_all(&mut written, text.as_bytes())?;
    Ok(())
}

/// Copies a connector with its cases, under another name if one is given.
fn copy(like: &str, name: Option<&str>, output: Option<&Path>) -> anyhow::Result<()> {
    let text = named(&text_of(like)?, name);
    Connector::compile(&text, like).context("the copy does not load; choose another --name")?;
    let Some(output) = output else {
        say(text.trim_end());
        return Ok(());
    };
    if !is_path(&output.display().to_string()) {
        bail!("{} must end in .yaml, so that it can be named as a connector", output.display());
    }
    let cases = output.with_extension("test.yaml");
    if cases.exists() {
        bail!("{} is there already; remove it or name another file with --output", cases.display());
    }
    let theirs = cases_of(like)?;
    write_new(output, &text)?;
    write_new(&cases, &theirs)?;
    say(format!("{} and {} are written", output.display(), cases.display()));
    let marks = text.lines().filter(|line| line.contains("CHANGE")).count();
    if marks > 0 {
        say(format!("{marks} lines are marked with CHANGE: put what your system says in their place"));
    }
    say(format!("then run `rowtwin connector test {}`", output.display()));
    Ok(())
}

/// The manifest under this name.
fn named(text: &str, name: Option<&str>) -> String {
    let Some(name) = name else { return text.to_owned() };
    let line = |line: &str| match line.starts_with("connector:") {
        true => format!("connector: {name}\n"),
        false => format!("{line}\n"),
    };
    text.lines().map(line).collect()
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
    fn a_copy_has_its_own_name_and_passes_the_cases_that_came_with_it() {
        let folder = tempfile::tempdir().unwrap();
        for like in ["graphql", "odata", "rest", "soap"] {
            let output = folder.path().join(format!("my-{like}.yaml"));
            copy(like, Some("mine"), Some(&output)).unwrap();
            let path = output.to_str().unwrap();
            assert_eq!(Connector::load(path, None).unwrap().name, "mine");
            let told = run_cases(&Connector::load(path, None).unwrap(), &cases_of(path).unwrap());
            assert!(!told.is_empty() && told.iter().all(|case| case.passed), "{told:?}");
            let again = copy(like, None, Some(&output)).unwrap_err().to_string();
            assert!(again.contains("is there already"), "{again}");
        }
        assert!(copy("rest", None, Some(Path::new("mine"))).unwrap_err().to_string().contains(".yaml"));
        assert!(copy("rest", Some("a: b"), None).is_err());
        assert!(copy("nothing", None, None).is_err());
    }

    #[test]
    fn cases_stand_beside_their_manifest() {
        assert_eq!(cases_file("somewhere/crm.yaml"), Path::new("somewhere/crm.test.yaml"));
        assert_eq!(cases_file("crm"), Path::new("connectors/crm.test.yaml"));
        let error = cases_of("/nowhere/crm.yaml").unwrap_err().to_string();
        assert!(error.contains("/nowhere/crm.test.yaml"), "{error}");
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
