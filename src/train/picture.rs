//! The picture of a run: its loss by step and its test accuracy by epoch, as SVG. Knows nothing of files.

use std::sync::Arc;

use kuva::backend::svg::SvgBackend;
use kuva::plot::{LegendPosition, LinePlot, ScatterPlot};
use kuva::render::figure::Figure;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;

use super::metrics::Record;

/// Points drawn at most: beyond the picture's width in pixels, more only make it slow to open.
const MOST_POINTS: usize = 800;
/// Loss from largest to smallest from which on the axis is logarithmic.
const LOG_RATIO: f64 = 50.0;
const TITLE_SIZE: u32 = 15;
const BLUE: &str = "#1f5fa8";
const PALE: &str = "#a9c4e4";
const GREEN: &str = "#2a7f3f";

type Points = Vec<(f64, f64)>;

/// Draws a run's records under `title`: the loss of each step with its moving average, and, once there is an epoch, the
/// test accuracy. Returns the text of an SVG file.
///
/// ```
/// use spiq::train::{Record, picture};
/// let records = [Record::step(0, 2.3), Record::step(1, 2.1), Record::epoch(1, 2.2, 0.5)];
/// assert!(picture(&records, "digits, int8").starts_with("<svg"));
/// ```
pub fn picture(records: &[Record], title: &str) -> String {
    let (losses, accuracies) = (losses(records), accuracies(records));
    let mut panels = vec![loss_panel(&losses)];
    if !accuracies.is_empty() {
        panels.push(accuracy_panel(&accuracies));
    }
    let columns = panels.len();
    let (plots, layouts): (Vec<Vec<Plot>>, Vec<Layout>) = panels.into_iter().unzip();
    let figure = Figure::new(1, columns).with_title(title).with_plots(plots).with_layouts(layouts);
    SvgBackend.render_scene(&figure.with_cell_size(520.0, 380.0).render())
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

fn loss_panel(losses: &Points) -> (Vec<Plot>, Layout) {
    let logarithmic = spread(losses) > LOG_RATIO;
    // On a logarithmic axis the mean of the logarithms, or a single large loss would lift the whole window.
    let mean = if logarithmic {
        let logs = losses.iter().map(|(x, y)| (*x, y.ln())).collect();
        smoothed(&logs).into_iter().map(|(x, y)| (x, y.exp())).collect()
    } else {
        smoothed(losses)
    };
    let raw = LinePlot::new().with_data(thinned(losses)).with_color(PALE).with_stroke_width(1.0);
    let mean = LinePlot::new().with_data(thinned(&mean)).with_color(BLUE).with_stroke_width(2.5);
    let plots = vec![Plot::Line(raw.with_legend("each batch")), Plot::Line(mean.with_legend("moving average"))];
    let layout = Layout::auto_from_plots(&plots).with_title("Training loss").with_title_size(TITLE_SIZE);
    let layout = layout.with_x_label("step").with_y_label("loss").with_legend_position(LegendPosition::InsideTopRight);
    (plots, if logarithmic { layout.with_log_y() } else { layout })
}

fn accuracy_panel(accuracies: &Points) -> (Vec<Plot>, Layout) {
    let line = LinePlot::new().with_data(thinned(accuracies)).with_color(GREEN).with_stroke_width(2.0);
    let dots = ScatterPlot::new().with_data(thinned(accuracies)).with_color(GREEN).with_size(3.5);
    let plots = vec![Plot::Line(line), Plot::Scatter(dots)];
    let last = accuracies.last().map_or(0.0, |(_, accuracy)| *accuracy);
    let title = format!("Test accuracy, {:.1} % at the end", 100.0 * last);
    let layout = Layout::auto_from_plots(&plots).with_title(title).with_title_size(TITLE_SIZE);
    let layout = layout.with_x_label("epoch").with_y_label("correct test samples, %");
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

/// Means over a window of a twentieth of the run around each point, narrower at the ends so that it stays centred.
fn smoothed(points: &Points) -> Points {
    let reach = points.len() / 40;
    let mut sums = vec![0.0];
    points.iter().for_each(|(_, y)| sums.push(sums[sums.len() - 1] + y));
    let mean = |place: usize| {
        let reach = reach.min(place).min(points.len() - 1 - place);
        (sums[place + reach + 1] - sums[place - reach]) / (2 * reach + 1) as f64
    };
    points.iter().enumerate().map(|(place, (x, _))| (*x, mean(place))).collect()
}
