//! The leaky integrate-and-fire neuron.

use spiq_hlo::Tensor;

use super::decay::{check_decays, decay_of, decay_parameter};
use super::neuron::{Moment, Neuron, Shared, neuron};
use super::surrogate::Surrogate;
use crate::nn::parameter::Parameter;

neuron! {
    /// Leaky integrate-and-fire neurons: `s = H(V - threshold)`, then `V ← beta V + x - s threshold`.
    ///
    /// Spikes are computed from the potential that the previous step left, so an input shows in the output one step later; with
    /// `fires = "after"` they are computed from the new one. `reset = "zero"` changes the update to `V ← beta (1 - s) V + x`,
    /// and `decay_input` replaces x by `(1 - beta) x`: with both, `fires = "after"` and `detach_reset`, these are
    /// SpikingJelly's `LIFNode` with its defaults (`beta = 1 - 1/tau`).
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; state `potential` likewise; parameter `beta`
    /// [hidden_shape…], or a scalar where a value is given. Units: beta is the fraction of the potential left after one time
    /// step, clipped to [0, 1] when used. Source: `spyx.nn.LIF`; `snntorch.Leaky` is the same with `fires = "after"` and
    /// `detach_reset`. A layer called `ParallelResetLIF` is this one: see [`Lif::parallel`].
    ///
    /// ```
    /// use spiq::nn::{Lif, Surrogate};
    /// let layer = Lif { threshold: 0.5, activation: Surrogate::triangular(), ..Lif::new([64]) };
    /// assert_eq!(layer.beta, None);
    /// ```
    #[doc(alias = "LIF")]
    pub struct Lif = "LIF" {
        /// A single decay for all neurons; without it, one is drawn for each, around 0.5. Trained in either case.
        beta: Option<f64> = None,
        /// Whether the input is scaled by `1 - beta`, so that a constant input is the limit of the potential.
        decay_input: bool = false,
    }
    defaults { fires Before, reset Subtract, detached false, surrogate Surrogate::default() }
}

neuron! {
    /// [`Lif`] with `recurrent = true`: `s = H(V - threshold)`, then `V ← beta V + x + s · W - s threshold`.
    ///
    /// The parameter `recurrent_w` [hidden_shape…, hidden_shape…] holds the weights, from the firing neuron to the receiving
    /// one. Source: `spyx.nn.RLIF`.
    ///
    /// ```
    /// use spiq::nn::{Layer, Rlif};
    /// let names: Vec<String> = Rlif::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["recurrent_w", "beta"]);
    /// ```
    #[doc(alias = "RLIF")]
    always recurrent pub struct Rlif = "RLIF" {
        /// A single decay for all neurons; without it, one is drawn for each, around 0.5. Trained in either case.
        beta: Option<f64> = None,
        /// Whether the input, including recurrent input, is scaled by `1 - beta`.
        decay_input: bool = false,
    }
    defaults { fires Before, reset Subtract, detached false, surrogate Surrogate::default() }
}

macro_rules! leaky {
    ($($Name:ident)*) => {$(
        impl Neuron for $Name {
            const STATES: &'static [&'static str] = &["potential"];
            fn shared(&self) -> Shared<'_> {
                self.taken_by_all()
            }
            fn own_check(&self) -> Result<(), (&'static str, String)> {
                check_decays(&[("beta", self.beta)])
            }
            fn own_parameters(&self) -> Vec<Parameter> {
                vec![decay_parameter("beta", self.beta, &self.hidden_shape)]
            }
            #[track_caller]
            fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
                vec![now.leaked(Some(&decay_of(now, "beta")), self.decay_input)]
            }
        }
    )*};
}

leaky! { Lif Rlif }
