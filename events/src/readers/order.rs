//! Sorts events by time.

use crate::events::Events;

/// Sorts events by time, stably; returns whether they were out of order.
pub fn sort(events: &mut Events) -> bool {
    if events.t.is_sorted() {
        return false;
    }
    let mut order: Vec<usize> = (0..events.len()).collect();
    order.sort_by_key(|place| events.t[*place]);
    *events = Events {
        t: order.iter().map(|place| events.t[*place]).collect(),
        x: order.iter().map(|place| events.x[*place]).collect(),
        y: order.iter().map(|place| events.y[*place]).collect(),
        p: order.iter().map(|place| events.p[*place]).collect(),
    };
    true
}
