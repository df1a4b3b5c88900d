//! `spiq sweep`: one run per combination of settings, from a grid or at random, and a table of the results. Each setting is a flag of `spiq
//! train`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use spiq::random::Key;
use spiq::train::Summary;
use spiq::{Error, Result, table};

use super::several::{self, Done, Ended, Member};
use super::{argument, screen, train, trained};

const EXAMPLES: &str = "\
Examples:
  spiq sweep --grid learning_rate=1e-3,2e-3 --grid batch_size=32,64 --validation 0.1
  spiq sweep --random 20 --grid 'learning_rate=loguniform(low = 1e-4, high = 1e-2)' --grid batch_size=32,64 --validation 0.1
  spiq sweep --space sweep.toml --model model.toml --data spikes.safetensors --validation 0.1 --patience 5

A setting is a flag of `spiq train` with underscores: learning_rate, batch_size, optimizer, schedule, loss, rules, model, seed, … All
other flags are those of `spiq train` and apply to every run. Values are separated by , or ; outside of brackets. With --random, a value
can also be uniform(low = …, high = …), loguniform(low = …, high = …) or randint(low = …, high = …), both ends included.

sweep.toml has the same content, one setting per line:
  learning_rate = [1e-3, 2e-3]
  optimizer = [\"adam\", \"lion\"]
  shift = \"uniform(low = 0, high = 0.1)\"

Written to DIR: a folder per run, and sweep.jsonl with a line per finished run. With --resume, finished runs are not repeated.";

/// Train once per combination of settings, from a grid or drawn at random, and compare
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A setting and its values; repeat for each setting
    #[arg(long, value_name = "NAME=V1,V2")]
    grid: Vec<String>,
    /// File with settings and their values
    #[arg(long, value_name = "S.toml")]
    space: Option<PathBuf>,
    /// Draw N distinct combinations instead of running all of them
    #[arg(long, value_name = "N", value_parser = argument::count)]
    random: Option<usize>,
    /// Seed for drawing the combinations of --random
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    draw_seed: i64,
    #[command(flatten)]
    train: Base,
}

/// The flags of `spiq train` shared by all runs.
#[derive(Debug)]
struct Base {
    arguments: train::Arguments,
    /// The switches among them, as given: parsing more flags into `arguments` would reset these.
    switches: Vec<String>,
}

impl Args for Base {
    fn augment_args(command: Command) -> Command {
        train::Arguments::augment_args(command)
    }
    fn augment_args_for_update(command: Command) -> Command {
        train::Arguments::augment_args_for_update(command)
    }
}

impl FromArgMatches for Base {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Base, clap::Error> {
        let typed = |argument: &clap::Arg| {
            let long = argument.get_long().filter(|_| !argument.get_action().takes_values())?;
            let source = matches
                .try_contains_id(argument.get_id().as_str())
                .ok()?
                .then(|| matches.value_source(argument.get_id().as_str()))?;
            (source == Some(ValueSource::CommandLine)).then(|| long.to_owned())
        };
        let command = train::Arguments::augment_args(Command::new("train"));
        let switches = command.get_arguments().filter_map(typed).collect();
        Ok(Base { arguments: train::Arguments::from_arg_matches(matches)?, switches })
    }
    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Base::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Flags that are not settings: where results go, which processes take part, and what turns one run into several.
const NO_SETTINGS: [&str; 16] = [
    "out",
    "overwrite",
    "resume",
    "allow-changes",
    "allow-unmatched",
    "checkpoint-seconds",
    "seeds",
    "folds",
    "fold",
    "device",
    "coordinator-address",
    "num-processes",
    "process-id",
    "lost-after",
    "join-within",
    "help",
];

/// Runs the command.
///
/// # Errors
/// Of kind `Input` for invalid settings or values; those of the runs.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Base { arguments: base, switches } = &arguments.train;
    if base.are_several() {
        return Err(Error::input(
            "a sweep trains each combination once: remove --seeds (use --grid seed=0,1 instead), and choose one of --folds with --fold",
        ));
    }
    let space = space(arguments)?;
    let choices = choices(&space, arguments)?;
    let out = base.out.clone().unwrap_or_else(|| Path::new("runs").join("sweep"));
    let width = choices.len().to_string().len().max(2);
    let members = choices.into_iter().enumerate().map(|(number, settings)| {
        let name = format!("run {:0width$}", number + 1);
        let folder = out.join(format!("run-{:0width$}", number + 1));
        let base = train::Arguments { out: Some(folder), ..base.clone() };
        Ok(Member { arguments: set(base, switches, &settings)?, name, settings })
    });
    let members = members.collect::<Result<Vec<_>>>()?;
    std::fs::create_dir_all(&out).map_err(|cause| Error::file(&out, "make the folder", cause))?;
    let lines = out.join("sweep.jsonl");
    let done = several::run(members, &lines)?;
    screen::print(&shown(&done, &space, &lines))?;
    done.end()
}

/// The values of a setting.
enum Values {
    List(Vec<String>),
    Drawn(Distribution),
}

/// A distribution to draw a value from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Distribution {
    Uniform(f64, f64),
    LogUniform(f64, f64),
    Integer(i64, i64),
}

impl Distribution {
    /// The value at quantile `drawn`, from [0, 1).
    fn at(self, drawn: f64) -> String {
        // No more digits than the draw has.
        let short = |value: f64| format!("{:.6e}", value).parse::<f64>().expect("a number").to_string();
        match self {
            Distribution::Uniform(low, high) => short(low + drawn * (high - low)),
            Distribution::LogUniform(low, high) => short((low.ln() + drawn * (high / low).ln()).exp()),
            Distribution::Integer(low, high) => (low + (drawn * (high - low + 1) as f64) as i64).min(high).to_string(),
        }
    }

    /// Parses a distribution; `None` for text that does not name one.
    fn parse(text: &str) -> Option<std::result::Result<Distribution, String>> {
        let name = text.split('(').next().unwrap_or_default().trim();
        if !["uniform", "loguniform", "randint"].contains(&name) {
            return None;
        }
        Some(
            Distribution::of_call(text)
                .ok_or_else(|| format!("`{text}` is not of the form `{name}(low = 1, high = 2)`")),
        )
    }

    fn of_call(text: &str) -> Option<Distribution> {
        let calls = spiq_events::calls(text).ok()?;
        let [call] = &calls[..] else { return None };
        let number = |key: &str| {
            let value = call.arguments.get(key)?;
            value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64)).filter(|value| value.is_finite())
        };
        let (low, high) = (number("low")?, number("high")?);
        let usable = call.arguments.len() == 2 && low <= high;
        match call.name.as_str() {
            "uniform" if usable => Some(Distribution::Uniform(low, high)),
            "loguniform" if usable && low > 0.0 => Some(Distribution::LogUniform(low, high)),
            "randint" if usable && low.fract() == 0.0 && high.fract() == 0.0 => {
                Some(Distribution::Integer(low as i64, high as i64))
            }
            _ => None,
        }
    }
}

/// The settings and their values, in the order given.
fn space(arguments: &Arguments) -> Result<Vec<(String, Values)>> {
    let mut space: Vec<(String, Values)> = Vec::new();
    let mut add = |name: &str, texts: Vec<String>| {
        let name = setting(name)?;
        if space.iter().any(|(other, _)| *other == name) {
            return Err(Error::input(format!("the setting `{name}` is given twice")));
        }
        let values = values(&name, texts, arguments.random.is_some())?;
        space.push((name, values));
        Ok(())
    };
    if let Some(path) = &arguments.space {
        let text = spiq_events::read_text(path).map_err(|cause| Error::file(path, "read", cause))?;
        let source = path.display();
        let table: toml::Table = toml::from_str(&text).map_err(|error| {
            let message: &toml::de::Error = &error;
            let line = 1 + text
                .bytes()
                .take(message.span().map_or(0, |span| span.start))
                .filter(|byte| *byte == b'\n')
                .count();
            let reason = message.message().lines().collect::<Vec<_>>().join(", ");
            Error::input(format!("{source}:{line}: {reason}"))
        })?;
        for (name, value) in table {
            let texts = texts(&value).ok_or_else(|| {
                Error::input(format!("{source}: the values of `{name}` must be a list of numbers, texts or booleans"))
            })?;
            add(&name, texts).map_err(|error| Error::input(format!("{source}: {error}")))?;
        }
    }
    for text in &arguments.grid {
        let Some((name, values)) = text.split_once('=') else {
            return Err(Error::input(format!("--grid is `{text}`, but must be of the form NAME=V1,V2")));
        };
        let texts = spiq_events::split(values).map_err(|error| Error::input(format!("--grid {name}: {error}")))?;
        add(name, texts.into_iter().map(str::to_owned).collect())?;
    }
    if space.is_empty() {
        return Err(Error::input(
            "the sweep has no settings; give a setting and its values, as in --grid learning_rate=1e-3,2e-3",
        ));
    }
    Ok(space)
}

/// A TOML list, or a string that holds a list, as texts.
fn texts(value: &toml::Value) -> Option<Vec<String>> {
    let one = |value: &toml::Value| match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        toml::Value::Array(values) => values.iter().map(one).collect(),
        toml::Value::String(text) => Some(spiq_events::split(text).ok()?.into_iter().map(str::to_owned).collect()),
        other => Some(vec![one(other)?]),
    }
}

/// The flags of `spiq train`, by setting name.
fn flags() -> BTreeMap<String, (String, bool)> {
    let command = train::Arguments::augment_args(Command::new("train"));
    let flag = |argument: &clap::Arg| {
        let long = argument.get_long().filter(|long| !NO_SETTINGS.contains(long))?;
        let takes = argument.get_action().takes_values();
        Some((long.replace('-', "_"), (long.to_owned(), takes)))
    };
    command.get_arguments().filter_map(flag).collect()
}

/// Resolves a setting's name, which may also be written as a flag.
fn setting(name: &str) -> Result<String> {
    let name = name.trim().trim_start_matches("--").replace('-', "_");
    let flags = flags();
    if flags.contains_key(&name) {
        return Ok(name);
    }
    let hint = argument::nearest(&name, flags.keys().map(String::as_str));
    let hint = hint.map_or_else(String::new, |name| format!("did you mean `{name}`? "));
    Err(Error::input(format!(
        "there is no setting `{name}`; {hint}settings are the flags of `spiq train`, with _ for - ({})",
        flags.into_keys().collect::<Vec<_>>().join(", ")
    )))
}

fn values(name: &str, texts: Vec<String>, draws: bool) -> Result<Values> {
    if let [text] = &texts[..]
        && let Some(distribution) = Distribution::parse(text)
    {
        let distribution = distribution.map_err(|reason| Error::input(format!("the setting `{name}`: {reason}")))?;
        if !draws {
            return Err(Error::input(format!(
                "the setting `{name}` is drawn from `{text}`; give the number of draws with --random N"
            )));
        }
        return Ok(Values::Drawn(distribution));
    }
    if texts.is_empty() {
        return Err(Error::input(format!("the setting `{name}` has no values")));
    }
    let different: BTreeSet<&String> = texts.iter().collect();
    if different.len() < texts.len() {
        return Err(Error::input(format!("the setting `{name}` has a value twice")));
    }
    Ok(Values::List(texts))
}

type Choice = Vec<(String, String)>;

/// All combinations in order, or those drawn at random.
fn choices(space: &[(String, Values)], arguments: &Arguments) -> Result<Vec<Choice>> {
    let Some(wanted) = arguments.random else {
        let mut all: Vec<Choice> = vec![Vec::new()];
        for (name, values) in space {
            let Values::List(values) = values else { unreachable!("refused without --random") };
            let longer = |choice: &Choice| {
                let with = |value: &String| [choice.clone(), vec![(name.clone(), value.clone())]].concat();
                values.iter().map(with).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(longer).collect();
        }
        return Ok(all);
    };
    let finite = space.iter().try_fold(1usize, |count, (_, values)| match values {
        Values::List(values) => count.checked_mul(values.len()),
        Values::Drawn(_) => None,
    });
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let key = Key::new(arguments.draw_seed);
    // The bound ends the loop: the last few combinations take many draws to find, and integer ranges may not have enough.
    let most = finite.map_or(100 * wanted, |all| 1000 * all.max(wanted));
    for draw in 0..most {
        if found.len() == wanted.min(finite.unwrap_or(wanted)) {
            break;
        }
        let drawn = key.fold_in(draw as u32).uniform(space.len(), 0.0, 1.0);
        let value = |((name, values), drawn): (&(String, Values), f32)| {
            let value = match values {
                Values::List(values) => {
                    values[((f64::from(drawn) * values.len() as f64) as usize).min(values.len() - 1)].clone()
                }
                Values::Drawn(distribution) => distribution.at(drawn.into()),
            };
            (name.clone(), value)
        };
        let choice: Choice = space.iter().zip(drawn).map(value).collect();
        if seen.insert(choice.clone()) {
            found.push(choice);
        }
    }
    if found.len() < wanted {
        screen::note(&format!("note: there are only {} distinct combinations", found.len()));
    }
    Ok(found)
}

/// The arguments of a run with these settings. `switches` are the valueless flags of every run.
fn set(
    mut arguments: train::Arguments,
    switches: &[String],
    settings: &[(String, String)],
) -> Result<train::Arguments> {
    let flags = flags();
    let is_set = |switch: &&String| settings.iter().any(|(name, _)| flags[name].0 == **switch);
    let mut words: Vec<String> =
        switches.iter().filter(|switch| !is_set(switch)).map(|switch| format!("--{switch}")).collect();
    for (name, value) in settings {
        let (flag, takes) = &flags[name];
        match (takes, value.as_str()) {
            (true, _) => words.push(format!("--{flag}={value}")),
            (false, "true") => words.push(format!("--{flag}")),
            (false, "false") => {}
            (false, _) => {
                return Err(Error::input(format!("the setting `{name}` is {value:?}, but must be true or false")));
            }
        }
        // `steps` and `epochs` exclude each other.
        match name.as_str() {
            "steps" => arguments.epochs = None,
            "epochs" => arguments.steps = None,
            _ => {}
        }
    }
    let command = train::Arguments::augment_args_for_update(Command::new("train").no_binary_name(true));
    let refused = |error: clap::Error| {
        let text = error.render().to_string();
        let said = text.split("\n\nUsage:").next().unwrap_or(&text).split("\n\nFor more").next().unwrap_or(&text);
        Error::input(said.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let matches = command.try_get_matches_from(words).map_err(refused)?;
    arguments.update_from_arg_matches(&matches).map_err(refused)?;
    Ok(arguments)
}

/// The table of runs, the best first.
fn shown(done: &Done, space: &[(String, Values)], lines: &Path) -> String {
    let ended = &done.ended;
    let validated = ended.iter().filter_map(|ended| ended.outcome.as_ref().ok()).any(|summary| summary.best.is_some());
    let score = |ended: &Ended| ended.outcome.as_ref().map_or(f32::NEG_INFINITY, |summary| score(summary, validated));
    let mut order: Vec<&Ended> = ended.iter().collect();
    order.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let test = if done.has_test_part { "test accuracy" } else { "accuracy on the training samples" };
    let mut head: Vec<&str> = vec![""];
    head.extend(space.iter().map(|(name, _)| name.as_str()));
    if validated {
        head.extend(["validation, best epoch", "test at best", "epoch"]);
    } else {
        head.push(test);
    }
    head.extend(["steps", "seconds"]);
    let rows: Vec<Vec<String>> = order
        .iter()
        .map(|ended| {
            let settings = ended.settings.iter().map(|(_, value)| value.clone());
            let results = match &ended.outcome {
                Ok(summary) => results(summary, validated),
                Err(_) => vec![several::FAILED.to_owned()],
            };
            std::iter::once(ended.name.clone()).chain(settings).chain(results).collect()
        })
        .collect();
    let note = match validated {
        true => String::new(),
        false => "sorted by test accuracy, as there is no validation (--validation 0.1): the best result is slightly optimistic\n".to_owned(),
    };
    format!("\n{}{}\n{note}{}\n", table::aligned(&head, &rows), done.failures(), lines.display())
}

/// The sort key: validation accuracy, or test accuracy if there is no validation.
fn score(summary: &Summary, validated: bool) -> f32 {
    match (validated, summary.best) {
        (true, Some(best)) => best.validation_accuracy,
        (true, None) => f32::NEG_INFINITY,
        (false, _) => summary.test_accuracy,
    }
}

fn results(summary: &Summary, validated: bool) -> Vec<String> {
    let mut cells = match (validated, summary.best) {
        (true, Some(best)) => {
            vec![
                trained::percent(best.validation_accuracy),
                trained::percent(best.test_accuracy),
                best.epoch.to_string(),
            ]
        }
        (true, None) => vec![String::new(); 3],
        (false, _) => vec![trained::percent(summary.test_accuracy)],
    };
    cells.extend([summary.steps.to_string(), format!("{:.1}", summary.seconds)]);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_without_a_value_stay_as_they_are() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            sweep: Arguments,
        }
        let command = train::Arguments::augment_args(Command::new("train"));
        let switches =
            command.get_arguments().filter(|a| !a.get_action().takes_values()).filter_map(clap::Arg::get_long);
        let setting = [("batch_size".to_owned(), "7".to_owned())];
        for switch in switches.filter(|switch| *switch != "help") {
            let needed = (switch == "allow-changes").then_some("--resume");
            let flag = format!("--{switch}");
            let line = ["sweep", &flag, "--grid", "batch_size=7"].into_iter().chain(needed);
            let line = <Line as clap::Parser>::try_parse_from(line);
            let Base { arguments, switches } = line.expect("arguments").sweep.train;
            let before = format!("{arguments:?}").replace("batch_size: None", "batch_size: Some(7)");
            let after = set(arguments, &switches, &setting).expect("arguments");
            assert_eq!(format!("{after:?}"), before, "{switch}");
        }
    }

    #[test]
    fn values_are_drawn_within_their_ends() {
        let parse = |text: &str| Distribution::parse(text).and_then(|parsed| parsed.ok());
        assert_eq!(parse("uniform(low = 1, high = 3)").map(|d| d.at(0.5)), Some("2".to_owned()));
        assert_eq!(parse("loguniform(low = 1e-4, high = 1e-2)").map(|d| d.at(0.5)), Some("0.001".to_owned()));
        let of = |drawn| parse("randint(low = 2, high = 4)").map(|d| d.at(drawn));
        assert_eq!([of(0.0), of(0.34), of(0.999_999)].map(Option::unwrap), ["2", "3", "4"]);
        for text in [
            "uniform(low = 3, high = 1)",
            "loguniform(low = 0, high = 1)",
            "randint(low = 0.5, high = 1)",
            "uniform(1, 2)",
        ] {
            assert!(matches!(Distribution::parse(text), Some(Err(_))), "{text}");
        }
        assert!(Distribution::parse("adam").is_none());
    }
}
