//! A shop: mirror tables bound to a Vendure, the engine over both, and a person who works in Vendure.

use std::ops::Deref;

use rowtwin::simulator::{Kind, Options, Simulator};
use serde_json::{Value, json};

use crate::person::Person;
use crate::server::{PASSWORD, USER, Vendure};
use crate::support::{Scene, assemble, connect, database, execute, secret};

const TABLES: &str = "
    create schema shop;
    create table shop.customer (
      id bigint generated always as identity primary key,
      first_name text default 'A', last_name text, email text, phone text, number text, grade text, credit numeric,
      seen timestamptz, vendure_id text);
    create table shop.product (
      id bigint generated always as identity primary key,
      name text, slug text, description text, enabled boolean, number text, vendure_id text);
    create table shop.variant (
      id bigint generated always as identity primary key,
      name text, sku text, price bigint, product text, vendure_id text);";

/// The fields that the table of customers is bound to.
pub const FIELDS: &str = "first_name: firstName, last_name: lastName, email: emailAddress, phone: phoneNumber, number: customFields.number, \
    grade: customFields.grade, credit: customFields.credit, \
    seen: {field: customFields.seen, codec: {date: {format: '%Y-%m-%dT%H:%M:%S%.3fZ', zone: UTC}}}";

pub struct Shop {
    pub vendure: Vendure,
    pub person: Person,
    scene: Scene,
}

impl Deref for Shop {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Shop {
    pub async fn start() -> Self {
        let vendure = Vendure::start().await;
        let address = vendure.base_url();
        Self::of_customers(vendure, &address, "", "[customFields.number]", FIELDS).await
    }

    /// A shop whose customers are bound by these match fields and fields; its engine reaches it at this address.
    pub async fn of_customers(
        vendure: Vendure,
        address: &str,
        settings: &str,
        by: &str,
        fields: &str,
    ) -> Self {
        let binding = format!(
            "shop.customer:\n    bindings:\n      - {{system: shop, object: customers, match: {by}, fields: {{{fields}}}"
        );
        Self::bound(vendure, address, settings, &binding).await.settled().await
    }

    /// A shop whose products are bound by their number.
    pub async fn of_products() -> Self {
        let vendure = Vendure::start().await;
        let address = vendure.base_url();
        let binding = "shop.product:\n    bindings:\n      - {system: shop, object: products, match: [customFields.number], \
             fields: {name: name, slug: slug, description: description, enabled: enabled, number: customFields.number}";
        Self::bound(vendure, &address, "", binding).await.settled().await
    }

    /// A shop that sells: its variants are bound by their number.
    pub async fn of_variants() -> Self {
        let vendure = Vendure::start().await;
        let person = Person::sign_in(&vendure).await;
        let zone = "mutation { zone: createZone(input: {name: \"World\"}) { id } }";
        let zone = person.ask(zone, json!({})).await["zone"]["id"].clone();
        let channel = "mutation($z: ID!) { updateChannel(input: {id: \"1\", defaultTaxZoneId: $z, defaultShippingZoneId: $z}) { __typename } }";
        person.ask(channel, json!({"z": zone})).await;
        let address = vendure.base_url();
        let binding = "shop.variant:\n    bindings:\n      - {system: shop, object: variants, match: [sku], \
             fields: {name: name, sku: sku, price: price, product: productId}";
        Self::bound(vendure, &address, "", binding).await.settled().await
    }

    async fn settled(self) -> Self {
        self.settle().await;
        self
    }

    /// A shop that has done nothing yet; `binding` is the text of a table without its end.
    pub async fn bound(vendure: Vendure, address: &str, settings: &str, binding: &str) -> Self {
        let url = database().await;
        execute(&url, TABLES).await;
        let text = format!(
            "systems:\n  shop:\n    connector: {}/examples/vendure.yaml\n    settings: {{base_url: '{address}', user: {USER}, password: {{file: '{}'}}{settings}}}\ntables:\n  {binding}, id_column: vendure_id, poll: 1d, sweep: 1d, doubt_window: 2s}}\n",
            env!("CARGO_MANIFEST_DIR"),
            secret(PASSWORD),
        );
        let engine = assemble(&url, &text).await;
        let sql = connect(&url).await;
        // a scene has two simulated systems; here none is named in the configuration
        let idle = async || Simulator::start(Kind::Odoo, Options::default()).await.unwrap();
        let scene = Scene { url, sql, crm: idle().await, erp: idle().await, engine, text };
        let person = Person::sign_in(&vendure).await;
        Self { vendure, person, scene }
    }

    /// All rows of the table of customers, without what only one side knows.
    pub async fn customers(&self) -> Vec<Value> {
        self.rows("select last_name, email, phone, number, grade, credit from shop.customer order by number")
            .await
    }

    /// Calls made so far that write to Vendure.
    pub async fn writes(&self) -> i64 {
        self.number("select coalesce(sum(writes), 0)::bigint from rowtwin.usage").await
    }

    /// What both sides hold must be the same, record by row.
    pub async fn assert_twins(&self) {
        let rows = self
            .rows("select vendure_id, first_name, last_name, email, phone, number, grade, credit from shop.customer order by number")
            .await;
        let customers = self.person.customers().await;
        assert_eq!(rows.len(), customers.len(), "{rows:?} {customers:?} {}", self.story().await);
        for (row, one) in rows.iter().zip(&customers) {
            let custom = &one["customFields"];
            for (column, value) in [
                ("vendure_id", &one["id"]),
                ("first_name", &one["firstName"]),
                ("last_name", &one["lastName"]),
                ("email", &one["emailAddress"]),
                ("phone", &one["phoneNumber"]),
                ("number", &custom["number"]),
                ("grade", &custom["grade"]),
            ] {
                assert_eq!(&row[column], value, "{row} {one} {}", self.story().await);
            }
            assert_eq!(row["credit"].as_f64(), custom["credit"].as_f64(), "{row} {one}");
        }
    }
}
