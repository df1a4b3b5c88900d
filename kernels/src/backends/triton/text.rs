//! A writer of Triton IR: names of results, types of blocks, numbers.

use spiq_hlo::DType;

/// A block value: its name, and whether it is a boolean (i1) or a number (f32).
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) is_bool: bool,
}

/// Text that is built line by line.
pub(super) struct Text {
    lines: String,
    next: usize,
    depth: usize,
    /// Lanes per program of the grid, a power of two.
    pub(super) block: usize,
}

impl Text {
    pub(super) fn new(block: usize) -> Text {
        Text { lines: String::new(), next: 0, depth: 1, block }
    }

    /// Appends a line without a result.
    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        self.lines.push_str(&"  ".repeat(self.depth));
        self.lines.push_str(line.as_ref());
        self.lines.push('\n');
    }

    /// Appends a line with one result and returns the result's name.
    pub(super) fn define(&mut self, operation: impl AsRef<str>) -> String {
        let name = format!("%{}", self.next);
        self.next += 1;
        self.line(format!("{name} = {}", operation.as_ref()));
        name
    }

    /// The type of a block of `element`.
    pub(super) fn tensor(&self, element: &str) -> String {
        format!("tensor<{}x{element}>", self.block)
    }

    /// A constant block of one number.
    pub(super) fn number(&mut self, value: f32) -> Value {
        let ty = self.tensor("f32");
        let name = self.define(format!("arith.constant dense<0x{:08X}> : {ty}", value.to_bits()));
        Value { name, is_bool: false }
    }

    /// A constant block of one integer with this type (`i8`, `i16`, `i32`).
    pub(super) fn integer(&mut self, value: i64, element: &str) -> String {
        let ty = self.tensor(element);
        self.define(format!("arith.constant dense<{value}> : {ty}"))
    }

    /// A 32-bit integer constant.
    pub(super) fn scalar(&mut self, value: i64) -> String {
        self.define(format!("arith.constant {value} : i32"))
    }

    /// An operation on numbers with a number as result.
    pub(super) fn numbers(&mut self, operation: &str, operands: &[&Value]) -> Value {
        let names: Vec<&str> = operands.iter().map(|operand| operand.name.as_str()).collect();
        let ty = self.tensor("f32");
        Value { name: self.define(format!("{operation} {} : {ty}", names.join(", "))), is_bool: false }
    }

    /// A comparison of numbers with this predicate.
    pub(super) fn compare(&mut self, predicate: &str, a: &Value, b: &Value) -> Value {
        let ty = self.tensor("f32");
        let name = self.define(format!("arith.cmpf {predicate}, {}, {} : {ty}", a.name, b.name));
        Value { name, is_bool: true }
    }

    /// A conversion from one element type to another.
    pub(super) fn convert(&mut self, operation: &str, name: &str, from: &str, to: &str) -> String {
        let (from, to) = (self.tensor(from), self.tensor(to));
        self.define(format!("{operation} {name} : {from} to {to}"))
    }

    /// Bitcasts a value to another element type.
    pub(super) fn bits(&mut self, name: &str, from: &str, to: &str) -> String {
        let (from, to) = (self.tensor(from), self.tensor(to));
        self.define(format!("tt.bitcast {name} : {from} -> {to}"))
    }

    /// `a` where the condition is true, else `b`; both have type `element`.
    pub(super) fn select(&mut self, condition: &Value, a: &str, b: &str, element: &str) -> String {
        let (bools, ty) = (self.tensor("i1"), self.tensor(element));
        self.define(format!("arith.select {}, {a}, {b} : {bools}, {ty}", condition.name))
    }

    /// The value as a number; a boolean becomes 0 or 1.
    pub(super) fn as_number(&mut self, value: &Value) -> Value {
        match value.is_bool {
            true => Value { name: self.convert("arith.uitofp", &value.name, "i1", "f32"), is_bool: false },
            false => value.clone(),
        }
    }

    /// The value as a boolean; a number is true unless it is zero.
    pub(super) fn as_bool(&mut self, value: &Value) -> Value {
        if value.is_bool {
            return value.clone();
        }
        let zero = self.number(0.0);
        self.compare("une", value, &zero)
    }

    /// Indents the following lines by one more level.
    pub(super) fn depth_in(&mut self) {
        self.depth += 1;
    }

    /// Indents the following lines by one level less.
    pub(super) fn depth_out(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn finish(self) -> String {
        self.lines
    }
}

/// The bits of 1 in an 8-bit float, in which kernels can write booleans.
pub(super) fn one_in_float8(dtype: DType) -> Option<i64> {
    match dtype {
        DType::F8E4M3FN => Some(0x38),
        DType::F8E5M2 => Some(0x3c),
        _ => None,
    }
}

/// The Triton type of an array of this type in memory; `None` for a type that kernels do not support.
pub(super) fn stored(dtype: DType) -> Option<&'static str> {
    match dtype {
        DType::F32 => Some("f32"),
        DType::BF16 => Some("bf16"),
        DType::S8 | DType::Pred | DType::F8E4M3FN | DType::F8E5M2 => Some("i8"),
        DType::S32 => Some("i32"),
        _ => None,
    }
}
