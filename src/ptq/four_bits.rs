//! Stored weights of up to four bits, two to a byte of a device's memory.

use spiq_hlo::{Array, DType, Tensor, TensorType, trace};

use super::program::StoredNetwork;
use crate::error::{Error, Result};
use crate::network::Forward;
use crate::quant::{QType, StoredWeight};
use crate::signature::{Port, Signature};

impl StoredNetwork {
    /// The forward pass that takes stored integers of up to four bits as `s4`, which devices hold two to a byte, and converts them to `s8`
    /// for their products. Compilers for GPUs and TPUs unpack them inside the product.
    ///
    /// # Errors
    /// Kind `Graph`; none for a network that was traced without errors.
    pub fn packed(&self) -> Result<Forward> {
        let values_of = |weight: &StoredWeight, name: &str| name.strip_prefix(&weight.path) == Some("/qvalue");
        let is_narrow = |name: &str| self.stored.weights.iter().any(|w| fits(w.qtype) && values_of(w, name));
        let port = |port: &Port| match is_narrow(&port.name) {
            true => Port { ty: port.ty.with_dtype(DType::S4), ..port.clone() },
            false => port.clone(),
        };
        let ports: Vec<Port> = self.forward.signature.inputs().iter().map(port).collect();
        let inputs: Vec<(&str, TensorType)> = ports.iter().map(|port| (port.name.as_str(), port.ty.clone())).collect();
        let function = trace(&inputs, |values| {
            let unpack =
                |value: &Tensor| if value.dtype() == DType::S4 { value.convert(DType::S8) } else { value.clone() };
            let values: Vec<Tensor> = values.iter().map(unpack).collect();
            self.forward.function.call(values[0].graph(), &values)
        })?;
        let signature = Signature::default().taking(&ports).giving_as(&self.forward.signature);
        Ok(Forward { function, signature, report: self.forward.report.clone() })
    }
}

/// Whether four bits hold the stored values.
fn fits(qtype: QType) -> bool {
    let (low, high) = qtype.range();
    qtype.storage() == DType::S8 && low >= -8.0 && high <= 7.0
}

/// The `s4` array of these `s8` values.
///
/// # Errors
/// Kind `Input` for a value that four bits cannot hold.
pub(crate) fn in_four_bits(name: &str, array: &Array) -> Result<Array> {
    let values: Vec<i8> = array.to_vec().map_err(|error| Error::input(format!("{name}: {error}")))?;
    match values.iter().find(|value| !(-8..8).contains(*value)) {
        Some(value) => {
            Err(Error::input(format!("{name} contains {value}, which 4 bits cannot hold; store the weights again")))
        }
        None => Ok(Array::from_bytes(array.ty().with_dtype(DType::S4), array.bytes().to_vec())
            .expect("a byte for each element")),
    }
}
