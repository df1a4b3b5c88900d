//! Chores of the project: `cargo xtask COMMAND`.

mod accuracy;
mod device;
mod faults;
mod jupyter;
mod messages;
mod miri;
mod notebook;
mod notebooks;
mod project;
mod rooms;
mod soak;
mod tsan;

use std::process::ExitCode;

use project::Result;

const HELP: &str = "\
Chores of the project.

  cargo xtask jupyter                     install JupyterLab and the Rust kernel for the notebooks
  cargo xtask notebooks [NAME…]           run notebooks from first to last cell, fail where one shows an error
  cargo xtask device                      build target/device: what a machine with an accelerator needs to check and measure
  cargo xtask accuracy [SPLIT…]           train the networks of benches/ACCURACY.md (digits, tutorial, own, changed, unseen) and write it
  cargo xtask accuracy --page             write it from the runs that have ended
  cargo xtask faults [--long]             kill, signal, damage and fill up until something is lost: two minutes, or two hours with --long
  cargo xtask rooms                       print what each folder imports, fail where one imports what ARCHITECTURE.md bars
  cargo xtask soak [--steps N]            train for 100,000 steps and fail where memory, files, threads or mappings grow; target/soak
  cargo xtask messages                    write docs/messages.md: what spiq prints for bad inputs of every kind
  cargo xtask tsan                        run the tests of threads that need no plugin under ThreadSanitizer, where it is installed
  cargo xtask miri                        run the tests of unsafe code that need no plugin in Miri, where it is installed
  cargo xtask notebooks --update [NAME…]  the same, and write what the cells show into the files

JupyterLab and nbclient (notebooks/requirements.txt) go into target/jupyter, the kernel evcxr_jupyter into cargo's own
folder, unless it is there already: it takes ten minutes to build. What notebooks build stays in target/evcxr.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(if message.starts_with(UNKNOWN) { 2 } else { 1 })
        }
    }
}

const UNKNOWN: &str = "unknown";

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["jupyter"] => jupyter::install(),
        ["device"] => device::build(),
        ["accuracy", "--page"] => accuracy::write_page(),
        ["accuracy", only @ ..] => accuracy::run(only),
        ["faults"] => faults::run(false),
        ["faults", "--long"] => faults::run(true),
        ["rooms"] => rooms::show(),
        ["miri"] => miri::run(),
        ["tsan"] => tsan::run(),
        ["soak"] => soak::run(None),
        ["soak", "--steps", steps] => soak::run(Some(steps)),
        ["messages"] => messages::update(),
        ["notebooks", rest @ ..] => {
            let (flags, names): (Vec<&str>, Vec<&str>) = rest.iter().partition(|argument| argument.starts_with('-'));
            match flags[..] {
                [] => notebooks::run(&names, false),
                ["--update"] => notebooks::run(&names, true),
                _ => Err(format!("{UNKNOWN} flag {}; see cargo xtask --help", flags.join(" "))),
            }
        }
        [] | ["--help" | "-h" | "help"] => {
            println!("{HELP}");
            Ok(())
        }
        [other, ..] => Err(format!("{UNKNOWN} command {other}; see cargo xtask --help")),
    }
}
