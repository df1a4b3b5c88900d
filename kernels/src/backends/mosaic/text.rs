//! A writer of Mosaic's stable text: operations in MLIR's generic form, `%0 = "stable_mosaic.arith.addf"(%a, %b) : (…) -> …`.

/// A value: its name and its type.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) ty: String,
}

impl Value {
    pub(super) fn new(name: impl Into<String>, ty: impl Into<String>) -> Value {
        Value { name: name.into(), ty: ty.into() }
    }

    /// Whether it is a block of booleans (i1) and not of numbers.
    pub(super) fn is_bool(&self) -> bool {
        self.ty.ends_with("xi1>")
    }
}

/// Text that is built line by line.
pub(super) struct Text {
    lines: String,
    next: usize,
    depth: usize,
    /// Rows and columns of the blocks of lanes.
    block: [usize; 2],
}

impl Text {
    pub(super) fn new(block: [usize; 2]) -> Text {
        Text { lines: String::new(), next: 0, depth: 2, block }
    }

    /// Appends a line.
    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        self.lines.push_str(&"  ".repeat(self.depth));
        self.lines.push_str(line.as_ref());
        self.lines.push('\n');
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

    /// The type of a block of `element`.
    pub(super) fn block(&self, element: &str) -> String {
        format!("vector<{}x{}x{element}>", self.block[0], self.block[1])
    }

    /// The type of a block of `element` in one step of a sequence.
    pub(super) fn step(&self, element: &str) -> String {
        format!("vector<1x{}x{}x{element}>", self.block[0], self.block[1])
    }

    /// Appends an operation with one result of type `ty`. `attributes` are the text between the braces, if any.
    pub(super) fn define(&mut self, operation: &str, operands: &[&Value], attributes: &str, ty: &str) -> Value {
        let value = Value::new(format!("%{}", self.next), ty);
        self.next += 1;
        self.line(format!("{} = {}", value.name, call(operation, operands, attributes, ty)));
        value
    }

    /// Appends an operation without a result.
    pub(super) fn act(&mut self, operation: &str, operands: &[&Value], attributes: &str) {
        self.line(call(operation, operands, attributes, "()"));
    }

    /// A constant of one of the types `i32` and `index`.
    pub(super) fn scalar(&mut self, value: usize, ty: &str) -> Value {
        self.define("arith.constant", &[], &format!("value = {value} : {ty}"), ty)
    }

    /// A block filled with the constant `value`, in MLIR's spelling.
    fn filled(&mut self, value: &str, element: &str) -> Value {
        let ty = self.block(element);
        self.define("arith.constant", &[], &format!("value = dense<{value}> : {ty}"), &ty)
    }

    /// A block of one number.
    pub(super) fn number(&mut self, value: f32) -> Value {
        self.filled(&format!("0x{:08X}", value.to_bits()), "f32")
    }

    /// A block of one 32-bit integer.
    pub(super) fn integer(&mut self, value: i32) -> Value {
        self.filled(&value.to_string(), "i32")
    }

    /// An operation whose result has the type of its operands.
    pub(super) fn same(&mut self, operation: &str, operands: &[&Value]) -> Value {
        self.define(operation, operands, "", &operands[0].ty)
    }

    /// A conversion to another element type.
    pub(super) fn convert(&mut self, operation: &str, value: &Value, element: &str) -> Value {
        let ty = self.block(element);
        self.define(operation, &[value], "", &ty)
    }

    /// A comparison of numbers.
    pub(super) fn compare(&mut self, predicate: Compare, a: &Value, b: &Value) -> Value {
        let ty = self.block("i1");
        self.define("arith.cmpf", &[a, b], &format!("predicate = {} : i64", predicate as u8), &ty)
    }

    /// `a` where the condition is true, else `b`.
    pub(super) fn select(&mut self, condition: &Value, a: &Value, b: &Value) -> Value {
        self.define("arith.select", &[condition, a, b], "", &a.ty)
    }

    /// The value as a number; a boolean becomes 0 or 1.
    pub(super) fn as_number(&mut self, value: &Value) -> Value {
        if !value.is_bool() {
            return value.clone();
        }
        let (one, zero) = (self.number(1.0), self.number(0.0));
        self.select(value, &one, &zero)
    }

    /// The value as a boolean; a number is true unless it is zero.
    pub(super) fn as_bool(&mut self, value: &Value) -> Value {
        if value.is_bool() {
            return value.clone();
        }
        let zero = self.number(0.0);
        self.differ(value, &zero)
    }

    /// Whether two numbers differ, true for NaN. The vector unit has no such comparison.
    pub(super) fn differ(&mut self, a: &Value, b: &Value) -> Value {
        let equal = self.compare(Compare::Equal, a, b);
        self.not(&equal)
    }

    /// The opposite of a boolean.
    pub(super) fn not(&mut self, value: &Value) -> Value {
        let truth = self.filled("true", "i1");
        self.same("arith.xori", &[value, &truth])
    }
}

/// Predicates of `arith.cmpf`, by their numbers; false for NaN.
#[derive(Clone, Copy)]
pub(super) enum Compare {
    Equal = 1,
    Greater = 2,
    GreaterEqual = 3,
    Less = 4,
    LessEqual = 5,
}

/// An operation in generic form; `results` is the text after the arrow.
pub(super) fn call(operation: &str, operands: &[&Value], attributes: &str, results: &str) -> String {
    let attributes = if attributes.is_empty() { String::new() } else { format!(" {{{attributes}}}") };
    format!("{}{attributes} : {}", head(operation, operands), signature(operands, results))
}

/// The part of an operation before its regions and attributes.
pub(super) fn head(operation: &str, operands: &[&Value]) -> String {
    let names: Vec<&str> = operands.iter().map(|operand| operand.name.as_str()).collect();
    format!("\"stable_mosaic.{operation}\"({})", names.join(", "))
}

/// The type of an operation.
pub(super) fn signature(operands: &[&Value], results: &str) -> String {
    let types: Vec<&str> = operands.iter().map(|operand| operand.ty.as_str()).collect();
    format!("({}) -> {results}", types.join(", "))
}
