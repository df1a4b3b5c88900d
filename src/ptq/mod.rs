//! Post-training quantization: quantizes weights once, stores them, and runs from the stored form. Invariant: does not depend on training.
//!
//! ```
//! use spiq::{config::ModelConfig, data::Dataset, network::Network, pjrt::Client, predict, ptq, quant::linear_only_rules};
//! let text = "[[layers]]\ntype = \"Linear\"\nin_features = 64\nout_features = 10\n[[layers]]\ntype = \"LI\"\nlayer_shape = 10";
//! let network = Network::new(ModelConfig::parse(text, "model.toml")?, linear_only_rules("int4", "int8"))?;
//! let (client, params, digits) = (Client::cpu()?, network.init(0), Dataset::digits());
//! let quantization = ptq::quantize_weights(&client, &network, &params)?;
//! assert_eq!((quantization.weights[0].before, quantization.weights[0].after), (4 * 640, 640 / 2 + 4 * 10));
//! let weights = ptq::read_weights(&quantization.file, &network, "Q.safetensors")?;
//! let settings = predict::Settings { time_steps: 4, ..Default::default() };
//! let stored = predict::outputs_of_stored(&client, &network, &weights, digits.inputs(), &settings)?;
//! assert_eq!(stored, predict::outputs(&client, &network, &params, digits.inputs(), &settings)?);
//! # Ok::<(), spiq::Error>(())
//! ```

mod file;
mod four_bits;
mod pack;
mod program;
mod quantize;
mod sparse;

pub use file::{is_quantized, read_weights};
pub(crate) use four_bits::in_four_bits;
pub use program::StoredNetwork;
pub use quantize::{Quantization, WeightReport, quantize_weights, rounded_weights};
