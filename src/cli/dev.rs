//! `rowtwin dev`: a private Postgres to mirror into, for whoever has none at hand.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_postgres::NoTls;

use crate::cli::signals::StopSignal;
use crate::cluster::{Cluster, ClusterError, ClusterOptions, DataFolder};
use crate::terminal::say;

/// The database that is made for the mirror.
const DATABASE: &str = "mirror";

/// Tried first, so that the URL is the same every day.
const USUAL_PORT: u16 = 54_329;

/// Runs a private Postgres with a database `mirror` on 127.0.0.1; its rows are kept
#[derive(Debug, clap::Args)]
pub struct DevArgs {
    /// The folder of its data; below XDG_DATA_HOME (for root: /var/lib/rowtwin) when left out
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The port on 127.0.0.1; 54329, or any free one where that is taken, when left out
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
}

/// Runs the private Postgres until Ctrl-C or SIGTERM.
///
/// # Errors
/// Postgres cannot be found, made or started, or ended by itself: each says what to do.
pub async fn dev(args: DevArgs) -> anyhow::Result<()> {
    let folder = match args.data {
        Some(folder) => folder,
        None => usual_folder()?,
    };
    let port = args.port.or_else(|| is_free(USUAL_PORT).then_some(USUAL_PORT));
    let options = ClusterOptions {
        data: DataFolder::Kept(folder.clone()),
        port,
        durable: true,
        ..ClusterOptions::default()
    };
    // Asked for before the start: Ctrl-C while Postgres starts must stop it too.
    let mut stop = StopSignal::listen()?;
    let start = || Cluster::start(options, &mut |line| eprintln!("{line}"));
    let mut cluster = match tokio::task::spawn_blocking(start).await.context("the start was cut short")? {
        Ok(cluster) => cluster,
        Err(ClusterError::AlreadyRunning { port, pid, .. }) if port != 0 => {
            make_database(&url(port, "postgres")).await?;
            say(format!("already running on port {port} (process {pid}): use it as it is"));
            say(welcome(&url(port, DATABASE)));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    make_database(&cluster.url("postgres")).await?;
    let version = cluster.version();
    say(format!("Postgres {version} runs on port {}; its data are in {}", cluster.port(), folder.display()));
    say(welcome(&cluster.url(DATABASE)));
    say("Ctrl-C stops it; the rows are kept");
    let ended = tokio::select! {
        () = stop.asked() => false,
        () = end_of(&mut cluster) => true,
    };
    if ended {
        bail!("Postgres ended by itself: see {}, then start it again", cluster.log_path().display());
    }
    tokio::task::spawn_blocking(move || cluster.stop()).await.context("the stop was cut short")?;
    say("stopped");
    Ok(())
}

/// Returns when the server runs no more.
async fn end_of(cluster: &mut Cluster) {
    let mut look = tokio::time::interval(Duration::from_secs(1));
    while cluster.is_running() {
        look.tick().await;
    }
}

/// Makes the mirror's database where it is missing.
async fn make_database(url: &str) -> anyhow::Result<()> {
    let doing = || format!("could not make the database {DATABASE} at {url}");
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.with_context(doing)?;
    let connection = tokio::spawn(connection);
    let there = client
        .query_opt("select 1 from pg_catalog.pg_database where datname = $1", &[&DATABASE])
        .await
        .with_context(doing)?;
    if there.is_none() {
        client.batch_execute(&format!("create database {DATABASE}")).await.with_context(doing)?;
    }
    drop(client);
    // It ends with its client; how is of no interest.
    let _ = connection.await;
    Ok(())
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{database}")
}

fn welcome(url: &str) -> String {
    format!(
        "\n  psql {url}\n\n\
         next, in another terminal:\n\n  \
         export ROWTWIN_DATABASE_URL={url}\n  \
         rowtwin simulate fxiaoke    # a CRM to try it with; it prints the lines for rowtwin.yaml\n  \
         rowtwin check               # once rowtwin.yaml names a system and a table\n  \
         rowtwin run\n"
    )
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Root's Postgres runs as another user, who cannot get into root's home.
fn usual_folder() -> anyhow::Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/rowtwin/dev"));
    }
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder_below(variable("XDG_DATA_HOME").as_deref(), variable("HOME").as_deref())
        .context("there is no HOME to keep the data in: name a folder with --data")
}

fn folder_below(data_home: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
    let base = match (data_home, home) {
        (Some(data_home), _) => data_home.to_owned(),
        (None, Some(home)) => home.join(".local/share"),
        (None, None) => return None,
    };
    Some(base.join("rowtwin/dev"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_environment() {
        let (data, home) = (Path::new("/srv/data"), Path::new("/srv/ann"));
        assert_eq!(folder_below(Some(data), Some(home)), Some("/srv/data/rowtwin/dev".into()));
        assert_eq!(folder_below(None, Some(home)), Some("/srv/ann/.local/share/rowtwin/dev".into()));
        assert_eq!(folder_below(None, None), None);
    }

    #[test]
    fn a_taken_port_is_seen() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_free(holder.local_addr().unwrap().port()));
    }

    #[tokio::test]
    async fn the_database_is_made_once() {
        let start = || Cluster::start(ClusterOptions::default(), &mut |line| eprintln!("{line}"));
        let cluster = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
        for _ in 0..2 {
            make_database(&cluster.url("postgres")).await.unwrap();
        }
        assert_eq!(cluster.url(DATABASE), url(cluster.port(), DATABASE));
        let (client, connection) = tokio_postgres::connect(&cluster.url(DATABASE), NoTls).await.unwrap();
        tokio::spawn(connection);
        let row = client.query_one("select current_database()::text", &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), DATABASE);
        drop(client);
        tokio::task::spawn_blocking(move || drop(cluster)).await.unwrap();
    }
}
