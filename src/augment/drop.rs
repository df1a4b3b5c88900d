//! Augmentations that drop or add events: at random, in a time span, in an area, or everywhere.

use spiq_events::Span;
use spiq_hlo::{DType, Tensor, TensorType};

use super::frames::{COLUMNS, Frames, POLARITY, ROWS, TIME, held};
use crate::random::GraphKey;

impl Frames {
    pub(super) fn drop_event(&self, key: &GraphKey, p: Span) -> Tensor {
        let (of_samples, of_events) = key.pair();
        self.thinned(&of_events, &self.drawn(&of_samples, p))
    }

    pub(super) fn drop_by_time(&self, key: &GraphKey, ratio: Span) -> Tensor {
        let (length, place) = key.pair();
        self.without(&self.span(&place, TIME, &self.drawn(&length, ratio)))
    }

    pub(super) fn drop_by_area(&self, key: &GraphKey, ratio: Span) -> Tensor {
        let (size, place) = key.pair();
        self.without(&self.area(&place, &self.drawn(&size, ratio)))
    }

    /// Draws one of four options per sample.
    pub(super) fn event_drop(&self, key: &GraphKey) -> Tensor {
        let keys = key.split(5);
        let batch = [self.size(0)];
        let choice = held(&keys[0].randint(DType::S32, &batch, 0, 4));
        // As in tonic: multiples of 0.1 from 0.1 to 0.9, and of 0.05 from 0.05 to 0.25.
        let steps =
            |key: &GraphKey, end: i128, of: f64| key.randint(DType::S32, &batch, 1, end).convert(DType::F32) / of;
        let [tenths, twentieths] = [steps(&keys[1], 10, 10.0), steps(&keys[1], 6, 20.0)].map(|drawn| held(&drawn));
        let chosen = |number: f64| self.each(&choice.eq(number));
        let in_time = self.span(&keys[2], TIME, &tenths).and(chosen(1.0));
        let in_area = self.area(&keys[3], &twentieths).and(chosen(2.0));
        let left = Frames::new(self.without(&in_time.or(in_area)));
        let p = choice.eq(3.0).select(&tenths, &tenths.zeros_like());
        left.thinned(&keys[4], &p)
    }

    pub(super) fn drop_pixel(&self, key: &GraphKey, p: f64) -> Tensor {
        self.without(&held(&key.bernoulli(&self.mask(&[0, ROWS, COLUMNS]), p)))
    }

    pub(super) fn low_cut(&self, key: &GraphKey, max: usize) -> Tensor {
        let (whether, place) = key.pair();
        let below = self.each(&held(&place.randint(DType::S32, &[self.size(0)], 1, max as i128 + 1)));
        self.without(&self.places(COLUMNS).lt(&below).and(self.some(&whether, 0.5)))
    }

    pub(super) fn spectral_drop(&self, key: &GraphKey, p: f64, max: f64, knots: usize) -> Tensor {
        let keys = key.split(3);
        let heights = held(&keys[0].uniform(&[self.size(0), knots], 0.0, max as f32));
        // Linear interpolation weights: a knot has weight 1 at its own channel, falling to 0 at the neighbouring knots.
        let columns = TensorType::new(DType::F32, [knots, self.size(COLUMNS)]);
        let graph = self.x.graph();
        let apart = (knots - 1) as f64 / self.size(COLUMNS).saturating_sub(1).max(1) as f64;
        let distance = graph.iota(columns.clone(), 1) * apart - graph.iota(columns, 0);
        let shares = (1.0 - distance.abs()).maximum(0.0);
        let lost = heights.dot(&shares).reshape(&self.mask(&[0, COLUMNS]));
        let draws = keys[1].uniform(self.x.dims(), 0.0, 1.0);
        let thinned = self.without(&held(&draws.lt(held(&lost).broadcast_to(self.x.dims()))));
        self.or_else(&self.some(&keys[2], p), &thinned)
    }

    pub(super) fn noise(&self, key: &GraphKey, rate: Span) -> Tensor {
        let (of_samples, of_elements) = key.pair();
        let rate = self.each(&self.drawn(&of_samples, rate));
        self.union(&held(&of_elements.bernoulli(self.x.dims(), &rate)).convert(self.x.dtype()))
    }

    /// A mask of one span per sample along an axis. `part` is the span's fraction of the axis, f32 [B]; its length is
    /// rounded down as in tonic.
    fn span(&self, key: &GraphKey, axis: usize, part: &Tensor) -> Tensor {
        let size = self.size(axis) as f64;
        // A ratio that binary floating point cannot represent exactly must not lose a step.
        let length = (part * size + 1e-4).floor();
        let start = (key.uniform(&[self.size(0)], 0.0, 1.0) * (size + 1.0 - &length)).floor();
        let places = self.places(axis).convert(DType::F32);
        let (start, length) = (self.each(&held(&start)), self.each(&length));
        places.ge(&start).and(places.lt(&start + &length))
    }

    /// A mask of one block of pixels per sample, each side a fraction `part` of the sensor's.
    fn area(&self, key: &GraphKey, part: &Tensor) -> Tensor {
        let (columns, rows) = key.pair();
        let block = self.span(&columns, COLUMNS, part);
        // A cochlea has a single row; only its columns form a span.
        if self.size(ROWS) == 1 { block } else { block.and(self.span(&rows, ROWS, part)) }
    }

    /// Whether there are two polarities.
    pub(super) fn has_polarities(&self) -> bool {
        self.size(POLARITY) == 2
    }
}
