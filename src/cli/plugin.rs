//! `spiq plugin`: installs and lists plugins.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use spiq::pjrt::{self, Missing, Parts, Platform, Wheels};
use spiq::table;
use spiq::{Error, Result};

use super::progress::Installation;
use super::screen;

const EXAMPLES: &str = "\
Examples:
  spiq plugin list
  spiq plugin install cuda13        then: spiq train --device cuda
  spiq plugin install cuda13 --compiler-only     then: spiq inspect --target cuda:h100
  spiq plugin install cpu --index https://mirror.example/simple

Without a network: download the wheel on another machine (`spiq plugin wheels cpu` prints the pip commands), copy it, and run
  spiq plugin install cpu --from FILE.whl";

/// Install and list PJRT plugins: the libraries that compile and run programs
///
/// The CPU plugin is installed automatically on first use. Packages are downloaded with your own pip, so its index (including
/// PIP_INDEX_URL), proxy and certificates apply. Versions and checksums are pinned: spiq checks each package before unpacking it, and the
/// plugin before opening it. An interrupted installation continues with the first missing package.
///
/// `cuda13` needs nothing but NVIDIA's driver (580 or newer): it includes the CUDA libraries that programs use.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Download a plugin into the cache folder, unless it is there already with the pinned checksums
    Install {
        /// Plugin to install
        plugin: Name,
        /// Download from this package index, such as a mirror
        #[arg(long, value_name = "URL", conflicts_with = "from")]
        index: Option<String>,
        /// Install from this wheel, without a network; repeat for each package of the plugin
        #[arg(long, value_name = "FILE")]
        from: Vec<PathBuf>,
        /// Without the libraries that run programs: for compiling only, or where a Python environment has them
        #[arg(long)]
        compiler_only: bool,
    },
    /// Print the commands that download a plugin's wheels on a machine with a network, for --from
    Wheels {
        /// Plugin whose wheels to list
        plugin: Name,
        /// Without the libraries that run programs
        #[arg(long)]
        compiler_only: bool,
    },
    /// List the plugins on this machine, in order of preference
    List,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// this machine's processor
    Cpu,
    /// NVIDIA GPUs, with CUDA 13
    #[value(alias = "cuda", alias = "gpu")]
    Cuda13,
    /// Google's TPUs
    Tpu,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Plugin` when the package cannot be downloaded.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.action {
        Action::Install { plugin, index, from, compiler_only } => {
            // An existing installation needs none of them, but a wrong name is a mistake all the same.
            if let Some(missing) = from.iter().find(|path| !path.exists()) {
                return Err(Error::input(format!("there is no file {}; name a wheel with --from", missing.display())));
            }
            let wheels = match index {
                Some(index) => Wheels::Mirror(index.clone()),
                None if from.is_empty() => Wheels::Index,
                None => Wheels::Files(from.clone()),
            };
            install((*plugin).into(), parts(*plugin, *compiler_only)?, &wheels)
        }
        Action::Wheels { plugin, compiler_only } => commands((*plugin).into(), parts(*plugin, *compiler_only)?),
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

/// The parts to install.
fn parts(plugin: Name, compiler_only: bool) -> Result<Parts> {
    match (compiler_only, plugin) {
        (false, _) => Ok(Parts::All),
        (true, Name::Cuda13) => Ok(Parts::Compiler),
        (true, _) => Err(Error::input("only cuda13 has libraries apart from the compiler; leave out --compiler-only")),
    }
}

fn install(platform: Platform, parts: Parts, wheels: &Wheels) -> Result<()> {
    announce(&pjrt::missing(platform, parts)?, wheels);
    let mut installation = Installation::default();
    let path = pjrt::install_from(platform, parts, wheels, &mut |progress| installation.update(progress))?;
    drop(installation);
    screen::print(&format!("the {platform} plugin is installed: {}\n", path.display()))
}

/// Prints the sizes of an installation of several packages. That of a single one is part of its progress.
fn announce(missing: &Missing, wheels: &Wheels) {
    let Missing { packages, of, download, disk, .. } = *missing;
    if packages == 0 || of == 1 {
        return;
    }
    let which =
        if packages == of { format!("{of} packages") } else { format!("{packages} of {of} packages are missing") };
    let verb = if matches!(wheels, Wheels::Files(_)) { "copy" } else { "download" };
    let (download, disk) = (screen::bytes(download), screen::bytes(disk));
    screen::progress(&format!("{which}: {download} to {verb}, {disk} on disk"));
}

fn commands(platform: Platform, parts: Parts) -> Result<()> {
    screen::print(&pjrt::wheel_commands(platform, parts)?.iter().map(|line| format!("{line}\n")).collect::<String>())
}

fn list() -> Result<()> {
    let row = |found: pjrt::Found| {
        let platform = found.platform.map_or("?", Platform::name);
        vec![platform.to_owned(), found.source.to_string(), found.path.display().to_string()]
    };
    let rows: Vec<Vec<String>> = pjrt::list().into_iter().map(row).collect();
    match rows.is_empty() {
        true => screen::print("no plugin found; `spiq plugin install cpu` installs the CPU plugin\n"),
        false => screen::print(&table::aligned(&["platform", "source", "file"], &rows)),
    }
}
