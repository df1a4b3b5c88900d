//! PJRT's client, and the properties of the client and its devices that are read once.

use super::abi::api::{self, Api, Value};
use super::abi::platform::Platform;
use super::abi::sys;
use super::client::ClientOptions;
use super::llvm::Llvm;
use super::plugin::Plugin;
use super::{environment, flags, kv, libraries, retain};
use crate::cluster::Cluster;
use crate::error::{Error, ErrorKind, Result};

/// PJRT's client. Buffers and executables hold it, so it is released after the last of them.
pub struct RawClient {
    pub api: Api,
    pub plugin: Plugin,
    pub raw: *mut sys::Client,
    pub devices: Vec<Described>,
    /// XLA flags for every program.
    pub flags: Vec<(String, Value)>,
    /// LLVM options.
    pub llvm: Llvm,
    pub platform: String,
    pub version: String,
    pub cluster: Option<Cluster>,
}

// SAFETY: pjrt_c_api.h binds neither a `PJRT_Client` nor a `PJRT_Device` to a thread, and many threads call them at once; the plugin
// guards its mutable state with locks. The fields here do not change after `create`.
unsafe impl Send for RawClient {}
// SAFETY: as above.
unsafe impl Sync for RawClient {}

/// The properties of a device, read once.
pub struct Described {
    pub raw: *mut sys::Device,
    pub id: i32,
    pub kind: String,
    pub description: String,
}

impl RawClient {
    /// A client with these options, under the plugin's names.
    pub fn create(plugin: Plugin, options: &ClientOptions) -> Result<RawClient> {
        let (api, mut values, cluster) = (plugin.api(), options.values.clone(), options.cluster.clone());
        // Plugins of other hardware reject unknown options.
        if plugin.platform() == Some(Platform::Cpu) {
            retain::freed_memory();
            values.push(("cpu_device_count".to_owned(), Value::Int(options.cpu_devices as i64)));
        }
        if plugin.platform() == Some(Platform::Cuda) {
            values.extend(environment::cuda_options()?);
            libraries::check(plugin.path())?;
            values.extend(cluster.iter().flat_map(kv::options));
        }
        // The CPU plugin knows of no other process.
        let shared =
            cluster.as_ref().filter(|_| plugin.platform() != Some(Platform::Cpu)).map(|cluster| cluster.store());
        let named = api::write_named(&values);
        // SAFETY: the options outlive the call; the store outlives the client, as the callbacks demand.
        let created = unsafe {
            api.call::<sys::ClientCreate>(|a| {
                a.create_options = named.as_ptr();
                a.num_options = named.len();
                kv::offer(a, shared);
            })
        }?;
        let (devices, flags, llvm) = (Vec::new(), Vec::new(), Llvm::default());
        let (platform, version) = (String::new(), String::new());
        // From here on, dropping releases the client on any error.
        let mut client =
            RawClient { api, plugin, raw: created.client, devices, flags, llvm, platform, version, cluster };
        client.describe()?;
        Ok(client)
    }

    fn describe(&mut self) -> Result<()> {
        // SAFETY: the client is alive; its lists and texts live as long.
        unsafe {
            let name = self.api.call::<sys::ClientPlatformName>(|a| a.client = self.raw)?;
            self.platform = api::text(name.name, name.name_size);
            // The plugin's own platform name comes first, because a file that the user names may be called anything.
            let platform = Platform::guess(&self.platform).or(self.plugin.platform());
            self.flags = flags::of_programs(platform, self.plugin.cuda_dir());
            self.llvm = Llvm::new(platform);
            let version = self.api.call::<sys::ClientPlatformVersion>(|a| a.client = self.raw)?;
            self.version = api::text(version.version, version.version_size);
            let list = self.api.call::<sys::ClientAddressableDevices>(|a| a.client = self.raw)?;
            let devices = api::slice(list.devices, list.num_devices).iter();
            self.devices = devices.map(|&raw| describe(self.api, raw)).collect::<Result<_>>()?;
        }
        match self.devices.is_empty() {
            true => Err(Error::new(ErrorKind::Plugin, format!("the {} plugin finds no device", self.platform))),
            false => Ok(()),
        }
    }

    /// The number of processes whose devices run its programs together.
    pub fn processes(&self) -> usize {
        self.cluster.as_ref().map_or(1, |cluster| cluster.identity().processes)
    }

    /// Everything that a compiled program depends on besides its text and options.
    pub fn context(&self) -> String {
        let kinds: Vec<&str> = self.devices.iter().map(|d| d.kind.as_str()).collect();
        let place = self.cluster.as_ref().map(|cluster| {
            let identity = cluster.identity();
            format!(" process {} of {}", identity.process, identity.processes)
        });
        let place = place.unwrap_or_default();
        format!("{} {} {} {kinds:?}{place}", self.plugin.identity(), self.platform, self.version)
    }
}

impl Drop for RawClient {
    fn drop(&mut self) {
        // SAFETY: buffers and executables hold the client, so none is left.
        unsafe { self.api.destroy::<sys::ClientDestroy>(|a| a.client = self.raw) };
    }
}

/// Reads the properties of a device.
///
/// # Safety
/// `raw` is a device of a client of this plugin that is alive.
unsafe fn describe(api: Api, raw: *mut sys::Device) -> Result<Described> {
    // SAFETY: guaranteed by the caller; the texts live as long as the client.
    unsafe {
        let description = api.call::<sys::DeviceGetDescription>(|a| a.device = raw)?.description;
        let id = api.call::<sys::DeviceDescriptionId>(|a| a.description = description)?.id;
        let kind = api.call::<sys::DeviceDescriptionKind>(|a| a.description = description)?;
        let long = api.call::<sys::DeviceDescriptionDebugString>(|a| a.description = description)?;
        let (kind, description) = (api::text(kind.kind, kind.kind_size), api::text(long.text, long.text_size));
        Ok(Described { raw, id, kind, description })
    }
}
