//! A cotangent on its way back, with a choice that is still to be made. Knows no operation but `select`.

use crate::graph::tensor::Tensor;

/// A cotangent on its way back.
#[derive(Clone)]
pub(crate) struct Cotangent {
    pub(crate) ct: Tensor,
    /// A choice that is still to be made: where this is not so, the cotangent is zero, whatever `ct` says. It is made where the
    /// elementwise way back ends, since a zero that is multiplied by an infinite slope on that way would become NaN: the
    /// branch that is not taken would spoil the one that is.
    pub(crate) only: Option<Only>,
}

/// Where a boolean tensor has this value.
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

    /// With the choice made.
    pub(crate) fn settled(&self) -> Tensor {
        let zero = || self.ct.zeros_like();
        match &self.only {
            None => self.ct.clone(),
            Some(Only { mask, is: true }) => mask.select(&self.ct, &zero()),
            Some(Only { mask, is: false }) => mask.select(&zero(), &self.ct),
        }
    }

    /// The same where `mask` has this value, zero elsewhere.
    pub(crate) fn only(&self, mask: &Tensor, is: bool) -> Cotangent {
        let one = Only { mask: mask.clone(), is };
        let only = match &self.only {
            None => one,
            Some(before) => Only { mask: before.mask().and(one.mask()), is: true },
        };
        Cotangent { ct: self.ct.clone(), only: Some(only) }
    }

    /// The sum of two.
    pub(crate) fn and(&self, more: &Cotangent) -> Cotangent {
        match (&self.only, &more.only) {
            (Some(one), Some(other)) if one.is_same(other) => {
                Cotangent { ct: &self.ct + &more.ct, only: self.only.clone() }
            }
            _ => Cotangent::new(self.settled() + more.settled()),
        }
    }
}
