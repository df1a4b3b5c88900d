//! Compiled programs: their signature, and how they run.

use std::collections::{BTreeMap, HashMap};
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
    /// The buffer is unchanged.
    Borrow(&'a Buffer),
    /// The buffer is donated. If the program marks this input with `tf.aliasing_output`, that output reuses its memory; otherwise the
    /// memory is freed after the run.
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

    /// The types of the inputs; `None` where neither the plugin nor [`CompileOptions::inputs`] provides them.
    pub fn inputs(&self) -> Option<&[TensorType]> {
        self.0.signature.inputs.as_deref()
    }

    /// The types of the outputs.
    pub fn outputs(&self) -> &[TensorType] {
        &self.0.signature.outputs
    }

    /// The inputs that alias an output when they are donated. Empty where the types of the inputs came from
    /// [`CompileOptions::inputs`], because the compiled program is not inspected then.
    pub fn donated(&self) -> &[usize] {
        &self.0.signature.donated
    }

    /// The number of this process's devices that it runs on.
    pub fn devices(&self) -> usize {
        self.0.devices
    }

    /// Runs the program on its device. Returns immediately; later errors are reported when the outputs are read.
    ///
    /// # Errors
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for a wrong number, element type or shape of inputs, or a buffer of another client; an error
    /// from PJRT for a deleted input. Donated inputs are consumed in any case.
    pub fn execute(&self, inputs: Vec<Input<'_>>) -> Result<Vec<Buffer>> {
        Ok(self.execute_on_each(vec![inputs])?.swap_remove(0))
    }

    /// Runs the program on all of its devices, with one list of inputs for each: the first list on the first device, and so on. Returns one
    /// list of outputs for each. Returns immediately; later errors are reported when the outputs are read.
    ///
    /// # Errors
    /// As [`execute`](Executable::execute); a wrong number of lists, inputs that are donated on some devices only.
    pub fn execute_on_each(&self, inputs: Vec<Vec<Input<'_>>>) -> Result<Vec<Vec<Buffer>>> {
        self.0.check(&inputs)?;
        self.0.run(&inputs)
    }

    /// The compiled program as bytes, for [`Client::deserialize`](super::Client::deserialize) in a process with the same plugin
    /// on the same kind of machine. The bytes include a checksum.
    ///
    /// # Errors
    /// Errors from PJRT, for example when the plugin cannot serialize.
    pub fn serialize(&self) -> Result<Vec<u8>> {
        self.0.serialize()
    }

    /// The memory that a run needs.
    ///
    /// # Errors
    /// Errors from PJRT, for example when the plugin does not report it.
    pub fn memory(&self) -> Result<CompiledMemory> {
        self.0.program.memory()
    }

    /// The compiler's estimates, such as `flops` and `bytes accessed`.
    ///
    /// # Errors
    /// Errors from PJRT, for example when the plugin does not report them.
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

/// PJRT's loaded executable. Fields are dropped in order: the client last.
pub(super) struct Loaded {
    program: Program,
    raw: RawLoaded,
    signature: Signature,
    /// The number of this process's devices that it runs on, with one list of inputs each.
    devices: usize,
    client: Arc<RawClient>,
}

impl Loaded {
    pub(super) fn compile(client: &Arc<RawClient>, text: &str, options: &CompileOptions) -> Result<Loaded> {
        if let Some(device) = options.device
            && !client.devices.iter().any(|known| known.id == device)
        {
            return Err(Error::input(format!("there is no device {device}; there are {}", client.devices.len())));
        }
        let wanted = options.replicas * options.partitions;
        let there = client.devices.len() * client.processes();
        if wanted > there {
            return Err(Error::input(format!("the program is for {wanted} devices; there are {there}")));
        }
        let base = client.llvm.base(|text, options| Loaded::compile_with(client, text, options)?.debug_options())?;
        let mut loaded = Loaded::compile_with(client, text, &options.encode(&client.flags, base))?;
        loaded.signature = loaded.program.signature(options.inputs.as_deref())?;
        Ok(loaded)
    }

    /// Compiles with encoded options. The signature is left empty.
    pub(super) fn compile_with(client: &Arc<RawClient>, text: &str, options: &[u8]) -> Result<Loaded> {
        let source = program::source(text);
        // SAFETY: text and options outlive the call, and we own the executable.
        unsafe {
            let made = client.api.call::<sys::ClientCompile>(|a| {
                a.client = client.raw;
                a.program = &raw const source;
                (a.options, a.options_size) = (options.as_ptr().cast(), options.len());
            })?;
            Loaded::take(client, made.executable)
        }
    }

    /// [`Program::debug_options`], where the plugin reports them.
    pub(super) fn debug_options(&self) -> Result<Option<Vec<u8>>> {
        self.program.debug_options()
    }

    pub(super) fn deserialize(client: &Arc<RawClient>, bytes: &[u8]) -> Result<Loaded> {
        let (signature, bytes) = signature::unpack(bytes)?;
        // SAFETY: the bytes outlive the call, and their checksum shows that a plugin produced them; we own the executable.
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

    /// Takes ownership of an executable. Its signature is left empty.
    ///
    /// # Safety
    /// `raw` is an executable of this client that nothing else releases.
    unsafe fn take(client: &Arc<RawClient>, raw: *mut sys::LoadedExecutable) -> Result<Loaded> {
        // From here on, dropping releases the executable on any error.
        let raw = RawLoaded { api: client.api, raw };
        // SAFETY: the executable is alive; we own the program.
        let (program, devices) = unsafe {
            let got = client.api.call::<sys::LoadedExecutableGetExecutable>(|a| a.loaded = raw.raw)?;
            let on = client.api.call::<sys::LoadedExecutableAddressableDevices>(|a| a.executable = raw.raw)?;
            (Program::new(client.api, got.executable), on.num_devices)
        };
        Ok(Loaded { program, raw, signature: Signature::default(), devices, client: client.clone() })
    }

    fn check(&self, lists: &[Vec<Input<'_>>]) -> Result<()> {
        if lists.len() != self.devices {
            return Err(Error::input(format!(
                "the program runs on {} devices, and inputs for {} were given",
                self.devices,
                lists.len()
            )));
        }
        for inputs in lists {
            if let Some(i) = inputs.iter().position(|input| !Arc::ptr_eq(input.buffer().client(), &self.client)) {
                return Err(Error::input(format!("input {i} is a buffer of another client")));
            }
            self.signature.check(inputs.iter().map(|input| input.buffer().ty()))?;
            if kept(inputs) != kept(&lists[0]) {
                return Err(Error::input("the same inputs must be donated on all devices"));
            }
        }
        self.check_donations(lists)
    }

    /// Clones share memory, so a donated buffer may be another input as well, which the program would read after it is overwritten.
    fn check_donations(&self, lists: &[Vec<Input<'_>>]) -> Result<()> {
        let mut uses: HashMap<*mut sys::Buffer, usize> = HashMap::new();
        for input in lists.iter().flatten() {
            *uses.entry(input.buffer().raw()).or_default() += 1;
        }
        let shared = |input: &Input<'_>| matches!(input, Input::Donate(_)) && uses[&input.buffer().raw()] > 1;
        match lists.iter().find_map(|inputs| inputs.iter().position(shared)) {
            Some(i) => Err(Error::input(format!("input {i} is donated and also another input; pass a copy"))),
            None => Ok(()),
        }
    }

    fn run(&self, lists: &[Vec<Input<'_>>]) -> Result<Vec<Vec<Buffer>>> {
        let raw = |inputs: &Vec<Input<'_>>| inputs.iter().map(|input| input.buffer().raw()).collect::<Vec<_>>();
        let arguments: Vec<Vec<_>> = lists.iter().map(raw).collect();
        let kept = kept(&lists[0]);
        let mut options = Args::<sys::ExecuteOptions>::zeroed();
        options.non_donatable_input_indices = kept.as_ptr();
        options.num_non_donatable_input_indices = kept.len();
        let mut outputs = vec![vec![ptr::null_mut(); self.signature.outputs.len()]; lists.len()];
        let argument_lists: Vec<_> = arguments.iter().map(Vec::as_ptr).collect();
        let output_lists: Vec<_> = outputs.iter_mut().map(Vec::as_mut_ptr).collect();
        // SAFETY: the lists outlive the call, one for each device, with as many inputs each; each output list has one slot per output of
        // the program.
        unsafe {
            self.client.api.call::<sys::LoadedExecutableExecute>(|a| {
                a.executable = self.raw.raw;
                a.options = &raw mut options;
                a.num_devices = lists.len();
                (a.argument_lists, a.num_args) = (argument_lists.as_ptr(), arguments[0].len());
                a.output_lists = output_lists.as_ptr();
            })
        }?;
        Ok(outputs.into_iter().map(|outputs| self.typed(outputs)).collect())
    }

    /// The outputs on one device, which we own.
    fn typed(&self, outputs: Vec<*mut sys::Buffer>) -> Vec<Buffer> {
        let typed = outputs.into_iter().zip(&self.signature.outputs);
        // SAFETY: we own the outputs, which are in the order of the types.
        typed.map(|(raw, ty)| unsafe { Buffer::new(self.client.clone(), raw, ty.clone()) }).collect()
    }
}

/// The inputs that a run leaves unchanged.
fn kept(inputs: &[Input<'_>]) -> Vec<i64> {
    (0..).zip(inputs).filter(|(_, input)| matches!(input, Input::Borrow(_))).map(|(i, _)| i).collect()
}

/// Releases the executable when dropped.
struct RawLoaded {
    api: Api,
    raw: *mut sys::LoadedExecutable,
}

// SAFETY: pjrt_c_api.h binds a `PJRT_LoadedExecutable` to no thread: several may run it at once, and running does not change it.
unsafe impl Send for RawLoaded {}
// SAFETY: as above.
unsafe impl Sync for RawLoaded {}

impl Drop for RawLoaded {
    fn drop(&mut self) {
        // SAFETY: we own the executable and do not use it again; the plugin keeps what running programs need.
        unsafe { self.api.destroy::<sys::LoadedExecutableDestroy>(|a| a.executable = self.raw) };
    }
}
