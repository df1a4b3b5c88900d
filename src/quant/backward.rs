//! Gradients in low precision (`bwd_qtype`): the values quantized in the forward pass are multiplied as stored, and their scale moves into
//! the gradient, which is then quantized itself. Source: `dot_general_qt_bwd`, `conv_general_qt_bwd`.

use spiq_hlo::{Convolution, DType, DotDims, DotGeneral, Tensor, Violation};

use super::backward_rule::BackwardRule;
use super::conv::{along, of_one_type, part_of};
use super::numerics::Numerics;
use super::operand::Operand;
use super::product::Product;
use super::qtensor::{How, QTensor, tile_count};
use super::sums::{in_parts, most, sums_stored_values};
use crate::config::TileSize;
use crate::random::GraphKey;

/// The quantized backward pass of one operation.
#[derive(Clone, Debug)]
pub(crate) struct Backward {
    pub(crate) rule: BackwardRule,
    /// The key of the noise, shared by the gradients of both operands, as in qwix.
    pub(crate) key: Option<GraphKey>,
    pub(crate) numerics: Numerics,
}

/// The operand to multiply a gradient with, and the scale that moves from it into the gradient.
struct Residual {
    operand: Operand,
    scale: Option<Tensor>,
}

impl Residual {
    fn of(operand: &Operand) -> Residual {
        let untiled = |q: &QTensor| q.tiles.is_none_or(|(_, count)| count == 1);
        match &operand.quantized {
            Some((q, method)) if untiled(q) && q.qtype.tile().is_none() => {
                let whole = q.scale.ty().with_dims(vec![1; q.scale.rank()]);
                let ones = QTensor { scale: q.scale.graph().full(whole, 1.0), tiles: None, ..q.clone() };
                let levels = ones.dequantize();
                // Values that cannot be multiplied as stored (a shifted integer, a code) are replaced by the numbers they represent; qwix
                // asserts here.
                let stored = q.zero_point.is_none() && sums_stored_values(&ones, &ones);
                let quantized = stored.then_some((ones, *method));
                let scale = Some(q.scale.clone());
                Residual { operand: Operand { original: levels, quantized, ..operand.clone() }, scale }
            }
            // The scales of tiles lie along an axis that the gradient does not have.
            _ => Residual { operand: Operand { quantized: None, ..operand.clone() }, scale: None },
        }
    }
}

impl Backward {
    /// The cotangents of both operands of a product.
    pub(crate) fn cotangents(&self, product: &Product, operands: [&Operand; 2], ct: &Tensor) -> (Tensor, Tensor) {
        match product {
            Product::Dot(dot) => self.of_dot(operands, &dot.dims, ct),
            Product::Conv(conv) => self.of_conv(operands, conv, ct),
        }
    }

    fn of_dot(&self, operands: [&Operand; 2], dims: &DotDims, ct: &Tensor) -> (Tensor, Tensor) {
        let ranks = operands.map(|operand| operand.original.rank());
        let cotangent = |of: usize| {
            let (dims, order) = dims.of_cotangent(of, ranks);
            let tile = self.rule.weight_grad_tile.filter(|_| operands[of].is_weight);
            self.dot(ct, operands[1 - of], dims, tile).transpose(&order)
        };
        (cotangent(0), cotangent(1))
    }

    fn dot(&self, ct: &Tensor, other: &Operand, dims: DotDims, tile: Option<TileSize>) -> Tensor {
        let residual = Residual::of(other);
        let ct = match &residual.scale {
            Some(scale) => ct * placed(scale, &dims, ct.rank()),
            None => ct.clone(),
        };
        let contract = &dims.lhs_contract;
        let tiles = match tile.zip(contract.last()).map(|(tile, &last)| (last, tile_count(ct.dims()[last], tile))) {
            Some((last, Ok(count))) => Some((last, count)),
            Some((_, Err(message))) => return refused(&ct, &format!("{message} (bwd_weight_grad_tile_size)")),
            None => None,
        };
        let free = (0..ct.rank()).filter(|axis| !contract.contains(axis)).collect();
        let quantized = self.quantized(&ct, free, tiles);
        let out = ct.dtype();
        let gradient = Operand { original: ct, quantized: Some((quantized, self.rule.method)), is_weight: false };
        let product = Product::Dot(DotGeneral::new(dims, out));
        product.forward(&gradient, &residual.operand, self.numerics)
    }

    /// Quantizes a gradient with one scale per index of `channelwise`, or a single one if the rule disables channelwise scales.
    fn quantized(&self, ct: &Tensor, channelwise: Vec<usize>, tiles: Option<(usize, usize)>) -> QTensor {
        let rule = &self.rule;
        let channelwise = if rule.channelwise { channelwise } else { Vec::new() };
        let how = How { qtype: rule.qtype, method: rule.method, channelwise, tiles };
        let noise = self.key.as_ref().zip(rule.noise.as_ref());
        let noise = noise.map(|(key, (distribution, axes))| distribution.draw(key, axes, ct.dims()));
        let noise = noise.map(|drawn| drawn.unwrap_or_else(|message| refused(ct, &message)));
        QTensor::with_range(ct, &how, QTensor::calibrate(ct, &how), noise.as_ref())
    }

    fn of_conv(&self, operands: [&Operand; 2], conv: &Convolution, ct: &Tensor) -> (Tensor, Tensor) {
        let [x, k] = operands;
        if self.rule.weight_grad_tile.is_some() {
            let message =
                "conv_general_dilated has no axis to cut into tiles; leave bwd_weight_grad_tile_size out of its rule";
            let poison = ct.graph().fail("quantize", Violation::new("", message));
            return (poison.clone(), poison);
        }
        let (output, out) = (&conv.dims.output, ct.dtype());
        // Input gradient: the kernel's scales lie along the output features, and the batch axis keeps its own scales.
        let Convolved { residual, stored, scale, most } = self.convolved(ct, k, output.feature, output.outer);
        let (kernel, sum) = (&conv.dims.kernel, accumulator(&stored, out));
        let features = stored.dims()[output.feature];
        let window: usize = kernel.window.iter().map(|&axis| residual.dims()[axis]).product();
        // Features of different groups are not summed, so there is no axis to split.
        let size = if conv.groups == 1 { features } else { 1 };
        let input = in_parts(&stored, most, features / conv.groups * window, size, |part| match part.len() == size {
            true => conv.input_cotangent(&stored, &x.original, &residual, sum),
            false => {
                let (ct, k) = (part_of(&stored, output.feature, &part), part_of(&residual, kernel.outer, &part));
                conv.input_cotangent(&ct, &x.original, &k, sum)
            }
        });
        let dx = rescaled(input, scale, conv.dims.input.outer, out);
        // Kernel gradient: the same with the roles swapped.
        let Convolved { residual, stored, scale, most } = self.convolved(ct, x, output.outer, output.feature);
        let (batch, sum) = (stored.dims()[output.outer], accumulator(&stored, out));
        let count = batch * output.window.iter().map(|&axis| stored.dims()[axis]).product::<usize>();
        let kernel = in_parts(&stored, most, count, batch, |part| match part.len() == batch {
            true => conv.kernel_cotangent(&stored, &residual, &k.original, sum),
            false => {
                let (ct, x) = (part_of(&stored, output.outer, &part), part_of(&residual, conv.dims.input.outer, &part));
                conv.kernel_cotangent(&ct, &x, &k.original, sum)
            }
        });
        (dx, rescaled(kernel, scale, conv.dims.kernel.outer, out))
    }

    /// Prepares the operands of a convolution with a gradient; returns the gradient's scale if both are used as stored. `taken` is the
    /// gradient axis that absorbs the residual's scale, `kept` the one that keeps its own scales.
    fn convolved(&self, ct: &Tensor, other: &Operand, taken: usize, kept: usize) -> Convolved {
        let residual = Residual::of(other);
        let ct = residual.scale.as_ref().map_or(ct.clone(), |scale| ct * along(scale, taken, ct.rank()));
        let gradient = self.quantized(&ct, vec![kept], None);
        match &residual.operand.quantized {
            Some((stored, _)) if gradient.zero_point.is_none() && sums_stored_values(&gradient, stored) => {
                let most = most(&gradient, stored, self.numerics);
                let (values, residual) = of_one_type(&gradient.values, &stored.stored());
                Convolved { residual, stored: values, scale: Some(gradient.scale), most }
            }
            _ => Convolved {
                residual: residual.operand.original,
                stored: gradient.dequantize(),
                scale: None,
                most: None,
            },
        }
    }
}

/// The operands of a convolution with a gradient.
struct Convolved {
    residual: Tensor,
    /// The gradient: its stored values if the residual is stored, else its dequantized values.
    stored: Tensor,
    /// The scale of the result if the gradient is stored.
    scale: Option<Tensor>,
    /// The maximum number of products in a sum.
    most: Option<usize>,
}

/// Defers an error about a rule for a gradient.
fn refused(gradient: &Tensor, message: &str) -> Tensor {
    let message = format!("the gradient {}: {message}", gradient.ty());
    gradient.graph().fail("quantize", Violation::new("", message))
}

/// The type that accumulates products of a gradient.
fn accumulator(stored: &Tensor, out: DType) -> DType {
    if stored.dtype().is_integer() { DType::S32 } else { out }
}

/// A result times one scale per index of `axis`, or a single scale.
fn rescaled(result: Tensor, scale: Option<Tensor>, axis: usize, out: DType) -> Tensor {
    let Some(scale) = scale.filter(|_| !result.is_poison()) else { return result };
    result.convert(out) * along(&scale, axis, result.rank())
}

/// The residual's scales, arranged along the axes of a cotangent of this rank.
fn placed(scale: &Tensor, dims: &DotDims, rank: usize) -> Tensor {
    let pairs: Vec<(usize, usize)> = (dims.lhs_batch.iter().zip(&dims.rhs_batch))
        .chain(dims.lhs_contract.iter().zip(&dims.rhs_contract))
        .map(|(&of_ct, &of_scale)| (of_ct, of_scale))
        .collect();
    let mut ordered = pairs.clone();
    ordered.sort_unstable();
    let named: Vec<usize> = ordered.iter().map(|&(_, axis)| axis).collect();
    let rest = (0..scale.rank()).filter(|axis| !named.contains(axis));
    let order: Vec<usize> = named.iter().copied().chain(rest).collect();
    let mut placed = vec![1; rank];
    pairs.iter().for_each(|&(of_ct, of_scale)| placed[of_ct] = scale.dims()[of_scale]);
    scale.transpose(&order).reshape(&placed)
}
