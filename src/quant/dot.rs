//! Dot products of quantized operands: integers first and scales on the output, or dequantized first. Knows no rules.

use spiq_hlo::{DType, DotDims, Tensor, custom_vjp};

use super::calibration::Method;
use super::qtensor::{QTensor, split_dims};

/// A side of a dot product: the operand, and its quantized form if a rule asked for one.
pub(crate) struct Operand {
    pub(crate) original: Tensor,
    pub(crate) quantized: Option<(QTensor, Method)>,
}

/// A tile of a contracted axis below this is not worth a dot of its own: dequantize first (qwix's threshold).
const SMALLEST_TILE: usize = 128;

impl Operand {
    /// Whether products can be formed from the stored values, and scales applied to their sum.
    fn sums_stored_values(&self) -> bool {
        let Some((q, _)) = &self.quantized else { return false };
        q.tiles.is_none_or(|(axis, count)| count == 1 || q.values.dims()[axis] / count >= SMALLEST_TILE)
    }

    fn dequantized(&self) -> Tensor {
        self.quantized.as_ref().map_or_else(|| self.original.clone(), |(q, _)| q.dequantize())
    }

    /// A gradient, cut where the operand lay outside the represented range.
    fn masked(&self, gradient: Tensor, operand: &Tensor) -> Tensor {
        match &self.quantized {
            Some((q, method)) if method.clips() => q.mask(&gradient, operand),
            _ => gradient,
        }
    }
}

/// The dot product of two operands in low precision. Gradients pass straight through: those of the dot product of the
/// original operands (qwix's QAT with `bwd_qtype` unset).
#[track_caller]
pub(crate) fn straight_through(lhs: &Operand, rhs: &Operand, dims: &DotDims, out: DType) -> Tensor {
    custom_vjp(
        "quantized_dot",
        &(lhs.original.clone(), rhs.original.clone()),
        |(l, r)| {
            // What is not quantized is read through the parameters, so that the body stays closed.
            let with = |operand: &Operand, own: &Tensor| Operand {
                original: own.clone(),
                quantized: operand.quantized.clone(),
            };
            forward(&with(lhs, l), &with(rhs, r), dims, out)
        },
        |(l, r), _, ct| {
            let (dl, dr) = (dims.lhs_cotangent(ct, l, r), dims.rhs_cotangent(ct, l, r));
            (lhs.masked(dl, l), rhs.masked(dr, r))
        },
    )
}

/// The dot product itself, without a gradient of its own.
#[track_caller]
pub(crate) fn forward(lhs: &Operand, rhs: &Operand, dims: &DotDims, out: DType) -> Tensor {
    match (&lhs.quantized, &rhs.quantized) {
        (Some((l, _)), Some((r, _))) if lhs.sums_stored_values() && rhs.sums_stored_values() && same_kind(l, r) => {
            scaled_output(l, r, dims, out)
        }
        _ => lhs.dequantized().dot_general(&rhs.dequantized(), dims, out),
    }
}

/// Integers with integers, floats with floats: no unit multiplies one with the other.
fn same_kind(lhs: &QTensor, rhs: &QTensor) -> bool {
    lhs.values.dtype().is_float() == rhs.values.dtype().is_float()
}

/// Products of the stored values; zero points, scales and tiles are settled on their sums.
fn scaled_output(lhs: &QTensor, rhs: &QTensor, dims: &DotDims, out: DType) -> Tensor {
    let tiled = Tiled::new(lhs, rhs, dims);
    let accumulator =
        if lhs.values.dtype() == DType::S8 && rhs.values.dtype() == DType::S8 { DType::S32 } else { DType::F32 };
    let (l, r) = (tiled.lhs.split(&lhs.values), tiled.rhs.split(&rhs.values));
    let mut sum = l.dot_general(&r, &tiled.dims, accumulator);
    // At most one side is shifted; transform refuses rules that shift both.
    if let Some(zero) = &lhs.zero_point {
        sum = sum - tiled.lhs.spread(zero, l.dims()).dot_general(&r, &tiled.dims, accumulator);
    }
    if let Some(zero) = &rhs.zero_point {
        sum = sum - l.dot_general(&tiled.rhs.spread(zero, r.dims()), &tiled.dims, accumulator);
    }
    let (left_free, right_free) = (tiled.dims.lhs_free(l.rank()), tiled.dims.rhs_free(r.rank()));
    let batch = tiled.dims.lhs_batch.len();
    let left = tiled.lhs.place(&lhs.scale, &[&tiled.dims.lhs_batch[..], &left_free].concat());
    let left = left.reshape(&[left.dims(), &vec![1; right_free.len()]].concat());
    let right = tiled.rhs.place(&rhs.scale, &[&tiled.dims.rhs_batch[..], &right_free].concat());
    let (outer, inner) = right.dims().split_at(batch);
    let right = right.reshape(&[outer, &vec![1; left_free.len()], inner].concat());
    let scaled = sum.convert(lhs.scale.dtype()) * left * right;
    scaled.reduce_sum(&(dims.lhs_batch.len()..batch).collect::<Vec<_>>()).convert(out)
}

/// A dot product whose tiled contracting axis became a batch axis.
struct Tiled {
    dims: DotDims,
    lhs: Split,
    rhs: Split,
}

/// How one operand is reshaped for it.
struct Split {
    tiles: Option<(usize, usize)>,
}

impl Tiled {
    fn new(lhs: &QTensor, rhs: &QTensor, dims: &DotDims) -> Tiled {
        let at = |q: &QTensor, axes: &[usize]| {
            q.tiles.and_then(|(axis, count)| axes.iter().position(|&a| a == axis).map(|i| (i, count)))
        };
        let Some((pair, count)) = at(lhs, &dims.lhs_contract).or_else(|| at(rhs, &dims.rhs_contract)) else {
            return Tiled { dims: dims.clone(), lhs: Split { tiles: None }, rhs: Split { tiles: None } };
        };
        let (l, r) = (dims.lhs_contract[pair], dims.rhs_contract[pair]);
        let shift = |axes: &[usize], tile: usize, contracted: bool| -> Vec<usize> {
            axes.iter().map(|&a| a + usize::from(if contracted { a >= tile } else { a > tile })).collect()
        };
        let dims = DotDims {
            lhs_batch: [shift(&dims.lhs_batch, l, false), vec![l]].concat(),
            rhs_batch: [shift(&dims.rhs_batch, r, false), vec![r]].concat(),
            lhs_contract: shift(&dims.lhs_contract, l, true),
            rhs_contract: shift(&dims.rhs_contract, r, true),
        };
        Tiled { dims, lhs: Split { tiles: Some((l, count)) }, rhs: Split { tiles: Some((r, count)) } }
    }
}

impl Split {
    fn split(&self, values: &Tensor) -> Tensor {
        values.reshape(&split_dims(values.dims(), self.tiles))
    }

    /// One value per scale, under the rank of the split operand.
    fn per_scale(&self, scales: &Tensor) -> Tensor {
        let mut dims = scales.dims().to_vec();
        if let Some((axis, _)) = self.tiles {
            dims.insert(axis + 1, 1);
        }
        scales.reshape(&dims)
    }

    /// Zero points, repeated over the split operand.
    fn spread(&self, zero: &Tensor, dims: &[usize]) -> Tensor {
        self.per_scale(zero).broadcast_to(dims)
    }

    /// Scales with only the given axes of the split operand, in that order; the others have size 1.
    fn place(&self, scales: &Tensor, axes: &[usize]) -> Tensor {
        let scales = self.per_scale(scales);
        let rest = (0..scales.rank()).filter(|a| !axes.contains(a));
        let order: Vec<usize> = axes.iter().copied().chain(rest).collect();
        let kept: Vec<usize> = axes.iter().map(|&a| scales.dims()[a]).collect();
        scales.transpose(&order).reshape(&kept)
    }
}
