//! A compiled program: what it takes and gives, and running it. Knows nothing of how its text was made.

use std::collections::BTreeMap;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use spiq_hlo::TensorType;

use super::abi::api::Api;
use super::abi::sys::{self, Args};
use super::buffer::Buffer;
use super::options::CompileOptions;
use super::program::{self, CompiledMemory, Program};
use super::raw_client::RawClient;
use super::signature::{self, Signature};
use crate::error::{Error, Result};

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
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when number, element type or shape of an input is wrong or a buffer is another client's; of PJRT
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
        self.0.program.memory()
    }

    /// The compiler's estimates, such as `flops` and `bytes accessed`.
    ///
    /// # Errors
    /// Of PJRT, when the plugin does not tell.
    pub fn cost_analysis(&self) -> Result<BTreeMap<String, f64>> {
        self.0.program.cost_analysis()
    }
}

impl fmt::Debug for Executable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |types: &[TensorType]| types.iter().map(TensorType::to_string).collect::<Vec<_>>().join(", ");
        let inputs = self.inputs().map_or("?".to_owned(), list);
        write!(f, "Executable(({inputs}) -> ({}))", list(self.outputs()))
    }
}

/// PJRT's own executable, loaded on a device. Fields are dropped in order: the client last.
pub(super) struct Loaded {
    program: Program,
    raw: RawLoaded,
    signature: Signature,
    /// Whether one list of inputs makes a run.
    single: bool,
    client: Arc<RawClient>,
}

impl Loaded {
    pub(super) fn compile(client: &Arc<RawClient>, text: &str, options: &CompileOptions) -> Result<Loaded> {
        if let Some(device) = options.device
            && !client.devices.iter().any(|known| known.id == device)
        {
            return Err(Error::input(format!("there is no device {device}; there are {}", client.devices.len())));
        }
        let base = client.llvm.base(|text, options| Loaded::compile_with(client, text, options)?.debug_options())?;
        let mut loaded = Loaded::compile_with(client, text, &options.encode(&client.flags, base))?;
        loaded.signature = loaded.program.signature(options.inputs.as_deref())?;
        Ok(loaded)
    }

    /// Compiles with encoded options. The signature is still empty.
    pub(super) fn compile_with(client: &Arc<RawClient>, text: &str, options: &[u8]) -> Result<Loaded> {
        let source = program::source(text);
        // SAFETY: text and options outlive the call, and the executable is handed to us.
        unsafe {
            let made = client.api.call::<sys::ClientCompile>(|a| {
                a.client = client.raw;
                a.program = &raw const source;
                (a.options, a.options_size) = (options.as_ptr().cast(), options.len());
            })?;
            Loaded::take(client, made.executable)
        }
    }

    /// [`Program::debug_options`] where the plugin tells.
    pub(super) fn debug_options(&self) -> Result<Option<Vec<u8>>> {
        self.program.debug_options()
    }

    pub(super) fn deserialize(client: &Arc<RawClient>, bytes: &[u8]) -> Result<Loaded> {
        let (signature, bytes) = signature::unpack(bytes)?;
        // SAFETY: the bytes outlive the call, and their checksum says that they are what a plugin gave; the executable is handed to us.
        let loaded = unsafe {
            let made = client.api.call::<sys::ExecutableDeserializeAndLoad>(|a| {
                a.client = client.raw;
                (a.bytes, a.bytes_size) = (bytes.as_ptr().cast(), bytes.len());
            })?;
            Loaded::take(client, made.executable)?
        };
        Ok(Loaded { signature, ..loaded })
    }

    pub(super) fn serialize(&self) -> Result<Vec<u8>> {
        self.program.serialize(&self.signature)
    }

    /// Takes over an executable. Its signature is still empty.
    ///
    /// # Safety
    /// `raw` is an executable of this client that nobody else releases.
    unsafe fn take(client: &Arc<RawClient>, raw: *mut sys::LoadedExecutable) -> Result<Loaded> {
        // From here on dropping releases the executable, whatever fails.
        let raw = RawLoaded { api: client.api, raw };
        // SAFETY: the executable lives; the program is handed to us.
        let (program, devices) = unsafe {
            let got = client.api.call::<sys::LoadedExecutableGetExecutable>(|a| a.loaded = raw.raw)?;
            let on = client.api.call::<sys::LoadedExecutableAddressableDevices>(|a| a.executable = raw.raw)?;
            (Program::new(client.api, got.executable), on.num_devices)
        };
        Ok(Loaded { program, raw, signature: Signature::default(), single: devices == 1, client: client.clone() })
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
                a.executable = self.raw.raw;
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

/// Releases the executable.
struct RawLoaded {
    api: Api,
    raw: *mut sys::LoadedExecutable,
}

// SAFETY: pjrt_c_api.h binds a `PJRT_LoadedExecutable` to no thread: it may be run from several at once, and is not changed by it.
unsafe impl Send for RawLoaded {}
// SAFETY: as above.
unsafe impl Sync for RawLoaded {}

impl Drop for RawLoaded {
    fn drop(&mut self) {
        // SAFETY: the executable is ours and not used again; the plugin keeps what running programs need.
        unsafe { self.api.destroy::<sys::LoadedExecutableDestroy>(|a| a.executable = self.raw) };
    }
}
