//! Transforms of coordinates.

use super::draws::Draws;
use crate::arguments::Pair;
use crate::events::{Events, Sensor};

/// The factors by which `Downsample` multiplies columns and rows.
pub(super) fn factor(factor: Pair<f64>, target: Option<Pair<usize>>, sensor: Sensor) -> Pair<f64> {
    let rows = |y: f64| if sensor.height == 1 { 1.0 } else { y };
    match target {
        None => Pair { x: factor.x, y: rows(factor.y) },
        Some(Pair { x, y }) => {
            Pair { x: x as f64 / f64::from(sensor.width), y: rows(y as f64 / f64::from(sensor.height)) }
        }
    }
}

/// Scales coordinates, rounding down.
pub(super) fn downsample(events: &mut Events, factor: Pair<f64>) {
    events.x.iter_mut().for_each(|x| *x = (f64::from(*x) * factor.x) as u16);
    events.y.iter_mut().for_each(|y| *y = (f64::from(*y) * factor.y) as u16);
}

/// Crops to the centre of the sensor, or pads if `after` is larger.
pub(super) fn crop_centre(events: &mut Events, sensor: Sensor, after: Sensor) {
    let start = |from: u16, to: u16| (i64::from(from) - i64::from(to)).div_euclid(2);
    crop(events, [start(sensor.width, after.width), start(sensor.height, after.height)], after);
}

/// Crops to a random block of the size of `after`, which is not larger than the sensor.
pub(super) fn crop_anywhere(events: &mut Events, sensor: Sensor, after: Sensor, draws: &mut Draws) {
    let mut start = |from: u16, to: u16| draws.below(u64::from(from - to) + 1) as i64;
    let starts = [start(sensor.width, after.width), start(sensor.height, after.height)];
    crop(events, starts, after);
}

/// Crops to a block, with coordinates relative to its corner.
fn crop(events: &mut Events, [first_column, first_row]: [i64; 2], after: Sensor) {
    move_all(events, |x, y| {
        let (x, y) = (i64::from(x) - first_column, i64::from(y) - first_row);
        let inside = (0..i64::from(after.width)).contains(&x) && (0..i64::from(after.height)).contains(&y);
        inside.then_some((x as u16, y as u16))
    });
}

/// Moves each event by normally distributed distances with variances along columns and rows and a covariance, rounded.
///
/// tonic truncates instead, which moves all events by half a pixel on average, and without clipping it keeps events outside the sensor.
pub(super) fn jitter(
    events: &mut Events,
    sensor: Sensor,
    [var_x, var_y, sigma_xy]: [f64; 3],
    clip_outliers: bool,
    draws: &mut Draws,
) {
    // The Cholesky factor of the covariance matrix.
    let along_x = var_x.sqrt();
    let both = if along_x == 0.0 { 0.0 } else { sigma_xy / along_x };
    let along_y = (var_y - both * both).max(0.0).sqrt();
    let (right, lowest) = (f64::from(sensor.width - 1), f64::from(sensor.height - 1));
    move_all(events, |x, y| {
        let (first, second) = draws.normals();
        let x = (f64::from(x) + along_x * first).round();
        // A cochlea has only one row.
        let y = if lowest == 0.0 { 0.0 } else { (f64::from(y) + both * first + along_y * second).round() };
        let inside = (0.0..=right).contains(&x) && (0.0..=lowest).contains(&y);
        (inside || !clip_outliers).then_some((x.clamp(0.0, right) as u16, y.clamp(0.0, lowest) as u16))
    });
}

/// Maps each event's coordinates; events mapped to `None` are dropped.
fn move_all(events: &mut Events, mut to: impl FnMut(u16, u16) -> Option<(u16, u16)>) {
    let mut kept = 0;
    for i in 0..events.len() {
        if let Some((x, y)) = to(events.x[i], events.y[i]) {
            (events.t[kept], events.p[kept]) = (events.t[i], events.p[i]);
            (events.x[kept], events.y[kept]) = (x, y);
            kept += 1;
        }
    }
    events.truncate(kept);
}
