//! Finds the scans whose steps are elementwise and turns them into calls of one kernel. The one file that knows both
//! operations by name and the instructions of a [`LaneProgram`].

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::batch::Mapped;
use crate::graph::error::GraphErrors;
use crate::graph::function::{Function, Node, Parameter, Value};
use crate::graph::op::Op;
use crate::graph::range::{Range, Ranges};
use crate::graph::tensor::Tensor;
use crate::lane_program::{Instruction, LaneOp, LaneProgram, Slot};
use crate::ops::constant::Constant;
use crate::ops::custom_call::CustomCall;
use crate::ops::sample::Sample;
use crate::ops::select::{Compare, Direction};
use crate::scan::operation::Scan;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// The name of the code that a runtime registers for elementwise loops over time. Its configuration `program` is an encoded
/// [`LaneProgram`].
pub const ELEMENTWISE_SCAN: &str = "spiq_elementwise_scan";

fn call(
    program: &LaneProgram,
    outputs: Vec<TensorType>,
    ranges: Vec<Option<Range>>,
    operands: &[Tensor],
) -> Vec<Tensor> {
    let config = vec![("program", program.encode())];
    let graph = operands[0].graph();
    CustomCall { target: ELEMENTWISE_SCAN, config, outputs, ranges, map }.on(graph, operands)
}

/// An elementwise scan as what computes it needs to know it.
pub(crate) struct ElementwiseLoop {
    pub(crate) program: LaneProgram,
    /// The types of last carries and stacked outputs.
    pub(crate) outputs: Vec<TensorType>,
    /// What is known of the scan's results is known of those of what stands in its place: a loop around it may rest on that.
    pub(crate) ranges: Vec<Option<Range>>,
}

impl ElementwiseLoop {
    /// `None`: the steps of the scan are not elementwise.
    fn of(scan: &Scan, outputs: &[TensorType], operands: &[Tensor]) -> Option<ElementwiseLoop> {
        let program = LaneProgram::of_scan(scan)?;
        let known: Vec<Option<Range>> = operands.iter().map(Tensor::range).collect();
        let types: Vec<TensorType> = operands.iter().map(|t| t.ty().clone()).collect();
        let ranges = scan.range(&Ranges { ins: &known, types: &types });
        Some(ElementwiseLoop { program, outputs: outputs.to_vec(), ranges })
    }
}

/// Records what computes a loop; `None` leaves the scan.
type Record = fn(ElementwiseLoop, &[Tensor]) -> Option<Vec<Tensor>>;

/// Lanes do not depend on each other, so a mapped axis only makes more of them. Time stays in front.
fn map(call: &CustomCall, mapped: &Mapped) -> Option<Vec<Tensor>> {
    let program = LaneProgram::decode(&call.config[0].1)?;
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
    let results = self::call(&program, outputs, call.ranges.clone(), &operands);
    Some(results.into_iter().enumerate().map(|result| place(result, carries)).collect())
}

impl Function {
    /// The same function with each scan whose steps are elementwise in one call of [`ELEMENTWISE_SCAN`]. Operands and results are those of the scan:
    /// constants, carries, sequences; last carries, stacked outputs.
    ///
    /// What is computed elementwise for a loop before it, and conversions behind it, are computed in it. A sum with a product of the
    /// loop's own that nobody else reads is rounded once, as XLA:CPU does it. Scans that do anything else than
    /// f32 arithmetic on elements of equal index stay as they are.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn call_elementwise_scans(&self) -> Result<Function, GraphErrors> {
        self.replace_elementwise_scans(|this, operands| {
            let written = this.program.outputs.iter().all(|(_, dtype)| stores(*dtype));
            written.then(|| call(&this.program, this.outputs, this.ranges, operands))
        })
    }

    /// The same function with what `record` makes of each elementwise scan in its place.
    pub(crate) fn replace_elementwise_scans(&self, record: Record) -> Result<Function, GraphErrors> {
        self.simplify().convert_inside().transform(&mut |node, operands| {
            let scan = node.op.downcast::<Scan>()?;
            let of =
                |scan: &Scan, operands: &[Tensor]| record(ElementwiseLoop::of(scan, &node.types, operands)?, operands);
            let whole = scan.with_prologue(operands).and_then(|(scan, operands)| of(&scan, &operands));
            whole.or_else(|| of(scan, operands))
        })
    }
}

impl Function {
    /// What is converted behind a scan is converted in it: the scan writes few bytes instead of many that are read again.
    fn convert_inside(&self) -> Function {
        let inner = |node: &Node| Node {
            op: node.op.map_bodies(&Function::convert_inside).unwrap_or_else(|| node.op.clone()),
            ..node.clone()
        };
        let mut nodes: Vec<Node> = self.nodes.iter().map(inner).collect();
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
                    nodes[index] =
                        Node { op: nodes[reshape].op.clone(), operands: vec![output], ..nodes[index].clone() };
                }
                None => _ = stands_for.insert(Value { node: index, output: 0 }, output),
            }
        }
        let follow = |value: &mut Value| *value = stands_for.get(value).copied().unwrap_or(*value);
        nodes.iter_mut().flat_map(|node| &mut node.operands).for_each(follow);
        let mut results = self.results.clone();
        results.iter_mut().for_each(follow);
        Function { nodes, inputs: self.inputs.clone(), results }.simplify()
    }
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
    if value.output < scan.carries || !stores(to) || LaneProgram::of_scan(scan).is_none() {
        return None;
    }
    let mut body = scan.body.clone();
    let source = body.results[value.output];
    let types = vec![body.ty(source).with_dtype(to)];
    let stacked = node.types[value.output].with_dtype(to);
    body.results.push(Value { node: body.nodes.len(), output: 0 });
    body.nodes.push(Node { operands: vec![source], types, ..convert });
    let op = Arc::new(Scan { body, ..scan.clone() });
    nodes[value.node] = Node { op, types: [node.types.clone(), vec![stacked]].concat(), ..node.clone() };
    Some(Value { node: value.node, output: node.types.len() })
}

impl LaneProgram {
    /// The scan as a program, if it is elementwise.
    fn of_scan(scan: &Scan) -> Option<LaneProgram> {
        let body = scan.body.lower().ok()?.simplify();
        let types = body.input_types();
        let dims = &types.first()?.dims;
        if types.iter().any(|ty| ty.dims != *dims || !holds(ty.dtype)) {
            return None;
        }
        let parts = scan.parts(&types);
        if scan.length == 0 || parts.carries.iter().any(|ty| ty.dtype != DType::F32) {
            return None;
        }
        let dtypes = |types: &[TensorType]| types.iter().map(|ty| ty.dtype).collect::<Vec<_>>();
        let mut reader = Reader::new(scan, &body);
        for node in &body.nodes[types.len()..] {
            let slots = reader.node(node, dims)?;
            reader.slots.push(slots);
        }
        let results = body.results.iter().map(|v| Some((reader.slot(*v)?, body.ty(*v).dtype)));
        let mut results = results.collect::<Option<Vec<_>>>()?;
        let written = |dtype: DType| stores(dtype) || is_float8(dtype);
        if body.result_types().iter().any(|ty| ty.dims != *dims || !written(ty.dtype)) {
            return None;
        }
        let outputs = results.split_off(scan.carries);
        let program = LaneProgram {
            steps: scan.length,
            lanes: types[0].count(),
            reverse: scan.reverse,
            consts: dtypes(parts.consts),
            carries: results.into_iter().map(|(slot, _)| slot).collect(),
            slices: dtypes(parts.xs),
            outputs,
            instructions: reader.instructions,
        };
        Some(program.contracted())
    }

    /// Products that only one sum or difference reads become one operation with it.
    fn contracted(mut self) -> LaneProgram {
        let mut readers = vec![0; self.instructions.len()];
        let operands = self.instructions.iter().flat_map(|i| &i.operands[..i.op.operands()]);
        for slot in operands.chain(&self.carries).chain(self.outputs.iter().map(|(slot, _)| slot)) {
            if let Slot::Result(i) = slot {
                readers[*i] += 1;
            }
        }
        for at in 0..self.instructions.len() {
            let Instruction { op, operands: [a, b, _] } = self.instructions[at];
            let product = |slot: Slot| match slot {
                Slot::Result(i) if readers[i] == 1 && self.instructions[i].op == LaneOp::Multiply => {
                    Some(self.instructions[i].operands)
                }
                _ => None,
            };
            let fused = match (op, product(a), product(b)) {
                (LaneOp::Add, Some([x, y, _]), _) => Some((LaneOp::MultiplyAdd, [x, y, b])),
                (LaneOp::Add, None, Some([x, y, _])) => Some((LaneOp::MultiplyAdd, [x, y, a])),
                (LaneOp::Subtract, Some([x, y, _]), _) => Some((LaneOp::MultiplySubtract, [x, y, b])),
                (LaneOp::Subtract, None, Some([x, y, _])) => Some((LaneOp::SubtractMultiply, [x, y, a])),
                _ => None,
            };
            if let Some((op, operands)) = fused {
                self.instructions[at] = Instruction { op, operands };
            }
        }
        self.without_copies().without_unread()
    }

    /// Copies kept products from sums before them; they compute nothing.
    fn without_copies(mut self) -> LaneProgram {
        let mut source: Vec<Slot> = Vec::with_capacity(self.instructions.len());
        for (at, instruction) in self.instructions.iter_mut().enumerate() {
            instruction.operands.iter_mut().for_each(|slot| *slot = followed(*slot, &source));
            let copied = instruction.op == LaneOp::Copy;
            source.push(if copied { instruction.operands[0] } else { Slot::Result(at) });
        }
        let results = self.carries.iter_mut().chain(self.outputs.iter_mut().map(|(slot, _)| slot));
        results.for_each(|slot| *slot = followed(*slot, &source));
        self
    }

    fn without_unread(mut self) -> LaneProgram {
        let mut read = vec![false; self.instructions.len()];
        let mark = |slot: &Slot, read: &mut [bool]| {
            if let Slot::Result(i) = slot {
                read[*i] = true;
            }
        };
        self.carries.iter().chain(self.outputs.iter().map(|(slot, _)| slot)).for_each(|slot| mark(slot, &mut read));
        for (at, instruction) in self.instructions.iter().enumerate().rev() {
            if read[at] {
                instruction.operands.iter().for_each(|slot| mark(slot, &mut read));
            }
        }
        let mut place = Vec::with_capacity(read.len());
        read.iter().fold(0, |next, read| {
            place.push(next);
            next + usize::from(*read)
        });
        let moved = |slot: &mut Slot| {
            if let Slot::Result(i) = slot {
                *i = place[*i];
            }
        };
        let mut kept = read.iter();
        self.instructions.retain(|_| *kept.next().expect("one flag an instruction"));
        self.instructions.iter_mut().flat_map(|i| &mut i.operands).for_each(moved);
        self.carries.iter_mut().chain(self.outputs.iter_mut().map(|(slot, _)| slot)).for_each(moved);
        self
    }
}

/// The slot that a result is a copy of, where it is one.
fn followed(slot: Slot, source: &[Slot]) -> Slot {
    match slot {
        Slot::Result(i) => source[i],
        _ => slot,
    }
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

impl<'a> Reader<'a> {
    fn new(scan: &Scan, body: &'a Function) -> Reader<'a> {
        let consts = (0..scan.consts).map(Slot::Const);
        let carries = (0..scan.carries).map(Slot::Carry);
        let slices = (0..body.inputs.len() - scan.consts - scan.carries).map(Slot::Slice);
        Reader { body, slots: consts.chain(carries).chain(slices).collect(), instructions: Vec::new() }
    }

    fn slot(&self, value: Value) -> Option<Slot> {
        (value.output == 0).then(|| self.slots[value.node])
    }

    fn push(&mut self, op: LaneOp, operands: &[Slot]) -> Slot {
        let operand = |i: usize| *operands.get(i).unwrap_or(&operands[0]);
        self.instructions.push(Instruction { op, operands: [operand(0), operand(1), operand(2)] });
        Slot::Result(self.instructions.len() - 1)
    }

    /// Where a node's value is. `None`: the program cannot have it.
    fn node(&mut self, node: &Node, dims: &[usize]) -> Option<Slot> {
        if node.op.downcast::<Parameter>().is_some() {
            return None;
        }
        let [ty] = node.types.as_slice() else { return None };
        if let Some(constant) = node.op.downcast::<Constant>() {
            return number(constant);
        }
        let from = node.operands.iter().map(|v| self.body.ty(*v));
        if ty.dims != dims || from.clone().any(|ty| ty.dims != dims) {
            return None;
        }
        let dtypes: Vec<DType> = from.map(|ty| ty.dtype).collect();
        let slots = node.operands.iter().map(|v| self.slot(*v)).collect::<Option<Vec<_>>>()?;
        if node.op.name() == "convert" {
            return self.convert(slots[0], dtypes[0], ty.dtype);
        }
        if node.op.name() == "optimization_barrier" {
            return Some(self.push(LaneOp::Copy, &slots));
        }
        if let Some(same) = unchanged(node.op.name(), &slots) {
            return Some(same);
        }
        if let ("divide", [a, Slot::Number(divisor)], [DType::F32, _]) = (node.op.name(), &slots[..], &dtypes[..]) {
            // As XLA's simplifier does it.
            return Some(self.push(LaneOp::Multiply, &[*a, Slot::Number(1.0 / divisor)]));
        }
        if let ("clamp", [low, x, high], [DType::F32, ..]) = (node.op.name(), &slots[..], &dtypes[..]) {
            let raised = self.push(LaneOp::Maximum, &[*x, *low]);
            return Some(self.push(LaneOp::Minimum, &[raised, *high]));
        }
        let op = operation(node.op.as_ref(), &dtypes)?;
        Some(self.push(op, &slots))
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

/// A constant that is the same for all lanes.
fn number(constant: &Constant) -> Option<Slot> {
    let splat = constant.value.dims().is_empty() && stores(constant.ty.dtype);
    splat.then(|| Slot::Number(constant.value.to_f64()[0] as f32))
}

/// The operand that an operation leaves as it is, as XLA's simplifier sees it: a zero of either sign adds nothing, so that -0
/// stays -0.
fn unchanged(name: &str, slots: &[Slot]) -> Option<Slot> {
    let is = |slot: &Slot, value: f32| matches!(slot, Slot::Number(n) if *n == value);
    match (name, slots) {
        ("multiply" | "divide", [a, b]) if is(b, 1.0) => Some(*a),
        ("multiply", [a, b]) if is(a, 1.0) => Some(*b),
        ("add" | "subtract", [a, b]) if is(b, 0.0) => Some(*a),
        ("add", [a, b]) if is(a, 0.0) => Some(*b),
        _ => None,
    }
}

/// The instruction for an operation on operands of these types.
fn operation(op: &dyn Op, dtypes: &[DType]) -> Option<LaneOp> {
    if let Some(Compare(direction)) = op.downcast() {
        return (dtypes[0] != DType::S32).then_some(match direction {
            Direction::Eq => LaneOp::Equal,
            Direction::Ne => LaneOp::NotEqual,
            Direction::Ge => LaneOp::GreaterEqual,
            Direction::Gt => LaneOp::Greater,
            Direction::Le => LaneOp::LessEqual,
            Direction::Lt => LaneOp::Less,
        });
    }
    if op.name() == "select" {
        return stores(dtypes[1]).then_some(LaneOp::Select);
    }
    match (op.name(), dtypes[0]) {
        ("and" | "multiply", DType::Pred) => Some(LaneOp::And),
        ("or" | "add", DType::Pred) => Some(LaneOp::Or),
        ("xor", DType::Pred) => Some(LaneOp::Xor),
        ("not", DType::Pred) => Some(LaneOp::Not),
        (name, DType::F32) => arithmetic(name),
        _ => None,
    }
}

fn arithmetic(name: &str) -> Option<LaneOp> {
    Some(match name {
        "add" => LaneOp::Add,
        "subtract" => LaneOp::Subtract,
        "multiply" => LaneOp::Multiply,
        "divide" => LaneOp::Divide,
        "maximum" => LaneOp::Maximum,
        "minimum" => LaneOp::Minimum,
        "abs" => LaneOp::Abs,
        "negate" => LaneOp::Negate,
        "sign" => LaneOp::Sign,
        "sqrt" => LaneOp::Sqrt,
        "exponential" => LaneOp::Exponential,
        "floor" => LaneOp::Floor,
        "ceil" => LaneOp::Ceil,
        "round_nearest_even" => LaneOp::RoundEven,
        _ => return None,
    })
}

pub(super) fn samples() -> Vec<Sample> {
    let sums = |x: &[Tensor]| {
        let add = Instruction { op: LaneOp::Add, operands: [Slot::Carry(0), Slot::Slice(0), Slot::Carry(0)] };
        let program = LaneProgram {
            steps: 4,
            lanes: 3,
            reverse: false,
            consts: Vec::new(),
            carries: vec![Slot::Result(0)],
            slices: vec![DType::F32],
            outputs: vec![(Slot::Result(0), DType::F32)],
            instructions: vec![add],
        };
        call(&program, vec![x[0].ty().clone(), x[1].ty().clone()], Vec::new(), x)
    };
    let f = DType::F32;
    let sample = Sample::new("custom_call of an elementwise scan", sums);
    vec![sample.input(f, [3], -1.0, 1.0).input(f, [4, 3], -1.0, 1.0).forward_only()]
}
