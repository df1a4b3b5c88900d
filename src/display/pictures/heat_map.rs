//! Draws a matrix as a heat map.

use std::sync::Arc;

use kuva::plot::Heatmap;
use kuva::plot::colormap::ColorMap;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;
use spiq_hlo::Array;

use super::picture::{Picture, WIDTH, styled};
use crate::display::describe::{number, range};
use crate::error::{Error, Result};

/// Maximum number of rows and columns of cells: more are too small to see, and enlarge the file.
const MOST_CELLS: usize = 64;
/// The largest number of rows or columns that are all numbered.
const FEW: usize = 12;
/// Number of distinct colours; more would be indistinguishable.
const LEVELS: f64 = 48.0;

/// A heat map of a matrix [rows, columns], with row 0 at the top: blue, white, red around zero if there are negative values, else from dark
/// to light. Beyond 64 rows or columns, a cell is the mean of several elements.
///
/// # Errors
/// Of kind `Input`: another number of axes, no finite values.
///
/// ```
/// use spiq::{Array, display};
/// let weights = Array::new([2, 3], [0.1f32, -0.2, 0.3, 0.0, 0.5, -0.6])?;
/// assert!(display::heat_map(&weights)?.svg().contains("f32[2,3], from -0.6 to 0.5"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn heat_map(matrix: &Array) -> Result<Picture> {
    let &[rows, columns] = matrix.dims() else {
        return Err(Error::input(format!("a heat map shows a matrix [rows, columns], got {}", matrix.ty())));
    };
    let (low, high) =
        range(matrix).ok_or_else(|| Error::input(format!("{} has no finite value to show", matrix.ty())))?;
    let (tall, wide) = (rows.div_ceil(MOST_CELLS), columns.div_ceil(MOST_CELLS));
    let cells = means(&matrix.to_f64(), columns, tall, wide);
    let mut title = format!("{}, from {} to {}", matrix.ty(), number(low), number(high));
    if tall * wide > 1 {
        title += &format!("; a cell is the mean of {tall} x {wide}");
    }
    let colours =
        if low < 0.0 { diverging(&cells) } else { ColorMap::Custom(Arc::new(|x| ColorMap::Viridis.map(level(x)))) };
    // The axis points up and rows go down, so row r is at -r; tick labels omit the sign.
    let right = (cells[0].len() * wide) as f64 - 0.5;
    let bottom = 0.5 - (cells.len() * tall) as f64;
    let map = Heatmap::new().with_data(cells.into_iter().rev()).with_color_map(colours).with_cell_size(1.0);
    let plots = vec![Plot::Heatmap(map.with_x_range(-0.5, right).with_y_range(bottom, 0.5))];
    let height = (90.0 + WIDTH * 0.7 * rows as f64 / columns as f64).clamp(200.0, 460.0);
    let layout = Layout::auto_from_plots(&plots).with_width(WIDTH).with_height(height);
    let layout = styled(layout, &title, "column", "row").with_show_grid(false);
    let layout = layout.with_x_axis_min(-0.5).with_x_axis_max(right).with_y_axis_min(bottom).with_y_axis_max(0.5);
    // With few rows or columns, label each one.
    let layout = if columns <= FEW { layout.with_x_tick_step(1.0) } else { layout };
    let layout = if rows <= FEW { layout.with_y_tick_step(1.0) } else { layout };
    let layout = layout.with_y_tick_format(TickFormat::Custom(Arc::new(|y| (0.0 - y).to_string())));
    Ok(Picture::new(render_multiple(plots, layout)))
}

/// Means of blocks of `tall` rows and `wide` columns; the last blocks may be smaller.
fn means(values: &[f64], columns: usize, tall: usize, wide: usize) -> Vec<Vec<f64>> {
    let rows: Vec<&[f64]> = values.chunks_exact(columns).collect();
    let block = |rows: &[&[f64]], first: usize| {
        let cells = rows.iter().flat_map(|row| &row[first..columns.min(first + wide)]);
        cells.clone().sum::<f64>() / cells.count() as f64
    };
    rows.chunks(tall).map(|rows| (0..columns).step_by(wide).map(|first| block(rows, first)).collect()).collect()
}

/// Blue, white, red, with white at zero and a symmetric range.
fn diverging(cells: &[Vec<f64>]) -> ColorMap {
    let all = || cells.iter().flatten().copied();
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let reach = low.abs().max(high.abs());
    ColorMap::Custom(Arc::new(move |x| {
        let value = low + x * (high - low);
        let share = if reach > 0.0 { 0.5 + 0.5 * value / reach } else { 0.5 };
        ColorMap::RedBlue.map(1.0 - level(share))
    }))
}

/// A fraction rounded to a level, so that cells with similar values have the same colour.
fn level(share: f64) -> f64 {
    (share * LEVELS).round() / LEVELS
}
