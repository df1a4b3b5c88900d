//! The part of a rule about gradients, validated. Invariant: does not depend on graphs.

use super::calibration::Method;
use super::noise::Distribution;
use super::qtype::QType;
use super::refusal::Refusal;
use crate::config::{RuleConfig, TileSize};

/// The part of a rule about gradients.
#[derive(Clone, Debug)]
pub(crate) struct BackwardRule {
    pub(crate) qtype: QType,
    pub(crate) method: Method,
    /// Tile size of the product for a weight's gradient, along its last contracted axis.
    pub(crate) weight_grad_tile: Option<TileSize>,
    pub(crate) channelwise: bool,
    /// The noise of stochastic rounding, and the axes along which it differs.
    pub(crate) noise: Option<(Distribution, Vec<i64>)>,
}

impl BackwardRule {
    /// The gradient part of a rule; `None` if it does not quantize gradients.
    ///
    /// # Errors
    /// An unknown type, method or noise, a type that gradients cannot have, noise for a type that is not an integer.
    pub(super) fn new(config: &RuleConfig) -> Result<Option<BackwardRule>, Refusal> {
        const NOISE: &str = "bwd_stochastic_rounding";
        let Some(qtype) = QType::of_field("bwd_qtype", config.bwd_qtype.as_deref())? else { return Ok(None) };
        let method = Method::of_field("bwd_calibration_method", &config.bwd_calibration_method)?;
        let method = method.beside(qtype).map_err(|error| Refusal::of("bwd_calibration_method", error))?;
        if qtype.tile().is_some() || qtype == QType::Binary {
            let message = format!(
                "bwd_qtype: gradients in {qtype} are not supported; use an integer, float8_e4m3fn or float8_e5m2"
            );
            return Err(Refusal::of("bwd_qtype", message));
        }
        let noise =
            config.bwd_stochastic_rounding.as_deref().map(|name| Distribution::of_field(NOISE, name)).transpose()?;
        if noise.is_some() && !matches!(qtype, QType::Int(_)) {
            let message = format!("{NOISE} rounds integers; leave it out for {qtype}, which rounds to the nearest");
            return Err(Refusal::of(NOISE, message));
        }
        Ok(Some(BackwardRule {
            qtype,
            method,
            weight_grad_tile: config.bwd_weight_grad_tile_size,
            channelwise: !config.disable_channelwise_axes,
            noise: noise.map(|distribution| (distribution, config.channelwise_noise_axes.clone())),
        }))
    }
}
