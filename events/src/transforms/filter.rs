//! Filters that keep or drop events by earlier events at or around their pixel.

use crate::events::{Events, Sensor};

/// One value per pixel.
struct Pixels<T> {
    width: usize,
    height: usize,
    values: Vec<T>,
}

impl<T: Clone> Pixels<T> {
    fn new(sensor: Sensor, value: T) -> Pixels<T> {
        let (width, height) = (usize::from(sensor.width), usize::from(sensor.height));
        Pixels { width, height, values: vec![value; width * height] }
    }

    fn place(&self, x: u16, y: u16) -> usize {
        usize::from(y) * self.width + usize::from(x)
    }

    fn at(&mut self, x: u16, y: u16) -> &mut T {
        let place = self.place(x, y);
        &mut self.values[place]
    }
}

/// Drops events without an event at one of the four neighbouring pixels less than `filter_time` earlier.
///
/// tonic starts as if each pixel had fired at time 0, and so keeps isolated events in the first `filter_time`, unless the recording
/// begins later. Here nothing has fired before the first event.
pub(super) fn denoise(events: &mut Events, sensor: Sensor, filter_time: f64) {
    let mut until = Pixels::new(sensor, f64::NEG_INFINITY);
    events.keep(|events, i| {
        let (x, y, t) = (events.x[i], events.y[i], events.t[i] as f64);
        *until.at(x, y) = t + filter_time;
        let place = until.place(x, y);
        let (column, row) = (usize::from(x), usize::from(y));
        column > 0 && until.values[place - 1] > t
            || column + 1 < until.width && until.values[place + 1] > t
            || row > 0 && until.values[place - until.width] > t
            || row + 1 < until.height && until.values[place + until.width] > t
    });
}

/// Keeps every nth event of each pixel.
pub(super) fn decimate(events: &mut Events, sensor: Sensor, n: usize) {
    let mut seen = Pixels::new(sensor, 0);
    events.keep(|events, i| {
        let seen = seen.at(events.x[i], events.y[i]);
        *seen = (*seen + 1) % n;
        *seen == 0
    });
}

/// Drops events at most `delta` after the previous one at their pixel, whether or not that was kept.
///
/// tonic starts as if each pixel had fired at time 0 - delta, and so drops a pixel's first event if its time is 0. Here it is kept.
pub(super) fn refractory(events: &mut Events, sensor: Sensor, delta: i64) {
    let mut before = Pixels::new(sensor, None);
    events.keep(|events, i| {
        let before = before.at(events.x[i], events.y[i]).replace(events.t[i]);
        before.is_none_or(|before| events.t[i].saturating_sub(before) > delta)
    });
}

/// Drops the events of the given pixels, [x, y] each; pixels outside the sensor are ignored.
pub(super) fn drop_pixels(events: &mut Events, sensor: Sensor, pixels: &[Vec<usize>]) {
    let mut dropped = Pixels::new(sensor, false);
    for pixel in pixels {
        if let [x, y] = pixel[..]
            && x < dropped.width
            && y < dropped.height
        {
            *dropped.at(x as u16, y as u16) = true;
        }
    }
    events.keep(|events, i| !*dropped.at(events.x[i], events.y[i]));
}

/// Drops the events of pixels that fire more than `frequency` events per second, between the recording's first and last event.
pub(super) fn drop_hot(events: &mut Events, sensor: Sensor, frequency: f64) {
    let duration = events.t[events.len() - 1].abs_diff(events.t[0]) as f64;
    let mut counts = Pixels::new(sensor, 0u64);
    (0..events.len()).for_each(|i| *counts.at(events.x[i], events.y[i]) += 1);
    // A recording of zero duration has no frequencies.
    let most = if duration == 0.0 { f64::INFINITY } else { frequency * duration / 1e6 };
    events.keep(|events, i| *counts.at(events.x[i], events.y[i]) as f64 <= most);
}
