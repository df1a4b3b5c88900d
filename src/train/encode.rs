//! From a batch as it is stored to spikes over time, inside the compiled step. Knows nothing of models.

use spiq_hlo::{DType, Tensor, TensorType};

use crate::data::{Encoder, Inputs};
use crate::random::GraphKey;

/// How the samples of a data set become x [T, B, …] f32.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    encoder: Option<Encoder>,
    time_steps: usize,
    features: Vec<usize>,
    dtype: DType,
}

impl Encoding {
    /// The encoding of these samples; `time_steps` counts where they have no time axis of their own.
    pub(crate) fn of(inputs: &Inputs, time_steps: usize) -> Encoding {
        Encoding {
            encoder: inputs.encoder(),
            time_steps: inputs.steps().unwrap_or(time_steps),
            features: inputs.features().to_vec(),
            dtype: inputs.samples().dtype(),
        }
    }

    /// The type of a stored batch: [B, …] without, [B, T, …] with a time axis.
    pub(crate) fn stored_type(&self, batch: usize) -> TensorType {
        let time = self.encoder.is_none().then_some(self.time_steps);
        let dims = std::iter::once(batch).chain(time).chain(self.features.iter().copied());
        TensorType::new(self.dtype, dims.collect::<Vec<_>>())
    }

    /// The type of x, [T, B, …] f32.
    pub(crate) fn x_type(&self, batch: usize) -> TensorType {
        TensorType::new(DType::F32, [&[self.time_steps, batch], &self.features[..]].concat())
    }

    /// Spikes x [T, B, …] from a stored batch; `key` u32[2] is what a random code draws from.
    #[track_caller]
    pub(crate) fn encode(&self, key: &Tensor, stored: &Tensor) -> Tensor {
        let values = stored.convert(DType::F32);
        let Some(Encoder::Rate { max }) = self.encoder else {
            let order: Vec<usize> = [1, 0].into_iter().chain(2..values.rank()).collect();
            return values.transpose(&order);
        };
        let dims = [&[self.time_steps], values.dims()].concat();
        GraphKey::new(key).bernoulli(&dims, values / f64::from(max)).convert(DType::F32)
    }
}
