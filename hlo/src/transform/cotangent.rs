//! A cotangent with a pending mask.

use crate::graph::tensor::Tensor;

/// A cotangent in the backward pass.
#[derive(Clone)]
pub(crate) struct Cotangent {
    pub(crate) ct: Tensor,
    /// A pending mask: where it is false, the cotangent is zero, regardless of `ct`. It is applied at the end of an elementwise chain,
    /// because a zero multiplied by an infinite derivative along the chain would become NaN, and the branch that is not taken would
    /// corrupt the one that is.
    pub(crate) only: Option<Only>,
}

/// The places where a boolean tensor has this value.
#[derive(Clone)]
pub(crate) struct Only {
    mask: Tensor,
    is: bool,
}

impl Only {
    fn mask(&self) -> Tensor {
        if self.is { self.mask.clone() } else { self.mask.not() }
    }

    fn is_same(&self, other: &Only) -> bool {
        self.mask.place() == other.mask.place() && self.is == other.is
    }
}

impl Cotangent {
    pub(crate) fn new(ct: Tensor) -> Cotangent {
        Cotangent { ct, only: None }
    }

    /// The cotangent with the mask applied.
    pub(crate) fn settled(&self) -> Tensor {
        let zero = || self.ct.zeros_like();
        match &self.only {
            None => self.ct.clone(),
            Some(Only { mask, is: true }) => mask.select(&self.ct, &zero()),
            Some(Only { mask, is: false }) => mask.select(&zero(), &self.ct),
        }
    }

    /// The cotangent where `mask` has this value, zero elsewhere.
    pub(crate) fn only(&self, mask: &Tensor, is: bool) -> Cotangent {
        let one = Only { mask: mask.clone(), is };
        let only = match &self.only {
            None => one,
            Some(before) => Only { mask: before.mask().and(one.mask()), is: true },
        };
        Cotangent { ct: self.ct.clone(), only: Some(only) }
    }

    /// The sum of two cotangents.
    pub(crate) fn and(&self, more: &Cotangent) -> Cotangent {
        match (&self.only, &more.only) {
            (Some(one), Some(other)) if one.is_same(other) => {
                Cotangent { ct: &self.ct + &more.ct, only: self.only.clone() }
            }
            _ => Cotangent::new(self.settled() + more.settled()),
        }
    }
}
