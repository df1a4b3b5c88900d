//! Finds the scans whose steps are elementwise and turns them into calls of one kernel.

use std::collections::HashMap;

use spiq_hlo::{
    Constant, CustomCall, DType, Function, GraphErrors, Lane, LaneFn, Mapped, Node, Op, Range, Ranges, Scan, Tensor,
    TensorType, Value,
};

use super::optimize::{without_copies, without_unread};
use super::prologue::with_prologue;
use super::xla_cpu;
use crate::contract::call::KernelCall;
use crate::contract::lane_op::LaneOp;
use crate::contract::lane_program::{Instruction, LaneProgram, Slot};

/// Records the call of a loop.
fn call(
    program: LaneProgram,
    outputs: Vec<TensorType>,
    ranges: Vec<Option<Range>>,
    operands: &[Tensor],
) -> Vec<Tensor> {
    let call = KernelCall::Loop(program, Vec::new());
    CustomCall { target: call.target(), config: call.config(), outputs, ranges, map }.on(operands[0].graph(), operands)
}

/// An elementwise scan as what computes it needs to know it.
pub struct ElementwiseLoop {
    /// Its steps.
    pub program: LaneProgram,
    /// The types of last carries and stacked outputs.
    pub outputs: Vec<TensorType>,
    /// What is known of the scan's results is known of those of what stands in its place: a loop around it may rest on that.
    pub ranges: Vec<Option<Range>>,
}

impl ElementwiseLoop {
    /// `None`: the steps of the scan are not elementwise.
    fn of(scan: &Scan, outputs: &[TensorType], operands: &[Tensor]) -> Option<ElementwiseLoop> {
        let program = program_of(scan)?;
        let known: Vec<Option<Range>> = operands.iter().map(Tensor::range).collect();
        let types: Vec<TensorType> = operands.iter().map(|t| t.ty().clone()).collect();
        let ranges = scan.range(&Ranges { ins: &known, types: &types });
        Some(ElementwiseLoop { program, outputs: outputs.to_vec(), ranges })
    }
}

/// Records what computes a loop; `None` leaves the scan.
pub type Record = fn(ElementwiseLoop, &[Tensor]) -> Option<Vec<Tensor>>;

/// Lanes do not depend on each other, so a mapped axis only makes more of them. Time stays in front.
fn map(call: &CustomCall, mapped: &Mapped) -> Option<Vec<Tensor>> {
    let KernelCall::Loop(program, products) = KernelCall::of(call)? else { return None };
    if !products.is_empty() {
        // They have rows of their own; calls with them are made after everything that maps functions.
        return None;
    }
    let (carries, first_slice) = (program.carries.len(), program.consts.len() + program.carries.len());
    let place = |(i, t): (usize, Tensor), stays: usize| if i < stays { t } else { t.swap_axes(0, 1) };
    let operands: Vec<Tensor> =
        mapped.operands().into_iter().enumerate().map(|(i, t)| place((i, t), first_slice)).collect();
    let wide = |(i, ty): (usize, &TensorType)| {
        let mut dims = ty.dims.clone();
        dims.insert(usize::from(i >= carries), mapped.size);
        ty.with_dims(dims)
    };
    let outputs = call.outputs.iter().enumerate().map(wide).collect();
    let program = LaneProgram { lanes: program.lanes * mapped.size, ..program };
    let results = self::call(program, outputs, call.ranges.clone(), &operands);
    Some(results.into_iter().enumerate().map(|result| place(result, carries)).collect())
}

/// The same function with each scan whose steps are elementwise in one call of a kernel. Operands and results are those of the
/// scan: constants, carries, sequences; last carries, stacked outputs.
///
/// What is computed elementwise for a loop before it, and conversions behind it, are computed in it. A sum with a product of the
/// loop's own that nobody else reads is rounded once, as XLA:CPU does it. Scans that do anything else than
/// f32 arithmetic on elements of equal index stay as they are.
///
/// # Errors
/// None for a function that was traced without errors.
pub fn call_elementwise_scans(function: &Function) -> Result<Function, GraphErrors> {
    replace_elementwise_scans(function, |this, operands| {
        let written = this.program.outputs.iter().all(|(_, dtype)| stores(*dtype));
        written.then(|| call(this.program, this.outputs, this.ranges, operands))
    })
}

/// The same function with what `record` makes of each elementwise scan in its place.
///
/// # Errors
/// None for a function that was traced without errors.
pub fn replace_elementwise_scans(function: &Function, record: Record) -> Result<Function, GraphErrors> {
    convert_inside(&function.simplify()).transform(&mut |node, operands| {
        let scan = node.op.downcast::<Scan>()?;
        let of = |scan: &Scan, operands: &[Tensor]| record(ElementwiseLoop::of(scan, &node.types, operands)?, operands);
        let whole = with_prologue(scan, operands).and_then(|(scan, operands)| of(&scan, &operands));
        whole.or_else(|| of(scan, operands))
    })
}

/// What is converted behind a scan is converted in it: the scan writes few bytes instead of many that are read again.
fn convert_inside(function: &Function) -> Function {
    let inner = |node: &Node| Node {
        op: node.op.map_bodies(&convert_inside).unwrap_or_else(|| node.op.clone()),
        ..node.clone()
    };
    let mut nodes: Vec<Node> = function.nodes().iter().map(inner).collect();
    let mut stands_for: HashMap<Value, Value> = HashMap::new();
    let mut widened: HashMap<(Value, DType), Value> = HashMap::new();
    for index in 0..nodes.len() {
        if nodes[index].op.name() != "convert" {
            continue;
        }
        let (value, reshape) = behind_reshape(&nodes, nodes[index].operands[0]);
        let to = nodes[index].types[0].dtype;
        let known = widened.get(&(value, to)).copied();
        let Some(output) = known.or_else(|| widen(&mut nodes, value, index)) else { continue };
        widened.insert((value, to), output);
        match reshape {
            Some(reshape) => {
                nodes[index] = Node { op: nodes[reshape].op.clone(), operands: vec![output], ..nodes[index].clone() };
            }
            None => _ = stands_for.insert(Value { node: index, output: 0 }, output),
        }
    }
    let follow = |value: &mut Value| *value = stands_for.get(value).copied().unwrap_or(*value);
    nodes.iter_mut().flat_map(|node| &mut node.operands).for_each(follow);
    let mut results = function.results().to_vec();
    results.iter_mut().for_each(follow);
    Function::from_parts(nodes, function.input_names().to_vec(), results).simplify()
}

/// The value that is reshaped to `value`, if it is, and the node that does it.
fn behind_reshape(nodes: &[Node], value: Value) -> (Value, Option<usize>) {
    match nodes[value.node].op.name() {
        "reshape" => (nodes[value.node].operands[0], Some(value.node)),
        _ => (value, None),
    }
}

/// Gives a scan one more output: a stacked one of it, converted as the node at `convert` does. `None`: there is no such scan.
fn widen(nodes: &mut [Node], value: Value, convert: usize) -> Option<Value> {
    let (node, convert) = (nodes[value.node].clone(), nodes[convert].clone());
    let scan = node.op.downcast::<Scan>()?;
    let to = convert.types[0].dtype;
    if value.output < scan.carries() || !stores(to) || program_of(scan).is_none() {
        return None;
    }
    let stacked = node.types[value.output].with_dtype(to);
    let op = scan.map_bodies(&|body| converting(body, value.output, &convert))?;
    nodes[value.node] = Node { op, types: [node.types.clone(), vec![stacked]].concat(), ..node.clone() };
    Some(Value { node: value.node, output: node.types.len() })
}

/// A body with one more result: one of its results, converted as the node `convert` does.
fn converting(body: &Function, result: usize, convert: &Node) -> Function {
    let (mut nodes, mut results) = (body.nodes().to_vec(), body.results().to_vec());
    let source = results[result];
    let types = vec![body.ty(source).with_dtype(convert.types[0].dtype)];
    results.push(Value { node: nodes.len(), output: 0 });
    nodes.push(Node { operands: vec![source], types, ..convert.clone() });
    Function::from_parts(nodes, body.input_names().to_vec(), results)
}

/// The scan as a program, if it is elementwise.
fn program_of(scan: &Scan) -> Option<LaneProgram> {
    let body = scan.body().lower().ok()?.simplify();
    let types = body.input_types();
    let dims = &types.first()?.dims;
    if types.iter().any(|ty| ty.dims != *dims || !holds(ty.dtype)) {
        return None;
    }
    let parts = scan.parts(&types);
    if scan.length() == 0 || parts.carries.iter().any(|ty| ty.dtype != DType::F32) {
        return None;
    }
    let dtypes = |types: &[TensorType]| types.iter().map(|ty| ty.dtype).collect::<Vec<_>>();
    let mut reader = Reader::new(scan, &body);
    for node in &body.nodes()[types.len()..] {
        let slots = reader.node(node, dims)?;
        reader.slots.push(slots);
    }
    let results = body.results().iter().map(|v| Some((reader.slot(*v)?, body.ty(*v).dtype)));
    let mut results = results.collect::<Option<Vec<_>>>()?;
    let written = |dtype: DType| stores(dtype) || is_float8(dtype);
    if body.result_types().iter().any(|ty| ty.dims != *dims || !written(ty.dtype)) {
        return None;
    }
    let outputs = results.split_off(scan.carries());
    let program = LaneProgram {
        steps: scan.length(),
        lanes: types[0].count(),
        reverse: scan.is_reverse(),
        consts: dtypes(parts.consts),
        carries: results.into_iter().map(|(slot, _)| slot).collect(),
        slices: dtypes(parts.xs),
        outputs,
        instructions: reader.instructions,
    };
    Some(without_unread(without_copies(xla_cpu::contracted(program))))
}

/// Whether every value of this type that occurs here is an f32: integers of 32 bits are rounded where they are converted.
fn holds(dtype: DType) -> bool {
    stores(dtype) || dtype == DType::S32
}

/// Whether a program can write this type.
fn stores(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::BF16 | DType::S8 | DType::Pred)
}

/// A float of 8 bits in which some back ends write booleans.
fn is_float8(dtype: DType) -> bool {
    matches!(dtype, DType::F8E4M3FN | DType::F8E5M2)
}

/// Reads a body node by node.
struct Reader<'a> {
    body: &'a Function,
    /// For each node read so far, where its value is.
    slots: Vec<Slot>,
    instructions: Vec<Instruction>,
}

/// A value of a lane and the element type that it has in the graph.
type Typed = (Slot, DType);

impl<'a> Reader<'a> {
    fn new(scan: &Scan, body: &'a Function) -> Reader<'a> {
        let consts = (0..scan.consts()).map(Slot::Const);
        let carries = (0..scan.carries()).map(Slot::Carry);
        let slices = (0..body.input_names().len() - scan.consts() - scan.carries()).map(Slot::Slice);
        Reader { body, slots: consts.chain(carries).chain(slices).collect(), instructions: Vec::new() }
    }

    fn slot(&self, value: Value) -> Option<Slot> {
        (value.output == 0).then(|| self.slots[value.node])
    }

    fn push(&mut self, op: LaneOp, slots: &[Slot]) -> Slot {
        self.instructions.push(Instruction::new(op, slots));
        Slot::Result(self.instructions.len() - 1)
    }

    /// Where a node's value is. `None`: the program cannot have it.
    fn node(&mut self, node: &Node, dims: &[usize]) -> Option<Slot> {
        let [ty] = node.types.as_slice() else { return None };
        if let Some(constant) = node.op.downcast::<Constant>() {
            return number(constant);
        }
        let from = node.operands.iter().map(|v| self.body.ty(*v));
        if ty.dims != dims || from.clone().any(|ty| ty.dims != dims) {
            return None;
        }
        let dtypes: Vec<DType> = from.map(|ty| ty.dtype).collect();
        let slots = node.operands.iter().map(|v| self.slot(*v)).collect::<Option<Vec<Slot>>>()?;
        let operands: Vec<Typed> = slots.into_iter().zip(dtypes).collect();
        self.lane(&node.op.lane()?, &operands).map(|(slot, _)| slot)
    }

    /// Where the value of an expression is.
    fn lane(&mut self, lane: &Lane, operands: &[Typed]) -> Option<Typed> {
        match lane {
            Lane::Operand(i) => operands.get(*i).copied(),
            Lane::Number(value) => Some((Slot::Number(*value), DType::F32)),
            Lane::Barrier(of) => {
                let (slot, dtype) = self.lane(of, operands)?;
                Some((self.push(LaneOp::Copy, &[slot]), dtype))
            }
            Lane::Convert(of, to) => {
                let (slot, from) = self.lane(of, operands)?;
                Some((self.convert(slot, from, *to)?, *to))
            }
            Lane::Apply(function, of) => {
                let of = of.iter().map(|lane| self.lane(lane, operands)).collect::<Option<Vec<Typed>>>()?;
                self.apply(*function, &of)
            }
        }
    }

    fn apply(&mut self, function: LaneFn, of: &[Typed]) -> Option<Typed> {
        let (slots, dtypes): (Vec<Slot>, Vec<DType>) = of.iter().copied().unzip();
        if let Some(same) = xla_cpu::unchanged(function, &slots) {
            return Some((same, dtypes[0]));
        }
        let dtype = result(function, &dtypes)?;
        let (op, slots) = match dtypes[0] {
            DType::F32 => xla_cpu::reciprocal(function, &slots).unwrap_or((function.into(), slots)),
            DType::Pred => (of_booleans(function).into(), slots),
            _ => (function.into(), slots),
        };
        Some((self.push(op, &slots), dtype))
    }

    /// Whether a value is 0 or 1 because of what computes it.
    fn is_truth(&self, slot: Slot) -> bool {
        matches!(slot, Slot::Result(i) if self.instructions[i].op.is_truth())
    }

    fn convert(&mut self, slot: Slot, from: DType, to: DType) -> Option<Slot> {
        let same = match (from, to) {
            (DType::F32 | DType::Pred, to) if is_float8(to) => self.is_truth(slot),
            (_, DType::F32) | (DType::Pred, DType::S8 | DType::BF16) | (DType::S8, DType::BF16) => true,
            _ => from == to,
        };
        let op = match (from, to) {
            _ if same => return Some(slot),
            (DType::F32, DType::BF16) => LaneOp::RoundBf16,
            (DType::F32 | DType::BF16, DType::S8) => LaneOp::TruncateS8,
            _ => return None,
        };
        Some(self.push(op, &[slot]))
    }
}

/// The element type of what a function gives on operands of these types, if an instruction computes it.
fn result(function: LaneFn, dtypes: &[DType]) -> Option<DType> {
    use LaneFn::{Add, And, Equal, Greater, GreaterEqual, Less, LessEqual, Multiply, Not, NotEqual, Or, Select, Xor};
    match (function, dtypes[0]) {
        // Integers of 32 bits are rounded where they are read.
        (Equal | NotEqual | GreaterEqual | Greater | LessEqual | Less, of) => (of != DType::S32).then_some(DType::Pred),
        (Select, _) => stores(dtypes[1]).then_some(dtypes[1]),
        (And | Or | Xor | Not | Add | Multiply, DType::Pred) => Some(DType::Pred),
        (_, of) => (of == DType::F32).then_some(of),
    }
}

/// The function of booleans that arithmetic of this name is.
fn of_booleans(function: LaneFn) -> LaneFn {
    match function {
        LaneFn::Add => LaneFn::Or,
        LaneFn::Multiply => LaneFn::And,
        other => other,
    }
}

/// A constant that is the same for all lanes.
fn number(constant: &Constant) -> Option<Slot> {
    let splat = constant.value.dims().is_empty() && stores(constant.ty.dtype);
    splat.then(|| Slot::Number(constant.value.to_f64()[0] as f32))
}
