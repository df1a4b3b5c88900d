//! Draws spikes over time as a raster.

use std::fmt::Write;

use kuva::plot::ScatterPlot;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{PathData, Primitive, render_multiple};
use spiq_hlo::Array;

use super::palette::BLUE;
use super::picture::{Picture, WIDTH, styled};
use crate::error::{Error, Result};

const HEIGHT: f64 = 340.0;

/// A raster of spikes: time on the x axis, one row per unit, and a mark wherever a value is positive.
///
/// Shapes: `spikes` [T, C], or [T, B, C], of which the first sample is shown. Units: time in steps. The title gives the number of spikes
/// and the mean firing rate.
///
/// # Errors
/// Of kind `Input`: another number of axes.
///
/// ```
/// use spiq::{Array, display};
/// let spikes = Array::new([2, 3], [1.0f32, 0.0, 0.0, 0.0, 1.0, 1.0])?;
/// assert!(display::raster(&spikes)?.svg().contains("3 spikes of 3 units in 2 steps"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn raster(spikes: &Array) -> Result<Picture> {
    let TimeByUnits { steps, units, values } = time_by_units("spikes", spikes)?;
    let fired = (0..values.len()).filter(|&i| values[i] > 0.0);
    let points: Vec<(f64, f64)> = fired.map(|i| ((i / units) as f64, (i % units) as f64)).collect();
    let rate = 100.0 * points.len() as f64 / values.len().max(1) as f64;
    let title = format!("{} spikes of {units} units in {steps} steps ({rate:.1} % of the maximum)", points.len());
    let plots = vec![Plot::Scatter(ScatterPlot::new().with_data(points).with_color(BLUE.light).with_size(2.0))];
    let layout = Layout::auto_from_plots(&plots).with_width(WIDTH).with_height(HEIGHT);
    let layout = styled(layout, &title, "time step", "unit");
    let layout = layout.with_x_axis_min(-0.5).with_x_axis_max(steps as f64 - 0.5);
    let layout = layout.with_y_axis_min(-0.7).with_y_axis_max(units as f64 - 0.3);
    let mut scene = render_multiple(plots, layout);
    let row = (HEIGHT - 90.0) / units as f64;
    scene.elements.iter_mut().for_each(|element| upright(element, (0.8 * row).clamp(1.5, 14.0), 2.0));
    Ok(Picture::new(scene))
}

/// Replaces dots by upright marks of this height and width, all in one path.
pub(super) fn upright(element: &mut Primitive, height: f64, width: f64) {
    if let Primitive::CircleBatch { cx, cy, fill, .. } = element {
        let mut d = String::new();
        for (x, y) in cx.iter().zip(cy) {
            let _ = write!(d, "M{x:.1} {:.1}v{height:.1}", *y - height / 2.0);
        }
        let stroke = fill.clone();
        let path = PathData { d, fill: None, stroke, stroke_width: width, opacity: None, stroke_dasharray: None };
        *element = Primitive::Path(Box::new(path));
    }
}

/// Values by time and unit.
pub(super) struct TimeByUnits {
    pub(super) steps: usize,
    pub(super) units: usize,
    /// In row-major order, [steps, units].
    pub(super) values: Vec<f64>,
}

impl TimeByUnits {
    /// The values of one unit over time.
    pub(super) fn of_unit(&self, unit: usize) -> impl Iterator<Item = f64> {
        self.values.iter().copied().skip(unit).step_by(self.units.max(1))
    }
}

/// An array [T, C], or the first sample of [T, B, C].
///
/// # Errors
/// Of kind `Input`, naming the array as `what`: another number of axes, an axis of size 0.
pub(super) fn time_by_units(what: &str, array: &Array) -> Result<TimeByUnits> {
    let (steps, batch, units) = match *array.dims() {
        [steps, units] => (steps, 1, units),
        [steps, batch, units] => (steps, batch, units),
        _ => {
            let message = format!("{what} must be [T, C] or [T, B, C] (time, batch, units), got {}", array.ty());
            return Err(Error::input(message));
        }
    };
    if array.ty().count() == 0 {
        return Err(Error::input(format!("{what} {} are empty", array.ty())));
    }
    let all = array.to_f64();
    let values = all.chunks_exact(batch * units).flat_map(|step| &step[..units]).copied().collect();
    Ok(TimeByUnits { steps, units, values })
}
