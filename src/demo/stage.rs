//! The stage: a private Postgres, a CRM and an ERP that we play ourselves, and the engine between them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, ClusterOptions, DataFolder};
use crate::config;
use crate::demo::tell::Teller;
use crate::engine::assemble::Given;
use crate::engine::run::Unwatched;
use crate::engine::{Engine, EngineError};
use crate::simulator::{Door, Kind, Options, Simulator, credentials};

/// The CRM's customers.
pub const ACCOUNT: &str = "AccountObj";
/// The ERP's customers.
pub const CUSTOMER: &str = "BD_Customer";
/// A field of the tenant's own: the order that a delivery notice belongs to.
pub const NOTICE_ORDER: &str = "F_RT_Order";
/// How many customers the CRM has at the beginning.
pub const CUSTOMERS: usize = 10_000;

const TABLE: &str = "
create schema sales;
create table sales.customer (
  id      bigint generated always as identity primary key,
  number  text unique,
  name    text not null,
  phone   text,
  address text,
  credit  numeric(12,2),
  crm_id  text,
  erp_id  text
);
create table sales.contact (
  id          bigint generated always as identity primary key,
  name        text not null,
  mobile      text,
  customer_id bigint references sales.customer,
  crm_id      text
);
create table sales.product (
  id      bigint generated always as identity primary key,
  number  text unique not null,
  name    text not null,
  price   numeric(12,2),
  crm_id  text,
  erp_id  text
);
create table sales.orders (
  id          bigint generated always as identity primary key,
  number      text unique,
  customer_id bigint not null references sales.customer,
  ordered_on  date,
  crm_id      text,
  erp_id      text
);
create table sales.order_line (
  order_id   bigint not null references sales.orders on delete cascade,
  id         bigint generated always as identity,
  product_id bigint not null references sales.product,
  quantity   numeric(12,4),
  price      numeric(12,2),
  primary key (order_id, id)
);
create table sales.delivery (
  id           bigint generated always as identity primary key,
  number       text unique,
  customer_id  bigint references sales.customer,
  order_id     bigint references sales.orders,
  delivered_on date,
  crm_id       text,
  erp_id       text
);
create table sales.delivery_line (
  delivery_id bigint not null references sales.delivery on delete cascade,
  id          bigint generated always as identity,
  product_id  bigint not null references sales.product,
  quantity    numeric(12,4),
  primary key (delivery_id, id)
);";

const CONFIGURATION: &str = "
systems:
  crm:
    connector: fxiaoke
    settings:
      base_url: {env: DEMO_CRM}
      app_id: {env: DEMO_CRM_APP}
      app_secret: {env: DEMO_CRM_SECRET}
      permanent_code: {env: DEMO_CRM_CODE}
      user_id: {env: DEMO_CRM_USER}
    limits: {per_second: 2000, in_flight: 8}
  erp:
    connector: kingdee-k3cloud
    settings:
      base_url: {env: DEMO_ERP}
      account_id: {env: DEMO_ERP_ACCOUNT}
      user: {env: DEMO_ERP_USER}
      app_id: {env: DEMO_ERP_APP}
      app_secret: {env: DEMO_ERP_SECRET}
    limits: {per_second: 2000, in_flight: 4}
tables:
  sales.customer:
    bindings:
      - system: crm
        object: AccountObj
        match: [account_no]
        id_column: crm_id
        poll: 500ms
        fields:
          number: account_no
          name: name
          phone: {field: tel, check: {pattern: '^1\\d{10}$'}}
          address: address
      - system: erp
        object: BD_Customer
        match: [FNumber]
        id_column: erp_id
        poll: 500ms
        fields:
          number: FNumber
          name: FName
          phone: FTEL
          address: FADDRESS
          credit: F_RT_Credit
  sales.contact:
    bindings:
      - system: crm
        object: ContactObj
        match: [name]
        id_column: crm_id
        poll: 500ms
        fields: {name: name, mobile: mobile1, customer_id: {field: account_id, refers_to: sales.customer}}
  sales.product:
    bindings:
      - system: crm
        object: ProductObj
        match: [product_code]
        id_column: crm_id
        poll: 500ms
        fields: {number: product_code, name: name, price: {field: price, codec: decimal_string}}
      - system: erp
        object: BD_MATERIAL
        match: [FNumber]
        id_column: erp_id
        poll: 500ms
        fields: {number: FNumber, name: FName}
  sales.orders:
    bindings:
      - system: crm
        object: SalesOrderObj
        match: [name]
        id_column: crm_id
        poll: 500ms
        fields:
          number: name
          customer_id: {field: account_id, refers_to: sales.customer}
          ordered_on: {field: order_time, codec: epoch_ms_shanghai_day}
        lines:
          SalesOrderProductObj:
            table: sales.order_line
            parent: [order_id]
            fields:
              product_id: {field: product_id, refers_to: sales.product}
              quantity: {field: quantity, codec: decimal_string}
              price: {field: price, codec: decimal_string}
      - system: erp
        object: SAL_SaleOrder
        match: [FBillNo]
        id_column: erp_id
        poll: 500ms
        lifecycle: {until: audited, reopen: true}
        fields:
          number: FBillNo
          customer_id: {field: FCustId.FNumber, refers_to: sales.customer}
          ordered_on: {field: FDate, codec: {date: {format: '%Y-%m-%dT%H:%M:%S', zone: Asia/Shanghai}}}
        lines:
          FSaleOrderEntry:
            table: sales.order_line
            parent: [order_id]
            fields:
              product_id: {field: FMaterialId.FNumber, refers_to: sales.product}
              quantity: FQty
              price: FTaxPrice
  sales.delivery:
    bindings:
      - system: erp
        object: SAL_DELIVERYNOTICE
        match: [FBillNo]
        id_column: erp_id
        poll: 500ms
        fields:
          number: FBillNo
          customer_id: {field: FCustomerID.FNumber, refers_to: sales.customer}
          order_id: {field: F_RT_Order, refers_to: sales.orders, refers_by: reference}
          delivered_on: {field: FDate, codec: {date: {format: '%Y-%m-%dT%H:%M:%S', zone: Asia/Shanghai}}}
        lines:
          FEntity:
            table: sales.delivery_line
            parent: [delivery_id]
            fields:
              product_id: {field: FMaterialID.FNumber, refers_to: sales.product}
              quantity: FQty
      - system: crm
        object: DeliveryNoteObj
        match: [name]
        id_column: crm_id
        poll: 500ms
        fields:
          number: name
          order_id: {field: sales_order_id, refers_to: sales.orders}
          delivered_on: {field: delivery_date, codec: epoch_ms_shanghai_day}
        lines:
          DeliveryNoteProductObj:
            table: sales.delivery_line
            parent: [delivery_id]
            fields:
              product_id: {field: product_id, refers_to: sales.product}
              quantity: {field: delivery_num, codec: decimal_string}
";

/// Everything the story happens on.
pub struct Stage {
    cluster: Option<Cluster>,
    crm: Simulator,
    erp: Simulator,
    sql: tokio_postgres::Client,
    stop: CancellationToken,
    engine: JoinHandle<Result<(), EngineError>>,
}

impl Stage {
    /// Sets everything up and starts the engine.
    ///
    /// # Errors
    /// When Postgres or a simulator cannot be started.
    pub async fn set(teller: &mut Teller) -> anyhow::Result<Self> {
        teller.line("rowtwin demo: a CRM (纷享销客 Fxiaoke), a table in Postgres and an ERP (金蝶云星空 Kingdee K3Cloud), kept the same.");
        teller.line("The database is a private one and both systems are simulated on this machine; nothing leaves it, nothing stays.\n");
        let options =
            ClusterOptions { data: DataFolder::Temporary, durable: false, ..ClusterOptions::default() };
        // the server ends with the thread that started it, so that thread must live as long as we do
        let cluster = Cluster::start(options, &mut |line| eprintln!("{line}"))
            .context("starting the private Postgres")?;
        let simulator = || Options { calls_per_20s: Some(10_000_000), ..Options::default() };
        let crm = Simulator::start(Kind::Fxiaoke, simulator()).await.context("starting the simulated CRM")?;
        let erp = Simulator::start(Kind::KingdeeK3cloud, simulator())
            .await
            .context("starting the simulated ERP")?;
        crm.door().insert_many(ACCOUNT, (1..=CUSTOMERS).map(customer));
        let admin = connect(&cluster.url("postgres")).await?;
        admin.batch_execute("create database mirror").await?;
        let url = cluster.url("mirror");
        let sql = connect(&url).await?;
        sql.batch_execute(TABLE).await?;
        let (file, _) = config::parse("the demo's rowtwin.yaml", CONFIGURATION)?;
        let given = Given {
            database_url: Some(url),
            connectors: None,
            environment: environment(&crm, &erp),
            ..Given::default()
        };
        let mut engine = Engine::assemble(file, &given).await?;
        engine.init().await?;
        teller.line(&format!(
            "Postgres {} on port {}, CRM {}, ERP {}",
            cluster.version(),
            cluster.port(),
            crm.base_url(),
            erp.base_url()
        ));
        let stop = CancellationToken::new();
        let engine = tokio::spawn(Arc::new(engine).run(stop.clone(), Arc::new(Unwatched)));
        Ok(Self { cluster: Some(cluster), crm, erp, sql, stop, engine })
    }

    pub fn crm(&self) -> Door {
        self.crm.door()
    }

    pub fn erp(&self) -> Door {
        self.erp.door()
    }

    /// Runs statements as an analyst would.
    ///
    /// # Errors
    /// What the database says.
    pub async fn run(&self, sql: &str) -> anyhow::Result<()> {
        self.sql.batch_execute(sql).await.with_context(|| sql.to_owned())
    }

    /// Reads rows as an analyst would.
    ///
    /// # Errors
    /// What the database says.
    pub async fn rows(&self, sql: &str) -> anyhow::Result<Vec<Value>> {
        let rows = self
            .sql
            .query(&format!("select to_jsonb(x) from ({sql}) x"), &[])
            .await
            .with_context(|| sql.to_owned())?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Reads one number.
    ///
    /// # Errors
    /// What the database says.
    pub async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        Ok(self.sql.query_one(sql, &[]).await.with_context(|| sql.to_owned())?.get(0))
    }

    /// Waits until a condition holds; false after `patience`.
    ///
    /// # Errors
    /// When the condition itself cannot be read.
    pub async fn until(
        &self,
        patience: Duration,
        mut holds: impl AsyncFnMut(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let began = Instant::now();
        loop {
            if holds(self).await? {
                return Ok(true);
            }
            if began.elapsed() > patience || self.engine.is_finished() {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits until nothing is on its way any more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn at_rest(&self) -> anyhow::Result<bool> {
        self.until(Duration::from_secs(60), async |stage| {
            let waiting = stage
                .number(
                    "select (select count(*) from rowtwin.outbox where state in ('ready', 'sending'))
                          + (select count(*) from rowtwin.inbox where state = 'ready')
                          + (select (pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed) > 100000)::int from rowtwin.slot)",
                )
                .await?;
            Ok(waiting == 0)
        })
        .await
    }

    /// What stands where, for a story that went wrong.
    pub async fn states(&self) -> String {
        let mut text = String::new();
        for view in ["rowtwin.status", "rowtwin.systems", "rowtwin.slot"] {
            match self.rows(&format!("select * from {view}")).await {
                Ok(rows) => text += &format!("\n{view}: {}", Value::Array(rows)),
                Err(error) => text += &format!("\n{view}: {error}"),
            }
        }
        text
    }

    /// Stops everything; nothing is left running.
    pub async fn strike(mut self) {
        self.stop.cancel();
        if let Ok(Err(error)) = self.engine.await {
            eprintln!("the engine ended with an error: {error}");
        }
        self.crm.stop().await;
        self.erp.stop().await;
        drop(self.sql);
        if let Some(mut cluster) = self.cluster.take() {
            cluster.stop();
        }
    }
}

async fn connect(url: &str) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn environment(crm: &Simulator, erp: &Simulator) -> HashMap<String, String> {
    use credentials::{fxiaoke, kingdee};
    [
        ("DEMO_CRM", crm.base_url()),
        ("DEMO_CRM_APP", fxiaoke::APP_ID.to_owned()),
        ("DEMO_CRM_SECRET", fxiaoke::APP_SECRET.to_owned()),
        ("DEMO_CRM_CODE", fxiaoke::PERMANENT_CODE.to_owned()),
        ("DEMO_CRM_USER", fxiaoke::USER_ID.to_owned()),
        ("DEMO_ERP", erp.base_url()),
        ("DEMO_ERP_ACCOUNT", kingdee::ACCT_ID.to_owned()),
        ("DEMO_ERP_USER", kingdee::USER.to_owned()),
        ("DEMO_ERP_APP", kingdee::APP_ID.to_owned()),
        ("DEMO_ERP_SECRET", kingdee::APP_SECRET.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// A customer of the CRM by its place in the list.
fn customer(place: usize) -> Value {
    const NAMES: [&str; 8] =
        ["上海启明", "北京远山", "深圳蓝海", "杭州云栖", "Acme", "Globex", "成都锦里", "Initech"];
    let name = NAMES.get(place % NAMES.len()).copied().unwrap_or("Acme");
    json!({
        "account_no": format!("C{place:05}"),
        "name": format!("{name} {place}"),
        "tel": format!("138{place:08}"),
        "address": format!("{place} Century Avenue"),
    })
}
