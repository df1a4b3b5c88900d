//! `spiq completions`: prints a shell's completion script.

use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell, generate};
use spiq::Result;

use super::screen;

const EXAMPLES: &str = "\
Examples:
  spiq completions bash > ~/.local/share/bash-completion/completions/spiq
  spiq completions zsh > ~/.zfunc/_spiq            with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
  spiq completions fish > ~/.config/fish/completions/spiq.fish";

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Kind,
}

/// The supported shells.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
}

/// Runs the command. `program` is the whole command line.
///
/// # Errors
/// Of kind `File` when writing fails.
pub fn run(arguments: &Arguments, mut program: Command) -> Result<()> {
    let shell = match arguments.shell {
        Kind::Bash => Shell::Bash,
        Kind::Zsh => Shell::Zsh,
        Kind::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut program, "spiq", &mut script);
    screen::print(&String::from_utf8_lossy(&script))
}
