//! Quantization-aware training of spiking neural networks, compiled by XLA through PJRT: what JAX, Flax, qwix and Spyx do together in
//! Python, with the same names and results.
//!
//! # Five minutes
//!
//! One import provides the most common items, here and in notebooks: `use spiq::prelude::*;`.
//!
//! **A network** consists of layers, written in TOML or in Rust ([`nn::Sequential`]). The rules of [`quant`] set the types of its matrix
//! products. The [report](quant::Report) shows how each product is computed:
//!
//! ```
//! use spiq::prelude::*;
//!
//! let layers = r#"layers = [
//!     { type = "Linear", in_features = 64, out_features = 128, use_bias = false },
//!     { type = "LIF", hidden_shape = 128, activation = { type = "triangular" } },
//!     { type = "Linear", in_features = 128, out_features = 10, use_bias = false },
//!     { type = "LI", layer_shape = 10 },
//! ]"#;
//! let rules = linear_only_rules("int8", "int8"); // weights, activations
//! let network = Network::new(ModelConfig::parse(layers, "model.toml")?, rules)?;
//!
//! let x = TensorType::new(DType::F32, [32, 64, 64]); // time, batch, channel
//! let report = network.quantized(&x, Mode::Qat)?.report;
//! assert_eq!(report.rows[0].became, "s8 x s8 -> s32");
//! # Ok::<(), spiq::Error>(())
//! ```
//!
//! **Training** takes samples, here the built-in handwritten digits, and writes parameters, a checkpoint, metrics and a picture to a
//! folder:
//!
//! ```
//! # use spiq::prelude::*;
//! # let layers = r#"layers = [{ type = "Linear", in_features = 64, out_features = 10 }, { type = "LI", layer_shape = 10 }]"#;
//! # let network = Network::new(ModelConfig::parse(layers, "model.toml")?, linear_only_rules("int8", "int8"))?;
//! # let folder = tempfile::tempdir()?;
//! # let out = folder.path().join("run");
//! let (train_part, test_part) = Dataset::digits().split()?;
//! let options = train::Options {
//!     length: train::Length::Epochs(2), // 20 or more, to be good
//!     ..train::Options::new(network, train_part, test_part, &out)
//! };
//! let client = Client::cpu()?; // or Client::new of another plugin's
//! let summary = train::run(&client, &options, &false.into(), &mut |event| {
//!     if let train::Event::Epoch { epoch, test_accuracy, .. } = event {
//!         println!("epoch {epoch}: {:.1} % of the test digits", 100.0 * test_accuracy);
//!     }
//! })?;
//! assert_eq!(summary.steps, 2 * 22);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **The trained network** predicts new samples, quantized as in training:
//!
//! ```
//! # use spiq::prelude::*;
//! # let layers = r#"layers = [{ type = "Linear", in_features = 64, out_features = 10 }, { type = "LI", layer_shape = 10 }]"#;
//! # let network = Network::new(ModelConfig::parse(layers, "model.toml")?, linear_only_rules("int8", "int8"))?;
//! # let client = Client::cpu()?;
//! # let params = network.init(0);
//! # let digits = Dataset::digits();
//! // Or the parameters that a run left: train::Checkpoint::load(&out.join("params.safetensors"))?.arrays
//! let settings = spiq::predict::Settings { mode: Mode::Ptq, ..Default::default() };
//! let outputs = spiq::predict::outputs(&client, &network, &params, digits.inputs(), &settings)?;
//! assert_eq!(outputs.dims(), [1797, 32, 10]); // sample, time, class
//! # Ok::<(), spiq::Error>(())
//! ```
//!
//! **A custom program** is a Rust function of tensors. [`trace`] records it; the result can be [differentiated](value_and_grad),
//! [quantized](quant::quantize), inspected ([`display::nodes`]), compiled and run:
//!
//! ```
//! use spiq::prelude::*;
//!
//! let inputs = [("x", TensorType::new(DType::F32, [4, 3])), ("w", TensorType::new(DType::F32, [3, 2]))];
//! let gradient = trace(&inputs, |v| {
//!     let (loss, slope) = value_and_grad(&v[1], |w| v[0].dot(w).tanh().sum());
//!     vec![loss, slope]
//! })?;
//! let client = Client::cpu()?;
//! let program = Program::named("gradient").compile(&client, &gradient)?;
//! let (x, w) = (Array::new([4, 3], vec![0.1f32; 12])?, Array::new([3, 2], vec![0.5f32; 6])?);
//! let outputs = client.run(&program, [&x, &w])?;
//! assert_eq!(outputs[1].dims(), [3, 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A wrong call does not fail in the middle of a formula: tracing returns all errors at once, each with its line.
//!
//! # Modules
//!
//! | | |
//! |---|---|
//! | [`nn`] | layers, neurons, surrogate gradients, losses, running models over time |
//! | [`quant`] | rules, types, calibration, the transform |
//! | [`optim`] | optax's optimizers and schedules |
//! | [`network`], [`config`] | a model and its rules, from files |
//! | [`data`], [`train`], [`predict`] | samples, the training loop, outputs of a data set |
//! | [`augment`] | augmentations of training samples, in the compiled step |
//! | [`provenance`] | the settings that determine the bits of a file's arrays, as its metadata |
//! | [`display`], [`notebook`] | pictures and tables; display in Rust notebooks |
//! | [`native`], [`bench`](mod@bench) | which units of a chip a program uses; how fast it is |
//! | [`random`] | JAX's random numbers, bit for bit |
//! | [`pjrt`] | devices, buffers, compiled programs |
//! | [`cluster`] | several processes that run one program together |
//! | [`compile`], [`jit`](fn@jit) | the compilation stages of a program |
//! | [`signature`] | inputs and results of a program by name |
//!
//! The notebooks in `notebooks/` teach all this with pictures; `spiq --help` shows the command line.

pub mod augment;
pub mod bench;
mod by_path;
mod capacity;
pub mod choice;
pub mod cluster;
mod collectives;
pub mod compile;
pub mod config;
pub mod data;
pub mod display;
mod error;
mod fields;
mod kernel_calls;
pub mod native;
pub mod network;
pub mod nn;
pub mod notebook;
pub mod optim;
pub mod pjrt;
mod places;
pub mod predict;
pub mod prelude;
pub mod provenance;
pub mod ptq;
pub mod quant;
pub mod random;
mod record;
pub mod signature;
pub mod table;
pub mod train;

pub use compile::{Jit, Program, jit, trace, trace_tree};
pub use data::{load, save};
pub use error::{Error, ErrorKind, Result};
/// Implements [`Tree`](trait@Tree) for a struct of trees with one type parameter, the type of its leaves.
///
/// ```
/// use spiq::{Tensor, Tree};
/// #[derive(Clone, Tree)]
/// struct Linear<T = Tensor> {
///     kernel: T,
///     bias: Option<T>,
/// }
/// let linear = Linear { kernel: spiq::Array::scalar(2.0f32), bias: Some(spiq::Array::scalar(1.0f32)) };
/// assert_eq!(linear.paths(), ["kernel", "bias"]);
/// ```
pub use spiq_derive::Tree;
/// Recordings: readers, transforms, frames, sound to spikes.
pub use spiq_events as events;
pub use spiq_hlo::{
    Array, ArrayError, Axes, ConvDims, Convolution, DType, DotDims, Element, Function, Graph, GraphError, GraphErrors,
    Index, Keepdims, Leaf, Objective, Operand, Part, PrintOptions, ReductionAxes, Static, StaticValue, Structure,
    Tensor, TensorType, Tree, TreeError, Window, WindowDims, associative_scan, checkpoint, concatenate, custom_vjp,
    einsum, grad, hessian, jacobian, join_path, keepdims, same_padding, scan, scan_checkpointed, sort, stack, switch,
    value_and_grad, vjp, vmap, while_loop, zip_map,
};

/// Compiles and runs the examples of docs/library.md with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct LibraryPage;
