//! Opens a device for a command, showing the installation of its plugin. Knows nothing of what runs there.

use spiq::Result;
use spiq::pjrt::{Client, ClientOptions};

use super::choice::Device;
use super::progress::Installation;

/// A client of a device. Only the CPU's plugin is installed without being asked for.
///
/// # Errors
/// As [`Client::open_with`].
pub fn open(device: Device) -> Result<Client> {
    let mut installation = Installation::default();
    Client::open_with(device.into(), &ClientOptions::default(), &mut |progress| installation.update(progress))
}
