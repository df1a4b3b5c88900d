//! Loops of recurrent neurons: each step's spikes reach the neurons of the same sample through a matrix; in the backward pass, their
//! cotangents do.

use spiq_hlo::{DType, DotGeneral, Function, Graph, Node, Scan, Tensor, Value, trace_body};

use super::body::program_of;
use crate::contract::call::KernelCall;
use crate::contract::fused_product::{FusedProduct, Left};
use crate::contract::lane_op::LaneOp;
use crate::contract::lane_program::{Instruction, LaneProgram, Slot};

/// A loop of recurrent neurons as a program whose last sequence is a product of spikes or results of each step.
pub(super) struct RecurrentLoop {
    pub(super) program: LaneProgram,
    pub(super) product: FusedProduct,
    /// The operands of the call: those of the loop except for the matrix, and then the matrix.
    pub(super) operands: Vec<Tensor>,
}

/// Whether a loop has one product of values that a step computes, so that it may become a kernel.
pub(super) fn has_recurrent_product(scan: &Scan) -> bool {
    Within::of(scan).is_some()
}

/// The loop, if its steps are elementwise except for one product of spikes or of other values that the step computes.
pub(super) fn recurrent(scan: &Scan, operands: &[Tensor]) -> Option<RecurrentLoop> {
    let body = scan.body();
    let within = Within::of(scan)?;
    let matrix = operands[within.matrix.node].clone();
    let parts = scan.parts(operands);
    let graph = operands[0].graph();
    // The product becomes one more sequence, which the call does not read from memory.
    let ty = body.ty(Value { node: within.product, output: 0 });
    let placeholder = graph.zeros(ty.with_dims([&[scan.length()], &ty.dims[..]].concat()));
    let rows = [parts.xs, &[placeholder]].concat();
    let changed = within.changed(body);
    let consts: Vec<Tensor> =
        (0..parts.consts.len()).filter(|at| *at != within.matrix.node).map(|at| parts.consts[at].clone()).collect();
    let step = |graph: &Graph, carry: &[Tensor], rows: &[Tensor]| {
        let mut results = changed.call(graph, &[&consts, carry, rows].concat());
        let ys = results.split_off(scan.carries());
        (results, ys)
    };
    let ranges = vec![None; scan.carries()];
    let (whole, mut operands) = graph
        .attempt(|| trace_body(graph, parts.carries, &ranges, &rows, scan.length(), scan.is_reverse(), step).ok())?;
    let mut program = program_of(&whole).ok()?;
    // The left factor is the last output of the changed step.
    let (factor, _) = program.outputs.pop()?;
    let slice = program.slices.len() - 1;
    let (program, of) = match factor {
        Slot::Result(of) => (program, of),
        Slot::Carry(_) if !within.masked => (with_copy(program, factor), 0),
        _ => return None,
    };
    let reads = |instruction: &Instruction| instruction.operands.contains(&Slot::Slice(slice));
    if program.instructions[..=of].iter().any(reads) {
        return None;
    }
    operands.pop();
    operands.push(matrix);
    let [columns, width] = within.sizes;
    let left = if within.masked { Left::Spikes(of) } else { Left::Results(of) };
    Some(RecurrentLoop { program, product: FusedProduct { slice, columns, width, left }, operands })
}

/// The program with a copy of a slot as its first instruction.
fn with_copy(mut program: LaneProgram, slot: Slot) -> LaneProgram {
    let operands = program.instructions.iter_mut().flat_map(|instruction| &mut instruction.operands);
    let results = program.carries.iter_mut().chain(program.outputs.iter_mut().map(|(slot, _)| slot));
    for slot in operands.chain(results) {
        if let Slot::Result(number) = slot {
            *number += 1;
        }
    }
    program.instructions.insert(0, Instruction::new(LaneOp::Copy, &[slot]));
    program
}

/// The one product of a step: the matrix is the same in each step and has no other reader.
struct Within {
    /// The node of the product.
    product: usize,
    left: Value,
    matrix: Value,
    sizes: [usize; 2],
    /// Whether the left factor is a mask, and the matrix has a row for each of its columns; otherwise for each column of the product.
    masked: bool,
}

impl Within {
    fn of(scan: &Scan) -> Option<Within> {
        let body = scan.body();
        let is_product = |node: &Node| {
            node.op.downcast::<DotGeneral>().is_some()
                || KernelCall::of(node.op.as_ref()).is_some_and(|call| matches!(call, KernelCall::Product(_)))
        };
        let mut products = (0..body.nodes().len()).filter(|at| is_product(&body.nodes()[*at]));
        let product = products.next()?;
        if products.next().is_some() {
            return None;
        }
        let node = &body.nodes()[product];
        let &[left, matrix] = node.operands.as_slice() else { return None };
        let (sizes, masked) = match KernelCall::of(node.op.as_ref()) {
            Some(KernelCall::Product(sizes)) if !sizes.over_rows => ([sizes.columns, sizes.width], true),
            Some(_) => return None,
            None => (sizes(body, node)?, false),
        };
        let lanes = &body.ty(left).dims;
        let read = body.nodes().iter().flat_map(|node| &node.operands).chain(body.results());
        let fits = sizes[0] == sizes[1]
            && node.types[0].dims == *lanes
            && matrix.node < scan.consts()
            && read.filter(|read| **read == matrix).count() == 1;
        fits.then_some(Within { product, left, matrix, sizes, masked })
    }

    /// The body with the product as its last input instead of the matrix, and its left factor as an additional result.
    fn changed(&self, body: &Function) -> Function {
        let inputs = body.input_names().len();
        let place = |value: &Value| {
            let node = match value.node {
                node if node == self.product => inputs - 1,
                node if node < inputs => node - usize::from(node > self.matrix.node),
                node => node - usize::from(node > self.product),
            };
            Value { node, output: value.output }
        };
        let moved = |node: &Node| Node { operands: node.operands.iter().map(place).collect(), ..node.clone() };
        let (given, computed) = body.nodes().split_at(inputs);
        let mut nodes: Vec<Node> =
            given.iter().enumerate().filter(|(at, _)| *at != self.matrix.node).map(|(_, node)| node.clone()).collect();
        nodes.push(Node { types: body.nodes()[self.product].types.clone(), ..given[self.matrix.node].clone() });
        nodes.extend(
            computed.iter().enumerate().filter(|(at, _)| at + inputs != self.product).map(|(_, node)| moved(node)),
        );
        let results = body.results().iter().chain([&self.left]).map(place).collect();
        Function::from_parts(nodes, vec![String::new(); inputs], results)
    }
}

/// Columns and width of a dense product of rows and the rows of a matrix, in f32 or in bf16 with sums in f32.
fn sizes(body: &Function, node: &Node) -> Option<[usize; 2]> {
    let dot = node.op.downcast::<DotGeneral>()?;
    let [left, right] = [0, 1].map(|i| body.ty(node.operands[i]));
    let rows = dot.dims.lhs_batch.is_empty()
        && right.rank() == 2
        && left.rank().checked_sub(1).is_some_and(|last| dot.dims.lhs_contract == [last])
        && dot.dims.rhs_contract == [1];
    let types = left.dtype == right.dtype && matches!(left.dtype, DType::F32 | DType::BF16) && dot.out == DType::F32;
    (rows && types).then(|| [right.dims[1], right.dims[0]])
}
