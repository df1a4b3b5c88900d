//! Loops of recurrent neurons: each step's spikes reach the neurons of the same sample through a matrix.

use spiq_hlo::{Function, Graph, Node, Scan, Tensor, Value, trace_body};

use super::body::program_of;
use crate::contract::call::KernelCall;
use crate::contract::fused_product::{FusedProduct, Left};
use crate::contract::lane_program::{Instruction, LaneProgram, Slot};

/// A loop of recurrent neurons as a program whose last sequence is a product of the spikes of each step.
pub(super) struct RecurrentLoop {
    pub(super) program: LaneProgram,
    pub(super) product: FusedProduct,
    /// The operands of the call: those of the loop except for the matrix, and then the matrix.
    pub(super) operands: Vec<Tensor>,
}

/// The loop, if its steps are elementwise except for one masked product of spikes that the step computes.
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
    // The spikes are the last output of the changed step.
    let Some((Slot::Result(of), _)) = program.outputs.pop() else { return None };
    let slice = program.slices.len() - 1;
    let reads = |instruction: &Instruction| instruction.operands.contains(&Slot::Slice(slice));
    if program.instructions[..=of].iter().any(reads) {
        return None;
    }
    operands.pop();
    operands.push(matrix);
    let [columns, width] = within.sizes;
    let product = FusedProduct { slice, columns, width, left: Left::Spikes(of) };
    Some(RecurrentLoop { program, product, operands })
}

/// The one masked product of a step: the matrix is the same in each step and has no other reader.
struct Within {
    /// The node of the product.
    product: usize,
    spikes: Value,
    matrix: Value,
    sizes: [usize; 2],
}

impl Within {
    fn of(scan: &Scan) -> Option<Within> {
        let body = scan.body();
        let call = |(at, node): (usize, &Node)| match KernelCall::of(node.op.as_ref())? {
            KernelCall::Product(product) => Some((at, product)),
            KernelCall::Loop(..) | KernelCall::Convolution(_) => None,
        };
        let mut calls = body.nodes().iter().enumerate().filter_map(call);
        let (product, sizes) = calls.next()?;
        if calls.next().is_some() {
            return None;
        }
        let node = &body.nodes()[product];
        let &[spikes, matrix] = node.operands.as_slice() else { return None };
        let lanes = &body.ty(spikes).dims;
        let read = body.nodes().iter().flat_map(|node| &node.operands).chain(body.results());
        let fits = !sizes.over_rows
            && sizes.columns == sizes.width
            && node.types[0].dims == *lanes
            && matrix.node < scan.consts()
            && read.filter(|read| **read == matrix).count() == 1;
        fits.then_some(Within { product, spikes, matrix, sizes: [sizes.columns, sizes.width] })
    }

    /// The body with the product as its last input instead of the matrix, and the spikes as an additional result.
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
        let results = body.results().iter().chain([&self.spikes]).map(place).collect();
        Function::from_parts(nodes, vec![String::new(); inputs], results)
    }
}
