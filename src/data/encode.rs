//! From a batch as it is stored to spikes over time, inside the compiled step. Knows nothing of models.

use spiq_hlo::{DType, Tensor, TensorType};

use super::{Coding, Encoder, Inputs};
use crate::augment::Layout;
use crate::error::{Error, Result};
use crate::random::{GraphKey, Key};

/// How the samples of a data set become x [T, B, …].
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    encoder: Option<Encoder>,
    time_steps: usize,
    /// Shape of a stored sample at one time step.
    features: Vec<usize>,
    /// The shape with which it goes into the model: as many elements.
    sample: Vec<usize>,
    dtype: DType,
    /// Element type of x: that of spikes where x is known to be spikes.
    x_dtype: DType,
}

impl Encoding {
    /// The encoding of these samples; `time_steps` counts where they have no time axis of their own.
    pub(crate) fn of(inputs: &Inputs, time_steps: usize) -> Encoding {
        Encoding::coded(inputs, inputs.coding(), time_steps)
    }

    /// The encoding of these samples, taken as a coding that [fits](Inputs::coding_for) them.
    pub(crate) fn coded(inputs: &Inputs, coding: Coding, time_steps: usize) -> Encoding {
        Encoding {
            encoder: match coding {
                Coding::Images(encoder) => Some(encoder),
                _ => None,
            },
            time_steps: inputs.steps().unwrap_or(time_steps),
            features: inputs.features().to_vec(),
            sample: inputs.features().to_vec(),
            dtype: inputs.samples().dtype(),
            x_dtype: match coding {
                Coding::Images(_) | Coding::Spikes => DType::Pred,
                Coding::Counts => DType::S8,
                Coding::Reals => DType::F32,
            },
        }
    }

    /// The encoding for a model that takes samples of this shape, with as many elements.
    pub(crate) fn shaped(self, sample: Vec<usize>) -> Encoding {
        Encoding { sample, ..self }
    }

    /// Time steps of a sample.
    pub(crate) fn time_steps(&self) -> usize {
        self.time_steps
    }

    /// The type of a stored batch: [B, …] without, [B, T, …] with a time axis.
    pub(crate) fn stored_type(&self, batch: usize) -> TensorType {
        let time = self.encoder.is_none().then_some(self.time_steps);
        let dims = std::iter::once(batch).chain(time).chain(self.features.iter().copied());
        TensorType::new(self.dtype, dims.collect::<Vec<_>>())
    }

    /// The type of x, [T, B, …]: `pred` for spikes, `s8` for small counts of events, f32 for anything else.
    pub(crate) fn x_type(&self, batch: usize) -> TensorType {
        TensorType::new(self.x_dtype, [&[self.time_steps, batch], &self.sample[..]].concat())
    }

    /// Rows and columns of the images: two axes of features, or one of which the number is a square.
    ///
    /// # Errors
    /// Of kind `Input` when the samples are no images.
    pub(crate) fn image(&self) -> Result<(usize, usize)> {
        let side = self.features.iter().product::<usize>().isqrt();
        match (self.encoder, self.features.as_slice()) {
            (Some(_), [count]) if side * side == *count => Ok((side, side)),
            (Some(_), [height, width] | [height, width, 1]) => Ok((*height, *width)),
            _ => Err(Error::input("only images of one channel can be shifted; leave --shift out")),
        }
    }

    /// A stored batch of images, each moved by a pixel along either axis now and then; zeros move in.
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

    /// Rows, columns and polarities of the samples, which those of images show.
    ///
    /// # Errors
    /// Of kind `Input` for samples of more axes.
    pub(crate) fn layout(&self) -> Result<Layout> {
        match self.image() {
            Ok((rows, columns)) => Ok(Layout { rows, columns, polarities: 1 }),
            Err(_) => Layout::of(&self.features),
        }
    }

    /// Spikes x [T, B, …] from a stored batch; `key` u32[2] is what a random code draws from.
    #[track_caller]
    pub(crate) fn encode(&self, key: &Tensor, stored: &Tensor) -> Tensor {
        match self.encoder {
            Some(encoder) => self.of_images(encoder, key, stored),
            None => self.in_time(&self.typed(stored)),
        }
    }

    /// As [`encode`](Encoding::encode), of samples that are changed before: `change` takes and gives a batch [B, T, …] in the
    /// type of x, with the stored features.
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
        let stored_shape = [&whole.dims()[..2], &self.features].concat();
        self.in_time(&change(&whole.reshape(&stored_shape)).reshape(whole.dims()))
    }

    /// A stored batch [B, T, …] in the type and the features of x.
    #[track_caller]
    fn typed(&self, stored: &Tensor) -> Tensor {
        stored.reshape(&[&stored.dims()[..2], &self.sample].concat()).convert(self.x_dtype)
    }

    /// [T, B, …] from [B, T, …].
    #[track_caller]
    fn in_time(&self, batch: &Tensor) -> Tensor {
        let order: Vec<usize> = [1, 0].into_iter().chain(2..batch.rank()).collect();
        batch.transpose(&order)
    }

    /// Spikes [T, B, …] of images [B, …].
    #[track_caller]
    fn of_images(&self, encoder: Encoder, key: &Tensor, stored: &Tensor) -> Tensor {
        let stored = stored.reshape(&[&stored.dims()[..1], &self.sample].concat());
        let Encoder::Rate { max } = encoder;
        let dims = [&[self.time_steps], stored.dims()].concat();
        GraphKey::new(key).bernoulli(&dims, stored.convert(DType::F32) / f64::from(max))
    }
}

/// Samples whose spikes are drawn together in a test: those of sample n depend on the others' number.
pub(crate) const TEST_GROUP: usize = 360;

/// What the spikes of the test of a run are drawn from.
pub(crate) fn test_key(seed: i64) -> Key {
    Key::new(seed.wrapping_add(1000))
}

/// What those of the group with this number are drawn from.
pub(crate) fn group_key(key: Key, number: usize) -> Key {
    if number == 0 { key } else { key.fold_in(number as u32) }
}

/// Images [B, H, W] moved along `axis` by -1, 0 or 1, as a uniform draw [B, 1, 1] says.
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
