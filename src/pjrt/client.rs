//! A client: a plugin at work on this machine's devices. Knows nothing of what programs compute.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use spiq_hlo::Array;
use spiq_kernels::Backend;

use super::api::{self, Api, Value};
use super::buffer::Buffer;
use super::device::{self, Described, Device};
use super::dump::Dump;
use super::executable::{Executable, Input, Loaded};
use super::flags;
use super::install::Progress;
use super::kernels;
use super::options::CompileOptions;
use super::platform::Platform;
use super::plugin::Plugin;
use super::program::CompiledMemory;
use super::store::{Key, Store};
use super::{environment, retain, sys};
use crate::error::{Error, ErrorKind, Result};

/// How a client is made.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// How many devices the CPU plugin pretends to have. One is the fastest to start; it uses all cores all the same.
    pub cpu_devices: usize,
    /// Further options as the plugin names them.
    pub values: Vec<(String, Value)>,
    /// The folder of compiled programs; `None` is `executables` in the [`cache_dir`](super::cache_dir).
    pub executables: Option<PathBuf>,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions { cpu_devices: 1, values: Vec::new(), executables: None }
    }
}

/// A plugin at work; cheap to clone, usable from any thread.
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
pub struct Client(Arc<Inner>);

struct Inner {
    raw: Arc<RawClient>,
    context: String,
    store: Option<Store>,
    compiled: Mutex<HashMap<Key, Arc<Loaded>>>,
}

/// PJRT's own client. Buffers and executables hold it, so it is released after the last of them.
pub(super) struct RawClient {
    pub api: Api,
    pub plugin: Plugin,
    pub raw: *mut sys::Client,
    pub devices: Vec<Described>,
    /// The compiler's flags for every program.
    pub flags: Vec<(String, Value)>,
    platform: String,
    version: String,
}

// SAFETY: PJRT's clients and devices may be used from any thread.
unsafe impl Send for RawClient {}
// SAFETY: as above.
unsafe impl Sync for RawClient {}

impl Client {
    /// A client of this machine's processor. Installs the plugin without a word where there is none; to show the progress,
    /// use [`Client::open_with`].
    ///
    /// # Errors
    /// As [`Client::open_with`].
    pub fn cpu() -> Result<Client> {
        Client::open_with(Platform::Cpu, &ClientOptions::default(), &mut |_| {})
    }

    /// A client of a platform whose plugin is found on this machine.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] when there is no plugin or it cannot be opened; of PJRT when there is no such device.
    pub fn open(platform: Platform) -> Result<Client> {
        Client::new(Plugin::of(platform)?, &ClientOptions::default())
    }

    /// A client of a platform. Only the CPU's plugin is installed by itself; `progress` hears of it.
    ///
    /// # Errors
    /// As [`Client::open`] and [`install`](super::install()).
    pub fn open_with(
        platform: Platform,
        options: &ClientOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Client> {
        let plugin = match platform {
            Platform::Cpu => Plugin::of_or_install(platform, progress)?,
            _ => Plugin::of(platform)?,
        };
        Client::new(plugin, options)
    }

    /// A client of an opened plugin.
    ///
    /// # Errors
    /// Of PJRT, for example when the machine has no such device.
    pub fn new(plugin: Plugin, options: &ClientOptions) -> Result<Client> {
        let raw = Arc::new(RawClient::create(plugin, options)?);
        let (context, store) = (raw.context(), Store::new(options.executables.clone()));
        Ok(Client(Arc::new(Inner { raw, context, store, compiled: Mutex::default() })))
    }

    /// The plugin.
    pub fn plugin(&self) -> Plugin {
        self.0.raw.plugin
    }

    /// The platform's name as the plugin gives it: `cpu`, `cuda`, `tpu`.
    pub fn platform_name(&self) -> &str {
        &self.0.raw.platform
    }

    /// The platform, as far as the plugin's words tell.
    pub fn platform(&self) -> Option<Platform> {
        Platform::guess(&self.0.raw.platform).or(self.plugin().platform())
    }

    /// The platform's version in the plugin's own words.
    pub fn platform_version(&self) -> &str {
        &self.0.raw.version
    }

    /// The kernels of this library that programs may call; none with `SPIQ_NO_KERNELS=1`, nor where the plugin takes none.
    pub fn kernels(&self) -> Option<&'static dyn Backend> {
        self.plugin().kernels().filter(|_| kernels::are_wanted())
    }

    /// The devices of this machine.
    pub fn devices(&self) -> Vec<Device> {
        (0..self.0.raw.devices.len()).map(|index| Device::new(self.0.raw.clone(), index)).collect()
    }

    /// Copies an array to the first device. Returns before the copy is done.
    ///
    /// # Errors
    /// Of PJRT, for example when memory is short.
    pub fn to_device(&self, array: &Array) -> Result<Buffer> {
        Buffer::from_array(&Device::new(self.0.raw.clone(), 0), array)
    }

    /// Copies an array to one of this client's devices. Returns before the copy is done.
    ///
    /// # Errors
    /// As [`Client::to_device`]; also when the device is another client's.
    pub fn to_device_on(&self, array: &Array, device: &Device) -> Result<Buffer> {
        if !Arc::ptr_eq(device.client(), &self.0.raw) {
            return Err(Error::input("the device belongs to another client"));
        }
        Buffer::from_array(device, array)
    }

    /// Runs a program on host arrays and waits for its results. Where arrays are used again, keep them on the device with
    /// [`to_device`](Client::to_device) and call [`Executable::execute`].
    ///
    /// # Errors
    /// As [`Executable::execute`], and what went wrong in the program.
    pub fn run<'a>(&self, program: &Executable, inputs: impl IntoIterator<Item = &'a Array>) -> Result<Vec<Array>> {
        let inputs = inputs.into_iter().map(|array| self.to_device(array).map(Input::Donate));
        let outputs = program.execute(inputs.collect::<Result<_>>()?)?;
        outputs.iter().map(Buffer::to_array).collect()
    }

    /// Compiles StableHLO text, or finds the program compiled already: in this client, which keeps it, then on disk.
    ///
    /// # Errors
    /// Of PJRT when the text is not a valid program or a flag is unknown.
    pub fn compile(&self, text: &str, options: &CompileOptions) -> Result<Executable> {
        if !options.cache {
            return Ok(Executable::new(Loaded::compile(&self.0.raw, text, options)?));
        }
        let key = Key::new(text, options, &self.0.raw.flags, &self.0.context);
        if let Some(loaded) = self.compiled().get(&key) {
            return Ok(Executable::from_shared(loaded.clone()));
        }
        let loaded = Arc::new(self.load_or_compile(&key, text, options)?);
        self.compiled().insert(key, loaded.clone());
        Ok(Executable::from_shared(loaded))
    }

    /// Takes a program that [`Executable::serialize`] gave, of the same plugin on the same kind of machine.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the bytes are damaged; of PJRT when the plugin does not accept them.
    pub fn deserialize(&self, bytes: &[u8]) -> Result<Executable> {
        Ok(Executable::new(Loaded::deserialize(&self.0.raw, bytes)?))
    }

    /// The text of the program as XLA optimizes it. Compiles it anew, for XLA writes the text while compiling.
    ///
    /// # Errors
    /// As [`Client::compile`]; also when the plugin does not give the text.
    pub fn optimized_hlo(&self, text: &str, options: &CompileOptions) -> Result<String> {
        self.dump(text, options)?.1.optimized_hlo()
    }

    /// Compiles the text anew and keeps what XLA writes down meanwhile; also what a run needs, where the plugin tells.
    ///
    /// # Errors
    /// As [`Client::compile`].
    pub fn dump(&self, text: &str, options: &CompileOptions) -> Result<(Option<CompiledMemory>, Dump)> {
        Dump::of(options, |options| Ok(Executable::new(Loaded::compile(&self.0.raw, text, options)?).memory().ok()))
    }

    /// The folder of compiled programs, unless there is none (`SPIQ_NO_CACHE=1`, or no home folder).
    pub fn executables_dir(&self) -> Option<&std::path::Path> {
        self.0.store.as_ref().map(Store::folder)
    }

    fn compiled(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Loaded>>> {
        self.0.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_or_compile(&self, key: &Key, text: &str, options: &CompileOptions) -> Result<Loaded> {
        let Some(store) = &self.0.store else { return Loaded::compile(&self.0.raw, text, options) };
        // Whatever is wrong with an entry, compiling replaces it.
        let stored = store.read(key).and_then(|bytes| Loaded::deserialize(&self.0.raw, &bytes).ok());
        if let Some(loaded) = stored {
            return Ok(loaded);
        }
        let loaded = Loaded::compile(&self.0.raw, text, options)?;
        // A plugin that cannot serialize, or a full disk, costs time but nothing else.
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

impl RawClient {
    fn create(plugin: Plugin, options: &ClientOptions) -> Result<RawClient> {
        let api = plugin.api();
        let mut values = options.values.clone();
        // Plugins of other hardware refuse an option that they do not know.
        if plugin.platform() == Some(Platform::Cpu) {
            retain::freed_memory();
            values.push(("cpu_device_count".to_owned(), Value::Int(options.cpu_devices as i64)));
        }
        if plugin.platform() == Some(Platform::Cuda) {
            values.extend(environment::cuda_options()?);
        }
        let named = api::write_named(&values);
        // SAFETY: the options outlive the call.
        let created = unsafe {
            api.call::<sys::ClientCreate>(|a| {
                a.create_options = named.as_ptr();
                a.num_options = named.len();
            })
        }?;
        let (devices, flags, platform, version) = (Vec::new(), Vec::new(), String::new(), String::new());
        // From here on dropping releases the client, whatever fails.
        let mut client = RawClient { api, plugin, raw: created.client, devices, flags, platform, version };
        client.describe()?;
        Ok(client)
    }

    fn describe(&mut self) -> Result<()> {
        // SAFETY: the client lives; its lists and texts live as long.
        unsafe {
            let name = self.api.call::<sys::ClientPlatformName>(|a| a.client = self.raw)?;
            self.platform = api::text(name.name, name.name_size);
            // What the plugin says of itself, since a file that the user names may be called anything.
            let platform = Platform::guess(&self.platform).or(self.plugin.platform());
            self.flags = flags::of_programs(platform, self.plugin.cuda_dir());
            let version = self.api.call::<sys::ClientPlatformVersion>(|a| a.client = self.raw)?;
            self.version = api::text(version.version, version.version_size);
            let list = self.api.call::<sys::ClientAddressableDevices>(|a| a.client = self.raw)?;
            let devices = api::slice(list.devices, list.num_devices).iter();
            self.devices = devices.map(|&raw| device::describe(self.api, raw)).collect::<Result<_>>()?;
        }
        match self.devices.is_empty() {
            true => Err(Error::new(ErrorKind::Plugin, format!("the {} plugin finds no device", self.platform))),
            false => Ok(()),
        }
    }

    /// What a compiled program depends on besides its text and options.
    fn context(&self) -> String {
        let kinds: Vec<&str> = self.devices.iter().map(|d| d.kind.as_str()).collect();
        format!("{} {} {} {kinds:?}", self.plugin.identity(), self.platform, self.version)
    }
}

impl Drop for RawClient {
    fn drop(&mut self) {
        // SAFETY: buffers and executables hold the client, so none is left.
        unsafe { self.api.destroy::<sys::ClientDestroy>(|a| a.client = self.raw) };
    }
}
