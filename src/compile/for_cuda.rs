//! Rewrites for XLA's compiler for NVIDIA cards: operations that it lacks, that it computes inexactly, or that are slow as written.

use spiq_hlo::{Convolution, CustomCall, DType, DotGeneral, Function, GraphErrors, Node, Tensor};

/// The function with convolutions of small integers in floats that hold all their sums: in bf16 with sums in f32, or else in f64. cuDNN,
/// which computes convolutions on NVIDIA cards, has none with sums in s32. Those whose sums may exceed 2^53 stay.
pub(super) fn integer_convolutions_in_floats(function: &Function) -> Result<Function, GraphErrors> {
    function.transform(&mut |node, operands| in_floats(node, operands))
}

fn in_floats(node: &Node, operands: &[Tensor]) -> Option<Vec<Tensor>> {
    let conv = node.op.downcast::<Convolution>()?;
    let (x, kernel) = (&operands[0], &operands[1]);
    if conv.out.is_float() || x.is_poison() || kernel.is_poison() {
        return None;
    }
    let [of_x, of_kernel] = [magnitude(x)?, magnitude(kernel)?];
    let axes = &conv.dims.kernel;
    let count = axes.window.iter().chain([&axes.feature]).map(|&axis| kernel.dims()[axis] as i64).product::<i64>();
    let largest = of_x.checked_mul(of_kernel)?.checked_mul(count)?;
    let (narrow, sums) = match largest {
        ..=IN_F32 if of_x.max(of_kernel) <= IN_BF16 => (DType::BF16, DType::F32),
        ..=IN_F64 => (DType::F64, DType::F64),
        _ => return None,
    };
    let floats = Convolution { out: sums, ..conv.clone() };
    let summed = x.convert(narrow).convolution(&kernel.convert(narrow), &floats);
    // An algorithm that transforms its operands (Winograd's) is off by less than a half.
    Some(vec![summed.round_nearest_even().convert(conv.out)])
}

/// The largest integers up to which each type holds all.
const IN_BF16: i64 = 1 << 8;
const IN_F32: i64 = 1 << 24;
const IN_F64: i64 = 1 << 53;

fn magnitude(operand: &Tensor) -> Option<i64> {
    Some(operand.range()?.magnitudes()?.high)
}

/// The function with correctly rounded quotients of small f32 arrays, such as scales. XLA divides f32 approximately on NVIDIA cards unless an
/// option for LLVM says otherwise, which not every plugin passes on. A scale that is off by one unit in the last place moves the largest weight of a
/// channel by a whole level: it lies on a tie, because qwix scales it to 127.5 (7.5 in int4).
pub(super) fn exact_small_quotients(function: &Function) -> Result<Function, GraphErrors> {
    function.transform(&mut |node, operands| {
        let ty = &node.types[0];
        let scales = node.op.name() == "divide" && ty.dtype == DType::F32 && ty.count() <= SMALL;
        scales.then(|| vec![quotient(&operands[0], &operands[1])])
    })
}

/// The correctly rounded quotient of f32, from an approximate reciprocal. Two of Newton's steps in f64 leave an error of some 2^-52, and no
/// quotient of two f32 is closer than 2^-49 to the middle between two f32. (LLVM would compute a division in f64 in f32, as it has the same result.)
fn quotient(a: &Tensor, b: &Tensor) -> Tensor {
    let [x, y] = [a, b].map(|t| t.convert(DType::F64));
    let start = (1.0 / b).convert(DType::F64);
    let reciprocal = (0..2).fold(start.clone(), |r, _| &r + &r * (1.0 - &r * &y));
    let exact = (x * reciprocal).convert(DType::F32);
    // The steps lead nowhere from 0, and give NaN where the reciprocal is not finite.
    let leads = start.ne(0.0).and(exact.eq(&exact));
    leads.select(&exact, &(a / b))
}

/// Number of elements up to which arrays are small.
const SMALL: usize = 1 << 16;

/// The function with the contracted axis of 8-bit products padded by zeros to a multiple of [`STRIDE`]. Otherwise rows start at addresses that
/// the matrix units cannot read 16 bytes from, and cuBLAS takes kernels of an older card, at half the speed.
pub(super) fn padded_products(function: &Function) -> Result<Function, GraphErrors> {
    function.transform(&mut |node, operands| padded(node, operands))
}

/// Bytes to whose multiple rows are padded, and the shortest row for which that pays off.
const STRIDE: usize = 16;
const SHORTEST: usize = 4 * STRIDE;

fn padded(node: &Node, operands: &[Tensor]) -> Option<Vec<Tensor>> {
    let dot = node.op.downcast::<DotGeneral>()?;
    let (lhs, rhs) = (&operands[0], &operands[1]);
    let (&left, &right) = (dot.dims.lhs_contract.last()?, dot.dims.rhs_contract.last()?);
    let bytes = |t: &Tensor| !t.is_poison() && t.dtype().bits() == 8;
    if !(bytes(lhs) && bytes(rhs)) {
        return None;
    }
    let size = lhs.dims()[left];
    let missing = size.next_multiple_of(STRIDE) - size;
    (missing > 0 && size >= SHORTEST)
        .then(|| vec![lhs.graph().apply(dot.clone(), &[&widened(lhs, left, missing), &widened(rhs, right, missing)])])
}

/// The tensor with `missing` zeros at the end of an axis.
fn widened(tensor: &Tensor, axis: usize, missing: usize) -> Tensor {
    let (low, mut high) = (vec![0; tensor.rank()], vec![0; tensor.rank()]);
    high[axis] = missing as i64;
    let zero = tensor.graph().scalar(tensor.dtype(), 0.0);
    tensor.pad(&zero, &low, &high, &vec![0; tensor.rank()])
}

/// The function with small matrices that loops carry in row-major order. The matrix units need the contracted axis of 8-bit operands last, and XLA
/// stores whatever such an operand is computed from in that order as well: weights and their optimizer state, which it transposes whenever a
/// call begins and ends. A small network spends as much time on these launches as on a third of a step; large products gain from the order.
pub(super) fn small_carries_in_row_major_order(function: &Function) -> Result<Function, GraphErrors> {
    function.transform(&mut |node, operands| {
        let is_matrix =
            |t: &Tensor| t.is_body_input() && t.rank() > 1 && t.dtype().is_float() && t.ty().count() <= SMALL;
        let constrained = |t: &Tensor| if is_matrix(t) { row_major(t) } else { t.clone() };
        let matrix = operands.iter().find(|t| is_matrix(t))?;
        Some(matrix.graph().record(node.op.clone(), &operands.iter().map(constrained).collect::<Vec<_>>()))
    })
}

/// The tensor, stored in row-major order. XLA: `LayoutConstraint`.
fn row_major(tensor: &Tensor) -> Tensor {
    let call = CustomCall {
        target: "LayoutConstraint",
        config: Vec::new(),
        outputs: vec![tensor.ty().clone()],
        ranges: vec![tensor.range()],
        map: |_, _| None,
    };
    call.on(tensor.graph(), std::slice::from_ref(tensor)).swap_remove(0)
}
