//! Draws membrane potentials over time.

use kuva::plot::LegendPosition;
use kuva::plot::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;
use spiq_hlo::Array;

use super::curves::Curve;
use super::palette::RED;
use super::picture::{Picture, WIDTH, styled};
use super::raster::time_by_units;
use crate::error::Result;

/// Maximum number of curves in one picture; more are hard to distinguish.
const MOST_CURVES: usize = 6;

/// Potentials over time: a curve for each of the first six units, and a line at the threshold, if given.
///
/// Shapes: `potentials` [T, C], or [T, B, C], of which the first sample is shown. Units: time in steps.
///
/// # Errors
/// Of kind `Input`: another number of axes.
///
/// ```
/// use spiq::{Array, display};
/// let potentials = Array::new([3, 2], [0.0f32, 0.5, 0.4, 1.2, 0.7, 0.2])?;
/// assert!(display::traces(&potentials, Some(1.0))?.svg().contains("threshold"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn traces(potentials: &Array, threshold: Option<f64>) -> Result<Picture> {
    let units = time_by_units("potentials", potentials)?;
    let count = units.units.min(MOST_CURVES);
    let name = |unit: usize| if count > 1 { format!("unit {unit}") } else { String::new() };
    let curve = |unit: usize| Curve::of_steps(name(unit), units.of_unit(unit));
    let plots: Vec<Plot> = (0..count).map(|unit| curve(unit).plot(unit)).collect();
    let title = match units.units {
        1 => "Potential".to_owned(),
        all if all == count => format!("Potentials of {all} units"),
        all => format!("Potentials of the first {count} of {all} units"),
    };
    let layout = Layout::auto_from_plots(&plots).with_width(WIDTH).with_height(320.0);
    let mut layout = styled(layout, &title, "time step", "potential");
    layout = layout.with_legend_position(LegendPosition::OutsideRightTop);
    if let Some(threshold) = threshold {
        let line = ReferenceLine::horizontal(threshold).with_color(RED.light).with_label("threshold");
        let (low, high) = plots_range(&units.values, threshold);
        layout = layout.with_reference_line(line).with_y_axis_min(low).with_y_axis_max(high);
    }
    Ok(Picture::new(render_multiple(plots, layout)))
}

/// The range of the values and the threshold, with some margin.
fn plots_range(values: &[f64], threshold: f64) -> (f64, f64) {
    let finite = values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite.fold((threshold, threshold), |(low, high), v| (low.min(v), high.max(v)));
    let room = 0.08 * (high - low).max(1e-9);
    (low - room, high + room)
}
