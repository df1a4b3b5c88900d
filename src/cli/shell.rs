//! Quotes command-line words for a shell.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

/// Quotes a word for a shell: unchanged if possible, else in single quotes, or as `$'…'` (bash, zsh and ksh) if it contains control
/// characters or is not UTF-8.
pub fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=+:,%@".contains(letter);
    match word.to_str() {
        Some(word) if !word.is_empty() && word.chars().all(plain) => word.to_owned(),
        Some(word) if !word.chars().any(char::is_control) => format!("'{}'", word.replace('\'', "'\\''")),
        _ => escaped(word.as_encoded_bytes()),
    }
}

/// A flag with its value, which may begin with a dash.
pub fn flag(name: &str, value: impl AsRef<Path>) -> String {
    let value = value.as_ref();
    let divider = if value.as_os_str().as_encoded_bytes().starts_with(b"-") { '=' } else { ' ' };
    format!("{name}{divider}{}", quoted(value))
}

/// Quotes arbitrary bytes as `$'…'`.
fn escaped(word: &[u8]) -> String {
    let mut text = String::from("$'");
    for chunk in word.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\'' | '\\' => text.extend(['\\', letter]),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                _ if letter.is_control() => letter.to_string().bytes().for_each(|byte| push(&mut text, byte)),
                _ => text.push(letter),
            }
        }
        chunk.invalid().iter().for_each(|byte| push(&mut text, *byte));
    }
    text.push('\'');
    text
}

/// Appends a byte as three octal digits, which no following character can extend.
fn push(text: &mut String, byte: u8) {
    write!(text, "\\{byte:03o}").expect("a text takes all");
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn words_are_as_short_as_they_can_be() {
        assert_eq!(quoted("runs/a-b_1.5"), "runs/a-b_1.5");
        assert_eq!(quoted("my runs"), "'my runs'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a\nb"), r"$'a\nb'");
        assert_eq!(flag("--out", Path::new("-a b")), "--out='-a b'");
        assert_eq!(flag("--out", Path::new("a")), "--out a");
    }

    #[test]
    fn a_shell_reads_each_word_as_it_was() {
        let words: [&[u8]; 12] = [
            b"a",
            b"",
            b"a b",
            b"it's",
            b"a\nb'c",
            b"\"$HOME\" `id` \\",
            b"*?[a]",
            b"-x",
            b"\xff1\x01\x7f2",
            b"~",
            b"a;b&c|d",
            "grün #1\u{85}".as_bytes(),
        ];
        for word in words {
            let line = format!("printf %s {}", quoted(OsStr::from_bytes(word)));
            let read = Command::new("bash").args(["-c", &line]).output().expect("bash");
            assert_eq!(read.stdout, word, "{line}");
        }
    }
}
