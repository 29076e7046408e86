//! `rowtwin config`: the schema of `rowtwin.yaml`, and what is wrong with a file, shown where it stands.

use std::fmt;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use crate::config::{ConfigError, Finding, load, schema};
use crate::terminal::say;

/// The status of a process whose configuration is wrong.
pub const WRONG: u8 = 2;

/// About rowtwin.yaml
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Prints the JSON Schema of rowtwin.yaml, for editors
    Schema,
    /// Checks a file without reaching any system, and shows everything that is wrong with it
    Check {
        /// The file
        #[arg(default_value = "rowtwin.yaml", value_name = "FILE")]
        file: PathBuf,
    },
}

/// Runs `rowtwin config …`.
///
/// # Errors
/// None of its own; a wrong file is told on stdout and by status 2.
pub fn config(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ConfigCommand::Schema => {
            say(schema_text().trim_end());
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Check { file } => match load(&file) {
            Ok((read, _)) => {
                let (systems, tables) = (read.systems.len(), read.tables.len());
                say(format!("{}: in order; systems: {systems}, tables: {tables}", file.display()));
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                say(render(&error).trim_end());
                Ok(ExitCode::from(WRONG))
            }
        },
    }
}

/// The schema as `docs/rowtwin.schema.json` holds it.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// All findings, each with the line it is about; coloured where stdout is a terminal.
pub fn render(error: &ConfigError) -> String {
    let theme = if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_context_lines(1).with_width(110);
    let shown = without_passwords(&masked(&error.text));
    let mut text = String::new();
    for finding in &error.findings {
        // Writing to a String cannot fail.
        let _ = handler.render_report(&mut text, &Shown::new(&error.file, &shown, finding));
    }
    let count = error.findings.len();
    text.push_str(&format!("\n{}: {count} finding{}\n", error.file, if count == 1 { "" } else { "s" }));
    text
}

/// A finding as miette shows it.
#[derive(Debug)]
struct Shown {
    message: String,
    source: Option<NamedSource<String>>,
    start: usize,
    length: usize,
}

impl Shown {
    fn new(file: &str, text: &str, finding: &Finding) -> Self {
        let place = finding.place;
        let message =
            format!("{file}:{}:{}: {}", place.line, place.column, without_passwords(&finding.message));
        let span = span(text, place.line, place.column);
        let (start, length) = span.unwrap_or_default();
        Self { message, source: span.map(|_| NamedSource::new(file, text.to_owned())), start, length }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = LabeledSpan::new(None, self.start, self.length);
        self.source.as_ref().map(|_| Box::new(std::iter::once(span)) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}

/// The bytes from a place to the end of its word, or of its line where no word is there; none outside the text.
fn span(text: &str, line: u64, column: u64) -> Option<(usize, usize)> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let mut start = 0;
    for (number, content) in text.split_inclusive('\n').enumerate() {
        if number == line {
            let content = content.trim_end_matches(['\n', '\r']);
            // Columns count characters, spans count bytes.
            let skipped = content.char_indices().nth(column).map_or(content.len(), |(index, _)| index);
            let rest = content.get(skipped..).unwrap_or_default();
            let word =
                rest.find([':', ' ', ',', '}', ']']).filter(|length| *length > 0).unwrap_or(rest.len());
            return Some((start + skipped, word));
        }
        start += content.len();
    }
    None
}

/// Words in the names of settings whose values nobody else should see, also where they were wrongly written down.
const SENSITIVE: [&str; 6] = ["secret", "password", "token", "key", "code", "url"];

/// The text with what may be a secret replaced by as many asterisks, so that every place stays where it is.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while let Some(colon) = rest.find(": ") {
            let (before, after) = rest.split_at(colon + 2);
            out.push_str(before);
            let name = before.trim_end_matches(": ").trim_end_matches(['"', '\'']);
            let name = name.rsplit([' ', '{', ',', '"', '\'']).next().unwrap_or_default().to_lowercase();
            let value = after.trim_start();
            let found_elsewhere = value.starts_with('{') || value.starts_with('#');
            if SENSITIVE.iter().any(|word| name.contains(word)) && !found_elsewhere {
                let quote = value.chars().next().filter(|char| matches!(char, '"' | '\''));
                let length = match quote {
                    Some(quote) => value
                        .get(1..)
                        .and_then(|inner| inner.find(quote))
                        .map_or(value.trim_end().len(), |end| end + 2),
                    // In a flow map a value ends at the comma; outside of one a comma belongs to it.
                    None if before.contains('{')
                        || out.lines().last().is_some_and(|line| line.contains('{')) =>
                    {
                        value.find([',', '}']).unwrap_or(value.trim_end().len())
                    }
                    None => value.trim_end().len(),
                };
                let skipped = after.len() - value.len();
                let hidden = after.get(..skipped + length).unwrap_or(after);
                out.extend(hidden.chars().map(|char| if char.is_whitespace() { char } else { '*' }));
                rest = after.get(hidden.len()..).unwrap_or_default();
            } else {
                rest = after;
            }
        }
        out.push_str(rest);
    }
    out
}

/// The text with the passwords of its addresses (`scheme://user:password@host`) replaced by as many asterisks.
fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        out.push_str(before);
        let end = after.find([' ', '\n', '"', '\'', '/']).unwrap_or(after.len());
        let (address, next) = after.split_at(end);
        match address.rsplit_once('@').and_then(|(who, host)| Some((who.split_once(':')?, host))) {
            Some(((user, password), host)) => {
                let hidden = "*".repeat(password.chars().count());
                out.push_str(&format!("{user}:{hidden}@{host}"));
            }
            None => out.push_str(address),
        }
        rest = next;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn findings_are_shown_with_their_line_and_an_arrow() {
        let text = "systems:\n  crm:\n    conector: fxiaoke\ntables: {}\n";
        let error = parse("rowtwin.yaml", text).unwrap_err();
        let shown = render(&error);
        assert!(shown.contains("rowtwin.yaml:3:5: unknown key `conector`"), "{shown}");
        assert!(shown.contains("3 │     conector: fxiaoke"), "{shown}");
        let arrow = shown.lines().rfind(|line| line.contains("·")).unwrap();
        assert_eq!(arrow.matches('─').count(), "conector".len(), "{shown}");
        assert!(shown.contains("lacks the key `connector`"), "{shown}");
        assert!(shown.trim_end().ends_with("2 findings"), "{shown}");
    }

    #[test]
    fn a_file_that_is_not_there_is_one_finding_without_a_source() {
        let error = load(std::path::Path::new("/nowhere/rowtwin.yaml")).unwrap_err();
        let shown = render(&error);
        assert!(shown.contains("cannot be read") && shown.contains("1 finding\n"), "{shown}");
    }

    #[test]
    fn places_behind_wide_characters_and_outside_the_text_are_safe() {
        assert_eq!(span("名: 值\nb: c\n", 1, 4), Some((5, 3)));
        assert_eq!(span("a: b\n", 1, 99), Some((4, 0)));
        assert_eq!(span("a: b\n", 9, 1), None);
        assert_eq!(span("", 1, 1), None);
    }

    #[test]
    fn a_secret_that_was_written_down_is_not_shown() {
        let text = "  app_secret: hunter2, really\n  a: {password: 'p w', user: me, token: abc}\n  name: key\n  \
                    app_secret: {env: APP_SECRET}\n  url: postgres://u:p@h/d\n";
        let want = "  app_secret: ******** ******\n  a: {password: ** **, user: me, token: ***}\n  name: key\n  \
                    app_secret: {env: APP_SECRET}\n  url: ******************\n";
        assert_eq!(masked(text), want);
    }

    #[test]
    fn a_password_inside_an_address_is_not_shown() {
        let text = "database: \"postgres://u:p@w@h:5432/d\"\nsystems: {}\ntables: {}\n";
        let shown = render(&parse("rowtwin.yaml", text).unwrap_err());
        assert!(!shown.contains("p@w"), "{shown}");
        assert_eq!(shown.matches("postgres://u:***@h:5432/d").count(), 1, "{shown}");
        assert_eq!(without_passwords("https://host:80/a:b@c"), "https://host:80/a:b@c");
    }

    #[test]
    fn the_schema_is_json() {
        let schema: serde_json::Value = serde_json::from_str(&schema_text()).unwrap();
        assert_eq!(schema["title"], "rowtwin.yaml");
    }
}
