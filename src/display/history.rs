//! The history of a training run: its loss by step and what its test measured by epoch. Knows nothing of files.

use std::collections::BTreeMap;
use std::sync::Arc;

use kuva::plot::{LegendPosition, LinePlot, ScatterPlot};
use kuva::render::figure::Figure;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;

use super::palette::{BLUE, GREEN, PALE, theme};
use super::picture::{Picture, WIDTH, styled};
use crate::record::Record;

/// Points drawn at most: beyond the picture's width in pixels, more only make it slow to open.
const MOST_POINTS: usize = 400;
/// Loss from largest to smallest from which on the axis is logarithmic.
const LOG_RATIO: f64 = 50.0;
const HEIGHT: f64 = 320.0;

type Points = Vec<(f64, f64)>;

/// A run's records under `title`: the loss of each step with its moving average, and, once there is an epoch, the test
/// accuracy or the metric that was measured instead.
///
/// ```
/// use spiq::{display, train::Record};
/// let records = [Record::step(0, 2.3), Record::step(1, 2.1), Record::epoch(1, 2.2, 0.5)];
/// assert!(display::history(&records, "digits, int8").svg().starts_with("<svg"));
/// ```
pub fn history(records: &[Record], title: &str) -> Picture {
    let (losses, accuracies) = (losses(records), accuracies(records));
    let mut panels = vec![loss_panel(&losses)];
    if !accuracies.is_empty() {
        panels.push(accuracy_panel(&accuracies));
    }
    panels.extend(metrics(records).iter().map(|(name, values)| metric_panel(name, values)));
    let columns = panels.len();
    let (plots, layouts): (Vec<Vec<Plot>>, Vec<Layout>) = panels.into_iter().unzip();
    let figure = Figure::new(1, columns).with_title(title).with_plots(plots).with_layouts(layouts);
    let mut scene = figure.with_cell_size(WIDTH / columns as f64, HEIGHT).with_spacing(0.0).with_padding(6.0).render();
    scene.background_color = Some(theme().background);
    scene.text_color = Some(theme().text_color);
    scene.font_family = theme().font_family;
    Picture::new(scene)
}

fn losses(records: &[Record]) -> Points {
    let point = |record: &Record| match record {
        Record::Step { step, loss: Some(loss) } => Some((*step as f64, f64::from(*loss))),
        _ => None,
    };
    records.iter().filter_map(point).collect()
}

fn accuracies(records: &[Record]) -> Points {
    let point = |record: &Record| match record {
        Record::Epoch { epoch, test_accuracy: Some(accuracy), .. } => Some((*epoch as f64, f64::from(*accuracy))),
        _ => None,
    };
    records.iter().filter_map(point).collect()
}

/// Metrics other than the accuracy, by name.
fn metrics(records: &[Record]) -> BTreeMap<&str, Points> {
    let mut found = BTreeMap::<&str, Points>::new();
    for record in records {
        let Record::Epoch { epoch, metric, .. } = record else { continue };
        for (name, value) in metric.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
            found.entry(name).or_default().push((*epoch as f64, f64::from(value)));
        }
    }
    found
}

fn loss_panel(losses: &Points) -> (Vec<Plot>, Layout) {
    let logarithmic = spread(losses) > LOG_RATIO;
    // On a logarithmic axis the mean of the logarithms, or a single large loss would lift the whole window.
    let mean = if logarithmic {
        let logs = losses.iter().map(|(x, y)| (*x, y.ln())).collect();
        smoothed(&logs).into_iter().map(|(x, y)| (x, y.exp())).collect()
    } else {
        smoothed(losses)
    };
    let raw = LinePlot::new().with_data(thinned(losses)).with_color(PALE.light).with_stroke_width(1.0);
    let mean = LinePlot::new().with_data(thinned(&mean)).with_color(BLUE.light).with_stroke_width(2.5);
    let plots = vec![Plot::Line(raw.with_legend("each batch")), Plot::Line(mean.with_legend("moving average"))];
    let layout = styled(Layout::auto_from_plots(&plots), "Training loss", "step", "loss");
    let layout = layout.with_legend_position(LegendPosition::InsideTopRight);
    (plots, if logarithmic { layout.with_log_y() } else { layout })
}

/// The values of epochs, as a line with a dot each.
fn by_epoch(values: &Points) -> Vec<Plot> {
    let line = LinePlot::new().with_data(thinned(values)).with_color(GREEN.light).with_stroke_width(2.0);
    let dots = ScatterPlot::new().with_data(thinned(values)).with_color(GREEN.light).with_size(3.5);
    vec![Plot::Line(line), Plot::Scatter(dots)]
}

fn metric_panel(name: &str, values: &Points) -> (Vec<Plot>, Layout) {
    let (plots, last) = (by_epoch(values), values.last().map_or(0.0, |(_, value)| *value));
    let layout = styled(Layout::auto_from_plots(&plots), &format!("{name}, {last:.4} at the end"), "epoch", name);
    (plots, layout)
}

fn accuracy_panel(accuracies: &Points) -> (Vec<Plot>, Layout) {
    let plots = by_epoch(accuracies);
    let last = accuracies.last().map_or(0.0, |(_, accuracy)| *accuracy);
    let title = format!("Test accuracy, {:.1} % at the end", 100.0 * last);
    let layout = styled(Layout::auto_from_plots(&plots), &title, "epoch", "correct test samples, %");
    (plots, layout.with_y_tick_format(TickFormat::Custom(Arc::new(percent))))
}

/// A fraction in percent, with as many digits as it needs and at most two after the point.
fn percent(fraction: f64) -> String {
    let text = format!("{:.2}", 100.0 * fraction);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Largest loss over smallest; 0 when one of them is not positive and a logarithm would lose it.
fn spread(points: &Points) -> f64 {
    let (low, high) = points.iter().fold((f64::INFINITY, 0f64), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
    if low > 0.0 { high / low } else { 0.0 }
}

/// Every k-th point, and always the last.
fn thinned(points: &Points) -> Points {
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    let mut chosen: Points = points.iter().copied().step_by(stride).collect();
    if let Some(last) = points.last().filter(|last| chosen.last() != Some(last)) {
        chosen.push(*last);
    }
    chosen
}

/// Means over a window of a twentieth of the run around each point, cut off at the ends.
fn smoothed(points: &Points) -> Points {
    let reach = points.len() / 40;
    let mut sums = vec![0.0];
    points.iter().for_each(|(_, y)| sums.push(sums[sums.len() - 1] + y));
    let mean = |place: usize| {
        let (from, to) = (place.saturating_sub(reach), (place + reach + 1).min(points.len()));
        (sums[to] - sums[from]) / (to - from) as f64
    };
    points.iter().enumerate().map(|(place, (x, _))| (*x, mean(place))).collect()
}
