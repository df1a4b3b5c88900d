//! Turns a stored batch into spikes over time, inside the compiled step.

use spiq_hlo::{Array, DType, Tensor, TensorType};

use super::{Code, Coding, Encoder, Inputs};
use crate::augment::Layout;
use crate::error::{Error, Result};
use crate::random::{GraphKey, Key};

/// How the samples of a data set are encoded as x [T, B, …].
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    encoder: Option<Encoder>,
    /// The code for values over time.
    code: Option<Code>,
    /// Neurons per value.
    neurons: usize,
    time_steps: usize,
    /// Shape of a stored sample at one time step.
    features: Vec<usize>,
    /// The sample shape that the model takes, with the same number of elements.
    sample: Vec<usize>,
    dtype: DType,
    /// Element type of x: a spike type if x is known to be spikes.
    x_dtype: DType,
}

impl Encoding {
    /// The encoding of these samples; `time_steps` applies if they have no time axis.
    pub(crate) fn of(inputs: &Inputs, time_steps: usize) -> Encoding {
        Encoding::coded(inputs, inputs.coding(), time_steps)
    }

    /// The encoding of these samples under a coding that [fits](Inputs::coding_for) them.
    pub(crate) fn coded(inputs: &Inputs, coding: Coding, time_steps: usize) -> Encoding {
        Encoding {
            encoder: match coding {
                Coding::Images(encoder) => Some(encoder),
                _ => None,
            },
            code: match coding {
                Coding::Values(code) => Some(code),
                _ => None,
            },
            neurons: coding.neurons().unwrap_or(1),
            time_steps: inputs.steps().unwrap_or(time_steps),
            features: inputs.features().to_vec(),
            sample: encoded_features(inputs, coding),
            dtype: inputs.samples().dtype(),
            x_dtype: match coding {
                Coding::Values(Code::Delta { off_spike: true, .. }) | Coding::Counts => DType::S8,
                Coding::Images(_) | Coding::Spikes | Coding::Values(_) => DType::Pred,
                Coding::Reals => DType::F32,
            },
        }
    }

    /// The encoding for a model that takes samples of this shape, with the same number of elements.
    pub(crate) fn shaped(self, sample: Vec<usize>) -> Encoding {
        Encoding { sample, ..self }
    }

    /// Time steps of a sample.
    pub(crate) fn time_steps(&self) -> usize {
        self.time_steps
    }

    /// The type of a stored batch: [B, T, …] with a time axis, else [B, …].
    pub(crate) fn stored_type(&self, batch: usize) -> TensorType {
        let time = self.encoder.is_none().then_some(self.time_steps);
        let dims = std::iter::once(batch).chain(time).chain(self.features.iter().copied());
        TensorType::new(self.dtype, dims.collect::<Vec<_>>())
    }

    /// The type of x, [T, B, …]: `pred` for spikes, `s8` for small event counts, otherwise f32.
    pub(crate) fn x_type(&self, batch: usize) -> TensorType {
        TensorType::new(self.x_dtype, [&[self.time_steps, batch], &self.sample[..]].concat())
    }

    /// Rows and columns of the images: either two feature axes, or one whose size is a square number.
    ///
    /// # Errors
    /// Of kind `Input` when the samples are not images.
    pub(crate) fn image(&self) -> Result<(usize, usize)> {
        let side = self.features.iter().product::<usize>().isqrt();
        match (self.encoder, self.features.as_slice()) {
            (Some(_), [count]) if side * side == *count => Ok((side, side)),
            (Some(_), [height, width] | [height, width, 1]) => Ok((*height, *width)),
            _ => Err(Error::input("only images of one channel can be shifted; leave --shift out")),
        }
    }

    /// A stored batch of images, each shifted at random by one pixel along either axis; zeros are shifted in.
    ///
    /// # Errors
    /// As [`image`](Encoding::image).
    #[track_caller]
    pub(crate) fn shifted(&self, key: &Tensor, stored: &Tensor, probability: f64) -> Result<Tensor> {
        let (height, width) = self.image()?;
        let batch = stored.dims()[0];
        let draws = GraphKey::new(key).uniform(&[2, batch, 1, 1], 0.0, 1.0);
        let images = stored.reshape(&[batch, height, width]);
        let rows = moved(&images, 1, &draws.index_axis(0, 0), probability);
        Ok(moved(&rows, 2, &draws.index_axis(0, 1), probability).reshape(stored.dims()))
    }

    /// Rows, columns and polarities of the samples; for images, rows and columns. Neurons of a value count as polarities.
    ///
    /// # Errors
    /// Of kind `Input` for samples with more axes, and for a code with spikes of -1.
    pub(crate) fn layout(&self) -> Result<Layout> {
        if let Some(code @ Code::Delta { off_spike: true, .. }) = self.code {
            return Err(Error::input(format!(
                "spikes of `{code}` may be -1, which cannot be augmented; drop either the code or the augmentation"
            )));
        }
        let layout = match self.image() {
            Ok((rows, columns)) => Layout { rows, columns, polarities: 1 },
            Err(_) => Layout::of(&self.features)?,
        };
        Ok(Layout { polarities: layout.polarities * self.neurons, ..layout })
    }

    /// Spikes x [T, B, …] of a stored batch; a random code draws from `key`, u32[2].
    #[track_caller]
    pub(crate) fn encode(&self, key: &Tensor, stored: &Tensor) -> Tensor {
        match self.encoder {
            Some(encoder) => self.of_images(encoder, key, stored),
            None => self.typed(stored).swap_axes(0, 1),
        }
    }

    /// Like [`encode`](Encoding::encode), with `change` applied to the samples first: it maps a batch [B, T, …] of x's type, with the
    /// elements of the [layout](Encoding::layout), to another.
    #[track_caller]
    pub(crate) fn encode_changed(
        &self,
        key: &Tensor,
        stored: &Tensor,
        change: impl FnOnce(&Tensor) -> Tensor,
    ) -> Tensor {
        let whole = match self.encoder {
            Some(encoder) => self.of_images(encoder, key, stored).swap_axes(0, 1),
            None => self.typed(stored),
        };
        change(&whole).reshape(whole.dims()).swap_axes(0, 1)
    }

    /// A stored batch [B, T, …] converted to the type and features of x.
    #[track_caller]
    fn typed(&self, stored: &Tensor) -> Tensor {
        let dims = [&stored.dims()[..2], &self.sample].concat();
        match self.code {
            None => stored.reshape(&dims).convert(self.x_dtype),
            Some(code) => code.over_time(&stored.convert(DType::F32)).reshape(&dims),
        }
    }

    /// Spikes [T, B, …] of images [B, …].
    #[track_caller]
    fn of_images(&self, encoder: Encoder, key: &Tensor, stored: &Tensor) -> Tensor {
        let values = match encoder.code {
            Code::Rate { .. } => stored.convert(DType::F32) / f64::from(encoder.max),
            // A table, since compilers divide by a constant by multiplying with its reciprocal, which moves spikes whose time falls right
            // between two steps.
            _ => {
                let parts: Vec<f32> = (0..=u8::MAX).map(|byte| f32::from(byte) / encoder.max).collect();
                let parts = stored.graph().constant(&Array::new([parts.len()], parts).expect("one value per byte"));
                parts.take_clipped(&stored.convert(DType::S32), 0)
            }
        };
        let spikes = encoder.code.spikes(&GraphKey::new(key), &values, self.time_steps);
        spikes.reshape(&[&[self.time_steps], &stored.dims()[..1], &self.sample].concat())
    }
}

/// The shape of a sample at one time step under this coding.
pub(crate) fn encoded_features(inputs: &Inputs, coding: Coding) -> Vec<usize> {
    inputs.features().iter().copied().chain(coding.neurons()).collect()
}

/// Test samples whose spikes are drawn together: each sample's draw depends on the size of its group.
pub(crate) const TEST_GROUP: usize = 360;

/// The key for the test spikes of a run.
pub(crate) fn test_key(seed: i64) -> Key {
    Key::new(seed.wrapping_add(1000))
}

/// The key for the group with this number.
pub(crate) fn group_key(key: Key, number: usize) -> Key {
    if number == 0 { key } else { key.fold_in(number as u32) }
}

/// Images [B, H, W] shifted along `axis` by -1, 0 or 1, depending on a uniform draw [B, 1, 1].
#[track_caller]
fn moved(images: &Tensor, axis: usize, draw: &Tensor, probability: f64) -> Tensor {
    let by = |low: i64| {
        let (mut before, mut after) = ([0; 3], [0; 3]);
        (before[axis], after[axis]) = (low, -low);
        images.pad(0.0, &before, &after, &[0; 3])
    };
    let back = draw.lt(probability).broadcast_to(images.dims());
    let ahead = draw.gt(1.0 - probability).broadcast_to(images.dims());
    back.select(&by(-1), &ahead.select(&by(1), images))
}
