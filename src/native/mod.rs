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
use spiq_hlo::{Function, PrintOptions};
use spiq_kernels::{backend, call_masked_products};

use crate::error::Result;
use crate::pjrt::{Client, CompileOptions};

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
    let options = CompileOptions { inputs: Some(function.input_types()), ..CompileOptions::default() };
    match target {
        Target::Cpu => {
            let client = Client::cpu()?;
            let called = match client.kernels() {
                Some(_) => call_masked_products(function),
                None => Ok(function.clone()),
            };
            let (products, text) = written(&called?)?;
            cpu::report(&client, &products, &text, &options)
        }
        Target::Tpu(topology) => {
            let (products, text) = written(function)?;
            tpu::report(topology, &products, &text, &options)
        }
        Target::Cuda(card) => {
            let called = backend("cuda").map_or_else(|| Ok(function.clone()), |kernels| kernels.call(function))?;
            let (products, text) = written(&called)?;
            cuda::report(card, &products, &text, &options)
        }
    }
}

/// The products of a function, and its text, which names each operation after its place.
fn written(function: &Function) -> Result<(Vec<Product>, String)> {
    let lowered = function.lower()?.simplify().numbered();
    let text = lowered.stablehlo("program", &PrintOptions { locations: true, donated: Vec::new() });
    Ok((product::written(&lowered), text))
}
