//! Clients: plugins running on this machine's devices.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use spiq_hlo::Array;

use super::abi::api::Value;
use super::abi::platform::Platform;
use super::buffer::Buffer;
use super::device::Device;
use super::dump::Dump;
use super::executable::{Executable, Input, Loaded};
use super::ffi::Registration;
use super::options::CompileOptions;
use super::plugin::Plugin;
use super::program::CompiledMemory;
use super::raw_client::RawClient;
use super::store::{Key, Store};
use super::watch::{Watch, name_of};
use crate::capacity;
use crate::cluster::Cluster;
use crate::error::{Error, Result};

/// Options of a new client.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Number of devices that the CPU plugin presents. One starts fastest and still uses all cores.
    pub cpu_devices: usize,
    /// Further options under the plugin's names.
    pub values: Vec<(String, Value)>,
    /// The run of several processes that the client's programs are part of; `None`: this process alone.
    pub cluster: Option<Cluster>,
    /// The folder of compiled programs; `None` is `executables` in the [`cache_dir`](super::cache_dir).
    pub executables: Option<PathBuf>,
    /// Whether dot products and convolutions of f32 are computed in full f32 (JAX: `jax_default_matmul_precision = "highest"`). By
    /// default, NVIDIA cards use tf32 and TPUs bf16. CPUs always compute in full f32.
    pub full_precision: bool,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions { cpu_devices: 1, values: Vec::new(), cluster: None, executables: None, full_precision: false }
    }
}

/// A running plugin; cheap to clone, usable from any thread.
///
/// ```no_run
/// use spiq::Array;
/// use spiq::pjrt::{Client, CompileOptions, Input};
/// let client = Client::cpu()?;
/// let text = "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
///     %y = stablehlo.add %x, %x : tensor<2xf32>
///     return %y : tensor<2xf32>
/// }";
/// let double = client.compile(text, &CompileOptions::default())?;
/// let x = client.to_device(&Array::new([2], [1.0f32, 2.0])?)?;
/// let out = double.execute(vec![Input::Borrow(&x)])?;
/// assert_eq!(out[0].to_array()?.to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>, Watch);

struct Inner {
    raw: Arc<RawClient>,
    context: String,
    store: Option<Store>,
    no_handlers: Option<String>,
    full_precision: bool,
    compiled: Mutex<Compiled>,
}

/// A client's programs: the most recent ones, and those that are still referenced. Others are freed: by default a process may have
/// 65,530 memory mappings, and a few thousand programs reach that limit.
#[derive(Default)]
struct Compiled {
    by_key: HashMap<Key, Weak<Loaded>>,
    latest: VecDeque<Arc<Loaded>>,
}

/// Number of recent programs that a client keeps alive.
const LATEST: usize = 64;

impl Compiled {
    fn find(&self, key: &Key) -> Option<Arc<Loaded>> {
        self.by_key.get(key).and_then(Weak::upgrade)
    }

    fn keep(&mut self, key: Key, loaded: &Arc<Loaded>) {
        self.latest.push_back(loaded.clone());
        if self.latest.len() > LATEST {
            self.latest.pop_front();
        }
        self.by_key.retain(|_, held| held.strong_count() > 0);
        self.by_key.insert(key, Arc::downgrade(loaded));
    }
}

impl Client {
    /// A client of an opened plugin. Registers these handlers where the plugin supports handlers.
    ///
    /// # Errors
    /// Errors from PJRT, for example when the machine has no such device; kind `Input` when others may write to the folder of compiled
    /// programs.
    pub(crate) fn with_handlers(plugin: Plugin, options: &ClientOptions, handlers: &[Registration]) -> Result<Client> {
        let no_handlers = plugin.register(handlers).err().map(|why| why.to_string());
        let raw = Arc::new(RawClient::create(plugin, options)?);
        let (context, store) = (raw.context(), Store::new(options.executables.clone())?);
        let full_precision = options.full_precision;
        let inner = Inner { raw, context, store, no_handlers, full_precision, compiled: Mutex::default() };
        Ok(Client(Arc::new(inner), Watch::default()))
    }

    /// Why programs cannot call the handlers; `None` if they can.
    pub(crate) fn no_handlers(&self) -> Option<&str> {
        self.0.no_handlers.as_deref()
    }

    /// Whether programs for this client compute dot products and convolutions of f32 in full f32
    /// ([`ClientOptions::full_precision`]).
    pub fn full_precision(&self) -> bool {
        self.0.full_precision
    }

    /// The same client with another policy for waiting on compilations.
    #[must_use]
    pub fn watched(&self, watch: Watch) -> Client {
        Client(self.0.clone(), watch)
    }

    /// The policy for waiting on compilations.
    pub fn watch(&self) -> &Watch {
        &self.1
    }

    /// The run of several processes that its programs are part of.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.0.raw.cluster.as_ref()
    }

    /// The number of this process, if its programs are its own and exchange with those of other processes by calls: on the CPU. Elsewhere one
    /// program runs on the devices of all processes, and the plugin exchanges.
    pub(crate) fn exchanges_as(&self) -> Option<usize> {
        let cluster = self.cluster().filter(|_| self.platform() == Some(Platform::Cpu))?;
        Some(cluster.identity().process)
    }

    /// The plugin.
    pub fn plugin(&self) -> Plugin {
        self.0.raw.plugin
    }

    /// The plugin's name for the platform: `cpu`, `cuda`, `tpu`.
    pub fn platform_name(&self) -> &str {
        &self.0.raw.platform
    }

    /// The platform, where the plugin's name for it or its file name identifies it.
    pub fn platform(&self) -> Option<Platform> {
        Platform::guess(self.platform_name()).or(self.plugin().platform())
    }

    /// The platform's version as reported by the plugin.
    pub fn platform_version(&self) -> &str {
        &self.0.raw.version
    }

    /// XLA's flags for every program as a value of `XLA_FLAGS`: the user's flags plus the LLVM options added to them.
    pub fn xla_flags(&self) -> &str {
        self.0.raw.llvm.xla_flags()
    }

    /// The devices on this machine.
    pub fn devices(&self) -> Vec<Device> {
        (0..self.0.raw.devices.len()).map(|index| Device::new(self.0.raw.clone(), index)).collect()
    }

    /// Copies an array to the first device. Returns before the copy is complete.
    ///
    /// # Errors
    /// Errors from PJRT, for example when memory is exhausted.
    pub fn to_device(&self, array: &Array) -> Result<Buffer> {
        Buffer::from_array(&Device::new(self.0.raw.clone(), 0), array)
    }

    /// Copies an array to one of this client's devices. Returns before the copy is complete.
    ///
    /// # Errors
    /// As [`Client::to_device`]; a device of another client.
    pub fn to_device_on(&self, array: &Array, device: &Device) -> Result<Buffer> {
        if !Arc::ptr_eq(device.client(), &self.0.raw) {
            return Err(Error::input("the device belongs to another client"));
        }
        Buffer::from_array(device, array)
    }

    /// Runs a program on host arrays and waits for its results. To reuse arrays, keep them on the device with
    /// [`to_device`](Client::to_device) and call [`Executable::execute`].
    ///
    /// # Errors
    /// As [`Executable::execute`], and errors of the program itself.
    pub fn run<'a>(&self, program: &Executable, inputs: impl IntoIterator<Item = &'a Array>) -> Result<Vec<Array>> {
        let inputs = inputs.into_iter().map(|array| self.to_device(array).map(Input::Donate));
        let outputs = program.execute(inputs.collect::<Result<_>>()?)?;
        outputs.iter().map(Buffer::to_array).collect()
    }

    /// Compiles StableHLO text, or returns the program from this client's memory (recent or still referenced programs) or from the disk
    /// cache.
    ///
    /// # Errors
    /// Errors from PJRT when the text is not a valid program, a flag is unknown, or the compilation exceeds `SPIQ_COMPILE_SECONDS`; kind
    /// `Interrupted` when the [watch](Client::watched) stops it; kind `Input` when the processor lacks the memory to run it.
    pub fn compile(&self, text: &str, options: &CompileOptions) -> Result<Executable> {
        let program = self.find_or_compile(text, options)?;
        self.check_memory(text, &program)?;
        Ok(program)
    }

    fn find_or_compile(&self, text: &str, options: &CompileOptions) -> Result<Executable> {
        if !options.cache {
            return Ok(Executable::new(self.compile_anew(text, options)?));
        }
        let key = Key::new(text, options, &self.0.raw.flags, self.xla_flags(), &self.0.context);
        if let Some(loaded) = self.compiled().find(&key) {
            return Ok(Executable::from_shared(loaded));
        }
        let loaded = Arc::new(self.load_or_compile(&key, text, options)?);
        self.compiled().keep(key, &loaded);
        Ok(Executable::from_shared(loaded))
    }

    /// Refuses a program that the processor's memory cannot hold; cards refuse theirs themselves.
    fn check_memory(&self, text: &str, program: &Executable) -> Result<()> {
        if self.platform() != Some(Platform::Cpu) {
            return Ok(());
        }
        // A plugin that does not report it leaves it unchecked.
        let Ok(memory) = program.memory() else { return Ok(()) };
        let taken = memory.outputs.saturating_sub(memory.donated).saturating_add(memory.temporaries);
        // All devices of the CPU share its memory.
        let all = u64::try_from(taken).unwrap_or(0).saturating_mul(program.devices() as u64);
        capacity::check_program(&name_of(text), all)
    }

    /// Loads a program from the bytes of [`Executable::serialize`], made by the same plugin on the same kind of machine.
    ///
    /// # Errors
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when the bytes are damaged; errors from PJRT when the plugin rejects them.
    pub fn deserialize(&self, bytes: &[u8]) -> Result<Executable> {
        Ok(Executable::new(Loaded::deserialize(&self.0.raw, bytes)?))
    }

    /// The text of the program as optimized by XLA. Always recompiles it, because XLA writes the text during compilation.
    ///
    /// # Errors
    /// As [`Client::compile`]; a plugin that does not write the text.
    pub fn optimized_hlo(&self, text: &str, options: &CompileOptions) -> Result<String> {
        self.dump(text, options)?.1.optimized_hlo()
    }

    /// Recompiles the text and keeps the files that XLA writes; also returns the memory that a run needs, where the plugin reports it.
    ///
    /// # Errors
    /// As [`Client::compile`].
    pub fn dump(&self, text: &str, options: &CompileOptions) -> Result<(Option<CompiledMemory>, Dump)> {
        Dump::of(options, |options| Ok(Executable::new(self.compile_anew(text, options)?).memory().ok()))
    }

    /// The folder of compiled programs; `None` without one (`SPIQ_NO_CACHE=1`, or no home folder).
    pub fn executables_dir(&self) -> Option<&std::path::Path> {
        self.0.store.as_ref().map(Store::folder)
    }

    fn compiled(&self) -> std::sync::MutexGuard<'_, Compiled> {
        self.0.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compile_anew(&self, text: &str, options: &CompileOptions) -> Result<Loaded> {
        let (raw, text, options) = (self.0.raw.clone(), text.to_owned(), options.clone());
        self.1.wait(&name_of(&text), move || Loaded::compile(&raw, &text, &options))
    }

    fn load_or_compile(&self, key: &Key, text: &str, options: &CompileOptions) -> Result<Loaded> {
        let Some(store) = &self.0.store else { return self.compile_anew(text, options) };
        // A damaged entry is replaced by compiling again.
        let stored = store.read(key).and_then(|bytes| Loaded::deserialize(&self.0.raw, &bytes).ok());
        if let Some(loaded) = stored {
            return Ok(loaded);
        }
        let loaded = self.compile_anew(text, options)?;
        // Without serialization, or with a full disk, the next run compiles again; nothing else is lost.
        if let Ok(bytes) = loaded.serialize() {
            store.write(key, &bytes);
        }
        Ok(loaded)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({}, {:?})", self.platform_name(), self.devices())
    }
}

#[cfg(test)]
mod tests {
    use super::super::abi::proto::fields;
    use super::*;

    /// The options reported by a program include those that it has without LLVM's options, plus LLVM's.
    #[test]
    fn llvm_is_told_with_the_program() {
        let client = Client::cpu().expect("the processor's plugin");
        let (raw, text) =
            (&client.0.raw, "func.func @main(%x: tensor<f32>) -> tensor<f32> { return %x : tensor<f32> }");
        let plain = CompileOptions::default();
        let own = Loaded::compile_with(raw, text, &plain.encode(&raw.flags, &[])).expect("compiled").debug_options();
        let told = Loaded::compile(raw, text, &plain).expect("compiled").debug_options();
        let (own, told) = [own, told].map(|options| options.expect("no error").expect("XLA tells its options")).into();
        let (own, told): (Vec<_>, Vec<_>) = (fields(&own).collect(), fields(&told).collect());
        // A newer plugin's list of operations for YNNPACK becomes shorter.
        let shorter = super::super::flags::removed(Some(Platform::Cpu), "").map(|(list, _)| list);
        let stays = |field: &(u64, _)| Some(field.0) == shorter || told.contains(field);
        assert!(own.len() > 100 && own.iter().all(stays), "{own:?}\n{told:?}");
        let count = client.xla_flags().matches("=-").count() + client.xla_flags().matches(",-").count();
        assert_eq!((told.len() - own.len(), client.xla_flags().contains("hashrecognize")), (count, true));
    }
}
