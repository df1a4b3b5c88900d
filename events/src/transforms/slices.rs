//! Cuts recordings into slices, as tonic's `ToFrame` does.
//!
//! Each event between the first slice's start and the last one's end is in a slice. tonic loses some at edges: for bins, those after
//! the last rounded bin width, which always includes the last event; with an overlap it moves bins closer together instead of making
//! them longer, contrary to its documentation; and it omits a last incomplete slice whose only events lie on its edge. Frames are
//! tonic's except for those events.

use std::ops::Range;

use super::table::Transform;
use crate::error::{Error, Result};
use crate::events::Events;

/// How a recording is sliced.
pub(super) enum Slicing {
    /// Into slices of `window` microseconds.
    TimeWindow { window: f64, overlap: f64, incomplete: bool, start: Option<f64>, end: Option<f64> },
    /// Into slices of `count` events.
    EventCount { count: usize, overlap: usize, incomplete: bool },
    /// Into `bins` slices of equal duration.
    TimeBins { bins: usize, overlap: f64 },
    /// Into `bins` slices with equal numbers of events.
    EventBins { bins: usize, overlap: f64 },
}

impl Slicing {
    /// The slicing of a `ToFrame`.
    ///
    /// # Errors
    /// `Input` for arguments that are invalid or do not select exactly one way of slicing; for another transform.
    pub(super) fn of(transform: &Transform) -> Result<Slicing> {
        let Transform::ToFrame {
            time_window,
            event_count,
            n_time_bins,
            n_event_bins,
            overlap,
            include_incomplete,
            start_time,
            end_time,
        } = *transform
        else {
            return Err(Error::input(format!("`{}` makes no frames", transform.text())));
        };
        let refused = |what: &str| Err(Error::input(format!("`{}`: {what}", transform.text())));
        let windows = time_window.is_some();
        if !windows && (start_time.is_some() || end_time.is_some()) {
            return refused("`start_time` and `end_time` are for `time_window`; leave them out");
        }
        if include_incomplete && !windows && event_count.is_none() {
            return refused("`include_incomplete` is for `time_window` and `event_count`; bins hold all events");
        }
        let incomplete = include_incomplete;
        let part_of_bin = (0.0..1.0).contains(&overlap);
        match (time_window, event_count, n_time_bins, n_event_bins) {
            (Some(window), None, None, None) => match (0.0..window).contains(&overlap) {
                true => Ok(Slicing::TimeWindow { window, overlap, incomplete, start: start_time, end: end_time }),
                false => refused("`time_window` must be above 0 and longer than `overlap`, which must be at least 0"),
            },
            (None, Some(count), None, None) => match (0.0..count as f64).contains(&overlap) && overlap.fract() == 0.0 {
                true => Ok(Slicing::EventCount { count, overlap: overlap as usize, incomplete }),
                false => refused("`event_count` must be at least 1 and more than `overlap`, a whole number from 0"),
            },
            (None, None, Some(bins), None) if bins > 0 && part_of_bin => Ok(Slicing::TimeBins { bins, overlap }),
            (None, None, None, Some(bins)) if bins > 0 && part_of_bin => Ok(Slicing::EventBins { bins, overlap }),
            (None, None, Some(_), None) | (None, None, None, Some(_)) => {
                refused("there must be at least 1 bin, and `overlap` must be a fraction of a bin, from 0 to below 1")
            }
            _ => refused("give one of `time_window`, `event_count`, `n_time_bins` and `n_event_bins`"),
        }
    }

    /// The number of slices, if it is the same for every recording.
    pub(super) fn count(&self) -> Option<usize> {
        match *self {
            Slicing::TimeBins { bins, .. } | Slicing::EventBins { bins, .. } => Some(bins),
            Slicing::TimeWindow { .. } | Slicing::EventCount { .. } => None,
        }
    }

    /// The slices of events with these sorted times, of which there is at least one.
    pub(super) fn slices(&self, t: &[i64]) -> Vec<Range<usize>> {
        let events = t.len();
        let (first, last) = (t[0] as f64, t[events - 1] as f64);
        let before = |time: f64| t.partition_point(|t| (*t as f64) < time);
        match *self {
            Slicing::TimeWindow { window, overlap, incomplete, start, end } => {
                let (stride, begin) = (window - overlap, start.unwrap_or(first));
                let duration = end.unwrap_or(last) - begin;
                let full = (duration - window) / stride;
                let more = if incomplete { 2.0 } else { 1.0 };
                // A window begins after the last event only if the user's `end` is later.
                let count = if full < 0.0 { 1.0 } else { full.floor() + more };
                let slice = |i: usize| {
                    let from = i as f64 * stride + begin;
                    before(from)..before(from + window)
                };
                (0..(count as usize).min(MOST)).map(slice).collect()
            }
            Slicing::EventCount { count, overlap, incomplete } => {
                let (stride, rest) = (count - overlap, events.saturating_sub(count));
                let slices = 1 + if incomplete { rest.div_ceil(stride) } else { rest / stride };
                (0..slices).map(|i| i * stride..(i * stride + count).min(events)).collect()
            }
            Slicing::TimeBins { bins, overlap } => {
                let whole = ((last - first) / bins as f64).floor();
                // A recording with fewer microseconds than bins has bins shorter than a microsecond.
                let width = if whole > 0.0 { whole } else { (last - first + 1.0) / bins as f64 };
                let slice = |i: usize| {
                    let from = first + i as f64 * width;
                    let end = if i + 1 == bins { events } else { before(from + width * (1.0 + overlap)) };
                    before(from)..end
                };
                (0..bins).map(slice).collect()
            }
            Slicing::EventBins { bins, overlap } => {
                let start = |i: usize| if events < bins { i * events / bins } else { i * (events / bins) };
                let more = (overlap * (events / bins) as f64) as usize;
                let end = |i: usize| if i + 1 == bins { events } else { (start(i + 1) + more).min(events) };
                (0..bins).map(|i| start(i)..end(i)).collect()
            }
        }
    }
}

/// The limit of slices per recording: tiny windows would exceed memory.
const MOST: usize = 1 << 24;

/// Replaces each event's time by its slice number; an event in several slices is repeated.
pub(super) fn number(events: &mut Events, slicing: &Slicing) {
    let slices = slicing.slices(&events.t);
    let Events { x, y, p, .. } = std::mem::take(events);
    for (number, slice) in slices.into_iter().enumerate() {
        slice.for_each(|i| events.push(number as i64, x[i], y[i], p[i]));
    }
}
