//! Reports an error as one line and chooses the exit code.

use std::process::ExitCode;

use clap::error::ErrorKind as Usage;
use spiq::{Error, ErrorKind};

use super::{screen, signals};

/// Prints an error of the run and returns the exit code.
pub fn of_run(error: &Error) -> ExitCode {
    screen::note_at_any_rate(&format!("error: {}", one_line(&error.to_string())));
    let code = code(error.kind());
    if spiq::pjrt::is_compiling() {
        // An abandoned compilation is still running.
        spiq::pjrt::end_process(code);
    }
    ExitCode::from(code)
}

/// The exit code for an error of this kind.
pub fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Input | ErrorKind::File | ErrorKind::Graph | ErrorKind::Plugin => 2,
        ErrorKind::Interrupted => signals::exit_code(),
        _ => 1,
    }
}

/// Prints a usage error, or the requested help, and returns the exit code.
pub fn of_usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        Usage::DisplayHelp | Usage::DisplayVersion => match screen::print(&error.render().to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => of_run(&error),
        },
        Usage::DisplayHelpOnMissingArgumentOrSubcommand => {
            screen::note(error.render().to_string().trim_end());
            ExitCode::from(2)
        }
        _ => {
            let text = error.render().to_string();
            // The usage that follows fills a page; the line points to --help instead.
            let said = text.split("\n\nUsage:").next().unwrap_or(&text);
            let said = said.split("\n\nFor more information").next().unwrap_or(said);
            screen::note(&format!("{} (see --help)", one_line(said)));
            ExitCode::from(2)
        }
    }
}

/// Joins paragraphs and lists into one line.
fn one_line(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let lines: Vec<&str> = paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join(" ")
    });
    paragraphs.filter(|paragraph| !paragraph.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_fit_on_one_line() {
        assert_eq!(one_line("a:\n  b\n  c\n\n  tip: d\n"), "a: b c; tip: d");
    }
}
