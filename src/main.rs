//! The `rowtwin` command: see `rowtwin --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rowtwin::cli::main()
}
