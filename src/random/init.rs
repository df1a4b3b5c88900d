//! Initial values of parameters, drawn as in Flax and Spyx.

use spiq_hlo::{Array, DType, TensorType};

use super::key::Key;

/// Standard deviation of the standard normal distribution restricted to [-2, 2].
const TRUNCATED_DEVIATION: f32 = 0.879_625_7;

/// Truncated normal (at two standard deviations) with variance 1 / fan-in. Inputs are on the second-to-last axis and outputs on the
/// last; earlier axes are a convolution's window and count towards the fan-in.
///
/// Shape: f32 of `dims`; fewer than two axes count as a single input. Source: LeCun et al., "Efficient BackProp", 1998;
/// `jax.nn.initializers.lecun_normal`.
///
/// ```
/// use spiq::random::{Key, lecun_normal};
/// let kernel = lecun_normal(Key::new(0), &[32, 64]);
/// assert_eq!(kernel.ty().to_string(), "f32[32,64]");
/// ```
pub fn lecun_normal(key: Key, dims: &[usize]) -> Array {
    let inputs: usize = dims.iter().rev().skip(1).product();
    let variance = (1.0 / inputs as f64) as f32;
    let scale = variance.sqrt() / TRUNCATED_DEVIATION;
    scaled(key, dims, |x| x * scale)
}

/// Uniform between symmetric bounds, with variance 2 / fan-in, which preserves the variance through ReLU layers.
///
/// Shape: f32 of `dims`. Source: He et al. 2015, arXiv:1502.01852; `jax.nn.initializers.he_uniform`.
///
/// ```
/// use spiq::random::{Key, he_uniform};
/// let largest = he_uniform(Key::new(0), &[24, 8]).to_f64().into_iter().fold(0.0, f64::max);
/// assert!(0.4 < largest && largest < 0.5);
/// ```
pub fn he_uniform(key: Key, dims: &[usize]) -> Array {
    let inputs: usize = dims.iter().rev().skip(1).product();
    let bound = (3.0 * (2.0 / inputs as f64) as f32).sqrt();
    let values: Vec<f32> = key.uniform(dims.iter().product(), -1.0, 1.0).into_iter().map(|x| x * bound).collect();
    Array::new(dims, values).expect("as many values as elements")
}

/// Normal with standard deviation `deviation`, truncated at two deviations either side of zero. The deviation is that before truncation.
///
/// Shape: f32 of `dims`. Source: `jax.nn.initializers.truncated_normal(stddev)`.
///
/// ```
/// use spiq::random::{Key, truncated_normal};
/// let values = truncated_normal(Key::new(0), &[3], 0.01);
/// assert!(values.to_f64().iter().all(|x| x.abs() < 0.02));
/// ```
pub fn truncated_normal(key: Key, dims: &[usize], deviation: f32) -> Array {
    scaled(key, dims, |x| x * deviation)
}

/// A square matrix with orthonormal columns: the Q factor of the QR decomposition of normal values, for an R with positive diagonal.
/// The first half of the axes are its rows.
///
/// Shape: f32 of `dims`, whose halves have equal numbers of elements. Source: `jax.nn.initializers.orthogonal`, to rounding.
///
/// ```
/// use spiq::random::{Key, orthogonal};
/// let q = orthogonal(Key::new(7), &[4, 4]).to_f64();
/// // As in JAX.
/// assert!((q[0] - 0.258608).abs() < 1e-6 && (q[1] - 0.606673).abs() < 1e-6 && (q[14] - 0.392757).abs() < 1e-6);
/// ```
pub fn orthogonal(key: Key, dims: &[usize]) -> Array {
    let size: usize = dims[..dims.len() / 2].iter().product();
    let drawn = key.normal(size * size);
    let mut columns: Vec<Vec<f64>> =
        (0..size).map(|column| (0..size).map(|row| f64::from(drawn[row * size + column])).collect()).collect();
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    for column in 0..size {
        let (done, rest) = columns.split_at_mut(column);
        let (now, _) = rest.split_first_mut().expect("a column");
        // Twice, because one pass leaves rounding errors along the other columns.
        for other in done.iter().chain(done.iter()) {
            let share = dot(now, other);
            now.iter_mut().zip(other).for_each(|(x, o)| *x -= share * o);
        }
        let length = dot(now, now).sqrt();
        now.iter_mut().for_each(|x| *x /= length);
    }
    let values: Vec<f32> = (0..size * size).map(|i| columns[i % size][i / size] as f32).collect();
    Array::new(dims, values).expect("as many values as elements")
}

/// A table of vectors: normal, with variance 1 / features.
///
/// Shape: f32 of `dims`, [tokens, features]. Source: the default `embedding_init` of `flax.nnx.Embed`.
///
/// ```
/// use spiq::random::{Key, embedding_normal};
/// assert_eq!(embedding_normal(Key::new(0), &[5, 3]).ty().to_string(), "f32[5,3]");
/// ```
pub fn embedding_normal(key: Key, dims: &[usize]) -> Array {
    let variance = (1.0 / dims.last().copied().unwrap_or(1) as f64) as f32;
    let values: Vec<f32> = key.normal(dims.iter().product()).into_iter().map(|x| x * variance.sqrt()).collect();
    Array::new(dims, values).expect("as many values as elements")
}

/// A neuron's decay per time step, around one half: `truncated_normal(0.25) + 0.5`.
///
/// Shape: f32 of `dims`. Values are in (0, 1). Source: the default `beta` of Spyx's LIF.
///
/// ```
/// use spiq::random::{Key, spyx_beta};
/// let beta = spyx_beta(Key::new(0), &[64]);
/// assert!(beta.to_f64().iter().all(|b| (0.0..=1.0).contains(b)));
/// ```
pub fn spyx_beta(key: Key, dims: &[usize]) -> Array {
    scaled(key, dims, |x| x * 0.25 + 0.5)
}

/// All zeros, f32 of `dims`.
pub fn zeros(dims: &[usize]) -> Array {
    Array::zeros(TensorType::new(DType::F32, dims))
}

/// All ones, f32 of `dims`.
pub fn ones(dims: &[usize]) -> Array {
    Array::new(dims, vec![1f32; dims.iter().product()]).expect("as many ones as elements")
}

fn scaled(key: Key, dims: &[usize], change: impl Fn(f32) -> f32) -> Array {
    let values: Vec<f32> = key.truncated_normal(dims.iter().product(), -2.0, 2.0).into_iter().map(change).collect();
    Array::new(dims, values).expect("as many values as elements")
}
