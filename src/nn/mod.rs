//! Layers, spiking neurons with surrogate gradients, runs over time, and losses.
//!
//! A model is plain data. Its parameters are kept separately, in a map from path to array or tensor, and so is the state that
//! neurons carry from step to step. Axes have names; axes in the wrong order are an error.
//!
//! Invariant: does not depend on quantization, data or devices.
//!
//! ```
//! use spiq::nn::{self, Axes, Lif, Linear, Li, Sequential};
//! use spiq::random::Rngs;
//! use spiq_hlo::{DType, TensorType, trace};
//!
//! let model = Sequential::new("core", [Linear::new(32, 64).into(), Lif::new([64]).into(), Li::new([64]).into()]);
//! let params = model.init(&mut Rngs::new(0));
//! assert_eq!(params["core/layers/0/kernel"].dims(), [32, 64]);
//!
//! let f = trace(&[("x", TensorType::new(DType::F32, [16, 8, 32]))], |x| {
//!     let params = nn::constants(x[0].graph(), &params);
//!     let (traces, _) = nn::run(&model, &params, &x[0].named("T B C"));
//!     vec![traces.to_axes("B T C").into_tensor()]
//! })?;
//! assert_eq!(f.result_types()[0].to_string(), "f32[8,16,64]");
//! # Ok::<(), spiq_hlo::GraphErrors>(())
//! ```

mod activity;
mod arguments;
mod axes;
mod batch_norm;
mod conv;
mod delays;
mod dropout;
mod embed;
mod equalize;
mod flatten;
mod group_norm;
mod identity;
mod join;
mod layer;
mod layer_norm;
mod linear;
mod losses;
mod neurons;
mod normalization;
mod padding;
mod parameter;
mod pool;
mod regularizers;
mod reshape;
mod rms_norm;
mod run;
mod sequential;
mod step;
mod synapses;
mod trace;
mod wiring;

pub use activity::{ActivityRegularization, huber_loss, silence_reg, sparsity_reg, sparsity_reg_with};
pub(crate) use axes::letters;
pub use axes::{Axes, Axis, Named};
pub use batch_norm::BatchNorm;
pub use conv::Conv;
pub use delays::{Delay, DelayedLinear, Lags, TemporalConv};
pub use dropout::Dropout;
pub use embed::Embed;
pub use equalize::Equalize;
pub use flatten::{Flatten, PopulationCode};
pub use group_norm::GroupNorm;
pub use identity::Identity;
pub use join::{Add, Concatenate};
pub use layer::{Layer, Synapses};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use losses::*;
pub use neurons::{
    AdLif, Alif, Brf, CAdLif, CSiLif, CuBaLif, Fires, If, Li, Lif, PsuLif, RCuBaLif, RecurrentInit, Reset, Rf, RfSsm,
    Rif, Rlif, SeAdLif, SiLif, Surrogate,
};
pub use normalization::AxisList;
pub use padding::Padding;
pub use parameter::{Init, Parameter, State};
pub use pool::{AvgPool, MaxPool, SumPool};
pub use regularizers::{MakeRegularizer, REGULARIZERS, Regularizer};
pub use reshape::Reshape;
pub use rms_norm::RmsNorm;
pub use run::{Outcome, Run, constants, run, run_from};
pub use sequential::Sequential;
pub use step::Step;
pub(crate) use trace::{KEY, Traced, Wanted, X};
pub(crate) use wiring::{Misfit, shapes, shown};
pub use wiring::{Source, Wiring};

pub(crate) use arguments::Kind;

/// The layers that a file can use, in the order in which messages list them.
pub(crate) const KINDS: [Kind; 42] = [
    Linear::KIND,
    DelayedLinear::KIND,
    TemporalConv::KIND,
    Delay::KIND,
    Lags::KIND,
    Equalize::KIND,
    Conv::KIND,
    SumPool::KIND,
    AvgPool::KIND,
    MaxPool::KIND,
    Flatten::KIND,
    Reshape::KIND,
    Embed::KIND,
    LayerNorm::KIND,
    GroupNorm::KIND,
    RmsNorm::KIND,
    BatchNorm::KIND,
    Add::KIND,
    Concatenate::KIND,
    Identity::KIND,
    Dropout::KIND,
    ActivityRegularization::KIND,
    PopulationCode::KIND,
    Lif::KIND,
    If::KIND,
    Li::KIND,
    Alif::KIND,
    CuBaLif::KIND,
    Rif::KIND,
    Rlif::KIND,
    RCuBaLif::KIND,
    PsuLif::KIND,
    // Spyx's alias for the same neuron.
    Kind { name: "AssociativeLIF", ..PsuLif::KIND },
    AdLif::KIND,
    CAdLif::KIND,
    SeAdLif::KIND,
    SiLif::KIND,
    CSiLif::KIND,
    Rf::KIND,
    Brf::KIND,
    RfSsm::KIND,
    // Run step by step, it is a LIF neuron.
    Kind { name: "ParallelResetLIF", ..Lif::KIND },
];
