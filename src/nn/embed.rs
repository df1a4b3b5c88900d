//! A learned vector for each token.

use spiq_hlo::{DType, Tensor};

use super::arguments::{described, layer};
use super::layer::Layer;
use super::parameter::{Init, Parameter};
use super::step::Step;

layer! {
    /// Looks up each token number's row in a learned table; this adds a feature axis.
    ///
    /// Tokens are integers, in whatever type a data set stores them (u8 up to 127 reaches a network as s8, otherwise as f32,
    /// which is exact up to 2^24). Negative numbers count from the end, as in flax: -1 is the last row. A number out of range,
    /// or not an integer, gives NaN, which stops a run with the layer's name; with a single row every number gives that row.
    /// Tokens have no gradient.
    ///
    /// Shapes: x [B, …] to [B, …, features]; with one token per step, [B, 1] to [B, 1, features], which
    /// [`Flatten`](super::Flatten) turns into [B, features]. Parameter `embedding` [num_embeddings, features]. Rows are looked
    /// up, not multiplied, so no rule quantizes the table. Source: `flax.nnx.Embed`.
    ///
    /// ```
    /// use spiq::nn::{Embed, Layer};
    /// assert_eq!(Embed::new(1000, 64).output(&[1]), Ok(vec![1, 64]));
    /// ```
    #[derive(Copy, Eq)]
    pub struct Embed = "Embed" {
        needs {
            /// Number of tokens.
            num_embeddings: usize,
            /// Number of features per token.
            features: usize,
        }
    }
}

impl Embed {
    /// A table with this many tokens and features.
    pub fn new(num_embeddings: usize, features: usize) -> Embed {
        Embed::with_defaults(num_embeddings, features)
    }
}

impl Layer for Embed {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        match self.num_embeddings {
            0 => Err(("num_embeddings", "is 0, but must be 1 or more".to_owned())),
            _ => Ok(()),
        }
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("embedding", [self.num_embeddings, self.features], Init::EmbeddingNormal)]
    }
    fn takes(&self) -> Vec<usize> {
        vec![0]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok([input, &[self.features]].concat())
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let (rows, rank) = (self.num_embeddings as f64, x.rank());
        let table = at.parameter("embedding");
        let dims = [x.dims(), &[self.features]].concat();
        if self.num_embeddings == 1 {
            return table.reshape(&[self.features]).broadcast_in_dim(&dims, &[rank]);
        }
        let from_the_end = x.lt(0.0);
        let number = from_the_end.select(&(x + rows), x);
        let known = x.floor().eq(x).and(number.ge(0.0)).and(number.lt(rows));
        // An invalid token must not become an index: the result of converting NaN depends on the device.
        let index = known.select(&number, &number.zeros_like()).convert(DType::S32);
        let found = table.take_clipped(&index, 0);
        let known = known.broadcast_in_dim(&dims, &(0..rank).collect::<Vec<_>>());
        known.select(&found, &found.full_like(f64::NAN))
    }
}
