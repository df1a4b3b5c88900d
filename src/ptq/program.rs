//! A network as a program that runs from stored weights.

use spiq_hlo::{DType, TensorType};

use crate::error::{Error, Result};
use crate::network::{Forward, Network};
use crate::quant::{Mode, Stored, split_stored};
use crate::signature::{Port, Role, Signature};

/// A network as two programs: one quantizes its weights, the other runs from them.
#[derive(Clone, Debug)]
pub struct StoredNetwork {
    /// The weights, and the program that quantizes them.
    pub stored: Stored,
    /// The forward pass. It takes the parameters that are not quantized, statistics, and the parts of the stored weights
    /// (`core/layers/0/kernel/qvalue`, `…/scale`).
    pub forward: Forward,
}

impl StoredNetwork {
    /// Builds the programs of a network for inputs of type `x`, [T, B, …] f32.
    ///
    /// # Errors
    /// Of kind `Input`: an input that does not fit the model, a rule that applies to nothing, rules that quantize no weight.
    pub fn new(network: &Network, x: &TensorType) -> Result<StoredNetwork> {
        let (stored, whole) = split(network, x)?;
        if stored.weights.is_empty() {
            return Err(Error::input(
                "the rules quantize no weight, so there is nothing to store; give rules with weight_qtype",
            ));
        }
        let is_read = |port: &&Port| stored.run.input_names().contains(&port.name);
        let signature = Signature::default()
            .taking(whole.signature.arrays().filter(is_read))
            .with(Role::Stored, stored.parts.iter().cloned())
            .taking(whole.signature.of(Role::X))
            .giving_as(&whole.signature);
        let forward = Forward { function: signature.arrange(&stored.run)?, signature, report: whole.report };
        Ok(StoredNetwork { stored, forward: forward.cut(x.dims[0])? })
    }

    /// The programs for one sample and one step; stored weights do not depend on these sizes.
    ///
    /// # Errors
    /// As [`new`](StoredNetwork::new).
    pub(super) fn of(network: &Network) -> Result<StoredNetwork> {
        StoredNetwork::new(network, &one_step(network))
    }

    /// The forward pass's inputs other than x.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &Port> {
        self.forward.signature.arrays()
    }
}

/// A network split at its quantized weights, if any, for one sample and one step; and its whole forward pass.
pub(super) fn stored_of(network: &Network) -> Result<(Stored, Forward)> {
    split(network, &one_step(network))
}

fn split(network: &Network, x: &TensorType) -> Result<(Stored, Forward)> {
    let whole = network.whole(x, Mode::Ptq)?;
    Ok((split_stored(&whole.function), whole))
}

/// The input type of one sample and one step.
fn one_step(network: &Network) -> TensorType {
    TensorType::new(DType::F32, [vec![1, 1], network.config().input_shape()].concat())
}
