//! Dispatches each augmentation to the function that applies it to a batch.

use spiq_hlo::Tensor;

use super::frames::{COLUMNS, Frames, POLARITY, ROWS, TIME};
use super::table::Augment;
use crate::random::GraphKey;

impl Augment {
    /// The batch after this augmentation.
    #[track_caller]
    pub(super) fn apply(&self, key: &GraphKey, frames: &Frames, labels: &Tensor) -> Tensor {
        match *self {
            Augment::TimeShift { max } => frames.shift(key, TIME, max),
            Augment::ChannelShift { max } => frames.shift(key, COLUMNS, max),
            Augment::SpatialShift { max } => frames.spatial_shift(key, max),
            Augment::DropEvent { p } => frames.drop_event(key, p),
            Augment::DropEventByTime { duration_ratio } => frames.drop_by_time(key, duration_ratio),
            Augment::DropEventByArea { area_ratio } => frames.drop_by_area(key, area_ratio),
            Augment::EventDrop {} => frames.event_drop(key),
            Augment::RandomDropPixel { p } => frames.drop_pixel(key, p),
            Augment::LowCut { max } => frames.low_cut(key, max),
            Augment::SpectralDrop { p, max, knots } => frames.spectral_drop(key, p, max, knots),
            Augment::RandomFlipLR { p } => frames.flip(key, &[COLUMNS], p),
            Augment::RandomFlipUD { p } => frames.flip(key, &[ROWS], p),
            Augment::RandomFlipPolarity { p } => frames.flip(key, &[POLARITY], p),
            Augment::RandomTimeReversal { p, flip_polarities } => frames.time_reversal(key, p, flip_polarities),
            Augment::TimeJitter { std } => frames.jitter(key, TIME, std),
            Augment::SpatialJitter { var_x, var_y } => frames.spatial_jitter(key, var_x, var_y),
            Augment::TimeSkew { coefficient, offset } => frames.time_skew(key, coefficient, offset),
            Augment::UniformNoise { rate } => frames.noise(key, rate),
            Augment::Blend { p } => frames.blend(key, labels, p),
        }
    }
}
