//! Prints a whole kernel: what a program of the grid does with its blocks.

use spiq_hlo::DType;

use super::blocks::Blocks;
use super::instruction;
use super::module::{self, Window};
use super::text::{Text, Value, head, signature};
use crate::contract::lane_program::{LaneProgram, Slot};

/// The text of a kernel, and how it divides the loop.
#[derive(Debug, PartialEq)]
pub(super) struct Kernel {
    /// The module.
    pub(super) text: String,
    pub(super) blocks: Blocks,
}

impl Kernel {
    /// The kernel of a loop whose lanes have the shape `dims`.
    ///
    /// # Errors
    /// Why no kernel can compute the loop.
    pub(super) fn of(program: &LaneProgram, dims: &[usize]) -> Result<Kernel, String> {
        if program.steps == 0 || program.lanes == 0 {
            return Err("it has no elements".to_owned());
        }
        let read = program.consts.iter().chain(&program.slices);
        let outputs = program.outputs.iter().map(|(_, dtype)| dtype);
        let is_float8 = |dtype: &DType| matches!(dtype, DType::F8E4M3FN | DType::F8E5M2);
        if let Some(dtype) = read.clone().find(|dtype| stored(**dtype).is_none() || is_float8(dtype)) {
            return Err(format!("kernels for TPUs do not read {dtype}"));
        }
        if let Some(dtype) = outputs.clone().find(|dtype| stored(**dtype).is_none() || **dtype == DType::S32) {
            return Err(format!("kernels for TPUs do not write {dtype}"));
        }
        let elements = program.steps.checked_mul(program.lanes);
        if elements.is_none_or(|elements| elements > i32::MAX as usize) {
            return Err("it has more than 2^31 elements".to_owned());
        }
        let blocks = Blocks::of(program, dims);
        Ok(Kernel { text: Writer::new(program, blocks).write(), blocks })
    }
}

/// The type of an element in memory; `None` for a type that kernels do not support. Booleans are bytes.
fn stored(dtype: DType) -> Option<&'static str> {
    match dtype {
        DType::F32 => Some("f32"),
        DType::BF16 => Some("bf16"),
        DType::S8 | DType::Pred => Some("i8"),
        DType::S32 => Some("i32"),
        // Booleans for products of 8-bit floats; only written.
        DType::F8E4M3FN => Some("f8E4M3FN"),
        DType::F8E5M2 => Some("f8E5M2"),
        _ => None,
    }
}

struct Writer<'a> {
    program: &'a LaneProgram,
    blocks: Blocks,
    text: Text,
    /// The index 0.
    origin: Value,
}

/// The inputs of a step.
struct Step<'a> {
    consts: &'a [Value],
    carries: &'a [Value],
    row: &'a [Value],
}

impl Step<'_> {
    /// The value in a slot, after the instructions with these results.
    fn value(&self, text: &mut Text, slot: Slot, results: &[Value]) -> Value {
        match slot {
            Slot::Const(i) => self.consts[i].clone(),
            Slot::Carry(i) => self.carries[i].clone(),
            Slot::Slice(i) => self.row[i].clone(),
            Slot::Number(number) => text.number(number),
            Slot::Result(i) => results[i].clone(),
        }
    }
}

impl<'a> Writer<'a> {
    fn new(program: &'a LaneProgram, blocks: Blocks) -> Writer<'a> {
        Writer { program, blocks, text: Text::new(blocks.block), origin: Value::new("", "index") }
    }

    fn write(mut self) -> String {
        self.origin = self.text.scalar(0, "index");
        let consts = self.program.consts.iter().enumerate();
        let consts: Vec<Value> = consts.map(|(i, dtype)| self.load(&format!("%const{i}"), *dtype, None)).collect();
        let carries = self.first_carries();
        let carries = self.steps(&consts, &carries);
        for (i, carry) in carries.iter().enumerate() {
            self.store(&format!("%last{i}"), DType::F32, carry, None);
        }
        self.text.act("func.return", &[], "");
        let (windows, blocks, reverse) = (self.windows(), self.blocks, self.program.reverse);
        module::printed(&self.text.finish(), &windows, &blocks, reverse)
    }

    /// The parameters: constants, initial carries, sequences, final carries, outputs.
    fn windows(&self) -> Vec<Window> {
        let program = self.program;
        let of = |name: &str, dtypes: Vec<DType>, over_time: bool| -> Vec<Window> {
            let window = |(i, dtype): (usize, &DType)| {
                let name = format!("%{name}{i}");
                Window { ty: self.memory(*dtype, over_time), name, over_time }
            };
            dtypes.iter().enumerate().map(window).collect()
        };
        let carries = vec![DType::F32; program.carries.len()];
        let outputs = program.outputs.iter().map(|(_, dtype)| *dtype).collect();
        [
            of("const", program.consts.clone(), false),
            of("carry", carries.clone(), false),
            of("slice", program.slices.clone(), true),
            of("last", carries, false),
            of("out", outputs, true),
        ]
        .concat()
    }

    /// The type of a block in memory.
    fn memory(&self, dtype: DType, over_time: bool) -> String {
        let ([rows, columns], element) = (self.blocks.block, stored(dtype).expect("checked before"));
        let steps = if over_time { format!("{}x", self.blocks.steps_at_once) } else { String::new() };
        format!("memref<{steps}{rows}x{columns}x{element}, #tpu.memory_space<vmem>>")
    }

    /// The carries before the steps of this program. Where time is divided, the block of final carries keeps them between programs: it
    /// stays in memory while only the time changes.
    fn first_carries(&mut self) -> Vec<Value> {
        let divided = self.blocks.grid()[2] > 1;
        if divided && !self.program.carries.is_empty() {
            self.begin_carries();
        }
        let name = if divided { "last" } else { "carry" };
        (0..self.program.carries.len()).map(|i| self.load(&format!("%{name}{i}"), DType::F32, None)).collect()
    }

    /// In the first program along time, copies the initial carries.
    fn begin_carries(&mut self) {
        let (time, zero) = (Value::new("%time", "i32"), self.text.scalar(0, "i32"));
        let is_first = self.text.define("arith.cmpi", &[&time, &zero], "predicate = 0 : i64", "i1");
        self.text.line(format!("{} ({{", head("scf.if", &[&is_first])));
        self.text.depth_in();
        for i in 0..self.program.carries.len() {
            let carry = self.load(&format!("%carry{i}"), DType::F32, None);
            self.store(&format!("%last{i}"), DType::F32, &carry, None);
        }
        self.text.act("scf.yield", &[], "");
        self.text.depth_out();
        self.text.line(format!("}}, {{}}) : {}", signature(&[&is_first], "()")));
    }

    /// The loop over the steps of this program; returns the carries after it.
    fn steps(&mut self, consts: &[Value], carries: &[Value]) -> Vec<Value> {
        let (zero, one, count) = (self.text.scalar(0, "i32"), self.text.scalar(1, "i32"), self.count());
        let number = self.text.block("f32");
        let kept: Vec<Value> = (0..carries.len()).map(|i| Value::new(format!("%kept{i}"), &number)).collect();
        let operands: Vec<&Value> = [&zero, &count, &one].into_iter().chain(carries).collect();
        let results = if kept.is_empty() { String::new() } else { format!("%end:{} = ", kept.len()) };
        self.text.line(format!("{results}{} ({{", head("scf.for", &operands)));
        let arguments: String = kept.iter().map(|kept| format!(", {}: {}", kept.name, kept.ty)).collect();
        self.text.line(format!("^turn(%turn: i32{arguments}):"));
        self.text.depth_in();
        let after = self.turn(consts, &kept, &count);
        self.text.act("scf.yield", &after.iter().collect::<Vec<_>>(), "");
        self.text.depth_out();
        let types = vec![number.as_str(); kept.len()].join(", ");
        self.text.line(format!("}}) : {}", signature(&operands, &format!("({types})"))));
        (0..kept.len()).map(|i| Value::new(format!("%end#{i}"), &number)).collect()
    }

    /// The number of steps of this program: fewer in the last block of an array whose length is not a multiple.
    fn count(&mut self) -> Value {
        let Blocks { steps, steps_at_once, .. } = self.blocks;
        let most = self.text.scalar(steps_at_once, "i32");
        if steps.is_multiple_of(steps_at_once) {
            return most;
        }
        let block = module::time_block(&mut self.text, &self.blocks, self.program.reverse);
        let before = self.text.same("arith.muli", &[&block, &most]);
        let all = self.text.scalar(steps, "i32");
        let left = self.text.same("arith.subi", &[&all, &before]);
        self.text.same("arith.minsi", &[&left, &most])
    }

    /// One turn of the loop: loads, arithmetic, stores. Returns the next carries.
    fn turn(&mut self, consts: &[Value], carries: &[Value], count: &Value) -> Vec<Value> {
        let at = self.step_index(count);
        let slices = self.program.slices.iter().enumerate();
        let row: Vec<Value> = slices.map(|(i, dtype)| self.load(&format!("%slice{i}"), *dtype, Some(&at))).collect();
        let step = Step { consts, carries, row: &row };
        let results = self.results(&step);
        for (i, (slot, dtype)) in self.program.outputs.iter().enumerate() {
            let output = step.value(&mut self.text, *slot, &results);
            self.store(&format!("%out{i}"), *dtype, &output, Some(&at));
        }
        let next = self.program.carries.iter().map(|slot| {
            let carry = step.value(&mut self.text, *slot, &results);
            self.text.as_number(&carry)
        });
        next.collect()
    }

    /// The index of the turn's step in the block.
    fn step_index(&mut self, count: &Value) -> Value {
        let mut turn = Value::new("%turn", "i32");
        if self.program.reverse {
            let one = self.text.scalar(1, "i32");
            let last = self.text.same("arith.subi", &[count, &one]);
            turn = self.text.same("arith.subi", &[&last, &turn]);
        }
        self.text.define("arith.index_cast", &[&turn], "", "index")
    }

    /// The results of the step's instructions.
    fn results(&mut self, step: &Step) -> Vec<Value> {
        let mut results: Vec<Value> = Vec::with_capacity(self.program.instructions.len());
        for instruction in &self.program.instructions {
            let slots = instruction.read().iter();
            let operands: Vec<Value> = slots.map(|slot| step.value(&mut self.text, *slot, &results)).collect();
            results.push(instruction::write(&mut self.text, instruction.op, &operands));
        }
        results
    }

    /// A block from memory as numbers or booleans; `at` is the step of a sequence.
    fn load(&mut self, memory: &str, dtype: DType, at: Option<&Value>) -> Value {
        let element = stored(dtype).expect("checked before");
        let (memory, origin) = (Value::new(memory, self.memory(dtype, at.is_some())), self.origin.clone());
        let whole = self.text.block(element);
        let loaded = match at {
            None => self.text.define("vector.load", &[&memory, &origin, &origin], "", &whole),
            Some(at) => {
                let ty = self.text.step(element);
                let step = self.text.define("vector.load", &[&memory, at, &origin, &origin], "", &ty);
                self.text.define("vector.shape_cast", &[&step], "", &whole)
            }
        };
        match dtype {
            DType::BF16 => self.text.convert("arith.extf", &loaded, "f32"),
            DType::S32 => self.text.convert("arith.sitofp", &loaded, "f32"),
            DType::S8 => {
                let wide = self.text.convert("arith.extsi", &loaded, "i32");
                self.text.convert("arith.sitofp", &wide, "f32")
            }
            DType::Pred => {
                let (wide, zero) = (self.text.convert("arith.extsi", &loaded, "i32"), self.text.integer(0));
                let ty = self.text.block("i1");
                self.text.define("arith.cmpi", &[&wide, &zero], "predicate = 1 : i64", &ty)
            }
            _ => loaded,
        }
    }

    /// Stores a value as this type; `at` is the step of a sequence.
    fn store(&mut self, memory: &str, dtype: DType, value: &Value, at: Option<&Value>) {
        let value = match dtype {
            DType::Pred => self.text.as_bool(value),
            DType::S8 => value.clone(),
            _ => self.text.as_number(value),
        };
        let mut value = match dtype {
            DType::F32 => value,
            DType::BF16 | DType::F8E4M3FN | DType::F8E5M2 => {
                self.text.convert("arith.truncf", &value, stored(dtype).expect("checked before"))
            }
            _ => {
                let widen = if value.is_bool() { "arith.extui" } else { "arith.fptosi" };
                let wide = self.text.convert(widen, &value, "i32");
                self.text.convert("arith.trunci", &wide, "i8")
            }
        };
        let (memory, origin) = (Value::new(memory, self.memory(dtype, at.is_some())), self.origin.clone());
        let mut indices = vec![&origin, &origin];
        if let Some(at) = at {
            let ty = self.text.step(stored(dtype).expect("checked before"));
            value = self.text.define("vector.shape_cast", &[&value], "", &ty);
            indices.insert(0, at);
        }
        let attributes =
            format!("add = false, operandSegmentSizes = array<i32: 1, 1, {}, 0>, strides = array<i32>", indices.len());
        let operands: Vec<&Value> = [&value, &memory].into_iter().chain(indices).collect();
        self.text.act("tpu.vector_store", &operands, &attributes);
    }
}
