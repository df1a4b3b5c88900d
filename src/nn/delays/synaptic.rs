//! Synaptic delays: a weight and a delay for each synapse.

use std::sync::Arc;

use spiq_hlo::{DType, Tensor, TensorType};

use super::axonal::check_max_delay;
use super::shift::{PAST, at_lags, behind_its_past, product, product_of_each_step, within_limits};
use crate::nn::arguments::{described, layer};
use crate::nn::layer::{Layer, Synapses, features_alone};
use crate::nn::parameter::{Init, Parameter, State};
use crate::nn::step::Step;

layer! {
    /// A matrix product in which each weight acts on its input with its own learned delay: `y_j(t) = Σ_i w_ij x_i(t - d_ij)`.
    ///
    /// In training, a weight is spread over all lags as a Gaussian around its delay, with standard deviation |sigma| + 0.27 and
    /// sum 1, so that delays have a gradient. The running statistic `sigma` shrinks with each training step, from `sigma_start`
    /// to `sigma_end` in `sigma_steps` steps. Otherwise a weight acts at its delay, rounded to whole steps.
    ///
    /// Shapes: x [T, B, in_features] to [T + extra_steps, B, out_features]; parameters `kernel` and `delay`
    /// [in_features, out_features], the latter kept from 0 to `max_delay`, and `bias` `[out_features]`; running statistic
    /// `sigma`, a scalar; state `past` [B, max_delay, in_features], the last steps. Units: time steps. Source: DCLS
    /// (Khalfaoui-Hassani et al. 2021, arXiv:2112.03740), version "gauss", as trained by Hammouamri et al. 2023,
    /// arXiv:2306.17670: their position P, counted from the middle of `max_delay + 1` lags, is `max_delay / 2 - delay`; their
    /// left padding is `max_delay`, their right padding `extra_steps`.
    ///
    /// ```
    /// use spiq::nn::{DelayedLinear, Layer};
    /// let layer = DelayedLinear::new(140, 256, 24);
    /// assert_eq!(layer.parameters().iter().map(|p| p.dims.clone()).collect::<Vec<_>>(), [[140, 256], [140, 256]]);
    /// ```
    #[doc(alias = "Dcls1d")]
    pub struct DelayedLinear = "DelayedLinear" {
        needs {
            /// Size of the input's last axis.
            in_features: usize,
            /// Size of the output's last axis.
            out_features: usize,
            /// The largest delay, in time steps.
            max_delay: usize,
        }
        takes {
            /// Whether a bias is added.
            use_bias: bool = false,
            /// The standard deviation of the Gaussian at the first training step, minus 0.27; by default half of `max_delay`.
            sigma_start: Option<f64> = None,
            /// The final standard deviation, minus 0.27.
            sigma_end: f64 = 0.23,
            /// Training steps from the first standard deviation to the final one.
            sigma_steps: usize = 1000,
            /// Steps added after the last one of the input, in which delayed inputs still arrive.
            extra_steps: Option<usize> = None,
            /// Whether training changes the delays.
            learn: bool = true,
        }
    }
}

impl DelayedLinear {
    /// A layer without a bias, with learned delays that are drawn at random initially.
    pub fn new(in_features: usize, out_features: usize, max_delay: usize) -> DelayedLinear {
        DelayedLinear::with_defaults(in_features, out_features, max_delay)
    }

    /// The initial standard deviation, minus 0.27.
    fn first_sigma(&self) -> f64 {
        self.sigma_start.unwrap_or((self.max_delay / 2) as f64).max(self.sigma_end)
    }

    /// The fraction of each weight that acts at each lag, [max_delay + 1, in_features, out_features].
    #[track_caller]
    fn shares(&self, at: &mut Step<'_>) -> Tensor {
        let delay = within_limits(&at.parameter("delay"), self.max_delay);
        let delay = if self.learn { delay } else { delay.stop_gradient() };
        let dims = [self.max_delay + 1, self.in_features, self.out_features];
        let lags = at.graph().iota(TensorType::new(DType::F32, dims), 0);
        let delay = delay.broadcast_in_dim(&dims, &[1, 2]);
        if !at.is_training() {
            return lags.eq(delay.round_nearest_even()).convert(DType::F32);
        }
        let sigma = at.statistic("sigma");
        let shrink = (self.sigma_end / self.first_sigma()).powf(1.0 / self.sigma_steps.max(1) as f64);
        at.set_statistic("sigma", &(&sigma * shrink).maximum(self.sigma_end));
        let distance = (lags - delay) / (sigma.abs() + 0.27);
        let bell = (-0.5 * (&distance * &distance)).exp();
        let sum = bell.reduce_sum([0]) + 1e-7;
        bell / sum.broadcast_in_dim(&dims, &[1, 2])
    }

    /// The weights at all lags, concatenated, [(max_delay + 1) · in_features, out_features].
    #[track_caller]
    fn spread_kernel(&self, at: &mut Step<'_>) -> Tensor {
        let shares = self.shares(at);
        let kernel = at.parameter("kernel").broadcast_in_dim(shares.dims(), &[1, 2]) * shares;
        kernel.reshape(&[(self.max_delay + 1) * self.in_features, self.out_features])
    }

    fn bias(&self, at: &Step<'_>) -> Option<Tensor> {
        self.use_bias.then(|| at.parameter("bias"))
    }
}

impl Layer for DelayedLinear {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_max_delay(self.max_delay)?;
        let sigmas = [("sigma_start", self.sigma_start.unwrap_or(1.0)), ("sigma_end", self.sigma_end)];
        match sigmas.into_iter().find(|(_, sigma)| *sigma <= 0.0) {
            Some((name, sigma)) => Err((name, format!("is {sigma}, but must be above 0"))),
            None => Ok(()),
        }
    }
    fn parameters(&self) -> Vec<Parameter> {
        let (dims, most) = ([self.in_features, self.out_features], self.max_delay as f64);
        let kernel = Parameter::new("kernel", dims, Init::HeUniform);
        let delay = Parameter::new("delay", dims, Init::Uniform(0.0, most)).within(0.0, most);
        let bias = self.use_bias.then(|| Parameter::new("bias", [self.out_features], Init::Zeros));
        [kernel, delay].into_iter().chain(bias).collect()
    }
    fn statistics(&self) -> Vec<Parameter> {
        vec![Parameter::new("sigma", [], Init::Constant(self.first_sigma()))]
    }
    fn states(&self) -> Vec<State> {
        vec![State::new(PAST, [self.max_delay, self.in_features])]
    }
    fn takes(&self) -> Vec<usize> {
        vec![self.in_features]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        features_alone(self.in_features, input).map(|()| vec![self.out_features])
    }
    fn takes_booleans(&self) -> bool {
        true
    }
    fn synapses(&self) -> Option<Synapses> {
        Some(Synapses::OfPastInputs)
    }
    fn spans_time(&self) -> bool {
        true
    }
    fn spread(&self) -> &'static [&'static str] {
        &["kernel"]
    }
    fn with_bias(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(DelayedLinear { use_bias: true, ..self.clone() }))
    }
    /// Takes the inputs of one step at all lags, side by side: [B, (max_delay + 1) · in_features].
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        product(x, &self.spread_kernel(at), self.bias(at).as_ref())
    }
    fn sequence(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let known = behind_its_past(at, x, self.max_delay, self.extra_steps.unwrap_or_default());
        if known.is_poison() {
            return known;
        }
        let inputs = at_lags(&known, self.max_delay, 1);
        at.note_driven(&inputs);
        product_of_each_step(&inputs, &self.spread_kernel(at), self.bias(at).as_ref())
    }
}
