//! Runs through a data set a batch at a time. Knows nothing of what is done with one.

use spiq_hlo::Array;

use super::dataset::Dataset;

/// Samples gathered for one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[B, …]` of the samples' own type, without encoding.
    pub inputs: Array,
    /// The classes, `s32[B]`.
    pub labels: Array,
    /// How many samples count; those after them fill up the batch.
    pub count: usize,
}

/// The batches of one run through a data set, all of the same size.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    dataset: &'a Dataset,
    order: Vec<usize>,
    size: usize,
    next: usize,
}

impl<'a> Batches<'a> {
    /// Batches of `size`, at least 1, of the samples in this order.
    pub(super) fn new(dataset: &'a Dataset, order: Vec<usize>, size: usize) -> Batches<'a> {
        Batches { dataset, order, size, next: 0 }
    }
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let rest = self.order.get(self.next..)?;
        let last = *rest.last()?;
        let mut places: Vec<usize> = rest.iter().copied().take(self.size).collect();
        let count = places.len();
        places.resize(self.size, last);
        self.next += count;
        let (inputs, labels) = self.dataset.gather(&places);
        Some(Batch { inputs, labels, count })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.order.len() - self.next).div_ceil(self.size);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches<'_> {}
