//! Neurons: their shared parts (`neuron`, `options`, `decay`, `recurrence`, `surrogate`), and a file for each kind.
//!
//! A kind declares its own arguments with `neuron!` and implements [`neuron::Neuron`]: its states, its parameters and its
//! update at each step. `neuron!` adds thresholds, resets, refractory periods, recurrence, and the choice of the potential that
//! spikes are computed from.
//!
//! Invariant: depends on the parts of a layer (`layer`, `arguments`, `parameter`, `step`), but not on models and runs.

mod adaptive;
mod adaptive_threshold;
mod complex_pole;
mod current_based;
mod decay;
mod integrate_and_fire;
mod leaky_integrate;
mod leaky_integrate_and_fire;
mod neuron;
mod options;
mod parallel_reset;
mod parallel_spiking_unit;
mod recurrence;
mod resonate_and_fire;
mod surrogate;
mod symplectic;

pub use adaptive::{AdLif, CAdLif, SiLif};
pub use adaptive_threshold::Alif;
pub use complex_pole::{CSiLif, RfSsm};
pub use current_based::{CuBaLif, RCuBaLif};
pub use integrate_and_fire::{If, Rif};
pub use leaky_integrate::Li;
pub use leaky_integrate_and_fire::{Lif, Rlif};
pub use options::{Fires, RecurrentInit, Reset};
pub use parallel_spiking_unit::PsuLif;
pub use resonate_and_fire::{Brf, Rf};
pub use surrogate::Surrogate;
pub use symplectic::SeAdLif;
