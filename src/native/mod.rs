//! Reports which hardware units a compiled program uses, without running it; if the chip is absent, compiles ahead of time.

mod advice;
mod cpu;
mod cuda;
mod cuda_cards;
mod cycles;
mod estimate;
mod hlo_text;
mod loops;
mod product;
mod report;
mod target;
mod thunks;
mod tpu;

pub use cycles::Cycles;
pub use estimate::Estimate;
pub use loops::Loops;
pub use report::{Launches, Report, Row};
pub use target::Target;

use product::Product;
use spiq_hlo::Function;

use crate::compile::{Destination, Program, Stage};
use crate::error::Result;
use crate::pjrt::{Client, CompileOptions, Platform};

/// Compiles `function` for a target and reports how each dot product and convolution is computed.
///
/// # Errors
/// Kind `Plugin` if the target's plugin is not installed; errors from PJRT.
///
/// ```no_run
/// use spiq::{DType, TensorType, native, trace};
/// let f32 = |dims: [usize; 2]| TensorType::new(DType::F32, dims);
/// let dot = trace(&[("x", f32([512, 512])), ("w", f32([512, 512]))], |x| vec![x[0].dot(&x[1])])?;
/// print!("{}", native::report(&native::Target::parse("tpu:v5e")?, &dot)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn report(target: &Target, function: &Function) -> Result<Report> {
    report_program(target, &Program::named("program"), function)
}

/// As [`report`], for a function that is compiled with these settings: their donations and options apply.
///
/// # Errors
/// As [`report`].
pub fn report_program(target: &Target, program: &Program, function: &Function) -> Result<Report> {
    match target {
        Target::Cpu => {
            let client = Client::cpu()?;
            cpu::report(&client, &Compiled::new(program, function, Destination::of(&client))?)
        }
        Target::Tpu(topology) => {
            tpu::report(topology, &Compiled::new(program, function, Destination::ahead(Platform::Tpu))?)
        }
        Target::Cuda(card) => {
            cuda::report(card, &Compiled::new(program, function, Destination::ahead(Platform::Cuda))?)
        }
    }
}

/// The input of a compiler, and the products to look for in its output.
struct Compiled {
    products: Vec<Product>,
    /// Each operation is named after its location.
    text: String,
    options: CompileOptions,
    loops: Option<Loops>,
}

impl Compiled {
    fn new(program: &Program, function: &Function, destination: Destination) -> Result<Compiled> {
        let pipeline = program.pipeline(function, destination);
        let called = pipeline.after(Stage::Kernels)?;
        let loops = destination.kernels().map(|backend| Loops::of(backend, &called));
        let numbered = pipeline.after(Stage::Simplify)?.numbered();
        let text = pipeline.printed(&numbered, true);
        Ok(Compiled { products: product::written(&numbered), text, options: pipeline.options()?, loops })
    }
}
