//! The most common items in one import: `use spiq::prelude::*;`.
//!
//! ```
//! use spiq::prelude::*;
//! let model = Sequential::new("core", [Linear::new(4, 3).into(), Lif::new([3]).into()]);
//! let x = TensorType::new(DType::F32, [16, 8, 4]);
//! assert_eq!(model.trace(&x)?.result_types()[0].to_string(), "f32[16,8,3]");
//! # Ok::<(), spiq::GraphErrors>(())
//! ```

pub use std::collections::BTreeMap;

pub use crate::config::{ModelConfig, RuleConfig};
pub use crate::data::Dataset;
pub use crate::display;
#[cfg(feature = "pictures")]
pub use crate::display::Curve;
pub use crate::native;
pub use crate::network::Network;
pub use crate::nn::{
    self, ActivityRegularization, AdLif, Alif, AvgPool, Axes, BatchNorm, Brf, CAdLif, CSiLif, Conv, CuBaLif, Delay,
    DelayedLinear, Dropout, Embed, Fires, Flatten, GroupNorm, If, LayerNorm, Li, Lif, Linear, MaxPool, Padding,
    PopulationCode, PsuLif, RCuBaLif, Readout, RecurrentInit, Reset, Reshape, Rf, RfSsm, Rif, Rlif, RmsNorm,
    SampleLoss, SeAdLif, Sequential, SiLif, Source, SumPool, Surrogate, TemporalConv, integral_accuracy,
    integral_crossentropy, mse_spikerate, silence_reg, sparsity_reg,
};
pub use crate::notebook::{self, Show};
pub use crate::optim::{
    GradientTransformation, OptState, adam, adamw, apply_updates, chain, clip_by_global_norm, lion, sgd,
};
pub use crate::pjrt::{Buffer, Client, Executable, Input, device_get};
pub use crate::quant::{Mode, Numerics, Rules, linear_only_rules, quantize, weights_only_rules};
pub use crate::random::{Key, Rngs};
pub use crate::train::{self, TrainState};
pub use crate::{
    Array, DType, Function, Graph, GraphErrors, PrintOptions, Program, Static, Tensor, TensorType, Tree, custom_vjp,
    grad, hessian, jacobian, jit, scan, stack, trace, value_and_grad, vjp, vmap, zip_map,
};
