//! Where the elements of an image meet the elements of a kernel that moves over it.

use std::ops::Range;

use crate::contract::sparse_convolution::SparseConvolution;

/// An element of an image under an element of the kernel, along one axis: the position of the window in the output, and the element of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meet {
    pub(super) output: usize,
    pub(super) kernel: usize,
}

/// Neighbours along a row: elements of a row of the output, and of a row of the packed kernel, that are contiguous in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) count: usize,
}

/// All meetings of an image with a kernel. The kernel is packed: `[window rows, input features, window columns, output features]`, with its columns in an
/// order in which those that follow each other meet an element in positions that follow each other.
#[derive(Debug)]
pub(super) struct Overlaps {
    /// For each row of an image.
    pub(super) rows: Vec<Vec<Meet>>,
    /// The runs of each element (column and feature) of a row, one element after the other.
    runs: Vec<Run>,
    elements: Vec<Range<usize>>,
    /// The place of each column in the packed kernel.
    places: Vec<usize>,
}

impl Overlaps {
    pub(super) fn of(sizes: &SparseConvolution) -> Overlaps {
        let places = places(sizes.window[1], sizes.strides[1]);
        let ([inputs, outputs], mut runs, mut elements) = (sizes.features, Vec::new(), Vec::new());
        for meets in meets(sizes, 1) {
            for input in 0..inputs {
                let first = runs.len();
                for Meet { output, kernel } in &meets {
                    let at = (input * sizes.window[1] + places[*kernel]) * outputs;
                    push(&mut runs, first, Run { output: output * outputs, kernel: at, count: outputs });
                }
                elements.push(first..runs.len());
            }
        }
        Overlaps { rows: meets(sizes, 0), runs, elements, places }
    }

    /// The runs of an element of a row.
    #[inline(always)]
    pub(super) fn runs(&self, element: u32) -> &[Run] {
        &self.runs[self.elements[element as usize].clone()]
    }

    /// For each element of the kernel, row-major, its place in the packed kernel; output features are contiguous in both.
    fn packing(&self, sizes: &SparseConvolution) -> impl Iterator<Item = usize> {
        let ([rows, columns], [inputs, outputs]) = (sizes.window, sizes.features);
        let of = move |row: usize, column: usize, input: usize| {
            ((row * inputs + input) * columns + self.places[column]) * outputs
        };
        (0..rows).flat_map(move |row| {
            (0..columns).flat_map(move |column| (0..inputs).map(move |input| of(row, column, input)))
        })
    }

    /// The packed form of a kernel.
    pub(super) fn packed<S: Copy + Default>(&self, sizes: &SparseConvolution, kernel: &[S]) -> Vec<S> {
        let (mut packed, outputs) = (vec![S::default(); kernel.len()], sizes.features[1]);
        for (at, from) in self.packing(sizes).zip(kernel.chunks_exact(outputs.max(1))) {
            packed[at..][..outputs].copy_from_slice(from);
        }
        packed
    }

    /// The inverse of [`packed`](Overlaps::packed).
    pub(super) fn unpack<S: Copy>(&self, sizes: &SparseConvolution, packed: &[S], kernel: &mut [S]) {
        let outputs = sizes.features[1];
        for (at, to) in self.packing(sizes).zip(kernel.chunks_exact_mut(outputs.max(1))) {
            to.copy_from_slice(&packed[at..][..outputs]);
        }
    }
}

/// Appends a run, joined with the one before if it continues it and is not older than `first`.
fn push(runs: &mut Vec<Run>, first: usize, run: Run) {
    match runs[first..].last_mut() {
        Some(last) if last.output + last.count == run.output && last.kernel + last.count == run.kernel => {
            last.count += run.count;
        }
        _ => runs.push(run),
    }
}

/// For each element of an image along an axis, in ascending order of the output, where it meets the kernel.
fn meets(sizes: &SparseConvolution, axis: usize) -> Vec<Vec<Meet>> {
    let (stride, dilation) = (sizes.strides[axis] as i64, sizes.dilation[axis] as i64);
    let covered = (sizes.window[axis] as i64 - 1).saturating_mul(dilation);
    let of = |at: usize| {
        // Its distance from the start of the window at position 0.
        let at = (at as i64).saturating_mul(sizes.input_dilation[axis] as i64);
        let distance = at.saturating_add(sizes.padding[axis]);
        let first = usize::try_from(distance.saturating_sub(covered)).unwrap_or(0).div_ceil(sizes.strides[axis]);
        let end = usize::try_from(distance.div_euclid(stride) + 1).unwrap_or(0).min(sizes.output[axis]);
        let meet = |output: usize| {
            let distance = distance - output as i64 * stride;
            (distance % dilation == 0).then_some(Meet { output, kernel: (distance / dilation) as usize })
        };
        (first..end).filter_map(meet).collect()
    };
    (0..sizes.input[axis]).map(of).collect()
}

/// The place of each column of a kernel that moves by `stride`: one position further, an element meets the column `stride` before.
fn places(columns: usize, stride: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..columns).rev().collect();
    order.sort_by_key(|column| column % stride);
    let mut places = vec![0; columns];
    order.iter().enumerate().for_each(|(place, column)| places[*column] = place);
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::sparse_convolution::Convolved;

    /// A row of 6 elements of 2 features, and a window of 3 columns with 4 output features.
    fn sizes(stride: usize, dilation: usize, output: usize, before: i64) -> SparseConvolution {
        SparseConvolution {
            images: 1,
            input: [1, 6],
            window: [1, 3],
            output: [1, output],
            features: [2, 4],
            input_dilation: [1, 1],
            strides: [1, stride],
            dilation: [1, dilation],
            padding: [0, before],
            result: Convolved::Output,
        }
    }

    #[test]
    fn neighbours_are_joined() {
        let overlaps = Overlaps::of(&sizes(1, 1, 4, 0));
        // The third column meets positions 0, 1 and 2, with the columns 2, 1 and 0 of the kernel.
        assert_eq!(overlaps.runs(4), [Run { output: 0, kernel: 0, count: 12 }]);
        assert_eq!(overlaps.runs(5), [Run { output: 0, kernel: 12, count: 12 }]);
        // The first one meets position 0 alone, with column 0.
        assert_eq!(overlaps.runs(0), [Run { output: 0, kernel: 8, count: 4 }]);
        let strided = Overlaps::of(&sizes(2, 1, 2, 0));
        // Columns 2 and 0 of the kernel, at positions 0 and 1.
        assert_eq!(strided.runs(4), [Run { output: 0, kernel: 0, count: 8 }]);
    }

    #[test]
    fn padding_crops_and_dilation_leaves_elements_out() {
        let overlaps = Overlaps::of(&sizes(1, 2, 4, 1));
        let met: Vec<usize> =
            (0..6).map(|column| overlaps.runs(2 * column).iter().map(|run| run.count / 4).sum()).collect();
        // Windows start at -1, 0, 1 and 2, and cover every second element.
        assert_eq!(met, [1, 2, 2, 2, 2, 1]);
        assert!(Overlaps::of(&sizes(1, 1, 4, -6)).runs.is_empty());
    }
}
