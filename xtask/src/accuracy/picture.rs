//! The chart of docs/accuracy.md: the effect of each ablation on the accuracy of the recipe `speech`.

use std::fmt::Write as _;

use super::networks::{Row, SPLITS};
use super::score::{Ended, Score};

/// Height of a row, in pixels.
const ROW: f64 = 26.0;
/// Width of the names' column.
const NAMES: f64 = 220.0;
/// Width of the scale.
const SCALE: f64 = 420.0;
/// Height above the first row.
const TOP: f64 = 34.0;

/// Colours that are legible on light and dark pages.
const STYLE: &str = "<style>text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#24292e}.grid{stroke:#dfe3e8}.bar{stroke:#1f5fa8;\
    stroke-width:2}.dot{fill:#1f5fa8}.whole{stroke:#c4561c;stroke-dasharray:4 4}@media (prefers-color-scheme:dark){text{fill:#e3e6ea}\
    .grid{stroke:#363c44}.bar{stroke:#6cabf0}.dot{fill:#6cabf0}.whole{stroke:#f09a62}}</style>";

/// A point with its deviation for each row of the table `changed`; `None` if a row has no finished run.
pub fn changed() -> Option<String> {
    let split = SPLITS.iter().find(|split| split.called == "changed")?;
    let of_row = |(number, row): (usize, &'static Row)| {
        let ended = Ended::of(split, number);
        (ended.count() > 0).then(|| (row.name, ended.last()))
    };
    let rows: Vec<(&str, Score)> = split.rows().into_iter().enumerate().map(of_row).collect::<Option<_>>()?;
    let whole = rows.first()?.1;
    Some(drawn(&rows, whole))
}

fn drawn(rows: &[(&str, Score)], whole: Score) -> String {
    let ends = rows.iter().map(|(_, score)| (score.mean - side(score), score.mean + side(score)));
    let (low, high) = ends.fold((f64::MAX, f64::MIN), |(low, high), (l, h)| (low.min(l), high.max(h)));
    let (low, high) = ((low / 5.0).floor() * 5.0, (high / 5.0).ceil() * 5.0);
    let x = |percent: f64| NAMES + SCALE * (percent - low) / (high - low);
    let bottom = TOP + ROW * rows.len() as f64;
    let (width, height) = (NAMES + SCALE + 30.0, bottom + 30.0);
    let mut svg = format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img'>{STYLE}");
    let _ = write!(svg, "<text x='{NAMES}' y='16'>accuracy on unseen speakers, %</text>");
    for mark in (low as usize..=high as usize).step_by(5) {
        let at = x(mark as f64);
        let _ = write!(svg, "<line class='grid' x1='{at:.1}' x2='{at:.1}' y1='{TOP}' y2='{bottom}'/>");
        let _ = write!(svg, "<text x='{at:.1}' y='{}' text-anchor='middle'>{mark}</text>", bottom + 18.0);
    }
    let at = x(whole.mean);
    let _ = write!(svg, "<line class='whole' x1='{at:.1}' x2='{at:.1}' y1='{TOP}' y2='{bottom}'/>");
    for (number, (name, score)) in rows.iter().enumerate() {
        let y = TOP + ROW * (number as f64 + 0.5);
        let [from, to] = [score.mean - side(score), score.mean + side(score)].map(x);
        let _ = write!(svg, "<text x='{}' y='{:.1}' text-anchor='end'>{name}</text>", NAMES - 12.0, y + 4.5);
        let _ = write!(svg, "<line class='bar' x1='{from:.1}' x2='{to:.1}' y1='{y:.1}' y2='{y:.1}'/>");
        let _ = write!(svg, "<circle class='dot' cx='{:.1}' cy='{y:.1}' r='4.5'/>", x(score.mean));
    }
    svg + "</svg>\n"
}

/// Half the length of a point's error bar.
fn side(score: &Score) -> f64 {
    score.deviation.unwrap_or(0.0)
}
