//! A network as a program that runs from stored weights. Knows nothing of files.

use spiq_hlo::{DType, TensorType};

use crate::error::{Error, Result};
use crate::network::{Forward, Network, arranged};
use crate::quant::{Mode, Stored, split_stored};

/// A network in two programs: what quantizes its weights, and what runs from them.
#[derive(Clone, Debug)]
pub struct StoredNetwork {
    /// The weights, and the program that quantizes them.
    pub stored: Stored,
    /// The forward pass. Its [`paths`](Forward::paths) are those parameters that stay as they are, statistics, and the
    /// parts of the stored weights (`core/layers/0/kernel/qvalue`, `…/scale`).
    pub forward: Forward,
}

impl StoredNetwork {
    /// The programs of a network for inputs of type `x`, [T, B, …] f32.
    ///
    /// # Errors
    /// Of kind `Input`: an input that the model does not fit, a rule that decides on nothing, rules that quantize no weight.
    pub fn new(network: &Network, x: &TensorType) -> Result<StoredNetwork> {
        let quantized = network.quantized(x, Mode::Ptq)?;
        let stored = split_stored(&network.reading(&quantized)?);
        if stored.weights.is_empty() {
            return Err(Error::input(
                "the rules quantize no weight, so there is nothing to store; give rules with weight_qtype",
            ));
        }
        // The input stands between what is read as it is and the stored parts.
        let mut order = stored.run.input_names().to_vec();
        let x_name = order.remove(order.len() - stored.parts.len() - 1);
        let paths = order.clone();
        order.push(x_name);
        let function = arranged(&stored.run, &order)?.split_time(x.dims[0])?;
        let forward = Forward { function, paths, rates: Vec::new(), takes_key: false, report: quantized.report };
        Ok(StoredNetwork { stored, forward })
    }

    /// The programs for one sample and one step: what is stored does not depend on these numbers.
    ///
    /// # Errors
    /// As [`new`](StoredNetwork::new).
    pub(super) fn of(network: &Network) -> Result<StoredNetwork> {
        let dims = [vec![1, 1], network.config().input_shape()].concat();
        StoredNetwork::new(network, &TensorType::new(DType::F32, dims))
    }

    /// Name and type of everything the forward pass takes before x.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&String, TensorType)> {
        self.forward.paths.iter().zip(self.forward.function.input_types())
    }
}
