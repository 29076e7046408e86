//! `rowtwin completions`: what a shell needs to complete our commands.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::terminal::say;

/// Prints the completions of a shell, as in `rowtwin completions bash > /etc/bash_completion.d/rowtwin`
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Prints the completions of the command line `C`.
pub fn completions<C: CommandFactory>(args: &CompletionsArgs) {
    say(text::<C>(args.shell).trim_end());
}

fn text<C: CommandFactory>(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut C::command(), "rowtwin", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::{Parser, ValueEnum};

    use super::*;

    #[derive(Parser)]
    enum Command {
        Completions(CompletionsArgs),
        Simulate(crate::cli::simulate::SimulateArgs),
    }

    #[test]
    fn every_shell_learns_the_commands_and_their_options() {
        for shell in Shell::value_variants() {
            let text = text::<Command>(*shell);
            assert!(text.contains("simulate") && text.contains("calls-per-20s"), "{shell}");
        }
        assert!(matches!(Command::parse_from(["rowtwin", "completions", "zsh"]), Command::Completions(_)));
    }
}
