//! The sizes of a sample that no layer of a model names: the smallest that all layers take. Knows no particular layer.

/// The largest size that is tried for an axis: a signal of 23 seconds.
const LARGEST: usize = 1 << 20;

/// The largest size that is tried for the first of several axes of different sizes.
const LARGEST_OF_SEVERAL: usize = 1 << 12;

/// How many shapes are tried for axes of different sizes.
const TRIES: usize = 1 << 18;

/// `open` with a size for each 0 with which a model fits. Axes are of one size where that fits, else of several.
pub(super) fn filled(fits: &dyn Fn(&[usize]) -> bool, open: &[usize]) -> Option<Vec<usize>> {
    let mut least = open.to_vec();
    let mut free = Vec::new();
    for axis in (0..open.len()).filter(|&axis| open[axis] == 0) {
        // The axis by itself, while what is not known of the others fits everything.
        let with = |size: usize| [&open[..axis], &[size], &open[axis + 1..]].concat();
        least[axis] = (1..=LARGEST).find(|&size| fits(&with(size)))?;
        // A size that some layer names has an end.
        if fits(&with(LARGEST)) {
            free.push(axis);
        }
    }
    equal(&least, &free, fits).or_else(|| unequal(&least, &free, fits))
}

/// Free axes of one size, or of the least one that an axis takes.
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

/// Free axes of different sizes: of the last, for each of the one before.
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
