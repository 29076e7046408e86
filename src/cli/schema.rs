//! `rowtwin schema pull`: the table and the binding that fit a remote's object.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::cli::Common;
use crate::engine::assemble::open_client;
use crate::mapping::draft::Draft;
use crate::terminal::say;

#[derive(clap::Args)]
pub struct SchemaArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Prints a mirror table (SQL) and the binding that fits it (YAML) for an object of a system. Changes nothing.
    Pull(PullArgs),
}

#[derive(clap::Args)]
struct PullArgs {
    /// A system of the configuration.
    system: String,
    /// The object's name there: AccountObj, BD_Customer, party.party.
    object: String,
    /// The table's name with its schema; one is made up when left out.
    #[arg(long, value_name = "SCHEMA.TABLE")]
    table: Option<String>,
    /// Only this part.
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Sql,
    Yaml,
}

/// Signs in to a system, asks for an object's fields, and makes a draft of them.
pub(super) async fn draft_of(
    common: &Common,
    system: &str,
    object: &str,
    table: Option<&str>,
) -> anyhow::Result<Draft> {
    let client = open_client(&common.load()?, &common.given(), system).await?;
    let abilities = client.abilities(object)?;
    if !abilities.can_describe {
        return Err(anyhow!("the connector of {system} cannot describe objects; write the table by hand"));
    }
    let failed = |reason: &str| anyhow!("{object} of {system} cannot be described: {reason}");
    client.sign_in().await.map_err(|outcome| failed(outcome.reason()))?;
    let fields = client.describe(object).await.map_err(|outcome| failed(outcome.reason()))?;
    Ok(Draft::new(system, object, table, &fields, client.columns(), &abilities))
}

pub async fn schema(common: &Common, args: SchemaArgs) -> anyhow::Result<ExitCode> {
    let Action::Pull(args) = args.action;
    let draft = draft_of(common, &args.system, &args.object, args.table.as_deref()).await?;
    if args.only != Some(Part::Yaml) {
        say(draft.sql().trim_end());
    }
    if args.only.is_none() {
        say("\n-- rowtwin.yaml: shorten it to what you need, then `rowtwin init`\n");
    }
    if args.only != Some(Part::Sql) {
        say(draft.yaml().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
