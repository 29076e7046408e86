//! A room: mirror tables bound to a CAP server, the engine over both, and a person who works in the system.

use rowtwin::simulator::{Kind, Options, Simulator};

use crate::go_between::GoBetween;
use crate::person::Person;
use crate::server::Cap;
use crate::support::{Scene, assemble, connect, database, execute, secret};

pub struct Room {
    pub scene: Scene,
    pub cap: Cap,
    pub person: Person,
    pub between: GoBetween,
}

/// The `systems:` part of a configuration; `more` are settings, each with a comma before it.
pub fn systems(address: &str, protocol: &str, more: &str) -> String {
    format!(
        "database: {{}}
systems:
  erp:
    connector: sap-odata
    limits: {{per_second: 1000, in_flight: 4}}
    settings: {{base_url: '{address}', protocol: {protocol}, user: ROWTWIN, password: {{file: '{}'}}{more}}}
",
        secret("correct-horse")
    )
}

impl Room {
    /// With these tables, bound as the text under `tables:` says. The engine reaches the system through the go-between.
    pub async fn start(schema: &str, protocol: &str, more: &str, tables: &str) -> Self {
        let cap = Cap::start().await;
        let between = GoBetween::start(cap.base_url()).await;
        let url = database().await;
        execute(&url, schema).await;
        // a scene has two simulated systems; these are not named in the configuration
        let unused = || async { Simulator::start(Kind::KingdeeK3cloud, Options::default()).await.unwrap() };
        let (crm, erp) = (unused().await, unused().await);
        let text = format!("{}tables:\n{tables}", systems(&between.base_url, protocol, more));
        let engine = assemble(&url, &text).await;
        let sql = connect(&url).await;
        let person = Person::of(&cap.base_url());
        let scene = Scene { url, sql, crm, erp, engine, text };
        scene.settle().await;
        Self { scene, cap, person, between }
    }

    /// The calls made so far that write to the system.
    pub async fn writes(&self) -> i64 {
        self.scene.number("select coalesce(sum(writes), 0)::bigint from rowtwin.usage").await
    }
}
