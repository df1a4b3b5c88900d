//! The augmentations by name, their arguments and the valid ranges.

use spiq_events::{Error, Result, Span, named};

use super::layout::Layout;

named! {
    /// An augmentation of training samples. Every sample draws anew in every step. Lengths are in time steps, channels and pixels.
    pub enum Augment, "augmentation";
    /// Shifts each sample in time by up to `max` steps in either direction; events shifted out are lost, zeros are shifted in.
    TimeShift {
        /// Steps.
        max: usize,
    }
    /// Shifts each sample by up to `max` channels (columns); events shifted out are lost, zeros are shifted in.
    ChannelShift {
        /// Channels.
        max: usize,
    }
    /// Shifts each sample by up to `max` pixels along rows and, independently, along columns.
    SpatialShift {
        /// Pixels.
        max: usize,
    }
    /// Drops each event with probability p, independently for each event of a count (tonic drops exactly the fraction p of all events); a
    /// real number becomes 0 as a whole. For p = [low, high] each sample draws its own p.
    DropEvent {
        /// Probability.
        p: Span,
    }
    /// Drops all events in one time span of each sample, which is this fraction of its duration.
    DropEventByTime {
        /// Fraction of the duration.
        duration_ratio: Span = 0.2,
    }
    /// Drops all events in one block of pixels or channels of each sample; each side is this fraction of the sensor's.
    DropEventByArea {
        /// Fraction of each side.
        area_ratio: Span = 0.2,
    }
    /// Draws one of four options for each sample: unchanged; DropEventByTime with a ratio of 0.1 to 0.9; DropEventByArea with 0.05 to 0.25;
    /// DropEvent with 0.1 to 0.9 (Gu et al. 2021, in tonic's steps).
    EventDrop {}
    /// Drops all events of each pixel or channel of a sample with probability p.
    RandomDropPixel {
        /// Probability.
        p: f64,
    }
    /// In half of the samples, drops all events of the channels (columns) below a cut-off, like a microphone that does not pick up low
    /// tones. Each sample draws the cut-off uniformly from 1 to `max`.
    LowCut {
        /// The largest cut-off, in channels.
        max: usize,
    }
    /// With probability p, drops elements of a sample with a probability that varies over channels (columns): it is interpolated linearly
    /// between `knots` channels, for each of which it is drawn from 0 to `max`.
    SpectralDrop {
        /// Probability.
        p: f64 = 0.5,
        /// The largest probability of dropping an element.
        max: f64 = 0.8,
        /// Channels between which the probability is interpolated.
        knots: usize = 6,
    }
    /// Reverses the columns (channels) of a sample with probability p.
    RandomFlipLR {
        /// Probability.
        p: f64 = 0.5,
    }
    /// Reverses the rows of a sample with probability p.
    RandomFlipUD {
        /// Probability.
        p: f64 = 0.5,
    }
    /// Swaps the polarities of a sample with probability p.
    RandomFlipPolarity {
        /// Probability.
        p: f64 = 0.5,
    }
    /// Reverses the time of a sample with probability p and, if it has two polarities, swaps them.
    RandomTimeReversal {
        /// Probability.
        p: f64 = 0.5,
        /// Whether to swap polarities as well.
        flip_polarities: bool = true,
    }
    /// Shifts each event in time by a normally distributed number of steps, rounded and clamped to three standard deviations; the events of
    /// one element move together, and events shifted out are lost.
    TimeJitter {
        /// Standard deviation in steps.
        std: f64,
    }
    /// Shifts each event along columns and rows in the same way, with these variances.
    SpatialJitter {
        /// Variance along columns.
        var_x: f64 = 1,
        /// Variance along rows.
        var_y: f64 = 1,
    }
    /// Multiplies the time of each sample by a coefficient and adds an offset in steps; each event moves to the step that contains the new
    /// midpoint of its old step, and events moved out are lost.
    TimeSkew {
        /// Factor.
        coefficient: Span,
        /// Steps.
        offset: Span = 0,
    }
    /// Adds one event to each element with probability `rate` (tonic adds a given number n).
    UniformNoise {
        /// Probability.
        rate: Span,
    }
    /// With probability p, blends a sample with another one of its class in the batch, shifted so that their centres of mass coincide: each
    /// event of both is kept with probability 1/2 (Nowotny et al. 2022). The label is unchanged.
    Blend {
        /// Probability.
        p: f64 = 0.5,
    }
}

/// A larger deviation costs more than it is worth: jitter makes one pass over the samples per distance.
const LARGEST_DEVIATION: f64 = 10.0;

impl Augment {
    /// Checks the arguments, independently of the samples.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Augment::TimeShift { max } | Augment::ChannelShift { max } | Augment::SpatialShift { max } => {
                self.wants("max", *max >= 1, "at least 1")
            }
            Augment::DropEvent { p } => self.wants("p", p.is_within(0.0, 1.0), "from 0 to 1"),
            Augment::UniformNoise { rate } => self.wants("rate", rate.is_within(0.0, 1.0), "from 0 to 1"),
            Augment::DropEventByTime { duration_ratio: ratio } => {
                self.wants("duration_ratio", ratio.is_within(0.0, 1.0), "from 0 to 1")
            }
            Augment::DropEventByArea { area_ratio: ratio } => {
                self.wants("area_ratio", ratio.is_within(0.0, 1.0), "from 0 to 1")
            }
            Augment::RandomDropPixel { p }
            | Augment::RandomFlipLR { p }
            | Augment::RandomFlipUD { p }
            | Augment::RandomFlipPolarity { p }
            | Augment::RandomTimeReversal { p, .. }
            | Augment::Blend { p } => self.wants("p", (0.0..=1.0).contains(p), "from 0 to 1"),
            Augment::LowCut { max } => self.wants("max", *max >= 1, "at least 1"),
            Augment::SpectralDrop { p, max, knots } => {
                self.wants("p", (0.0..=1.0).contains(p), "from 0 to 1")?;
                self.wants("max", (0.0..=1.0).contains(max), "from 0 to 1")?;
                self.wants("knots", (2..=64).contains(knots), "from 2 to 64")
            }
            Augment::TimeJitter { std } => {
                self.wants("std", *std > 0.0 && *std <= LARGEST_DEVIATION, "above 0 and at most 10")
            }
            Augment::SpatialJitter { var_x, var_y } => {
                let fits = |variance: f64| (0.0..=LARGEST_DEVIATION * LARGEST_DEVIATION).contains(&variance);
                self.wants("var_x", fits(*var_x), "from 0 to 100")?;
                self.wants("var_y", fits(*var_y), "from 0 to 100")
            }
            Augment::TimeSkew { coefficient, .. } => {
                self.wants("coefficient", coefficient.is_within(0.25, 4.0), "from 0.25 to 4")
            }
            Augment::EventDrop {} => Ok(()),
        }
    }

    /// Checks that it applies to samples with `time_steps` steps and this layout.
    pub(super) fn check_for(&self, time_steps: usize, layout: Layout) -> Result<()> {
        match self {
            Augment::TimeShift { max } => self.stays(*max, time_steps, "time steps"),
            Augment::ChannelShift { max } => self.stays(*max, layout.columns, "channels"),
            Augment::LowCut { max } => {
                self.wants("max", *max < layout.columns, &format!("below the {} channels", layout.columns))
            }
            Augment::SpatialShift { max } => {
                self.has(layout.rows > 1, "rows and columns")?;
                self.stays(*max, layout.rows.min(layout.columns), "pixels a side")
            }
            Augment::RandomFlipUD { .. } => self.has(layout.rows > 1, "rows and columns"),
            Augment::RandomFlipPolarity { .. } => self.has(layout.polarities == 2, "two polarities"),
            Augment::TimeSkew { offset, .. } => {
                let most = time_steps as f64;
                self.wants(
                    "offset",
                    offset.is_within(-most, most),
                    &format!("from -{time_steps} to {time_steps} steps"),
                )
            }
            _ => Ok(()),
        }
    }

    fn wants(&self, key: &str, fits: bool, range: &str) -> Result<()> {
        fits.then_some(()).ok_or_else(|| Error::input(format!("`{key}` of `{}` must be {range}", self.text())))
    }

    fn stays(&self, max: usize, size: usize, what: &str) -> Result<()> {
        let fits = max < size;
        fits.then_some(()).ok_or_else(|| {
            Error::input(format!(
                "`{}` moves samples of {size} {what} out completely; give a smaller `max`",
                self.text()
            ))
        })
    }

    fn has(&self, fits: bool, what: &str) -> Result<()> {
        fits.then_some(()).ok_or_else(|| {
            Error::input(format!("`{}` is for samples with {what}, which these do not have; leave it out", self.text()))
        })
    }
}
