//! `rowtwin add`: from the name of a remote's object to a table and its binding, after one yes.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use crate::cli::Common;
use crate::cli::schema::draft_of;
use crate::config::insert::with_table;
use crate::engine::EngineError;
use crate::engine::assemble::{database_url, open_pool};
use crate::store::Store;
use crate::terminal::say;

#[derive(clap::Args)]
pub struct AddArgs {
    /// A system of the configuration.
    system: String,
    /// The object's name there: AccountObj, BD_Customer, party.party.
    object: String,
    /// The table's name with its schema; one is made up when left out.
    #[arg(long, value_name = "SCHEMA.TABLE")]
    table: Option<String>,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
}

pub async fn add(common: &Common, args: AddArgs) -> anyhow::Result<ExitCode> {
    let file = common.load()?;
    let bound = file.tables.iter().find(|(_, table)| {
        table.bindings.iter().any(|binding| binding.system == args.system && binding.object == args.object)
    });
    if let (Some((table, _)), None) = (bound, &args.table) {
        let said = format!("{} of {} is bound already, to {table}", args.object, args.system);
        return Err(wrong(format!("{said}; name another table with --table to bind it once more")));
    }
    let url = database_url(&file, &common.given())?;
    let draft = draft_of(common, &args.system, &args.object, args.table.as_deref()).await?;
    let name = draft.table_name();
    let path = &common.config;
    let old = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let new = with_table(&path.display().to_string(), &old, &draft.yaml())
        .map_err(|error| wrong(format!("{}: {error}", path.display())))?;

    say(format!("-- in the database\n\n{}", draft.sql().trim_end()));
    say(format!("\n# in {}\n\n{}\n", path.display(), draft.yaml().trim_end()));
    if !args.yes && !agreed(&format!("Make the table {name} and add its binding to {}?", path.display()))? {
        say("nothing was changed");
        return Ok(ExitCode::SUCCESS);
    }

    let (store, _) = open_pool(&url)?;
    store.make_table(&draft.sql()).await.with_context(|| {
        format!("the table {name} cannot be made, and nothing was changed; name another one with --table")
    })?;
    if let Err(error) = written_and_checked(common, path, &new).await {
        undone(&store, path, &old, &name).await?;
        return Err(error.context("the binding does not work as it is; table and file are as they were"));
    }
    say(format!("✓ table {name}"));
    say(format!("✓ binding in {}", path.display()));
    say(
        "\nNext: shorten both to what you need. `rowtwin init` prepares the database, `rowtwin run` fills the table.",
    );
    Ok(ExitCode::SUCCESS)
}

/// What a person wrote or typed is wrong: exit code 2.
fn wrong(message: String) -> anyhow::Error {
    EngineError::Configuration(vec![message]).into()
}

/// Asks a person. Where nobody can answer, the way without a question is named.
fn agreed(question: &str) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(wrong("nobody is there to be asked; say --yes to do it".to_owned()));
    }
    print!("{question} [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Writes the file, and looks at it as a start would.
async fn written_and_checked(common: &Common, path: &Path, text: &str) -> anyhow::Result<()> {
    write(path, text)?;
    common.look().await?;
    Ok(())
}

/// Puts everything back. A row that somebody has put into the table meanwhile keeps it.
async fn undone(store: &Store, path: &Path, text: &str, table: &str) -> anyhow::Result<()> {
    write(path, text)?;
    store
        .unmake_table(table)
        .await
        .with_context(|| format!("the table {table} was made and could not be removed"))
}

/// Writes beside the file and renames, with the rights that the file has: nobody ever reads half of it.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = real.file_name().ok_or_else(|| anyhow!("{} is no file", path.display()))?;
    let draft = real.with_file_name(format!(".{}.new", name.to_string_lossy()));
    let written = std::fs::write(&draft, text)
        .and_then(|()| std::fs::set_permissions(&draft, std::fs::metadata(&real)?.permissions()))
        .and_then(|()| std::fs::rename(&draft, &real));
    written.map_err(|error| {
        // what is left of a failed try is in nobody's way
        let _ = std::fs::remove_file(&draft);
        anyhow!("{} cannot be written: {error}", path.display())
    })
}
