//! A batch of frames, with the shifts, masks and sums that augmentations are built from.

use spiq_events::Span;
use spiq_hlo::{DType, Tensor, TensorType, WindowDims, while_loop};

use crate::random::GraphKey;

/// Axes of a batch.
pub(super) const TIME: usize = 1;
pub(super) const ROWS: usize = 2;
pub(super) const COLUMNS: usize = 3;
pub(super) const POLARITY: usize = 4;

/// The largest event count in s8.
const MOST: f64 = 127.0;

/// A batch [B, T, rows, columns, polarities] of spikes (pred), counts (s8, from 0) or reals (f32).
pub(super) struct Frames {
    pub(super) x: Tensor,
}

impl Frames {
    pub(super) fn new(x: Tensor) -> Frames {
        Frames { x }
    }

    /// Elements along an axis; 0 is the batch.
    pub(super) fn size(&self, axis: usize) -> usize {
        self.x.dims()[axis]
    }

    /// The dimensions of a mask that is full-size along these axes and 1 along the others.
    pub(super) fn mask(&self, axes: &[usize]) -> Vec<usize> {
        (0..self.x.rank()).map(|axis| if axes.contains(&axis) { self.size(axis) } else { 1 }).collect()
    }

    /// One number per sample, [B], reshaped to a mask [B, 1, 1, 1, 1].
    #[track_caller]
    pub(super) fn each(&self, of_sample: &Tensor) -> Tensor {
        of_sample.reshape(&self.mask(&[0]))
    }

    /// 0, 1, 2, … along an axis, s32.
    #[track_caller]
    pub(super) fn places(&self, axis: usize) -> Tensor {
        self.x.graph().iota(TensorType::new(DType::S32, self.mask(&[axis])), axis)
    }

    /// The batch with the masked elements set to zero.
    #[track_caller]
    pub(super) fn without(&self, mask: &Tensor) -> Tensor {
        mask.broadcast_to(self.x.dims()).select(&self.x.zeros_like(), &self.x)
    }

    /// `other` for the samples selected by a mask [B, 1, …], this batch for the rest.
    #[track_caller]
    pub(super) fn or_else(&self, mask: &Tensor, other: &Tensor) -> Tensor {
        mask.broadcast_to(self.x.dims()).select(other, &self.x)
    }

    /// The events of both: logical or of spikes, sum of counts capped at 127, sum of reals.
    #[track_caller]
    pub(super) fn union(&self, other: &Tensor) -> Tensor {
        match self.x.dtype() {
            DType::Pred => self.x.or(other),
            DType::F32 => &self.x + other,
            dtype => (self.x.convert(DType::S32) + other.convert(DType::S32)).minimum(MOST).convert(dtype),
        }
    }

    /// Shifts each sample along an axis by its own number of places, s32 [B], at most `most` in magnitude; zeros are shifted in.
    #[track_caller]
    pub(super) fn moved(&self, axis: usize, by: &Tensor, most: usize) -> Tensor {
        let rank = self.x.rank();
        let mut margin = vec![0; rank];
        margin[axis] = most as i64;
        let padded = self.x.pad(0.0, &margin, &margin, &vec![0; rank]);
        let dims = WindowDims {
            window: (1..rank).collect(),
            operand_batch: vec![0],
            indices_batch: vec![0],
            start: vec![axis],
            index_axis: 1,
            ..WindowDims::default()
        };
        let mut sizes = self.x.dims().to_vec();
        sizes[0] = 1;
        padded.gather(&(by.negate() + most as f64), &dims, &sizes)
    }

    /// At each time step, the sample's frame at the step given by `steps`, s32 [B, T]; zeros where that step is out of range.
    #[track_caller]
    pub(super) fn at_steps(&self, steps: &Tensor) -> Tensor {
        let (batch, time) = (self.size(0), self.size(TIME));
        let rows = self.x.reshape(&[&[batch * time], &self.x.dims()[TIME + 1..]].concat());
        let first = self.x.graph().iota(TensorType::new(DType::S32, [batch, time]), 0) * time as f64;
        let last = (time - 1) as f64;
        let taken =
            rows.take_clipped(&(first + steps.clamp(0.0, last)).reshape(&[batch * time]), 0).reshape(self.x.dims());
        let inside = steps.ge(0.0).and(steps.le(last)).reshape(&self.mask(&[0, TIME]));
        inside.broadcast_to(self.x.dims()).select(&taken, &taken.zeros_like())
    }

    /// Shifts each element along an axis by its own number of places, s8 of the batch's shape, from `-most` to `most`.
    #[track_caller]
    pub(super) fn scattered(&self, axis: usize, by: &Tensor, most: usize) -> Tensor {
        let (rank, graph) = (self.x.rank(), self.x.graph());
        let mut margin = vec![0; rank];
        margin[axis] = most as i64;
        let nothing = self.x.zeros_like();
        // One pass per distance. Elements and distances are loop state, so they are held in memory and not recomputed.
        let start = (graph.scalar(DType::S32, -(most as f64)), self.x.clone(), by.clone(), nothing.clone());
        let all = while_loop(
            &start,
            |(distance, ..)| distance.le(most as f64),
            |(distance, x, by, sum)| {
                let those = by.eq(distance.convert(DType::S8)).select(&x, &nothing);
                let mut from = vec![graph.scalar(DType::S32, 0.0); rank];
                from[axis] = distance.negate() + most as f64;
                let moved = those.pad(0.0, &margin, &margin, &vec![0; rank]).dynamic_slice(&from, x.dims());
                (distance + 1.0, x, by, Frames::new(sum).union(&moved))
            },
        );
        all.3
    }

    /// The batch after dropping each event with its sample's probability, f32 [B].
    ///
    /// The number dropped from a count n is drawn from the binomial distribution, by inverting its cumulative distribution with one uniform
    /// number.
    #[track_caller]
    pub(super) fn thinned(&self, key: &GraphKey, p: &Tensor) -> Tensor {
        let draws = key.uniform(self.x.dims(), 0.0, 1.0);
        let p = self.each(p);
        if self.x.dtype() != DType::S8 {
            return self.without(&held(&draws.lt(p.broadcast_to(self.x.dims()))));
        }
        // Counts the rarer of the two outcomes, so that the probability of zero occurrences is at least 2^-127.
        let many = p.gt(0.5);
        let rarer = many.select(&(1.0 - &p), &p);
        let counts = self.x.convert(DType::F32);
        let rare = binomial(&draws, &counts, &rarer);
        many.broadcast_to(self.x.dims()).select(&rare, &(&counts - &rare)).convert(DType::S8)
    }

    /// A number drawn from the span for each sample, f32 [B].
    #[track_caller]
    pub(super) fn drawn(&self, key: &GraphKey, span: Span) -> Tensor {
        let dims = [self.size(0)];
        match span.is_one() {
            true => self.x.graph().full(TensorType::new(DType::F32, dims), span.low),
            false => held(&key.uniform(&dims, span.low as f32, span.high as f32)),
        }
    }

    /// Selects each sample with probability `p`: a mask [B, 1, …].
    #[track_caller]
    pub(super) fn some(&self, key: &GraphKey, p: f64) -> Tensor {
        held(&key.bernoulli(&self.mask(&[0]), p))
    }

    /// An integer drawn from `-max` to `max` for each sample, s32 [B].
    #[track_caller]
    pub(super) fn offsets(&self, key: &GraphKey, max: usize) -> Tensor {
        held(&key.randint(DType::S32, &[self.size(0)], -(max as i128), max as i128 + 1))
    }
}

/// The same tensor, materialized: computed once and kept in memory.
///
/// Compilers fuse operations that are cheap per element, such as random bits, into their consumers: numbers drawn once per sample would be
/// drawn again for each of its elements. Barriers do not survive the first passes, but loop state does: this loop reverses the tensor
/// twice.
#[track_caller]
pub(super) fn held(x: &Tensor) -> Tensor {
    let axis = (0..x.rank()).max_by_key(|axis| x.dims()[*axis]).unwrap_or(0);
    let start = (x.graph().scalar(DType::S32, 0.0), x.clone());
    while_loop(&start, |(i, _)| i.lt(2.0), |(i, x)| (i + 1.0, x.reverse(&[axis]))).1
}

/// Draws from the binomial distribution with `n` trials of probability `p`, at most 1/2, by inverting `draws`, uniform numbers. All f32.
#[track_caller]
fn binomial(draws: &Tensor, n: &Tensor, p: &Tensor) -> Tensor {
    // Probabilities are scaled by 2^8: (1/2)^127 is below the smallest normal number.
    const SCALE: f64 = 256.0;
    let (odds, logarithm) = (p / (1.0 - p), (1.0 - p).log());
    let first = (n * &logarithm + SCALE.ln()).exp();
    let (aim, zero) = (draws * SCALE, n.zeros_like());
    let most = n.reduce_max((0..n.rank()).collect::<Vec<_>>());
    let start = (most.zeros_like(), zero.clone(), first.clone(), first);
    let (_, happened, ..) = while_loop(
        &start,
        |(i, ..)| i.lt(&most),
        |(i, happened, probability, sum)| {
            let more = sum.le(&aim).and(n.gt(&i));
            let happened = happened + more.convert(DType::F32);
            let probability = probability * ((n - &i) / (&i + 1.0)) * &odds;
            let sum = sum + &probability;
            (i + 1.0, happened, probability, sum)
        },
    );
    happened
}
