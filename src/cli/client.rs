//! Opens a device for a command, showing the installation of its plugin. Knows nothing of what runs there.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use spiq::Result;
use spiq::pjrt::{Client, ClientOptions, Watch};

use super::choice::Device;
use super::progress::{Installation, compiling};

/// A client of a device. Only the CPU's plugin is installed without being asked for.
///
/// # Errors
/// As [`Client::open_with`].
pub fn open(device: Device) -> Result<Client> {
    let mut installation = Installation::default();
    let client =
        Client::open_with(device.into(), &ClientOptions::default(), &mut |progress| installation.update(progress))?;
    Ok(client.watched(Watch { stop: None, progress: Some(compiling()) }))
}

/// The same, whose compilations end when `stop` becomes true.
///
/// # Errors
/// As [`open`].
pub fn open_until(device: Device, stop: &Arc<AtomicBool>) -> Result<Client> {
    let client = open(device)?;
    Ok(client.watched(Watch { stop: Some(stop.clone()), ..client.watch().clone() }))
}
