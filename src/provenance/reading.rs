//! Conversion of the settings for reading event recordings to and from entries.

use std::path::Path;

use super::{Elements, Provenance};
use crate::data::{Binning, Pipeline, Reading};
use crate::error::Result;

impl Provenance {
    /// The entries that determine the frames of recordings and the choice of test recordings. Empty for data that are not recordings.
    pub fn of_reading(reading: Option<&Reading>) -> Provenance {
        let Some(Reading { transforms, binning, test_file, test_speaker }) = reading else {
            return Provenance::default();
        };
        let are_frames = *binning != Binning::default();
        let elements = if binning.presence { Elements::Presence } else { Elements::Counts };
        let transforms = transforms.text();
        Provenance {
            bins: binning.bins,
            dt: binning.dt,
            channels: binning.channels,
            elements: are_frames.then_some(elements),
            transforms: (!transforms.is_empty()).then_some(transforms),
            test_file: test_file.as_deref().map(absolute),
            test_speaker: test_speaker.clone(),
            ..Provenance::default()
        }
    }

    /// The settings that read recordings as they were read here.
    ///
    /// # Errors
    /// Kind `Input` for unknown transforms.
    pub fn reading(&self) -> Result<Reading> {
        let presence = self.elements == Some(Elements::Presence);
        Ok(Reading {
            transforms: Pipeline::parse(self.transforms.as_deref().unwrap_or_default())?,
            binning: Binning { bins: self.bins, dt: self.dt, channels: self.channels, presence },
            test_file: self.test_file.clone(),
            test_speaker: self.test_speaker.clone(),
        })
    }
}

/// The absolute path; built-in data keep their name.
pub(crate) fn absolute(path: &Path) -> std::path::PathBuf {
    if path.as_os_str() == spiq_events::SPEECH {
        return path.to_owned();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
