//! Finds sizes of a sample that no layer of a model determines: the smallest that all layers accept.

/// The largest size tried for an axis: a signal of 23 seconds.
const LARGEST: usize = 1 << 20;

/// The largest size tried for each of several axes.
const LARGEST_OF_SEVERAL: usize = 1 << 12;

/// The number of shapes tried for axes of different sizes.
const TRIES: usize = 1 << 18;

/// Replaces each 0 in `open` with a size that fits the model: the same for all axes if possible, else different ones.
pub(super) fn filled(fits: &dyn Fn(&[usize]) -> bool, open: &[usize]) -> Option<Vec<usize>> {
    let mut least = open.to_vec();
    let mut free = Vec::new();
    for axis in (0..open.len()).filter(|&axis| open[axis] == 0) {
        // Each axis separately: open sizes of the other axes fit everything.
        let with = |size: usize| [&open[..axis], &[size], &open[axis + 1..]].concat();
        least[axis] = (1..=LARGEST).find(|&size| fits(&with(size)))?;
        // A size that some layer determines does not fit at the largest size.
        if fits(&with(LARGEST)) {
            free.push(axis);
        }
    }
    equal(&least, &free, fits).or_else(|| unequal(&least, &free, fits))
}

/// Free axes of one common size, or of the smallest that an axis accepts.
fn equal(least: &[usize], free: &[usize], fits: &dyn Fn(&[usize]) -> bool) -> Option<Vec<usize>> {
    let with = |size: usize| {
        let mut shape = least.to_vec();
        free.iter().for_each(|&axis| shape[axis] = least[axis].max(size));
        shape
    };
    let last = match free {
        [] => 1,
        [_] => LARGEST,
        _ => LARGEST_OF_SEVERAL,
    };
    (1..=last).map(with).find(|shape| fits(shape))
}

/// The last two free axes with different sizes: all sizes of the last one for each of the one before.
fn unequal(least: &[usize], free: &[usize], fits: &dyn Fn(&[usize]) -> bool) -> Option<Vec<usize>> {
    let [.., first, second] = *free else { return None };
    let sizes = |axis: usize| least[axis]..=LARGEST_OF_SEVERAL;
    let pairs = sizes(first).flat_map(|one| sizes(second).map(move |other| (one, other)));
    let with = |(one, other): (usize, usize)| {
        let mut shape = least.to_vec();
        (shape[first], shape[second]) = (one, other);
        shape
    };
    pairs.take(TRIES).map(with).find(|shape| fits(shape))
}
