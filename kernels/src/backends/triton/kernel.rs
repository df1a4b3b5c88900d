//! Prints a whole kernel: the lanes of each program of the grid, the loop over time, loads and stores.

use spiq_hlo::DType;

use super::instruction;
use super::text::{Text, Value, one_in_float8, stored};
use crate::contract::lane_program::{LaneProgram, Slot};

/// The text of a kernel with its launch parameters.
#[derive(Debug, PartialEq)]
pub(super) struct Kernel {
    /// The module.
    pub(super) text: String,
    /// Programs of the grid.
    pub(super) grid: usize,
    /// Warps of 32 threads per program.
    pub(super) warps: usize,
}

/// The function's name.
pub(super) const NAME: &str = "spiq_elementwise_scan";

/// From this many lanes on, each thread computes four, so that it loads and stores 16 bytes at a time.
const MANY: usize = 1 << 17;
/// Registers per thread for the loads issued ahead of an iteration of the loop.
const LOADED: usize = 32;

/// The assignment of lanes to threads.
struct Launch {
    /// Lanes per thread.
    each: usize,
    warps: usize,
    /// Steps per iteration of the loop. Their loads are issued first, so that they do not wait for each other.
    unroll: usize,
}

impl Launch {
    fn of(program: &LaneProgram) -> Launch {
        let (each, warps) = if program.lanes >= MANY { (4, 4) } else { (1, 1) };
        let unroll = (LOADED / (each * program.slices.len().max(1))).clamp(4, 16);
        Launch { each, warps, unroll: unroll.min(program.steps) }
    }

    fn block(&self) -> usize {
        32 * self.each * self.warps
    }
}

impl Kernel {
    /// The kernel of a loop whose constants and initial carries repeat after these numbers of lanes; those beyond the end of the list have an
    /// element for each lane. `None`: an element type that kernels do not read or write, offsets that do not fit in 32 bits, or an empty
    /// loop.
    pub(super) fn of(program: &LaneProgram, periods: &[usize]) -> Option<Kernel> {
        let types = program.consts.iter().chain(&program.slices).chain(program.outputs.iter().map(|(_, dtype)| dtype));
        let known = types.clone().all(|dtype| stored(*dtype).is_some());
        let read = program.consts.iter().chain(&program.slices).all(|dtype| one_in_float8(*dtype).is_none());
        let written = program.outputs.iter().all(|(_, dtype)| *dtype != DType::S32);
        let elements = program.steps.checked_mul(program.lanes)?;
        if !known || !read || !written || elements == 0 || elements > i32::MAX as usize {
            return None;
        }
        let launch = Launch::of(program);
        let grid = program.lanes.div_ceil(launch.block());
        Some(Kernel { text: Writer::new(program, periods, &launch).write(), grid, warps: launch.warps })
    }
}

struct Writer<'a> {
    program: &'a LaneProgram,
    /// The periods of constants, then of initial carries.
    periods: &'a [usize],
    unroll: usize,
    text: Text,
    /// The lane indices of this program.
    lane: String,
    /// The valid lanes, if the last program has too many.
    mask: Option<String>,
}

/// The inputs of a step.
struct Step {
    consts: Vec<Value>,
    carries: Vec<Value>,
}

impl<'a> Writer<'a> {
    fn new(program: &'a LaneProgram, periods: &'a [usize], launch: &Launch) -> Writer<'a> {
        let text = Text::new(launch.block());
        Writer { program, periods, unroll: launch.unroll, text, lane: String::new(), mask: None }
    }

    fn write(mut self) -> String {
        self.text.line(format!("tt.func public @{NAME}({}) {{", self.parameters().join(", ")));
        self.text.depth_in();
        self.lanes();
        let (consts, carries) = (self.program.consts.clone(), self.program.carries.len());
        let mut once = |i: usize, name: String, dtype: DType| {
            let lane = self.periodic(i);
            self.load(&name, dtype, lane.as_ref())
        };
        let carries_at = consts.len();
        let consts = consts.iter().enumerate().map(|(i, dtype)| once(i, format!("%const{i}"), *dtype)).collect();
        let carries = (0..carries).map(|i| once(carries_at + i, format!("%carry{i}"), DType::F32)).collect();
        let carries = self.steps(Step { consts, carries });
        for (i, carry) in carries.iter().enumerate() {
            self.store(&format!("%last{i}"), DType::F32, carry, None);
        }
        self.text.line("tt.return");
        self.text.depth_out();
        self.text.line("}");
        format!("module {{\n{}}}\n", self.text.finish())
    }

    /// Constants, initial carries, sequences, final carries, outputs.
    fn parameters(&self) -> Vec<String> {
        let of = |name: &str, dtypes: Vec<DType>| -> Vec<String> {
            let pointer = |(i, dtype): (usize, DType)| {
                let element = stored(dtype).expect("checked before");
                format!("%{name}{i}: !tt.ptr<{element}> {{tt.divisibility = 16 : i32}}")
            };
            dtypes.into_iter().enumerate().map(pointer).collect()
        };
        let carries = vec![DType::F32; self.program.carries.len()];
        let outputs = self.program.outputs.iter().map(|(_, dtype)| *dtype).collect();
        let program = self.program;
        [
            of("const", program.consts.clone()),
            of("carry", carries.clone()),
            of("slice", program.slices.clone()),
            of("last", carries),
            of("out", outputs),
        ]
        .concat()
    }

    fn lanes(&mut self) {
        let (block, text) = (self.text.block, &mut self.text);
        let ty = text.tensor("i32");
        let program = text.define("tt.get_program_id x : i32");
        let size = text.scalar(block as i64);
        let first = text.define(format!("arith.muli {program}, {size} : i32"));
        let range = text.define(format!("tt.make_range {{end = {block} : i32, start = 0 : i32}} : {ty}"));
        let first = text.define(format!("tt.splat {first} : i32 -> {ty}"));
        self.lane = text.define(format!("arith.addi {first}, {range} : {ty}"));
        if !self.program.lanes.is_multiple_of(block) {
            let end = text.integer(self.program.lanes as i64, "i32");
            self.mask = Some(text.define(format!("arith.cmpi slt, {}, {end} : {ty}", self.lane)));
        }
    }

    /// The index of each lane's element of operand `i`, a constant or an initial carry; `None` if that is the lane's own.
    fn periodic(&mut self, i: usize) -> Option<String> {
        let period = *self.periods.get(i)?;
        if period == self.program.lanes {
            return None;
        }
        let period = self.text.integer(period as i64, "i32");
        let ty = self.text.tensor("i32");
        Some(self.text.define(format!("arith.remsi {}, {period} : {ty}", self.lane)))
    }

    /// The loop over full iterations, then the remaining steps.
    fn steps(&mut self, mut step: Step) -> Vec<Value> {
        let full = self.program.steps / self.unroll * self.unroll;
        let number = self.text.tensor("f32");
        let [start, end, by] = [0, full, self.unroll].map(|n| self.text.scalar(n as i64));
        let names: Vec<String> = (0..step.carries.len()).map(|i| format!("%kept{i}")).collect();
        let types = vec![number; names.len()].join(", ");
        let head = format!("scf.for %turn = {start} to {end} step {by}");
        if names.is_empty() {
            self.text.line(format!("{head} : i32 {{"));
        } else {
            let pairs = names.iter().zip(&step.carries).map(|(name, carry)| format!("{name} = {}", carry.name));
            let pairs: Vec<String> = pairs.collect();
            self.text.line(format!(
                "%end:{} = {head} iter_args({}) -> ({types}) : i32 {{",
                names.len(),
                pairs.join(", ")
            ));
        }
        self.text.depth_in();
        step.carries = names.into_iter().map(|name| Value { name, is_bool: false }).collect();
        let after = self.turn(&step, "%turn", self.unroll);
        if !after.is_empty() {
            let kept: Vec<&str> = after.iter().map(|value| value.name.as_str()).collect();
            self.text.line(format!("scf.yield {} : {types}", kept.join(", ")));
        }
        self.text.depth_out();
        self.text.line("}");
        step.carries = (0..after.len()).map(|i| Value { name: format!("%end#{i}"), is_bool: false }).collect();
        match self.program.steps - full {
            0 => step.carries,
            left => {
                let first = self.text.scalar(full as i64);
                self.turn(&step, &first, left)
            }
        }
    }

    /// `count` steps starting at `first`: all their loads, then the arithmetic and stores of each. Returns the resulting carries.
    fn turn(&mut self, step: &Step, first: &str, count: usize) -> Vec<Value> {
        let offsets: Vec<String> = (0..count).map(|ahead| self.offset(first, ahead)).collect();
        let slices = self.program.slices.clone();
        let load = |writer: &mut Self, offset: &String| -> Vec<Value> {
            let all = slices.iter().enumerate();
            all.map(|(i, dtype)| writer.load(&format!("%slice{i}"), *dtype, Some(offset))).collect()
        };
        let rows: Vec<Vec<Value>> = offsets.iter().map(|offset| load(self, offset)).collect();
        let mut carries = step.carries.clone();
        for (offset, row) in offsets.iter().zip(rows) {
            carries = self.step(&step.consts, &carries, &row, offset);
        }
        carries
    }

    /// The offset of a step's elements, for each lane.
    fn offset(&mut self, first: &str, ahead: usize) -> String {
        let (text, program) = (&mut self.text, self.program);
        let ahead = text.scalar(ahead as i64);
        let mut step = text.define(format!("arith.addi {first}, {ahead} : i32"));
        if program.reverse {
            let last = text.scalar(program.steps as i64 - 1);
            step = text.define(format!("arith.subi {last}, {step} : i32"));
        }
        let (lanes, ty) = (text.scalar(program.lanes as i64), text.tensor("i32"));
        let row = text.define(format!("arith.muli {step}, {lanes} : i32"));
        let row = text.define(format!("tt.splat {row} : i32 -> {ty}"));
        text.define(format!("arith.addi {row}, {} : {ty}", self.lane))
    }

    fn step(&mut self, consts: &[Value], carries: &[Value], row: &[Value], offset: &str) -> Vec<Value> {
        let mut results: Vec<Value> = Vec::with_capacity(self.program.instructions.len());
        for instruction in &self.program.instructions {
            let operands: Vec<Value> = instruction
                .read()
                .iter()
                .map(|slot| value(&mut self.text, *slot, consts, carries, row, &results))
                .collect();
            results.push(instruction::write(&mut self.text, instruction.op, &operands));
        }
        for (i, (slot, dtype)) in self.program.outputs.iter().enumerate() {
            let output = value(&mut self.text, *slot, consts, carries, row, &results);
            self.store(&format!("%out{i}"), *dtype, &output, Some(offset));
        }
        let next = self.program.carries.iter().map(|slot| {
            let carry = value(&mut self.text, *slot, consts, carries, row, &results);
            self.text.as_number(&carry)
        });
        next.collect()
    }

    /// Pointers to the lanes' elements, and their type.
    fn pointers(&mut self, base: &str, element: &str, offset: Option<&str>) -> (String, String) {
        let ty = self.text.tensor(&format!("!tt.ptr<{element}>"));
        let (base, offsets) =
            (self.text.define(format!("tt.splat {base} : !tt.ptr<{element}> -> {ty}")), self.text.tensor("i32"));
        let offset = offset.unwrap_or(&self.lane).to_owned();
        (self.text.define(format!("tt.addptr {base}, {offset} : {ty}, {offsets}")), ty)
    }

    fn load(&mut self, base: &str, dtype: DType, offset: Option<&String>) -> Value {
        let element = stored(dtype).expect("checked before");
        let (pointers, ty) = self.pointers(base, element, offset.map(String::as_str));
        let loaded = match self.mask.clone() {
            None => self.text.define(format!("tt.load {pointers} : {ty}")),
            Some(mask) => {
                let zero = if element == "f32" || element == "bf16" { "0.0" } else { "0" };
                let values = self.text.tensor(element);
                let other = self.text.define(format!("arith.constant dense<{zero}> : {values}"));
                self.text.define(format!("tt.load {pointers}, {mask}, {other} : {ty}"))
            }
        };
        match dtype {
            DType::F32 => Value { name: loaded, is_bool: false },
            DType::BF16 => Value { name: self.text.convert("arith.extf", &loaded, "bf16", "f32"), is_bool: false },
            DType::Pred => {
                let (zero, ty) = (self.text.integer(0, "i8"), self.text.tensor("i8"));
                Value { name: self.text.define(format!("arith.cmpi ne, {loaded}, {zero} : {ty}")), is_bool: true }
            }
            _ => Value { name: self.text.convert("arith.sitofp", &loaded, element, "f32"), is_bool: false },
        }
    }

    /// Booleans as the bits of 0 and 1 in an 8-bit float; `one` is the bits of 1.
    fn float8(&mut self, value: &Value, one: i64) -> String {
        let truth = self.text.as_bool(value);
        let (one, zero) = (self.text.integer(one, "i8"), self.text.integer(0, "i8"));
        self.text.select(&truth, &one, &zero, "i8")
    }

    fn store(&mut self, base: &str, dtype: DType, value: &Value, offset: Option<&str>) {
        let element = stored(dtype).expect("checked before");
        let value = match (dtype, value.is_bool) {
            (DType::Pred, false) => self.text.as_bool(value),
            (DType::F32 | DType::BF16, true) => self.text.as_number(value),
            _ => value.clone(),
        };
        let name = match (dtype, one_in_float8(dtype)) {
            (_, Some(one)) => self.float8(&value, one),
            (DType::F32, _) => value.name,
            (DType::BF16, _) => self.text.convert("arith.truncf", &value.name, "f32", "bf16"),
            _ if value.is_bool => self.text.convert("arith.extui", &value.name, "i1", "i8"),
            _ => {
                let whole = self.text.convert("arith.fptosi", &value.name, "f32", "i32");
                self.text.convert("arith.trunci", &whole, "i32", "i8")
            }
        };
        let (pointers, ty) = self.pointers(base, element, offset);
        let mask = self.mask.as_ref().map(|mask| format!(", {mask}")).unwrap_or_default();
        self.text.line(format!("tt.store {pointers}, {name}{mask} : {ty}"));
    }
}

/// The value in a slot.
fn value(text: &mut Text, slot: Slot, consts: &[Value], carries: &[Value], row: &[Value], results: &[Value]) -> Value {
    match slot {
        Slot::Const(i) => consts[i].clone(),
        Slot::Carry(i) => carries[i].clone(),
        Slot::Slice(i) => row[i].clone(),
        Slot::Number(number) => text.number(number),
        Slot::Result(i) => results[i].clone(),
    }
}
