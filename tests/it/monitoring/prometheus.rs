//! A real Prometheus: our rules pass its checks and their own tests, and it reads a running process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::process::{Process, command, folder};
use crate::support::running::until;
use crate::support::{CRM, Scene, Script, fault};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of its programs; fetched where they are missing.
fn programs() -> PathBuf {
    let found = Command::new(root().join("scripts/prometheus.sh")).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    for (verb, file) in [("check", "rowtwin.rules.yml"), ("test", "rowtwin.rules.test.yml")] {
        let ran = Command::new(programs().join("promtool"))
            .args([verb, "rules", file])
            .current_dir(root().join("deploy/prometheus"))
            .output()
            .unwrap();
        assert!(ran.status.success(), "{verb}: {ran:?}");
    }
}

/// The expressions of the dashboard, with values for its variables.
fn dashboard() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("deploy/grafana/rowtwin.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets
        .map(|target| target["expr"].as_str().unwrap())
        .map(|text| {
            text.replace("$__rate_interval", "5m").replace("$__interval", "1m").replace("$instance", ".*")
        })
        .collect()
}

/// What the alert rules look at, without what they compare it to: on a quiet day that is not so.
fn selectors() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("deploy/prometheus/rowtwin.rules.yml")).unwrap();
    let code = text.lines().filter(|line| !line.trim_start().starts_with(['#', '-']));
    let code: Vec<&str> =
        code.filter(|line| !line.contains("summary:") && !line.contains("description:")).collect();
    let code = code.join(" ");
    let starts = code.match_indices("rowtwin_").map(|(place, _)| &code[place..]);
    starts
        .map(|rest| {
            let name = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap();
            let labels = if rest[name..].starts_with('{') { rest.find('}').unwrap() + 1 } else { name };
            rest[..labels].to_owned()
        })
        .collect()
}

/// The patterns of the Zabbix template, for one binding and one system.
fn template() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("deploy/zabbix/rowtwin.yaml")).unwrap();
    let lines = text.lines().map(|line| line.trim_start_matches([' ', '-']).trim_matches('\''));
    lines
        .filter(|line| line.starts_with("rowtwin_"))
        .map(|line| line.replace("{#BINDING}", "sales.customer - crm.AccountObj").replace("{#SYSTEM}", "crm"))
        .collect()
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_reads_a_running_process_and_raises_its_alerts() {
    let limits = "{per_second: 1000, in_flight: 4, per_day: 100000}".to_owned();
    let scene =
        Scene::with(Script { crm_limits: limits.clone(), erp_limits: limits, ..Script::default() }).await;
    scene.settle().await;
    let folder = folder(&scene, "serve: {port: 0}\n");
    let process = Process::start(command(&folder, &scene.url));
    let target = process.address();

    let rules = root().join("deploy/prometheus/rowtwin.rules.yml");
    let settings = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n  - {{job_name: rowtwin, static_configs: [{{targets: ['{target}']}}]}}\n",
        rules.display()
    );
    std::fs::write(folder.path().join("prometheus.yml"), settings).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = std::fs::File::create(folder.path().join("prometheus.log")).unwrap();
    let server = Server(
        Command::new(programs().join("prometheus"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=numbers"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    // how many series an expression has, and the value of the first
    let ask = async |expression: &str| -> (usize, Option<String>) {
        let address = format!("http://127.0.0.1:{port}/api/v1/query");
        let request = reqwest::Client::new().get(address).query(&[("query", expression)]);
        let Ok(answer) = request.send().await else { return (0, None) };
        let Ok(text) = answer.text().await else { return (0, None) };
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        assert_ne!(answer["status"], "error", "{expression}: {answer}");
        let found = answer["data"]["result"].as_array().map_or(0, Vec::len);
        (found, answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned))
    };
    let is = async |expression: &str, value: &str| ask(expression).await.1.as_deref() == Some(value);
    until("it is read", async || is("up{job=\"rowtwin\"}", "1").await).await;
    until("capture streams", async || is("rowtwin_slot_state{state=\"streaming\"}", "1").await).await;
    until("both bindings are there", async || ask("rowtwin_outbox_waiting").await.0 == 2).await;
    until("calls are counted", async || ask("rowtwin_calls_total").await.0 > 0).await;
    until("freshness is told", async || ask("rowtwin_freshness_seconds").await.0 == 2).await;

    // something of everything: a row sent, a record applied, a call that failed
    scene.crm().add_fault(fault("status:503@create"));
    scene.run("insert into sales.customer (name, number) values ('Ours', 'C1')").await;
    scene.crm().insert(CRM, json!({"name": "Theirs", "account_no": "C2"}));
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    let (dashboard, template, rules) = (dashboard(), template(), selectors());
    assert!(
        dashboard.len() > 20 && template.len() > 15 && rules.len() > 10,
        "{dashboard:?} {template:?} {rules:?}"
    );
    for expression in dashboard.iter().chain(&template).chain(&rules) {
        until(expression, async || ask(expression).await.0 > 0).await;
    }

    let firing = "ALERTS{alertstate=\"firing\"}";
    assert_eq!(ask(firing).await.0, 0, "a process that is well raises nothing");
    scene
        .run("update rowtwin_private.system set state = 'held', held_reason = 'a test' where name = 'erp'")
        .await;
    until("the alert fires", async || {
        is("count(ALERTS{alertname=\"RowtwinSystemHeld\", alertstate=\"firing\", system=\"erp\"})", "1").await
    })
    .await;
    drop(server);
    assert_eq!(process.stop(), Some(0));
}
