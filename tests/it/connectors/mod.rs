//! What every connector must do through a running engine: the same bodies for each, which is told by a [`Remote`].

mod body;
mod dynamics365;
mod hubspot;
mod in_house_soap;
mod jiandaoyun;
mod mailchimp;
mod netsuite;
mod odoo;
mod orders;
mod rest_copy;
mod room;
mod rotation;
mod salesforce;
mod sap;
mod shopify;
mod soap_server;
mod webhooks;
mod wechat;
mod yonyou;
mod zoho;

use rowtwin::simulator::{Kind, Options, Simulator};
use serde_json::{Value, json};

use crate::support::{Scene, assemble, connect, database, execute};

/// A system as the bodies need to know it: its object, and which fields stand for the columns of the test's table.
pub struct Remote {
    pub kind: Kind,
    /// The settings of the connector, as one YAML mapping without its brackets.
    pub settings: fn(&Simulator) -> String,
    pub object: &'static str,
    /// The field that holds a record's id, as the door shows it.
    pub id: &'static str,
    pub name: &'static str,
    /// The field by which twins are recognised.
    pub number: &'static str,
    pub phone: &'static str,
    /// A decimal field, as the mapping writes it.
    pub credit: &'static str,
    /// A field that holds a moment, as the mapping writes it.
    pub seen: &'static str,
    /// A value for a field of each kind: a truth, a date, a moment, a number.
    pub more: fn() -> Value,
    /// A phone that the system refuses.
    pub refused_phone: &'static str,
    /// The most records in one page of a list.
    pub page: usize,
    /// How many seconds ago a record must have changed for a poll not to reach back to it.
    pub long_ago: i64,
    /// Whether a poll tells of a deleted record; else a sweep does.
    pub polls_deletes: bool,
}

const TABLE: &str = "
    create schema sales;
    create table sales.customer (
      id bigint generated always as identity primary key,
      name text, number text, phone text, credit numeric, seen timestamptz, crm_id text);";

impl Remote {
    /// A scene with this system alone, bound to the table by its number.
    pub async fn scene(&self) -> Scene {
        self.scene_with("", &format!("[{}]", self.number)).await
    }

    /// The same with more settings (each with a comma before it) and other match fields.
    pub async fn scene_with(&self, settings: &str, by: &str) -> Scene {
        let text = |crm: &Simulator| {
            format!(
                "database: {{}}\nsystems:\n  crm:\n    connector: {}\n    limits: {{per_second: 1000, in_flight: 4}}\n    settings: {{{}{settings}}}\ntables:\n  sales.customer:\n    bindings:\n      - {{system: crm, object: {}, match: {by}, id_column: crm_id, poll: 1d, sweep: 1d, doubt_window: 2s, fields: {{name: {}, number: {number}, phone: {}, credit: {}, seen: {}}}}}\n",
                self.kind,
                (self.settings)(crm),
                self.object,
                self.name,
                self.phone,
                self.credit,
                self.seen,
                number = self.number_mapping(),
            )
        };
        scene_of(self.kind, TABLE, text).await
    }

    /// A number as the system keeps it: where the key is an e-mail address, it is a part of one.
    pub fn keyed(&self, number: &str) -> String {
        if self.number == "email_address" { format!("{number}@example.com") } else { number.to_owned() }
    }

    /// The mapping of the number, with the same in mind.
    fn number_mapping(&self) -> String {
        if self.number != "email_address" {
            return self.number.to_owned();
        }
        let (push, pull) = (
            r#"if .number then .number + "@example.com" else null end"#,
            r#".email_address | rtrimstr("@example.com")"#,
        );
        format!("{{field: email_address, push: '{push}', pull: '{pull}'}}")
    }

    /// Fields that the system wants with every change, whatever was changed.
    pub fn sent_each_time(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Yonyou => &["code", "name"],
            _ => &[],
        }
    }

    /// A record as a person would make it.
    pub fn record(&self, name: &str, number: &str) -> Value {
        let mut record = json!({});
        record[self.name] = Value::from(name);
        record[self.number] = Value::from(self.keyed(number));
        record
    }

    /// The record with this number.
    pub fn find(&self, scene: &Scene, number: &str) -> rowtwin::model::record::Record {
        let (records, key) = (scene.crm().records(self.object), Value::from(self.keyed(number)));
        let found = records.into_iter().find(|record| record.get(self.number) == Some(&key));
        found.unwrap_or_else(|| panic!("there is no record {number}: {:?}", scene.crm().calls()))
    }

    /// Its id.
    pub fn id_of(&self, scene: &Scene, number: &str) -> String {
        let record = self.find(scene, number);
        match &record[self.id] {
            Value::String(id) => id.clone(),
            other => other.to_string(),
        }
    }
}

/// A scene with one system, called `crm`, and tables of the test's own.
pub async fn scene_of(kind: Kind, tables: &str, text: impl FnOnce(&Simulator) -> String) -> Scene {
    let url = database().await;
    execute(&url, tables).await;
    let options = || Options { calls_per_20s: Some(1_000_000), ..Options::default() };
    let crm = Simulator::start(kind, options()).await.unwrap();
    // a scene has two systems; this one is not named in the configuration
    let erp = Simulator::start(Kind::KingdeeK3cloud, options()).await.unwrap();
    let text = text(&crm);
    let engine = assemble(&url, &text).await;
    let sql = connect(&url).await;
    Scene { url, sql, crm, erp, engine, text }
}

/// The bodies as the tests of one system.
macro_rules! behaves {
    ($remote:expr => $($body:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $body() {
            crate::connectors::body::$body(&$remote).await;
        })*
    };
}
pub(crate) use behaves;
