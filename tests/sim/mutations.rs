//! Rules switched off: each protection is taken out of a copy of the sources, once, and something must notice.
//!
//! Production code has no switches for this. The copy lies in `target/mutations/source` and is built in a target folder
//! of its own beside it, which begins with what is built already; so an entry costs one build of our own crate.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use comfy_table::Table;
use indicatif::ProgressBar;
use serde::Deserialize;

/// One protection, and how it is taken out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    name: String,
    rule: String,
    file: String,
    from: String,
    to: String,
    caught_by: CaughtBy,
}

/// What must fail without it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaughtBy {
    /// The first and the last seed of the simulation that are played.
    #[serde(default)]
    seeds: Option<(u64, u64)>,
    /// A filter of `cargo test --test it`.
    #[serde(default)]
    test: Option<String>,
}

/// What became of an entry.
#[derive(Debug, PartialEq)]
enum Verdict {
    Noticed,
    /// Everything passed although the protection is gone.
    Missed,
    /// The changed sources cannot be built, so nothing was learned.
    Unbuilt,
}

/// Proves the mutations whose name contains `name`; true when all of them are noticed.
pub fn prove(name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("tests/sim/mutations.yaml")).unwrap();
    let mutations: Vec<Mutation> = serde_saphyr::from_str(&text).unwrap();
    let chosen: Vec<Mutation> = mutations.into_iter().filter(|one| one.name.contains(name)).collect();
    let copy = copied(root);
    let bar = ProgressBar::new(u64::try_from(chosen.len()).unwrap());
    let mut table = Table::new();
    table.set_header(["protection", "rule", "noticed", "by", "seconds"]);
    let mut all = !chosen.is_empty();
    for one in &chosen {
        bar.set_message(one.name.clone());
        let began = Instant::now();
        let (verdict, by) = judge(&copy, one);
        let line = format!("{:?}: {} ({by}, {} s)", verdict, one.name, began.elapsed().as_secs());
        bar.suspend(|| println!("{line}"));
        all &= verdict == Verdict::Noticed;
        let seconds = began.elapsed().as_secs().to_string();
        table.add_row([one.name.as_str(), one.rule.as_str(), &format!("{verdict:?}"), &by, &seconds]);
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{table}");
    all
}

/// A copy of the sources; what it shares with the original is brought up to date, file by file.
fn copied(root: &Path) -> PathBuf {
    let folder = root.join("target/mutations");
    let copy = folder.join("source");
    std::fs::create_dir_all(&copy).unwrap();
    for entry in std::fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name != "target" && name != ".git" {
            refresh(&entry.path(), &copy.join(name));
        }
    }
    let target = folder.join("target");
    if !target.exists() {
        // hard links: what is built already is not built again, and takes no room
        std::fs::create_dir_all(&target).unwrap();
        let linked =
            Command::new("cp").arg("-al").arg(root.join("target/debug")).arg(target.join("debug")).status();
        assert!(linked.is_ok_and(|status| status.success()), "what is built already cannot be linked");
        // but for what is our own: cargo writes its marks in place, and a link would change the original's
        for part in [".fingerprint", "deps", "build"] {
            forget_ours(&target.join("debug").join(part));
        }
        let _ = std::fs::remove_dir_all(target.join("debug/incremental"));
    }
    copy
}

/// Removes what was built of this package, tests and benches included, from a folder of the copy.
fn forget_ours(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("rowtwin-") || name.starts_with("librowtwin-") {
            let path = entry.path();
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.unwrap();
        }
    }
}

fn refresh(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            refresh(&entry.path(), &to.join(entry.file_name()));
        }
    } else if std::fs::read(from).ok() != std::fs::read(to).ok() {
        std::fs::copy(from, to).unwrap();
    }
}

fn judge(copy: &Path, one: &Mutation) -> (Verdict, String) {
    let path = copy.join(&one.file);
    let original = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        original.matches(&one.from).count(),
        1,
        "{}: `from` must occur once in {}",
        one.name,
        one.file
    );
    std::fs::write(&path, original.replacen(&one.from, &one.to, 1)).unwrap();
    let judged = judge_copy(copy, one);
    std::fs::write(&path, original).unwrap();
    judged
}

fn judge_copy(copy: &Path, one: &Mutation) -> (Verdict, String) {
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command
            .args(arguments)
            .current_dir(copy)
            .env("CARGO_TARGET_DIR", copy.parent().unwrap().join("target"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let target = if one.caught_by.seeds.is_some() { "sim" } else { "it" };
    let built = cargo(&["test", "--quiet", "--no-run", "--test", target]).output().unwrap();
    if !built.status.success() {
        return (
            Verdict::Unbuilt,
            String::from_utf8_lossy(&built.stderr).lines().take(5).collect::<Vec<_>>().join(" "),
        );
    }
    let (mut command, by) = match &one.caught_by {
        CaughtBy { seeds: Some((from, to)), .. } => {
            let (first, count) = (from.to_string(), (to - from + 1).to_string());
            let arguments = [
                "test", "--quiet", "--test", "sim", "--", "--whole", "--first", "--from", &first, "--count",
                &count,
            ];
            (cargo(&arguments), format!("seeds {from} to {to}"))
        }
        CaughtBy { test, .. } => {
            let test = test.as_deref().expect("seeds or a test");
            (cargo(&["test", "--quiet", "--test", "it", test]), test.to_owned())
        }
    };
    let ended = bounded(&mut command);
    let verdict = if ended { Verdict::Missed } else { Verdict::Noticed };
    (verdict, by)
}

/// Whether the command succeeds in time: what hangs has noticed, too.
fn bounded(command: &mut Command) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        if began.elapsed() > Duration::from_secs(1200) {
            let _ = child.kill();
            let _ = child.wait();
            return false;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
