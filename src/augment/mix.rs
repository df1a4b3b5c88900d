//! Blends samples with others of the same class.

use spiq_hlo::{DType, Tensor, TensorType};

use super::frames::{COLUMNS, Frames, ROWS, TIME, held};
use crate::random::GraphKey;

impl Frames {
    pub(super) fn blend(&self, key: &GraphKey, labels: &Tensor, p: f64) -> Tensor {
        let keys = key.split(4);
        let (partner, has_one) = self.partner(&keys[0], labels);
        let own = Frames::new(held(&self.x));
        let mut other = Frames::new(own.x.take_clipped(&held(&partner), 0));
        for axis in [TIME, ROWS, COLUMNS] {
            if self.size(axis) == 1 {
                continue;
            }
            let by = held(&(own.centre(axis) - other.centre(axis)).round_nearest_even().convert(DType::S32));
            other = Frames::new(held(&other.moved(axis, &by, self.size(axis) - 1)));
        }
        let half = self.x.graph().full(TensorType::new(DType::F32, [self.size(0)]), 0.5);
        let blended = Frames::new(own.thinned(&keys[1], &half)).union(&other.thinned(&keys[2], &half));
        own.or_else(&self.some(&keys[3], p).and(self.each(&has_one)), &blended)
    }

    /// The index of another sample of the same class for each sample, s32 [B], and whether there is one.
    fn partner(&self, key: &GraphKey, labels: &Tensor) -> (Tensor, Tensor) {
        let batch = self.size(0);
        let square = TensorType::new(DType::S32, [batch, batch]);
        let (rows, columns) = (self.x.graph().iota(square.clone(), 0), self.x.graph().iota(square, 1));
        let same = labels.reshape(&[batch, 1]).eq(labels.reshape(&[1, batch])).and(rows.ne(&columns));
        let draws = key.uniform(&[batch, batch], 0.0, 1.0);
        let scores = same.select(&draws, &draws.full_like(-1.0));
        (scores.argmax(1), scores.reduce_max([1]).ge(0.0))
    }

    /// The sample's centre of mass along an axis, f32 [B]; 0 for a sample without events.
    fn centre(&self, axis: usize) -> Tensor {
        let others: Vec<usize> = (1..self.x.rank()).filter(|other| *other != axis).collect();
        // Negative values count by their magnitude.
        let along = self.x.convert(DType::F32).abs().reduce_sum(&others);
        let places = self.x.graph().iota(along.ty().clone(), 1);
        let total = along.reduce_sum([1]);
        total.gt(0.0).select(&((along * places).reduce_sum([1]) / &total), &total.zeros_like())
    }
}
