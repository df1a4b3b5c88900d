//! Shifts along channels, rows and columns, jitter, and flips.

use spiq_hlo::{DType, Tensor};

use super::frames::{COLUMNS, Frames, ROWS, held};
use crate::random::GraphKey;

/// Jitter is clamped to this many standard deviations.
pub(super) const DEVIATIONS: f64 = 3.0;

impl Frames {
    pub(super) fn shift(&self, key: &GraphKey, axis: usize, max: usize) -> Tensor {
        self.moved(axis, &self.offsets(key, max), max)
    }

    pub(super) fn spatial_shift(&self, key: &GraphKey, max: usize) -> Tensor {
        let (rows, columns) = key.pair();
        Frames::new(self.shift(&rows, ROWS, max)).shift(&columns, COLUMNS, max)
    }

    /// Reverses each sample along these axes with probability `p`.
    pub(super) fn flip(&self, key: &GraphKey, axes: &[usize], p: f64) -> Tensor {
        let both = Frames::new(held(&self.x));
        both.or_else(&self.some(key, p), &both.x.reverse(axes))
    }

    pub(super) fn spatial_jitter(&self, key: &GraphKey, var_x: f64, var_y: f64) -> Tensor {
        let (columns, rows) = key.pair();
        let moved = Frames::new(self.jitter(&columns, COLUMNS, var_x.sqrt()));
        moved.jitter(&rows, ROWS, var_y.sqrt())
    }

    /// Shifts each element along an axis by a normally distributed number of places.
    pub(super) fn jitter(&self, key: &GraphKey, axis: usize, deviation: f64) -> Tensor {
        if deviation == 0.0 || self.size(axis) == 1 {
            return self.x.clone();
        }
        let most = (DEVIATIONS * deviation).ceil();
        let drawn = (key.normal(self.x.dims()) * deviation).round_nearest_even().clamp(-most, most);
        self.scattered(axis, &drawn.convert(DType::S8), most as usize)
    }
}
