//! A real Zabbix: it imports our template, reads a running process, finds its bindings and systems, and raises a problem.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rowtwin::cluster::Cluster;
use serde_json::{Value, json};

use super::process::{Process, command, folder};
use crate::support::running::{own_cluster, until, within};
use crate::support::{Scene, connect, execute};

/// How long a server that has just been started may take to find everything out.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);

/// What PHP's command line does not bring along by itself.
const EXTENSIONS: [&str; 14] = [
    "bcmath",
    "ctype",
    "dom",
    "fileinfo",
    "gd",
    "gettext",
    "iconv",
    "mbstring",
    "pgsql",
    "simplexml",
    "sockets",
    "xml",
    "xmlreader",
    "xmlwriter",
];

struct Zabbix {
    programs: PathBuf,
    folder: tempfile::TempDir,
    cluster: Cluster,
    children: Vec<Child>,
    web: String,
    session: Option<String>,
    version: String,
}

impl Drop for Zabbix {
    fn drop(&mut self) {
        for child in &mut self.children {
            // its server has children of its own, which end with it
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_child(child),
                rustix::process::Signal::TERM,
            );
            let _ = child.wait();
        }
    }
}

fn free_port(below: u16) -> u16 {
    (0..1000)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
        .map(|port| 10_000 + port % (below - 10_000))
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

impl Zabbix {
    /// Its database is filled and its web pages answer; its server does not run yet.
    async fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = Command::new(root.join("scripts/zabbix.sh")).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        let programs = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
        let cluster = own_cluster(&[]);
        execute(&cluster.url("postgres"), "create database zabbix").await;
        let sql = connect(&cluster.url("zabbix")).await;
        for part in ["schema", "images", "data"] {
            let path = programs.join(format!("usr/share/zabbix-server-pgsql/{part}.sql.gz"));
            let text = Command::new("gzip").arg("-dc").arg(path).output().unwrap().stdout;
            sql.batch_execute(std::str::from_utf8(&text).unwrap()).await.unwrap();
        }
        let port = free_port(32_000);
        let mut zabbix = Self {
            programs,
            folder: tempfile::tempdir().unwrap(),
            cluster,
            children: Vec::new(),
            web: format!("http://127.0.0.1:{port}/api_jsonrpc.php"),
            session: None,
            version: String::new(),
        };
        zabbix.serve_pages(port);
        until("its pages answer", async || reqwest::get(&zabbix.web).await.is_ok()).await;
        zabbix.version = zabbix.call("apiinfo.version", json!({})).await.as_str().unwrap().to_owned();
        let session = zabbix.call("user.login", json!({"username": "Admin", "password": "zabbix"})).await;
        zabbix.session = Some(session.as_str().unwrap().to_owned());
        zabbix
    }

    fn address(&self) -> tokio_postgres::Config {
        self.cluster.url("zabbix").parse().unwrap()
    }

    /// Host, port, user and password of its database.
    fn database(&self) -> [String; 4] {
        let address = self.address();
        let host = address.get_hosts().first().map(|host| match host {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        });
        let password = address.get_password().map(|text| String::from_utf8_lossy(text).into_owned());
        [
            host.unwrap(),
            address.get_ports()[0].to_string(),
            address.get_user().unwrap().to_owned(),
            password.unwrap_or_default(),
        ]
    }

    /// One of its programs, with the libraries that came along.
    fn program(&self, path: &Path) -> Command {
        let libraries = self.programs.join("usr/lib");
        let libraries = std::fs::read_dir(&libraries).unwrap().map(|entry| entry.unwrap().path());
        let libraries: Vec<String> =
            libraries.filter(|path| path.is_dir()).map(|path| path.display().to_string()).collect();
        let mut command = Command::new(path);
        command
            .env("LD_LIBRARY_PATH", libraries.join(":"))
            .env("ZABBIX_CONF", self.folder.path().join("zabbix.conf.php"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn serve_pages(&mut self, port: u16) {
        let [host, database_port, user, password] = self.database();
        let settings = format!(
            "<?php\n$DB=['TYPE'=>'POSTGRESQL','SERVER'=>'{host}','PORT'=>'{database_port}','DATABASE'=>'zabbix','USER'=>'{user}','PASSWORD'=>'{password}',\
             'SCHEMA'=>'','ENCRYPTION'=>false,'KEY_FILE'=>'','CERT_FILE'=>'','CA_FILE'=>'','VERIFY_HOST'=>false,'CIPHER_LIST'=>'',\
             'VAULT'=>'','VAULT_URL'=>'','VAULT_DB_PATH'=>'','VAULT_TOKEN'=>'','DOUBLE_IEEE754'=>true];\n\
             $ZBX_SERVER_NAME='';$IMAGE_FORMAT_DEFAULT=IMAGE_FORMAT_PNG;\n"
        );
        std::fs::write(self.folder.path().join("zabbix.conf.php"), settings).unwrap();
        let bin = self.programs.join("usr/bin");
        let fetched = std::fs::read_dir(bin).unwrap().map(|entry| entry.unwrap().path());
        let named =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("php8"));
        let php = fetched.into_iter().find(named).unwrap_or_else(|| PathBuf::from("php"));
        let mut command = self.program(&php);
        let modules = self.programs.join("usr/lib/php");
        let modules = std::fs::read_dir(modules).into_iter().flatten().map(|entry| entry.unwrap().path());
        if let Some(modules) = modules.into_iter().find(|path| path.join("pgsql.so").exists()) {
            command.arg("-n").arg("-d").arg(format!("extension_dir={}", modules.display()));
            for extension in EXTENSIONS {
                command.arg("-d").arg(format!("extension={extension}"));
            }
        }
        command.args(["-S", &format!("127.0.0.1:{port}"), "-t"]).arg(self.programs.join("usr/share/zabbix"));
        self.children.push(command.spawn().unwrap());
    }

    /// Starts what reads and judges numbers.
    fn serve(&mut self) {
        let [host, port, user, password] = self.database();
        let folder = self.folder.path().display().to_string();
        let programs = self.programs.display();
        let settings = format!(
            "ListenIP=127.0.0.1\nListenPort={}\nDBHost={host}\nDBPort={port}\nDBName=zabbix\nDBUser={user}\nDBPassword={password}\n\
             LogFile={folder}/server.log\nPidFile={folder}/server.pid\nSocketDir={folder}\nAllowRoot=1\n\
             AllowUnsupportedDBVersions=1\nStartPollers=1\nStartPreprocessors=1\nStartDiscoverers=0\nStartTrappers=1\n\
             CacheUpdateFrequency=1\nFpingLocation={programs}/usr/bin/fping\n",
            free_port(32_000)
        );
        std::fs::write(self.folder.path().join("server.conf"), settings).unwrap();
        let mut command = self.program(&self.programs.join("usr/sbin/zabbix_server"));
        command.args(["-f", "-c"]).arg(self.folder.path().join("server.conf"));
        self.children.push(command.spawn().unwrap());
    }

    async fn call(&self, method: &str, parameters: Value) -> Value {
        let mut request = json!({"jsonrpc": "2.0", "method": method, "params": parameters, "id": 1});
        if let Some(session) = &self.session {
            request["auth"] = json!(session);
        }
        let request = reqwest::Client::new()
            .post(&self.web)
            .header("content-type", "application/json-rpc")
            .body(request.to_string());
        let text = request.send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method}: {text}"));
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The numbers of our host: those that it has, by their keys, and what is said of those that it cannot have.
    async fn numbers(&self) -> (Vec<(String, String)>, Vec<String>) {
        let wanted =
            json!({"output": ["key_", "lastvalue", "lastclock", "state", "error"], "host": "mirror"});
        let items = self.call("item.get", wanted).await;
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let (mut known, mut wrong) = (Vec::new(), Vec::new());
        for item in items.as_array().unwrap() {
            if text(item, "state") != "0" {
                wrong.push(format!("{}: {}", text(item, "key_"), text(item, "error")));
            } else if text(item, "lastclock") != "0" {
                known.push((text(item, "key_"), text(item, "lastvalue")));
            }
        }
        (known, wrong)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zabbix_imports_the_template_finds_what_is_there_and_raises_a_problem() {
    let mut zabbix = Zabbix::start().await;
    let template =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/zabbix/rowtwin.yaml"))
            .unwrap();
    // as it is, but for the wait between two readings
    assert!(template.contains("delay: 30s"));
    let template = template.replace("delay: 30s", "delay: 1s");
    let both = json!({"createMissing": true, "updateExisting": true});
    let mut rules = json!({"templates": both, "items": both, "triggers": both, "discoveryRules": both, "graphs": both,
                           "valueMaps": both});
    // groups of templates are a thing of their own since 6.2
    let groups = if zabbix.version.starts_with("6.0") { "groups" } else { "template_groups" };
    rules[groups] = json!({"createMissing": true});
    let import = json!({"format": "yaml", "source": template, "rules": rules});
    assert_eq!(zabbix.call("configuration.import", import).await, json!(true));

    let scene = Scene::start().await;
    scene.settle().await;
    let folder = folder(&scene, "serve: {port: 0}\n");
    let process = Process::start(command(&folder, &scene.url));
    let address = process.address();
    let ours = zabbix.call("template.get", json!({"filter": {"host": "rowtwin by HTTP"}})).await;
    let group = zabbix.call("hostgroup.get", json!({"limit": 1})).await;
    let host = json!({
        "host": "mirror",
        "groups": [{"groupid": group[0]["groupid"]}],
        "templates": [{"templateid": ours[0]["templateid"]}],
        "macros": [{"macro": "{$ROWTWIN.URL}", "value": format!("http://{address}/metrics")}]
    });
    zabbix.call("host.create", host).await;
    zabbix.serve();
    let wanted = [
        ("rowtwin.database.up", "1"),
        ("rowtwin.slot.streaming", "1"),
        ("rowtwin.outbox.waiting[sales.customer - crm.AccountObj]", "0"),
        ("rowtwin.outbox.held[sales.customer - erp.BD_Customer]", "0"),
        ("rowtwin.system.up[crm]", "1"),
        ("rowtwin.system.held[erp]", "0"),
    ];
    within(PATIENCE, "its numbers are ours", async || {
        let (known, _) = zabbix.numbers().await;
        wanted.iter().all(|(key, value)| known.iter().any(|one| one.0 == *key && one.1 == *value))
    })
    .await;
    // what has no number yet on a quiet day may be wrong for it: none was ever read up to its end
    let (_, wrong) = zabbix.numbers().await;
    let wrong: Vec<&String> =
        wrong.iter().filter(|one| !one.contains("freshness") && !one.contains("rows.captured")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let problems = async || zabbix.call("problem.get", json!({"output": ["name"]})).await.to_string();
    let quiet = problems().await;
    assert!(!quiet.contains("erp"), "{quiet}");
    scene
        .run("update rowtwin_private.system set state = 'held', held_reason = 'a test' where name = 'erp'")
        .await;
    within(PATIENCE, "the problem is raised", async || problems().await.contains("erp")).await;
    assert_eq!(process.stop(), Some(0));
}
