//! The augmentations by name, with their arguments, and what these may be. Knows nothing of graphs.

use spiq_events::{Error, Result, Span, named};

use super::layout::Layout;

named! {
    /// A change of training samples. Each sample of each step draws its own. Lengths are in time steps, channels and pixels.
    pub enum Augment, "augmentation";
    /// Each sample is moved in time by up to `max` steps, forwards or backwards; what leaves is lost, zeros come in.
    TimeShift {
        /// Steps.
        max: usize,
    }
    /// Each sample is moved by up to `max` channels (columns); what leaves is lost, zeros come in.
    ChannelShift {
        /// Channels.
        max: usize,
    }
    /// Each sample is moved by up to `max` pixels along rows and, independently, along columns.
    SpatialShift {
        /// Pixels.
        max: usize,
    }
    /// Each event is lost with probability p, each of a count by itself (tonic loses the part p of all events); a real number
    /// becomes 0 as a whole. Of p = [low, high] each sample draws its own.
    DropEvent {
        /// Probability.
        p: Span,
    }
    /// Each sample loses all events of a span of time that is this part of its duration.
    DropEventByTime {
        /// Part of the duration.
        duration_ratio: Span = 0.2,
    }
    /// Each sample loses all events of a block of pixels or channels; its sides are this part of the sensor's.
    DropEventByArea {
        /// Part of each side.
        area_ratio: Span = 0.2,
    }
    /// Each sample draws one of four: unchanged; DropEventByTime with a ratio of 0.1 to 0.9; DropEventByArea with 0.05 to 0.25;
    /// DropEvent with 0.1 to 0.9 (Gu and others 2021, in tonic's steps).
    EventDrop {}
    /// Each sample loses all events of each pixel or channel with probability p.
    RandomDropPixel {
        /// Probability.
        p: f64,
    }
    /// In half of the samples the channels (columns) below one of the first `max` lose all events, as behind a microphone that passes
    /// no low tones. Each sample draws where from all channels alike.
    LowCut {
        /// Channels, at most.
        max: usize,
    }
    /// With probability p a sample loses elements with a probability that changes smoothly over channels (columns): on straight lines
    /// between `knots` channels, for each of which it is drawn from 0 to `max`.
    SpectralDrop {
        /// Probability.
        p: f64 = 0.5,
        /// The largest probability that an element is lost.
        max: f64 = 0.8,
        /// Channels between which it is a straight line.
        knots: usize = 6,
    }
    /// Columns (channels) of a sample are reversed with probability p.
    RandomFlipLR {
        /// Probability.
        p: f64 = 0.5,
    }
    /// Rows of a sample are reversed with probability p.
    RandomFlipUD {
        /// Probability.
        p: f64 = 0.5,
    }
    /// The polarities of a sample are exchanged with probability p.
    RandomFlipPolarity {
        /// Probability.
        p: f64 = 0.5,
    }
    /// Time runs backwards in a sample with probability p, its polarities exchanged where there are two.
    RandomTimeReversal {
        /// Probability.
        p: f64 = 0.5,
        /// Whether polarities are exchanged as well.
        flip_polarities: bool = true,
    }
    /// Each event moves in time by a normally distributed number of steps, rounded, of at most three deviations; those of one
    /// element move together, and what leaves is lost.
    TimeJitter {
        /// Deviation in steps.
        std: f64,
    }
    /// Each event moves along columns and rows likewise, by numbers with these variances.
    SpatialJitter {
        /// Variance along columns.
        var_x: f64 = 1,
        /// Variance along rows.
        var_y: f64 = 1,
    }
    /// The time of each sample is multiplied by a coefficient and moved by an offset in steps; each event comes into the step
    /// that the middle of its own one moves to, and what leaves is lost.
    TimeSkew {
        /// Factor.
        coefficient: Span,
        /// Steps.
        offset: Span = 0,
    }
    /// Each element has one event more with probability `rate` (tonic adds a given number n).
    UniformNoise {
        /// Probability.
        rate: Span,
    }
    /// With probability p a sample is blended with another one of its class in the batch, moved so that their centres of mass
    /// fall together: each event of both is kept with probability 1/2 (Nowotny and others 2022). The label stays.
    Blend {
        /// Probability.
        p: f64 = 0.5,
    }
}

/// More standard deviations of jitter cost more than they give: a pass over the samples each.
const LARGEST_DEVIATION: f64 = 10.0;

impl Augment {
    /// That the arguments can be, whatever the samples are.
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

    /// That it can be applied to samples of so many time steps and this layout.
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
                "`{}` moves samples of {size} {what} by all they have; give a smaller `max`",
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
