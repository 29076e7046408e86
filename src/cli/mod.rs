//! The command line: reads what a person typed, calls the engine, prints tables and plain words.
//!
//! Exit codes: 0 done, 1 something in operation failed, 2 the command line or the configuration is wrong.

mod add;
mod backfill;
mod check;
mod completions;
pub mod config;
mod connector;
mod core_dump;
mod demo;
mod dev;
mod forecast;
mod init;
mod log;
mod nagios;
mod plan;
mod progress;
mod run;
mod schema;
mod signals;
mod simulate;
mod slot;
mod status;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{ConfigError, RowtwinFile};
use crate::engine::assemble::Given;
use crate::engine::{Engine, EngineError};
use crate::serve::otlp::{Settings, Spans};
use crate::store::StoreError;

/// Keeps the records of CRM and ERP systems as ordinary Postgres tables, and keeps both sides the same.
#[derive(Parser)]
#[command(name = "rowtwin", version, propagate_version = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(clap::Args)]
struct Common {
    /// The configuration.
    #[arg(long, global = true, default_value = "rowtwin.yaml", env = "ROWTWIN_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The mirror database; overrules database.url of the configuration.
    #[arg(long, global = true, env = "ROWTWIN_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// A folder whose manifests overrule the built-in connectors.
    #[arg(long, global = true, env = "ROWTWIN_CONNECTORS", value_name = "DIR")]
    connectors: Option<PathBuf>,
    /// How log lines are written to stderr.
    #[arg(long, global = true, default_value = "text", env = "ROWTWIN_LOG_FORMAT", value_name = "FORM")]
    log: log::Form,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the whole product on a private database, a simulated CRM and a simulated ERP.
    Demo(demo::DemoArgs),
    /// Prepares the mirror database: schemas, publication, slot. Says what it did; safe to run twice.
    Init(init::InitArgs),
    /// Checks database, tables, sign-in and fields; each finding with its cure.
    Check(check::CheckArgs),
    /// Shows what the next run would send. Sends nothing.
    Plan(plan::PlanArgs),
    /// Keeps both sides the same, until it is stopped.
    Run(run::RunArgs),
    /// One line per binding and per system.
    Status(status::StatusArgs),
    /// Reads all records of a table's systems again, with a progress bar.
    Backfill(backfill::BackfillArgs),
    /// Shows, makes, advances or drops the replication slot, and says what to do after a restore.
    Slot(slot::SlotArgs),
    /// Compares rows and records on both sides, shows what differs, and mends it if asked.
    Verify(verify::VerifyArgs),
    /// Starts the private database alone, for tables of your own.
    Dev(dev::DevArgs),
    /// Plays a remote system on this machine.
    Simulate(simulate::SimulateArgs),
    /// Makes a table for a remote's object and adds its binding to the configuration, after a yes.
    Add(add::AddArgs),
    /// Prints the table and the binding that fit a remote's object.
    Schema(schema::SchemaArgs),
    /// Lists, shows and tests connectors.
    Connector(connector::ConnectorArgs),
    /// The configuration's schema, and a check of a file without any database.
    Config(config::ConfigArgs),
    /// Prints what a shell needs to complete our commands.
    Completions(completions::CompletionsArgs),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // a plugin that was called wrongly does not know how the service is: 2 would mean that it is down
        Err(error) if error.use_stderr() && std::env::args().any(|argument| argument == "--nagios") => {
            let text = error.to_string();
            return nagios::unknown(text.lines().next().unwrap_or("the command line is wrong"));
        }
        Err(error) => error.exit(),
    };
    core_dump::forbid();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::from(1);
        }
    };
    let runs = matches!(arguments.command, Command::Run(_));
    let spans = if runs { collected(runtime.handle()) } else { None };
    log::start(arguments.common.log, runs, spans.as_ref());
    let ended = runtime.block_on(dispatch(arguments));
    if let Some(spans) = spans {
        spans.stop();
    }
    match ended {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

/// Spans for a collector, where the environment names one. A wrong setting keeps nothing from running.
fn collected(runtime: &tokio::runtime::Handle) -> Option<Spans> {
    match Settings::from_environment() {
        Ok(settings) => {
            let started = Spans::start(settings.as_ref()?, runtime.clone());
            started.unwrap_or_else(|failure| {
                eprintln!("warning: no spans are exported: {failure}");
                None
            })
        }
        Err(wrong) => {
            eprintln!("warning: nothing is exported to OpenTelemetry: {wrong}");
            None
        }
    }
}

async fn dispatch(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { common, command } = arguments;
    match command {
        Command::Demo(args) => demo::demo(args).await,
        Command::Init(args) => init::init(&common, args).await,
        Command::Check(args) => check::check(&common, args).await,
        Command::Plan(args) => plan::plan(&common, args).await,
        Command::Run(args) => run::run(&common, args).await,
        Command::Status(args) => status::status(&common, args).await,
        Command::Backfill(args) => backfill::backfill(&common, args).await,
        Command::Slot(args) => slot::slot(&common, args).await,
        Command::Verify(args) => verify::verify(&common, args).await,
        Command::Dev(args) => dev::dev(args).await.map(|()| ExitCode::SUCCESS),
        Command::Simulate(args) => simulate::simulate(args).await.map(|()| ExitCode::SUCCESS),
        Command::Add(args) => add::add(&common, args).await,
        Command::Schema(args) => schema::schema(&common, args).await,
        Command::Connector(args) => connector::connector(args),
        Command::Config(args) => config::config(args),
        Command::Completions(args) => {
            completions::completions::<Arguments>(&args);
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Common {
    fn load(&self) -> Result<RowtwinFile, ConfigError> {
        crate::config::load(&self.config).map(|(file, _)| file)
    }

    fn given(&self) -> Given {
        Given {
            database_url: self.database_url.clone(),
            connectors: self.connectors.clone(),
            ..Given::default()
        }
    }

    /// The engine, assembled but not registered.
    async fn assemble(&self) -> anyhow::Result<Engine> {
        Ok(Engine::assemble(self.load()?, &self.given()).await?)
    }

    /// The same for a command that only looks, and must not hold a system that others run.
    async fn look(&self) -> anyhow::Result<Engine> {
        let given = Given { only_looks: true, ..self.given() };
        Ok(Engine::assemble(self.load()?, &given).await?)
    }

    /// The engine on a prepared database, with the bindings registered.
    async fn open(&self) -> anyhow::Result<Engine> {
        self.prepared(self.assemble().await?).await
    }

    /// The same for a command that only looks at what a run would do.
    async fn open_to_look(&self) -> anyhow::Result<Engine> {
        self.prepared(self.look().await?).await
    }

    async fn prepared(&self, mut engine: Engine) -> anyhow::Result<Engine> {
        engine.require_prepared().await?;
        engine.register().await?;
        Ok(engine)
    }
}

/// Prints an error with its causes and its cure, and gives the exit code.
fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(config) = error.downcast_ref::<ConfigError>() {
        eprintln!("{}", config::render(config));
        return ExitCode::from(2);
    }
    let code = match error.downcast_ref::<EngineError>() {
        Some(engine) if engine.is_configuration() => 2,
        _ => 1,
    };
    let text = error.to_string();
    for line in text.lines() {
        eprintln!("error: {line}");
    }
    for cause in error.chain().skip(1).map(ToString::to_string).filter(|cause| !text.contains(cause.as_str()))
    {
        eprintln!("caused by: {cause}");
    }
    if let Some(hint) = hint(error) {
        eprintln!("\nhint: {hint}");
    }
    ExitCode::from(code)
}

fn hint(error: &anyhow::Error) -> Option<String> {
    use crate::capture::worker::CaptureError;
    if let Some(store) = error.downcast_ref::<StoreError>() {
        return store_hint(store);
    }
    match error.downcast_ref::<EngineError>()? {
        EngineError::Capture(CaptureError::Stream(stream)) => Some(stream.hint()),
        EngineError::Store(store) | EngineError::Capture(CaptureError::Store(store)) => store_hint(store),
        _ => None,
    }
}

fn store_hint(error: &StoreError) -> Option<String> {
    let cure = match error {
        StoreError::Connect(_) => {
            "check that the database runs, and the address in database.url or ROWTWIN_DATABASE_URL"
        }
        StoreError::Statement(statement) => match statement.as_db_error()?.code().code() {
            "28P01" => "the password is wrong; correct it in database.url or ROWTWIN_DATABASE_URL",
            "28000" => "the role may not sign in from here; look at pg_hba.conf",
            "3D000" => "create the database, or correct its name in the address",
            "3F000" | "42P01" => "the database is not prepared; run `rowtwin init`",
            "42501" => "grant the role what it lacks; `rowtwin check` lists it",
            _ => return None,
        },
        _ => return None,
    };
    Some(cure.to_owned())
}
