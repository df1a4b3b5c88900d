//! Opens a device for a command: names a plugin that spiq did not install, and shows the progress of an installation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use spiq::Result;
use spiq::cluster::Cluster;
use spiq::pjrt::{self, Client, ClientOptions, Platform, Source, Watch};

use super::argument::Devices;
use super::choice::{Device, MatmulPrecision};
use super::progress::{Installation, compiling};
use super::screen;

/// Whether clients are opened with [`ClientOptions::full_precision`].
static FULL_PRECISION: AtomicBool = AtomicBool::new(false);

/// Sets the precision of all clients that are opened from now on.
pub fn use_precision(precision: MatmulPrecision) {
    FULL_PRECISION.store(precision == MatmulPrecision::Highest, Ordering::Relaxed);
}

/// Opens a client of a device. Only the CPU plugin is installed automatically.
///
/// # Errors
/// As [`Client::open_with`].
pub fn open(device: Device) -> Result<Client> {
    open_with(device, Devices::One)
}

/// Same as [`open`], for this many devices: the CPU plugin presents as many as are asked for, which share the processor's cores.
///
/// # Errors
/// As [`open`].
pub fn open_with(device: Device, devices: Devices) -> Result<Client> {
    open_in(device, devices, None)
}

fn open_in(device: Device, devices: Devices, cluster: Option<&Cluster>) -> Result<Client> {
    name_plugin(device.into())?;
    let mut installation = Installation::default();
    let cpu_devices = if let Devices::Of(count) = devices { count } else { 1 };
    let full_precision = FULL_PRECISION.load(Ordering::Relaxed);
    let cluster = cluster.cloned();
    let options = ClientOptions { cpu_devices, cluster, full_precision, ..ClientOptions::default() };
    let client = Client::open_with(device.into(), &options, &mut |progress| installation.update(progress))?;
    client.kernels_refused().iter().for_each(|why| screen::note_once(why));
    Ok(client.watched(Watch { stop: None, progress: Some(compiling()) }))
}

/// Same as [`open_with`], in a run of several processes if one is given; compilations end when `stop` becomes true.
///
/// # Errors
/// As [`open`].
pub fn open_until(
    device: Device,
    devices: Devices,
    stop: &Arc<AtomicBool>,
    cluster: Option<&Cluster>,
) -> Result<Client> {
    let client = open_in(device, devices, cluster)?;
    Ok(client.watched(Watch { stop: Some(stop.clone()), ..client.watch().clone() }))
}

/// The number of a client's devices that are asked for; in a run of several processes, those of all of them, which have equally many.
pub fn count(client: &Client, devices: Devices) -> usize {
    let here = match devices {
        Devices::One => 1,
        Devices::Of(count) => count,
        Devices::All => client.devices().len(),
    };
    here * client.cluster().map_or(1, |cluster| cluster.identity().processes)
}

/// Prints, once each, the plugin file of a platform if it comes from the environment instead of spiq's cache, and a warning if the cache
/// folder belongs to another user.
///
/// # Errors
/// If others may write to the cache folder; if the file is not a plugin.
pub fn name_plugin(platform: Platform) -> Result<()> {
    pjrt::check_cache()?.into_iter().for_each(|warning| screen::note_once(&format!("warning: {warning}")));
    let Some(found) = pjrt::find(platform).filter(|found| found.source != Source::Cache) else { return Ok(()) };
    found.check()?;
    let from = match found.source {
        Source::Environment(variable) => format!("named by {variable}"),
        _ => "a Python package".to_owned(),
    };
    screen::progress(&format!("plugin for {platform}: {} ({from})", found.path.display()));
    Ok(())
}
