//! `spiq plugin`: installs plugins, lists those that were found. Knows nothing of how they are found.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use spiq::{Error, Result};
use spiq::pjrt::{self, Platform, Wheels};
use spiq::table;

use super::progress::Installation;
use super::screen;

const EXAMPLES: &str = "\
Examples:
  spiq plugin list
  spiq plugin install cuda13        then: spiq train --device cuda
  spiq plugin install cpu --index https://mirror.example/simple

Without a network: fetch the wheel on another machine (`spiq plugin wheels cpu` prints pip's command for each), copy it, and
  spiq plugin install cpu --from FILE.whl";

/// Install and list PJRT plugins: the libraries that compile programs and run them
///
/// The CPU's plugin is installed by itself when it is first needed. Packages are fetched by your own pip, so its index (PIP_INDEX_URL,
/// too), proxy and certificates are used. Versions and checksums are pinned: spiq checks each package before it unpacks it, and the
/// plugin before it is opened.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Download a plugin into the cache folder, unless it is there and its files are the pinned ones
    Install {
        /// Which one
        plugin: Name,
        /// Fetch from this package index, a mirror for example
        #[arg(long, value_name = "URL", conflicts_with = "from")]
        index: Option<String>,
        /// Take this wheel, and use no network; for each package of a plugin once
        #[arg(long, value_name = "FILE")]
        from: Vec<PathBuf>,
    },
    /// Print the commands that fetch a plugin's wheels on a machine with a network, for --from
    Wheels {
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
    match &arguments.action {
        Action::Install { plugin, index, from } => {
            // An installation that is there needs none of them, but whoever names a file means one.
            if let Some(missing) = from.iter().find(|path| !path.is_file()) {
                return Err(Error::input(format!("there is no file {}; name a wheel with --from", missing.display())));
            }
            let wheels = match index {
                Some(index) => Wheels::Mirror(index.clone()),
                None if from.is_empty() => Wheels::Index,
                None => Wheels::Files(from.clone()),
            };
            install((*plugin).into(), &wheels)
        }
        Action::Wheels { plugin } => commands((*plugin).into()),
        Action::List => list(),
    }
}

impl From<Name> for Platform {
    fn from(name: Name) -> Platform {
        match name {
            Name::Cpu => Platform::Cpu,
            Name::Cuda13 => Platform::Cuda,
            Name::Tpu => Platform::Tpu,
        }
    }
}

fn install(platform: Platform, wheels: &Wheels) -> Result<()> {
    let mut installation = Installation::default();
    let path = pjrt::install_from(platform, wheels, &mut |progress| installation.update(progress))?;
    drop(installation);
    screen::print(&format!("the {platform} plugin is installed: {}\n", path.display()))
}

fn commands(platform: Platform) -> Result<()> {
    screen::print(&pjrt::wheel_commands(platform)?.iter().map(|line| format!("{line}\n")).collect::<String>())
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
