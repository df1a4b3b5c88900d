//! The inputs of a data set, read from a file and validated.

use std::path::Path;

use spiq_hlo::{Array, DType};

use super::accept;
use super::array_file::ArrayFile;
use super::coding::Coding;
use super::dataset::Dataset;
use super::encode::encoded_features;
use super::encoder::{Code, Encoder};
use super::reading::read_arrays;
use crate::error::{Error, Result};

/// The name of the tensor with spikes over time.
pub(super) const INPUTS: &str = "inputs";
/// The name of the tensor with images.
pub(super) const IMAGES: &str = "images";
/// The metadata entry with the largest value of an image.
pub(super) const MAX: &str = "max";

/// The inputs of a network: spike trains, or images with the code that turns them into spikes.
///
/// A file contains either `inputs`, numbers of shape [N, T, …], or `images` of shape [N, …]: integers whose largest value the optional
/// metadata entry `max` gives (default 255), or floats from 0 to 1. N is the number of samples, T the number of time steps. Integers up to
/// 255 and booleans are kept as u8, other inputs as f32, images as u8.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    samples: Array,
    encoder: Option<Encoder>,
    /// The code for values over time.
    code: Option<Code>,
    /// Whether the encoding of images is given by the file or its contents, instead of a default.
    says_encoder: bool,
}

impl Inputs {
    /// Reads the inputs of a file and ignores its other contents.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be read; of kind `Input` when it is damaged, or lacks inputs of the shape and type above, or they are
    /// empty or not finite.
    pub fn load(path: &Path) -> Result<Inputs> {
        Inputs::from_file(&read_arrays(path)?, &path.display().to_string())
    }

    /// Takes the inputs from the contents of a file. `source` names the file in messages.
    ///
    /// # Errors
    /// Of kind `Input`, as [`Inputs::load`].
    pub fn from_file(file: &ArrayFile, source: &str) -> Result<Inputs> {
        let named = |name: &'static str| move |reason: String| Error::input(format!("{source}: `{name}` {reason}"));
        match (file.arrays.get(INPUTS), file.arrays.get(IMAGES)) {
            (Some(_), Some(_)) => {
                Err(Error::input(format!("{source} has both `inputs` and `images`; keep one of them")))
            }
            (Some(inputs), None) => {
                check(inputs, "[N, T, …]", 3).map_err(named(INPUTS))?;
                let samples = accept::inputs(inputs).map_err(named(INPUTS))?;
                Ok(Inputs { samples, encoder: None, code: None, says_encoder: true })
            }
            (None, Some(images)) => {
                check(images, "[N, …]", 2).map_err(named(IMAGES))?;
                let samples = accept::images(images).map_err(named(IMAGES))?;
                let said = if Dataset::are_digits(&samples) { Some(Encoder::DIGITS) } else { encoder(file, source)? };
                let (encoder, says_encoder) = (said.unwrap_or(Encoder::BYTES), said.is_some());
                Ok(Inputs { samples, encoder: Some(encoder), code: None, says_encoder })
            }
            (None, None) => Err(missing("`inputs` or `images`", file, source)),
        }
    }

    /// Number of samples N, at least 1.
    pub fn count(&self) -> usize {
        self.samples.dims()[0]
    }

    /// All samples: images [N, …] if there is an encoder, else spikes [N, T, …].
    pub fn samples(&self) -> &Array {
        &self.samples
    }

    /// The largest element, if samples are bytes.
    pub fn largest(&self) -> Option<u8> {
        self.samples.bytes().iter().copied().max().filter(|_| self.samples.dtype() == DType::U8)
    }

    /// How samples are encoded as spikes; `None` if they have a time axis.
    pub fn encoder(&self) -> Option<Encoder> {
        self.encoder
    }

    /// The same samples with this code turning them into spikes.
    ///
    /// # Errors
    /// Of kind `Input` for a code that does not apply to such samples.
    pub fn encoded(self, code: Code) -> Result<Inputs> {
        match self.encoder {
            Some(encoder) if self.takes(code) => Ok(Inputs { encoder: Some(Encoder { code, ..encoder }), ..self }),
            Some(_) => Err(Error::input(format!("`{code}` is for values over time, but these are images"))),
            None if self.takes(code) => Ok(Inputs { code: Some(code), ..self }),
            None => Err(Error::input(format!("`{code}` is for images, but these samples have a time axis already"))),
        }
    }

    /// Whether a code applies to such samples: images, or values with a time axis.
    pub fn takes(&self, code: Code) -> bool {
        if self.encoder.is_some() { code.is_for_images() } else { code.is_for_time() }
    }

    /// The kind of the samples, from the file's metadata or else from their values. Spikes stored as f32 count as reals.
    pub fn coding(&self) -> Coding {
        match (self.encoder, self.code) {
            (Some(encoder), _) => Coding::Images(encoder),
            (None, Some(code)) => Coding::Values(code),
            (None, None) => self.stored_coding(),
        }
    }

    /// Their kind before a code is chosen.
    pub(crate) fn stored_coding(&self) -> Coding {
        match (self.encoder, self.largest()) {
            (Some(Encoder { max, .. }), _) => Coding::Images(Encoder::rate(max)),
            (None, Some(0 | 1)) => Coding::Spikes,
            (None, Some(2..=127)) => Coding::Counts,
            (None, _) => Coding::Reals,
        }
    }

    /// The coding to use with a network that was trained on `trained`: that one if the samples fit it, else their own. Images use the
    /// trained code, with their file's largest value if it gives one. Numbers whose values are all spikes or counts can be used as such,
    /// and spikes and counts as numbers.
    pub fn coding_for(&self, trained: Coding) -> Coding {
        let own = self.coding();
        let fits = match (own, trained) {
            (Coding::Images(own), Coding::Images(trained)) => {
                let max = if self.says_encoder { own.max } else { trained.max };
                return Coding::Images(Encoder { max, ..trained });
            }
            (Coding::Images(_), _) | (_, Coding::Images(_)) => false,
            (_, Coding::Values(_)) => true,
            (Coding::Values(_), _) => false,
            (_, Coding::Reals) => true,
            (_, Coding::Counts) => self.are_integers_to(127.0),
            (_, Coding::Spikes) => self.are_integers_to(1.0),
        };
        if fits { trained } else { own }
    }

    /// Whether every element is an integer from 0 to `most`; negative zero does not count as one.
    fn are_integers_to(&self, most: f32) -> bool {
        match self.samples.to_vec::<f32>() {
            Ok(values) => values.iter().all(|x| x.is_sign_positive() && (0.0..=most).contains(x) && x.fract() == 0.0),
            Err(_) => self.largest().is_some_and(|largest| f32::from(largest) <= most),
        }
    }

    /// Number of time steps T; `None` for images, whose duration is set by the recipe.
    pub fn steps(&self) -> Option<usize> {
        self.encoder.is_none().then(|| self.samples.dims()[1])
    }

    /// Shape of one stored sample at one time step.
    pub fn features(&self) -> &[usize] {
        &self.samples.dims()[if self.encoder.is_some() { 1 } else { 2 }..]
    }

    /// Shape of one sample at one time step as the network sees it, with an extra axis if the code uses several neurons per value.
    pub fn encoded_features(&self) -> Vec<usize> {
        encoded_features(self, self.coding())
    }

    /// The samples at these places, in this order, as one array [B, …] of the stored dtype.
    ///
    /// # Errors
    /// Of kind `Input` for a place that is not below [`Inputs::count`].
    pub fn gather(&self, places: &[usize]) -> Result<Array> {
        let bytes = self.samples.bytes();
        let size = bytes.len() / self.count();
        let mut rows = Vec::with_capacity(places.len() * size);
        for &place in places {
            let row = bytes.chunks_exact(size).nth(place);
            rows.extend_from_slice(row.ok_or_else(|| Error::input(format!("there is no sample {place}")))?);
        }
        let dims: Vec<usize> = [&[places.len()], &self.samples.dims()[1..]].concat();
        Ok(Array::from_bytes(self.samples.ty().with_dims(dims), rows).expect("whole rows"))
    }
}

/// The error for a tensor that a file lacks.
pub(super) fn missing(wanted: &str, file: &ArrayFile, source: &str) -> Error {
    let names: Vec<String> = file.arrays.keys().map(|name| format!("`{name}`")).collect();
    let held = if names.is_empty() { "no tensor".into() } else { names.join(", ") };
    Error::input(format!("{source} has no tensor {wanted}; it holds {held}"))
}

fn check(array: &Array, axes: &str, least: usize) -> std::result::Result<(), String> {
    if array.dims().len() < least {
        return Err(format!("is {}, but must have the axes {axes}", array.ty()));
    }
    if array.dims().contains(&0) {
        return Err(format!("is {}, which is empty: every axis needs an element", array.ty()));
    }
    // Only floats can be non-finite; a single NaN would corrupt every parameter.
    let place = match array.to_vec::<f32>() {
        Ok(values) => values.iter().position(|value| !value.is_finite()),
        Err(_) if array.dtype().is_float() => array.to_f64().iter().position(|value| !value.is_finite()),
        Err(_) => None,
    };
    match place {
        Some(place) => {
            let sample = place / (array.ty().count() / array.dims()[0]);
            Err(format!("holds {} in sample {sample}", array.to_f64()[place]))
        }
        None => Ok(()),
    }
}

/// The encoder that a file's metadata specifies.
fn encoder(file: &ArrayFile, source: &str) -> Result<Option<Encoder>> {
    let Some(text) = file.metadata.get(MAX) else { return Ok(None) };
    match text.parse::<f32>() {
        Ok(max) if max.is_finite() && max > 0.0 => Ok(Some(Encoder::rate(max))),
        _ => Err(Error::input(format!(
            "{source}: the metadata entry `{MAX}` is `{text}`, but must be a positive number, the largest value of an image, such as 255"
        ))),
    }
}
