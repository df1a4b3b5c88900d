//! What changes times.

use super::draws::Draws;
use crate::events::Events;

/// The first event at time 0.
pub(super) fn align(events: &mut Events) {
    let first = events.t[0];
    events.t.iter_mut().for_each(|t| *t = t.saturating_sub(first));
}

/// Times multiplied and moved, rounded towards 0 as numpy does when it writes them into integers.
pub(super) fn skew(events: &mut Events, coefficient: f64, offset: f64) {
    // Whole numbers stay what they are even beyond 2^53.
    if coefficient == 1.0 && offset == 0.0 {
        return;
    }
    events.t.iter_mut().for_each(|t| *t = (*t as f64 * coefficient + offset) as i64);
}

/// Each time moved by a normally distributed number, rounded.
///
/// tonic cuts what is behind the point off, by which all events come earlier, half a microsecond on average, and leaves them out
/// of order unless it is asked.
pub(super) fn jitter(events: &mut Events, std: f64, clip_negative: bool, draws: &mut Draws) {
    events.t.iter_mut().for_each(|t| *t = (*t as f64 + std * draws.normals().0).round() as i64);
    if clip_negative {
        events.keep(|events, i| events.t[i] >= 0);
    }
    events.sort();
}

/// Time that runs from the last event to the first.
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
