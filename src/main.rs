//! The `spiq` command. Knows only the command line; the library does the work.

mod cli;
mod memory;

fn main() -> std::process::ExitCode {
    memory::keep_freed();
    // Before the first thread.
    spiq::pjrt::prepare_environment();
    cli::main()
}
