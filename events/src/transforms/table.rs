//! The transforms by name, with their arguments, and what these may be. Knows nothing of what they do.

use super::slices::Slicing;
use crate::arguments::{Pair, Span};
use crate::error::{Error, Result};

named! {
    /// A transform of events, with tonic's name and arguments; those for the sensor's size are left out, as it is known. Times are
    /// microseconds. Of two numbers `[low, high]` each sample draws its own in between. What comes out is in the order of its times
    /// and lies within the sensor.
    pub enum Transform, "transform";
    /// Drops events with no other one at a pixel beside theirs in the `filter_time` before.
    Denoise {
        /// Microseconds.
        filter_time: f64,
    }
    /// Keeps every nth event of each pixel.
    Decimation {
        /// Of how many one is kept.
        n: usize,
    }
    /// Drops events that follow another one of their pixel, kept or not, within `delta`.
    RefractoryPeriod {
        /// Microseconds.
        delta: Span,
    }
    /// Drops all events of these pixels, [[x, y], …], or of those that fire more often than `hot_pixel_frequency` a second.
    DropPixel {
        /// Pixels.
        coordinates: Option<Vec<Vec<usize>>>,
        /// Events a second.
        hot_pixel_frequency: Option<f64>,
    }
    /// Drops all events of each pixel with probability p.
    RandomDropPixel {
        /// Probability.
        p: f64,
    }
    /// Drops a part p of all events.
    DropEvent {
        /// Part.
        p: Span,
    }
    /// Drops all events of a span of time that is this part of the recording.
    DropEventByTime {
        /// Part.
        duration_ratio: Span = 0.2,
    }
    /// Drops all events of a block of pixels or channels; its sides are this part of the sensor's.
    DropEventByArea {
        /// Part of each side.
        area_ratio: Span = 0.2,
    }
    /// Draws one of four: nothing; DropEventByTime with a ratio of 0.1 to 0.9; DropEventByArea with 0.05 to 0.25; DropEvent with
    /// 0.1 to 0.9.
    EventDrop {}
    /// Drops events before `min` and after `max`.
    CropTime {
        /// Microseconds.
        min: i64 = 0,
        /// Microseconds; without it, to the end.
        max: Option<i64>,
    }
    /// Moves the first event to time 0, and the others along.
    TimeAlignment {}
    /// Multiplies times and moves them, rounded towards 0.
    TimeSkew {
        /// Factor.
        coefficient: Span,
        /// Microseconds.
        offset: Span = 0,
    }
    /// Moves each event in time by a normally distributed number of microseconds.
    TimeJitter {
        /// Standard deviation, microseconds.
        std: f64,
        /// Whether events before time 0 are dropped.
        clip_negative: bool = true,
    }
    /// Lets time run backwards with probability p; the polarities change as well, where there are two.
    RandomTimeReversal {
        /// Probability.
        p: f64 = 0.5,
        /// Whether polarities change.
        flip_polarities: bool = true,
    }
    /// Multiplies times and coordinates, rounded down, or fits columns and rows into `target_size`; no event is dropped.
    Downsample {
        /// Factor of times.
        time_factor: f64 = 1,
        /// Factor of columns and rows.
        spatial_factor: Pair<f64> = 1,
        /// Columns and rows.
        target_size: Option<Pair<usize>>,
    }
    /// Cuts out the middle of the sensor, or puts the sensor into the middle of a larger one.
    CenterCrop {
        /// Columns and rows.
        size: Pair<usize>,
    }
    /// Cuts a block out of the sensor, somewhere.
    RandomCrop {
        /// Columns and rows.
        target_size: Pair<usize>,
    }
    /// Moves each event by normally distributed numbers of pixels, rounded, with these variances and this covariance.
    SpatialJitter {
        /// Variance along columns.
        var_x: f64 = 1,
        /// Variance along rows.
        var_y: f64 = 1,
        /// Covariance.
        sigma_xy: f64 = 0,
        /// Whether events outside of the sensor are dropped; else they stay at its edge.
        clip_outliers: bool = true,
    }
    /// Reverses columns (channels) with probability p.
    RandomFlipLR {
        /// Probability.
        p: f64 = 0.5,
    }
    /// Reverses rows with probability p.
    RandomFlipUD {
        /// Probability.
        p: f64 = 0.5,
    }
    /// Exchanges the polarities of all events with probability p.
    RandomFlipPolarity {
        /// Probability.
        p: f64 = 0.5,
    }
    /// Makes one polarity of two.
    MergePolarities {}
    /// Adds n events anywhere on the sensor between the first and the last.
    UniformNoise {
        /// How many.
        n: Span,
    }
    /// Cuts each recording into slices, one a frame, and gives each event the number of its slice for a time. One of the first
    /// four arguments says how: by time, by number of events, or into so many slices. It is the last transform.
    ToFrame {
        /// Microseconds of a slice.
        time_window: Option<f64>,
        /// Events of a slice.
        event_count: Option<usize>,
        /// Number of slices, equally long.
        n_time_bins: Option<usize>,
        /// Number of slices, with as many events each.
        n_event_bins: Option<usize>,
        /// What a slice shares with the next one: microseconds, events, or a part of a bin.
        overlap: f64 = 0,
        /// Whether what does not fill a slice at the end is one, too.
        include_incomplete: bool = false,
        /// Where the first slice of `time_window` begins, microseconds; without it at the first event.
        start_time: Option<f64>,
        /// Where its last slice ends; without it at the last event.
        end_time: Option<f64>,
    }
}

impl Transform {
    /// That the arguments can be, whatever the events are.
    pub(super) fn check(&self) -> Result<()> {
        let part = |span: &Span| span.is_within(0.0, 1.0);
        let variances = |x: f64, y: f64, both: f64| x >= 0.0 && y >= 0.0 && both * both <= x * y;
        match self {
            Transform::Denoise { filter_time } => self.wants("filter_time", *filter_time >= 0.0, "0 or more"),
            Transform::Decimation { n } => self.wants("n", *n >= 1, "1 or more"),
            Transform::RefractoryPeriod { delta } => self.wants("delta", delta.low >= 0.0, "0 or more"),
            Transform::DropPixel { coordinates, hot_pixel_frequency } => {
                let one = coordinates.is_some() != hot_pixel_frequency.is_some();
                self.wants("coordinates", one, "given, or `hot_pixel_frequency`, and not both")?;
                let pairs = coordinates.iter().flatten().all(|pixel| pixel.len() == 2);
                self.wants("coordinates", pairs, "pixels `[[x, y], …]`")?;
                self.wants("hot_pixel_frequency", hot_pixel_frequency.is_none_or(|f| f > 0.0), "above 0")
            }
            Transform::RandomDropPixel { p }
            | Transform::RandomTimeReversal { p, .. }
            | Transform::RandomFlipLR { p }
            | Transform::RandomFlipUD { p }
            | Transform::RandomFlipPolarity { p } => self.wants("p", (0.0..=1.0).contains(p), "from 0 to 1"),
            Transform::DropEvent { p } => self.wants("p", part(p), "from 0 to 1"),
            Transform::DropEventByTime { duration_ratio } => {
                self.wants("duration_ratio", part(duration_ratio), "from 0 to 1")
            }
            Transform::DropEventByArea { area_ratio } => self.wants("area_ratio", part(area_ratio), "from 0 to 1"),
            Transform::CropTime { min, max } => self.wants("max", max.is_none_or(|max| max >= *min), "at least `min`"),
            Transform::TimeSkew { coefficient, .. } => self.wants("coefficient", coefficient.low > 0.0, "above 0"),
            Transform::TimeJitter { std, .. } => self.wants("std", *std >= 0.0, "0 or more"),
            Transform::Downsample { time_factor, spatial_factor: Pair { x, y }, target_size } => {
                self.wants("time_factor", *time_factor > 0.0, "above 0")?;
                self.wants("spatial_factor", *x > 0.0 && *y > 0.0, "above 0")?;
                target_size.map_or(Ok(()), |size| self.wants_size("target_size", size))
            }
            Transform::CenterCrop { size } => self.wants_size("size", *size),
            Transform::RandomCrop { target_size } => self.wants_size("target_size", *target_size),
            Transform::SpatialJitter { var_x, var_y, sigma_xy, .. } => self.wants(
                "var_x",
                variances(*var_x, *var_y, *sigma_xy),
                "0 or more, and `sigma_xy`² at most `var_x` · `var_y`",
            ),
            Transform::UniformNoise { n } => self.wants("n", n.is_within(0.0, 1e8), "from 0 to 100 million"),
            Transform::ToFrame { .. } => Slicing::of(self).map(|_| ()),
            Transform::EventDrop {} | Transform::TimeAlignment {} | Transform::MergePolarities {} => Ok(()),
        }
    }

    fn wants(&self, key: &str, fits: bool, range: &str) -> Result<()> {
        fits.then_some(()).ok_or_else(|| Error::input(format!("`{key}` of `{}` must be {range}", self.text())))
    }

    fn wants_size(&self, key: &str, size: Pair<usize>) -> Result<()> {
        let fits = |side: usize| (1..=usize::from(u16::MAX)).contains(&side);
        self.wants(key, fits(size.x) && fits(size.y), "from 1 to 65535")
    }
}
