//! Finds the origin of a function's first NaN or infinity by checking every value, and loops step by step. Slow.

use std::fmt;

use spiq_hlo::{Array, Function, Graph, Node, Scan, Tensor, TensorType, Value, concatenate, place_name};

use super::program::Program;
use crate::error::Result;
use crate::pjrt::{Client, Executable};
use crate::places;

/// The values to look for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// NaN, as `jax_debug_nans` does.
    #[default]
    Nan,
    /// Infinities, as `jax_debug_infs` does, and NaN.
    NotFinite,
}

impl Wanted {
    /// Whether an array contains such a value.
    pub fn is_in(self, array: &Array) -> bool {
        let wanted = |number: &f64| match self {
            Wanted::Nan => number.is_nan(),
            Wanted::NotFinite => !number.is_finite(),
        };
        array.dtype().is_float() && array.to_f64().iter().any(wanted)
    }
}

/// The first value of a function that contains a NaN, or an infinity if that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirstNan {
    /// The operation that produced it, by its StableHLO name; `input` for an input of the function.
    pub op: String,
    /// The type of the value.
    pub ty: TensorType,
    /// The name of the input, or the path of the module that created the operation (`core/layers/2`); may be empty.
    pub path: String,
    /// The source line that created the operation; empty for an input.
    pub place: String,
    /// The enclosing loops and branches, outermost first, each with its step or the branch taken: `step 3 of scan`.
    pub inside: Vec<String>,
    what: &'static str,
}

impl fmt::Display for FirstNan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FirstNan { op, ty, path, place, inside, what } = self;
        if op == INPUT {
            return write!(f, "the input `{path}` ({ty}) holds {what}");
        }
        write!(f, "the first {what} is a result of {op} ({ty})")?;
        if !path.is_empty() {
            write!(f, " in {path}")?;
        }
        inside.iter().rev().try_for_each(|inside| write!(f, ", in {inside}"))?;
        write!(f, ", made at {place}")
    }
}

const INPUT: &str = "input";

/// Returns the first value of a traced function that matches `wanted`, in the order of the trace; `None` if there is none. Computes
/// all values of the function in one program, and then those of the loop that contains the match step by step, so it takes much
/// longer than a run. JAX: `jax_debug_nans`, which reruns a function operation by operation.
///
/// A value counts whether or not a result depends on it: in `x.gt(0.0).select(&x.log(), &zero)` the logarithm is found if x is
/// negative.
///
/// # Errors
/// Errors from PJRT; kind `Input` for inputs that do not match the function.
///
/// ```
/// use spiq::compile::{Wanted, first_nan};
/// use spiq::{Array, DType, TensorType, pjrt::Client, trace};
/// let f = trace(&[("x", TensorType::new(DType::F32, [2]))], |x| vec![(&x[0] - 1.0).log() + 2.0])?;
/// let found = first_nan(&Client::cpu()?, &f, &[Array::new([2], [2.0f32, 0.5])?], Wanted::Nan)?.expect("a NaN");
/// assert!(found.to_string().starts_with("the first NaN is a result of log (f32[2]), made at "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn first_nan(client: &Client, function: &Function, inputs: &[Array], wanted: Wanted) -> Result<Option<FirstNan>> {
    places::name_cells();
    let search = Search { client, wanted };
    let held = inputs.iter().position(|input| wanted.is_in(input));
    if let Some(index) = held {
        let name = function.input_names().get(index).filter(|name| !name.is_empty());
        let (path, ty) = (name.cloned().unwrap_or_else(|| index.to_string()), inputs[index].ty().clone());
        let (op, place, inside) = (INPUT.to_owned(), String::new(), Vec::new());
        return Ok(Some(FirstNan { op, ty, path, place, inside, what: search.what() }));
    }
    search.within(function, inputs)
}

struct Search<'a> {
    client: &'a Client,
    wanted: Wanted,
}

impl Search<'_> {
    fn what(&self) -> &'static str {
        match self.wanted {
            Wanted::Nan => "NaN",
            Wanted::NotFinite => "infinity or NaN",
        }
    }

    /// Whether any element of a tensor matches: pred[].
    fn flag(&self, tensor: &Tensor) -> Tensor {
        let axes: Vec<usize> = (0..tensor.rank()).collect();
        match self.wanted {
            Wanted::Nan => tensor.ne(tensor).reduce_or(&axes),
            Wanted::NotFinite => tensor.is_finite().not().reduce_or(&axes),
        }
    }

    /// The first match in a function with these inputs.
    fn within(&self, function: &Function, inputs: &[Array]) -> Result<Option<FirstNan>> {
        let looked = self.looked(function)?;
        let Some(value) = looked.run(self.client, inputs)?.0 else { return Ok(None) };
        self.at(function, inputs, value).map(Some)
    }

    /// Describes a matching value of a function, or the value inside a loop or branch that it comes from.
    fn at(&self, function: &Function, inputs: &[Array], value: Value) -> Result<FirstNan> {
        let node = &function.nodes()[value.node];
        let types: Vec<TensorType> = node.operands.iter().map(|operand| function.ty(*operand).clone()).collect();
        let bodies = node.op.regions(&types);
        let inner = match (node.op.name(), &bodies[..]) {
            ("scan" | "while" | "case", [_, ..]) => {
                let operands = self.client.run(&compiled(self.client, &given(function, &node.operands))?, inputs)?;
                match (node.op.downcast::<Scan>(), node.op.name(), &bodies[..]) {
                    (Some(scan), ..) => self.in_scan(scan, &operands)?,
                    (None, "while", [condition, body]) => self.in_while(condition, body, operands)?,
                    (None, "case", branches) => self.in_case(branches, &operands)?,
                    _ => None,
                }
            }
            _ => None,
        };
        let found = inner.map(|(inside, mut found)| {
            found.inside.insert(0, inside);
            found
        });
        Ok(found.unwrap_or_else(|| self.found(node, value)))
    }

    fn found(&self, node: &Node, value: Value) -> FirstNan {
        FirstNan {
            op: node.op.name().to_owned(),
            ty: node.types[value.output].clone(),
            path: node.scope.to_string(),
            place: place_name(node.place),
            inside: Vec::new(),
            what: self.what(),
        }
    }

    /// The first match in the steps of a scan, with the step.
    fn in_scan(&self, scan: &Scan, operands: &[Array]) -> Result<Option<(String, FirstNan)>> {
        let (parts, looked) = (scan.parts(operands), self.looked(scan.body())?);
        let mut carries = parts.carries.to_vec();
        for step in 0..scan.length() {
            let at = if scan.is_reverse() { scan.length() - 1 - step } else { step };
            let slices = parts.xs.iter().map(|x| slice(x, at));
            let inputs: Vec<Array> = parts.consts.iter().cloned().chain(carries).chain(slices).collect();
            let (value, mut results) = looked.run(self.client, &inputs)?;
            if let Some(value) = value {
                return self.at(scan.body(), &inputs, value).map(|found| Some((format!("step {at} of scan"), found)));
            }
            results.truncate(scan.carries());
            carries = results;
        }
        Ok(None)
    }

    fn in_while(
        &self,
        condition: &Function,
        body: &Function,
        mut state: Vec<Array>,
    ) -> Result<Option<(String, FirstNan)>> {
        let (goes_on, looked) = (compiled(self.client, condition)?, self.looked(body)?);
        for step in 0.. {
            let holds = self.client.run(&goes_on, &state)?;
            if holds[0].to_f64() == [0.0] {
                break;
            }
            let (value, results) = looked.run(self.client, &state)?;
            if let Some(value) = value {
                return self.at(body, &state, value).map(|found| Some((format!("step {step} of while"), found)));
            }
            state = results;
        }
        Ok(None)
    }

    fn in_case(&self, branches: &[Function], operands: &[Array]) -> Result<Option<(String, FirstNan)>> {
        let (index, inputs) = operands.split_first().expect("a case has an index");
        // StableHLO takes the last branch for an index out of range.
        let index = index.to_f64()[0];
        let branch = if index < 0.0 { branches.len() - 1 } else { (index as usize).min(branches.len() - 1) };
        let found = self.within(&branches[branch], inputs)?;
        Ok(found.map(|found| (format!("branch {branch} of case"), found)))
    }

    /// The program that checks the values of a function.
    fn looked(&self, function: &Function) -> Result<Looked> {
        let inputs = function.input_names().len();
        let outputs = function.nodes().iter().enumerate().skip(inputs).flat_map(|(node, made)| {
            made.types
                .iter()
                .enumerate()
                .filter(|(_, ty)| ty.dtype.is_float() && ty.count() > 0)
                .map(move |(output, _)| Value { node, output })
        });
        let values: Vec<Value> = outputs.collect();
        let all = given(function, &values.iter().chain(function.results()).copied().collect::<Vec<_>>());
        let graph = Graph::new();
        let arguments: Vec<Tensor> = function.input_types().into_iter().map(|ty| graph.input("", ty)).collect();
        let made = all.call(&graph, &arguments);
        let (looked_at, results) = made.split_at(values.len());
        let flags: Vec<Tensor> = looked_at.iter().map(|tensor| self.flag(tensor).reshape(&[1])).collect();
        let flags = flags.iter().collect::<Vec<_>>();
        let flags = if flags.is_empty() { Vec::new() } else { vec![concatenate(&flags, 0)] };
        let with_results = graph.finish(&[flags, results.to_vec()].concat())?;
        Ok(Looked { program: compiled(self.client, &with_results)?, values })
    }
}

/// A program that returns which values match, and the results of the function.
struct Looked {
    program: Executable,
    values: Vec<Value>,
}

impl Looked {
    /// The first match, and the results.
    fn run(&self, client: &Client, inputs: &[Array]) -> Result<(Option<Value>, Vec<Array>)> {
        let mut results = client.run(&self.program, inputs)?;
        if self.values.is_empty() {
            return Ok((None, results));
        }
        let flags = results.remove(0).to_f64();
        Ok((flags.iter().position(|flag| *flag > 0.0).map(|first| self.values[first]), results))
    }
}

/// The function with these values as results.
fn given(function: &Function, values: &[Value]) -> Function {
    let names = function.input_names().iter().enumerate();
    let inputs: Vec<(Value, String)> = names.map(|(index, name)| (function.input(index), name.clone())).collect();
    function.part(&inputs, values)
}

fn compiled(client: &Client, function: &Function) -> Result<Executable> {
    Program::named("debug_nans").compile(client, function)
}

/// A slice along the first axis.
fn slice(array: &Array, at: usize) -> Array {
    let (dims, ty) = (array.dims(), array.ty());
    let size = array.bytes().len() / dims[0];
    let bytes = array.bytes()[at * size..(at + 1) * size].to_vec();
    Array::from_bytes(ty.with_dims(&dims[1..]), bytes).expect("as many bytes as a slice has")
}
