//! `spiq plugin`: installs and lists plugins.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use spiq::pjrt::{self, Build, Missing, Parts, Platform, Wheels};
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
  spiq plugin install cpu --build jaxlib-0.11    uses a newer XLA from then on; `--build xla` goes back

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
        /// Build of the CPU plugin; builds are kept beside each other, and the one installed last is used [default: xla]
        #[arg(long, value_name = "NAME")]
        build: Option<BuildName>,
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
        /// Build of the CPU plugin [default: xla]
        #[arg(long, value_name = "NAME")]
        build: Option<BuildName>,
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

/// The builds of the CPU plugin. SECURITY.md says who makes them.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BuildName {
    /// xla-cpu-pjrt 0.0.1, by Google, for x86-64 and aarch64
    Xla,
    /// lammps-jax-pjrt-cpu 0.11.2: the XLA of jaxlib 0.11.2, built by the lammps-jax project, for x86-64
    #[value(name = "jaxlib-0.11")]
    Jaxlib011,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Plugin` when the package cannot be downloaded.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.action {
        Action::Install { plugin, build, index, from, compiler_only } => {
            // An existing installation needs none of them, but a wrong name is a mistake all the same.
            if let Some(missing) = from.iter().find(|path| !path.exists()) {
                return Err(Error::input(format!("there is no file {}; name a wheel with --from", missing.display())));
            }
            let wheels = match index {
                Some(index) => Wheels::Mirror(index.clone()),
                None if from.is_empty() => Wheels::Index,
                None => Wheels::Files(from.clone()),
            };
            install((*plugin).into(), of_cpu(*plugin, *build)?, parts(*plugin, *compiler_only)?, &wheels)
        }
        Action::Wheels { plugin, build, compiler_only } => {
            commands((*plugin).into(), of_cpu(*plugin, *build)?, parts(*plugin, *compiler_only)?)
        }
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

impl From<BuildName> for Build {
    fn from(name: BuildName) -> Build {
        match name {
            BuildName::Xla => Build::Xla,
            BuildName::Jaxlib011 => Build::Jaxlib011,
        }
    }
}

/// The build to install.
fn of_cpu(plugin: Name, build: Option<BuildName>) -> Result<Build> {
    match (build, plugin) {
        (None, _) => Ok(Build::default()),
        (Some(build), Name::Cpu) => Ok(build.into()),
        (Some(_), _) => Err(Error::input("only cpu has several builds; leave out --build")),
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

fn install(platform: Platform, build: Build, parts: Parts, wheels: &Wheels) -> Result<()> {
    announce(&pjrt::missing(platform, build, parts)?, wheels);
    let mut installation = Installation::default();
    let path = pjrt::install_from(platform, build, parts, wheels, &mut |progress| installation.update(progress))?;
    drop(installation);
    let which = if platform == Platform::Cpu { format!(" (build {build})") } else { String::new() };
    screen::print(&format!("the {platform} plugin{which} is installed: {}\n", path.display()))?;
    if let Some(used) = pjrt::find(platform).filter(|found| found.path != path) {
        screen::note(&format!("{} names another plugin, which is used instead: {}", used.source, used.path.display()));
    }
    Ok(())
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

fn commands(platform: Platform, build: Build, parts: Parts) -> Result<()> {
    screen::print(
        &pjrt::wheel_commands(platform, build, parts)?.iter().map(|line| format!("{line}\n")).collect::<String>(),
    )
}

fn list() -> Result<()> {
    let row = |found: pjrt::Found| {
        let platform = found.platform.map_or("?", Platform::name);
        let build = found.build().map_or_else(String::new, |build| format!(", build {build}"));
        vec![platform.to_owned(), format!("{}{build}", found.source), found.path.display().to_string()]
    };
    let rows: Vec<Vec<String>> = pjrt::list().into_iter().map(row).collect();
    match rows.is_empty() {
        true => screen::print("no plugin found; `spiq plugin install cpu` installs the CPU plugin\n"),
        false => screen::print(&table::aligned(&["platform", "source", "file"], &rows)),
    }
}
