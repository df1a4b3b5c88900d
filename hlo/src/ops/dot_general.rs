//! General matrix products: any batch and contracting axes.

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::shard::{Laid, Local, Split};
use crate::graph::tensor::Tensor;
use crate::ops::promotion;
use crate::ops::sample::Sample;
use crate::print::PRECISION_CONFIG;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// The pairing of the operands' axes. The result has the batch axes, then the left's free axes, then the right's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DotDims {
    /// Batch axes of the left operand.
    pub lhs_batch: Vec<usize>,
    /// Batch axes of the right operand.
    pub rhs_batch: Vec<usize>,
    /// Contracting axes of the left operand.
    pub lhs_contract: Vec<usize>,
    /// Contracting axes of the right operand.
    pub rhs_contract: Vec<usize>,
}

impl DotDims {
    /// Contracts the last axis of the left with the first of the right, as in `x @ w` for a matrix `w`.
    pub fn matmul(lhs_rank: usize) -> DotDims {
        DotDims { lhs_contract: vec![lhs_rank.saturating_sub(1)], rhs_contract: vec![0], ..DotDims::default() }
    }

    /// Free axes of the left operand of this rank: neither batch nor contracting.
    pub fn lhs_free(&self, rank: usize) -> Vec<usize> {
        free(rank, &self.lhs_batch, &self.lhs_contract)
    }

    /// Free axes of the right operand of this rank: neither batch nor contracting.
    pub fn rhs_free(&self, rank: usize) -> Vec<usize> {
        free(rank, &self.rhs_batch, &self.rhs_contract)
    }

    fn attribute(&self) -> String {
        let list = |axes: &[usize]| axes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let mut parts = Vec::new();
        if !self.lhs_batch.is_empty() {
            parts.push(format!("lhs_batching_dimensions = [{}]", list(&self.lhs_batch)));
            parts.push(format!("rhs_batching_dimensions = [{}]", list(&self.rhs_batch)));
        }
        parts.push(format!("lhs_contracting_dimensions = [{}]", list(&self.lhs_contract)));
        parts.push(format!("rhs_contracting_dimensions = [{}]", list(&self.rhs_contract)));
        format!("#stablehlo.dot<{}>", parts.join(", "))
    }

    fn check(&self, lhs: &TensorType, rhs: &TensorType) -> Result<(), Violation> {
        let fail = |constraint, message: String| Err(Violation::new(constraint, message));
        let pairs = |a: &[usize], b: &[usize]| format!("{a:?} of lhs {lhs} with {b:?} of rhs {rhs}");
        if self.lhs_batch.len() != self.rhs_batch.len() {
            return fail("C1", format!("batches {}", pairs(&self.lhs_batch, &self.rhs_batch)));
        }
        if self.lhs_contract.len() != self.rhs_contract.len() {
            return fail("C2", format!("contracts {}", pairs(&self.lhs_contract, &self.rhs_contract)));
        }
        for (constraint, ty, batch, contract) in
            [("C3", lhs, &self.lhs_batch, &self.lhs_contract), ("C4", rhs, &self.rhs_batch, &self.rhs_contract)]
        {
            let axes: Vec<usize> = batch.iter().chain(contract).copied().collect();
            if (1..axes.len()).any(|i| axes[..i].contains(&axes[i])) {
                return fail(constraint, format!("{axes:?} names an axis of {ty} twice"));
            }
        }
        for (constraint, ty, axes) in [
            ("C5", lhs, &self.lhs_batch),
            ("C6", lhs, &self.lhs_contract),
            ("C7", rhs, &self.rhs_batch),
            ("C8", rhs, &self.rhs_contract),
        ] {
            if let Some(axis) = axes.iter().find(|&&a| a >= ty.rank()) {
                return fail(constraint, format!("axis {axis} is not an axis of {ty}"));
            }
        }
        for (constraint, verb, left, right) in [
            ("C9", "pair", &self.lhs_batch, &self.rhs_batch),
            ("C10", "contract", &self.lhs_contract, &self.rhs_contract),
        ] {
            let unequal = left.iter().zip(right).find(|(l, r)| lhs.dims[**l] != rhs.dims[**r]);
            if let Some((&l, &r)) = unequal {
                let (l, r) = (lhs.dims[l], rhs.dims[r]);
                return fail(constraint, format!("lhs {lhs} and rhs {rhs} {verb} {l} with {r}"));
            }
        }
        Ok(())
    }
}

fn free(rank: usize, batch: &[usize], contract: &[usize]) -> Vec<usize> {
    (0..rank).filter(|a| !batch.contains(a) && !contract.contains(a)).collect()
}

/// A general dot product; the operands may differ from the result in element type. One operand may also be boolean while the other
/// holds numbers (it counts as 0 and 1), or `s8` while the other holds floats; it is converted during lowering.
#[derive(Clone, Debug, PartialEq)]
pub struct DotGeneral {
    /// The pairing of axes.
    pub dims: DotDims,
    /// Element type of the result and of the accumulator.
    pub out: DType,
    /// The function that the user called: `dot_general`, or another function of this crate that is implemented with dot products. It does
    /// not affect the result.
    pub call: &'static str,
}

impl DotGeneral {
    /// A dot product from a direct call of `dot_general`.
    pub fn new(dims: DotDims, out: DType) -> DotGeneral {
        DotGeneral { dims, out, call: NAME }
    }
}

const NAME: &str = "dot_general";

impl Op for DotGeneral {
    fn name(&self) -> &'static str {
        NAME
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let (lhs, rhs) = (&operands[0], &operands[1]);
        self.dims.check(lhs, rhs)?;
        if promoted(operands).is_none() && lhs.dtype.is_float() != rhs.dtype.is_float() {
            return Err(Violation::new("C13", format!("lhs {lhs} and rhs {rhs} mix floats and integers")));
        }
        let mut dims: Vec<usize> = self.dims.lhs_batch.iter().map(|&a| lhs.dims[a]).collect();
        dims.extend(self.dims.lhs_free(lhs.rank()).iter().map(|&a| lhs.dims[a]));
        dims.extend(self.dims.rhs_free(rhs.rank()).iter().map(|&a| rhs.dims[a]));
        Ok(vec![TensorType::new(self.out, dims)])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        let precision = "#stablehlo<precision DEFAULT>";
        vec![
            ("dot_dimension_numbers", self.dims.attribute()),
            (PRECISION_CONFIG, format!("[{precision}, {precision}]")),
        ]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, lhs, rhs) = (reverse.ct(), &reverse.ins[0], &reverse.ins[1]);
        let needs = |i: usize| reverse.needs[i] && reverse.ins[i].dtype().is_float();
        vec![
            needs(0).then(|| self.dims.lhs_cotangent(ct, lhs, rhs)),
            needs(1).then(|| self.dims.rhs_cotangent(ct, lhs, rhs)),
        ]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        Some(vec![self.mapped_dot(mapped)])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        // If both are divided in ways that do not fit each other, the smaller one is gathered.
        let count = |i: &usize| local.ins[*i].tensor.ty().count();
        let main = [0, 1].into_iter().filter(|&i| local.split(i).is_some()).max_by_key(count)?;
        Some(vec![self.divided(local, main, local.split(main)?)])
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn is_stablehlo(&self, operands: &[TensorType]) -> bool {
        promoted(operands).is_none()
    }
    // Lowered last, so that a kernel can still read the operand as bytes.
    fn lowers_last(&self, operands: &[TensorType]) -> bool {
        promoted(operands).is_some()
    }
    fn lower(&self, operands: &[Tensor]) -> Option<Vec<Tensor>> {
        let types: Vec<TensorType> = operands.iter().map(|t| t.ty().clone()).collect();
        let narrow = promoted(&types)?;
        let mut numbers = operands.to_vec();
        numbers[narrow] = as_numbers(&operands[narrow], types[1 - narrow].dtype);
        Some(vec![self.on(&numbers[0], &numbers[1], self.dims.clone())])
    }
}

/// The operand that is promoted to the other one's type, if any.
fn promoted(operands: &[TensorType]) -> Option<usize> {
    [0, 1].into_iter().find(|&i| promotion::gives_way(operands[i].dtype, operands[1 - i].dtype))
}

/// Converts an operand to the other one's element type. A conversion to 8 bits gets a barrier: if a compiler fuses it into the product,
/// the TPU's 8-bit matrix units are not used.
fn as_numbers(operand: &Tensor, dtype: DType) -> Tensor {
    let numbers = operand.convert(dtype);
    if dtype.bits() <= 8 { numbers.optimization_barrier() } else { numbers }
}

fn shifted(axes: &[usize]) -> Vec<usize> {
    axes.iter().map(|a| a + 1).collect()
}

impl DotGeneral {
    /// The product on one of several devices, which divide operand `main` in this way.
    fn divided(&self, local: &Local, main: usize, split: Split) -> Laid {
        let (other, d) = (1 - main, &self.dims);
        let (batch, contract) = ([&d.lhs_batch, &d.rhs_batch], [&d.lhs_contract, &d.rhs_contract]);
        let free = [d.lhs_free(local.ins[0].tensor.rank()), d.rhs_free(local.ins[1].tensor.rank())];
        let place = |axes: &[usize]| axes.iter().position(|&axis| axis == split.axis);
        let product = |beside: Tensor| {
            let mut operands = [beside.clone(), beside];
            operands[main] = local.ins[main].tensor.clone();
            local.on(&operands).swap_remove(0)
        };
        if let Some(pair) = place(contract[main]) {
            let parts = product(local.part(other, split.at(contract[other][pair])));
            return Laid::whole(parts.sum_over_devices(local.devices()));
        }
        if let Some(pair) = place(batch[main]) {
            return Laid::part(product(local.part(other, split.at(batch[other][pair]))), split.at(pair));
        }
        let before = batch[0].len() + if main == 1 { free[0].len() } else { 0 };
        let place = place(&free[main]).expect("an axis is a batch, contracting or free axis");
        Laid::part(product(local.whole(other)), split.at(before + place))
    }

    /// The sum over the leading axis of both operands, which it divides, of these dot products, as one that contracts that axis as well.
    pub(crate) fn summed(&self, lhs: &Tensor, rhs: &Tensor) -> Tensor {
        let also = |axes: &[usize]| std::iter::once(0).chain(shifted(axes)).collect();
        let dims = DotDims {
            lhs_batch: shifted(&self.dims.lhs_batch),
            rhs_batch: shifted(&self.dims.rhs_batch),
            lhs_contract: also(&self.dims.lhs_contract),
            rhs_contract: also(&self.dims.rhs_contract),
        };
        contract_leading(lhs, rhs, &dims, self.out)
    }

    /// The same operation with other dimension numbers.
    fn on(&self, lhs: &Tensor, rhs: &Tensor, dims: DotDims) -> Tensor {
        lhs.graph().apply(DotGeneral { dims, ..self.clone() }, &[lhs, rhs])
    }

    fn mapped_dot(&self, mapped: &Mapped) -> Tensor {
        let (lhs, rhs) = (&mapped.ins[0], &mapped.ins[1]);
        let d = &self.dims;
        let left = DotDims { lhs_batch: shifted(&d.lhs_batch), lhs_contract: shifted(&d.lhs_contract), ..d.clone() };
        let right = DotDims { rhs_batch: shifted(&d.rhs_batch), rhs_contract: shifted(&d.rhs_contract), ..d.clone() };
        let (batches, lhs_rank) = (d.lhs_batch.len(), lhs.rank());
        match (mapped.mapped[0], mapped.mapped[1]) {
            // The new axis is the first free axis of its operand: it follows the batch axes, or the batch axes and the left's free
            // axes, and is moved to the front.
            (true, false) => self.on(lhs, rhs, left).move_axis(batches as isize, 0),
            (false, true) => self.on(lhs, rhs, right).move_axis((lhs_rank - d.lhs_contract.len()) as isize, 0),
            _ => {
                let axis = |axes: &[usize]| std::iter::once(0).chain(shifted(axes)).collect();
                let both = DotDims {
                    lhs_batch: axis(&d.lhs_batch),
                    rhs_batch: axis(&d.rhs_batch),
                    lhs_contract: left.lhs_contract,
                    rhs_contract: right.rhs_contract,
                };
                self.on(lhs, rhs, both)
            }
        }
    }
}

/// The sum over the first batch axis of a dot product, as a dot product that contracts that axis. `None` if the tensor is not one.
pub(crate) fn sum_of_products(tensor: &Tensor) -> Option<Tensor> {
    let node = tensor.graph().node(tensor.value().node);
    let dot = node.op.downcast::<DotGeneral>().filter(|dot| !dot.dims.lhs_batch.is_empty())?;
    let mut dims = dot.dims.clone();
    let (l, r) = (dims.lhs_batch.remove(0), dims.rhs_batch.remove(0));
    dims.lhs_contract.insert(0, l);
    dims.rhs_contract.insert(0, r);
    let [lhs, rhs] = [0, 1].map(|i| tensor.graph().tensor(node.operands[i]));
    Some(contract_leading(&lhs, &rhs, &dims, dot.out))
}

/// The same dot product; if it contracts leading axes of both operands, these are merged into one axis first. XLA's fast matrix
/// routine takes a product of two matrices without a copy; a product of higher rank is transposed in memory first.
fn contract_leading(lhs: &Tensor, rhs: &Tensor, dims: &DotDims, out: DType) -> Tensor {
    let count = dims.lhs_contract.len();
    let leading = |axes: &[usize]| axes.iter().copied().eq(0..count);
    if count < 2 || !dims.lhs_batch.is_empty() || !leading(&dims.lhs_contract) || !leading(&dims.rhs_contract) {
        return lhs.dot_general(rhs, dims, out);
    }
    let merged = |t: &Tensor| {
        let (joined, rest) = t.dims().split_at(count);
        t.reshape(&[&[joined.iter().product()], rest].concat())
    };
    let one = DotDims { lhs_contract: vec![0], rhs_contract: vec![0], ..DotDims::default() };
    merged(lhs).dot_general(&merged(rhs), &one, out)
}

impl DotDims {
    /// Dimension numbers of the dot product of the result's cotangent with one operand that computes the cotangent of operand `of` (0
    /// or 1), and the permutation of its axes into that operand's order. `ranks` are those of both operands.
    pub fn of_cotangent(&self, of: usize, ranks: [usize; 2]) -> (DotDims, Vec<usize>) {
        let batch = [&self.lhs_batch, &self.rhs_batch];
        let contract = [&self.lhs_contract, &self.rhs_contract];
        let free = [self.lhs_free(ranks[0]), self.rhs_free(ranks[1])];
        let other = 1 - of;
        // The cotangent's axes: the batch axes, then the left's free axes, then the right's.
        let batches = batch[0].len();
        let middle = batches + free[0].len();
        let places = [batches..middle, middle..middle + free[1].len()];
        // The contracted axes of the other operand remain, in their own order.
        let contracted = in_order_of(contract[other], contract[of]);
        let order: Vec<usize> = batch[of].iter().chain(&free[of]).chain(&contracted).copied().collect();
        let dims = DotDims {
            lhs_batch: (0..batches).collect(),
            rhs_batch: batch[other].clone(),
            lhs_contract: places[other].clone().collect(),
            rhs_contract: free[other].clone(),
        };
        (dims, inverse(&order))
    }

    /// The cotangent of the left operand: the product of `ct` and the right one, transposed to the left's axis order.
    pub fn lhs_cotangent(&self, ct: &Tensor, lhs: &Tensor, rhs: &Tensor) -> Tensor {
        let (dims, order) = self.of_cotangent(0, [lhs.rank(), rhs.rank()]);
        ct.dot_general(rhs, &dims, lhs.dtype()).transpose(&order)
    }

    /// The cotangent of the right operand: the product of `ct` and the left one, transposed to the right's axis order.
    pub fn rhs_cotangent(&self, ct: &Tensor, lhs: &Tensor, rhs: &Tensor) -> Tensor {
        let (batch, lhs_free) = (self.lhs_batch.len(), self.lhs_free(lhs.rank()));
        let dims = DotDims {
            lhs_batch: self.lhs_batch.clone(),
            rhs_batch: (0..batch).collect(),
            lhs_contract: lhs_free.clone(),
            rhs_contract: (batch..batch + lhs_free.len()).collect(),
        };
        let contracted = in_order_of(&self.lhs_contract, &self.rhs_contract);
        let order: Vec<usize> =
            self.rhs_batch.iter().chain(&contracted).chain(&self.rhs_free(rhs.rank())).copied().collect();
        contract_leading(lhs, ct, &dims, rhs.dtype()).transpose(&inverse(&order))
    }
}

/// `values`, sorted by the `keys` they are paired with.
fn in_order_of(keys: &[usize], values: &[usize]) -> Vec<usize> {
    let mut pairs: Vec<(usize, usize)> = keys.iter().copied().zip(values.iter().copied()).collect();
    pairs.sort_unstable();
    pairs.into_iter().map(|(_, value)| value).collect()
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(at, &axis)| inverse[axis] = at);
    inverse
}

impl Tensor {
    /// A dot product that accumulates in `out`. Spec: dot_general.
    #[track_caller]
    pub fn dot_general(&self, rhs: &Tensor, dims: &DotDims, out: DType) -> Tensor {
        self.graph().apply(DotGeneral::new(dims.clone(), out), &[self, rhs])
    }

    /// A dot product in this tensor's element type (in the other's if this one is promoted), as part of a call of another function.
    #[track_caller]
    pub(crate) fn dot_in(&self, call: &'static str, rhs: &Tensor, dims: DotDims) -> Tensor {
        let out = promotion::multiplied(self.dtype(), rhs.dtype());
        if let Err(violation) = promotion::holds_products(self.ty(), rhs.ty(), out) {
            return self.fail(call, violation);
        }
        self.graph().apply(DotGeneral { dims, out, call }, &[self, rhs])
    }

    /// Contracts the last axis of this tensor with the first of `rhs`, `x @ w`. The result has this tensor's element type, or that of
    /// `rhs` if this tensor is boolean, or `s8` with floats in `rhs`.
    #[track_caller]
    pub fn dot(&self, rhs: &Tensor) -> Tensor {
        self.dot_in(NAME, rhs, DotDims::matmul(self.rank()))
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let batched =
        DotDims { lhs_batch: vec![1], rhs_batch: vec![0], lhs_contract: vec![3, 0], rhs_contract: vec![1, 3] };
    vec![
        Sample::new("dot_general", |x| vec![x[0].dot(&x[1])]).input(f, [2, 3], -1.0, 1.0).input(f, [3, 4], -1.0, 1.0),
        Sample::new("dot_general over leading axes", |x| vec![x[0].dot(&x[1])]).input(f, [2, 5, 3], -1.0, 1.0).input(
            f,
            [3, 4],
            -1.0,
            1.0,
        ),
        Sample::new("dot_general with batch and two contracting axes", move |x| {
            vec![x[0].dot_general(&x[1], &batched, DType::F64)]
        })
        .input(f, [2, 3, 4, 5], -1.0, 1.0)
        .input(f, [3, 5, 6, 2], -1.0, 1.0),
        Sample::new("dot_general of booleans and floats", |x| {
            let mask = x[0].gt(0.0);
            let gradient = DotDims { lhs_contract: vec![0], rhs_contract: vec![0], ..DotDims::default() };
            vec![mask.dot(&x[1]), x[2].dot_general(&mask, &gradient, DType::F64)]
        })
        .input(f, [4, 3], -1.0, 1.0)
        .input(f, [3, 5], -1.0, 1.0)
        .input(f, [4, 2], -1.0, 1.0),
        Sample::new("dot_general of s8 and floats", |x| {
            let bytes = x[0].convert(DType::S8);
            let gradient = DotDims { lhs_contract: vec![0], rhs_contract: vec![0], ..DotDims::default() };
            let out = DType::F64;
            vec![bytes.dot_general(&x[1], &DotDims::matmul(2), out), x[2].dot_general(&bytes, &gradient, out)]
        })
        .input(f, [4, 3], -9.0, 9.0)
        .input(f, [3, 5], -1.0, 1.0)
        .input(f, [4, 2], -1.0, 1.0)
        .forward_only(),
        Sample::new("dot_general of booleans and s8", |x| {
            vec![x[0].ne(0.0).dot_general(&x[1], &DotDims::matmul(2), DType::S32)]
        })
        .input(DType::S8, [2, 40], 0.0, 1.0)
        .input(DType::S8, [40, 3], -128.0, 127.0)
        .forward_only(),
        Sample::new("dot_general s8 to s32", |x| vec![x[0].dot_general(&x[1], &DotDims::matmul(2), DType::S32)])
            .input(DType::S8, [2, 40], -128.0, 127.0)
            .input(DType::S8, [40, 3], -128.0, 127.0)
            .forward_only(),
    ]
}
