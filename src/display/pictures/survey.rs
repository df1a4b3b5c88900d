//! Draws statistics of a collection of recordings: samples per class, events per sample, events per channel.

use kuva::plot::LinePlot;
use kuva::plot::bar::BarPlot;
use kuva::plot::histogram::Histogram;
use kuva::render::figure::Figure;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use spiq_events::Survey;

use super::palette::{BLUE, GREEN, theme};
use super::picture::{Picture, WIDTH, styled};

const HEIGHT: f64 = 260.0;
/// Bars of a histogram.
const BINS: usize = 30;
/// The largest number of classes whose bar labels do not overlap.
const FEW: usize = 24;
/// Maximum number of points of a curve; with more channels, neighbours are averaged.
const MOST_POINTS: usize = 350;

/// Draws the number of samples per class, their lengths, their numbers of events, and the distribution of events over channels (for a
/// camera: columns and rows).
pub fn survey(survey: &Survey, title: &str) -> Picture {
    let mut panels = vec![lengths(survey), events(survey)];
    if !survey.description.classes.is_empty() {
        panels.insert(0, classes(survey));
    }
    panels.extend(channels(survey));
    let rows = panels.len().div_ceil(2);
    let (plots, layouts): (Vec<Vec<Plot>>, Vec<Layout>) = panels.into_iter().unzip();
    let figure = Figure::new(rows, 2).with_title(title).with_plots(plots).with_layouts(layouts);
    let mut scene = figure.with_cell_size(WIDTH / 2.0, HEIGHT).with_spacing(0.0).with_padding(6.0).render();
    scene.background_color = Some(theme().background);
    scene.text_color = Some(theme().text_color);
    scene.font_family = theme().font_family;
    Picture::new(scene)
}

type Panel = (Vec<Plot>, Layout);

fn panel(plot: Plot, title: &str, x: &str, y: &str) -> Panel {
    let plots = vec![plot];
    let layout = styled(Layout::auto_from_plots(&plots), title, x, y);
    (plots, layout)
}

fn classes(survey: &Survey) -> Panel {
    let names = &survey.description.classes;
    let mut counts = vec![0.0; names.len()];
    survey.samples.iter().filter_map(|sample| sample.label).for_each(|label| counts[label as usize] += 1.0);
    if names.len() <= FEW {
        let bars: Vec<(&str, f64)> = names.iter().map(String::as_str).zip(counts).collect();
        let bar = BarPlot::new().with_bars(bars).with_color(BLUE.light);
        let (plots, layout) = panel(Plot::Bar(bar), "Samples per class", "", "samples");
        // Long labels are rotated.
        let wide = names.iter().map(|name| name.chars().count()).sum::<usize>() > 40;
        return (plots, if wide { layout.with_x_tick_rotate(-60.0) } else { layout });
    }
    let points: Vec<(f64, f64)> = counts.into_iter().enumerate().map(|(class, count)| (class as f64, count)).collect();
    let line = LinePlot::new().with_data(points).with_color(BLUE.light).with_stroke_width(2.0);
    panel(Plot::Line(line), "Samples per class", "class", "samples")
}

fn histogram(values: Vec<f64>, title: &str, x: &str) -> Panel {
    let (low, high) = values.iter().fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(*v), high.max(*v)));
    // From tick to tick, with a nonzero width even if all values are equal.
    let tick = round((high - low) / 3.0);
    let (low, high) = ((low / tick).floor() * tick, ((high / tick).floor() + 1.0) * tick);
    let histogram = Histogram::new().with_data(values).with_bins(BINS).with_range((low, high)).with_color(GREEN.light);
    let (plots, layout) = panel(Plot::Histogram(histogram), title, x, "samples");
    (plots, layout.with_x_axis_min(low).with_x_axis_max(high).with_x_tick_step(tick))
}

/// The next number above of the form 1, 2 or 5 times a power of ten.
fn round(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|round| *round >= value).unwrap_or(10.0 * power)
}

fn lengths(survey: &Survey) -> Panel {
    histogram(survey.samples.iter().map(|sample| sample.seconds).collect(), "Sample length", "s")
}

fn events(survey: &Survey) -> Panel {
    histogram(survey.samples.iter().map(|sample| sample.events as f64).collect(), "Events per sample", "events")
}

fn channels(survey: &Survey) -> Vec<Panel> {
    let (width, rows) = (usize::from(survey.description.sensor.width), usize::from(survey.description.sensor.height));
    let samples = survey.samples.len().max(1) as f64;
    let curve = |sums: Vec<f64>, title: &str, x: &str| {
        let group = sums.len().div_ceil(MOST_POINTS);
        let point = |(place, sums): (usize, &[f64])| {
            let middle = (place * group) as f64 + (sums.len() - 1) as f64 / 2.0;
            (middle, sums.iter().sum::<f64>() / sums.len() as f64 / samples)
        };
        let points: Vec<(f64, f64)> = sums.chunks(group).enumerate().map(point).collect();
        let line = LinePlot::new().with_data(points).with_color(BLUE.light).with_stroke_width(1.5);
        panel(Plot::Line(line), title, x, "events per sample")
    };
    let sum = |count: usize, of: &dyn Fn(usize) -> usize| {
        let mut sums = vec![0.0; count];
        survey.by_channel.iter().enumerate().for_each(|(place, events)| sums[of(place)] += *events as f64);
        sums
    };
    if rows == 1 {
        return vec![curve(sum(width, &|place| place), "Events by channel", "channel")];
    }
    vec![
        curve(sum(width, &|place| place % width), "Events by column", "column"),
        curve(sum(rows, &|place| place / width), "Events by row", "row"),
    ]
}
