//! Sparse convolutions, divided into independent parts.

use std::borrow::Cow;
use std::ops::Range;

use crate::contract::sparse_convolution::{Convolved, SparseConvolution};

use super::events::Events;
use super::memory::{Read, widened};
use super::overlap::{Meet, Overlaps};
use super::slices::{Sum, add};
use super::{Pool, run_parts};
use crate::vector::{Compiled, InstructionSet, Work};

/// Number of input elements below which another thread is not worth waking.
const SMALL: usize = 1 << 15;

/// Parts for each thread: images differ in their number of events.
const PARTS: usize = 4;

/// Parts of a sum over images, at most. They do not depend on the number of threads, so neither does the result.
const PARTIAL_SUMS: usize = 16;

/// Elements of all partial sums together, at most.
const PARTIAL_ELEMENTS: usize = 1 << 22;

/// Events after which a partial sum is added to the total, at least: few roundings have the magnitude of the whole sum.
const TOGETHER: usize = 256;

/// Element types that can be summed.
pub(super) trait Summand: Copy + Send + Sync {
    /// The type of their sum.
    type Sum: Sum;

    fn widen(elements: &[Self]) -> Cow<'_, [Self::Sum]>;
}

impl Summand for i8 {
    type Sum = i32;

    #[inline(always)]
    fn widen(elements: &[i8]) -> Cow<'_, [i32]> {
        elements.iter().map(|element| i32::from(*element)).collect()
    }
}

impl Summand for f32 {
    type Sum = f32;

    #[inline(always)]
    fn widen(elements: &[f32]) -> Cow<'_, [f32]> {
        Cow::Borrowed(elements)
    }
}

/// The upper halves of f32.
impl Summand for u16 {
    type Sum = f32;

    #[inline(always)]
    fn widen(elements: &[u16]) -> Cow<'_, [f32]> {
        elements.iter().map(|element| widened(*element)).collect()
    }
}

/// Computes a convolution of operands with matching sizes; the result is row-major. Returns whether all parts completed.
pub(super) fn run<T: Summand>(
    sizes: &SparseConvolution,
    input: Read,
    factor: &[T],
    out: &mut [T::Sum],
    pool: &dyn Pool,
) -> bool {
    let workers = if input.len() < SMALL { 1 } else { pool.workers() };
    let images = Images { sizes, overlaps: &Overlaps::of(sizes), input };
    match sizes.result {
        Convolved::Output => outputs(images, &T::widen(factor), out, workers, pool),
        Convolved::KernelGradient => kernel_gradient(images, factor, out, pool),
    }
}

/// The number of additions of a convolution; `None` if the input has another size, or numbers.
pub(super) fn additions(sizes: &SparseConvolution, mask: &Read) -> Option<u64> {
    let overlaps = Overlaps::of(sizes);
    let row = sizes.input[1] * sizes.features[0];
    let fits =
        matches!(mask, Read::S8(_) | Read::Pred(_)) && Some(mask.len()) == sizes.counts().map(|counts| counts[0]);
    let of_row = |(at, meets): (usize, &Vec<Meet>)| {
        let events = Events::of_rows(Compiled, mask, row, at..at + 1);
        let along: usize = events.list(0).iter().flat_map(|element| overlaps.runs(*element)).map(|run| run.count).sum();
        (meets.len() * along) as u64
    };
    fits.then(|| {
        let rows = (0..sizes.images).flat_map(|_| &overlaps.rows);
        rows.enumerate().map(of_row).sum()
    })
}

/// The images of the input, and where their elements meet the kernel.
#[derive(Clone, Copy)]
struct Images<'a> {
    sizes: &'a SparseConvolution,
    overlaps: &'a Overlaps,
    input: Read<'a>,
}

impl Images<'_> {
    /// Elements of an output image, and of one of its rows.
    fn output(&self) -> (usize, usize) {
        let row = self.sizes.output[1] * self.sizes.features[1];
        (self.sizes.output[0] * row, row)
    }

    /// Elements of the packed kernel in a row of the window.
    fn kernel_row(&self) -> usize {
        self.sizes.window[1] * self.sizes.features[0] * self.sizes.features[1]
    }

    #[inline(always)]
    fn image(&self, set: impl InstructionSet, image: usize) -> Image<'_> {
        let [rows, columns] = self.sizes.input;
        let row = columns * self.sizes.features[0];
        let all = image * rows * row..(image + 1) * rows * row;
        let weights = match self.input {
            Read::F32(elements) => f32::widen(&elements[all]),
            Read::Bf16(elements) => u16::widen(&elements[all]),
            mask => {
                let events = Events::of_rows(set, &mask, row, image * rows..(image + 1) * rows);
                return Image { events, weights: Cow::default(), row };
            }
        };
        Image { events: Events::of_rows(set, &Read::F32(&weights), row, 0..rows), weights, row }
    }

    /// Adds a slice of the kernel to the output wherever an event meets the kernel.
    #[inline(always)]
    fn add_to_output<S: Sum>(&self, image: &Image, out: &mut [S], kernel: &[S]) {
        let ((_, row), kernel_row) = (self.output(), self.kernel_row());
        let [features, outputs] = self.sizes.features;
        let (apart, mut slices) = (self.sizes.window[1] * outputs, Vec::with_capacity(features));
        for (y, meets) in self.overlaps.rows.iter().enumerate() {
            // The features of a column meet the same elements of the output, with slices that are equally far apart.
            let mut list = image.events.list(y);
            while let Some(&first) = list.first() {
                let end = (first as usize / features + 1) * features;
                slices.clear();
                while let Some((&element, rest)) = list.split_first()
                    && (element as usize) < end
                {
                    slices.push(((element - first) as usize * apart, image.weight(y, element)));
                    list = rest;
                }
                for run in self.overlaps.runs(first) {
                    for meet in meets {
                        let kernel = &kernel[meet.kernel * kernel_row + run.kernel..];
                        add(&mut out[meet.output * row + run.output..][..run.count], kernel, &slices);
                    }
                }
            }
        }
    }

    /// Adds a slice of the output to the kernel wherever an event meets the kernel.
    #[inline(always)]
    fn add_to_kernel<S: Sum>(&self, image: &Image, kernel: &mut [S], output: &[S]) {
        let ((_, row), kernel_row) = (self.output(), self.kernel_row());
        for (y, meets) in self.overlaps.rows.iter().enumerate() {
            for element in image.events.list(y) {
                let whole = [(0, image.weight(y, *element))];
                for run in self.overlaps.runs(*element) {
                    for meet in meets {
                        let kernel = &mut kernel[meet.kernel * kernel_row + run.kernel..][..run.count];
                        add(kernel, &output[meet.output * row + run.output..], &whole);
                    }
                }
            }
        }
    }
}

/// An image of the input.
struct Image<'a> {
    /// Where its rows are not 0.
    events: Events,
    /// Its elements; empty for a mask.
    weights: Cow<'a, [f32]>,
    /// Elements of a row.
    row: usize,
}

impl Image<'_> {
    #[inline(always)]
    fn weight(&self, y: usize, element: u32) -> f32 {
        if self.weights.is_empty() { 1.0 } else { self.weights[y * self.row + element as usize] }
    }
}

fn outputs<S: Sum>(images: Images, kernel: &[S], out: &mut [S], workers: usize, pool: &dyn Pool) -> bool {
    let packed = images.overlaps.packed(images.sizes, kernel);
    let (count, (size, _)) = (images.sizes.images, images.output());
    let together = count.div_ceil(if workers > 1 { workers * PARTS } else { 1 });
    let parts = (0..count).step_by(together).zip(out.chunks_mut(together * size));
    let part = |(first, out)| Output { images, kernel: &packed, range: first..count.min(first + together), out };
    run_parts(pool, parts.map(part))
}

/// Computes the output of some images.
struct Output<'a, S> {
    images: Images<'a>,
    kernel: &'a [S],
    range: Range<usize>,
    out: &'a mut [S],
}

impl<S: Sum> Work for Output<'_, S> {
    #[inline(always)]
    fn run(self, set: impl InstructionSet) {
        let (size, _) = self.images.output();
        for (image, out) in self.range.zip(self.out.chunks_exact_mut(size)) {
            out.fill(S::default());
            self.images.add_to_output(&self.images.image(set, image), out, self.kernel);
        }
    }
}

fn kernel_gradient<T: Summand>(images: Images, gradient: &[T], out: &mut [T::Sum], pool: &dyn Pool) -> bool {
    let (count, elements) = (images.sizes.images, out.len());
    let parts = count.min(PARTIAL_SUMS).min(PARTIAL_ELEMENTS / elements).max(1);
    let together = count.div_ceil(parts);
    let mut sums = vec![T::Sum::default(); count.div_ceil(together) * elements];
    let parts = (0..count).step_by(together).zip(sums.chunks_mut(elements));
    let part = |(first, sum)| Gradient { images, gradient, range: first..count.min(first + together), sum };
    if !run_parts(pool, parts.map(part)) {
        return false;
    }
    let (total, rest) = sums.split_at_mut(elements);
    rest.chunks_exact(elements).for_each(|sum| add(total, sum, &[(0, 1.0)]));
    images.overlaps.unpack(images.sizes, total, out);
    true
}

/// Sums the gradient of the packed kernel over some images.
struct Gradient<'a, T: Summand> {
    images: Images<'a>,
    gradient: &'a [T],
    range: Range<usize>,
    sum: &'a mut [T::Sum],
}

impl<T: Summand> Work for Gradient<'_, T> {
    #[inline(always)]
    fn run(self, set: impl InstructionSet) {
        let (size, _) = self.images.output();
        // Adding the partial sum costs less than the events before it.
        let most = TOGETHER.max(4 * self.images.sizes.features[0]);
        let (mut part, mut added) = (vec![T::Sum::default(); self.sum.len()], 0);
        for image in self.range {
            let (gradient, image) = (&self.gradient[image * size..][..size], self.images.image(set, image));
            if image.events.count() > 0 {
                self.images.add_to_kernel(&image, &mut part, &T::widen(gradient));
            }
            added += image.events.count();
            if added >= most {
                add(self.sum, &part, &[(0, 1.0)]);
                part.fill(T::Sum::default());
                added = 0;
            }
        }
        add(self.sum, &part, &[(0, 1.0)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::in_turn::{InTurn, noise};

    /// Convolutions that differ in each size, with strides, dilation and padding.
    fn convolutions(result: Convolved) -> Vec<SparseConvolution> {
        let square = SparseConvolution {
            images: 37,
            input: [9, 11],
            window: [3, 5],
            output: [7, 7],
            features: [2, 12],
            input_dilation: [1, 1],
            strides: [1, 1],
            dilation: [1, 1],
            padding: [0, 0],
            result,
        };
        let strided = SparseConvolution { output: [5, 4], strides: [2, 3], padding: [1, 2], ..square };
        let dilated = SparseConvolution { output: [4, 3], dilation: [2, 2], padding: [-1, 0], ..square };
        let apart = SparseConvolution { output: [14, 13], input_dilation: [2, 1], padding: [2, 4], ..square };
        let row = SparseConvolution {
            input: [1, 40],
            window: [1, 7],
            output: [1, 20],
            strides: [1, 2],
            padding: [0, 3],
            ..square
        };
        vec![square, strided, dilated, apart, row, SparseConvolution { features: [5, 1], ..square }]
    }

    /// The indices of mask, kernel and output that meet, row-major.
    fn each(sizes: &SparseConvolution, mut visit: impl FnMut(usize, usize, usize)) {
        let flat = |at: [usize; 4], [_, b, c, d]: [usize; 4]| ((at[0] * b + at[1]) * c + at[2]) * d + at[3];
        let SparseConvolution {
            images,
            input,
            window,
            output,
            features,
            input_dilation,
            strides,
            dilation,
            padding,
            ..
        } = *sizes;
        let meet = |axis: usize, position: usize, element: usize| {
            let at = (position * strides[axis] + element * dilation[axis]) as i64 - padding[axis];
            let at =
                usize::try_from(at).ok().filter(|at| at.is_multiple_of(input_dilation[axis]))? / input_dilation[axis];
            (at < input[axis]).then_some(at)
        };
        let [inputs, outputs] = features;
        for at in 0..images * output[0] * output[1] * window[0] * window[1] * inputs * outputs {
            let mut rest = at;
            let mut next = |size: usize| (rest % size, rest /= size).0;
            let (o, i, kx, ky) = (next(outputs), next(inputs), next(window[1]), next(window[0]));
            let (ox, oy, image) = (next(output[1]), next(output[0]), next(images));
            if let (Some(y), Some(x)) = (meet(0, oy, ky), meet(1, ox, kx)) {
                visit(
                    flat([image, y, x, i], [images, input[0], input[1], inputs]),
                    flat([ky, kx, i, o], [window[0], window[1], inputs, outputs]),
                    flat([image, oy, ox, o], [images, output[0], output[1], outputs]),
                );
            }
        }
    }

    fn mask(sizes: &SparseConvolution) -> Vec<u8> {
        (0..sizes.counts().unwrap()[0]).map(|i| u8::from(noise(i) < 0.5)).collect()
    }

    #[test]
    fn integer_sums_are_those_of_the_definition() {
        for result in [Convolved::Output, Convolved::KernelGradient] {
            for sizes in convolutions(result) {
                let ([_, kernel, output], mask) = (sizes.counts().unwrap(), mask(&sizes));
                let (given, computed) = if result == Convolved::Output { (kernel, output) } else { (output, kernel) };
                let factor: Vec<i8> = (0..given).map(|i| (noise(i + 9) * 100.0) as i32 as i8).collect();
                let (mut want, mut out) = (vec![0; computed], vec![77; computed]);
                each(&sizes, |m, k, o| {
                    let (from, to) = if result == Convolved::Output { (k, o) } else { (o, k) };
                    want[to] += i32::from(mask[m]) * i32::from(factor[from]);
                });
                assert!(run(&sizes, Read::Pred(&mask), &factor[..], &mut out, &InTurn(2)));
                assert!(out == want && want.iter().any(|sum| *sum != 0), "{sizes}");
                let additions: u64 = {
                    let mut count = 0;
                    each(&sizes, |m, _, _| count += u64::from(mask[m]));
                    count
                };
                assert_eq!(super::additions(&sizes, &Read::Pred(&mask)), Some(additions), "{sizes}");
            }
        }
    }

    #[test]
    fn sums_do_not_depend_on_the_number_of_threads() {
        for result in [Convolved::Output, Convolved::KernelGradient] {
            let sizes = SparseConvolution { images: 500, ..convolutions(result)[0] };
            let ([_, kernel, output], mask) = (sizes.counts().unwrap(), mask(&sizes));
            let (given, computed) = if result == Convolved::Output { (kernel, output) } else { (output, kernel) };
            let factor: Vec<f32> = (0..given).map(|i| noise(i + 5).sin()).collect();
            let results = [1, 2, 3, 7].map(|workers| {
                let mut out = vec![f32::NAN; computed];
                assert!(run(&sizes, Read::Pred(&mask), &factor[..], &mut out, &InTurn(workers)));
                out
            });
            assert!(results[0].iter().any(|sum| *sum != 0.0) && results.iter().all(|out| *out == results[0]));
        }
    }

    #[test]
    fn numbers_weight_the_slices() {
        for sizes in [Convolved::Output, Convolved::KernelGradient].map(|result| convolutions(result)[3]) {
            let ([elements, kernel, output], mask) = (sizes.counts().unwrap(), mask(&sizes));
            let (given, computed) = if sizes.result == Convolved::Output { (kernel, output) } else { (output, kernel) };
            // Small integers, whose sums are exact in f32 and which bf16 holds.
            let small = |i: usize| (noise(i) * 7.0) as i32 as f32 % 5.0;
            let input: Vec<f32> = (0..elements).map(|i| small(i + 3) * f32::from(mask[i])).collect();
            let factor: Vec<f32> = (0..given).map(|i| small(i) - 2.0).collect();
            let halves = |of: &[f32]| of.iter().map(|x| (x.to_bits() >> 16) as u16).collect::<Vec<u16>>();
            let mut want = vec![0.0; computed];
            each(&sizes, |m, k, o| {
                let (from, to) = if sizes.result == Convolved::Output { (k, o) } else { (o, k) };
                want[to] += input[m] * factor[from];
            });
            let (mut of_f32, mut of_bf16) = (vec![f32::NAN; computed], vec![f32::NAN; computed]);
            assert!(run(&sizes, Read::F32(&input), &factor[..], &mut of_f32, &InTurn(2)));
            assert!(run(&sizes, Read::Bf16(&halves(&input)), &halves(&factor)[..], &mut of_bf16, &InTurn(3)));
            assert!(of_f32 == want && of_bf16 == want && want.iter().any(|sum| *sum != 0.0));
        }
    }

    #[test]
    fn bf16_is_summed_in_f32() {
        for sizes in [Convolved::Output, Convolved::KernelGradient].map(|result| convolutions(result)[1]) {
            let ([_, kernel, output], mask) = (sizes.counts().unwrap(), mask(&sizes));
            let (given, computed) = if sizes.result == Convolved::Output { (kernel, output) } else { (output, kernel) };
            let halves: Vec<u16> = (0..given).map(|i| (noise(i + 5).sin().to_bits() >> 16) as u16).collect();
            let wide: Vec<f32> = halves.iter().map(|half| f32::from_bits(u32::from(*half) << 16)).collect();
            let (mut of_halves, mut of_wide) = (vec![f32::NAN; computed], vec![f32::NAN; computed]);
            assert!(run(&sizes, Read::Pred(&mask), &halves[..], &mut of_halves, &InTurn(1)));
            assert!(run(&sizes, Read::Pred(&mask), &wide[..], &mut of_wide, &InTurn(1)));
            assert_eq!(of_halves, of_wide);
        }
    }
}
