//! Presets of rules under Spyx's names (`spyx.quant`), and Spyx's check for spikes.

use spiq_hlo::{Array, DType};

use super::qtype::QType;
use crate::config::RuleConfig;
use crate::error::{Error, Result};

/// The operations of Linear and Conv. As in Spyx, einsums keep full precision: recurrent states pass through them.
const FEEDFORWARD: [&str; 2] = ["dot_general", "conv_general_dilated"];

/// One rule for all dot products and convolutions, weights and activations alike. Spyx: `linear_only_rules`.
///
/// Types with built-in tiles (`mxfp8`, `mxfp4`, `nvfp4`) imply their tile size.
pub fn linear_only_rules(weight_qtype: &str, act_qtype: &str) -> Vec<RuleConfig> {
    feedforward(weight_qtype, Some(act_qtype))
}

/// One rule for the weights of all dot products and convolutions; activations are not quantized. Spyx: `weights_only_rules`.
pub fn weights_only_rules(weight_qtype: &str) -> Vec<RuleConfig> {
    feedforward(weight_qtype, None)
}

/// One rule for the weights that spikes are multiplied with; spikes themselves need no rounding. Spyx: `spiking_feedforward_rules`.
///
/// ```
/// use spiq::quant::spiking_feedforward_rules;
/// let rule = &spiking_feedforward_rules("int4")[0];
/// assert_eq!((rule.weight_qtype.as_deref(), rule.act_qtype.as_deref()), (Some("int4"), None));
/// ```
pub fn spiking_feedforward_rules(weight_qtype: &str) -> Vec<RuleConfig> {
    weights_only_rules(weight_qtype)
}

/// Weights of -1, 0 and 1 times their mean magnitude (BitNet b1.58); activations of the given type, or unquantized. Spyx:
/// `bitnet_ternary_rules`, where the weights are int2 and can also be -2.
pub fn bitnet_ternary_rules(act_qtype: Option<&str>) -> Vec<RuleConfig> {
    feedforward("ternary", act_qtype)
}

fn feedforward(weight_qtype: &str, act_qtype: Option<&str>) -> Vec<RuleConfig> {
    let rule = RuleConfig {
        op_names: FEEDFORWARD.map(str::to_owned).to_vec(),
        weight_qtype: Some(weight_qtype.into()),
        act_qtype: act_qtype.map(str::to_owned),
        ..RuleConfig::default()
    };
    vec![rule]
}

/// The largest error of rounding activations to an integer type, with the largest magnitude as the last step of the grid: 0 for spikes (0
/// or 1). Spyx: `binary_activation_error`.
///
/// # Errors
/// Of kind `Input`: activations that are not f32, a type that is not an integer of 2 bits or more.
///
/// ```
/// use spiq::Array;
/// use spiq::quant::binary_activation_error;
/// assert_eq!(binary_activation_error(&Array::new([4], [0.0f32, 1.0, 1.0, 0.0])?, "int4")?, 0.0);
/// assert!(binary_activation_error(&Array::new([2], [0.3f32, 1.0])?, "int4")? > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn binary_activation_error(activations: &Array, qtype: &str) -> Result<f64> {
    let QType::Int(bits) = QType::parse(qtype)? else {
        return Err(Error::input(format!("spikes are checked against integers, such as int8, not against {qtype}")));
    };
    if activations.dtype() != DType::F32 {
        return Err(Error::input(format!("activations must be f32, not {}", activations.ty())));
    }
    let values = activations.to_vec::<f32>().expect("f32");
    if values.iter().any(|x| x.is_nan()) {
        return Ok(f64::NAN);
    }
    let steps = ((1u32 << (bits - 1)) - 1) as f32;
    let largest = values.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let scale = if largest > 0.0 { largest / steps } else { 1.0 };
    let error = |x: &f32| (x - (x / scale).round_ties_even().clamp(-steps, steps) * scale).abs();
    Ok(f64::from(values.iter().map(error).fold(0.0, f32::max)))
}
