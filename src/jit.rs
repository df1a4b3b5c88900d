//! From a traced function to a program on a device, compiled once per input types. Knows nothing of layers.

use std::collections::HashMap;
use std::sync::Mutex;

use spiq_hlo::{Array, Function, GraphErrors, PrintOptions, Tensor, TensorType};

use crate::error::Result;
use crate::pjrt::{Client, CompileOptions, Executable, Value};
use crate::places;

/// How a function becomes a program.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Name of the module; letters, digits and `_`, others are replaced.
    pub name: String,
    /// Parameters whose memory a result takes over: (parameter, result), of equal type.
    pub donated: Vec<(usize, usize)>,
    /// How it is compiled.
    pub options: CompileOptions,
    /// Leaves everything to XLA, loops over time and products with spikes, too, that kernels of this library would compute.
    pub without_kernels: bool,
}

impl Program {
    /// A program of this name, without donation.
    pub fn named(name: impl Into<String>) -> Program {
        Program { name: name.into(), ..Program::default() }
    }

    /// The function as StableHLO text: lowered, simplified, without locations, so that an edit of the source that leaves
    /// the program as it is leaves the compile cache valid.
    ///
    /// # Errors
    /// Of kind `Graph`; none for a function that was traced without errors.
    pub fn text(&self, function: &Function) -> Result<String> {
        let options = PrintOptions { locations: false, donated: self.donated.clone() };
        let lowered = function.lower()?;
        Ok(lowered.simplify().stablehlo(&self.name, &options))
    }

    /// The text that is compiled for a client: where it takes kernels, they run the loops over time.
    ///
    /// # Errors
    /// As [`text`](Program::text).
    pub fn text_for(&self, client: &Client, function: &Function) -> Result<String> {
        let kernels = client.kernels().filter(|_| !self.without_kernels);
        match kernels {
            Some(kernels) => self.text(&kernels.call(function)?),
            None => self.text(function),
        }
    }

    /// Compiles the function for a client's device, or takes it from the cache.
    ///
    /// # Errors
    /// Of kind `Graph`, or what PJRT says.
    pub fn compile(&self, client: &Client, function: &Function) -> Result<Executable> {
        let mut options = CompileOptions { inputs: Some(function.input_types()), ..self.options.clone() };
        if client.platform_name() == "cpu" && largest(function) <= IN_ORDER {
            options = options.with_flag("xla_cpu_enable_concurrency_optimized_scheduler", Value::Bool(false));
        }
        client.compile(&self.text_for(client, function)?, &options)
    }
}

/// Bytes of the largest array of a program that the processor runs one operation after the other: handing operations to
/// another thread costs more than they do.
const IN_ORDER: usize = 1 << 15;

/// Bytes of the largest array.
fn largest(function: &Function) -> usize {
    let mut largest = 0;
    function.each_node(&mut |node, _| {
        let bytes = |ty: &TensorType| ty.count().saturating_mul(ty.dtype.bits()) / 8;
        largest = node.types.iter().map(bytes).fold(largest, usize::max);
    });
    largest
}

/// Traces `f` on parameters of these names and types: [`spiq_hlo::trace`], whose errors name the lines of a notebook's cells.
///
/// # Errors
/// Every wrong call that `f` makes, each with its line.
///
/// ```
/// use spiq::{DType, TensorType, trace};
/// let f = trace(&[("x", TensorType::new(DType::F32, [8]))], |x| vec![(&x[0] * 2.0).exp()])?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[8]");
/// # Ok::<(), spiq::GraphErrors>(())
/// ```
#[track_caller]
pub fn trace(
    inputs: &[(&str, TensorType)],
    f: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> std::result::Result<Function, GraphErrors> {
    places::name_cells();
    spiq_hlo::trace(inputs, f)
}

/// A function that is traced and compiled when it is first called with inputs of some types. JAX: `jax.jit`.
pub struct Jit<F> {
    client: Client,
    function: F,
    compiled: Mutex<HashMap<Vec<TensorType>, Executable>>,
}

/// Makes a function of tensors callable on arrays.
///
/// ```
/// use spiq::{Array, jit, pjrt::Client};
/// let double = jit(&Client::cpu()?, |x| vec![&x[0] * 2.0]);
/// let y = double.call(&[Array::new([3], [1.0f32, 2.0, 3.0])?])?;
/// assert_eq!(y[0].to_vec::<f32>()?, [2.0, 4.0, 6.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn jit<F: Fn(&[Tensor]) -> Vec<Tensor>>(client: &Client, function: F) -> Jit<F> {
    Jit { client: client.clone(), function, compiled: Mutex::default() }
}

impl<F: Fn(&[Tensor]) -> Vec<Tensor>> Jit<F> {
    /// Runs the function on host arrays.
    ///
    /// # Errors
    /// Of kind `Graph` with every wrong call of the function and its line, or what PJRT says.
    pub fn call(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        let types: Vec<TensorType> = inputs.iter().map(|a| a.ty().clone()).collect();
        self.client.run(&self.program(&types)?, inputs)
    }

    /// The program for inputs of these types, compiled if this is the first time.
    ///
    /// # Errors
    /// As [`call`](Jit::call).
    pub fn program(&self, types: &[TensorType]) -> Result<Executable> {
        let mut compiled = self.compiled.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(program) = compiled.get(types) {
            return Ok(program.clone());
        }
        let inputs: Vec<(&str, TensorType)> = types.iter().map(|ty| ("", ty.clone())).collect();
        let function = trace(&inputs, &self.function)?;
        let program = Program::named("jit").compile(&self.client, &function)?;
        compiled.insert(types.to_vec(), program.clone());
        Ok(program)
    }
}
