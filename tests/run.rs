//! Compiles and runs traced functions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use spiq::Array;
use spiq::compile::{self, Destination, Stage};
use spiq::pjrt::{CompileOptions, Executable, Input, Value};
use spiq_hlo::Function;

use crate::device::client;

/// A compiled function.
#[derive(Clone)]
pub struct Program(Executable);

/// The result of compiling a program's text, once available.
type Compiled = Arc<OnceLock<Result<Program, String>>>;

impl Program {
    /// Lowers, prints and compiles a function; the error message includes the text.
    pub fn new(function: &Function) -> Result<Program, String> {
        Program::compile(&text(function)?, CompileOptions::default())
    }

    /// The same with less optimization, in two thirds of the time, for tests of what a program means: its last bits may differ from
    /// those of the program that users run, where products and sums are fused.
    pub fn unoptimized(function: &Function) -> Result<Program, String> {
        Program::compile_unoptimized(&text(function)?)
    }

    /// The same for functions that several tests run: each is compiled once.
    pub fn shared(function: &Function) -> Result<Program, String> {
        static PROGRAMS: Mutex<BTreeMap<String, Compiled>> = Mutex::new(BTreeMap::new());
        let text = text(function)?;
        let one = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner).entry(text.clone()).or_default().clone();
        // The lock is already released, so other programs compile concurrently.
        one.get_or_init(|| Program::compile_unoptimized(&text)).clone()
    }

    fn compile_unoptimized(text: &str) -> Result<Program, String> {
        Program::compile(text, CompileOptions::default().with_flag("xla_backend_optimization_level", Value::Int(0)))
    }

    fn compile(text: &str, options: CompileOptions) -> Result<Program, String> {
        // Disables the compilation cache, so that each test run exercises the compiler.
        let options = CompileOptions { cache: false, ..options };
        client().compile(text, &options).map(Program).map_err(|e| format!("{e}\n{text}"))
    }

    /// Runs the program once.
    pub fn run(&self, inputs: &[Array]) -> Result<Vec<Array>, String> {
        let fail = |e: spiq::Error| e.to_string();
        let buffers: Vec<_> = inputs.iter().map(|x| client().to_device(x)).collect::<Result<_, _>>().map_err(fail)?;
        let outputs = self.0.execute(buffers.iter().map(Input::Borrow).collect()).map_err(fail)?;
        outputs.iter().map(|y| y.to_array().map_err(fail)).collect()
    }
}

/// The text of a verified function, like that of any program but without kernels.
fn text(function: &Function) -> Result<String, String> {
    let program = compile::Program::named("test");
    let pipeline = program.pipeline(function, Destination::of(client()).without_kernels());
    pipeline.after(Stage::Simplify).map_err(|e| e.to_string())?.verify()?;
    pipeline.text(Stage::Stablehlo, false).map_err(|e| e.to_string())
}
