//! Development tasks: `cargo xtask COMMAND`.

mod accuracy;
mod device;
mod faults;
mod jupyter;
mod messages;
mod miri;
mod notebook;
mod notebooks;
mod pins;
mod project;
mod rooms;
mod soak;
mod tsan;
mod words;

use std::process::ExitCode;

use project::{Result, UNKNOWN};

const HELP: &str = "\
Development tasks.

  cargo xtask jupyter                     install JupyterLab and the Rust kernel for the notebooks
  cargo xtask notebooks [NAME…]           run notebooks from first to last cell, fail if one shows an error
  cargo xtask device                      build target/device: everything that an accelerator machine needs for tests and benchmarks
  cargo xtask accuracy [SPLIT…]           train the networks of benches/ACCURACY.md (digits, tutorial, own, changed, unseen) and write it
  cargo xtask accuracy --page             write it from the finished runs
  cargo xtask faults [--long] [FAULT…]    inject faults (kills, signals, checkpoints, caches, disks, pairs, starts), fail if anything is lost:
                                          two minutes for all, two hours with --long
  cargo xtask soak [--steps N]            train for 100,000 steps, fail if memory, open files, threads or mappings grow; target/soak
  cargo xtask messages                    write docs/messages.md: the error message of every kind of bad input
  cargo xtask pins WHEEL [FILE…]          print a wheel's row for the pinned packages of plugins, with the checksums of these files in it
  cargo xtask rooms                       print what each folder imports, fail on imports that ARCHITECTURE.md forbids
  cargo xtask words                       fail if comments or Markdown use a phrase that CONTRIBUTING.md replaces
  cargo xtask miri                        run the tests of unsafe code that need no plugin in Miri, if it is installed
  cargo xtask tsan                        run the tests of threads that need no plugin in ThreadSanitizer, if it is installed
  cargo xtask notebooks --update [NAME…]  the same, and write the outputs of the cells into the files

JupyterLab and nbclient (notebooks/requirements.txt) go into target/jupyter, the kernel evcxr_jupyter into cargo's own
folder, unless it is already installed: it takes ten minutes to build. Notebooks build in target/evcxr.";

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

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["jupyter"] => jupyter::install(),
        ["device"] => device::build(),
        ["accuracy", "--page"] => accuracy::write_page(),
        ["accuracy", only @ ..] => accuracy::run(only),
        ["faults", "--long", only @ ..] => faults::run(only, true),
        ["faults", only @ ..] => faults::run(only, false),
        ["rooms"] => rooms::show(),
        ["words"] => words::check(),
        ["miri"] => miri::run(),
        ["tsan"] => tsan::run(),
        ["soak"] => soak::run(None),
        ["soak", "--steps", steps] => soak::run(Some(steps)),
        ["messages"] => messages::update(),
        ["pins", wheel, files @ ..] => pins::print(wheel, files),
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
