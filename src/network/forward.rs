//! The forward pass: traced, quantized by the rules, with its statistics read, and split along time.

use spiq_hlo::{DType, Function, Tensor, TensorType};

use super::statistics::check_sums;
use super::{Network, Pass};
use crate::by_path::Tensors;
use crate::error::{Error, Result};
use crate::nn::{self, Layer, Traced, Wanted, X};
use crate::quant::{self, Mode, Precision, Quantized, Report, Spread, products_in_bf16, quantize_with};
use crate::signature::{Role, Signature, Values};

/// The name of the key that a model draws from in training.
pub const MODEL_KEY: &str = nn::KEY;
/// The name of the key for stochastic rounding of gradients.
pub const NOISE_KEY: &str = quant::NOISE_KEY;

/// A pass of a network as a function with named inputs and results.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The function; it may be replaced by another one with the same signature.
    pub function: Function,
    /// It takes parameters, running statistics of layers, statistics for rules with static scales, keys if the pass draws from them, and x
    /// [T, B, …]; it returns the traces [T, B, C] and, as requested by the pass, spike rates and the updated statistics of both kinds.
    pub signature: Signature,
    /// The report of the quantization.
    pub report: Report,
}

impl Forward {
    /// Records the pass over x with its other inputs by name: parameters and statistics by path, [`MODEL_KEY`] and [`NOISE_KEY`]. Unused
    /// names are ignored.
    #[track_caller]
    pub fn call(&self, given: &Tensors, x: &Tensor) -> Values {
        let mut given = given.clone();
        given.insert(X.to_owned(), x.clone());
        self.signature.call(&self.function, x.graph(), &given)
    }
}

/// How a pass uses the statistics of static scales.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Statistics {
    /// It reads them; gradients are rounded with the noise of a constant key.
    Read,
    /// It returns their updated values; gradients are rounded with the noise of a key that is an input.
    Kept,
}

impl Network {
    /// The traced forward pass for inputs of type `x`, [T, B, …] f32 (or spikes as `pred` or `s8`), before any transform.
    ///
    /// # Errors
    /// Of kind `Input`: an input that does not fit the model.
    pub fn trace(&self, x: &TensorType) -> Result<Function> {
        Ok(self.traced(x, Mode::Qat.into())?.function)
    }

    fn traced(&self, x: &TensorType, pass: Pass) -> Result<Traced> {
        self.check_sizes(x)?;
        let wanted = Wanted {
            training: pass.training,
            key: self.takes_key(pass),
            states: pass.training,
            rates: pass.spike_rates,
            counts: pass.spike_counts,
            broken: pass.broken,
            driven: pass.driven,
        };
        let traced = self.model.trace_with(x, wanted);
        traced.map_err(|errors| Error::input(errors.to_string()))
    }

    fn takes_key(&self, pass: Pass) -> bool {
        pass.training && self.model.draws()
    }

    /// The forward pass, quantized by the rules, before its scans are split along time.
    ///
    /// # Errors
    /// Of kind `Input`: an input that does not fit the model, a rule that applies to nothing.
    pub fn quantized(&self, x: &TensorType, pass: impl Into<Pass>) -> Result<Quantized> {
        Ok(self.quantized_pass(x, pass.into())?.0)
    }

    fn quantized_pass(&self, x: &TensorType, pass: Pass) -> Result<(Quantized, Signature)> {
        // Weights that depend on running statistics are also weights.
        let paths = self.array_types();
        let traced = self.traced(x, pass)?;
        let is_weight = |name: &str| paths.contains_key(name);
        let spread = Spread::new(self.model.spread_paths(), !pass.training);
        let quantize = |function| quantize_with(function, &self.rules, pass.mode, self.arithmetic, is_weight, &spread);
        let quantized = quantize(&traced.function)?;
        if self.rules.static_axes().any(|axes| !axes.contains(&0)) {
            let mut wider = x.clone();
            wider.dims[1] += 1;
            check_sums(&quantized.function, &quantize(&self.traced(&wider, pass)?.function)?.function)?;
        }
        Ok((quantized, traced.signature))
    }

    /// The forward pass, quantized by the rules and split along time. Static scales come from statistics, which it only reads.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn forward(&self, x: &TensorType, pass: impl Into<Pass>) -> Result<Forward> {
        self.forward_in_tiles(x, pass, self.time_tile.unwrap_or(x.dims.first().copied().unwrap_or_default()))
    }

    /// The forward pass, quantized by the rules and split along time into tiles of `tile` steps.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn forward_in_tiles(&self, x: &TensorType, pass: impl Into<Pass>, tile: usize) -> Result<Forward> {
        self.whole(x, pass)?.cut(tile)
    }

    /// The forward pass, quantized by the rules, before its scans are split along time.
    pub(crate) fn whole(&self, x: &TensorType, pass: impl Into<Pass>) -> Result<Forward> {
        self.pass(x, pass.into(), Statistics::Read)
    }

    pub(super) fn pass(&self, x: &TensorType, pass: Pass, statistics: Statistics) -> Result<Forward> {
        let (Quantized { function, noise_key, report }, traced) = self.quantized_pass(x, pass)?;
        let noise_key = (noise_key && statistics == Statistics::Kept).then(|| TensorType::new(DType::U32, [2]));
        let signature = Signature::default()
            .taking(traced.of(Role::Parameter))
            .taking(traced.of(Role::Running))
            .with(Role::Statistic, function.sums())
            .taking(traced.of(Role::ModelKey))
            .with(Role::NoiseKey, noise_key.map(|ty| (NOISE_KEY, ty)))
            .taking(traced.of(Role::X))
            .giving_as(&traced);
        let (function, signature) = match statistics {
            Statistics::Read => (function.read_sums()?, signature),
            Statistics::Kept => (function.keep_sums()?, signature.giving(Role::Statistic, function.sums())),
        };
        let function = match self.precision() {
            Precision::F32 => function,
            Precision::Bf16 => products_in_bf16(&function)?,
        };
        Ok(Forward { function: signature.arrange(&function)?, signature, report })
    }
}

impl Forward {
    /// The pass split along time into tiles of `tile` steps.
    pub(crate) fn cut(self, tile: usize) -> Result<Forward> {
        Ok(Forward { function: self.function.split_time(tile)?, ..self })
    }
}
