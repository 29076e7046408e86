//! CSV as JSON values: what the filter `from_csv` does, for answers that are tables.

use serde_json::{Map, Value};

/// The most cells of one table.
const MOST_CELLS: usize = 4_000_000;

/// Why a text is not read. Nothing of it is in the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    /// A row is no row of this table; counted from 1, the head included.
    #[error("from_csv was given a text that is not CSV: row {row} has not as many cells as the head")]
    Ragged { row: u64 },
    #[error("from_csv was given a table of more than {MOST_CELLS} cells; ask for smaller pages")]
    TooLarge,
}

/// A table with a head (RFC 4180) as an array of objects: each row by the names of the head. All values are texts, an
/// empty cell is null: CSV cannot tell it from an empty text. NUL characters, which no column can hold, are left out.
///
/// # Errors
/// If a row is longer or shorter than the head, or the table is too large.
pub fn from_csv(text: &str) -> Result<Value, CsvError> {
    let text = text.trim_start_matches('\u{feff}');
    let cleaned = text.contains('\0').then(|| text.replace('\0', ""));
    let mut reader = csv::Reader::from_reader(cleaned.as_deref().unwrap_or(text).as_bytes());
    // The text is UTF-8 already: what fails is the number of cells.
    let ragged = |error: &csv::Error| CsvError::Ragged {
        row: error.position().map_or(1, |position| position.record() + 1),
    };
    let head = reader.headers().map_err(|error| ragged(&error))?.clone();
    let mut cells = 0usize;
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| ragged(&error))?;
        cells += row.len();
        if cells > MOST_CELLS {
            return Err(CsvError::TooLarge);
        }
        let cell = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
        let members: Map<String, Value> =
            head.iter().zip(row.iter()).map(|(name, text)| (name.to_owned(), cell(text))).collect();
        rows.push(Value::Object(members));
    }
    Ok(Value::Array(rows))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_read_by_its_head() {
        let text = "\u{feff}\"Id\",\"Name\",Note\r\n\"1\",\"a \"\"b\"\", c\",\"two\nlines\"\n2,客\0户,\n";
        let rows = json!([{"Id": "1", "Name": "a \"b\", c", "Note": "two\nlines"}, {"Id": "2", "Name": "客户", "Note": null}]);
        assert_eq!(from_csv(text), Ok(rows));
        assert_eq!(from_csv("Id\n"), Ok(json!([])));
        assert_eq!(from_csv(""), Ok(json!([])));
        assert_eq!(from_csv("Id,Name\n1\n"), Err(CsvError::Ragged { row: 2 }));
        assert!(!from_csv("Id\n1\nsecret,2\n").unwrap_err().to_string().contains("secret"));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(rows in prop::collection::vec([".{0,8}", "[\",\r\n]{0,4}", "[^\0]{1,3}"], 0..8)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["a", "b", "c"]).unwrap();
            let text = |text: &String| text.replace('\0', "");
            for row in &rows {
                writer.write_record(row.iter().map(text)).unwrap();
            }
            let written = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let read = from_csv(&written).unwrap();
            let cell = |text: String| if text.is_empty() { Value::Null } else { json!(text) };
            let expected: Vec<Value> = rows
                .iter()
                .map(|row| json!({"a": cell(text(&row[0])), "b": cell(text(&row[1])), "c": cell(text(&row[2]))}))
                .collect();
            prop_assert_eq!(read, json!(expected));
        }
    }
}
