//! What commands print: lines, and tables that are drawn on a terminal and plain in a pipe.

use crate::model::record::member;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table};

/// Columns of a terminal below which tables are not fitted to it.
const NARROWEST: u16 = 40;

/// Writes a line to stdout.
///
/// Ends the process where nobody reads any more (`rowtwin status | head -1`): that is not an error. An output that
/// fails otherwise, such as a full disk, ends it with status 1.
pub fn say(line: impl Display) {
    match put(&mut io::stdout().lock(), &line) {
        Ok(Reader::Reads) => {}
        Ok(Reader::Left) => std::process::exit(0),
        Err(error) => {
            // Stderr is all that is left, and it may be gone too.
            let _ = writeln!(io::stderr(), "rowtwin: stdout cannot be written: {error}");
            std::process::exit(1);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Reader {
    Reads,
    Left,
}

fn put(out: &mut impl Write, line: &impl Display) -> io::Result<Reader> {
    // One text: a line is then written whole, also where stdout has no buffer.
    match out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Left),
        Err(error) => Err(error),
    }
}

/// How a table looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Columns and nothing else, a row per line however long: for pipes and files.
    Plain,
    /// With a line under the header, cut to the width of the terminal.
    Drawn,
}

impl Look {
    /// The one that suits stdout.
    pub fn of_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Drawn } else { Self::Plain }
    }
}

/// A table. Columns line up by the width that a terminal gives to each character, so Chinese lines up too.
#[derive(Debug)]
pub struct Listing {
    table: Table,
    look: Look,
    columns: usize,
}

impl Listing {
    /// An empty table for stdout.
    pub fn new<const N: usize>(header: [&str; N]) -> Self {
        Self::with_look(Look::of_stdout(), header)
    }

    /// An empty table of a certain look.
    pub fn with_look<const N: usize>(look: Look, header: [&str; N]) -> Self {
        Self::of(look, &header)
    }

    /// An empty table with as many columns as titles.
    pub fn of(look: Look, header: &[&str]) -> Self {
        let mut table = Table::new();
        match look {
            Look::Plain => {
                table.load_style(NOTHING);
                table.force_no_tty();
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
            Look::Drawn => {
                table.load_style(NOTHING.header_separator(LineStyle::none().fill('─').junction('─')));
                // Some terminals do not know their width and say 0; cutting to that leaves a letter per line.
                if table.width().is_some_and(|width| width >= NARROWEST) {
                    table.set_content_arrangement(ContentArrangement::Dynamic);
                }
            }
        }
        table.set_header(header.iter().copied());
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self { table, look, columns: header.len() }
    }

    /// Chosen members of JSON objects: (member, title) pairs.
    pub fn of_json(columns: &[(&str, &str)], rows: &[serde_json::Value]) -> Self {
        let titles: Vec<&str> = columns.iter().map(|(_, title)| *title).collect();
        let mut listing = Self::of(Look::of_stdout(), &titles);
        for row in rows {
            listing.row(columns.iter().map(|(name, _)| plain(member(row, name))));
        }
        listing
    }

    /// Numbers stand to the right.
    #[must_use]
    pub fn right(mut self, columns: &[usize]) -> Self {
        for index in columns {
            if let Some(column) = self.table.column_mut(*index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    /// Adds a row; cells beyond the header's are left out.
    pub fn row<T: Display>(&mut self, cells: impl IntoIterator<Item = T>) -> &mut Self {
        let cells: Vec<String> = cells
            .into_iter()
            .take(self.columns)
            .map(|cell| printable(&cell.to_string(), self.look))
            .collect();
        self.table.add_row(cells);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Writes the table to stdout.
    pub fn print(&self) {
        say(self);
    }
}

impl Display for Listing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.table.trim_fmt())
    }
}

/// A JSON value as people write it: nothing for null, times without zone and fraction.
pub fn plain(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.len() > 20 && text.get(10..11) == Some("T") => {
            text.get(..19).unwrap_or(text).replace('T', " ")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text as a cell: what would move the cursor or colour the terminal is shown as what it is. Remotes' messages
/// come here, and a row stays one line in a pipe.
fn printable(text: &str, look: Look) -> String {
    let mut cell = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' if look == Look::Drawn => cell.push('\n'),
            '\n' | '\t' => cell.push(' '),
            char if char.is_control() => cell.extend(char.escape_unicode()),
            char => cell.push(char),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_tables_are_columns_only_and_chinese_lines_up() {
        let mut listing = Listing::with_look(Look::Plain, ["system", "calls", "title"]).right(&[1]);
        listing.row(["crm", "5", "纷享销客 Fxiaoke"]).row(["kingdee", "12000", "金蝶"]);
        let want = "system   calls  title\ncrm          5  纷享销客 Fxiaoke\nkingdee  12000  金蝶";
        assert_eq!(listing.to_string(), want);
        let mut wide = Listing::with_look(Look::Plain, ["name", "n"]);
        wide.row(["金蝶云", "1"]).row(["crm", "2"]);
        // Three ideographs are six cells wide, as `crm` and three spaces are.
        assert_eq!(wide.to_string(), "name    n\n金蝶云  1\ncrm     2");
    }

    #[test]
    fn a_row_stays_one_line_in_a_pipe_however_long() {
        let mut listing = Listing::with_look(Look::Plain, ["message"]);
        listing.row(["word ".repeat(200) + "\nend"]);
        assert_eq!(listing.to_string().lines().count(), 2);
    }

    #[test]
    fn a_drawn_table_has_a_line_under_its_header() {
        let mut listing = Listing::with_look(Look::Drawn, ["name", "title"]);
        listing.row(["crm", "纷享销客"]);
        assert!(
            listing.to_string().lines().nth(1).is_some_and(|line| line.chars().all(|char| char == '─')),
            "{listing}"
        );
    }

    #[test]
    fn a_remote_cannot_paint_the_terminal() {
        let mut listing = Listing::with_look(Look::Plain, ["message"]);
        listing.row(["\u{1b}[31mred\u{7}\r"]);
        assert!(!listing.to_string().chars().any(|char| char.is_control() && char != '\n'), "{listing}");
        assert!(listing.to_string().contains("\\u{1b}[31mred"), "{listing}");
    }

    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is_one() {
        let mut out = Vec::new();
        assert_eq!(put(&mut out, &"line").unwrap(), Reader::Reads);
        assert_eq!(out, b"line\n");
        assert_eq!(put(&mut Closed(io::ErrorKind::BrokenPipe), &"line").unwrap(), Reader::Left);
        assert!(put(&mut Closed(io::ErrorKind::StorageFull), &"line").is_err());
    }
}
