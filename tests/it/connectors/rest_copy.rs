//! The starting point `rest`, copied and changed as its marks say, against a REST server that is not ours: json-server
//! from the package registry of npm.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rowtwin::simulator::Kind;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::scene_of;

/// Starting takes about a second on an idle machine.
const LONGEST_START: Duration = Duration::from_secs(60);

struct Shop {
    base_url: String,
    process: Child,
    http: reqwest::Client,
    _folder: TempDir,
}

impl Shop {
    /// A server that holds these customers.
    async fn start(customers: Vec<Value>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("db.json");
        fs::write(&database, json!({"customers": customers}).to_string()).unwrap();
        let node = tokio::task::spawn_blocking(|| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/node.sh");
            let ran = Command::new(script).args(["json-server", "json-server@0.17.4"]).output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            String::from_utf8(ran.stdout).unwrap().trim().to_owned()
        });
        let node = node.await.unwrap();
        let program = Path::new(&node).with_file_name("node_modules/json-server/lib/cli/bin.js");
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        // Were this process killed, its end of the pipe would close and the server go too.
        let process = Command::new("sh")
            .args(["-c", "\"$@\" & server=$!; read -r _; kill $server; wait $server", "sh", &node])
            .arg(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--quiet"])
            .arg(database)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let base_url = format!("http://127.0.0.1:{port}");
        let shop = Self { base_url, process, http: reqwest::Client::new(), _folder: folder };
        let began = Instant::now();
        while shop.http.get(format!("{}/customers", shop.base_url)).send().await.is_err() {
            assert!(began.elapsed() < LONGEST_START, "json-server does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        shop
    }

    async fn ask(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let request = self.http.request(method, format!("{}/{path}", self.base_url));
        let answer = request.json(&body).send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    async fn customers(&self, filter: &str) -> Vec<Value> {
        let found = self.ask(reqwest::Method::GET, &format!("customers{filter}"), json!({})).await;
        found.as_array().unwrap().clone()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The copy that the program makes, with what json-server does otherwise put at the marks.
fn copied(folder: &Path) -> String {
    let output = folder.join("shop.yaml");
    let path = output.display().to_string();
    let ran = Command::new(env!("CARGO_BIN_EXE_rowtwin"))
        .args(["connector", "new", "--like", "rest", "--name", "shop", "--output", &path])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("shop.test.yaml are written") && said.contains("marked with CHANGE"), "{said}");
    let mut text = fs::read_to_string(&output).unwrap();
    for (from, to) in [
        ("def items: .body.items;", "def items: .body;"),
        (
            "{limit: .limit, after: .page, updated_since: (.since | if . then moment else null end)}",
            "{_limit: .limit, _sort: \"id\", id_gte: (.page | if . then . + 1 else null end)}",
        ),
    ] {
        assert!(text.contains(from), "the starting point has no {from}");
        text = text.replace(from, to);
    }
    fs::write(&output, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_starting_point_keeps_a_rest_service_and_a_table_the_same() {
    let there = (1..=230).map(|n| json!({"id": n, "code": format!("C{n}"), "name": format!("名 {n}")}));
    let shop = Shop::start(there.collect()).await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "database: {{}}\nsystems:\n  shop:\n    connector: {}\n    limits: {{per_second: 1000}}\n    settings: {{base_url: '{}'}}\ntables:\n  sales.customer:\n    bindings:\n      - {{system: shop, object: customers, match: [code], id_column: shop_id, poll: 1d, sweep: 1d, fields: {{code: code, name: name, phone: phone, credit: credit}}}}\n",
        copied(folder.path()),
        shop.base_url
    );
    let tables = "create schema sales; create table sales.customer (id bigint generated always as identity primary key, code text, name text, phone text, credit numeric, shop_id text)";
    let scene = scene_of(Kind::Fxiaoke, tables, |_| text).await;
    scene.run("insert into sales.customer (code, name) values ('C7', '名 7')").await;
    scene.settle().await;
    assert_eq!(
        scene.number("select count(distinct shop_id) from sales.customer").await,
        230,
        "three pages, one twin"
    );

    scene
        .run("insert into sales.customer (code, name, phone, credit) values ('N1', 'Ä\"c&me', '138', 12.50)")
        .await;
    scene.settle().await;
    let made = shop.customers("?code=N1").await;
    assert_eq!(made.len(), 1, "{}", scene.story().await);
    assert_eq!((&made[0]["name"], made[0]["credit"].to_string().as_str()), (&json!("Ä\"c&me"), "12.5"));
    let id = made[0]["id"].to_string();
    assert_eq!(
        scene.row("select shop_id from sales.customer where code = 'N1'").await,
        json!({"shop_id": id})
    );

    scene.run("update sales.customer set phone = null where code = 'N1'").await;
    shop.ask(reqwest::Method::PATCH, &format!("customers/{id}"), json!({"name": "Acme"})).await;
    shop.ask(reqwest::Method::POST, "customers", json!({"code": "N2", "name": "Bolt"})).await;
    scene.poll().await;
    let now = &shop.customers("?code=N1").await[0];
    assert_eq!((&now["phone"], &now["name"]), (&Value::Null, &json!("Acme")));
    assert_eq!(scene.row("select name from sales.customer where code = 'N1'").await, json!({"name": "Acme"}));
    assert_eq!(scene.row("select name from sales.customer where code = 'N2'").await, json!({"name": "Bolt"}));

    scene.run("delete from sales.customer where code = 'N1'").await;
    shop.ask(reqwest::Method::DELETE, "customers/7", json!({})).await;
    scene.sweep().await;
    assert_eq!(shop.customers("?code=N1").await, Vec::<Value>::new());
    assert_eq!(scene.number("select count(*) from sales.customer where code in ('C7', 'N1')").await, 0);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 230);
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}
