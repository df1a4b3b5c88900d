//! Event transforms under tonic's names.
//!
//! Deterministic transforms match tonic 1.6 event by event, except where tonic is wrong; each such place is documented and tested.
//! Random transforms draw from the same distributions.

mod draws;
mod drop;
mod filter;
mod slices;
mod space;
mod table;
mod time;

pub use table::Transform;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::calls::{Call, calls};
use super::error::{Error, Result};
use super::events::{Events, Sensor};
use draws::Draws;
use slices::Slicing;

/// A sequence of transforms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pipeline {
    transforms: Vec<Transform>,
}

impl Pipeline {
    /// Parses a text such as `Denoise(filter_time = 1e4), MergePolarities`.
    ///
    /// # Errors
    /// `Input` for an unknown name or argument (the message suggests the nearest), or an invalid value.
    ///
    /// ```
    /// use spiq_events::Pipeline;
    /// let pipeline = Pipeline::parse("Denoise(filter_time = 1e4), MergePolarities")?;
    /// assert_eq!(pipeline.text(), "Denoise(filter_time = 10000), MergePolarities");
    /// assert!(Pipeline::parse("Denoize(filter_time = 1e4)").unwrap_err().to_string().contains("did you mean `Denoise`?"));
    /// # Ok::<(), spiq_events::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Pipeline> {
        Pipeline::of(calls(text)?.iter().map(read).collect::<Result<_>>()?)
    }

    /// Parses a file: `[[transforms]]` entries, each with a `type` and its arguments. `source` names it in messages.
    ///
    /// # Errors
    /// `Input` for text that is not such TOML, and as [`parse`](Pipeline::parse).
    ///
    /// ```
    /// use spiq_events::Pipeline;
    /// let file = "[[transforms]]\ntype = \"Denoise\"\nfilter_time = 10000\n\n[[transforms]]\ntype = \"MergePolarities\"\n";
    /// assert_eq!(Pipeline::from_toml(file, "pipeline.toml")?, Pipeline::parse("Denoise(filter_time = 1e4), MergePolarities")?);
    /// # Ok::<(), spiq_events::Error>(())
    /// ```
    pub fn from_toml(text: &str, source: &str) -> Result<Pipeline> {
        let refused = |at: usize, reason: &dyn std::fmt::Display| {
            let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            Error::input(format!("{source}:{line}: {reason}"))
        };
        let file = DeTable::parse(text).map_err(|error| {
            let reason = error.message().lines().collect::<Vec<_>>().join(", ");
            refused(error.span().map_or(0, |span| span.start), &reason)
        })?;
        let file = file.into_inner();
        if let Some(key) = file.keys().find(|key| key.get_ref() != "transforms") {
            let reason = format!("there is no key `{}`; a file of transforms holds `[[transforms]]`", key.get_ref());
            return Err(refused(key.span().start, &reason));
        }
        let Some(rows) = file.get("transforms") else { return Ok(Pipeline::default()) };
        let Some(rows) = rows.get_ref().as_array() else {
            let reason = "`transforms` is not a list; write `[[transforms]]` before each";
            return Err(refused(rows.span().start, &reason));
        };
        // The arguments as values, in the same order.
        let values: toml::Table = toml::from_str(text).map_err(|error| refused(0, &error.message()))?;
        let values = values.get("transforms").and_then(toml::Value::as_array).cloned().unwrap_or_default();
        let transform = |(place, (row, value)): (usize, (&Spanned<DeValue<'_>>, toml::Value))| {
            let at = row.span().start;
            let toml::Value::Table(mut arguments) = value else {
                let reason = format!("transform {} is not a table; write `[[transforms]]` before each", place + 1);
                return Err(refused(at, &reason));
            };
            let Some(toml::Value::String(name)) = arguments.remove("type") else {
                return Err(refused(at, &format!("transform {} has no `type = \"NAME\"`", place + 1)));
            };
            read(&Call { name, arguments }).map_err(|error| refused(at, &error))
        };
        let transforms = rows.iter().zip(values).enumerate().map(transform).collect::<Result<Vec<_>>>()?;
        Pipeline::of(transforms).map_err(|error| refused(0, &error))
    }

    fn of(transforms: Vec<Transform>) -> Result<Pipeline> {
        let before_last = transforms.iter().rev().skip(1);
        match before_last.into_iter().find(|transform| matches!(transform, Transform::ToFrame { .. })) {
            None => Ok(Pipeline { transforms }),
            Some(early) => Err(Error::input(format!("`{}` must be the last transform", early.text()))),
        }
    }

    /// `Some` if it ends with `ToFrame`, so that times are frame numbers; inside, the number of frames, if it is the same for every
    /// recording.
    pub fn frames(&self) -> Option<Option<usize>> {
        self.transforms.last().and_then(|last| Slicing::of(last).ok()).map(|slicing| slicing.count())
    }

    /// The text, which [`parse`](Pipeline::parse) parses again.
    pub fn text(&self) -> String {
        self.transforms.iter().map(Transform::text).collect::<Vec<_>>().join(", ")
    }

    /// The sensor of the output, given that of the input.
    ///
    /// # Errors
    /// `Input` if a transform does not fit the sensor.
    pub fn sensor(&self, sensor: Sensor) -> Result<Sensor> {
        self.transforms.iter().try_fold(sensor, |sensor, transform| transform.sensor(sensor))
    }

    /// Applies the transforms in order to events of a sensor that [`sensor`](Pipeline::sensor) accepts. Random numbers depend only on
    /// `seed` and the sample's index, so samples may be read in any order.
    pub fn apply(&self, events: &mut Events, sensor: Sensor, seed: u64, sample: u64) {
        let mut draws = Draws::of(seed, sample);
        self.transforms.iter().fold(sensor, |sensor, transform| {
            let after = transform.sensor(sensor).unwrap_or(sensor);
            // Like tonic's `Compose`: empty recordings are left alone.
            if !events.is_empty() {
                transform.apply(events, (sensor, after), &mut draws);
            }
            after
        });
    }
}

/// Parses and validates a call.
fn read(call: &Call) -> Result<Transform> {
    let transform = Transform::of(call)?;
    transform.check().map(|()| transform)
}

impl Transform {
    /// The sensor of the output, given that of the input.
    fn sensor(&self, sensor: Sensor) -> Result<Sensor> {
        let Sensor { width, height, polarities } = sensor;
        match self {
            Transform::Downsample { spatial_factor, target_size, .. } => {
                let factor = space::factor(*spatial_factor, *target_size, sensor);
                let side = |side: u16, factor: f64| {
                    let last = f64::from(side - 1) * factor;
                    let fits = last < f64::from(u16::MAX);
                    fits.then_some(last as u16 + 1)
                };
                match (side(width, factor.x), side(height, factor.y)) {
                    (Some(width), Some(height)) => Ok(Sensor { width, height, polarities }),
                    _ => Err(Error::input(format!(
                        "`{}` makes a sensor of {width} x {height} larger than 65535; give a smaller factor",
                        self.text()
                    ))),
                }
            }
            Transform::CenterCrop { size } => {
                // A cochlea's single row is not cropped.
                let rows = if height == 1 { 1 } else { size.y as u16 };
                Ok(Sensor { width: size.x as u16, height: rows, polarities })
            }
            Transform::RandomCrop { target_size } => {
                let (columns, rows) = (target_size.x as u16, if height == 1 { 1 } else { target_size.y as u16 });
                if columns > width || rows > height {
                    return Err(Error::input(format!(
                        "`{}` is larger than the sensor of {width} x {height}; give a smaller `target_size`",
                        self.text()
                    )));
                }
                Ok(Sensor { width: columns, height: rows, polarities })
            }
            Transform::MergePolarities {} => Ok(Sensor { polarities: 1, ..sensor }),
            Transform::RandomFlipPolarity { .. } if polarities < 2 => Err(Error::input(format!(
                "`{}` is for sensors with two polarities; these events have one, leave it out",
                self.text()
            ))),
            Transform::RandomFlipUD { .. } if height < 2 => Err(Error::input(format!(
                "`{}` is for sensors with rows; these events have channels, leave it out",
                self.text()
            ))),
            _ => Ok(sensor),
        }
    }

    /// Applies the transform to a non-empty recording, given the sensors of its input and output.
    fn apply(&self, events: &mut Events, (sensor, after): (Sensor, Sensor), draws: &mut Draws) {
        match *self {
            Transform::Denoise { filter_time } => filter::denoise(events, sensor, filter_time),
            Transform::Decimation { n } => filter::decimate(events, sensor, n),
            Transform::RefractoryPeriod { delta } => {
                let delta = draws.of_span(delta);
                filter::refractory(events, sensor, if delta.is_finite() { delta as i64 } else { i64::MAX });
            }
            Transform::DropPixel { ref coordinates, hot_pixel_frequency } => match (coordinates, hot_pixel_frequency) {
                (Some(pixels), _) => filter::drop_pixels(events, sensor, pixels),
                (None, frequency) => filter::drop_hot(events, sensor, frequency.unwrap_or(f64::INFINITY)),
            },
            Transform::RandomDropPixel { p } => drop::pixels(events, sensor, p, draws),
            Transform::DropEvent { p } => drop::part(events, draws.of_span(p), draws),
            Transform::DropEventByTime { duration_ratio } => drop::span(events, draws.of_span(duration_ratio), draws),
            Transform::DropEventByArea { area_ratio } => drop::area(events, sensor, draws.of_span(area_ratio), draws),
            Transform::EventDrop {} => drop::one_of_four(events, sensor, draws),
            Transform::CropTime { min, max } => {
                events.keep(|events, i| (min..=max.unwrap_or(i64::MAX)).contains(&events.t[i]));
            }
            Transform::TimeAlignment {} => time::align(events),
            Transform::TimeSkew { coefficient, offset } => {
                time::skew(events, draws.of_span(coefficient), draws.of_span(offset));
            }
            Transform::TimeJitter { std, clip_negative } => time::jitter(events, std, clip_negative, draws),
            Transform::RandomTimeReversal { p, flip_polarities } => {
                if draws.happens(p) {
                    time::reverse(events, flip_polarities && sensor.polarities == 2);
                }
            }
            Transform::Downsample { time_factor, spatial_factor, target_size } => {
                time::skew(events, time_factor, 0.0);
                space::downsample(events, space::factor(spatial_factor, target_size, sensor));
            }
            Transform::CenterCrop { .. } => space::crop_centre(events, sensor, after),
            Transform::RandomCrop { .. } => space::crop_anywhere(events, sensor, after, draws),
            Transform::SpatialJitter { var_x, var_y, sigma_xy, clip_outliers } => {
                space::jitter(events, sensor, [var_x, var_y, sigma_xy], clip_outliers, draws);
            }
            Transform::RandomFlipLR { p } => {
                if draws.happens(p) {
                    events.x.iter_mut().for_each(|x| *x = sensor.width - 1 - *x);
                }
            }
            Transform::RandomFlipUD { p } => {
                if draws.happens(p) {
                    events.y.iter_mut().for_each(|y| *y = sensor.height - 1 - *y);
                }
            }
            Transform::RandomFlipPolarity { p } => {
                if draws.happens(p) {
                    events.p.iter_mut().for_each(|p| *p = !*p);
                }
            }
            Transform::MergePolarities {} => events.p.fill(true),
            Transform::ToFrame { .. } => {
                if let Ok(slicing) = Slicing::of(self) {
                    slices::number(events, &slicing);
                }
            }
            Transform::UniformNoise { n } => drop::noise(events, sensor, draws.of_span(n) as usize, draws),
        }
    }
}

impl Events {
    /// Keeps the events that satisfy the predicate, in order.
    fn keep(&mut self, mut wanted: impl FnMut(&Events, usize) -> bool) {
        let mut kept = 0;
        for i in 0..self.len() {
            if wanted(self, i) {
                (self.t[kept], self.x[kept], self.y[kept], self.p[kept]) = (self.t[i], self.x[i], self.y[i], self.p[i]);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    fn truncate(&mut self, len: usize) {
        self.t.truncate(len);
        self.x.truncate(len);
        self.y.truncate(len);
        self.p.truncate(len);
    }

    /// Sorts by time, stably.
    fn sort(&mut self) {
        if self.t.is_sorted() {
            return;
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|i| self.t[*i]);
        let Events { t, x, y, p } = std::mem::take(self);
        for i in order {
            self.push(t[i], x[i], y[i], p[i]);
        }
    }
}
