//! Stretches or reverses time.

use spiq_events::Span;
use spiq_hlo::{DType, Tensor, TensorType};

use super::frames::{Frames, POLARITY, TIME, held};
use crate::random::GraphKey;

impl Frames {
    pub(super) fn time_reversal(&self, key: &GraphKey, p: f64, flip_polarities: bool) -> Tensor {
        let axes: &[usize] = if flip_polarities && self.has_polarities() { &[TIME, POLARITY] } else { &[TIME] };
        self.flip(key, axes, p)
    }

    /// Each step moves to the step that contains its new midpoint. Each target step gathers its source steps: as many as the smallest
    /// coefficient allows, plus one on either side, since the first source step is exact only up to rounding.
    pub(super) fn time_skew(&self, key: &GraphKey, coefficient: Span, offset: Span) -> Tensor {
        let (factors, offsets) = key.pair();
        let one = |drawn: Tensor| drawn.reshape(&[self.size(0), 1]);
        let (factor, offset) = (one(self.drawn(&factors, coefficient)), one(self.drawn(&offsets, offset)));
        let steps = self.x.graph().iota(TensorType::new(DType::F32, [self.size(0), self.size(TIME)]), 1);
        // Computed once: different roundings of the same step must not lose or duplicate an event.
        let goes = held(&((&steps + 0.5) * &factor + &offset).floor().convert(DType::S32));
        let (goes, all) = (Frames::new(goes.reshape(&self.mask(&[0, TIME]))), Frames::new(held(&self.x)));
        let first = ((&steps - &offset) / &factor - 0.5).ceil().convert(DType::S32);
        let those = |later: i64| {
            let from = &first + later as f64;
            let here = steps.convert(DType::S32).reshape(goes.x.dims());
            let inside = self.within(&from);
            let comes = goes.at_steps(&from).eq(&here).and(inside);
            comes.broadcast_to(self.x.dims()).select(&all.at_steps(&from), &all.x.zeros_like())
        };
        let most = (1.0 / coefficient.low).ceil() as i64;
        (-1..=most).fold(self.x.zeros_like(), |sum, later| Frames::new(sum).union(&those(later)))
    }

    /// A mask of the step numbers, s32 [B, T], that are in range.
    fn within(&self, steps: &Tensor) -> Tensor {
        steps.ge(0.0).and(steps.lt(self.size(TIME) as f64)).reshape(&self.mask(&[0, TIME]))
    }
}
