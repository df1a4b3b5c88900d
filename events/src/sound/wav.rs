//! WAV files.

use std::io::Cursor;

use hound::{SampleFormat, WavReader};

use crate::error::{Error, Result};

/// One channel of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// The samples, from -1 to 1.
    pub samples: Vec<f32>,
    /// Sample rate in Hz.
    pub rate: u32,
}

impl Sound {
    /// Parses a WAV file: 8- to 32-bit integers or 32-bit floats; several channels are averaged. `source` names it in messages.
    ///
    /// # Errors
    /// `Input` for contents that are not such a WAV file, are truncated, have no samples, or have samples that are not finite.
    pub fn parse(bytes: &[u8], source: &str) -> Result<Sound> {
        let broken = |cause: hound::Error| Error::input(format!("{source} {}", reason(&cause)));
        let mut reader = WavReader::new(Cursor::new(bytes)).map_err(broken)?;
        let spec = reader.spec();
        let wide: std::result::Result<Vec<f32>, _> = match spec.sample_format {
            SampleFormat::Float => reader.samples::<f32>().collect(),
            SampleFormat::Int => {
                let scale = 2f32.powi(1 - i32::from(spec.bits_per_sample));
                reader.samples::<i32>().map(|sample| sample.map(|sample| sample as f32 * scale)).collect()
            }
        };
        let wide = wide.map_err(broken)?;
        if wide.is_empty() || spec.sample_rate == 0 {
            return Err(Error::input(format!("{source} contains no sound; remove it or record it again")));
        }
        if let Some(place) = wide.iter().position(|sample| !sample.is_finite()) {
            return Err(Error::input(format!("{source} holds {} as sample {place}; record it again", wide[place])));
        }
        let channels = usize::from(spec.channels);
        let mean = |frame: &[f32]| frame.iter().sum::<f32>() / channels as f32;
        Ok(Sound { samples: wide.chunks_exact(channels).map(mean).collect(), rate: spec.sample_rate })
    }

    /// Duration in seconds.
    pub fn duration(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}

/// What is wrong with a file, as the end of a sentence.
fn reason(cause: &hound::Error) -> String {
    match cause {
        hound::Error::IoError(_) => "ends before its last sample; copy it again".to_owned(),
        hound::Error::Unsupported | hound::Error::TooWide => {
            "has an unsupported encoding; save it as 16-bit PCM".to_owned()
        }
        hound::Error::FormatError(what) => format!("is not a usable WAV file ({what}); save it as 16-bit PCM"),
        other => format!("is not a usable WAV file ({other}); save it as 16-bit PCM"),
    }
}
