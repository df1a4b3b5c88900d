//! Runs traced functions on the processor. Knows nothing of what they compute.

use spiq::Array;
use spiq::pjrt::{CompileOptions, Executable, Input};
use spiq_hlo::{Function, PrintOptions};

use crate::device::client;

/// A compiled function.
pub struct Program(Executable);

impl Program {
    /// Lowers, prints and compiles a function; the message of a refusal holds the text.
    pub fn new(function: &Function) -> Result<Program, String> {
        let lowered = function.lower().map_err(|e| e.to_string())?.simplify();
        lowered.verify()?;
        let text = lowered.stablehlo("test", &PrintOptions::default());
        // Each run of a test asks the compiler anew.
        let options = CompileOptions { cache: false, ..CompileOptions::default() };
        client().compile(&text, &options).map(Program).map_err(|e| format!("{e}\n{text}"))
    }

    /// One run.
    pub fn run(&self, inputs: &[Array]) -> Result<Vec<Array>, String> {
        let fail = |e: spiq::Error| e.to_string();
        let buffers: Vec<_> = inputs.iter().map(|x| client().to_device(x)).collect::<Result<_, _>>().map_err(fail)?;
        let outputs = self.0.execute(buffers.iter().map(Input::Borrow).collect()).map_err(fail)?;
        outputs.iter().map(|y| y.to_array().map_err(fail)).collect()
    }
}
