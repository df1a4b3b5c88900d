//! The integrate-and-fire neuron, without a leak.

use spiq_hlo::Tensor;

use super::neuron::{Moment, Neuron, Shared, neuron};
use super::surrogate::Surrogate;
use crate::nn::parameter::Parameter;

neuron! {
    /// Integrate-and-fire neurons: `s = H(V - threshold)`, then `V ← V + x - s threshold`. They have no parameters by default.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; state `potential` likewise. Source: `spyx.nn.IF`.
    ///
    /// ```
    /// use spiq::nn::{If, Layer};
    /// assert!(If::new([64]).parameters().is_empty());
    /// ```
    #[doc(alias = "IF")]
    pub struct If = "IF" {}
    defaults { fires Before, reset Subtract, detached false, surrogate Surrogate::default() }
}

neuron! {
    /// [`If`] with `recurrent = true`: `s = H(V - threshold)`, then `V ← V + x + s · W - s threshold`.
    ///
    /// The parameter `recurrent_w` [hidden_shape…, hidden_shape…] holds the weights, from the firing neuron to the receiving
    /// one. Source: `spyx.nn.RIF`.
    ///
    /// ```
    /// use spiq::nn::{Layer, Rif};
    /// assert_eq!(Rif::new([64]).parameters()[0].dims, [64, 64]);
    /// ```
    #[doc(alias = "RIF")]
    always recurrent pub struct Rif = "RIF" {}
    defaults { fires Before, reset Subtract, detached false, surrogate Surrogate::default() }
}

macro_rules! integrating {
    ($($Name:ident)*) => {$(
        impl Neuron for $Name {
            const STATES: &'static [&'static str] = &["potential"];
            fn shared(&self) -> Shared<'_> {
                self.taken_by_all()
            }
            fn own_check(&self) -> Result<(), (&'static str, String)> {
                Ok(())
            }
            fn own_parameters(&self) -> Vec<Parameter> {
                Vec::new()
            }
            #[track_caller]
            fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
                vec![now.leaked(None, false)]
            }
        }
    )*};
}

integrating! { If Rif }
