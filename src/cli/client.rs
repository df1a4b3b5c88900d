//! Opens a device for a command: names a plugin that spiq did not install, and shows progress while one is installed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use spiq::Result;
use spiq::pjrt::{self, Client, ClientOptions, Platform, Source, Watch};

use super::choice::Device;
use super::progress::{Installation, compiling};
use super::screen;

/// A client of a device. Only the CPU's plugin is installed without being asked for.
///
/// # Errors
/// As [`Client::open_with`].
pub fn open(device: Device) -> Result<Client> {
    name_plugin(device.into())?;
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

/// Says which file will be the plugin of a platform, where it is one of an environment and not what spiq installed; and whose the cache
/// folder is, where it is not the user's. Says each once.
///
/// # Errors
/// Where others may write to the cache folder; for a file that is no plugin at all.
pub fn name_plugin(platform: Platform) -> Result<()> {
    pjrt::check_cache()?.into_iter().for_each(|warning| screen::note_once(&format!("warning: {warning}")));
    let Some(found) = pjrt::find(platform).filter(|found| found.source != Source::Cache) else { return Ok(()) };
    found.check()?;
    let from = match found.source {
        Source::Environment(variable) => format!("named by {variable}"),
        _ => "a Python package".to_owned(),
    };
    screen::note_once(&format!("plugin for {platform}: {} ({from})", found.path.display()));
    Ok(())
}
