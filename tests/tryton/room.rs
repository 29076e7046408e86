//! A room: mirror tables bound to a Tryton, the engine over both, and a person who works in Tryton.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rowtwin::capture::catch_up::catch_up;
use rowtwin::deliver::Deliverer;
use rowtwin::engine::Engine;
use rowtwin::pull::Puller;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::client::Person;
use crate::company::{COMPANY, OUR_LOGIN};
use crate::go_between::GoBetween;
use crate::server::{DATABASE, PASSWORD, Tryton};
use crate::support::{assemble, connect, database, execute, secret};

const PARTY: &str = "
    create schema crm;
    create table crm.party (
      id bigint generated always as identity primary key,
      name text, code text, active boolean, lang integer, tryton_id text);";

/// Longer than any turn takes on a busy machine, so that hanging shows.
const LONGEST: Duration = Duration::from_secs(60);

pub struct Room {
    pub tryton: Tryton,
    pub person: Person,
    pub engine: Arc<Engine>,
    pub sql: tokio_postgres::Client,
}

impl Room {
    pub async fn start() -> Self {
        Self::with(&["poll: 1d", "sweep: 1d"]).await
    }

    /// A room whose binding says this too; without fields among it, the usual ones are bound.
    pub async fn with(more: &[&str]) -> Self {
        let tryton = Tryton::start().await;
        let address = tryton.base_url();
        Self::over(tryton, PARTY, &text(&address, more)).await
    }

    /// A room over a company that sells: with these tables, and bound as the text under `tables:` says. Its system is
    /// `erp`, and it signs in as the user that was made for it.
    pub async fn selling(schema: &str, tables: &str) -> Self {
        let tryton = Tryton::selling().await;
        let address = tryton.base_url();
        let system = system(&address, OUR_LOGIN, &format!(", company: {COMPANY}"));
        Self::over(tryton, schema, &format!("{system}tables:\n{tables}")).await
    }

    /// A room whose engine reaches its Tryton through a go-between.
    pub async fn behind_a_go_between() -> (Self, GoBetween) {
        let tryton = Tryton::start().await;
        let between = GoBetween::start(tryton.base_url()).await;
        let text = text(&between.base_url, &["poll: 1d", "sweep: 1d"]);
        let room = Self::over(tryton, PARTY, &text).await;
        (room, between)
    }

    async fn over(tryton: Tryton, schema: &str, text: &str) -> Self {
        let url = database().await;
        execute(&url, schema).await;
        let engine = assemble(&url, text).await;
        let person = Person::sign_in(&tryton).await;
        let sql = connect(&url).await;
        let room = Self { tryton, person, engine: Arc::new(engine), sql };
        room.settle().await;
        room
    }

    /// What the table's changes mean, and what is to be sent, until nothing is left to do.
    pub async fn settle(&self) {
        let began = Instant::now();
        loop {
            let worked = self.capture().await + self.deliver().await + self.pull().await;
            if worked == 0 && self.is_quiet().await {
                return;
            }
            assert!(began.elapsed() < LONGEST, "the room does not come to rest: {}", self.story().await);
        }
    }

    /// Takes the table's changes in, and sends nothing.
    pub async fn capture(&self) -> usize {
        let engine = &self.engine;
        catch_up(&engine.store, &engine.slot, &engine.publication, engine.watched()).await.unwrap()
    }

    /// Sends what is due, binding by binding, and reads nothing.
    pub async fn deliver(&self) -> usize {
        let mut looked = 0;
        for bound in &self.engine.bounds {
            let deliverer = Deliverer {
                store: self.engine.store.clone(),
                bound: Arc::clone(bound),
                stop: CancellationToken::new(),
            };
            loop {
                let turned = deliverer.turn().await.unwrap();
                looked += turned.looked;
                if turned.rest.is_some() {
                    break;
                }
            }
        }
        looked
    }

    /// Reads what is due, binding by binding, and sends nothing.
    pub async fn pull(&self) -> usize {
        let mut seen = 0;
        for bound in &self.engine.bounds {
            let puller =
                Puller { store: self.engine.store.clone(), bound: Arc::clone(bound), lease: Uuid::new_v4() };
            loop {
                let turned = puller.turn().await.unwrap();
                seen += turned.seen;
                if turned.rest.is_some() {
                    puller.release().await.unwrap();
                    break;
                }
            }
        }
        seen
    }

    /// Looks for changes in Tryton now, and lets everything come to rest.
    pub async fn poll(&self) {
        self.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
        self.settle().await;
    }

    /// Looks for deletes in Tryton now, and lets everything come to rest.
    pub async fn sweep(&self) {
        self.run("update rowtwin_private.binding set next_sweep_at = '-infinity'").await;
        self.settle().await;
    }

    async fn is_quiet(&self) -> bool {
        self.number(
            "select (select count(*) from rowtwin_private.outbox where state in ('ready', 'sending'))
                  + (select count(*) from rowtwin_private.inbox where state = 'ready')
                  + (select count(*) from rowtwin_private.binding where backfilled_at is null or first_push_at is null)",
        )
        .await
            == 0
    }

    pub async fn run(&self, sql: &str) {
        self.sql.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub async fn number(&self, sql: &str) -> i64 {
        self.sql.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        let wrapped = format!("select to_jsonb(x)::text from ({sql}) x");
        let rows = self.sql.query(&wrapped, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
    }

    /// Name, code, language and activity of all rows.
    pub async fn table(&self) -> Vec<Value> {
        self.rows("select name, code, lang, active from crm.party order by id").await
    }

    /// The calls made so far that write to Tryton.
    pub async fn writes(&self) -> i64 {
        self.number("select coalesce(sum(writes), 0)::bigint from rowtwin.usage").await
    }

    /// What both sides hold must be the same, record by row.
    pub async fn assert_twins(&self) {
        let rows = self
            .rows("select tryton_id::bigint as id, name, code, lang, active::int as active from crm.party order by 1")
            .await;
        let parties = self.person.parties().await;
        assert_eq!(rows.len(), parties.len(), "{rows:?} {parties:?} {}", self.story().await);
        for (row, party) in rows.iter().zip(&parties) {
            for field in ["id", "name", "code", "lang", "active"] {
                assert_eq!(row[field], party[field], "{row} {party} {}", self.story().await);
            }
        }
    }

    /// What stands where, for a failed test's message.
    pub async fn story(&self) -> String {
        let mut story = String::new();
        for view in ["status", "systems", "outbox", "inbox", "links", "conflicts"] {
            story += &format!("\n{view}: {:#?}", self.rows(&format!("select * from rowtwin.{view}")).await);
        }
        story
    }
}

fn text(address: &str, more: &[&str]) -> String {
    let usual = "fields: {name: name, code: code, active: active, lang: lang}";
    let fields = if more.iter().any(|line| line.starts_with("fields:")) { "" } else { usual };
    let more: String = more.iter().chain([&fields]).map(|line| format!("        {line}\n")).collect();
    format!(
        "{}tables:
  crm.party:
    bindings:
      - system: erp
        object: party.party
        match: [code]
        id_column: tryton_id
        doubt_window: 1s
{more}",
        system(address, "admin", ""),
    )
}

/// The `systems:` part of a configuration; `more` are further settings.
fn system(address: &str, login: &str, more: &str) -> String {
    format!(
        "systems:
  erp:
    connector: tryton
    settings: {{base_url: '{address}', database: {DATABASE}, user: {login}, password: {{file: '{}'}}{more}}}
",
        secret(PASSWORD),
    )
}
