//! The Postgres of the simulation: one server for each thread of seeds, a template with everything migrated, and a copy
//! of it for each seed.

use rowtwin::cluster::{Cluster, ClusterOptions, DataFolder};
use rowtwin::engine::assemble::open_pool;
use tokio_postgres::{Client, NoTls};

/// What the simulation adds: a clock that can be moved, and a history of all rows with who wrote them.
const OURS: &str = "
    create schema sim;
    create table sim.clock (ahead interval not null);
    insert into sim.clock values ('0');
    create or replace function rowtwin_private.clock() returns timestamptz language sql volatile
      set search_path = pg_catalog as $$ select clock_timestamp() + (select ahead from sim.clock) $$;
    create table sim.history (n bigint generated always as identity primary key, tbl text, op text, who text, before jsonb, after jsonb);
    create function sim.note() returns trigger language plpgsql as $$
      begin
        insert into sim.history (tbl, op, who, before, after)
        values (tg_table_name, tg_op, current_setting('application_name'), to_jsonb(old), to_jsonb(new));
        return null;
      end $$;";

/// Nobody waits for ever for a row that somebody else holds.
const AS_PERSON: &str =
    "application_name=person&options=-c%20lock_timeout%3D50ms%20-c%20statement_timeout%3D60s";

/// A server, and the template in it.
pub struct Server {
    cluster: Cluster,
    made: usize,
}

impl Server {
    pub async fn start() -> Self {
        let options =
            ClusterOptions { data: DataFolder::Temporary, durable: false, ..ClusterOptions::default() };
        let cluster = Cluster::start(options, &mut |line| eprintln!("{line}")).expect("a private Postgres");
        let server = Self { cluster, made: 0 };
        let admin = connect(&server.cluster.url("postgres")).await.unwrap();
        admin.batch_execute("create database ready").await.unwrap();
        let url = server.cluster.url("ready");
        let (store, _) = open_pool(&url).unwrap();
        store.migrate().await.unwrap();
        store.client().await.unwrap().batch_execute("select rowtwin_private.keep_journal(30)").await.unwrap();
        drop(store);
        let own = connect(&url).await.unwrap();
        own.batch_execute(OURS).await.unwrap();
        drop(own);
        admin.batch_execute("alter database ready with allow_connections false").await.unwrap();
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'ready'";
        admin.batch_execute(end).await.unwrap();
        server
    }

    /// A database for a seed.
    pub async fn database(&mut self) -> String {
        self.made += 1;
        let name = format!("seed_{}", self.made);
        let admin = connect(&self.cluster.url("postgres")).await.unwrap();
        // sessions of the template that were just ended may still be there for a moment
        for _ in 0..200 {
            match admin.batch_execute(&format!("create database {name} template ready")).await {
                Ok(()) => break,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
        self.cluster.url(&name)
    }

    /// Removes the database that was made last, with its slots.
    pub async fn remove(&mut self) {
        let name = format!("seed_{}", self.made);
        let Ok(admin) = connect(&self.cluster.url("postgres")).await else { return };
        let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'");
        let drop_slots = format!(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = '{name}' and not active"
        );
        for _ in 0..200 {
            let _ = admin.batch_execute(&end).await;
            let _ = admin.batch_execute(&drop_slots).await;
            if admin.batch_execute(&format!("drop database if exists {name}")).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// The server crashes, and starts again.
    pub fn crash(&mut self) {
        self.cluster.kill();
        self.cluster.restart().expect("Postgres starts again");
    }
}

/// A plain connection, as a person's psql.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&format!("{url}?{AS_PERSON}"), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
