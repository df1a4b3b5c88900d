//! `spiq data info`: describes a data set.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use spiq::data::replace_file;
use spiq::{Result, display, table};
use spiq_events::{Sensor, Spread, Survey};

use super::super::progress::Samples;
use super::super::{output, screen};

/// Describe a data set of recordings: samples, classes, lengths, rates, events per channel
#[derive(Args, Debug)]
pub struct Arguments {
    /// File or folder of recordings
    path: PathBuf,
    /// Print a JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Also draw it: samples per class, lengths, events per sample and per channel
    #[arg(long, value_name = "F.svg")]
    picture: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Those of reading; of kind `File` when the picture cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(picture) = &arguments.picture {
        output::check(picture, [arguments.path.as_path()])?;
    }
    let mut progress = Samples::default();
    let collection = spiq_events::open(&arguments.path)?;
    let survey = spiq_events::survey(collection, &mut |done, total| progress.update(done, total))?;
    drop(progress);
    if let Some(picture) = &arguments.picture {
        let name = arguments.path.file_name().unwrap_or_default().display();
        let drawn = display::survey(&survey, &format!("{name}: {}", heading(&survey)));
        replace_file(picture, drawn.svg().as_bytes())?;
    }
    let text = if arguments.json { as_json(&survey) } else { as_text(&survey, &arguments.path) };
    screen::print(&text)
}

fn heading(survey: &Survey) -> String {
    let description = &survey.description;
    let train = description.train.map_or_else(String::new, |train| {
        format!(" ({train} to train, {} to test)", description.count.saturating_sub(train))
    });
    format!("{}, {}{train}", description.format, counted(description.count as u64, "sample"))
}

/// A count with its noun, in the singular or plural.
fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// A description of a sensor.
pub fn sensor(sensor: Sensor) -> String {
    let polarities = if sensor.polarities == 2 { ", 2 polarities" } else { "" };
    match sensor.height {
        1 => format!("{} channels{polarities}", sensor.width),
        height => format!("{} x {height} pixels{polarities}", sensor.width),
    }
}

fn as_text(survey: &Survey, path: &Path) -> String {
    let description = &survey.description;
    let mut text = format!("{}: {}\n", path.display(), heading(survey));
    let named = [(description.classes.len(), "classes"), (description.speakers.len(), "speakers")];
    let named = named.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
    text += &format!("{}{}\n\n", sensor(description.sensor), named.collect::<String>());
    let row = |(name, spread): (&str, Spread)| {
        let numbers = [spread.min, spread.median, spread.mean, spread.max].map(number);
        [vec![name.to_owned()], numbers.to_vec()].concat()
    };
    let rows: Vec<Vec<String>> = spreads(survey).map(row).to_vec();
    text += &table::aligned(&["", "smallest", "median", "mean", "largest"], &rows);
    let silent = survey.by_channel.iter().filter(|events| **events == 0).count();
    let rises = percent(survey.rises as f64 / survey.events().max(1) as f64);
    text +=
        &format!("\n{}; {silent} of {} channels have none", counted(survey.events(), "event"), survey.by_channel.len());
    text += &if description.sensor.polarities == 2 { format!("; {rises} rise\n") } else { "\n".to_owned() };
    let empty = survey.samples.iter().filter(|sample| sample.events == 0).count() as u64;
    if empty > 0 {
        text += &format!("{} without events\n", counted(empty, "sample"));
    }
    if survey.without_time > 0 {
        text += &format!(
            "{} dropped: their time is NaN, infinite, before 0 or after 4e9 s\n",
            counted(survey.without_time, "event")
        );
    }
    if survey.sorted > 0 {
        text += &format!("{} not in time order, sorted\n", counted(survey.sorted, "sample"));
    }
    for (head, names, of) in groups(survey) {
        text += &format!("\n{}", group(survey, head, names, of));
    }
    text
}

/// Statistics per sample and per channel.
fn spreads(survey: &Survey) -> [(&'static str, Spread); 4] {
    let samples = || survey.samples.iter();
    let rates = samples().filter(|sample| sample.seconds > 0.0).map(|sample| sample.events as f64 / sample.seconds);
    let count = survey.samples.len().max(1) as f64;
    [
        ("seconds per sample", Spread::of(samples().map(|sample| sample.seconds))),
        ("events per sample", Spread::of(samples().map(|sample| sample.events as f64))),
        ("events per second", Spread::of(rates)),
        ("events per channel and sample", Spread::of(survey.by_channel.iter().map(|events| *events as f64 / count))),
    ]
}

type Of = fn(&spiq_events::Surveyed) -> Option<u32>;

/// The groupings of samples.
fn groups(survey: &Survey) -> Vec<(&'static str, &[String], Of)> {
    let description = &survey.description;
    let all: [(&str, &[String], Of); 2] = [
        ("class", &description.classes, |sample| sample.label),
        ("speaker", &description.speakers, |sample| sample.speaker),
    ];
    all.into_iter().filter(|(_, names, _)| !names.is_empty()).collect()
}

fn group(survey: &Survey, head: &str, names: &[String], of: Of) -> String {
    // The column is omitted for files without a training split.
    let split = survey.description.train;
    let row = |(name, group): (&String, Group)| {
        let mean = |sum: f64| number(sum / group.samples.max(1) as f64);
        let counts = [Some(group.samples), split.map(|_| group.train)].into_iter().flatten();
        let means = [mean(group.events as f64), mean(group.seconds)];
        [vec![name.clone()], counts.map(|count| count.to_string()).collect(), means.to_vec()].concat()
    };
    let rows: Vec<Vec<String>> = names.iter().zip(gathered(survey, names, of)).map(row).collect();
    let heads = [Some(head), Some("samples"), split.map(|_| "to train"), Some("mean events"), Some("mean seconds")];
    table::aligned(&heads.into_iter().flatten().collect::<Vec<_>>(), &rows)
}

/// The samples of a class or of a speaker.
#[derive(Clone, Default)]
struct Group {
    samples: usize,
    /// How many of them train.
    train: usize,
    events: u64,
    seconds: f64,
}

/// A group for each name, in one pass over the samples: a file may have many of both.
fn gathered(survey: &Survey, names: &[String], of: Of) -> Vec<Group> {
    let mut groups = vec![Group::default(); names.len()];
    let train = survey.description.train.unwrap_or(0);
    for (place, sample) in survey.samples.iter().enumerate() {
        let Some(group) = of(sample).and_then(|number| groups.get_mut(number as usize)) else { continue };
        group.samples += 1;
        group.train += usize::from(place < train);
        group.events += sample.events;
        group.seconds += sample.seconds;
    }
    groups
}

/// Formats a number with three or four significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        size if size == size.round() && size < 1e15 => format!("{value:.0}"),
        size if size < 10.0 => format!("{value:.3}"),
        size if size < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn as_json(survey: &Survey) -> String {
    let description = &survey.description;
    let Sensor { width, height, polarities } = description.sensor;
    let spread = |(_, spread): (&str, Spread)| json!({ "min": spread.min, "median": spread.median, "mean": spread.mean, "max": spread.max });
    let [seconds, events, rate, channel] = spreads(survey).map(spread);
    let grouped = |names: &[String], of: Of| -> Value {
        let entry =
            |(name, group): (&String, Group)| json!({ "name": name, "samples": group.samples, "events": group.events });
        names.iter().zip(gathered(survey, names, of)).map(entry).collect()
    };
    let object = json!({
        "format": description.format,
        "samples": description.count,
        "train": description.train,
        "sensor": { "width": width, "height": height, "polarities": polarities },
        "classes": grouped(&description.classes, |sample| sample.label),
        "speakers": grouped(&description.speakers, |sample| sample.speaker),
        "events": survey.events(),
        "rises": survey.rises,
        "without_time": survey.without_time,
        "sorted_samples": survey.sorted,
        "seconds_of_a_sample": seconds,
        "events_of_a_sample": events,
        "events_a_second": rate,
        "events_of_a_channel_in_a_sample": channel,
        "events_by_channel": survey.by_channel,
    });
    format!("{}\n", serde_json::to_string_pretty(&object).expect("strings and numbers"))
}
