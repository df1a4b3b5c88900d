//! Integer ranges: static bounds on the elements of a value. Each op has a rule that propagates them.

use crate::graph::function::{Function, Parameter};
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// Every element is an integer from `low` to `high`.
///
/// ```
/// use spiq_hlo::{DType, Range, TensorType, trace};
/// trace(&[("v", TensorType::new(DType::F32, [4, 9]))], |x| {
///     let spikes = x[0].gt(1.0).convert(DType::F32);
///     assert_eq!(x[0].range(), None);
///     assert_eq!(spikes.range(), Some(Range { low: 0, high: 1 }));
///     assert_eq!(spikes.reduce_sum([1]).range(), Some(Range { low: 0, high: 9 }));
///     vec![]
/// })?;
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// No element is smaller.
    pub low: i64,
    /// No element is larger.
    pub high: i64,
}

/// The input of a range rule; `None` means that nothing is known about an operand.
pub struct Ranges<'a> {
    /// The operands' ranges.
    pub ins: &'a [Option<Range>],
    /// The operands' types.
    pub types: &'a [TensorType],
}

impl Ranges<'_> {
    /// The range of an operation whose output elements are taken from these operands.
    pub fn of_any(&self, operands: &[usize]) -> Option<Range> {
        let each: Option<Vec<Range>> = operands.iter().map(|&i| self.ins[i]).collect();
        each?.into_iter().reduce(Range::or)
    }

    /// The range of a function of two operands that is monotone in each of them: its extremes are at the corners.
    pub fn at_corners(&self, f: impl Fn(i64, i64) -> Option<i64>) -> Option<Range> {
        let (a, b) = (self.ins[0]?, self.ins[1]?);
        Range::spanning([f(a.low, b.low)?, f(a.low, b.high)?, f(a.high, b.low)?, f(a.high, b.high)?])
    }
}

impl Range {
    /// The range from the smallest to the largest of these values.
    pub fn spanning(values: impl IntoIterator<Item = i64>) -> Option<Range> {
        values.into_iter().map(|v| Range { low: v, high: v }).reduce(Range::or)
    }

    /// All values of an integer element type of at most 32 bits; `None` for other types.
    pub fn of_dtype(dtype: DType) -> Option<Range> {
        let (low, high) = dtype.integer_range().filter(|_| dtype.bits() <= 32)?;
        Some(Range { low: low as i64, high: high as i64 })
    }

    /// The smallest range that contains both.
    #[must_use]
    pub fn or(self, other: Range) -> Range {
        Range { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// The range of a sum of `count` integers in this range.
    pub fn times(self, count: i64) -> Option<Range> {
        Range::spanning([self.low.checked_mul(count)?, self.high.checked_mul(count)?])
    }

    /// The range of magnitudes, starting at zero.
    pub fn magnitudes(self) -> Option<Range> {
        Range::spanning([0, self.low.saturating_abs(), self.high.saturating_abs()])
    }

    /// Whether `other` contains this range.
    pub fn is_within(self, other: Range) -> bool {
        other.low <= self.low && self.high <= other.high
    }

    /// Whether an element type represents each of these integers exactly.
    pub fn is_exact_in(self, dtype: DType) -> bool {
        match dtype.integers_exact() {
            Some(all) => self.is_within(all),
            None => false,
        }
    }
}

impl DType {
    /// The contiguous integers around zero that an element type represents exactly; `None` if it has no usable ones.
    fn integers_exact(self) -> Option<Range> {
        let digits = match self {
            DType::F64 => 53,
            DType::F32 => 24,
            DType::F16 => 11,
            DType::BF16 => 8,
            DType::F8E4M3FN => 4,
            DType::F8E5M2 => 3,
            DType::F4E2M1FN => 2,
            _ => return Range::of_dtype(self),
        };
        Some(Range { low: -(1 << digits), high: 1 << digits })
    }
}

/// The range of an operation's result after conversion to its element type: values that the type cannot represent wrap or are rounded.
pub(crate) fn settled(range: Option<Range>, ty: &TensorType) -> Option<Range> {
    range.filter(|r| r.is_exact_in(ty.dtype)).or(Range::of_dtype(ty.dtype))
}

impl Function {
    /// The ranges of the results, given the ranges of the parameters.
    pub(crate) fn ranges(&self, inputs: &[Option<Range>]) -> Vec<Option<Range>> {
        let mut known: Vec<Vec<Option<Range>>> = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.iter().enumerate() {
            if node.op.downcast::<Parameter>().is_some() {
                known.push(vec![settled(inputs[index], &node.types[0])]);
                continue;
            }
            let ins: Vec<Option<Range>> = node.operands.iter().map(|v| known[v.node][v.output]).collect();
            let types: Vec<TensorType> = node.operands.iter().map(|&v| self.ty(v).clone()).collect();
            known.push(node.ranges(&ins, &types));
        }
        self.results.iter().map(|v| known[v.node][v.output]).collect()
    }
}

impl crate::graph::function::Node {
    /// The ranges of the node's outputs.
    pub(crate) fn ranges(&self, ins: &[Option<Range>], types: &[TensorType]) -> Vec<Option<Range>> {
        let mut found = self.op.range(&Ranges { ins, types }).into_iter();
        self.types.iter().map(|ty| settled(found.next().flatten(), ty)).collect()
    }
}
