//! Layers, spiking neurons and their surrogate gradients, runs over time, losses. Knows nothing of quantization, data or
//! devices.
//!
//! A model is plain data. Its parameters live apart from it, in a map from path to array or tensor; so does the state that
//! neurons carry from step to step. Axes have names, and a wrong order is an error.
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

mod axes;
mod integrate_and_fire;
mod layer;
mod leaky_integrate;
mod leaky_integrate_and_fire;
mod linear;
mod losses;
mod parameter;
mod run;
mod sequential;
mod step;
mod surrogate;
mod trace;

pub use axes::{Axes, Axis, Named};
pub use integrate_and_fire::If;
pub use layer::Layer;
pub use leaky_integrate::Li;
pub use leaky_integrate_and_fire::Lif;
pub use linear::Linear;
pub use losses::{IntegralCrossentropy, MseSpikerate, integral_accuracy, integral_crossentropy, mse_spikerate};
pub use parameter::{Init, Parameter, State};
pub use run::{constants, run, run_from};
pub use sequential::Sequential;
pub use step::Step;
pub use surrogate::Surrogate;
