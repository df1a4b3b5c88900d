//! Draws one recording of events: a raster for a sensor with one row, else a strip of frames.

use std::fmt::Write;

use kuva::plot::ScatterPlot;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{PathData, Primitive, Scene, TextAnchor, render_multiple};
use spiq_events::{Events, Sensor};

use super::palette::{BLUE, GRID, INK, PAPER, RED, theme};
use super::picture::{Picture, WIDTH, styled};
use super::raster::upright;

const RASTER_HEIGHT: f64 = 380.0;
/// Frames in a strip, in two rows.
const FRAMES: usize = 8;
const COLUMNS: usize = 4;
const GAP: f64 = 12.0;
/// Maximum number of cells along a frame's side: more are smaller than a pixel.
const MOST_CELLS: usize = 128;
/// Levels of opacity; more would be indistinguishable.
const LEVELS: u64 = 4;

/// The events of one recording under a title.
///
/// For a sensor with one row: time in seconds on the x axis, channels on the y axis, and a mark per event. For a camera: eight frames of
/// equal duration show where brightness mostly rose (blue) or mostly fell (red), with opacity by frequency.
///
/// ```
/// use spiq_events::{Events, Sensor};
/// let mut events = Events::default();
/// events.push(250_000, 3, 0, true);
/// let picture = spiq::display::recording(&events, Sensor::cochlea(16), "sample 0");
/// assert!(picture.svg().contains("sample 0"));
/// ```
pub fn recording(events: &Events, sensor: Sensor, title: &str) -> Picture {
    if sensor.height == 1 { raster(events, sensor, title) } else { strip(events, sensor, title) }
}

fn raster(events: &Events, sensor: Sensor, title: &str) -> Picture {
    let seconds = |t: &i64| *t as f64 / 1e6;
    let points: Vec<(f64, f64)> = events.t.iter().map(seconds).zip(events.x.iter().map(|x| f64::from(*x))).collect();
    let end = events.t.last().map_or(1.0, seconds).max(1e-6);
    let plots = vec![Plot::Scatter(ScatterPlot::new().with_data(points).with_color(BLUE.light).with_size(1.0))];
    let layout = Layout::auto_from_plots(&plots).with_width(WIDTH).with_height(RASTER_HEIGHT);
    let layout = styled(layout, title, "time, s", "channel");
    let layout = layout.with_x_axis_min(0.0).with_x_axis_max(end);
    let layout = layout.with_y_axis_min(0.0).with_y_axis_max(f64::from(sensor.width));
    let mut scene = render_multiple(plots, layout);
    // Few marks are drawn larger to be visible.
    let thick = if events.len() < 3000 { 2.0 } else { 1.2 };
    let row = (RASTER_HEIGHT - 90.0) / f64::from(sensor.width);
    scene.elements.iter_mut().for_each(|element| upright(element, (0.8 * row).clamp(thick, 14.0), thick));
    Picture::new(scene)
}

fn strip(events: &Events, sensor: Sensor, title: &str) -> Picture {
    let side = (WIDTH - GAP * (COLUMNS + 1) as f64) / COLUMNS as f64;
    let height = side * f64::from(sensor.height) / f64::from(sensor.width);
    let (head, label) = (40.0, 22.0);
    let rows = FRAMES / COLUMNS;
    let mut scene = Scene::new(WIDTH, head + rows as f64 * (height + label) + GAP);
    scene.background_color = Some(theme().background);
    scene.text_color = Some(theme().text_color);
    scene.font_family = theme().font_family;
    let colours = if sensor.polarities == 2 { " (blue: brighter, red: darker)" } else { "" };
    scene.elements.push(text(WIDTH / 2.0, 24.0, 15, &format!("{title}{colours}")));
    let end = events.t.last().copied().unwrap_or(0) + 1;
    for frame in 0..FRAMES {
        let limit = |frame: usize| (end as i128 * frame as i128 / FRAMES as i128) as i64;
        let (from, to) = (limit(frame), limit(frame + 1));
        let x = GAP + (frame % COLUMNS) as f64 * (side + GAP);
        let y = head + (frame / COLUMNS) as f64 * (height + label);
        scene.elements.push(Primitive::Rect {
            x,
            y,
            width: side,
            height,
            fill: PAPER.light.into(),
            stroke: Some(GRID.light.into()),
            stroke_width: Some(1.0),
            opacity: None,
        });
        scene.elements.extend(cells(&Frame::new(events, sensor, [from, to]), [x, y, side, height]));
        let times = format!("{:.0} to {:.0} ms", from as f64 / 1e3, to as f64 / 1e3);
        scene.elements.push(text(x + side / 2.0, y + height + 15.0, 12, &times));
    }
    Picture::new(scene)
}

fn text(x: f64, y: f64, size: u32, content: &str) -> Primitive {
    let color = Some(INK.light.into());
    Primitive::Text {
        x,
        y,
        content: content.into(),
        size,
        anchor: TextAnchor::Middle,
        rotate: None,
        bold: false,
        color,
    }
}

/// Net events of a time window by position: rises minus falls.
struct Frame {
    width: usize,
    height: usize,
    values: Vec<i64>,
}

impl Frame {
    fn new(events: &Events, sensor: Sensor, [from, to]: [i64; 2]) -> Frame {
        let (width, height) = (usize::from(sensor.width), usize::from(sensor.height));
        let step = width.max(height).div_ceil(MOST_CELLS);
        let (width, height) = (width.div_ceil(step), height.div_ceil(step));
        let mut values = vec![0; width * height];
        let range = events.t.partition_point(|t| *t < from)..events.t.partition_point(|t| *t < to);
        for event in range {
            let (x, y) = (usize::from(events.x[event]) / step, usize::from(events.y[event]) / step);
            values[y * width + x] += if events.p[event] { 1 } else { -1 };
        }
        Frame { width, height, values }
    }
}

/// One path per colour and opacity.
fn cells(frame: &Frame, [left, top, width, height]: [f64; 4]) -> Vec<Primitive> {
    let largest = frame.values.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0).max(1);
    let (w, h) = (width / frame.width as f64, height / frame.height as f64);
    let mut elements = Vec::new();
    for (colour, sign) in [(BLUE, 1), (RED, -1)] {
        for level in 1..=LEVELS {
            let mut d = String::new();
            for (place, value) in frame.values.iter().enumerate() {
                // The square root makes small counts visible.
                let share = (value.unsigned_abs() as f64 / largest as f64).sqrt();
                if value.signum() == sign && (share * LEVELS as f64).ceil() as u64 == level {
                    let (x, y) = ((place % frame.width) as f64 * w, (place / frame.width) as f64 * h);
                    let _ = write!(d, "M{:.1} {:.1}h{w:.2}v{h:.2}h-{w:.2}z", left + x, top + y);
                }
            }
            if !d.is_empty() {
                elements.push(Primitive::Path(Box::new(PathData {
                    d,
                    fill: Some(colour.light.into()),
                    stroke: kuva::render::color::Color::None,
                    stroke_width: 0.0,
                    opacity: Some(level as f64 / LEVELS as f64),
                    stroke_dasharray: None,
                })));
            }
        }
    }
    elements
}
