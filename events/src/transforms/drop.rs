//! Drops or adds events at random.

use super::draws::Draws;
use crate::events::{Events, Sensor};

/// Drops a random fraction of the events, rounded to the nearest whole number of them.
pub(super) fn part(events: &mut Events, part: f64, draws: &mut Draws) {
    let mut left = events.len();
    let mut dropped = (part * left as f64 + 0.5) as usize;
    // Each is dropped with the remaining probability, so all selections are equally likely.
    events.keep(|_, _| {
        let drops = draws.below(left as u64) < dropped as u64;
        left -= 1;
        dropped -= usize::from(drops);
        !drops
    });
}

/// Drops all events in a time span that is a fraction of the recording.
///
/// tonic assumes that the recording begins at 0, so for one that begins later the span may lie before it.
pub(super) fn span(events: &mut Events, part: f64, draws: &mut Draws) {
    let (first, last) = (events.t[0] as f64, events.t[events.len() - 1] as f64);
    let duration = (last - first) * part;
    let start = draws.between(first, last - duration);
    events.keep(|events, i| !(start..=start + duration).contains(&(events.t[i] as f64)));
}

/// Drops all events in a block of pixels; each of its sides is a fraction of the sensor's.
///
/// tonic's blocks never reach the last column and row, and are empty if the sensor has one row, so that nothing is dropped there. For a
/// ratio from a to b, tonic draws from b to 1.
pub(super) fn area(events: &mut Events, sensor: Sensor, part: f64, draws: &mut Draws) {
    let mut side = |size: u16| {
        let length = (f64::from(size) * part) as u64;
        let start = draws.below(u64::from(size) - length + 1);
        start..start + length
    };
    let columns = side(sensor.width);
    let rows = if sensor.height == 1 { 0..1 } else { side(sensor.height) };
    events.keep(|events, i| !(columns.contains(&u64::from(events.x[i])) && rows.contains(&u64::from(events.y[i]))));
}

/// One of four choices, as in "EventDrop: data augmentation for event-based learning" (Gu and others 2021).
pub(super) fn one_of_four(events: &mut Events, sensor: Sensor, draws: &mut Draws) {
    match draws.below(4) {
        0 => {}
        1 => span(events, (1 + draws.below(9)) as f64 / 10.0, draws),
        2 => area(events, sensor, (1 + draws.below(5)) as f64 / 20.0, draws),
        _ => part(events, (1 + draws.below(9)) as f64 / 10.0, draws),
    }
}

/// Drops all events of each pixel with probability `p`.
pub(super) fn pixels(events: &mut Events, sensor: Sensor, p: f64, draws: &mut Draws) {
    let (width, height) = (usize::from(sensor.width), usize::from(sensor.height));
    let dropped: Vec<bool> = (0..width * height).map(|_| draws.happens(p)).collect();
    events.keep(|events, i| !dropped[usize::from(events.y[i]) * width + usize::from(events.x[i])]);
}

/// Adds `n` events at uniform positions on the sensor, between the first event's time and the last's.
pub(super) fn noise(events: &mut Events, sensor: Sensor, n: usize, draws: &mut Draws) {
    let (first, last) = (events.t[0], events.t[events.len() - 1]);
    for _ in 0..n {
        let t = first + draws.below(last.abs_diff(first).saturating_add(1)) as i64;
        let (x, y) = (draws.below(u64::from(sensor.width)), draws.below(u64::from(sensor.height)));
        let p = sensor.polarities == 1 || draws.below(2) == 1;
        events.push(t, x as u16, y as u16, p);
    }
    events.sort();
}
