//! Floors: a room may know the rooms below it and beside it, never those above.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::Kept;

/// From the ground up.
const FLOORS: [&[&str]; 9] = [
    &["model", "error", "metrics"],
    &["config", "postgres", "cluster", "store", "remote", "terminal"],
    &["connector"],
    &["mapping"],
    &["bound"],
    &["capture", "deliver", "pull", "serve", "simulator", "verify"],
    &["engine"],
    &["cli", "demo"],
    &["main", "lib"],
];

/// Rooms that could be taken out and used elsewhere.
const MODEL_ONLY: [&str; 2] = ["config", "simulator"];

/// An import: the room of the file, the room that it names, and where.
struct Import {
    from: String,
    to: String,
    place: String,
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// `src/store/link.rs` is in the room `store`, `src/metrics.rs` in `metrics`.
fn room_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

pub fn upward(sources: &[Kept]) -> Vec<String> {
    let mut findings: Vec<String> = sources
        .iter()
        .map(|file| room_of(&file.path))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|room| floor(room).is_none())
        .map(|room| format!("{room} has no floor: give it one in tests/house/floors.rs"))
        .collect();
    for import in imports(sources) {
        if let (Some(from), Some(to)) = (floor(&import.from), floor(&import.to))
            && to > from
        {
            findings
                .push(format!("{}: {} imports {}, which is above it", import.place, import.from, import.to));
        }
    }
    findings
}

pub fn beyond_model(sources: &[Kept]) -> Vec<String> {
    imports(sources)
        .into_iter()
        .filter(|import| MODEL_ONLY.contains(&import.from.as_str()) && import.to != "model")
        .map(|import| format!("{}: {} imports {}", import.place, import.from, import.to))
        .collect()
}

pub fn circles(sources: &[Kept]) -> Vec<String> {
    let mut edges: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for import in imports(sources) {
        edges.entry(import.from).or_default().entry(import.to).or_insert(import.place);
    }
    // A room that can be reached from itself is in a circle.
    let mut findings = Vec::new();
    for start in edges.keys() {
        let mut seen = BTreeSet::new();
        let mut ahead = vec![(start.clone(), start.clone())];
        while let Some((room, way)) = ahead.pop() {
            for (next, place) in edges.get(&room).into_iter().flatten() {
                if next == start {
                    findings.push(format!("{way} → {next} ({place})"));
                } else if seen.insert(next.clone()) {
                    ahead.push((next.clone(), format!("{way} → {next}")));
                }
            }
        }
    }
    findings
}

/// What the product's code imports from other rooms; tests may reach where they like.
fn imports(sources: &[Kept]) -> Vec<Import> {
    let rooms: BTreeSet<&str> = sources.iter().map(|file| room_of(&file.path)).collect();
    let mut found = Vec::new();
    for file in sources {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if name == "tests.rs" || name.ends_with("_tests.rs") {
            continue;
        }
        let from = room_of(&file.path);
        let code = shipped(&file.text);
        let mut names = named(&code);
        names.extend(climbed(&code, depth(&file.path)));
        for (line, to) in names {
            if to != from && rooms.contains(to.as_str()) {
                found.push(Import { from: from.to_owned(), to, place: format!("{}:{line}", file.path) });
            }
        }
    }
    found
}

/// The text without comments and without its test modules, line for line.
fn shipped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut tested = false;
    let mut inside_tests = false;
    for line in text.lines() {
        let code = line.split("//").next().unwrap_or(line);
        // rustfmt closes a module of the file's own level with a brace in the first column.
        if inside_tests {
            inside_tests = line != "}";
        } else if tested && code.starts_with("mod ") {
            inside_tests = code.trim_end().ends_with('{');
        } else {
            out.push_str(code);
        }
        tested = line.starts_with("#[cfg(test)]");
        out.push('\n');
    }
    out
}

/// The rooms that a text names with their lines: `crate::x`, `rowtwin::x`, and the groups `crate::{x, y::z}`.
fn named(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for prefix in ["crate::", "rowtwin::"] {
        for (start, _) in text.match_indices(prefix) {
            let before = text[..start].chars().next_back();
            if before.is_some_and(|char| char.is_alphanumeric() || char == '_' || char == '$') {
                continue;
            }
            let line = text[..start].matches('\n').count() + 1;
            let rest = &text[start + prefix.len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => heads(group),
                None => vec![word(rest)],
            };
            found.extend(names.into_iter().filter(|name| !name.is_empty()).map(|name| (line, name)));
        }
    }
    found
}

/// How many modules a file is below the crate's root: 1 for `src/metrics.rs` and `src/store/mod.rs`.
fn depth(path: &str) -> usize {
    let steps = path.strip_prefix("src/").unwrap_or(path).split('/').count();
    if path.ends_with("/mod.rs") { steps - 1 } else { steps }
}

/// What a text names at the crate's root by climbing there: `super::super::x` two modules below it.
fn climbed(text: &str, depth: usize) -> Vec<(usize, String)> {
    let climb = "super::".repeat(depth);
    let mut found = Vec::new();
    for (start, _) in text.match_indices(&climb) {
        let name = word(&text[start + climb.len()..]);
        if name != "super" && !text[..start].ends_with("super::") {
            found.push((text[..start].matches('\n').count() + 1, name));
        }
    }
    found
}

/// The first word of each member of a group, up to the brace that closes it.
fn heads(group: &str) -> Vec<String> {
    let mut names = vec![word(group.trim_start())];
    let mut depth = 0;
    for (index, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(group[index + 1..].trim_start())),
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
}

fn source(path: &str, text: &str) -> Kept {
    Kept { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn imports_are_found_in_all_their_forms() {
    let text = "use crate::{model::Key, store::{link, outbox}, pull};\n// crate::engine\n\
                fn f() { crate::deliver::go(); rowtwin::serve::x(); notcrate::cli::x() }\n\
                #[cfg(test)]\nmod tests {\n    use crate::simulator;\n}\nuse crate::cluster;\n";
    let found: Vec<(usize, String)> = named(&shipped(text));
    let want = [(1, "model"), (1, "store"), (1, "pull"), (3, "deliver"), (8, "cluster"), (3, "serve")];
    assert_eq!(found, want.map(|(line, name)| (line, name.to_owned())));
}

#[test]
fn what_is_forbidden_is_found() {
    let upwards = [
        source("src/store/a.rs", "use crate::engine;"),
        source("src/engine.rs", ""),
        source("src/attic.rs", ""),
    ];
    assert_eq!(upward(&upwards).len(), 2, "{:?}", upward(&upwards));
    let round = [
        source("src/store/a.rs", "use crate::remote;"),
        source("src/remote/a.rs", "use crate::config;"),
        source("src/config/a.rs", "use crate::store;"),
        source("src/model/a.rs", ""),
        source("src/simulator/a.rs", "use super::store; use super::super::postgres;"),
        source("src/postgres/a.rs", ""),
    ];
    assert_eq!(circles(&round).len(), 3, "{:?}", circles(&round));
    assert_eq!(beyond_model(&round).len(), 2, "config knows store, simulator climbs to postgres");
    assert!(upward(&round).is_empty());
}
