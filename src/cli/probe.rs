//! Opens a plugin in a separate process: a broken one may crash, hang or write arbitrary output.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use spiq::pjrt::{Client, ClientOptions, Plugin};

/// Time after which a plugin counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// The result of opening a plugin.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Probe {
    /// PJRT API version, such as `0.81`.
    pub pjrt: Option<String>,
    /// Name and version of its platform.
    pub platform: Option<String>,
    /// Why its programs have none of spiq's kernels, if they should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernels_refused: Option<String>,
    /// Its devices on this machine.
    pub devices: Vec<Device>,
    /// Why the result is incomplete.
    pub error: Option<String>,
}

/// A device of a plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    /// Its number.
    pub id: i32,
    /// Its model name.
    pub kind: String,
    /// Bytes of memory in use.
    pub memory_in_use: Option<i64>,
    /// Bytes of memory available in total.
    pub memory_limit: Option<i64>,
}

/// Opens the plugin file in a child process, through this program's hidden flag.
pub fn ask(plugin: &Path) -> Probe {
    let failed = |error: String| Probe { error: Some(error), ..Probe::default() };
    let started = std::env::current_exe().and_then(|program| {
        let mut command = Command::new(program);
        command.args(["doctor", "--probe"]).arg(plugin);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    });
    let mut child = match started {
        Ok(child) => child,
        Err(cause) => return failed(format!("cannot be started: {cause}")),
    };
    if !ended(&mut child) {
        drop(child.kill());
        drop(child.wait());
        return failed(format!("did not respond within {} seconds", PATIENCE.as_secs()));
    }
    let mut text = String::new();
    drop(child.stdout.take().map(|mut out| out.read_to_string(&mut text)));
    // The plugin may have printed other lines before it.
    let answer = text.lines().next_back().and_then(|line| serde_json::from_str(line).ok());
    answer.unwrap_or_else(|| match child.wait() {
        Ok(status) => failed(format!("crashes when opened ({status})")),
        Err(cause) => failed(format!("cannot be started: {cause}")),
    })
}

fn ended(child: &mut Child) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            _ => return true,
        }
    }
    false
}

/// Opens the plugin in this process and returns the result as one line of JSON.
pub fn answer(plugin: &Path) -> String {
    let mut probe = Probe::default();
    if let Err(error) = look(plugin, &mut probe) {
        probe.error = Some(error.to_string());
    }
    serde_json::to_string(&probe).expect("strings and numbers")
}

fn look(plugin: &Path, probe: &mut Probe) -> spiq::Result<()> {
    let plugin = Plugin::open(plugin)?;
    let (major, minor) = plugin.version();
    probe.pjrt = Some(format!("{major}.{minor}"));
    let client = Client::new(plugin, &ClientOptions::default())?;
    // The first line of a multi-line version is the important one.
    let version = client.platform_version().lines().next().unwrap_or_default().trim();
    probe.platform = Some(match client.platform_name() {
        name if name == version => name.to_owned(),
        name => format!("{name} {version}"),
    });
    probe.kernels_refused = client.kernels_refused();
    for device in client.devices() {
        let memory = device.memory_stats().ok();
        probe.devices.push(Device {
            id: device.id(),
            kind: device.kind().to_owned(),
            memory_in_use: memory.map(|memory| memory.in_use),
            memory_limit: memory.and_then(|memory| memory.limit),
        });
    }
    Ok(())
}
