//! A learnt vector for each token. Knows nothing of time and neurons.

use spiq_hlo::{DType, Tensor};

use super::arguments::{described, layer};
use super::layer::Layer;
use super::parameter::{Init, Parameter};
use super::step::Step;

layer! {
    /// The row of a learnt table for each token number: an axis of features more.
    ///
    /// Tokens are whole numbers, in whatever type a data set holds them (u8 up to 127 reaches a network as s8, else f32, which is
    /// exact to 2^24). -1 is the last row, as in flax. Any other number, and one that is not whole, gives NaN, which stops a run with the
    /// layer's name; with a single row every number gives that row. Tokens have no gradient.
    ///
    /// Shapes: x [B, …] to [B, …, features]; for one token a step, [B, 1] to [B, 1, features], which [`Flatten`](super::Flatten) makes
    /// [B, features]. Parameter `embedding` [num_embeddings, features]. A row is looked up, not multiplied, so that no rule quantizes
    /// it. Source: `flax.nnx.Embed`.
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
            /// Features of each.
            features: usize,
        }
    }
}

impl Embed {
    /// A table of so many tokens and features.
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
        // A number that is no token must not become an index: what the conversion of NaN gives depends on the device.
        let index = known.select(&number, &number.zeros_like()).convert(DType::S32);
        let found = table.take(&index, 0);
        let known = known.broadcast_in_dim(&dims, &(0..rank).collect::<Vec<_>>());
        known.select(&found, &found.full_like(f64::NAN))
    }
}
