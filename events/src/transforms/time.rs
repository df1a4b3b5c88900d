//! Transforms of times.

use super::draws::Draws;
use crate::events::Events;

/// Shifts times so that the first event is at 0.
pub(super) fn align(events: &mut Events) {
    let first = events.t[0];
    events.t.iter_mut().for_each(|t| *t = t.saturating_sub(first));
}

/// Scales and shifts times, rounding towards 0 as numpy does when it stores them in integers.
pub(super) fn skew(events: &mut Events, coefficient: f64, offset: f64) {
    // Keeps whole numbers beyond 2^53 exact.
    if coefficient == 1.0 && offset == 0.0 {
        return;
    }
    events.t.iter_mut().for_each(|t| *t = (*t as f64 * coefficient + offset) as i64);
}

/// Moves each time by a normally distributed number, rounded.
///
/// tonic truncates instead, which makes all events half a microsecond earlier on average, and by default does not sort them.
pub(super) fn jitter(events: &mut Events, std: f64, clip_negative: bool, draws: &mut Draws) {
    events.t.iter_mut().for_each(|t| *t = (*t as f64 + std * draws.normals().0).round() as i64);
    if clip_negative {
        events.keep(|events, i| events.t[i] >= 0);
    }
    events.sort();
}

/// Reverses time.
pub(super) fn reverse(events: &mut Events, flip_polarities: bool) {
    let last = events.t[events.len() - 1];
    events.t.iter_mut().for_each(|t| *t = last.saturating_sub(*t));
    if flip_polarities {
        events.p.iter_mut().for_each(|p| *p = !*p);
    }
    events.t.reverse();
    events.x.reverse();
    events.y.reverse();
    events.p.reverse();
}
