//! The picture of docs/soak.svg: one panel per kind of resource, over time.

use std::fmt::Write as _;

use super::sample::Sample;

/// Width and height of a panel's curve, in pixels.
const CURVE: (f64, f64) = (520.0, 64.0);
/// Width of the numbers' column, and height of a panel with its heading.
const LEFT: f64 = 76.0;
const PANEL: f64 = 108.0;
/// Points of a curve at most.
const POINTS: usize = 400;

/// Colours that are read on light and on dark pages.
const STYLE: &str = "<style>text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#24292e}.grid{stroke:#dfe3e8}\
    polyline{stroke:#1f5fa8;stroke-width:1.5;fill:none}@media (prefers-color-scheme:dark){text{fill:#e3e6ea}\
    .grid{stroke:#363c44}polyline{stroke:#6cabf0}}</style>";

/// A curve for each kind, from zero.
pub fn of(samples: &[Sample], steps: usize) -> String {
    let (width, height) = (LEFT + CURVE.0 + 24.0, 30.0 + PANEL * Sample::KINDS.len() as f64 + 10.0);
    let mut svg = format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img'>{STYLE}");
    _ = write!(svg, "<text x='{LEFT}' y='18' font-weight='bold'>A training of {} steps</text>", with_commas(steps));
    for kind in 0..Sample::KINDS.len() {
        panel(&mut svg, samples, kind, 30.0 + PANEL * kind as f64);
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, samples: &[Sample], kind: usize, top: f64) {
    let values = || samples.iter().map(|sample| sample.values[kind]);
    let most = values().fold(1.0, f64::max);
    let seconds = samples.last().map_or(1.0, |sample| sample.second).max(1.0);
    let (base, shown) = (top + 26.0 + CURVE.1, |value: f64| match kind {
        0 => format!("{:.0} MB", value / 1e6),
        _ => format!("{value:.0}"),
    });
    _ = write!(svg, "<text x='{LEFT}' y='{}'>{}</text>", top + 16.0, Sample::KINDS[kind]);
    for value in [0.0, most] {
        let y = base - CURVE.1 * value / most;
        _ = write!(svg, "<line class='grid' x1='{LEFT}' x2='{}' y1='{y:.1}' y2='{y:.1}'/>", LEFT + CURVE.0);
        _ = write!(svg, "<text x='{}' y='{:.1}' text-anchor='end'>{}</text>", LEFT - 8.0, y + 4.5, shown(value));
    }
    let points: Vec<String> = samples
        .iter()
        .step_by(samples.len().div_ceil(POINTS).max(1))
        .map(|sample| {
            let (x, y) = (LEFT + CURVE.0 * sample.second / seconds, base - CURVE.1 * sample.values[kind] / most);
            format!("{x:.1},{y:.1}")
        })
        .collect();
    _ = write!(svg, "<polyline points='{}'/>", points.join(" "));
    if kind + 1 == Sample::KINDS.len() {
        let end = LEFT + CURVE.0;
        _ = write!(svg, "<text x='{end}' y='{}' text-anchor='end'>{seconds:.0} s</text>", base + 16.0);
    }
}

fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let from_the_end = |(place, digit): (usize, char)| match (digits.len() - place).is_multiple_of(3) && place > 0 {
        true => format!(",{digit}"),
        false => digit.to_string(),
    };
    digits.chars().enumerate().map(from_the_end).collect()
}
