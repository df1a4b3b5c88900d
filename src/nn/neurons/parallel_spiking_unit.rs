//! The neuron without a reset, whose potential is linear in its input.

use spiq_hlo::{Tensor, associative_scan};

use super::decay::{check_decays, clipped, decay, decay_parameter};
use super::surrogate::Surrogate;
use crate::nn::arguments::{described_neuron, layer};
use crate::nn::layer::Layer;
use crate::nn::parameter::{Parameter, State};
use crate::nn::step::Step;

layer! {
    /// Leaky neurons without a reset: `V ← beta V + x`, then `s = H(V - threshold)`.
    ///
    /// Spikes are computed from the potential of their own step, as with `fires = "after"` of other neurons.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; state `potential` likewise; parameter `beta`
    /// [hidden_shape…], or a scalar where a value is given. Units: beta is the fraction of the potential left after one time
    /// step, clipped to [0, 1] when used. Source: `spyx.nn.PSU_LIF`, also called `AssociativeLIF`.
    ///
    /// ```
    /// use spiq::nn::{Layer, PsuLif};
    /// assert_eq!(PsuLif::new([64]).states().len(), 1);
    /// ```
    #[doc(alias = "PSU_LIF")]
    #[doc(alias = "AssociativeLIF")]
    pub struct PsuLif = "PSU_LIF" {
        needs {
            /// Shape of one sample's potentials.
            hidden_shape: Vec<usize>,
        }
        takes {
            /// A single decay for all neurons; without it, one is drawn for each, around 0.5. Trained in either case.
            beta: Option<f64> = None,
            /// The potential above which a neuron fires.
            threshold: f64 = 1.0,
            /// The surrogate derivative of spikes.
            activation: Surrogate = Surrogate::default(),
        }
    }
}

impl PsuLif {
    /// Neurons with Spyx's defaults: threshold 1, superspike.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> PsuLif {
        PsuLif::with_defaults(hidden_shape.into())
    }

    /// The spikes of all steps at once, from potentials of zero, by a chain of operations whose length is logarithmic in the
    /// number of steps. They are those of a step-by-step run, except for rounding: the potentials are summed in another order.
    ///
    /// Shapes: beta [hidden_shape…] or a scalar, x [T, B, hidden_shape…], to spikes of x's shape. Source:
    /// `spyx.nn.PSU_LIF.parallel`.
    ///
    /// ```
    /// use spiq::nn::PsuLif;
    /// use spiq_hlo::{DType, TensorType, trace};
    /// let inputs = [("beta", TensorType::new(DType::F32, [64])), ("x", TensorType::new(DType::F32, [100, 8, 64]))];
    /// let f = trace(&inputs, |x| vec![PsuLif::new([64]).parallel(&x[0], &x[1])])?;
    /// assert_eq!(f.result_types()[0].to_string(), "f32[100,8,64]");
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    #[track_caller]
    pub fn parallel(&self, beta: &Tensor, x: &Tensor) -> Tensor {
        // A step is V ↦ aV + b; two consecutive steps have the same form.
        let in_a_row = |(a, b): &(Tensor, Tensor), (c, d): &(Tensor, Tensor)| (a * c, b * c + d);
        let steps = (clipped(beta).broadcast_to(x.dims()), x.clone());
        let (_, potentials) = associative_scan(&steps, false, in_a_row);
        self.activation.spike(&(potentials - self.threshold))
    }
}

impl Layer for PsuLif {
    described_neuron!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_decays(&[("beta", self.beta)])
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![decay_parameter("beta", self.beta, &self.hidden_shape)]
    }
    fn states(&self) -> Vec<State> {
        vec![State::new("potential", self.hidden_shape.as_slice())]
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let v = decay(at, "beta") * at.state("potential") + x;
        let spikes = self.activation.spike(&(&v - self.threshold));
        at.set_state("potential", v);
        spikes
    }
}
