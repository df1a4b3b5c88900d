//! What the command prints for bad inputs of every kind: docs/messages.md, which `cargo xtask messages` writes. Each is refused with the
//! documented exit code and one sentence, without names of temporary files and of the machine's folders.

mod cases;
mod folder;

use std::fmt::Write as _;

use cases::{Case, GROUPS};
use folder::Folder;

/// The longest sentence: what it lists is cut.
const LONGEST: usize = 900;

const HEAD: &str = "# Messages

Bad inputs of every kind, and what `spiq` prints for them: one sentence on standard error, and the exit code. `cargo xtask messages` writes this page by
running them; a test fails where it is out of date. Exit codes: 2, an input, a file or a plugin is not usable; 1, the plugin reported an error, or training
produced a non-finite number.
";

/// The sentence of a case, which must be the only one.
fn sentence(folder: &Folder, case: &Case) -> String {
    let (code, printed) = folder.run(case);
    let errors: Vec<&str> = printed.lines().filter(|line| line.starts_with("error: ")).collect();
    let [error] = errors[..] else { panic!("{}: not one error in: {printed}", case.line) };
    assert_eq!(code, Some(case.code), "{}: {printed}", case.line);
    assert_eq!(printed.lines().last(), Some(error), "{}: the error is not the last line: {printed}", case.line);
    assert!(!printed.contains("panicked at"), "{}: {printed}", case.line);
    assert!(error.chars().count() <= LONGEST, "{}: too long: {error}", case.line);
    for name in folder.private_names() {
        assert!(!error.contains(&name), "{}: names {name}: {error}", case.line);
    }
    error["error: ".len()..].to_owned()
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[test]
fn the_page_of_messages_is_up_to_date() {
    let folder = Folder::new();
    let mut page = HEAD.to_owned();
    for (group, cases) in GROUPS {
        _ = write!(page, "\n## {group}\n\n| input | command | code | message |\n|---|---|---|---|\n");
        for case in *cases {
            let said = sentence(&folder, case);
            let variables: String = case.environment.iter().map(|(name, value)| format!("{name}={value} ")).collect();
            let command = format!("{variables}spiq {}", case.line);
            _ = writeln!(page, "| {} | `{command}` | {} | {} |", cell(case.what), case.code, cell(&said));
        }
    }
    expect_test::expect_file!["../../../docs/messages.md"].assert_eq(&page);
}
