//! Draws a confusion matrix.

use std::fmt::Write;

use super::palette::{BLUE, INK, PAPER};
use super::picture::{Picture, WIDTH};

/// The largest number of classes for which counts fit into the cells.
const FEW: usize = 24;
/// Maximum number of labels along an axis.
const MOST_LABELS: usize = 40;
/// Margins to the left of, above and below the cells.
const LEFT: f64 = 64.0;
const TOP: f64 = 46.0;
const BELOW: f64 = 54.0;

/// The number of samples of each class (rows, the first at the top) by predicted class (columns).
///
/// ```
/// let svg = spiq::display::confusion(&[vec![9, 1], vec![0, 10]], "Test samples").svg().to_owned();
/// assert!(svg.contains("Test samples") && svg.contains("predicted class") && svg.contains(">9</text>"));
/// ```
pub fn confusion(matrix: &[Vec<u64>], title: &str) -> Picture {
    let classes = matrix.len().max(1);
    let side = ((WIDTH - LEFT - 20.0) / classes as f64).min(64.0);
    let (width, height) = (WIDTH, TOP + side * classes as f64 + BELOW);
    let mut body = format!("<rect width='{width}' height='{height}' fill='{}'/>", PAPER.light);
    let centre = LEFT + side * classes as f64 / 2.0;
    text(&mut body, [centre, 26.0], 15.0, "middle", INK.light, title);
    for (class, row) in matrix.iter().enumerate() {
        let of_class = row.iter().sum::<u64>().max(1) as f64;
        for (taken, count) in row.iter().enumerate() {
            let (x, y) = (LEFT + side * taken as f64, TOP + side * class as f64);
            // The square root emphasizes small counts: a few misclassified samples should be visible.
            let share = (*count as f64 / of_class).sqrt();
            let _ = write!(
                body,
                "<rect x='{x:.1}' y='{y:.1}' width='{:.1}' height='{:.1}' fill='{}' fill-opacity='{:.2}'/>",
                side * 0.96,
                side * 0.96,
                BLUE.light,
                0.05 + 0.95 * share
            );
            if classes <= FEW && *count > 0 {
                let colour = if share > 0.55 { PAPER.light } else { INK.light };
                let size = (side * 0.36).clamp(7.0, 14.0);
                text(
                    &mut body,
                    [x + side * 0.48, y + side * 0.48 + size * 0.36],
                    size,
                    "middle",
                    colour,
                    &count.to_string(),
                );
            }
        }
    }
    for class in (0..matrix.len()).step_by(classes.div_ceil(MOST_LABELS)) {
        let at = side * (class as f64 + 0.48);
        let size = (side * 0.5).clamp(7.0, 12.0);
        text(&mut body, [LEFT - 8.0, TOP + at + size * 0.36], size, "end", INK.light, &class.to_string());
        text(&mut body, [LEFT + at, TOP + side * classes as f64 + 16.0], size, "middle", INK.light, &class.to_string());
    }
    text(&mut body, [centre, height - 12.0], 13.0, "middle", INK.light, "predicted class");
    let middle = TOP + side * classes as f64 / 2.0;
    let turned = format!("<g transform='translate(18 {middle:.1}) rotate(-90)'>");
    body.push_str(&turned);
    text(&mut body, [0.0, 0.0], 13.0, "middle", INK.light, "class");
    body.push_str("</g>");
    Picture::of([width, height], &body)
}

fn text(body: &mut String, [x, y]: [f64; 2], size: f64, anchor: &str, colour: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = write!(
        body,
        "<text x='{x:.1}' y='{y:.1}' font-size='{size:.0}' text-anchor='{anchor}' fill='{colour}'>{words}</text>"
    );
}
