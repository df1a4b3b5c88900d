//! Dot products of stored values, with zero points, scales and tiles applied to the output.

use spiq_hlo::{DType, DotDims, DotGeneral, Tensor};

use super::numerics::Numerics;
use super::qtensor::{QTensor, split_dims};
use super::sums::{accumulator, in_parts, most};

/// Multiplies the stored values; zero points, scales and tiles are applied to the sums.
pub(super) fn scaled_output(lhs: &QTensor, rhs: &QTensor, dot: &DotGeneral, numerics: Numerics) -> Tensor {
    let DotGeneral { dims, out, .. } = dot;
    let (tiled, accumulator) = (Tiled::new(lhs, rhs, dims), accumulator(lhs, rhs));
    let (l, r) = (tiled.lhs.split(&lhs.values), tiled.rhs.split(&rhs.values));
    let most = most(lhs, rhs, numerics);
    let product = |l: &Tensor, r: &Tensor| summed(l, r, &tiled.dims, accumulator, most);
    let mut sum = product(&l, &r);
    // At most one side is asymmetric; the transform refuses rules with two.
    if let Some(zero) = &lhs.zero_point {
        sum = sum - product(&tiled.lhs.spread(zero, l.dims()), &r);
    }
    if let Some(zero) = &rhs.zero_point {
        sum = sum - product(&l, &tiled.rhs.spread(zero, r.dims()));
    }
    let (left_free, right_free) = (tiled.dims.lhs_free(l.rank()), tiled.dims.rhs_free(r.rank()));
    let batch = tiled.dims.lhs_batch.len();
    let left = tiled.lhs.place(&lhs.scale, &[&tiled.dims.lhs_batch[..], &left_free].concat());
    let left = left.reshape(&[left.dims(), &vec![1; right_free.len()]].concat());
    let right = tiled.rhs.place(&rhs.scale, &[&tiled.dims.rhs_batch[..], &right_free].concat());
    let (outer, inner) = right.dims().split_at(batch);
    let right = right.reshape(&[outer, &vec![1; left_free.len()], inner].concat());
    let scaled = sum.convert(lhs.scale.dtype()) * left * right;
    scaled.reduce_sum((dims.lhs_batch.len()..batch).collect::<Vec<_>>()).convert(*out)
}

/// The sums of products; split along the longest contracted axis if there are more than `most`.
fn summed(l: &Tensor, r: &Tensor, dims: &DotDims, accumulator: DType, most: Option<usize>) -> Tensor {
    let pairs = || dims.lhs_contract.iter().copied().zip(dims.rhs_contract.iter().copied());
    let Some((left, right)) = pairs().max_by_key(|&(axis, _)| l.dims()[axis]) else {
        return l.dot_general(r, dims, accumulator);
    };
    let count = pairs().map(|(axis, _)| l.dims()[axis]).product();
    in_parts(l, most, count, l.dims()[left], |part| {
        let cut = |t: &Tensor, axis: usize| match part.len() == t.dims()[axis] {
            true => t.clone(),
            false => t.slice_axis(axis as isize, part.start, part.end),
        };
        cut(l, left).dot_general(&cut(r, right), dims, accumulator)
    })
}

/// A dot product with its tiled contracting axis turned into a batch axis.
struct Tiled {
    dims: DotDims,
    lhs: Split,
    rhs: Split,
}

/// How one operand is reshaped for a tiled product.
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

    /// Scales, reshaped to the rank of the split operand.
    fn per_scale(&self, scales: &Tensor) -> Tensor {
        let mut dims = scales.dims().to_vec();
        if let Some((axis, _)) = self.tiles {
            dims.insert(axis + 1, 1);
        }
        scales.reshape(&dims)
    }

    /// Zero points, broadcast over the split operand.
    fn spread(&self, zero: &Tensor, dims: &[usize]) -> Tensor {
        self.per_scale(zero).broadcast_to(dims)
    }

    /// Scales with only the given axes of the split operand, in that order; its other axes must have size 1.
    fn place(&self, scales: &Tensor, axes: &[usize]) -> Tensor {
        let scales = self.per_scale(scales);
        let rest = (0..scales.rank()).filter(|a| !axes.contains(a));
        let order: Vec<usize> = axes.iter().copied().chain(rest).collect();
        let kept: Vec<usize> = axes.iter().map(|&a| scales.dims()[a]).collect();
        scales.transpose(&order).reshape(&kept)
    }
}
