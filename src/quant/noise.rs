//! Noise for stochastic rounding: the probability of rounding up is the fractional part. Source: `qwix._src.core.stochastic_rounding`.

use spiq_hlo::{DType, Tensor};

use super::axes::named_axes;
use super::refusal::Refusal;
use crate::error::{Error, Result};
use crate::random::GraphKey;

/// The distribution of the noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// Uniform in [-1/2, 1/2), 23 random bits.
    Uniform,
    /// Uniform on 256 values from -1/2 + 2⁻⁹ to 1/2 - 2⁻⁹: 8 random bits.
    LowBitUniform,
}

impl Distribution {
    /// All distributions with their names.
    pub(super) const NAMES: [(&str, Distribution); 2] =
        [("uniform", Distribution::Uniform), ("low_bit_uniform", Distribution::LowBitUniform)];

    /// The distribution of this name.
    ///
    /// # Errors
    /// One sentence about an unknown name.
    fn parse(name: &str) -> std::result::Result<Distribution, String> {
        let found = Distribution::NAMES.into_iter().find(|(known, _)| *known == name);
        let known = Distribution::NAMES.map(|(known, _)| known).join(", ");
        found.map(|(_, distribution)| distribution).ok_or_else(|| format!("unknown noise `{name}` (known: {known})"))
    }

    /// The distribution given in a field of a rule.
    pub(super) fn of_field(field: &'static str, name: &str) -> std::result::Result<Distribution, Refusal> {
        Distribution::parse(name).map_err(|message| Refusal::of(field, format!("{field}: {message}")))
    }

    /// Draws noise that varies along `axes` of a tensor of `dims` and is broadcast along the others. Negative axes count from the end.
    ///
    /// # Errors
    /// One sentence about an axis that the tensor does not have (qwix ignores it), or that is named twice.
    pub(crate) fn draw(self, key: &GraphKey, axes: &[i64], dims: &[usize]) -> std::result::Result<Tensor, String> {
        let named = named_axes("channelwise_noise_axes", axes, dims.len())?;
        let size = |(axis, &size): (usize, &usize)| if named.contains(&axis) { size } else { 1 };
        let dims: Vec<usize> = dims.iter().enumerate().map(size).collect();
        Ok(match self {
            Distribution::Uniform => key.uniform(&dims, -0.5, 0.5),
            Distribution::LowBitUniform => {
                // The bits become the upper mantissa bits of a number in [1, 2).
                let mantissa = key.bits(DType::U8, &dims).convert(DType::U32).shift_left(15.0);
                let centre = 1.5 - 1.0 / 512.0;
                mantissa.or(f64::from(1f32.to_bits())).bitcast_convert(DType::F32) - centre
            }
        })
    }
}

/// Draws the noise for stochastic rounding of gradients (`uniform` or `low_bit_uniform`), for a tensor of `dims`: it varies along `axes`
/// and has size 1 along the others. The same key gives the same bits as in qwix.
///
/// # Errors
/// Of kind `Input`: an unknown name or an invalid axis.
pub fn rounding_noise(key: &GraphKey, name: &str, axes: &[i64], dims: &[usize]) -> Result<Tensor> {
    Distribution::parse(name).and_then(|noise| noise.draw(key, axes, dims)).map_err(Error::input)
}
