//! Renders a report as one HTML page with inline pictures, for light and dark screens.

use std::collections::BTreeSet;
use std::fmt::Write;

use spiq::display::{Curve, Picture, confusion, curves_by_epoch};
use spiq::provenance::key;
use spiq::train::Record;

use super::evaluate::Examined;
use super::report::Run;
use super::{rates, reproduce, screen, trained};

const STYLE: &str = "\
:root{--paper:#fdfdfe;--ink:#24292e;--faint:#6a737d;--line:#dfe3e8;--shade:#f2f4f7;--best:#2a7f3f}
@media (prefers-color-scheme:dark){:root{--paper:#1b1f24;--ink:#e3e6ea;--faint:#9aa4af;--line:#363c44;--shade:#242a31;--best:#63c07c}}
body{margin:0 auto;padding:1.5rem;max-width:76rem;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,'DejaVu Sans',sans-serif}
h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
p{margin:.3rem 0 .8rem;color:var(--faint)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{color:var(--faint);font-weight:600;white-space:normal;vertical-align:bottom}th:first-child,td:first-child,th.text{text-align:left}
td.text{text-align:left;white-space:pre-wrap;max-width:26rem;overflow-wrap:anywhere}
td.best{color:var(--best);font-weight:600}
.pictures{display:flex;flex-wrap:wrap;gap:1rem}.pictures>div{min-width:0}.curves>div{flex:1 1 32rem;max-width:44rem}.matrices>div{flex:1 1 22rem;max-width:30rem}
svg{max-width:100%;height:auto}
pre{background:var(--shade);padding:.7rem .9rem;border-radius:.4rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}
summary{cursor:pointer;color:var(--faint)}";

/// The page that compares these runs. `params` names the evaluated parameters.
pub fn of(runs: &[Run], title: &str, params: &str) -> String {
    let title = escaped(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1>"
    );
    let sections: [(&str, &str, String); 7] = [
        ("Results", RESULTS, results(runs)),
        ("Curves", "", pictures(runs)),
        ("Settings that differ", "", settings(runs)),
        ("Accuracy by class", "", by_class(runs)),
        ("Confusion", "", confusions(runs)),
        ("Layers", LAYERS, layers(runs)),
        ("Commands to repeat the runs", "", again(runs)),
    ];
    for (head, words, body) in sections {
        if !body.is_empty() {
            let words =
                if words.is_empty() { String::new() } else { format!("<p>{}</p>", words.replace("PARAMS", params)) };
            let _ = write!(page, "<section><h2>{head}</h2>{words}{body}</section>");
        }
    }
    page.push_str("</body></html>\n");
    page
}

const RESULTS: &str = "The best epoch is the first with the highest validation accuracy; test samples do not influence it. \
                       Sizes and operations are those of the PARAMS parameters.";
const LAYERS: &str = "Spikes per neuron and step, and effective out of all synaptic operations per sample (AC: accumulations, MAC: \
                      multiply-accumulates), with the PARAMS parameters.";

/// A table; the first cell of a row is its name.
fn table(head: &[String], rows: &[Vec<Cell>]) -> String {
    let is_text = |column: usize| {
        rows.first().and_then(|row| row.get(column)).is_some_and(|cell| matches!(cell.kind, Kind::Text))
    };
    let class = |column: usize| if is_text(column) { " class=\"text\"" } else { "" };
    let head: String =
        head.iter().enumerate().map(|(i, cell)| format!("<th{}>{}</th>", class(i), escaped(cell))).collect();
    let cell = |cell: &Cell| {
        let class = match cell.kind {
            Kind::Plain => "",
            Kind::Text => " class=\"text\"",
            Kind::Best => " class=\"best\"",
        };
        format!("<td{class}>{}</td>", escaped(&cell.text))
    };
    let rows: String =
        rows.iter().map(|row| format!("<tr>{}</tr>", row.iter().map(cell).collect::<String>())).collect();
    format!("<div class=\"wide\"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>")
}

struct Cell {
    text: String,
    kind: Kind,
}

enum Kind {
    Plain,
    Text,
    Best,
}

fn plain(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), kind: Kind::Plain }
}

/// Numbers as cells, with the largest highlighted if there are several.
fn compared(values: &[Option<f32>], show: impl Fn(f32) -> String) -> Vec<Cell> {
    let known: Vec<f32> = values.iter().flatten().copied().collect();
    let largest = known.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let bold = known.len() > 1 && known.iter().any(|value| *value < largest);
    let cell = |value: &Option<f32>| match value {
        None => plain("–"),
        Some(value) if bold && *value == largest => Cell { text: show(*value), kind: Kind::Best },
        Some(value) => plain(show(*value)),
    };
    values.iter().map(cell).collect()
}

/// (epoch, mean training loss, test accuracy, validation accuracy), where known.
fn epochs(run: &Run) -> impl Iterator<Item = (f64, [Option<f32>; 3])> {
    run.records.iter().filter_map(|record| match record {
        Record::Epoch { epoch, train_loss, test_accuracy, validation_accuracy, .. } => {
            Some((*epoch as f64, [*train_loss, *test_accuracy, *validation_accuracy]))
        }
        _ => None,
    })
}

fn last(run: &Run, which: usize) -> Option<f32> {
    epochs(run).filter_map(|(_, values)| values[which]).last()
}

fn results(runs: &[Run]) -> String {
    let best = |run: &Run| run.summary.as_ref().and_then(|summary| summary.best).or(run.provenance.best);
    let of = |value: &dyn Fn(&Run) -> Option<f32>| runs.iter().map(value).collect::<Vec<_>>();
    let percents = |value: &dyn Fn(&Run) -> Option<f32>| compared(&of(value), trained::percent);
    let text = |value: &dyn Fn(&Run) -> Option<String>| {
        runs.iter().map(|run| plain(value(run).unwrap_or_else(|| "–".to_owned()))).collect::<Vec<_>>()
    };
    let test = |run: &Run| run.summary.as_ref().map(|summary| summary.test_accuracy).or(last(run, 1));
    let columns: Vec<(&str, Vec<Cell>)> = vec![
        ("run", runs.iter().map(|run| plain(&run.name)).collect()),
        ("best epoch", text(&|run| best(run).map(|best| best.epoch.to_string()))),
        ("validation, best epoch", percents(&|run| best(run).map(|best| best.validation_accuracy))),
        ("test, best epoch", percents(&|run| best(run).map(|best| best.test_accuracy))),
        ("test, last epoch", percents(&test)),
        ("validation, last epoch", percents(&|run| last(run, 2))),
        ("train loss", text(&|run| last(run, 0).map(|loss| format!("{loss:.4}")))),
        ("epochs", text(&|run| Some(epochs(run).count().to_string()))),
        ("seconds", text(&|run| run.summary.as_ref().map(|summary| format!("{:.1}", summary.seconds)))),
        (
            "ended",
            text(&|run| {
                Some(
                    match &run.summary {
                        None => "not yet",
                        Some(summary) if summary.stopped_early => "early",
                        Some(_) => "yes",
                    }
                    .to_owned(),
                )
            }),
        ),
        ("parameters", text(&|run| run.examined.as_ref().ok().map(|examined| examined.memory.parameters.to_string()))),
        (
            "stored",
            text(&|run| run.examined.as_ref().ok().map(|examined| screen::bytes(examined.memory.stored as u64))),
        ),
        (
            "operations per sample",
            text(&|run| {
                let counted = &run.examined.as_ref().ok()?.evaluated.counted;
                let (acs, macs) = (counted.effective_acs(), counted.effective_macs());
                let parts = [(acs, "AC"), (macs, "MAC")].into_iter().filter(|(count, _)| *count > 0.0);
                Some(parts.map(|(count, kind)| format!("{count:.0} {kind}")).collect::<Vec<_>>().join(" + "))
            }),
        ),
    ];
    // Omit columns that are empty for all runs.
    let columns: Vec<(&str, Vec<Cell>)> =
        columns.into_iter().filter(|(_, cells)| cells.iter().any(|cell| cell.text != "–")).collect();
    let head: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut columns: Vec<std::vec::IntoIter<Cell>> = columns.into_iter().map(|(_, cells)| cells.into_iter()).collect();
    let rows: Vec<Vec<Cell>> = runs.iter().map(|_| columns.iter_mut().filter_map(Iterator::next).collect()).collect();
    table(&head, &rows)
}

fn pictures(runs: &[Run]) -> String {
    let panel = |title: &str, y: &str, which: usize, scale: f64| {
        let curve = |run: &Run| {
            let points = epochs(run).filter_map(|(epoch, values)| Some((epoch, scale * f64::from(values[which]?))));
            Curve::new(&run.name, points.collect::<Vec<_>>())
        };
        let all: Vec<Curve> = runs.iter().map(curve).filter(|curve| !curve.points.is_empty()).collect();
        (!all.is_empty()).then(|| curves_by_epoch(title, y, &all))
    };
    let panels = [
        panel("Training loss", "mean of an epoch", 0, 1.0),
        panel("Validation accuracy", "correct samples, %", 2, 100.0),
        panel("Test accuracy", "correct samples, %", 1, 100.0),
    ];
    side_by_side("curves", panels.into_iter().flatten())
}

fn side_by_side(class: &str, pictures: impl Iterator<Item = Picture>) -> String {
    let pictures: String = pictures.map(|picture| format!("<div>{}</div>", picture.svg())).collect();
    if pictures.is_empty() { pictures } else { format!("<div class=\"pictures {class}\">{pictures}</div>") }
}

/// Entries for a run's progress or for locations, which are not settings.
const NO_SETTINGS: [&str; 4] = [key::run, key::step, key::best, key::init];

/// The settings that differ between the runs.
fn settings(runs: &[Run]) -> String {
    let mut names = Vec::new();
    let entries: Vec<Vec<(&str, &str, String)>> = runs.iter().map(|run| run.provenance.entries()).collect();
    for (name, ..) in entries.iter().flatten() {
        if !names.contains(name) && !NO_SETTINGS.contains(name) {
            names.push(*name);
        }
    }
    let text =
        |run: usize, name: &str| entries[run].iter().find(|(other, ..)| *other == name).map(|(.., text)| text.as_str());
    let row = |name: &&str| {
        let texts: Vec<Option<&str>> = (0..runs.len()).map(|run| text(run, name)).collect();
        let different: BTreeSet<&Option<&str>> = texts.iter().collect();
        (different.len() > 1).then(|| {
            let cells = own_lines(&texts).into_iter().map(|text| Cell { text, kind: Kind::Text });
            std::iter::once(plain(*name)).chain(cells).collect::<Vec<_>>()
        })
    };
    let rows: Vec<Vec<Cell>> = names.iter().filter_map(row).collect();
    let head: Vec<String> = std::iter::once(String::new()).chain(runs.iter().map(|run| run.name.clone())).collect();
    match (runs.len(), rows.is_empty()) {
        (1, _) => String::new(),
        (_, true) => "<p>None.</p>".to_owned(),
        _ => table(&head, &rows),
    }
}

/// Texts, such as models, without the lines that all of them share.
fn own_lines(texts: &[Option<&str>]) -> Vec<String> {
    const MOST: usize = 12;
    let lines: Vec<BTreeSet<&str>> = texts.iter().map(|text| text.unwrap_or_default().lines().collect()).collect();
    let own = |text: &Option<&str>| {
        let Some(text) = text else { return "–".to_owned() };
        if text.lines().count() < 2 {
            return (*text).to_owned();
        }
        let own: Vec<&str> = text.lines().filter(|line| !lines.iter().all(|other| other.contains(line))).collect();
        let more = if own.len() > MOST { format!("\n… {} more lines", own.len() - MOST) } else { String::new() };
        // The texts differ only in the order or number of their lines.
        if own.is_empty() {
            format!("{} lines", text.lines().count())
        } else {
            own[..own.len().min(MOST)].join("\n") + &more
        }
    };
    texts.iter().map(own).collect()
}

/// The runs that were evaluated, with their results.
fn evaluated(runs: &[Run]) -> Vec<(&Run, &Examined)> {
    runs.iter().filter_map(|run| Some((run, run.examined.as_ref().ok()?))).collect()
}

fn by_class(runs: &[Run]) -> String {
    let found = evaluated(runs);
    let classes = found.iter().map(|(_, examined)| examined.evaluated.confusion.len()).max().unwrap_or(0);
    if classes == 0 {
        return String::new();
    }
    let head: Vec<String> =
        std::iter::once("class".to_owned()).chain(found.iter().map(|(run, _)| run.name.clone())).collect();
    let row = |class: usize| {
        let of = |(_, examined): &(&Run, &Examined)| examined.evaluated.per_class().get(class).copied().flatten();
        let values: Vec<Option<f32>> = found.iter().map(of).collect();
        std::iter::once(plain(class.to_string())).chain(compared(&values, trained::percent)).collect()
    };
    let rows: Vec<Vec<Cell>> = (0..classes).map(row).collect();
    table(&head, &rows)
}

fn confusions(runs: &[Run]) -> String {
    let picture = |(run, examined): (&Run, &Examined)| {
        let accuracy = trained::percent(examined.evaluated.accuracy());
        confusion(&examined.evaluated.confusion, &format!("{}, {accuracy}", run.name))
    };
    side_by_side("matrices", evaluated(runs).into_iter().map(picture))
}

fn layers(runs: &[Run]) -> String {
    let found = evaluated(runs);
    let mut paths = BTreeSet::new();
    for (_, examined) in &found {
        paths.extend(examined.evaluated.spike_rates.keys().chain(examined.evaluated.counted.synapses.keys()));
    }
    if paths.is_empty() {
        return String::new();
    }
    let head: Vec<String> =
        std::iter::once("layer".to_owned()).chain(found.iter().map(|(run, _)| run.name.clone())).collect();
    let cell = |path: &String, examined: &Examined| {
        let rate = examined.evaluated.spike_rates.get(path).map(|rate| format!("{rate:.4} spikes"));
        let operations = examined.evaluated.counted.synapses.get(path).map(|layer| {
            let kind = if layer.accumulates { "AC" } else { "MAC" };
            format!("{:.0} of {:.0} {kind}", layer.effective, layer.dense)
        });
        let parts: Vec<String> = rate.into_iter().chain(operations).collect();
        plain(if parts.is_empty() { "–".to_owned() } else { parts.join(", ") })
    };
    let row = |path: &&String| {
        let cells = found.iter().map(|(_, examined)| cell(path, examined));
        std::iter::once(plain(*path)).chain(cells).collect()
    };
    let mut paths: Vec<&String> = paths.into_iter().collect();
    paths.sort_by_key(|path| rates::place(path));
    let rows: Vec<Vec<Cell>> = paths.iter().map(row).collect();
    table(&head, &rows)
}

fn again(runs: &[Run]) -> String {
    let mut body = String::new();
    for run in runs {
        let reproduce::Command { line, notes } = reproduce::command(&run.folder, &run.provenance);
        let versions: Vec<String> =
            [&run.provenance.spiq, &run.provenance.plugin].into_iter().flatten().cloned().collect();
        let _ = write!(
            body,
            "<p>{}, by spiq {}</p><pre>{}</pre>",
            escaped(&run.name),
            escaped(&versions.join(", ")),
            escaped(&line)
        );
        if !notes.is_empty() {
            let _ = write!(body, "<p>{}</p>", escaped(&notes.join("; ")));
        }
        if let Err(reason) = &run.examined {
            let _ = write!(body, "<p>Not evaluated: {}</p>", escaped(reason));
        }
    }
    body
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
