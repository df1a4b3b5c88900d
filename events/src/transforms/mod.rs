//! Transforms of events under tonic's names.

use super::error::{Error, Result};
use super::events::{Events, Sensor};

/// Transforms, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pipeline {}

impl Pipeline {
    /// The transforms of a text such as `Denoise(filter_time = 1e4), MergePolarities`.
    ///
    /// # Errors
    /// `Input` for a name or an argument that is not there.
    pub fn parse(text: &str) -> Result<Pipeline> {
        match text.trim() {
            "" => Ok(Pipeline::default()),
            _ => Err(Error::input(format!("there is no transform `{text}`"))),
        }
    }

    /// The text from which [`parse`](Pipeline::parse) makes it again.
    pub fn text(&self) -> String {
        String::new()
    }

    /// The sensor of what it makes of events of a sensor.
    ///
    /// # Errors
    /// `Input` where a transform does not fit the sensor.
    pub fn sensor(&self, sensor: Sensor) -> Result<Sensor> {
        Ok(sensor)
    }

    /// Applies all of them in turn. What is random is drawn from `seed` and the number of the sample alone, so that samples may be
    /// read in any order.
    pub fn apply(&self, _events: &mut Events, _sensor: Sensor, _seed: u64, _sample: u64) {}
}
