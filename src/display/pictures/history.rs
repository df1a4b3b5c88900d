//! Draws the history of a training run over its epochs: loss, test metrics and spike rates.

use std::collections::BTreeMap;
use std::sync::Arc;

use kuva::plot::{LegendPosition, LinePlot, ScatterPlot};
use kuva::render::figure::Figure;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;

use super::course::{Course, Points, below, limit};
use super::palette::{BLUE, GREEN, ORANGE, PALE, RED, SERIES, theme};
use super::picture::{Picture, TITLE_SIZE, WIDTH, styled};
use crate::record::Record;

/// Maximum number of points: more than the picture's width in pixels only make it slow to open.
const MOST_POINTS: usize = 400;
/// The ratio of largest to smallest loss beyond which the axis is logarithmic.
const LOG_RATIO: f64 = 50.0;
/// The height of a row of panels.
const HEIGHT: f64 = 270.0;
const COLUMNS: usize = 2;

/// Draws a run's records under `title`, over epochs: the loss of each step with its moving average and the mean of each epoch; test and
/// validation accuracies with the best epoch marked, or custom metrics instead; the spike rate of each layer. Losses at the start that are
/// far above all later ones are cut off.
///
/// ```
/// use spiq::{display, train::Record};
/// let records = [Record::step(0, 2.3), Record::step(1, 2.1), Record::epoch(1, 2.2, 0.5)];
/// assert!(display::history(&records, "digits, int8").svg().starts_with("<svg"));
/// ```
pub fn history(records: &[Record], title: &str) -> Picture {
    let course = Course::new(records);
    let mut panels = vec![loss_panel(&course)];
    if !course.test.is_empty() || !course.validation.is_empty() {
        panels.push(accuracy_panel(&course.test, &course.validation));
    }
    panels.extend(course.metrics.iter().map(|(name, values)| metric_panel(name, values)));
    if !course.spike_rates.is_empty() {
        panels.push(rates_panel(&course.spike_rates));
    }
    let (rows, columns) = (panels.len().div_ceil(COLUMNS), panels.len().min(COLUMNS));
    // A last panel that is alone in its row is as wide as the row.
    let mut structure: Vec<Vec<usize>> = (0..panels.len()).map(|panel| vec![panel]).collect();
    if let Some(last) = structure.last_mut().filter(|_| panels.len() < rows * columns) {
        last.push(panels.len());
    }
    let over_epochs = |layout: Layout| match course.epochs {
        Some(epochs) => of_epochs(layout, &[(epochs as f64, 0.0)]).with_x_axis_min(0.0).with_x_axis_max(epochs as f64),
        None => layout,
    };
    let (plots, layouts): (Vec<Vec<Plot>>, Vec<Layout>) = panels.into_iter().unzip();
    let layouts = layouts.into_iter().map(over_epochs).collect();
    let figure = Figure::new(rows, columns).with_structure(structure).with_plots(plots).with_layouts(layouts);
    let figure = figure.with_title(title).with_title_size(TITLE_SIZE);
    let mut scene = figure.with_cell_size(WIDTH / columns as f64, HEIGHT).with_spacing(0.0).with_padding(6.0).render();
    scene.background_color = Some(theme().background);
    scene.text_color = Some(theme().text_color);
    scene.font_family = theme().font_family;
    Picture::new(scene)
}

fn loss_panel(course: &Course) -> (Vec<Plot>, Layout) {
    let logarithmic = spread(&course.losses) > LOG_RATIO;
    // On a logarithmic axis, average the logarithms; otherwise one large loss would dominate the window.
    let mean = if logarithmic {
        let logs = course.losses.iter().map(|(x, y)| (*x, y.ln())).collect();
        smoothed(&logs).into_iter().map(|(x, y)| (x, y.exp())).collect()
    } else {
        smoothed(&course.losses)
    };
    let limit = if logarithmic { None } else { limit(&course.losses, &course.epoch_losses) };
    let raw = LinePlot::new().with_data(below(thinned(&course.losses), limit)).with_color(PALE.light);
    let mean = LinePlot::new().with_data(below(thinned(&mean), limit)).with_color(BLUE.light).with_stroke_width(2.5);
    let mut plots = vec![
        Plot::Line(raw.with_stroke_width(1.0).with_legend("each batch")),
        Plot::Line(mean.with_legend("moving average")),
    ];
    if !course.epoch_losses.is_empty() && !course.losses.is_empty() {
        let dots = ScatterPlot::new().with_data(thinned(&course.epoch_losses)).with_color(BLUE.light).with_size(3.0);
        plots.push(Plot::Scatter(dots.with_legend("mean of an epoch")));
    }
    let title = match limit {
        None => "Training loss".to_owned(),
        Some(_) => format!("Training loss, {:.3} at first", course.losses[0].1),
    };
    let x_label = if course.epochs.is_some() { "epoch" } else { "step" };
    let layout = styled(Layout::auto_from_plots(&plots), &title, x_label, "loss");
    let layout = layout.with_legend_position(LegendPosition::InsideTopRight);
    (plots, if logarithmic { layout.with_log_y() } else { layout })
}

/// Spikes per neuron and step of each layer.
fn rates_panel(rates: &BTreeMap<String, Points>) -> (Vec<Plot>, Layout) {
    let lines = rates
        .iter()
        .enumerate()
        .flat_map(|(index, (path, values))| by_epoch(values, SERIES[index % SERIES.len()].light, path));
    let plots: Vec<Plot> = lines.collect();
    let layout =
        styled(Layout::auto_from_plots(&plots), "Spike rates on the test samples", "epoch", "spikes per neuron, step");
    (plots, layout.with_legend_position(LegendPosition::OutsideRightTop).with_y_axis_min(0.0))
}

/// The values of epochs, as a line with dots.
fn by_epoch(values: &Points, colour: &str, name: &str) -> Vec<Plot> {
    let line = LinePlot::new().with_data(thinned(values)).with_color(colour).with_stroke_width(2.0);
    let line = if name.is_empty() { line } else { line.with_legend(name) };
    let dots = ScatterPlot::new().with_data(thinned(values)).with_color(colour).with_size(3.5);
    vec![Plot::Line(line), Plot::Scatter(dots)]
}

/// An axis of epochs, with integer ticks.
pub(super) fn of_epochs(layout: Layout, values: &[(f64, f64)]) -> Layout {
    const TICKS: f64 = 8.0;
    let last = values.last().map_or(1.0, |(epoch, _)| *epoch);
    let steps = [1.0, 2.0, 5.0].into_iter();
    let step = (0..16).flat_map(|power| steps.clone().map(move |step| step * 10f64.powi(power)));
    let step = step.into_iter().find(|step| last / step <= TICKS).unwrap_or(last);
    layout.with_x_tick_step(step)
}

fn metric_panel(name: &str, values: &Points) -> (Vec<Plot>, Layout) {
    let (plots, last) = (by_epoch(values, GREEN.light, ""), values.last().map_or(0.0, |(_, value)| *value));
    let layout = styled(Layout::auto_from_plots(&plots), &format!("{name}, {last:.4} at the end"), "epoch", name);
    (plots, layout)
}

/// Test and validation accuracy, with the best epoch marked.
fn accuracy_panel(test: &Points, validation: &Points) -> (Vec<Plot>, Layout) {
    let best = validation.iter().copied().reduce(|best, point| if point.1 > best.1 { point } else { best });
    let named = if validation.is_empty() { ["", ""] } else { ["test", "validation"] };
    let mut plots = by_epoch(test, GREEN.light, named[0]);
    plots.extend(by_epoch(validation, ORANGE.light, named[1]));
    if let Some(best) = best {
        let ring = ScatterPlot::new().with_data([best]).with_color(RED.light).with_size(6.5);
        plots.push(Plot::Scatter(ring.with_legend(format!("best epoch, {}", best.0))));
    }
    let at_end = |values: &Points| values.last().map_or(0.0, |(_, accuracy)| 100.0 * accuracy);
    let title = match best {
        None => format!("Test accuracy, {:.1} % at the end", at_end(test)),
        Some((epoch, accuracy)) => format!("Accuracy; best epoch {epoch}: {:.1} %", 100.0 * accuracy),
    };
    let label = if validation.is_empty() { "correct test samples, %" } else { "correct samples, %" };
    let layout = styled(Layout::auto_from_plots(&plots), &title, "epoch", label);
    let layout = layout.with_legend_position(LegendPosition::InsideBottomRight);
    (plots, layout.with_y_tick_format(TickFormat::Custom(Arc::new(percent))))
}

/// A fraction in percent, with at most two decimals.
fn percent(fraction: f64) -> String {
    let text = format!("{:.2}", 100.0 * fraction);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The ratio of largest to smallest loss; 0 if the smallest is not positive, for which there is no logarithm.
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

/// Means over a window of a twentieth of the run around each point, truncated at both ends.
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
