//! The table of rules that are switched off (`cargo sim --mutations`) stays true while the sources move on.

use serde::Deserialize;

use crate::files::{read, root};

/// An entry, as far as the sources are concerned.
#[derive(Deserialize)]
struct Entry {
    name: String,
    file: String,
    from: String,
    to: String,
}

/// Entries that do not fit their file any more, and what else is wrong with the table.
pub fn findings() -> Vec<String> {
    let entries: Vec<Entry> = serde_saphyr::from_str(&read("tests/sim/mutations.yaml")).unwrap();
    let mut findings = Vec::new();
    if entries.len() < 25 {
        findings.push(format!("only {} protections are in the table", entries.len()));
    }
    for (place, entry) in entries.iter().enumerate() {
        if entries[..place].iter().any(|other| other.name == entry.name) {
            findings.push(format!("{}: there are two of that name", entry.name));
        }
        if !root().join(&entry.file).is_file() {
            findings.push(format!("{}: there is no {}", entry.name, entry.file));
            continue;
        }
        let count = read(&entry.file).matches(&entry.from).count();
        if count != 1 {
            findings.push(format!("{}: `from` occurs {count} times in {}, not once", entry.name, entry.file));
        }
        if entry.from == entry.to {
            findings.push(format!("{}: nothing is changed", entry.name));
        }
    }
    findings
}
