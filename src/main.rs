//! The `spiq` command.

mod cli;
mod memory;

fn main() -> std::process::ExitCode {
    memory::keep_freed();
    // Must run before the first thread starts.
    spiq::pjrt::prepare_environment();
    cli::main()
}
