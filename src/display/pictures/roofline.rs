//! Draws kernels below the roof that a machine sets.

use kuva::plot::{LegendPosition, LinePlot, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use super::palette::{INK, SERIES};
use super::picture::{Picture, WIDTH, styled};

/// Groups of kernels, each a point (operations per byte, operations per second in 10⁹), below what a machine reaches: `[bytes, operations]` per
/// second, in 10⁹. On the slope, a kernel is limited by memory; on the flat part, by its operations. Both axes are logarithmic.
///
/// ```
/// use spiq::display::roofline;
/// let kernels = [("forward".to_owned(), vec![(0.5, 8.0), (6.0, 40.0)])];
/// assert!(roofline("Kernels of L", [20.0, 100.0], &kernels).svg().contains("forward"));
/// ```
pub fn roofline(title: &str, limits: [f64; 2], groups: &[(String, Vec<(f64, f64)>)]) -> Picture {
    let [bytes, operations] = limits;
    let intensities = groups.iter().flat_map(|(_, points)| points.iter().map(|(x, _)| *x));
    let (low, high) =
        intensities.fold((0.1, 10.0 * operations / bytes), |(low, high): (f64, f64), x| (low.min(x), high.max(x)));
    let roof = [low, operations / bytes, high].map(|x| (x, operations.min(x * bytes)));
    let line = LinePlot::new().with_data(roof).with_color(INK.light).with_stroke_width(2.0);
    let limit = format!("{bytes:.0} GB/s, {operations:.0} Gop/s");
    let mut plots = vec![Plot::Line(line.with_legend(&limit))];
    plots.extend(groups.iter().enumerate().map(|(index, (name, points))| {
        let colour = SERIES[index % SERIES.len()].light;
        let scatter = ScatterPlot::new().with_data(points.iter().copied()).with_color(colour).with_size(5.0);
        Plot::Scatter(scatter.with_legend(name))
    }));
    let layout = Layout::auto_from_plots(&plots).with_log_scale().with_width(WIDTH).with_height(340.0);
    let layout = layout.with_legend_position(LegendPosition::OutsideRightTop);
    Picture::new(render_multiple(plots, styled(layout, title, "operations per byte", "operations per second, 10⁹")))
}
