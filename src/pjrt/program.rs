//! Compiled programs independent of a device: types, costs and serialized bytes.

use std::collections::BTreeMap;
use std::ptr;

use spiq_hlo::TensorType;

use super::abi::api::{self, Api, Value};
use super::abi::sys::{self, Args};
use super::element_type;
use super::signature::{self, Signature};
use crate::error::Result;

/// PJRT's executable. The client or topology that created it must outlive it.
pub struct Program {
    api: Api,
    raw: *mut sys::Executable,
}

// SAFETY: pjrt_c_api.h binds a `PJRT_Executable` to no thread. It is an immutable description: all functions called here only
// read it.
unsafe impl Send for Program {}
// SAFETY: as above.
unsafe impl Sync for Program {}

/// Memory that a run of a program needs, in bytes, as reported by the compiler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompiledMemory {
    /// Machine code.
    pub code: i64,
    /// All inputs.
    pub inputs: i64,
    /// All outputs.
    pub outputs: i64,
    /// Outputs that alias donated inputs; also counted in `inputs` and `outputs`.
    pub donated: i64,
    /// Intermediate values.
    pub temporaries: i64,
    /// Peak usage; zero where the plugin does not report it.
    pub peak: i64,
}

/// StableHLO text in the form that PJRT takes; points into `text`.
pub fn source(text: &str) -> Args<sys::Program> {
    let mut program = Args::<sys::Program>::zeroed();
    (program.code, program.code_size) = (text.as_ptr().cast(), text.len());
    (program.format, program.format_size) = (c"mlir".as_ptr(), 4);
    program
}

impl Program {
    /// Takes ownership of an executable.
    ///
    /// # Safety
    /// `raw` is an executable of this plugin that nothing else releases.
    pub unsafe fn new(api: Api, raw: *mut sys::Executable) -> Program {
        Program { api, raw }
    }

    /// The types of inputs and outputs. `inputs` are trusted; without them, the input types are read from the optimized program.
    pub fn signature(&self, inputs: Option<&[TensorType]>) -> Result<Signature> {
        let mut signature = Signature { outputs: self.outputs()?, ..Signature::default() };
        match inputs {
            Some(inputs) => signature.inputs = Some(inputs.to_vec()),
            None => {
                // Otherwise the input types stay unknown; PJRT itself then checks their number and sizes.
                match self.optimized() {
                    Ok((program, format)) if format == "hlo_with_config" => signature.read_program(&program, true)?,
                    Ok((program, format)) if format == "hlo" => signature.read_program(&program, false)?,
                    _ => {}
                }
            }
        }
        Ok(signature)
    }

    /// The types of the outputs.
    fn outputs(&self) -> Result<Vec<TensorType>> {
        // SAFETY: the program is alive, and its lists live as long.
        unsafe {
            let types = self.api.call::<sys::ExecutableOutputElementTypes>(|a| a.executable = self.raw)?;
            let shapes = self.api.call::<sys::ExecutableOutputDimensions>(|a| a.executable = self.raw)?;
            let ranks = api::slice(shapes.dim_sizes, shapes.num_outputs);
            let mut dims = api::slice(shapes.dims, ranks.iter().sum()).iter().map(|&dim| dim as usize);
            let one = |(&number, &rank): (&i32, &usize)| {
                let dims: Vec<usize> = dims.by_ref().take(rank).collect();
                element_type::from_pjrt(number).map(|dtype| TensorType::new(dtype, dims))
            };
            api::slice(types.types, types.num_types).iter().zip(ranks).map(one).collect()
        }
    }

    /// The XLA options (`xla.DebugOptions`) that the program was compiled with, where the plugin reports them.
    pub fn debug_options(&self) -> Result<Option<Vec<u8>>> {
        let (program, format) = self.optimized()?;
        Ok(if format == "hlo_with_config" { signature::debug_options(&program).map(<[u8]>::to_vec) } else { None })
    }

    /// The optimized program as serialized by the plugin, and the name of that format.
    fn optimized(&self) -> Result<(Vec<u8>, String)> {
        let mut program = Args::<sys::Program>::zeroed();
        self.fetch(&mut program)?;
        let mut code = vec![0u8; program.code_size];
        program.code = code.as_mut_ptr().cast();
        self.fetch(&mut program)?;
        // SAFETY: the format is text that lives as long as the plugin.
        let format = unsafe { api::text(program.format, program.format_size) };
        Ok((code, format))
    }

    fn fetch(&self, program: &mut Args<sys::Program>) -> Result<()> {
        // SAFETY: `code` is null, which requests the size, or points to that many bytes.
        let fetched = unsafe {
            self.api.call::<sys::ExecutableOptimizedProgram>(|a| {
                a.executable = self.raw;
                a.program = ptr::from_mut(program);
            })
        };
        fetched.map(drop)
    }

    /// The program in the format that [`signature::unpack`] reads.
    pub fn serialize(&self, signature: &Signature) -> Result<Vec<u8>> {
        // SAFETY: the program is alive; the bytes live until the deleter runs, once, at the end.
        unsafe {
            let made = self.api.call::<sys::ExecutableSerialize>(|a| a.executable = self.raw)?;
            let bytes = signature::pack(signature, api::slice(made.bytes.cast(), made.bytes_size));
            if let Some(delete) = made.deleter {
                delete(made.serialized);
            }
            Ok(bytes)
        }
    }

    /// The memory that a run needs.
    pub fn memory(&self) -> Result<CompiledMemory> {
        // SAFETY: the program is alive.
        let got = unsafe { self.api.call::<sys::ExecutableGetCompiledMemoryStats>(|a| a.executable = self.raw) }?;
        Ok(CompiledMemory {
            code: got.generated_code,
            inputs: got.arguments,
            outputs: got.outputs,
            donated: got.aliases,
            temporaries: got.temporaries,
            peak: got.peak,
        })
    }

    /// The compiler's estimates.
    pub fn cost_analysis(&self) -> Result<BTreeMap<String, f64>> {
        // SAFETY: the program is alive, and its list lives as long.
        let values = unsafe {
            let got = self.api.call::<sys::ExecutableGetCostAnalysis>(|a| a.executable = self.raw)?;
            api::read_named(got.properties, got.num_properties)
        };
        let number = |(name, value)| match value {
            Value::Float(float) => Some((name, float)),
            Value::Int(int) => Some((name, int as f64)),
            _ => None,
        };
        Ok(values.into_iter().filter_map(number).collect())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: we own the program and do not use it again.
        unsafe { self.api.destroy::<sys::ExecutableDestroy>(|a| a.executable = self.raw) };
    }
}
