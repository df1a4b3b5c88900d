//! The table of transforms: names, arguments and their valid ranges.

use super::slices::Slicing;
use crate::arguments::{Pair, Span};
use crate::error::{Error, Result};

named! {
    /// A transform of events, with tonic's name and arguments except for the sensor's size, which is known. Times are in microseconds.
    /// For a range `[low, high]`, each sample draws its own value. The output is sorted by time and lies within the sensor.
    pub enum Transform, "transform";
    /// Drops events without another one at a neighbouring pixel in the preceding `filter_time`.
    Denoise {
        /// Microseconds.
        filter_time: f64,
    }
    /// Keeps every nth event of each pixel.
    Decimation {
        /// Interval between kept events.
        n: usize,
    }
    /// Drops events within `delta` after another one at their pixel, whether or not that was kept.
    RefractoryPeriod {
        /// Microseconds.
        delta: Span,
    }
    /// Drops all events of these pixels, [[x, y], …], or of those that fire more than `hot_pixel_frequency` times per second.
    DropPixel {
        /// Pixels.
        coordinates: Option<Vec<Vec<usize>>>,
        /// Events per second.
        hot_pixel_frequency: Option<f64>,
    }
    /// Drops all events of each pixel with probability p.
    RandomDropPixel {
        /// Probability.
        p: f64,
    }
    /// Drops a random fraction p of the events.
    DropEvent {
        /// Fraction.
        p: Span,
    }
    /// Drops all events in a random time span that is this fraction of the recording.
    DropEventByTime {
        /// Fraction.
        duration_ratio: Span = 0.2,
    }
    /// Drops all events in a random block of pixels or channels; its sides are this fraction of the sensor's.
    DropEventByArea {
        /// Fraction of each side.
        area_ratio: Span = 0.2,
    }
    /// Randomly applies one of four: nothing; DropEventByTime with a ratio of 0.1 to 0.9; DropEventByArea with 0.05 to 0.25; DropEvent
    /// with 0.1 to 0.9.
    EventDrop {}
    /// Drops events before `min` and after `max`.
    CropTime {
        /// Microseconds.
        min: i64 = 0,
        /// Microseconds; by default the end.
        max: Option<i64>,
    }
    /// Shifts times so that the first event is at 0.
    TimeAlignment {}
    /// Multiplies times and adds an offset, rounding towards 0.
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
    /// Reverses time with probability p; also inverts the polarities if there are two.
    RandomTimeReversal {
        /// Probability.
        p: f64 = 0.5,
        /// Whether to invert polarities.
        flip_polarities: bool = true,
    }
    /// Multiplies times and coordinates, rounding down, or scales columns and rows to `target_size`; no event is dropped.
    Downsample {
        /// Factor of times.
        time_factor: f64 = 1,
        /// Factor of columns and rows.
        spatial_factor: Pair<f64> = 1,
        /// Columns and rows.
        target_size: Option<Pair<usize>>,
    }
    /// Crops to the centre of the sensor, or pads to a larger size.
    CenterCrop {
        /// Columns and rows.
        size: Pair<usize>,
    }
    /// Crops to a random block of the sensor.
    RandomCrop {
        /// Columns and rows.
        target_size: Pair<usize>,
    }
    /// Moves each event by normally distributed distances in pixels, rounded, with these variances and this covariance.
    SpatialJitter {
        /// Variance along columns.
        var_x: f64 = 1,
        /// Variance along rows.
        var_y: f64 = 1,
        /// Covariance.
        sigma_xy: f64 = 0,
        /// Whether events outside the sensor are dropped; otherwise they stay at its edge.
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
    /// Inverts the polarities of all events with probability p.
    RandomFlipPolarity {
        /// Probability.
        p: f64 = 0.5,
    }
    /// Merges the two polarities into one.
    MergePolarities {}
    /// Adds n events at uniform positions and times between the first and the last event.
    UniformNoise {
        /// Number of events.
        n: Span,
    }
    /// Cuts each recording into slices, one per frame, and replaces each event's time by its slice number. One of the first four
    /// arguments determines the slices: by time, by number of events, or a fixed number of slices. Must be the last transform.
    ToFrame {
        /// Microseconds per slice.
        time_window: Option<f64>,
        /// Events per slice.
        event_count: Option<usize>,
        /// Number of slices of equal duration.
        n_time_bins: Option<usize>,
        /// Number of slices with equal numbers of events.
        n_event_bins: Option<usize>,
        /// Overlap with the next slice: microseconds, events, or a fraction of a bin.
        overlap: f64 = 0,
        /// Whether to keep a last slice that is not full.
        include_incomplete: bool = false,
        /// Start of the first slice of `time_window` in microseconds; by default the first event.
        start_time: Option<f64>,
        /// End of the last slice; by default the last event.
        end_time: Option<f64>,
    }
}

impl Transform {
    /// Validates the arguments, independently of the events.
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
