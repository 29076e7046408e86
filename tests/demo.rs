//! The README's first command, as a person runs it: the whole story, verified by the demo itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption of a test is a failed test"
)]

use std::process::Command;

#[test]
fn the_demo_keeps_all_its_promises_and_leaves_nothing_running() {
    let output = Command::new(env!("CARGO_BIN_EXE_rowtwin")).args(["demo", "--check"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let last = told.lines().last().unwrap_or_default();
    let summary: serde_json::Value =
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {told}"));
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(summary["ok"], true);
    assert_eq!(summary["steps"], 15);
    for nothing in ["echoes", "duplicates", "lost"] {
        assert_eq!(summary["counts"][nothing], 0, "{nothing}: {summary}");
    }
    assert!(summary["counts"]["calls_saved"].as_i64().unwrap() > 10_000, "{summary}");

    let port = told
        .split("on port ")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .and_then(|port| port.parse::<u16>().ok())
        .expect("the demo names its Postgres");
    let refused = std::net::TcpStream::connect(("127.0.0.1", port)).is_err();
    assert!(refused, "something still listens on port {port}");
}
