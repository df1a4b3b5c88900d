//! `spiq doctor`: shows what this machine has for running programs, what is missing, and how to fix it. Changes nothing.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use spiq::Result;
use spiq::pjrt::{self, Build, Found, Platform};

use super::libraries;
use super::probe::{self, Probe};
use super::screen;

/// Show plugins, devices and the cache folder, and what is missing
///
/// Each plugin is opened in a separate process, so that a broken one only reports its error.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Open this plugin and print its devices; the command runs itself with this flag
    #[arg(long, hide = true, value_name = "FILE")]
    probe: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    machine: String,
    cores: usize,
    nvidia_driver: bool,
    plugins: Vec<Plugin>,
    cache: Option<Cache>,
    advice: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Plugin {
    platform: Option<&'static str>,
    source: String,
    /// The build, where spiq can install several.
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<&'static str>,
    file: PathBuf,
    /// Whether it is the plugin that its platform uses.
    used: bool,
    /// The packages of libraries that it opens to run programs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    libraries: Vec<libraries::Package>,
    #[serde(flatten)]
    probe: Probe,
}

#[derive(Debug, Serialize)]
struct Cache {
    folder: PathBuf,
    plugin_bytes: u64,
    program_bytes: u64,
}

/// Runs the command.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(plugin) = &arguments.probe {
        return screen::print(&format!("\n{}\n", probe::answer(plugin)));
    }
    let report = Report::of_this_machine();
    match arguments.json {
        true => screen::print(&format!("{}\n", serde_json::to_string_pretty(&report).expect("strings and numbers"))),
        false => screen::print(&report.text()),
    }
}

impl Report {
    fn of_this_machine() -> Report {
        let used: Vec<Option<Found>> = Platform::ALL.into_iter().map(pjrt::find).collect();
        let plugin = |found: Found| Plugin {
            platform: found.platform.map(Platform::name),
            source: found.source.to_string(),
            build: found.build().map(Build::name),
            used: used.iter().flatten().any(|one| one.path == found.path),
            libraries: libraries::of(&found.path),
            probe: probe::ask(&found.path),
            file: found.path,
        };
        let plugins: Vec<Plugin> = pjrt::list().into_iter().map(plugin).collect();
        Report {
            version: env!("CARGO_PKG_VERSION"),
            machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            nvidia_driver: pjrt::has_nvidia_driver(),
            advice: advice(&plugins),
            plugins,
            cache: cache(),
        }
    }

    fn text(&self) -> String {
        let driver = if self.nvidia_driver { "NVIDIA's driver" } else { "no NVIDIA driver" };
        let mut text =
            format!("spiq {} on {}, {} cores, {driver}\n\nplugins\n", self.version, self.machine, self.cores);
        if self.plugins.is_empty() {
            text.push_str("  none\n");
        }
        self.plugins.iter().for_each(|plugin| text.push_str(&plugin.text()));
        text.push_str("\ncache\n");
        match &self.cache {
            Some(cache) => text.push_str(&cache.text()),
            None => text.push_str("  none: set SPIQ_CACHE_DIR to a folder\n"),
        }
        text.push_str("\nto do\n");
        if self.advice.is_empty() {
            text.push_str("  nothing\n");
        }
        self.advice.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        text
    }
}

impl Plugin {
    fn text(&self) -> String {
        let used = if self.used { "" } else { ", not used: another one takes precedence" };
        let name = self.platform.unwrap_or("unknown platform");
        let build = self.build.map_or_else(String::new, |build| format!(", build {build}"));
        let mut lines =
            vec![format!("  {name} ({}{build}{used})", self.source), format!("    {}", self.file.display())];
        if let Some(version) = &self.probe.pjrt {
            let platform = self.probe.platform.as_ref().map(|platform| format!(", {platform}"));
            lines.push(format!("    PJRT {version}{}", platform.unwrap_or_default()));
        }
        for device in &self.probe.devices {
            let memory = match (device.memory_in_use, device.memory_limit) {
                (Some(used), Some(limit)) => {
                    format!(", {} of {} in use", screen::bytes(used.max(0) as u64), screen::bytes(limit.max(0) as u64))
                }
                _ => String::new(),
            };
            lines.push(format!("    device {}: {}{memory}", device.id, device.kind));
        }
        lines.extend(libraries::text(&self.libraries));
        lines.extend(self.probe.kernels_refused.iter().map(|why| format!("    note: {why}")));
        if let Some(error) = &self.probe.error {
            lines.push(format!("    error: {}", error.replace('\n', " ")));
        }
        lines.join("\n") + "\n"
    }
}

impl Cache {
    fn text(&self) -> String {
        let (plugins, programs) = (screen::bytes(self.plugin_bytes), screen::bytes(self.program_bytes));
        format!("  {}\n    plugins {plugins}, compiled programs {programs}\n", self.folder.display())
    }
}

fn cache() -> Option<Cache> {
    let folder = pjrt::cache_dir().ok()?;
    let (plugin_bytes, program_bytes) = (size(&folder.join("plugins")), size(&folder.join("executables")));
    Some(Cache { folder, plugin_bytes, program_bytes })
}

/// Total bytes of all files under a folder.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size(&entry.path()),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |meta| meta.len()),
        _ => 0,
    };
    entries.flatten().map(of).sum()
}

fn advice(plugins: &[Plugin]) -> Vec<String> {
    let mut advice = Vec::new();
    for (platform, package) in [("cpu", "cpu"), ("cuda", "cuda13"), ("tpu", "tpu")] {
        let all: Vec<&Plugin> = plugins.iter().filter(|plugin| plugin.platform == Some(platform)).collect();
        let used = all.iter().find(|plugin| plugin.used);
        let here = match platform {
            "cuda" => pjrt::has_nvidia_driver() || Path::new("/dev/nvidiactl").exists(),
            "tpu" => Path::new("/dev/accel0").exists(),
            _ => true,
        };
        if here && all.is_empty() {
            let alone = if platform == "cpu" { " (`spiq train` and `spiq predict` do this automatically)" } else { "" };
            advice.push(format!("the {platform} plugin is missing: run `spiq plugin install {package}`{alone}"));
        } else if let Some(missing) = used.filter(|_| here).and_then(|plugin| libraries::advice(&plugin.libraries)) {
            advice.push(missing);
        } else if here && used.is_none_or(|plugin| plugin.probe.error.is_some()) {
            let hint = "remove it, or name another file in SPIQ_PJRT_PLUGIN";
            advice.push(format!("the {platform} plugin that is used does not work (see its error): {hint}"));
        }
    }
    if Path::new("/dev/nvidiactl").exists() && !pjrt::has_nvidia_driver() {
        advice.push(
            "there is an NVIDIA card, but its driver's library libcuda.so.1 is not found: install the driver"
                .to_owned(),
        );
    }
    if !advice.is_empty() && !pjrt::has_pip() {
        advice.push("python3 with pip is missing: it downloads the plugins (`python3 -m ensurepip`)".to_owned());
    }
    match pjrt::check_cache() {
        Ok(warning) => advice.extend(warning),
        Err(error) => advice.push(error.to_string()),
    }
    advice
}
