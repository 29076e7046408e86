//! Everything that the run happens on: a server, two systems, two processes of rowtwin, and lines between them.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use rowtwin::simulator::credentials::{fxiaoke, kingdee};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::go_between::GoBetween;
use crate::orders;
use crate::process::Kept;
use crate::remote::{CRM, ERP, Remote};
use crate::server::Server;

const TABLES: &str = "
create schema sales;
create table sales.customer (
  id bigint generated always as identity primary key,
  number text unique not null, name text, phone text, address text, crm_id text, erp_id text
);
create table sales.contact (
  id bigint generated always as identity primary key,
  name text unique not null, mobile text, customer_id bigint references sales.customer on delete set null, crm_id text
);
-- what people wrote, in the transaction in which they wrote it: a commit whose answer was lost is known by it
create schema chaos;
create table chaos.said (seq bigint not null, entity text not null, number text not null, field text not null, was text, value text);
";

const BINDING: &str =
    "poll: 1s, sweep: 8s, doubt_window: 6s, brake: {turns: 1000000, within: 1m}, guard: {deletes: off}";

pub struct Stage {
    pub folder: tempfile::TempDir,
    pub server: Arc<Server>,
    pub line: GoBetween,
    pub crm: Remote,
    pub erp: Remote,
    pub rowtwins: Vec<Kept>,
    looking: CancellationToken,
}

impl Stage {
    pub async fn set() -> anyhow::Result<Arc<Self>> {
        let folder = tempfile::Builder::new().prefix("rowtwin-chaos-").tempdir()?;
        // the server's user must get to its data
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let place = folder.path().to_owned();
        let server = Arc::new(tokio::task::spawn_blocking(move || Server::start(&place)).await??);
        connect(&server.url("postgres")).await?.batch_execute("create database mirror").await?;
        let sql = connect(&server.url("mirror")).await?;
        sql.batch_execute(TABLES).await?;
        sql.batch_execute(orders::TABLES).await?;
        let line = GoBetween::to(server.port).await?;
        let crm = Remote::start("crm", &CRM, folder.path()).await?;
        let erp = Remote::start("erp", &ERP, folder.path()).await?;
        std::fs::write(folder.path().join("rowtwin.yaml"), configuration(&crm, &erp))?;
        let environment = vec![
            (
                "ROWTWIN_DATABASE_URL".to_owned(),
                format!("postgres://postgres@127.0.0.1:{}/mirror", line.port),
            ),
            ("CRM_SECRET".to_owned(), fxiaoke::APP_SECRET.to_owned()),
            ("CRM_CODE".to_owned(), fxiaoke::PERMANENT_CODE.to_owned()),
            ("ERP_SECRET".to_owned(), kingdee::APP_SECRET.to_owned()),
            ("ROWTWIN_LOG".to_owned(), "rowtwin=info".to_owned()),
        ];
        let prepared = Command::new(env!("CARGO_BIN_EXE_rowtwin"))
            .arg("init")
            .current_dir(folder.path())
            .envs(environment.iter().cloned())
            .output()?;
        if !prepared.status.success() {
            bail!("rowtwin init: {}", String::from_utf8_lossy(&prepared.stderr));
        }
        let rowtwins = ["rowtwin-1", "rowtwin-2"]
            .map(|name| Kept::new(name, folder.path().to_owned(), &["run"], environment.clone()))
            .into();
        let looking = CancellationToken::new();
        let stage = Arc::new(Self { folder, server, line, crm, erp, rowtwins, looking });
        stage.look_after();
        Ok(stage)
    }

    /// Starts what has ended, as a service manager does, until the end.
    fn look_after(self: &Arc<Self>) {
        let (stage, looking) = (Arc::clone(self), self.looking.clone());
        tokio::spawn(async move {
            while !looking.is_cancelled() {
                for rowtwin in &stage.rowtwins {
                    if let Err(error) = rowtwin.look_after() {
                        eprintln!("{error:#}");
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let (server, looking) = (Arc::clone(&self.server), self.looking.clone());
        tokio::spawn(async move {
            while !looking.is_cancelled() {
                server.look_after().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }

    pub fn remotes(&self) -> [&Remote; 2] {
        [&self.crm, &self.erp]
    }

    /// Rows of a query as JSON.
    pub async fn rows(&self, sql: &str) -> anyhow::Result<Vec<Value>> {
        let client = connect(&self.server.url("mirror")).await?;
        let rows = client.query(&format!("select to_jsonb(x)::text from ({sql}) x"), &[]).await?;
        rows.iter().map(|row| Ok(serde_json::from_str(row.get(0))?)).collect()
    }

    /// Ends every process. The logs stay until the folder goes.
    pub async fn strike(&self) {
        self.looking.cancel();
        // the small disk goes with the server
        let _ = std::fs::copy(self.server.log(), self.folder.path().join("postgres.log"));
        self.rowtwins.iter().for_each(Kept::retire);
        self.remotes().iter().for_each(|remote| remote.process.retire());
        let server = Arc::clone(&self.server);
        let _ = tokio::task::spawn_blocking(move || server.end()).await;
    }
}

/// A connection past the go-between, as an analyst's.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn configuration(crm: &Remote, erp: &Remote) -> String {
    let fields = |remote: &Remote| {
        let pairs: Vec<String> =
            remote.words.fields.iter().map(|(column, field)| format!("{column}: {field}")).collect();
        pairs.join(", ")
    };
    format!(
        "database: {{slot_guard: {{warn: 64MB, budget: 128MB}}}}
systems:
  crm:
    connector: fxiaoke
    limits: {{per_second: 2000, in_flight: 4}}
    settings: {{base_url: '{}', app_id: {}, app_secret: {{env: CRM_SECRET}}, permanent_code: {{env: CRM_CODE}}, user_id: '{}'}}
  erp:
    connector: kingdee-k3cloud
    limits: {{per_second: 2000, in_flight: 4}}
    settings: {{base_url: '{}', account_id: {}, user: {}, app_id: {}, app_secret: {{env: ERP_SECRET}}}}
tables:
  sales.customer:
    bindings:
      - {{system: crm, object: AccountObj, match: [account_no], id_column: crm_id, {BINDING}, fields: {{{}}}}}
      - {{system: erp, object: BD_Customer, match: [FNumber], id_column: erp_id, {BINDING}, fields: {{{}}}}}
  sales.contact:
    bindings:
      - {{system: crm, object: ContactObj, match: [name], id_column: crm_id, {BINDING}, fields: {{name: name, mobile: mobile1, customer_id: {{field: account_id, refers_to: sales.customer}}}}}}
{}",
        crm.base_url,
        fxiaoke::APP_ID,
        fxiaoke::USER_ID,
        erp.base_url,
        kingdee::ACCT_ID,
        kingdee::USER,
        kingdee::APP_ID,
        fields(crm),
        fields(erp),
        orders::bindings(BINDING),
    )
}
