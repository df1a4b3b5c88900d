//! The samples of a file that belong to a part: a contiguous range, or a random selection.

use std::ops::Range;
use std::sync::Arc;

use crate::random::Key;

/// Samples of a file, by their rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Contiguous.
    Stretch(Range<usize>),
    /// Any rows, with the class of each.
    Rows { rows: Arc<[usize]>, labels: Arc<[i32]> },
}

impl Part {
    /// Number of samples.
    pub(super) fn count(&self) -> usize {
        match self {
            Part::Stretch(range) => range.len(),
            Part::Rows { rows, .. } => rows.len(),
        }
    }

    /// The row of the file for a place in the part.
    pub(super) fn row(&self, place: usize) -> usize {
        match self {
            Part::Stretch(range) => range.start + place,
            Part::Rows { rows, .. } => rows[place],
        }
    }
}

/// Splits off `count` samples, stratified by class and drawn with the key, from the rest. Both are returned in their original order.
pub(super) fn held_out(labels: &[i32], count: usize, key: Key) -> (Vec<usize>, Vec<usize>) {
    let classes = shuffled_classes(labels, key);
    let mut taken: Vec<usize> = classes.iter().map(|members| members.len() * count / labels.len().max(1)).collect();
    // The remainder goes to the classes with the largest rounding loss, ties to the lower class.
    let mut by_loss: Vec<usize> = (0..classes.len()).collect();
    by_loss.sort_by_key(|class| std::cmp::Reverse(classes[*class].len() * count % labels.len().max(1)));
    let missing = count - taken.iter().sum::<usize>();
    by_loss.into_iter().take(missing).for_each(|class| taken[class] += 1);
    let held = classes.iter().zip(taken).flat_map(|(members, taken)| members[..taken].iter().copied());
    divided(labels.len(), held)
}

/// Splits off fold `number` of `of`, counted from 0, from the rest. Folds are disjoint; their sizes, in total and per class, differ by at
/// most one.
pub(super) fn fold(labels: &[i32], number: usize, of: usize, key: Key) -> (Vec<usize>, Vec<usize>) {
    let all = shuffled_classes(labels, key).concat();
    divided(labels.len(), all.into_iter().skip(number).step_by(of))
}

/// The places of each class, shuffled with the key.
fn shuffled_classes(labels: &[i32], key: Key) -> Vec<Vec<usize>> {
    let classes = labels.iter().max().map_or(0, |largest| *largest as usize + 1);
    let mut members = vec![Vec::new(); classes];
    for place in key.permutation(labels.len()) {
        members[labels[place] as usize].push(place);
    }
    members
}

/// The held-out places and the others, each in ascending order.
fn divided(count: usize, held: impl Iterator<Item = usize>) -> (Vec<usize>, Vec<usize>) {
    let mut is_held = vec![false; count];
    held.for_each(|place| is_held[place] = true);
    (0..count).partition(|place| is_held[*place])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_class(places: &[usize], labels: &[i32], class: i32) -> usize {
        places.iter().filter(|place| labels[**place] == class).count()
    }

    fn labels() -> Vec<i32> {
        [(0, 50), (1, 31), (3, 2), (4, 17)].iter().flat_map(|(class, count)| vec![*class; *count]).collect()
    }

    #[test]
    fn a_held_out_part_has_the_classes_in_their_shares() {
        let labels = labels();
        for count in [1, 10, 33, 99] {
            let (held, rest) = held_out(&labels, count, Key::new(3));
            assert_eq!((held.len(), held.len() + rest.len()), (count, labels.len()));
            for class in 0..5 {
                let share = of_class(&(0..100).collect::<Vec<_>>(), &labels, class) as f64 * count as f64 / 100.0;
                let got = of_class(&held, &labels, class) as f64;
                assert!((got - share).abs() < 1.0, "{count}, class {class}: {got} for {share}");
            }
            assert_eq!(held_out(&labels, count, Key::new(3)), (held.clone(), rest));
            assert!(count == 99 || held_out(&labels, count, Key::new(4)).0 != held);
        }
    }

    #[test]
    fn folds_divide_the_samples() {
        let labels = labels();
        let folds: Vec<Vec<usize>> = (0..7).map(|number| fold(&labels, number, 7, Key::new(0)).0).collect();
        let mut all = folds.concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        for class in 0..5 {
            let sizes: Vec<usize> = folds.iter().map(|fold| of_class(fold, &labels, class)).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
        }
        assert!(folds.iter().all(|fold| (14..=15).contains(&fold.len())));
    }
}
