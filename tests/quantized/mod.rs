//! Rules, quantized products forward and backward, stored weights.

mod bfloat16;
mod exact;
mod model;
mod ptq;
mod quant;
mod quant_backward;
mod quant_defects;
mod quant_model;
mod quant_types;
mod sequences;
mod static_scales;
