//! Elementwise operations of one and two operands, each one row of a table.

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::lane::{Lane, LaneFn};
use crate::graph::op::{Cotangents, Infer, Op, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local};
use crate::graph::tensor::Tensor;
use crate::ops::constant::Operand;
use crate::ops::promotion;
use crate::ops::sample::Sample;
use crate::types::dtype::{DType, Kind};
use crate::types::tensor_type::TensorType;

/// The element types that an operation accepts.
#[derive(Clone, Copy)]
enum Class {
    Floats,
    Numbers,
    Bits,
    Any,
}

impl Class {
    fn check(self, ty: &TensorType) -> Result<(), Violation> {
        let fits = match self {
            Class::Floats => ty.dtype.is_float(),
            Class::Numbers => ty.dtype.kind() != Kind::Pred,
            Class::Bits => !ty.dtype.is_float(),
            Class::Any => true,
        };
        if fits { Ok(()) } else { Err(Violation::new("I1", format!("requires {}, got {ty}", self.wanted()))) }
    }

    fn wanted(self) -> &'static str {
        match self {
            Class::Floats => "floating-point elements",
            Class::Numbers => "numbers",
            Class::Bits => "integers or booleans",
            Class::Any => "anything",
        }
    }

    /// The element type of a sample: f64 if its derivative is compared with finite differences.
    fn sample(self) -> DType {
        if matches!(self, Class::Bits) { DType::S32 } else { DType::F64 }
    }
}

fn infer_same(class: Class, operands: &[TensorType]) -> Infer {
    class.check(&operands[0])?;
    match operands.iter().find(|t| **t != operands[0]) {
        Some(other) => Err(Violation::new("C1", format!("operands differ in type: {} and {other}", operands[0]))),
        None => Ok(vec![operands[0].clone()]),
    }
}

macro_rules! unary {
    // A row without a derivative has derivative zero.
    (@vjp $reverse:ident) => {{
        let _ = $reverse;
        vec![None]
    }};
    (@vjp $reverse:ident |$ct:ident, $x:ident, $y:ident| $vjp:expr) => {{
        let ($ct, $x, $y) = ($reverse.ct(), &$reverse.ins[0], &$reverse.outs[0]);
        let _ = ($x, $y);
        vec![Some($vjp)]
    }};
    (@derived) => {
        false
    };
    (@derived $vjp:expr) => {
        true
    };
    // A row without a range propagates none.
    (@range $of:ident) => {{
        let _ = $of;
        Vec::new()
    }};
    (@range $of:ident |$known:ident| $range:expr) => {
        vec![$of.ins[0].and_then(|$known| $range)]
    };
    // A row without a lane is not computed by kernels.
    (@lane) => {
        None
    };
    (@lane |$x:ident| $lane:expr) => {{
        let $x = Lane::Operand(0);
        Some($lane)
    }};
    (@lane $function:ident) => {
        Some(Lane::of(LaneFn::$function, [Lane::Operand(0)]))
    };
    // In brackets: the computation of one lane, as a function name or an expression, `[|x| Lane::of(…)]`.
    ($($(#[$doc:meta])* $op:ident $method:ident $name:literal $class:ident $low:literal $high:literal $([$($lane:tt)*])?
        $(|$ct:ident, $x:ident, $y:ident| $vjp:expr)? $(=> |$known:ident| $range:expr)?;)*) => {
        $(
            #[derive(Debug, PartialEq)]
            struct $op;

            impl Op for $op {
                fn name(&self) -> &'static str {
                    $name
                }
                fn infer(&self, operands: &[TensorType]) -> Infer {
                    infer_same(Class::$class, operands)
                }
                fn vjp(&self, reverse: &Reverse) -> Cotangents {
                    unary!(@vjp reverse $(|$ct, $x, $y| $vjp)?)
                }
                fn is_elementwise(&self) -> bool {
                    true
                }
                fn has_derivative(&self) -> bool {
                    unary!(@derived $($vjp)?)
                }
                fn lane(&self) -> Option<Lane> {
                    unary!(@lane $($($lane)*)?)
                }
                fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
                    unary!(@range of $(|$known| $range)?)
                }
                fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
                    mapped.elementwise($op)
                }
            }
        )*

        /// Elementwise functions of one tensor.
        impl Tensor {
            $(
                $(#[$doc])*
                #[track_caller]
                pub fn $method(&self) -> Tensor {
                    match of_unsigned($name, self) {
                        Some(y) => y,
                        None => self.graph().apply($op, &[self]),
                    }
                }
            )*
        }

        fn unary_samples() -> Vec<Sample> {
            vec![$({
                let sample = Sample::new($name, |x| vec![x[0].$method()]).input(Class::$class.sample(), [7], $low, $high);
                let derivatives: &[&str] = &[$(stringify!($vjp))?];
                if derivatives.is_empty() { sample.forward_only() } else { sample }
            }),*]
        }
    };
}

unary! {
    /// `|x|`. Spec: abs.
    Abs abs "abs" Numbers -2.0 2.0 [Abs] |ct, x, y| outward(ct, x) => |r| r.magnitudes();
    /// `-x`. Spec: negate.
    Negate negate "negate" Numbers -2.0 2.0 [Negate] |ct, x, y| ct.negate() => |r| Range::spanning([-r.low, -r.high]);
    /// -1, 0 or 1. Spec: sign.
    Sign sign "sign" Numbers -2.0 2.0 [Sign] => |r| Range::spanning([r.low.signum(), r.high.signum()]);
    /// `e^x`. Spec: exponential.
    Exponential exp "exponential" Floats -2.0 2.0 [Exponential] |ct, x, y| ct * y;
    /// `e^x - 1`, exact near zero. Spec: exponential_minus_one.
    ExponentialMinusOne exp_m1 "exponential_minus_one" Floats -2.0 2.0 |ct, x, y| ct * (y + 1.0);
    /// Natural logarithm. Spec: log.
    Log log "log" Floats 0.5 3.0 |ct, x, y| ct / x;
    /// `log(1 + x)`, exact near zero. Spec: log_plus_one.
    LogPlusOne log1p "log_plus_one" Floats -0.5 2.0 |ct, x, y| ct / (x + 1.0);
    /// `1 / (1 + e^-x)`. Spec: logistic.
    Logistic logistic "logistic" Floats -3.0 3.0 |ct, x, y| ct * (y * (1.0 - y));
    /// Hyperbolic tangent. Spec: tanh.
    Tanh tanh "tanh" Floats -2.0 2.0 |ct, x, y| ct * (1.0 - y * y);
    /// Square root. Spec: sqrt.
    Sqrt sqrt "sqrt" Floats 0.5 3.0 [Sqrt] |ct, x, y| ct * (0.5 / y);
    /// `1 / sqrt(x)`. Spec: rsqrt.
    Rsqrt rsqrt "rsqrt" Floats 0.5 3.0 |ct, x, y| ct * (y / x * -0.5);
    /// Cube root. Spec: cbrt.
    Cbrt cbrt "cbrt" Floats 0.5 3.0 |ct, x, y| ct * (1.0 / 3.0 / y / y);
    /// Sine of radians. Spec: sine.
    Sine sin "sine" Floats -2.0 2.0 |ct, x, y| ct * x.cos();
    /// Cosine of radians. Spec: cosine.
    Cosine cos "cosine" Floats -2.0 2.0 |ct, x, y| ct.negate() * x.sin();
    /// Tangent of radians. Spec: tan.
    Tan tan "tan" Floats -1.0 1.0 |ct, x, y| ct * (y * y + 1.0);
    /// Largest integer not above. Spec: floor.
    Floor floor "floor" Floats -3.0 3.0 [Floor] => |r| Some(r);
    /// Smallest integer not below. Spec: ceil.
    Ceil ceil "ceil" Floats -3.0 3.0 [Ceil] => |r| Some(r);
    /// Nearest integer, ties to even. Spec: round_nearest_even.
    RoundNearestEven round_nearest_even "round_nearest_even" Floats -3.0 3.0 [RoundNearestEven] => |r| Some(r);
    /// Nearest integer, ties away from zero. Spec: round_nearest_afz.
    RoundNearestAfz round_nearest_afz "round_nearest_afz" Floats -3.0 3.0 => |r| Some(r);
    /// Complement of bits or of a boolean. Spec: not.
    Not not "not" Bits -9.0 9.0 [Not];
    /// Number of bits set. Spec: popcnt.
    PopulationCount popcnt "popcnt" Bits -9.0 9.0;
    /// Number of leading zero bits. Spec: count_leading_zeros.
    CountLeadingZeros count_leading_zeros "count_leading_zeros" Bits -9.0 9.0;
}

/// Operations that StableHLO defines for signed numbers only, applied to unsigned ones.
#[track_caller]
fn of_unsigned(name: &str, x: &Tensor) -> Option<Tensor> {
    match name {
        _ if x.dtype().kind() != Kind::Unsigned => None,
        "abs" => Some(x.clone()),
        "sign" => Some(x.ne(0.0).convert(x.dtype())),
        _ => None,
    }
}

/// Whether each element is neither infinite nor NaN. Spec: is_finite.
#[derive(Debug, PartialEq)]
struct IsFinite;

impl Op for IsFinite {
    fn name(&self) -> &'static str {
        "is_finite"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        Class::Floats.check(&operands[0])?;
        Ok(vec![operands[0].with_dtype(DType::Pred)])
    }
    fn vjp(&self, _: &Reverse) -> Cotangents {
        vec![None]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        mapped.elementwise(IsFinite)
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        local.elementwise()
    }
}

impl Tensor {
    /// Whether each element is neither infinite nor NaN. Spec: is_finite.
    #[track_caller]
    #[doc(alias = "isfinite")]
    pub fn is_finite(&self) -> Tensor {
        self.graph().apply(IsFinite, &[self])
    }
}

/// Applies an operation to two tensors, broadcast against each other. One of them may come from a Rust number; then the result must fit
/// the element type.
#[track_caller]
fn settled(op: impl Op, a: &Tensor, b: &Tensor) -> Tensor {
    let operation = op.name();
    if !a.is_poison() && !b.is_poison() && a.dtype() == b.dtype() {
        let (ins, types) = ([a.range(), b.range()], [a.ty().clone(), b.ty().clone()]);
        let range = op.range(&Ranges { ins: &ins, types: &types }).into_iter().next().flatten();
        if let Err(violation) = promotion::stays(operation, [a, b], range) {
            return a.fail(operation, violation);
        }
    }
    let (a, b) = a.broadcast_with(b, operation);
    a.graph().apply(op, &[&a, &b])
}

macro_rules! binary {
    // A row without derivatives has zero derivatives.
    (@vjp $reverse:ident) => {{
        let _ = $reverse;
        vec![None, None]
    }};
    (@vjp $reverse:ident |$ct:ident, $a:ident, $b:ident, $y:ident| $da:expr, $db:expr) => {{
        let ($ct, $a, $b, $y) = ($reverse.ct(), &$reverse.ins[0], &$reverse.ins[1], &$reverse.outs[0]);
        let _ = ($a, $b, $y);
        vec![$reverse.needs[0].then(|| $da), $reverse.needs[1].then(|| $db)]
    }};
    // A row without a range propagates none.
    (@range $of:ident) => {{
        let _ = $of;
        Vec::new()
    }};
    (@range $of:ident |$p:ident, $q:ident| $corner:expr) => {
        vec![$of.at_corners(|$p, $q| $corner)]
    };
    // A row without a lane is not computed by kernels.
    (@lane) => {
        None
    };
    (@lane |$a:ident, $b:ident| $lane:expr) => {{
        let ($a, $b) = (Lane::Operand(0), Lane::Operand(1));
        Some($lane)
    }};
    (@lane $function:ident) => {
        Some(Lane::of(LaneFn::$function, [Lane::Operand(0), Lane::Operand(1)]))
    };
    // After the arrow: the integer at a corner of the operands' ranges; the operation is monotone in each operand.
    ($($(#[$doc:meta])* $op:ident $method:ident $name:literal $class:ident $low:literal $high:literal $([$($lane:tt)*])?
        $(|$ct:ident, $a:ident, $b:ident, $y:ident| $da:expr, $db:expr)? $(=> |$p:ident, $q:ident| $corner:expr)?;)*) => {
        $(
            #[derive(Debug, PartialEq)]
            struct $op;

            impl Op for $op {
                fn name(&self) -> &'static str {
                    $name
                }
                fn infer(&self, operands: &[TensorType]) -> Infer {
                    infer_same(Class::$class, operands)
                }
                fn vjp(&self, reverse: &Reverse) -> Cotangents {
                    binary!(@vjp reverse $(|$ct, $a, $b, $y| $da, $db)?)
                }
                fn is_elementwise(&self) -> bool {
                    true
                }
                fn has_derivative(&self) -> bool {
                    unary!(@derived $($da)?)
                }
                fn lane(&self) -> Option<Lane> {
                    binary!(@lane $($($lane)*)?)
                }
                fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
                    binary!(@range of $(|$p, $q| $corner)?)
                }
                fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
                    mapped.elementwise($op)
                }
            }
        )*

        /// Elementwise functions of two tensors, broadcast as in numpy; a Rust number takes this tensor's type.
        impl Tensor {
            $(
                $(#[$doc])*
                #[track_caller]
                pub fn $method(&self, other: impl Operand) -> Tensor {
                    settled($op, self, &other.beside(self))
                }
            )*
        }

        fn binary_samples() -> Vec<Sample> {
            vec![$({
                let dtype = Class::$class.sample();
                let sample = Sample::new($name, |x| vec![x[0].$method(&x[1])])
                    .input(dtype, [2, 3], $low, $high)
                    .input(dtype, [3], $low, $high);
                let derivatives: &[&str] = &[$(stringify!($da))?];
                if derivatives.is_empty() { sample.forward_only() } else { sample }
            }),*]
        }
    };
}

/// The cotangent of `x`, given the cotangent `ct` of `|x|`. The derivative at 0 is 1, as in JAX.
pub(super) fn outward(ct: &Tensor, x: &Tensor) -> Tensor {
    x.ge(0.0).select(ct, &ct.negate())
}

/// The derivative of a power with respect to its base. With exponent 0 it is 0, even at base 0, where the formula multiplies 0 by infinity.
fn by_base(base: &Tensor, exponent: &Tensor) -> Tensor {
    let flat = base.eq(0.0).and(exponent.eq(0.0));
    let slope = exponent * flat.select(&base.full_like(1.0), base).pow(exponent - 1.0);
    flat.select(&base.zeros_like(), &slope)
}

/// The derivative of a power with respect to its exponent, divided by the power. At base 0 it is 0, as in JAX: 0 to any positive power is
/// 0.
fn by_exponent(base: &Tensor) -> Tensor {
    base.eq(0.0).select(&base.full_like(1.0), base).log()
}

/// A quotient rounded toward zero.
fn whole(quotient: &Tensor) -> Tensor {
    quotient.sign() * quotient.abs().floor()
}

/// The cotangent of one operand of a maximum or minimum: a tie splits it evenly, as in JAX.
fn chosen(ct: &Tensor, wins: &Tensor, ties: &Tensor) -> Tensor {
    wins.select(ct, &ties.select(&(ct * 0.5), &(ct * 0.0)))
}

binary! {
    /// `a + b` (or, for booleans). Spec: add.
    Add add "add" Any -2.0 2.0 [Add] |ct, a, b, y| ct.clone(), ct.clone() => |p, q| p.checked_add(q);
    /// `a - b`. Spec: subtract.
    Subtract sub "subtract" Numbers -2.0 2.0 [Subtract] |ct, a, b, y| ct.clone(), ct.negate() => |p, q| p.checked_sub(q);
    /// `a * b` (and, for booleans). Spec: multiply.
    Multiply mul "multiply" Any -2.0 2.0 [Multiply] |ct, a, b, y| ct * b, ct * a => |p, q| p.checked_mul(q);
    /// `a / b`, rounded toward zero for integers. Spec: divide.
    Divide div "divide" Numbers 0.5 2.0 [Divide] |ct, a, b, y| ct / b, ct.negate() * (a / b / b);
    /// The larger of the two. Spec: maximum.
    Maximum maximum "maximum" Any -2.0 2.0 [Maximum] |ct, a, b, y| chosen(ct, &a.gt(b), &a.eq(b)), chosen(ct, &b.gt(a), &a.eq(b))
        => |p, q| Some(p.max(q));
    /// The smaller of the two. Spec: minimum.
    Minimum minimum "minimum" Any -2.0 2.0 [Minimum] |ct, a, b, y| chosen(ct, &a.lt(b), &a.eq(b)), chosen(ct, &b.lt(a), &a.eq(b))
        => |p, q| Some(p.min(q));
    /// `a` to the power `b`. Spec: power.
    Power pow "power" Numbers 0.5 2.0 |ct, a, b, y| ct * by_base(a, b), ct * (y * by_exponent(a));
    /// Remainder of `a / b`, with the sign of `a`. Spec: remainder.
    Remainder rem "remainder" Numbers 0.6 2.3 |ct, a, b, y| ct.clone(), ct.negate() * whole(&(a / b));
    /// Angle of the point (b, a) in radians. Spec: atan2.
    Atan2 atan2 "atan2" Floats 0.5 2.0 |ct, a, b, y| ct * (b / (a * a + b * b)), ct.negate() * (a / (a * a + b * b));
    /// Bitwise, or of booleans. Spec: and.
    And and "and" Bits -9.0 9.0 [And];
    /// Bitwise, or of booleans. Spec: or.
    Or or "or" Bits -9.0 9.0 [Or];
    /// Bitwise, or of booleans. Spec: xor.
    Xor xor "xor" Bits -9.0 9.0 [Xor];
    /// `a` shifted left by `b` bits. Spec: shift_left.
    ShiftLeft shift_left "shift_left" Bits 0.0 9.0;
    /// `a` shifted right by `b` bits, filled with zeros. Spec: shift_right_logical.
    ShiftRightLogical shift_right_logical "shift_right_logical" Bits 0.0 9.0;
    /// `a` shifted right by `b` bits, filled with the sign. Spec: shift_right_arithmetic.
    ShiftRightArithmetic shift_right_arithmetic "shift_right_arithmetic" Bits 0.0 9.0;
}

pub(crate) fn samples() -> Vec<Sample> {
    let mut samples = unary_samples();
    samples.extend(binary_samples());
    samples.push(Sample::new("is_finite", |x| vec![x[0].is_finite()]).input(DType::F64, [7], -1.0, 1.0).forward_only());
    samples
}

macro_rules! operators {
    ($($trait:ident $function:ident $method:ident;)*) => {$(
        impl<T: Operand> std::ops::$trait<T> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $function(self, other: T) -> Tensor {
                Tensor::$method(self, other)
            }
        }
        impl<T: Operand> std::ops::$trait<T> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $function(self, other: T) -> Tensor {
                Tensor::$method(&self, other)
            }
        }
    )*};
}

operators! {
    Add add add;
    Sub sub sub;
    Mul mul mul;
    Div div div;
    Rem rem rem;
}

/// `number op tensor`, for one type of float and one of integer: with more, Rust could not infer the type of `1.0` in `(1.0 - x).abs()`.
macro_rules! numbers_before {
    ($($number:ty)*) => {
        numbers_before! { @of Add add [$($number)*] }
        numbers_before! { @of Sub sub [$($number)*] }
        numbers_before! { @of Mul mul [$($number)*] }
        numbers_before! { @of Div div [$($number)*] }
        numbers_before! { @of Rem rem [$($number)*] }
    };
    (@of $trait:ident $function:ident [$($number:ty)*]) => {$(
        impl std::ops::$trait<&Tensor> for $number {
            type Output = Tensor;
            #[track_caller]
            fn $function(self, other: &Tensor) -> Tensor {
                self.beside(other).$function(other)
            }
        }
        impl std::ops::$trait<Tensor> for $number {
            type Output = Tensor;
            #[track_caller]
            fn $function(self, other: Tensor) -> Tensor {
                self.beside(&other).$function(&other)
            }
        }
    )*};
}

numbers_before! { f64 i32 }

impl std::ops::Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        self.negate()
    }
}

impl std::ops::Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        self.negate()
    }
}
