//! `spiq help`: the keys of the files that commands read, and the help of a command.

use clap::{Args, Command};
use spiq::config::{ModelConfig, Section};
use spiq::quant::Rules;
use spiq::{Error, Result, data};
use spiq_events::nearest;

use super::screen;

/// Columns of a line.
const WIDTH: usize = 120;
/// The widest value beside an explanation.
const LONGEST_VALUE: usize = 30;

/// A kind of file, by the word that names it.
struct Topic {
    name: &'static str,
    about: &'static str,
    sections: fn() -> Vec<Section>,
    /// The flags of `spiq train` that belong to it, by their heading.
    flags: Option<&'static str>,
}

const TOPICS: [Topic; 3] = [
    Topic {
        name: "model",
        about: "The keys of model.toml, with their types and defaults. `spiq help model LIF` prints one layer only.",
        sections: ModelConfig::keys,
        flags: None,
    },
    Topic {
        name: "rules",
        about: "The keys of rules.toml, with their types and defaults. `--rules int8` and `--rules int4,int8` need no file.",
        sections: Rules::keys,
        flags: None,
    },
    Topic {
        name: "data",
        about: "The data that `--data` reads. `spiq data --help` describes the command.",
        sections: data::keys,
        flags: Some("Recordings of events"),
    },
];

/// Print the help of a command, or the keys of a file: model, rules, data
#[derive(Args, Debug)]
pub struct Arguments {
    /// A command, or `model`, `rules` or `data`; then a subcommand, or a part such as a layer
    #[arg(value_name = "COMMAND | TOPIC")]
    words: Vec<String>,
}

/// Runs the command. `program` is the whole command line.
///
/// # Errors
/// Of kind `Input` for an unknown word.
pub fn run(arguments: &Arguments, program: Command) -> Result<()> {
    let text = match arguments.words.split_first() {
        Some((first, rest)) => match TOPICS.iter().find(|topic| topic.name == first) {
            // `data` is a command as well, with subcommands.
            Some(topic) if rest.is_empty() || program.find_subcommand(topic.name).is_none() => {
                of_topic(topic, rest.first(), &program)?
            }
            _ => of_command(program, &arguments.words)?,
        },
        None => of_command(program, &[])?,
    };
    screen::print(&text)
}

/// The help of a command and its subcommands.
fn of_command(program: Command, words: &[String]) -> Result<String> {
    let mut command = &program;
    for word in words {
        let known: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let within = command.get_name().to_owned();
        command = command.find_subcommand(word).ok_or_else(|| {
            let topics = TOPICS.iter().map(|topic| topic.name).filter(|_| within == "spiq");
            unknown(
                word,
                known.iter().map(String::as_str).chain(topics.filter(|name| !known.iter().any(|k| k == name))),
            )
        })?;
    }
    let line = ["spiq"].into_iter().chain(words.iter().map(String::as_str)).chain(["--help"]);
    // clap returns the text of a help flag as an error.
    Ok(program.clone().try_get_matches_from(line).err().map_or_else(String::new, |help| help.render().to_string()))
}

/// All sections of a topic, or those that the word names.
fn of_topic(topic: &Topic, word: Option<&String>, program: &Command) -> Result<String> {
    let mut sections = (topic.sections)();
    let mut flags = topic.flags.map(|heading| flags(program, heading)).unwrap_or_default();
    if let Some(word) = word {
        // A surrogate is named within its line.
        let is = |section: &Section| {
            section.title.eq_ignore_ascii_case(word) || section.title.contains(&format!("\"{word}\""))
        };
        let all: Vec<String> = sections.iter().map(|section| section.title.clone()).collect();
        sections.retain(is);
        flags.clear();
        if sections.is_empty() {
            return Err(unknown(word, all.iter().map(String::as_str)));
        }
    }
    let mut text = if word.is_none() { format!("{}\n", topic.about) } else { String::new() };
    for section in &sections {
        let rows = section.keys.iter().map(|key| [key.name.clone(), key.value.clone(), key.about.clone()]);
        let head = if section.about.is_empty() { String::new() } else { format!(": {}", section.about) };
        text += &table(&format!("{}{head}", section.title), &rows.collect::<Vec<_>>());
    }
    if !flags.is_empty() {
        text += &table("Flags of `spiq train` for recordings", &flags);
    }
    Ok(text.trim_start().to_owned())
}

/// The flags of `spiq train` under a heading, with their help.
fn flags(program: &Command, heading: &str) -> Vec<[String; 3]> {
    let train = program.find_subcommand("train").expect("a command");
    let arguments = train.get_arguments().filter(|argument| argument.get_help_heading() == Some(heading));
    let row = |argument: &clap::Arg| {
        let values = argument.get_value_names().filter(|_| argument.get_action().takes_values());
        let value = values.map_or_else(String::new, |names| names.join(" "));
        let about = argument.get_help().map_or_else(String::new, ToString::to_string);
        [format!("--{}", argument.get_long().unwrap_or_default()), value, about]
    };
    arguments.map(row).collect()
}

/// A title, wrapped, and rows of a name, a value and an explanation. A long value has a separate line.
fn table(title: &str, rows: &[[String; 3]]) -> String {
    let width = |column: usize, most: usize| {
        rows.iter().map(|row| row[column].chars().count()).filter(|width| *width <= most).max().unwrap_or(0)
    };
    let (names, values) = (width(0, WIDTH), width(1, LONGEST_VALUE).min(LONGEST_VALUE));
    let indent = [names, values].iter().filter(|width| **width > 0).map(|width| width + 2).sum::<usize>() + 2;
    let mut text = format!("\n{}\n", wrapped(title, 0));
    for [name, value, about] in rows {
        let mut line = format!("  {name:<names$}  ");
        if values > 0 || !value.is_empty() {
            line += &format!("{value:<values$}  ");
        }
        if line.chars().count() > indent && !about.is_empty() {
            line = format!("{}\n{}", line.trim_end(), " ".repeat(indent));
        }
        text += (line + &wrapped(about, indent)).trim_end();
        text.push('\n');
    }
    text
}

/// The words of a text in lines that start, except for the first, with `indent` blanks.
fn wrapped(text: &str, indent: usize) -> String {
    let (mut lines, mut column) = (String::new(), indent);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            lines += &format!("\n{}", " ".repeat(indent));
            column = indent;
        }
        if column > indent {
            lines.push(' ');
            column += 1;
        }
        lines += word;
        column += length;
    }
    lines
}

fn unknown<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    let hint = nearest(word, known.clone()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let known: Vec<&str> = known.collect();
    Error::input(format!("there is no help on `{word}`{hint} (available: {})", known.join(", ")))
}
