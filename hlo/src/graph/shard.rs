//! Sharding rules: how an operation runs on several devices, each of which holds a part of some operands.

use std::cell::RefCell;
use std::sync::Arc;

use crate::graph::function::{Function, Node, Value};
use crate::graph::op::Op;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// How an axis is divided over devices: it consists of `blocks` equal blocks, and each device holds its share of every block.
///
/// With one block, device `d` of `n` holds elements `d * size / n` up to `(d + 1) * size / n`. Merging axes gives more: in [T, B] with B
/// divided, merged to [T * B], each of the T blocks is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// The axis.
    pub axis: usize,
    /// The number of blocks.
    pub blocks: usize,
}

impl Split {
    /// An axis of one block.
    pub fn of(axis: usize) -> Split {
        Split { axis, blocks: 1 }
    }

    /// The same division of another axis.
    #[must_use]
    pub fn at(self, axis: usize) -> Split {
        Split { axis, ..self }
    }

    /// The division of a row-major tensor of shape `dims` in which `before` blocks of elements precede the division; `None` if no axis has
    /// it.
    fn after(before: usize, dims: &[usize], devices: usize) -> Option<Split> {
        let mut outer = 1;
        for (axis, &size) in dims.iter().enumerate() {
            let blocks = before / outer;
            if outer * blocks == before && size > 0 && size % (blocks * devices) == 0 {
                return Some(Split { axis, blocks });
            }
            outer *= size.max(1);
        }
        None
    }

    /// The same elements after a reshape of a tensor from these sizes to others.
    pub(crate) fn reshaped(self, from: &[usize], to: &[usize], devices: usize) -> Option<Split> {
        let before = from[..self.axis].iter().product::<usize>() * self.blocks;
        Split::after(before, to, devices)
    }

    /// The sizes of a device's part of a tensor of these sizes.
    pub fn part(self, dims: &[usize], devices: usize) -> Vec<usize> {
        let mut dims = dims.to_vec();
        dims[self.axis] /= devices;
        dims
    }
}

/// A value in the program of one device: the whole of it, the same on all devices, or this device's part.
#[derive(Clone, Debug)]
pub struct Laid {
    /// What the device holds.
    pub tensor: Tensor,
    /// How the whole is divided; `None`: the device holds the whole.
    pub split: Option<Split>,
}

impl Laid {
    /// A value that each device holds in full.
    pub fn whole(tensor: Tensor) -> Laid {
        Laid { tensor, split: None }
    }

    /// A part of a value.
    pub fn part(tensor: Tensor, split: Split) -> Laid {
        Laid { tensor, split: Some(split) }
    }

    /// The sizes of the whole.
    pub(crate) fn dims(&self, devices: usize) -> Vec<usize> {
        let mut dims = self.tensor.dims().to_vec();
        if let Some(split) = self.split {
            dims[split.axis] *= devices;
        }
        dims
    }
}

/// A value that was gathered from all devices, because the operation that reads it has no rule for its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// The operation that reads it.
    pub op: String,
    /// The type of the whole.
    pub ty: TensorType,
    /// The module path of the operation.
    pub scope: String,
}

/// The devices of a sharded program, and what they had to gather.
pub(crate) struct Devices {
    pub(crate) count: usize,
    /// The device whose program it is, if that is known; otherwise one program is for all of them, and asks for its device.
    pub(crate) number: Option<usize>,
    pub(crate) gathered: RefCell<Vec<Gathered>>,
}

impl Devices {
    pub(crate) fn new(count: usize, number: Option<usize>) -> Devices {
        Devices { count, number, gathered: RefCell::default() }
    }

    /// Records a device's part of a function; returns its results.
    pub(crate) fn call(&self, function: &Function, graph: &Graph, args: &[Laid]) -> Vec<Laid> {
        let mut values: Vec<Vec<Laid>> = args.iter().map(|arg| vec![arg.clone()]).collect();
        for node in &function.nodes[args.len()..] {
            let ins: Vec<Laid> = node.operands.iter().map(|&v| pick(&values, v)).collect();
            values.push(graph.as_from(node, || self.node(graph, node, &ins)));
        }
        function.results.iter().map(|&v| pick(&values, v)).collect()
    }

    fn node(&self, graph: &Graph, node: &Node, ins: &[Laid]) -> Vec<Laid> {
        if let Some(poison) = ins.iter().find(|laid| laid.tensor.is_poison()) {
            return vec![Laid::whole(poison.tensor.clone())];
        }
        let local = Local { op: &node.op, ins, devices: self, graph };
        match ins.iter().all(|laid| laid.split.is_none()) {
            true => local.in_full(),
            false => node.op.shard(&local).unwrap_or_else(|| local.in_full()),
        }
    }

    /// How the results of a function are divided, given the types and divisions of its parameters on a device. Records nothing.
    fn result_splits(&self, function: &Function, args: &[(TensorType, Option<Split>)]) -> Vec<Option<Split>> {
        let (graph, trial) = (Graph::new(), Devices::new(self.count, self.number));
        let declare =
            |(ty, split): &(TensorType, Option<Split>)| Laid { tensor: graph.input("", ty.clone()), split: *split };
        let args: Vec<Laid> = args.iter().map(declare).collect();
        trial.call(function, &graph, &args).into_iter().map(|laid| laid.split).collect()
    }

    /// The whole of a value, for an operation.
    fn gather(&self, laid: &Laid, op: &str) -> Tensor {
        let Some(split) = laid.split else { return laid.tensor.clone() };
        let scope = laid.tensor.graph().current_scope().to_string();
        let ty = laid.tensor.ty().with_dims(laid.dims(self.count));
        self.gathered.borrow_mut().push(Gathered { op: op.to_owned(), ty, scope });
        self.joined(&laid.tensor, split)
    }

    /// A result of the program in this division; `None`: the whole.
    pub(crate) fn returned(&self, laid: &Laid, split: Option<Split>) -> Tensor {
        if laid.split == split || laid.tensor.is_poison() {
            return laid.tensor.clone();
        }
        let whole = laid.split.map_or_else(|| laid.tensor.clone(), |split| self.joined(&laid.tensor, split));
        split.map_or_else(|| whole.clone(), |split| self.taken(&whole, split))
    }

    fn joined(&self, part: &Tensor, split: Split) -> Tensor {
        let Split { axis, blocks } = split;
        if blocks == 1 {
            return part.all_gather(axis, self.count);
        }
        let dims = part.dims();
        let share = dims[axis] / blocks;
        let apart = [&dims[..axis], &[blocks, share], &dims[axis + 1..]].concat();
        let mut whole = dims.to_vec();
        whole[axis] *= self.count;
        part.reshape(&apart).all_gather(axis + 1, self.count).reshape(&whole)
    }

    /// This device's part of a value that it holds in full.
    fn taken(&self, whole: &Tensor, split: Split) -> Tensor {
        let Split { axis, blocks } = split;
        let dims = split.part(whole.dims(), self.count);
        let origin = whole.origin();
        if let Some(op) = origin.op.for_part(split, &dims) {
            return whole.graph().record(op, &origin.operands).swap_remove(0);
        }
        let (block, share) = (whole.dims()[axis] / blocks, dims[axis] / blocks);
        let with = |size: usize| [&dims[..axis], &[blocks, size], &dims[axis + 1..]].concat();
        let first = match self.number {
            Some(number) => whole.graph().scalar(DType::S32, (number * share) as f64),
            None => whole.graph().replica_id().convert(DType::S32) * share,
        };
        let mut starts = vec![first.zeros_like(); dims.len() + 1];
        starts[axis + 1] = first;
        whole.reshape(&with(block)).dynamic_slice(&starts, &with(share)).reshape(&dims)
    }
}

fn pick(values: &[Vec<Laid>], value: Value) -> Laid {
    let outputs = &values[value.node];
    outputs.get(value.output).unwrap_or(&outputs[0]).clone()
}

/// The input of a sharding rule: an operation and its operands on a device. At least one of them is a part.
pub struct Local<'a> {
    /// The operation.
    pub op: &'a Arc<dyn Op>,
    /// The operands.
    pub ins: &'a [Laid],
    devices: &'a Devices,
    graph: &'a Graph,
}

impl Local<'_> {
    /// The number of devices.
    pub fn devices(&self) -> usize {
        self.devices.count
    }

    /// How operand `i` is divided.
    pub fn split(&self, i: usize) -> Option<Split> {
        self.ins[i].split
    }

    /// The sizes of the whole operand `i`.
    pub fn dims(&self, i: usize) -> Vec<usize> {
        self.ins[i].dims(self.devices.count)
    }

    /// The whole of operand `i`; if the device holds a part, it is gathered.
    pub fn whole(&self, i: usize) -> Tensor {
        self.devices.gather(&self.ins[i], self.op.name())
    }

    /// The part of operand `i` in this division; one with another division is gathered first.
    pub fn part(&self, i: usize, split: Split) -> Tensor {
        self.arranged(&self.ins[i], Some(split))
    }

    /// A value in another division.
    pub(crate) fn arranged(&self, laid: &Laid, split: Option<Split>) -> Tensor {
        match split {
            _ if laid.split == split || laid.tensor.is_poison() => laid.tensor.clone(),
            None => self.devices.gather(laid, self.op.name()),
            Some(split) => self.devices.taken(&self.devices.gather(laid, self.op.name()), split),
        }
    }

    /// The same operation on these tensors.
    pub fn on(&self, operands: &[Tensor]) -> Vec<Tensor> {
        self.graph.record(self.op.clone(), operands)
    }

    /// The operation in full on each device.
    fn in_full(&self) -> Vec<Laid> {
        let operands: Vec<Tensor> = (0..self.ins.len()).map(|i| self.whole(i)).collect();
        self.on(&operands).into_iter().map(Laid::whole).collect()
    }

    /// The division of the largest operand that is a part.
    pub fn main_split(&self) -> Option<Split> {
        let parts = self.ins.iter().filter(|laid| laid.split.is_some());
        parts.max_by_key(|laid| laid.tensor.ty().count()).and_then(|laid| laid.split)
    }

    /// The rule of an operation that can be applied to parts: all operands and results have the same division.
    pub fn alike(&self, split: Split) -> Option<Vec<Laid>> {
        let operands: Vec<Tensor> = (0..self.ins.len()).map(|i| self.part(i, split)).collect();
        Some(self.on(&operands).into_iter().map(|tensor| Laid::part(tensor, split)).collect())
    }

    /// The rule of every elementwise operation.
    pub fn elementwise(&self) -> Option<Vec<Laid>> {
        self.alike(self.main_split()?)
    }

    /// One result with this division.
    pub fn one(tensor: Tensor, split: Split) -> Option<Vec<Laid>> {
        Some(vec![Laid::part(tensor, split)])
    }

    /// Records a device's part of a body.
    pub(crate) fn call(&self, body: &Function, graph: &Graph, args: &[Laid]) -> Vec<Laid> {
        self.devices.call(body, graph, args)
    }

    /// How the results of a body are divided, given the types of the whole parameters and their divisions.
    pub(crate) fn result_splits(&self, body: &Function, splits: &[Option<Split>]) -> Vec<Option<Split>> {
        let local = |(ty, split): (TensorType, &Option<Split>)| match split {
            Some(split) => (ty.with_dims(split.part(&ty.dims, self.devices())), Some(*split)),
            None => (ty, None),
        };
        let args: Vec<_> = body.input_types().into_iter().zip(splits).map(local).collect();
        self.devices.result_splits(body, &args)
    }
}

/// How the state of a loop is divided, given how it is before the loop, and how a step divides its next value. A value that a step divides is
/// divided from the start.
pub(crate) fn settled_splits(
    mut state: Vec<Option<Split>>,
    step: impl Fn(&[Option<Split>]) -> Vec<Option<Split>>,
) -> Vec<Option<Split>> {
    loop {
        let after = step(&state);
        let next: Vec<Option<Split>> = state.iter().zip(after).map(|(now, after)| now.or(after)).collect();
        if next == state {
            return state;
        }
        state = next;
    }
}
