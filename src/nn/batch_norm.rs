//! Normalization of each feature over batch and time.

use spiq_hlo::{Tensor, Violation};

use super::arguments::{described, layer};
use super::layer::{Layer, before_features};
use super::parameter::{Init, Parameter};
use super::step::Step;

layer! {
    /// Subtracts each feature's mean, divides by its standard deviation, then applies a learned scale and shift.
    ///
    /// In training, mean and variance are those of the batch, over all samples, time steps and axes except the last. Otherwise
    /// they are the running statistics `mean` and `var`, which each training step moves by `1 - momentum` of the difference.
    /// With [`time_steps`](BatchNorm::time_steps) each time step has its own statistics, scale and bias, over the batch alone.
    ///
    /// Shapes: x [T, B, …, num_features] to the same; parameters `scale` and `bias`, running statistics `mean` and `var`
    /// `[num_features]`, or [time_steps, num_features]. Errors, when applied: a different number of time steps. Source: Ioffe
    /// and Szegedy 2015, arXiv:1502.03167; `flax.nnx.BatchNorm` on [T, B, …, C]; per time step: Kim and Panda 2020,
    /// arXiv:2010.01729, `snntorch.BatchNormTT1d`.
    ///
    /// ```
    /// use spiq::nn::{BatchNorm, Layer};
    /// let names = |list: Vec<spiq::nn::Parameter>| list.into_iter().map(|p| p.name).collect::<Vec<_>>();
    /// let layer = BatchNorm::new(64);
    /// assert_eq!((names(layer.parameters()), names(layer.statistics())), (vec!["scale".into(), "bias".into()], vec!["mean".into(), "var".into()]));
    /// ```
    pub struct BatchNorm = "BatchNorm" {
        needs {
            /// Number of features: the size of the last axis.
            num_features: usize,
        }
        takes {
            /// The fraction of the running statistics that a training step keeps.
            momentum: f64 = 0.99,
            /// Added to the variance to avoid division by zero.
            epsilon: f64 = 1e-5,
            /// Whether a bias is added.
            use_bias: bool = true,
            /// Whether the result is scaled.
            use_scale: bool = true,
            /// Whether the variance is the mean of squares minus the squared mean: one pass, but less precise.
            use_fast_variance: bool = true,
            /// The number of time steps, if each is normalized separately; by default all are normalized together.
            time_steps: Option<usize> = None,
        }
    }
}

impl BatchNorm {
    /// A layer with flax's defaults.
    pub fn new(num_features: usize) -> BatchNorm {
        BatchNorm::with_defaults(num_features)
    }

    /// Shape of each parameter.
    fn dims(&self) -> Vec<usize> {
        self.time_steps.into_iter().chain([self.num_features]).collect()
    }

    /// A parameter reshaped to broadcast against x: features last, and time steps first if each has its own.
    fn beside(&self, parameter: &Tensor, x: &Tensor) -> Tensor {
        let mut dims = vec![1; x.rank()];
        dims[0] = self.time_steps.unwrap_or(1);
        dims[x.rank() - 1] = self.num_features;
        parameter.reshape(&dims)
    }

    /// Mean and variance of a batch, in the shape of the parameters.
    fn of_batch(&self, x: &Tensor) -> (Tensor, Tensor) {
        let first = usize::from(self.time_steps.is_some());
        let axes: Vec<usize> = (first..x.rank() - 1).collect();
        let mean = x.reduce_mean(&axes);
        let variance = match self.use_fast_variance {
            true => ((x * x).reduce_mean(&axes) - &mean * &mean).maximum(0.0),
            false => {
                let centred = x - self.beside(&mean, x);
                (&centred * &centred).reduce_mean(&axes)
            }
        };
        (mean, variance)
    }
}

impl Layer for BatchNorm {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        match (self.momentum, self.time_steps) {
            (momentum, _) if !(0.0..=1.0).contains(&momentum) => {
                Err(("momentum", format!("is {momentum}, but must be from 0 to 1")))
            }
            (_, Some(0)) => Err(("time_steps", "is 0, but must be at least 1".to_owned())),
            _ => Ok(()),
        }
    }
    fn parameters(&self) -> Vec<Parameter> {
        let scale = self.use_scale.then(|| Parameter::new("scale", self.dims(), Init::Ones));
        let bias = self.use_bias.then(|| Parameter::new("bias", self.dims(), Init::Zeros));
        scale.into_iter().chain(bias).collect()
    }
    fn statistics(&self) -> Vec<Parameter> {
        [("mean", 0.0), ("var", 1.0)]
            .map(|(name, start)| Parameter::new(name, self.dims(), Init::Constant(start)))
            .to_vec()
    }
    fn takes(&self) -> Vec<usize> {
        vec![self.num_features]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok([before_features(self.num_features, input)?, &[self.num_features]].concat())
    }
    fn affine(&self, of: &dyn Fn(&str) -> Option<Vec<f32>>) -> Option<[Vec<f32>; 2]> {
        if self.time_steps.is_some() {
            return None;
        }
        let given = |wanted: bool, name: &str, absent: f32| match wanted {
            true => of(name),
            false => Some(vec![absent; self.num_features]),
        };
        let [mean, variance] = [of("mean")?, of("var")?];
        let (scale, bias) = (given(self.use_scale, "scale", 1.0)?, given(self.use_bias, "bias", 0.0)?);
        let deviation = |variance: &f32| (variance + self.epsilon as f32).sqrt();
        let factor: Vec<f32> =
            variance.iter().zip(scale).map(|(variance, scale)| scale / deviation(variance)).collect();
        let summand = factor.iter().zip(mean).zip(bias).map(|((factor, mean), bias)| bias - mean * factor).collect();
        Some([factor, summand])
    }
    fn spans_time(&self) -> bool {
        true
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        x.clone()
    }
    fn sequence(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        if x.is_poison() {
            return x.clone();
        }
        if let Some(steps) = self.time_steps.filter(|steps| *steps != x.dims()[0]) {
            let message = format!("{} normalizes each of {steps} time steps, but there are {}", at.path(), x.dims()[0]);
            return x.graph().fail("BatchNorm", Violation::new("", message));
        }
        let running = [at.statistic("mean"), at.statistic("var")];
        let (mean, variance) = match at.is_training() {
            false => running.into(),
            true => {
                let now = self.of_batch(x);
                for ((name, old), new) in ["mean", "var"].into_iter().zip(&running).zip([&now.0, &now.1]) {
                    at.set_statistic(name, &(self.momentum * old + (1.0 - self.momentum) * new));
                }
                now
            }
        };
        let factor = (variance + self.epsilon).rsqrt();
        let factor = if self.use_scale { factor * at.parameter("scale") } else { factor };
        let y = (x - self.beside(&mean, x)) * self.beside(&factor, x);
        if self.use_bias { y + self.beside(&at.parameter("bias"), x) } else { y }
    }
}
