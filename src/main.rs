//! The `spiq` command. Knows only the command line; the library does the work.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
