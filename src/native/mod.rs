//! Which units of a chip a compiled program reaches: compiled ahead of time where the chip is not there. Runs nothing.

mod advice;
mod cpu;
mod cuda;
mod cuda_cards;
mod hlo_text;
mod product;
mod report;
mod target;
mod thunks;
mod tpu;

pub use report::{Launches, Report, Row};
pub use target::Target;

use product::Product;
use spiq_hlo::Function;

use crate::compile::{Destination, Program, Stage};
use crate::error::Result;
use crate::pjrt::{Client, CompileOptions, Platform};

/// Compiles `function` for a target and says of each dot product and convolution what became of it.
///
/// # Errors
/// Of kind `Plugin` where the target's plugin is not installed; what PJRT says.
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

/// The same of a function that is compiled as this program: what it donates and its options count.
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

/// What is given to a compiler, with what to look for in its output.
struct Compiled {
    products: Vec<Product>,
    /// Each operation is named after its place.
    text: String,
    options: CompileOptions,
}

impl Compiled {
    fn new(program: &Program, function: &Function, destination: Destination) -> Result<Compiled> {
        let pipeline = program.pipeline(function, destination);
        let numbered = pipeline.after(Stage::Simplify)?.numbered();
        let text = pipeline.printed(&numbered, true);
        Ok(Compiled { products: product::written(&numbered), text, options: pipeline.options()? })
    }
}
