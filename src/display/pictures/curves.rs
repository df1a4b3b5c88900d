//! Draws curves over a common axis.

use kuva::plot::{LegendPosition, LinePlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use super::history::of_epochs;
use super::palette::SERIES;
use super::picture::{Picture, WIDTH, styled};

/// A named curve: its points from left to right.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The legend's label.
    pub name: String,
    /// (x, y), in ascending x. Points that are not finite are omitted.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// A curve of this name through `points`.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Curve {
        Curve { name: name.into(), points: points.into_iter().collect() }
    }

    /// A curve of this name with y at x = 0, 1, 2, ….
    pub fn of_steps<Y: Into<f64>>(name: impl Into<String>, y: impl IntoIterator<Item = Y>) -> Curve {
        Curve::new(name, y.into_iter().enumerate().map(|(x, y)| (x as f64, y.into())))
    }

    pub(super) fn plot(&self, index: usize) -> Plot {
        let finite = self.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite());
        let colour = SERIES[index % SERIES.len()].light;
        let line = LinePlot::new().with_data(finite).with_color(colour).with_stroke_width(2.0);
        Plot::Line(if self.name.is_empty() { line } else { line.with_legend(&self.name) })
    }
}

/// Curves in one panel, with a legend of their names.
///
/// ```
/// use spiq::display::{Curve, curves};
/// let square = Curve::new("square", (-10..=10).map(|i| (f64::from(i), f64::from(i * i))));
/// assert!(curves("Powers", "x", "y", &[square]).svg().contains("Powers"));
/// ```
pub fn curves(title: &str, x_label: &str, y_label: &str, curves: &[Curve]) -> Picture {
    drawn(curves, |layout| styled(layout, title, x_label, y_label))
}

/// Curves over epochs, with integer ticks.
pub fn curves_by_epoch(title: &str, y_label: &str, curves: &[Curve]) -> Picture {
    let longest =
        curves.iter().map(|curve| curve.points.as_slice()).max_by_key(|points| points.len()).unwrap_or_default();
    drawn(curves, |layout| of_epochs(styled(layout, title, "epoch", y_label), longest))
}

fn drawn(curves: &[Curve], style: impl FnOnce(Layout) -> Layout) -> Picture {
    let plots: Vec<Plot> = curves.iter().enumerate().map(|(index, curve)| curve.plot(index)).collect();
    let layout = Layout::auto_from_plots(&plots).with_width(WIDTH).with_height(340.0);
    let layout = layout.with_legend_position(LegendPosition::OutsideRightTop);
    Picture::new(render_multiple(plots, style(layout)))
}
