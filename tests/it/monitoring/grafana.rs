//! The dashboard, read by Grafana's own classes: a key that they do not know gets lost there. What its expressions find is
//! asked of a real Prometheus in `prometheus.rs`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// The classes of Grafana 10.1, generated from its schema.
const PACKAGE: &str = "grafana-foundation-sdk==1769699998!10.1.0";

fn lost(dashboard: &Path) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = Command::new(root.join("scripts/python.sh")).args(["grafana", PACKAGE]).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let python = String::from_utf8(found.stdout).unwrap();
    let script = root.join("tests/clients/grafana_dashboard.py");
    let ran = Command::new(python.trim()).arg(script).arg(dashboard).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[test]
fn grafanas_own_classes_understand_the_dashboard() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/rowtwin.json");
    // what the editor of a variable shows is not in the schema
    assert_eq!(lost(&path), json!(["/templating/list/1/definition"]));

    // and they are not deaf: a slip of the pen is found
    let text = std::fs::read_to_string(&path).unwrap();
    let slipped = text.replacen("\"gridPos\"", "\"gridpos\"", 1);
    assert_ne!(text, slipped);
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("slipped.json");
    std::fs::write(&other, slipped).unwrap();
    assert!(lost(&other).to_string().contains("gridpos"));
}
