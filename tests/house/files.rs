//! The files of the repository, as they lie in its folder.

use std::path::{Path, PathBuf};

/// A text file.
pub struct Kept {
    /// From the repository's root, with `/`.
    pub path: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All text files, but for what git and cargo keep for themselves.
///
/// The folder is walked rather than git asked: git refuses to speak about a folder of another user.
pub fn kept() -> Vec<Kept> {
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

/// The Rust files below `src`.
pub fn sources() -> Vec<Kept> {
    kept().into_iter().filter(|file| file.path.starts_with("src/") && file.path.ends_with(".rs")).collect()
}

fn walk(folder: &Path, found: &mut Vec<Kept>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let name = name.to_str().expect("names of files are UTF-8");
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            // What fuzzing leaves lies in corpus and artifacts.
            if ![".git", "target", "corpus", "artifacts"].contains(&name) {
                walk(&path, found);
            }
        } else if kind.is_file() && name != ".git" {
            // What is no text has no words to look at.
            if let Ok(text) = std::fs::read_to_string(&path) {
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Kept { path, text });
            }
        }
    }
}
