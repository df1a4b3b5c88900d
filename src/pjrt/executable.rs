//! A compiled program: what it takes and gives, and running it. Knows nothing of how its text was made.

use std::collections::BTreeMap;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use spiq_hlo::TensorType;

use super::api::{self, Value};
use super::buffer::Buffer;
use super::client::RawClient;
use super::element_type;
use super::options::CompileOptions;
use super::signature::{self, Signature};
use super::sys::{self, Args};
use crate::error::{Error, ErrorKind, Result};

/// A compiled program; cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Executable(Arc<Loaded>);

/// An input of a run.
#[derive(Debug)]
pub enum Input<'a> {
    /// The buffer stays as it is.
    Borrow(&'a Buffer),
    /// The buffer is given away. Where the program marks this input with `tf.aliasing_output`, the output takes over its
    /// memory; otherwise its memory is freed after the run.
    Donate(Buffer),
}

impl Input<'_> {
    fn buffer(&self) -> &Buffer {
        match self {
            Input::Borrow(buffer) => buffer,
            Input::Donate(buffer) => buffer,
        }
    }
}

/// What a run of a program needs, in bytes, as the compiler counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompiledMemory {
    /// Machine code.
    pub code: i64,
    /// All inputs.
    pub inputs: i64,
    /// All outputs.
    pub outputs: i64,
    /// Outputs that lie in donated inputs' memory; counted in `inputs` and `outputs`, too.
    pub donated: i64,
    /// Values in between.
    pub temporaries: i64,
    /// The most at one time; zero where the plugin does not tell.
    pub peak: i64,
}

impl Executable {
    pub(super) fn new(loaded: Loaded) -> Executable {
        Executable(Arc::new(loaded))
    }

    pub(super) fn from_shared(loaded: Arc<Loaded>) -> Executable {
        Executable(loaded)
    }

    /// The types of the inputs; `None` where neither the plugin nor [`CompileOptions::inputs`] tells them.
    pub fn inputs(&self) -> Option<&[TensorType]> {
        self.0.signature.inputs.as_deref()
    }

    /// The types of the outputs.
    pub fn outputs(&self) -> &[TensorType] {
        &self.0.signature.outputs
    }

    /// The inputs whose memory an output takes over when they are donated. Empty where the types of the inputs came from
    /// [`CompileOptions::inputs`], as the compiled program is not looked at then.
    pub fn donated(&self) -> &[usize] {
        &self.0.signature.donated
    }

    /// Runs the program on its device. Returns at once; what goes wrong later is reported by the outputs when they are read.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when number, element type or shape of an input is wrong or a buffer is another client's; of PJRT
    /// when an input is deleted. Donated inputs are gone in any case.
    pub fn execute(&self, inputs: Vec<Input<'_>>) -> Result<Vec<Buffer>> {
        self.0.check(&inputs)?;
        self.0.run(&inputs)
    }

    /// The compiled program as bytes, for [`Client::deserialize`](super::Client::deserialize) in a process with the same plugin
    /// on the same kind of machine. They hold a checksum.
    ///
    /// # Errors
    /// Of PJRT, when the plugin cannot.
    pub fn serialize(&self) -> Result<Vec<u8>> {
        self.0.serialize()
    }

    /// What a run needs.
    ///
    /// # Errors
    /// Of PJRT, when the plugin does not tell.
    pub fn memory(&self) -> Result<CompiledMemory> {
        let api = self.0.client.api;
        // SAFETY: the program lives as long as `self`.
        let got = unsafe { api.call::<sys::ExecutableGetCompiledMemoryStats>(|a| a.executable = self.0.program) }?;
        Ok(CompiledMemory {
            code: got.generated_code,
            inputs: got.arguments,
            outputs: got.outputs,
            donated: got.aliases,
            temporaries: got.temporaries,
            peak: got.peak,
        })
    }

    /// The compiler's estimates, such as `flops` and `bytes accessed`.
    ///
    /// # Errors
    /// Of PJRT, when the plugin does not tell.
    pub fn cost_analysis(&self) -> Result<BTreeMap<String, f64>> {
        let api = self.0.client.api;
        // SAFETY: the program lives as long as `self`, and so does the list.
        let values = unsafe {
            let got = api.call::<sys::ExecutableGetCostAnalysis>(|a| a.executable = self.0.program)?;
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

impl fmt::Debug for Executable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |types: &[TensorType]| types.iter().map(TensorType::to_string).collect::<Vec<_>>().join(", ");
        let inputs = self.inputs().map_or("?".to_owned(), list);
        write!(f, "Executable(({inputs}) -> ({}))", list(self.outputs()))
    }
}

/// PJRT's own executable, loaded on a device.
pub(super) struct Loaded {
    client: Arc<RawClient>,
    raw: *mut sys::LoadedExecutable,
    /// The same program apart from its device; it has its own lifetime in PJRT.
    program: *mut sys::Executable,
    signature: Signature,
    /// Whether one list of inputs makes a run.
    single: bool,
}

// SAFETY: PJRT's executables may be used from any thread.
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}

impl Loaded {
    pub(super) fn compile(client: &Arc<RawClient>, text: &str, options: &CompileOptions) -> Result<Loaded> {
        if let Some(device) = options.device
            && !client.devices.iter().any(|known| known.id == device)
        {
            return Err(Error::input(format!("there is no device {device}; there are {}", client.devices.len())));
        }
        let encoded = options.encode();
        let mut program = Args::<sys::Program>::zeroed();
        (program.code, program.code_size) = (text.as_ptr().cast(), text.len());
        (program.format, program.format_size) = (c"mlir".as_ptr(), 4);
        // SAFETY: text and options outlive the call.
        let made = unsafe {
            client.api.call::<sys::ClientCompile>(|a| {
                a.client = client.raw;
                a.program = &raw const program;
                (a.options, a.options_size) = (encoded.as_ptr().cast(), encoded.len());
            })
        }?;
        let mut loaded = Loaded::take(client, made.executable);
        loaded.single = options.replicas * options.partitions == 1;
        loaded.find_program()?;
        loaded.describe(options)?;
        Ok(loaded)
    }

    pub(super) fn deserialize(client: &Arc<RawClient>, bytes: &[u8]) -> Result<Loaded> {
        let (signature, bytes) = signature::unpack(bytes)?;
        // SAFETY: the bytes outlive the call; their checksum says that they are what a plugin gave.
        let made = unsafe {
            client.api.call::<sys::ExecutableDeserializeAndLoad>(|a| {
                a.client = client.raw;
                (a.bytes, a.bytes_size) = (bytes.as_ptr().cast(), bytes.len());
            })
        }?;
        let mut loaded = Loaded::take(client, made.executable);
        loaded.find_program()?;
        loaded.single = loaded.device_count()? == 1;
        loaded.signature = signature;
        Ok(loaded)
    }

    pub(super) fn serialize(&self) -> Result<Vec<u8>> {
        // SAFETY: the program lives; the bytes live until the deleter is called, once, at the end.
        unsafe {
            let made = self.client.api.call::<sys::ExecutableSerialize>(|a| a.executable = self.program)?;
            let bytes = signature::pack(&self.signature, api::slice(made.bytes.cast(), made.bytes_size));
            if let Some(delete) = made.deleter {
                delete(made.serialized);
            }
            Ok(bytes)
        }
    }

    /// From here on dropping releases the executable, whatever fails.
    fn take(client: &Arc<RawClient>, raw: *mut sys::LoadedExecutable) -> Loaded {
        let (program, signature) = (ptr::null_mut(), Signature::default());
        Loaded { client: client.clone(), raw, program, signature, single: true }
    }

    fn find_program(&mut self) -> Result<()> {
        // SAFETY: the executable lives; the program is handed to us.
        let got = unsafe { self.client.api.call::<sys::LoadedExecutableGetExecutable>(|a| a.loaded = self.raw) }?;
        self.program = got.executable;
        Ok(())
    }

    fn device_count(&self) -> Result<usize> {
        // SAFETY: the executable lives.
        let got =
            unsafe { self.client.api.call::<sys::LoadedExecutableAddressableDevices>(|a| a.executable = self.raw) };
        Ok(got?.num_devices)
    }

    fn describe(&mut self, options: &CompileOptions) -> Result<()> {
        self.signature.outputs = self.output_types()?;
        match &options.inputs {
            Some(inputs) => self.signature.inputs = Some(inputs.clone()),
            None => {
                // A plugin that does not tell leaves the inputs unknown; PJRT itself then checks their number and sizes.
                if let Ok((program, format)) = self.optimized_program() {
                    self.signature.read_program(&program, format == "hlo_with_config")?;
                }
            }
        }
        Ok(())
    }

    fn output_types(&self) -> Result<Vec<TensorType>> {
        let api = self.client.api;
        // SAFETY: the program lives, and its lists as long as it does.
        unsafe {
            let types = api.call::<sys::ExecutableOutputElementTypes>(|a| a.executable = self.program)?;
            let shapes = api.call::<sys::ExecutableOutputDimensions>(|a| a.executable = self.program)?;
            let ranks = api::slice(shapes.dim_sizes, shapes.num_outputs);
            let mut dims = api::slice(shapes.dims, ranks.iter().sum()).iter().map(|&dim| dim as usize);
            let one = |(&number, &rank): (&i32, &usize)| {
                let dims: Vec<usize> = dims.by_ref().take(rank).collect();
                element_type::from_pjrt(number).map(|dtype| TensorType::new(dtype, dims))
            };
            api::slice(types.types, types.num_types).iter().zip(ranks).map(one).collect()
        }
    }

    /// The optimized program as the plugin's bytes, and the name of their format.
    fn optimized_program(&self) -> Result<(Vec<u8>, String)> {
        let api = self.client.api;
        let mut program = Args::<sys::Program>::zeroed();
        let fetch = |program: &mut Args<sys::Program>| {
            // SAFETY: `code` is null, which asks for the size, or points to that many bytes.
            unsafe {
                api.call::<sys::ExecutableOptimizedProgram>(|a| {
                    a.executable = self.program;
                    a.program = ptr::from_mut(program);
                })
            }
        };
        fetch(&mut program)?;
        let mut code = vec![0u8; program.code_size];
        program.code = code.as_mut_ptr().cast();
        fetch(&mut program)?;
        // SAFETY: the format is a text that lives as long as the plugin.
        let format = unsafe { api::text(program.format, program.format_size) };
        Ok((code, format))
    }

    fn check(&self, inputs: &[Input<'_>]) -> Result<()> {
        if !self.single {
            return Err(Error::input("programs of several replicas or partitions cannot be run yet"));
        }
        if let Some(i) = inputs.iter().position(|input| !Arc::ptr_eq(input.buffer().client(), &self.client)) {
            return Err(Error::input(format!("input {i} is a buffer of another client")));
        }
        self.signature.check(inputs.iter().map(|input| input.buffer().ty()))
    }

    fn run(&self, inputs: &[Input<'_>]) -> Result<Vec<Buffer>> {
        let arguments: Vec<_> = inputs.iter().map(|input| input.buffer().raw()).collect();
        let kept: Vec<i64> = (0..).zip(inputs).filter(|(_, i)| matches!(i, Input::Borrow(_))).map(|(i, _)| i).collect();
        let mut options = Args::<sys::ExecuteOptions>::zeroed();
        options.non_donatable_input_indices = kept.as_ptr();
        options.num_non_donatable_input_indices = kept.len();
        let mut outputs = vec![ptr::null_mut(); self.signature.outputs.len()];
        let (argument_list, output_list) = (arguments.as_ptr(), outputs.as_mut_ptr());
        // SAFETY: the lists outlive the call; there is room for as many outputs as the program has.
        unsafe {
            self.client.api.call::<sys::LoadedExecutableExecute>(|a| {
                a.executable = self.raw;
                a.options = &raw mut options;
                a.num_devices = 1;
                (a.argument_lists, a.num_args) = (&raw const argument_list, arguments.len());
                a.output_lists = &raw const output_list;
            })
        }?;
        let typed = outputs.into_iter().zip(&self.signature.outputs);
        // SAFETY: the outputs are handed to us, in the order of the types.
        Ok(typed.map(|(raw, ty)| unsafe { Buffer::new(self.client.clone(), raw, ty.clone()) }).collect())
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let api = self.client.api;
        // SAFETY: both are ours and not used again; the plugin keeps what running programs need.
        unsafe {
            if !self.program.is_null() {
                api.destroy::<sys::ExecutableDestroy>(|a| a.executable = self.program);
            }
            api.destroy::<sys::LoadedExecutableDestroy>(|a| a.executable = self.raw);
        }
    }
}
