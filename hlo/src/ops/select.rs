//! Elementwise choices: compare, select, clamp.

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::lane::{Lane, LaneFn};
use crate::graph::op::{Cotangents, Infer, Op, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local};
use crate::graph::tensor::Tensor;
use crate::ops::constant::Operand;
use crate::ops::sample::Sample;
use crate::types::dtype::{DType, Kind};
use crate::types::tensor_type::TensorType;

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    Eq,
    Ne,
    Ge,
    Gt,
    Le,
    Lt,
}

/// How elements of a kind are compared, under StableHLO's names.
fn comparison(kind: Kind) -> &'static str {
    match kind {
        Kind::Signed => "SIGNED",
        Kind::Unsigned | Kind::Pred => "UNSIGNED",
        Kind::Float => "FLOAT",
    }
}

#[derive(Debug, PartialEq)]
struct Compare {
    direction: Direction,
    kind: Kind,
}

impl Op for Compare {
    fn name(&self) -> &'static str {
        "compare"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        if operands[0] != operands[1] {
            let message = format!("operands differ in type: {} and {}", operands[0], operands[1]);
            return Err(Violation::new("C1", message));
        }
        Ok(vec![operands[0].with_dtype(DType::Pred)])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        let direction = format!("{:?}", self.direction).to_uppercase();
        // StableHLO allows a program to omit the type, but then XLA folds comparisons of signed constants as if they were unsigned
        // (seen with the CPU plugin of PJRT 0.81).
        vec![
            ("compare_type", format!("#stablehlo<comparison_type {}>", comparison(self.kind))),
            ("comparison_direction", format!("#stablehlo<comparison_direction {direction}>")),
        ]
    }
    fn vjp(&self, _: &Reverse) -> Cotangents {
        vec![None, None]
    }
    fn lane(&self) -> Option<Lane> {
        let function = match self.direction {
            Direction::Eq => LaneFn::Equal,
            Direction::Ne => LaneFn::NotEqual,
            Direction::Ge => LaneFn::GreaterEqual,
            Direction::Gt => LaneFn::Greater,
            Direction::Le => LaneFn::LessEqual,
            Direction::Lt => LaneFn::Less,
        };
        Some(Lane::of(function, [Lane::Operand(0), Lane::Operand(1)]))
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        mapped.elementwise(Compare { direction: self.direction, kind: self.kind })
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        local.elementwise()
    }
}

#[derive(Debug, PartialEq)]
struct Select;

impl Op for Select {
    fn name(&self) -> &'static str {
        "select"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let [pred, yes, no] = operands else { unreachable!("select has three operands") };
        if pred.dtype.kind() != Kind::Pred {
            return Err(Violation::new("I1", format!("the predicate {pred} does not hold booleans")));
        }
        if pred.dims != yes.dims {
            return Err(Violation::new("C1", format!("the predicate {pred} does not fit {yes}")));
        }
        if yes != no {
            return Err(Violation::new("C2", format!("the choices differ in type: {yes} and {no}")));
        }
        Ok(vec![yes.clone()])
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, pred) = (reverse.ct(), &reverse.ins[0]);
        let zero = ct.zeros_like();
        vec![None, reverse.needs[1].then(|| pred.select(ct, &zero)), reverse.needs[2].then(|| pred.select(&zero, ct))]
    }
    fn is_choice(&self) -> bool {
        true
    }
    fn lane(&self) -> Option<Lane> {
        Some(Lane::of(LaneFn::Select, [Lane::Operand(0), Lane::Operand(1), Lane::Operand(2)]))
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        mapped.elementwise(Select)
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        local.elementwise()
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.of_any(&[1, 2])]
    }
}

#[derive(Debug, PartialEq)]
struct Clamp;

impl Op for Clamp {
    fn name(&self) -> &'static str {
        "clamp"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let [low, x, high] = operands else { unreachable!("clamp has three operands") };
        match operands.iter().find(|t| *t != x) {
            Some(_) => Err(Violation::new("C3", format!("operands differ in type: {low}, {x} and {high}"))),
            None => Ok(vec![x.clone()]),
        }
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, low, x, high) = (reverse.ct(), &reverse.ins[0], &reverse.ins[1], &reverse.ins[2]);
        let zero = ct.zeros_like();
        let inside = x.gt(low).and(x.lt(high));
        vec![
            // If the limits cross, the upper one is the result.
            reverse.needs[0].then(|| x.lt(low).and(low.lt(high)).select(ct, &zero)),
            reverse.needs[1].then(|| inside.select(ct, &zero)),
            reverse.needs[2].then(|| x.gt(high).select(ct, &zero)),
        ]
    }
    fn is_elementwise(&self) -> bool {
        true
    }
    fn lane(&self) -> Option<Lane> {
        let raised = Lane::of(LaneFn::Maximum, [Lane::Operand(1), Lane::Operand(0)]);
        Some(Lane::of(LaneFn::Minimum, [raised, Lane::Operand(2)]))
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        mapped.elementwise(Clamp)
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.of_any(&[0, 1, 2])]
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $method:ident $direction:ident;)*) => {
        /// Comparisons; booleans per element, operands broadcast as in numpy.
        impl Tensor {
            $(
                $(#[$doc])*
                #[track_caller]
                pub fn $method(&self, other: impl Operand) -> Tensor {
                    let (a, b) = self.broadcast_with(&other.beside(self), "compare");
                    self.graph().apply(Compare { direction: Direction::$direction, kind: a.dtype().kind() }, &[&a, &b])
                }
            )*
        }
    };
}

comparisons! {
    /// `a == b`. Spec: compare.
    eq Eq;
    /// `a != b`. Spec: compare.
    ne Ne;
    /// `a >= b`. Spec: compare.
    ge Ge;
    /// `a > b`. Spec: compare.
    gt Gt;
    /// `a <= b`. Spec: compare.
    le Le;
    /// `a < b`. Spec: compare.
    lt Lt;
}

impl Tensor {
    /// `yes` where this boolean tensor is true, `no` elsewhere; all broadcast as in numpy. Spec: select.
    ///
    /// The unselected operand contributes nothing to a gradient, even where its derivative is infinite, as long as it is computed
    /// elementwise (JAX returns NaN there). Across other operations, such as a reduction or a dot product, an infinite derivative meets a
    /// cotangent of 0, which gives NaN.
    #[track_caller]
    #[doc(alias = "where")]
    pub fn select(&self, yes: &Tensor, no: &Tensor) -> Tensor {
        let (yes, no) = yes.broadcast_with(no, "select");
        let dims = yes.dims().to_vec();
        let pred = self.broadcast_to_dims(&dims, "select");
        self.graph().apply(Select, &[&pred, &yes, &no])
    }

    /// The nearest value in `low..=high`; the limits are broadcast to this tensor's shape. Spec: clamp.
    #[track_caller]
    #[doc(alias = "clip")]
    pub fn clamp(&self, low: impl Operand, high: impl Operand) -> Tensor {
        let dims = self.dims().to_vec();
        let low = low.beside(self).broadcast_to_dims(&dims, "clamp");
        let high = high.beside(self).broadcast_to_dims(&dims, "clamp");
        self.graph().apply(Clamp, &[&low, self, &high])
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    vec![
        Sample::new("compare", |x| vec![x[0].gt(&x[1]), x[0].eq(&x[0]), x[0].le(&x[1])])
            .input(f, [3], -1.0, 1.0)
            .input(f, [3], -1.0, 1.0)
            .forward_only(),
        Sample::new("select", |x| vec![x[0].gt(&x[1]).select(&(&x[0] * 3.0), &x[1])])
            .input(f, [2, 3], -1.0, 1.0)
            .input(f, [3], -1.0, 1.0),
        // A select of booleans: operands and result have one type by coincidence.
        Sample::new("select of booleans", |x| vec![x[0].gt(0.0).select(&x[1].gt(0.0), &x[1].lt(0.5))])
            .input(f, [3], -1.0, 1.0)
            .input(f, [3], -1.0, 1.0)
            .forward_only(),
        Sample::new("clamp", |x| vec![x[0].clamp(-0.5, 0.25)]).input(f, [9], -1.0, 1.0),
        Sample::new("clamp to tensors", |x| vec![x[1].clamp(&x[0], &x[2])])
            .input(f, [5], -0.5, 0.0)
            .input(f, [5], -1.0, 1.0)
            .input(f, [5], 0.1, 0.5),
    ]
}
