//! Random keys inside a traced program, as `u32[2]` tensors.

use spiq_hlo::{Array, DType, Graph, Tensor, TensorType, Violation, concatenate};

use super::Key;

/// A random key inside a traced program: [`Key`] as a tensor, with the same numbers.
///
/// Draws return tensors of a given shape; element i, in row-major order, has the same bits as the i-th draw of the host [`Key`]
/// with the same words. Wrong shapes are deferred errors of the trace.
///
/// Shape: the key is `u32[2]`. Source: as [`Key`].
///
/// ```
/// use spiq::random::GraphKey;
/// use spiq_hlo::{trace, DType, TensorType};
/// // Rate-coded spikes: a new draw for every step.
/// let inputs = [("key", TensorType::new(DType::U32, [2])), ("rate", TensorType::new(DType::F32, [64, 10]))];
/// let f = trace(&inputs, |x| vec![GraphKey::new(&x[0]).bernoulli(&[32, 64, 10], &x[1])])?;
/// assert_eq!(f.result_types()[0].to_string(), "pred[32,64,10]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[derive(Clone, Debug)]
pub struct GraphKey {
    words: [Tensor; 2],
}

impl GraphKey {
    /// The key stored in a `u32[2]` tensor.
    #[track_caller]
    pub fn new(words: &Tensor) -> GraphKey {
        if !words.is_poison() && *words.ty() != TensorType::new(DType::U32, [2]) {
            let violation = Violation::new("", format!("a key is u32[2], got {}", words.ty()));
            let poison = words.graph().fail("random key", violation);
            return GraphKey { words: [poison.clone(), poison] };
        }
        GraphKey { words: [words.index_axis(0, 0), words.index_axis(0, 1)] }
    }

    /// A key known at trace time.
    pub fn constant(graph: &Graph, key: Key) -> GraphKey {
        GraphKey { words: key.words().map(|word| graph.constant(&Array::scalar(word))) }
    }

    /// The key as a `u32[2]` tensor.
    #[track_caller]
    pub fn to_tensor(&self) -> Tensor {
        let [high, low] = &self.words;
        concatenate(&[&high.reshape(&[1]), &low.reshape(&[1])], 0)
    }

    /// `n` keys that are independent of each other and of this one (`jax.random.split`).
    #[track_caller]
    pub fn split(&self, n: usize) -> Vec<GraphKey> {
        let [high, low] = self.blocks(&[n]);
        (0..n).map(|i| GraphKey { words: [high.index_axis(0, i), low.index_axis(0, i)] }).collect()
    }

    /// Two keys: `split(2)` without the vector.
    #[track_caller]
    pub fn pair(&self) -> (GraphKey, GraphKey) {
        let mut keys = self.split(2).into_iter();
        let mut next = || keys.next().expect("two keys");
        (next(), next())
    }

    /// A key that depends on this one and on an integer scalar, such as a step (`jax.random.fold_in`).
    #[track_caller]
    pub fn fold_in(&self, data: &Tensor) -> GraphKey {
        let low = data.convert(DType::U32);
        GraphKey { words: threefry2x32(&self.words, [low.zeros_like(), low]) }
    }

    /// Uniformly distributed `u8`, `u16` or `u32` (`jax.random.bits`).
    #[track_caller]
    pub fn bits(&self, dtype: DType, dims: &[usize]) -> Tensor {
        let [high, low] = self.blocks(dims);
        let bits = high.xor(&low);
        // JAX keeps the low bits of each word, as this conversion does.
        bits.convert(dtype)
    }

    /// The trace that the key belongs to.
    pub(crate) fn graph(&self) -> &Graph {
        self.words[0].graph()
    }

    /// One hash per element of a shape: two words each.
    #[track_caller]
    fn blocks(&self, dims: &[usize]) -> [Tensor; 2] {
        let count: usize = dims.iter().product();
        let low = self.graph().iota(TensorType::new(DType::U32, [count]), 0);
        // The upper word is 0: a program has fewer than 2³² elements.
        let words = threefry2x32(&self.words, [low.zeros_like(), low]);
        words.map(|word| word.reshape(dims))
    }
}

/// The block cipher on tensors, identical to the host's (`key.rs`).
#[track_caller]
fn threefry2x32(key: &[Tensor; 2], count: [Tensor; 2]) -> [Tensor; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    const PARITY: f64 = 466_688_986.0;
    let schedule = [key[0].clone(), key[1].clone(), key[0].xor(&key[1]).xor(PARITY)];
    let [mut a, mut b] = [&count[0] + &schedule[0], &count[1] + &schedule[1]];
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            a = &a + &b;
            b = rotated(&b, rotation).xor(&a);
        }
        a = a + &schedule[(group + 1) % 3];
        // The number is added to the key's scalar word first, so that each element needs only one sum.
        b = b + (&schedule[(group + 2) % 3] + (group as f64 + 1.0));
    }
    [a, b]
}

#[track_caller]
fn rotated(x: &Tensor, by: u32) -> Tensor {
    x.shift_left(f64::from(by)).or(x.shift_right_logical(f64::from(32 - by)))
}
