//! A quantized tensor: values, scales, zero points, tiles.

use spiq_hlo::{DType, Tensor};

use super::calibration::{Method, Range};
use super::qtype::QType;
use super::rounding::{levels, round_to};
use crate::config::TileSize;

/// How one operand is quantized (qwix's `HowToQuantize`).
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub(crate) qtype: QType,
    pub(crate) method: Method,
    /// Axes with a scale per index.
    pub(crate) channelwise: Vec<usize>,
    /// An axis cut into this many tiles, each with its own scale.
    pub(crate) tiles: Option<(usize, usize)>,
}

/// Quantized values and their parameters: `x ≈ (values - zero_point) * scale`, with scales broadcast over their tiles. Values have the
/// type's storage type, or are booleans if the tensor was boolean.
#[derive(Clone, Debug)]
pub(crate) struct QTensor {
    pub(crate) values: Tensor,
    pub(crate) scale: Tensor,
    pub(crate) zero_point: Option<Tensor>,
    pub(crate) range: Range,
    pub(crate) qtype: QType,
    /// The tiled axis and its number of tiles.
    pub(crate) tiles: Option<(usize, usize)>,
    /// Whether the values are those of the operand, unscaled and unrounded.
    pub(crate) is_exact: bool,
}

/// Number of tiles that a tile size cuts an axis into.
///
/// # Errors
/// One sentence about an axis that is not divisible into such tiles.
pub(crate) fn tile_count(axis_size: usize, tile: TileSize) -> Result<usize, String> {
    let size = match tile {
        TileSize::Elements(size) => size,
        TileSize::Fraction(part) => (axis_size as f64 * part).round_ties_even() as usize,
    };
    if size == 0 || !axis_size.is_multiple_of(size) {
        return Err(format!("an axis of size {axis_size} cannot be cut into tiles of {size}"));
    }
    Ok(axis_size / size)
}

/// `dims` with the tiled axis split into (number of tiles, tile size).
pub(crate) fn split_dims(dims: &[usize], tiles: Option<(usize, usize)>) -> Vec<usize> {
    let mut split = dims.to_vec();
    if let Some((axis, count)) = tiles {
        split.splice(axis..=axis, [count, dims[axis] / count]);
    }
    split
}

impl QTensor {
    /// The same tensor, constant under differentiation.
    pub(crate) fn held(&self) -> QTensor {
        QTensor {
            values: self.values.stop_gradient(),
            scale: self.scale.stop_gradient(),
            zero_point: self.zero_point.as_ref().map(Tensor::stop_gradient),
            ..self.clone()
        }
    }

    /// The values in the type's storage, for an operation that does not accept booleans.
    pub(crate) fn stored(&self) -> Tensor {
        match self.values.dtype() == DType::Pred {
            true => self.values.convert(self.qtype.storage()).optimization_barrier(),
            false => self.values.clone(),
        }
    }

    /// The range of the values of `x`, one per scale.
    pub(crate) fn calibrate(x: &Tensor, how: &How) -> Range {
        let split = x.reshape(&split_dims(x.dims(), how.tiles));
        let tiled = how.tiles.map(|(axis, _)| axis);
        // After the split, axes after the tiled one are shifted by one.
        let shifted = |axis: usize| axis + usize::from(tiled.is_some_and(|t| axis >= t));
        let reduced = |axis: &usize| !how.channelwise.contains(axis);
        let axes: Vec<usize> = (0..x.rank()).filter(reduced).map(shifted).collect();
        let scale_dim = |axis: usize| match how.tiles {
            Some((t, count)) if t == axis => count,
            _ if how.channelwise.contains(&axis) => x.dims()[axis],
            _ => 1,
        };
        let scale_dims: Vec<usize> = (0..x.rank()).map(scale_dim).collect();
        Range::of(&split, &axes, &scale_dims, how.method, how.qtype)
    }

    /// Quantizes `x` with a given range. Noise, of the rank of `x`, is added before rounding to integers.
    pub(crate) fn with_range(x: &Tensor, how: &How, range: Range, noise: Option<&Tensor>) -> QTensor {
        let (scale, zero_point) = range.scale(how.qtype);
        // A reciprocal per scale and a product per element, which is how XLA:CPU compiles qwix's division: faster, and bit-identical on
        // every backend when written out.
        let mut scaled = over_tiles(x, &(1.0 / &scale), how.tiles, |x, inverse| x * inverse);
        if let Some(zero) = &zero_point {
            scaled = over_tiles(&scaled, &zero.convert(x.dtype()), how.tiles, |x, zero| x + zero);
        }
        if let Some(noise) = noise {
            scaled = scaled.convert(noise.dtype()) + noise;
        }
        let values = round_to(&scaled, how.qtype);
        QTensor { values, scale, zero_point, range, qtype: how.qtype, tiles: how.tiles, is_exact: false }
    }

    /// The represented values, in the element type of the scale.
    pub(crate) fn dequantize(&self) -> Tensor {
        QTensor::dequantized(self.qtype, self.tiles, &self.values, &self.scale, self.zero_point.as_ref())
    }

    /// The values represented by stored parts, in the element type of the scale.
    pub(crate) fn dequantized(
        qtype: QType,
        tiles: Option<(usize, usize)>,
        values: &Tensor,
        scale: &Tensor,
        zero_point: Option<&Tensor>,
    ) -> Tensor {
        let dtype = scale.dtype();
        let mut values = levels(values, qtype, dtype);
        if let Some(zero) = zero_point {
            values = over_tiles(&values, &zero.convert(dtype), tiles, |x, zero| x - zero);
        }
        over_tiles(&values, scale, tiles, |x, scale| x * scale)
    }

    /// `gradient` where `x` lies inside the range, zero elsewhere.
    pub(crate) fn mask(&self, gradient: &Tensor, x: &Tensor) -> Tensor {
        let (low, high) = match &self.range {
            Range::Symmetric(absmax) => (absmax.negate(), absmax.clone()),
            Range::Asymmetric(low, high) => (low.clone(), high.clone()),
        };
        let above = over_tiles(x, &low, self.tiles, |x, low| x.ge(low));
        let below = over_tiles(x, &high, self.tiles, |x, high| x.le(high));
        above.and(&below).select(gradient, &gradient.zeros_like())
    }
}

/// Applies an elementwise operation to a tensor and a tensor with one value per scale.
fn over_tiles(
    x: &Tensor,
    per_scale: &Tensor,
    tiles: Option<(usize, usize)>,
    f: impl Fn(&Tensor, &Tensor) -> Tensor,
) -> Tensor {
    let whole = per_scale.dims().iter().all(|&d| d == 1);
    match tiles {
        Some((axis, _)) if !whole => {
            let split = x.reshape(&split_dims(x.dims(), tiles));
            let mut dims = per_scale.dims().to_vec();
            dims.insert(axis + 1, 1);
            f(&split, &per_scale.reshape(&dims)).reshape(x.dims())
        }
        _ => f(x, per_scale),
    }
}
