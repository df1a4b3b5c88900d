//! `spiq plugin`: installs plugins, lists those that were found. Knows nothing of how they are found.

use clap::{Args, Subcommand, ValueEnum};
use spiq::Result;
use spiq::pjrt::{self, Platform};
use spiq::table;

use super::progress::Installation;
use super::screen;

const EXAMPLES: &str = "\
Examples:
  spiq plugin list
  spiq plugin install cuda13        then: spiq train --device cuda";

/// Install and list PJRT plugins: the libraries that compile programs and run them
///
/// The CPU's plugin is installed by itself when it is first needed. Packages have pinned versions and checksums and are
/// fetched by your own pip, so its index, proxy and certificates are used.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Download a plugin into the cache folder, unless it is there
    Install {
        /// Which one
        plugin: Name,
    },
    /// List the plugins on this machine, in the order in which they are preferred
    List,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// this machine's processor
    Cpu,
    /// NVIDIA graphics processors, with CUDA 13
    #[value(alias = "cuda", alias = "gpu")]
    Cuda13,
    /// Google's tensor processors
    Tpu,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Plugin` when the package cannot be fetched.
pub fn run(arguments: &Arguments) -> Result<()> {
    match arguments.action {
        Action::Install { plugin } => install(plugin),
        Action::List => list(),
    }
}

fn install(plugin: Name) -> Result<()> {
    let platform = match plugin {
        Name::Cpu => Platform::Cpu,
        Name::Cuda13 => Platform::Cuda,
        Name::Tpu => Platform::Tpu,
    };
    let mut installation = Installation::default();
    let path = pjrt::install(platform, &mut |progress| installation.update(progress))?;
    drop(installation);
    screen::print(&format!("the {platform} plugin is installed: {}\n", path.display()))
}

fn list() -> Result<()> {
    let row = |found: pjrt::Found| {
        let platform = found.platform.map_or("?", Platform::name);
        vec![platform.to_owned(), found.source.to_string(), found.path.display().to_string()]
    };
    let rows: Vec<Vec<String>> = pjrt::list().into_iter().map(row).collect();
    match rows.is_empty() {
        true => screen::print("no plugin was found; `spiq plugin install cpu` installs the CPU's\n"),
        false => screen::print(&table::aligned(&["platform", "source", "file"], &rows)),
    }
}
