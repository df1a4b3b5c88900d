//! Runs a kernel's text as a TPU does: program by program of the grid, with blocks copied to and from its memory.

use std::collections::HashMap;

use super::parse::{Block, Operation, attribute, functions, listed, numbers};

/// An array in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub dims: Vec<usize>,
    pub values: Vec<f64>,
}

/// A value of an operation.
#[derive(Clone, Debug)]
enum Value {
    /// An index, an i32 or an i1.
    Scalar(i64),
    /// The elements of a block.
    Vector(Vec<f64>),
    /// The block of a parameter.
    Memory(usize),
}

/// Contents of a block outside its array, and of results before they are written.
const GARBAGE: f64 = f64::NAN;

/// The block of an array in a core's memory.
struct Window {
    transform: String,
    bounds: Vec<usize>,
    /// Which block it is.
    place: Option<Vec<usize>>,
    values: Vec<f64>,
}

impl Window {
    /// The place in the block and in the array of each element that is in both.
    fn pairs(&self, dims: &[usize]) -> Vec<(usize, usize)> {
        let place = self.place.as_ref().expect("a block");
        let mut pairs = vec![(0, 0)];
        for (axis, &size) in dims.iter().enumerate() {
            let (bound, start) = (self.bounds[axis], place[axis] * self.bounds[axis]);
            assert!(start < size, "block {place:?} of {:?} is outside {dims:?}", self.bounds);
            let inside = bound.min(size - start);
            let grow =
                |(here, there): (usize, usize)| (0..inside).map(move |i| (here * bound + i, there * size + start + i));
            pairs = pairs.into_iter().flat_map(grow).collect();
        }
        pairs
    }

    fn read(&mut self, array: &Array) {
        self.values = vec![GARBAGE; self.bounds.iter().product()];
        for (here, there) in self.pairs(&array.dims) {
            self.values[here] = array.values[there];
        }
    }

    fn write(&self, array: &mut Array) {
        for (here, there) in self.pairs(&array.dims) {
            array.values[there] = self.values[here];
        }
    }
}

/// Runs a kernel on these inputs; `outputs` are the shapes of its results.
pub fn run(text: &str, inputs: &[Array], outputs: &[Vec<usize>]) -> Vec<Array> {
    let functions = functions(text);
    let main = &functions["spiq_elementwise_scan"];
    let empty = |dims: &Vec<usize>| Array { dims: dims.clone(), values: vec![GARBAGE; dims.iter().product()] };
    let mut arrays: Vec<Array> = inputs.iter().cloned().chain(outputs.iter().map(empty)).collect();
    let mut windows = windows(main);
    assert_eq!(windows.len(), arrays.len());
    for place in grid(&numbers(&attribute(&main.attributes, "iteration_bounds"))) {
        for (i, window) in windows.iter_mut().enumerate() {
            let block = call(&functions[&window.transform], &place);
            if window.place.as_ref() == Some(&block) {
                continue;
            }
            if i >= inputs.len() && window.place.is_some() {
                window.write(&mut arrays[i]);
            }
            window.place = Some(block);
            match i < inputs.len() {
                true => window.read(&arrays[i]),
                false => window.values.fill(GARBAGE),
            }
        }
        windows = Machine::new(windows).run(main, &place);
    }
    for (window, array) in windows.iter().zip(&mut arrays).skip(inputs.len()) {
        window.write(array);
    }
    arrays.split_off(inputs.len())
}

fn windows(main: &Operation) -> Vec<Window> {
    let params = attribute(&main.attributes, "window_params");
    let window = |text: String| {
        let inside = text.trim_start_matches('{').trim_end_matches('}');
        let bounds = numbers(&attribute(inside, "window_bounds"));
        let transform = attribute(inside, "transform_indices").trim_start_matches('@').to_owned();
        Window { transform, values: vec![GARBAGE; bounds.iter().product()], bounds, place: None }
    };
    listed(params.trim_start_matches('[').trim_end_matches(']')).into_iter().map(window).collect()
}

/// The places of a grid; the last axis changes first.
fn grid(bounds: &[usize]) -> Vec<Vec<usize>> {
    let grow = |places: Vec<Vec<usize>>, bound: &usize| {
        places.iter().flat_map(|place| (0..*bound).map(move |i| [place.as_slice(), &[i]].concat())).collect()
    };
    bounds.iter().fold(vec![Vec::new()], grow)
}

/// The result of a function of a place in the grid.
fn call(function: &Operation, place: &[usize]) -> Vec<usize> {
    let mut machine = Machine::new(Vec::new());
    machine.enter(function, place);
    let block = function.region.as_ref().expect("a body");
    let results = machine.block(block);
    results.iter().map(|value| usize::try_from(machine.scalar(value)).expect("a block's index")).collect()
}

struct Machine {
    windows: Vec<Window>,
    values: HashMap<String, (Value, String)>,
}

impl Machine {
    fn new(windows: Vec<Window>) -> Machine {
        Machine { windows, values: HashMap::new() }
    }

    /// Runs a program of the grid; returns its blocks.
    fn run(mut self, main: &Operation, place: &[usize]) -> Vec<Window> {
        self.enter(main, place);
        self.block(main.region.as_ref().expect("a body"));
        self.windows
    }

    fn enter(&mut self, function: &Operation, place: &[usize]) {
        let parameters = &function.region.as_ref().expect("a body").parameters;
        for (i, (name, ty)) in parameters.iter().enumerate() {
            let value = place.get(i).map_or_else(|| Value::Memory(i - place.len()), |at| Value::Scalar(*at as i64));
            self.values.insert(name.clone(), (value, ty.clone()));
        }
    }

    /// Runs the operations; returns the operands of the last.
    fn block(&mut self, block: &Block) -> Vec<String> {
        let (last, before) = block.operations.split_last().expect("an end");
        for operation in before {
            self.operation(operation);
        }
        assert!(matches!(last.name.as_str(), "func.return" | "scf.yield"), "{}", last.name);
        last.operands.clone()
    }

    fn scalar(&self, name: &str) -> i64 {
        match &self.values[name].0 {
            Value::Scalar(value) => *value,
            other => panic!("{name} is {other:?}"),
        }
    }

    fn vector(&self, name: &str) -> &[f64] {
        match &self.values[name].0 {
            Value::Vector(values) => values,
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Runs an operation on values of the types that it says.
    fn operation(&mut self, operation: &Operation) {
        for (operand, ty) in operation.operands.iter().zip(&operation.operand_types) {
            let known = &self.values.get(operand).unwrap_or_else(|| panic!("{operand} in {operation:?}")).1;
            assert_eq!(known, ty, "{operation:?}");
        }
        assert_eq!(operation.operands.len(), operation.operand_types.len());
        assert_eq!(operation.results.len(), operation.result_types.len());
        let values = self.results(operation);
        for ((name, ty), value) in operation.results.iter().zip(&operation.result_types).zip(values) {
            if let Value::Vector(values) = &value {
                assert_eq!(values.len(), sizes(ty).iter().product::<usize>(), "{operation:?}");
            }
            self.values.insert(name.clone(), (value, ty.clone()));
        }
    }

    fn results(&mut self, operation: &Operation) -> Vec<Value> {
        let Operation { operands, region, .. } = operation;
        match operation.name.as_str() {
            "scf.if" => {
                if self.scalar(&operands[0]) != 0 {
                    self.block(region.as_ref().expect("a body"));
                }
                Vec::new()
            }
            "scf.for" => self.turns(operands, region.as_ref().expect("a body")),
            "vector.load" => {
                let (memory, at) = self.place(&operands[0], &operands[1..]);
                let count: usize = sizes(&operation.result_types[0]).iter().product();
                vec![Value::Vector(self.windows[memory].values[at..at + count].to_vec())]
            }
            "tpu.vector_store" => {
                let values = self.vector(&operands[0]).to_vec();
                let (memory, at) = self.place(&operands[1], &operands[2..]);
                self.windows[memory].values[at..at + values.len()].copy_from_slice(&values);
                Vec::new()
            }
            "arith.constant" => vec![constant(&attribute(&operation.attributes, "value"))],
            _ if operation.result_types[0].starts_with("vector") => vec![Value::Vector(self.elements(operation))],
            _ => vec![Value::Scalar(self.integer(operation))],
        }
    }

    fn turns(&mut self, operands: &[String], body: &Block) -> Vec<Value> {
        let [start, end, by] = [0, 1, 2].map(|i| self.scalar(&operands[i]));
        let mut kept: Vec<Value> = operands[3..].iter().map(|name| self.values[name].0.clone()).collect();
        for turn in (start..end).step_by(by as usize) {
            let given = [vec![Value::Scalar(turn)], kept].concat();
            for ((name, ty), value) in body.parameters.iter().zip(given) {
                self.values.insert(name.clone(), (value, ty.clone()));
            }
            kept = self.block(body).iter().map(|name| self.values[name].0.clone()).collect();
        }
        kept
    }

    /// The parameter, and where in its block these indices are.
    fn place(&self, memory: &str, indices: &[String]) -> (usize, usize) {
        let (Value::Memory(memory), ty) = &self.values[memory] else { panic!("{memory} is no memory") };
        let dims = sizes(ty);
        assert_eq!(dims, self.windows[*memory].bounds);
        assert_eq!(dims.len(), indices.len());
        let at = indices.iter().zip(&dims).fold(0, |at, (name, size)| {
            let index = usize::try_from(self.scalar(name)).expect("an index");
            assert!(index < *size);
            at * size + index
        });
        (*memory, at)
    }

    fn integer(&self, operation: &Operation) -> i64 {
        let of: Vec<i64> = operation.operands.iter().map(|name| self.scalar(name)).collect();
        match (operation.name.as_str(), of.as_slice()) {
            ("arith.addi", [a, b]) => a + b,
            ("arith.subi", [a, b]) => a - b,
            ("arith.muli", [a, b]) => a * b,
            ("arith.minsi", [a, b]) => *a.min(b),
            ("arith.index_cast", [a]) => *a,
            ("arith.cmpi", [a, b]) if operation.attributes == "predicate = 0 : i64" => i64::from(a == b),
            _ => panic!("{operation:?}"),
        }
    }

    fn elements(&self, operation: &Operation) -> Vec<f64> {
        let of: Vec<&[f64]> = operation.operands.iter().map(|name| self.vector(name)).collect();
        let element = |i: usize| {
            let values: Vec<f64> = of.iter().map(|values| values[i]).collect();
            apply(&operation.name, &operation.attributes, &operation.result_types[0], &values)
        };
        (0..of[0].len()).map(element).collect()
    }
}

/// The sizes in `vector<8x128xf32>` and `memref<8x128xf32, …>`.
fn sizes(ty: &str) -> Vec<usize> {
    let inside = ty.split_once('<').map_or("", |(_, inside)| inside);
    inside.split('x').map_while(|size| size.parse().ok()).collect()
}

fn constant(text: &str) -> Value {
    let (value, ty) = text.rsplit_once(" : ").expect("a type");
    let Some(value) = value.strip_prefix("dense<").and_then(|value| value.strip_suffix('>')) else {
        return Value::Scalar(value.parse().expect("an integer"));
    };
    let number = match value.strip_prefix("0x") {
        Some(bits) => f64::from(f32::from_bits(u32::from_str_radix(bits, 16).expect("32 bits"))),
        None if value == "true" => 1.0,
        None => value.parse().expect("a number"),
    };
    Value::Vector(vec![number; sizes(ty).iter().product()])
}

/// An elementwise operation on one element. Every element is an f64, which holds all values of the types in use.
fn apply(name: &str, attributes: &str, ty: &str, of: &[f64]) -> f64 {
    let f = |i: usize| of[i] as f32;
    let truth = |holds: bool| f64::from(u8::from(holds));
    let float = match name {
        "arith.addf" => f(0) + f(1),
        "arith.subf" => f(0) - f(1),
        "arith.mulf" => f(0) * f(1),
        "arith.divf" => f(0) / f(1),
        "arith.negf" => -f(0),
        "arith.maximumf" => maximum(f(0), f(1)),
        "arith.minimumf" => -maximum(-f(0), -f(1)),
        "math.absf" => f(0).abs(),
        "math.sqrt" => f(0).sqrt(),
        "math.exp" => f(0).exp(),
        "math.floor" => f(0).floor(),
        "math.ceil" => f(0).ceil(),
        "math.roundeven" => f(0).round_ties_even(),
        "arith.truncf" if ty.ends_with("xbf16>") => half::bf16::from_f32(f(0)).to_f32(),
        // Only booleans become floats of 8 bits.
        "arith.truncf" => [0.0, 1.0].into_iter().find(|bit| *bit == f(0)).unwrap_or(f32::NAN),
        "arith.extf" | "vector.shape_cast" | "arith.extsi" | "arith.extui" => return of[0],
        // Rounded: an s32 need not be an f32.
        "arith.sitofp" => f(0),
        "arith.fptosi" => return f64::from(f(0) as i32),
        "arith.trunci" => return f64::from(of[0] as i32 as i8),
        "arith.select" => return if of[0] == 0.0 { of[2] } else { of[1] },
        "arith.andi" => return truth(of[0] != 0.0 && of[1] != 0.0),
        "arith.ori" => return truth(of[0] != 0.0 || of[1] != 0.0),
        "arith.xori" => return truth(of[0] != of[1]),
        "arith.cmpf" | "arith.cmpi" => return truth(compare(name, &attribute(attributes, "predicate"), of[0], of[1])),
        _ => panic!("{name}"),
    };
    f64::from(float)
}

/// The comparisons that TPUs have.
fn compare(name: &str, predicate: &str, a: f64, b: f64) -> bool {
    match (name, predicate) {
        ("arith.cmpf", "1 : i64") => a == b,
        ("arith.cmpf", "2 : i64") => a > b,
        ("arith.cmpf", "3 : i64") => a >= b,
        ("arith.cmpf", "4 : i64") => a < b,
        ("arith.cmpf", "5 : i64") => a <= b,
        ("arith.cmpi", "1 : i64") => a != b,
        _ => panic!("{name} {predicate}"),
    }
}

/// NaN if one is; 0 above -0.
fn maximum(a: f32, b: f32) -> f32 {
    match a == b {
        _ if a.is_nan() || b.is_nan() => f32::NAN,
        true if a.is_sign_positive() => a,
        true => b,
        false => a.max(b),
    }
}
