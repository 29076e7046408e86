//! The files for monitoring: they can be read, and name only metrics that the process has.

use std::collections::BTreeSet;

use crate::files::{kept, read};

/// What `/metrics` may hold, by the constants of `src/metrics.rs`.
fn registered() -> BTreeSet<String> {
    let text = read("src/metrics.rs").replace('\n', " ");
    let names: BTreeSet<String> = text
        .split(": Described =")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1))
        .map(|name| format!("rowtwin_{name}"))
        .collect();
    assert!(names.len() > 20, "the metrics are not found: {names:?}");
    names
}

/// Words of a text that look like metrics.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|char: char| !(char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_'))
        .filter(|word| word.starts_with("rowtwin_"))
        .map(str::to_owned)
        .collect()
}

/// The metric that a series belongs to: counters and histograms have more names than one.
fn metric(series: &str) -> &str {
    ["_total", "_bucket", "_count", "_sum"]
        .iter()
        .find_map(|suffix| series.strip_suffix(suffix))
        .unwrap_or(series)
}

/// Where the files, the page and the source part.
pub fn parting() -> Vec<String> {
    let registered = registered();
    let mut findings = Vec::new();
    // roles and the schema's own names look alike
    let others = ["rowtwin_reader", "rowtwin_operator", "rowtwin_private"];
    let page = "docs/monitoring.md";
    for path in [
        page,
        "deploy/prometheus/rowtwin.rules.yml",
        "deploy/prometheus/rowtwin.rules.test.yml",
        "deploy/grafana/rowtwin.json",
        "deploy/zabbix/rowtwin.yaml",
    ] {
        let names = named(&read(path));
        assert!(names.len() > 5, "{path} names no metrics");
        for name in names.iter().filter(|name| !others.contains(&name.as_str())) {
            if !registered.contains(metric(name)) && !registered.contains(name) {
                findings.push(format!("{path}: there is no metric {name}"));
            }
        }
    }
    let told: BTreeSet<String> = named(&read(page)).iter().map(|name| metric(name).to_owned()).collect();
    findings.extend(registered.difference(&told).map(|name| format!("{page} does not tell of {name}")));
    findings
}

#[test]
fn the_files_for_operations_can_be_read() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana/rowtwin.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panels have ids of their own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
    }
    for file in kept().iter().filter(|file| {
        file.path.starts_with("deploy/") && (file.path.ends_with(".yml") || file.path.ends_with(".yaml"))
    }) {
        let read: Result<serde_json::Value, _> = serde_saphyr::from_str(&file.text);
        assert!(read.is_ok_and(|value| value.is_object()), "{}", file.path);
    }
    let unit = read("deploy/systemd/rowtwin.service");
    for line in ["Type=notify", "WatchdogSec=3min", "ProtectSystem=strict", "DynamicUser=yes", "LimitCORE=0"]
    {
        assert!(unit.lines().any(|have| have == line), "{line}");
    }
    assert!(!unit.contains("Environment="), "secrets are credentials, not variables that others see");
}

#[test]
fn a_metric_that_is_made_up_is_found() {
    let names = named("sum(rate(rowtwin_calls_total{x=\"rowtwin_made_up\"}[5m]))");
    assert_eq!(
        names.iter().map(|name| metric(name)).collect::<Vec<_>>(),
        ["rowtwin_calls", "rowtwin_made_up"]
    );
}
