//! Samples on the host as arrays of a shape.

use spiq_hlo::{Array, Element};

use super::integer::RandomInteger;
use super::key::Key;

/// Draws arrays of one shape from a key. See [`Key::shaped`].
#[derive(Clone, Debug)]
pub struct Shaped {
    key: Key,
    dims: Vec<usize>,
}

impl Key {
    /// The same draws as arrays of shape `dims`, in row-major order.
    ///
    /// ```
    /// let draw = spiq::random::Key::new(0).shaped([2, 3]).normal();
    /// assert_eq!(draw.ty().to_string(), "f32[2,3]");
    /// ```
    pub fn shaped(self, dims: impl Into<Vec<usize>>) -> Shaped {
        Shaped { key: self, dims: dims.into() }
    }
}

impl Shaped {
    /// [`Key::uniform`] in this shape.
    pub fn uniform(&self, min: f32, max: f32) -> Array {
        self.array(self.key.uniform(self.count(), min, max))
    }

    /// [`Key::normal`] in this shape.
    pub fn normal(&self) -> Array {
        self.array(self.key.normal(self.count()))
    }

    /// [`Key::truncated_normal`] in this shape.
    pub fn truncated_normal(&self, lower: f32, upper: f32) -> Array {
        self.array(self.key.truncated_normal(self.count(), lower, upper))
    }

    /// [`Key::bernoulli`] in this shape.
    pub fn bernoulli(&self, p: f32) -> Array {
        self.array(self.key.bernoulli(self.count(), p))
    }

    /// [`Key::randint`] in this shape.
    pub fn randint<T: RandomInteger + Element>(&self, min: i128, max: i128) -> Array {
        self.array(self.key.randint::<T>(self.count(), min, max))
    }

    /// [`Key::gumbel`] in this shape.
    pub fn gumbel(&self) -> Array {
        self.array(self.key.gumbel(self.count()))
    }

    /// [`Key::exponential`] in this shape.
    pub fn exponential(&self) -> Array {
        self.array(self.key.exponential(self.count()))
    }

    fn count(&self) -> usize {
        self.dims.iter().product()
    }

    fn array<T: Element>(&self, values: Vec<T>) -> Array {
        Array::new(self.dims.clone(), values).expect("as many draws as elements")
    }
}
