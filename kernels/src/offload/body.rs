//! Translates the body of a scan to a lane program.

use spiq_hlo::{Constant, DType, Function, Lane, LaneFn, Node, Scan, TensorType, Value};

use super::optimize::{without_copies, without_unread};
use super::xla_cpu;
use crate::contract::lane_op::LaneOp;
use crate::contract::lane_program::{Instruction, LaneProgram, Slot};

/// The scan as a program, if it is elementwise.
///
/// # Errors
/// Why it is not, as the end of a sentence about the loop.
pub(super) fn program_of(scan: &Scan) -> Result<LaneProgram, String> {
    let body = scan.body().lower().map_err(|_| "its step is invalid".to_owned())?.simplify();
    let types = body.input_types();
    let dims = &types.first().ok_or("it reads nothing")?.dims;
    check_inputs(scan, &types)?;
    let parts = scan.parts(&types);
    let dtypes = |types: &[TensorType]| types.iter().map(|ty| ty.dtype).collect::<Vec<_>>();
    let mut reader = Reader::new(scan, &body);
    for node in &body.nodes()[types.len()..] {
        let slots = reader.node(node, dims).ok_or_else(|| contains(&body, node))?;
        reader.slots.push(slots);
    }
    let results = body.results().iter().map(|v| Some((reader.slot(*v)?, body.ty(*v).dtype)));
    let mut results = results.collect::<Option<Vec<_>>>().ok_or("an operation of its step has several results")?;
    let written = |dtype: DType| stores(dtype) || is_float8(dtype);
    if let Some(ty) = body.result_types().iter().find(|ty| ty.dims != *dims || !written(ty.dtype)) {
        return Err(format!("its step writes {ty}"));
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
    Ok(without_unread(without_copies(xla_cpu::contracted(program))))
}

/// Whether a program can hold the inputs of the scan's steps.
fn check_inputs(scan: &Scan, types: &[TensorType]) -> Result<(), String> {
    let dims = &types[0].dims;
    if let Some(ty) = types.iter().find(|ty| ty.dims != *dims || !holds(ty.dtype)) {
        return Err(match ty.dims == *dims {
            true => format!("its step reads {ty}"),
            false => format!("its step reads {ty} besides {}", types[0]),
        });
    }
    match scan.parts(types).carries.iter().find(|ty| ty.dtype != DType::F32) {
        _ if scan.length() == 0 => Err("it has no steps".to_owned()),
        Some(ty) => Err(format!("it carries {ty} from step to step")),
        None => Ok(()),
    }
}

/// The sentence about an operation that no program computes.
fn contains(body: &Function, node: &Node) -> String {
    let types: Vec<String> = node.operands.iter().map(|value| body.ty(*value).to_string()).collect();
    format!("its step contains {} of {}", node.op.name(), types.join(", "))
}

/// Whether programs can read values of this type as f32; 32-bit integers are rounded by the conversion.
fn holds(dtype: DType) -> bool {
    stores(dtype) || dtype == DType::S32
}

/// Whether a program can write this type on every platform.
pub fn stores(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::BF16 | DType::S8 | DType::Pred)
}

/// 8-bit floats, in which some back ends write booleans.
fn is_float8(dtype: DType) -> bool {
    matches!(dtype, DType::F8E4M3FN | DType::F8E5M2)
}

/// Translates a body node by node.
struct Reader<'a> {
    body: &'a Function,
    /// For each node translated so far, the slot of its value.
    slots: Vec<Slot>,
    instructions: Vec<Instruction>,
}

/// A slot and its element type in the graph.
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

    /// The slot of a node's value. `None`: a program cannot compute it.
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

    /// The slot of an expression's value.
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

    /// Whether a value is 0 or 1 because of the instruction that computes it.
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

/// The result type of a function on operands of these types, if an instruction computes it.
fn result(function: LaneFn, dtypes: &[DType]) -> Option<DType> {
    use LaneFn::{Add, And, Equal, Greater, GreaterEqual, Less, LessEqual, Multiply, Not, NotEqual, Or, Select, Xor};
    match (function, dtypes[0]) {
        // 32-bit integers have been rounded to f32, so comparing them is not exact.
        (Equal | NotEqual | GreaterEqual | Greater | LessEqual | Less, of) => (of != DType::S32).then_some(DType::Pred),
        (Select, _) => stores(dtypes[1]).then_some(dtypes[1]),
        (And | Or | Xor | Not | Add | Multiply, DType::Pred) => Some(DType::Pred),
        (_, of) => (of == DType::F32).then_some(of),
    }
}

/// The boolean function that arithmetic on booleans computes.
fn of_booleans(function: LaneFn) -> LaneFn {
    match function {
        LaneFn::Add => LaneFn::Or,
        LaneFn::Multiply => LaneFn::And,
        other => other,
    }
}

/// A constant that is the same in all lanes.
fn number(constant: &Constant) -> Option<Slot> {
    let splat = constant.value.dims().is_empty() && stores(constant.ty.dtype);
    splat.then(|| Slot::Number(constant.value.to_f64()[0] as f32))
}
