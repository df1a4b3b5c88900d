//! The pinned packages of plugins, as data.

use std::path::{Path, PathBuf};

use super::abi::platform::Platform;
use super::build::Build;
use super::cuda_packages;

/// A file on the package index, for one kind of machine.
#[derive(Debug)]
pub struct Wheel {
    /// `std::env::consts::ARCH` of its machines.
    pub arch: &'static str,
    /// The platform tag that selects it.
    pub tag: &'static str,
    /// The checksum of its bytes, verified by pip and, before unpacking, by this library.
    pub sha256: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// The kept files, in the package's order: an installation is complete if their sizes match, and is used only if their contents match.
    pub kept: &'static [Kept],
}

/// The expected properties of an installed file.
#[derive(Debug)]
pub struct Kept {
    /// Its size in bytes.
    pub bytes: u64,
    /// The checksum of its bytes.
    pub sha256: &'static str,
}

/// A package at its pinned version, and the files kept from it.
#[derive(Debug)]
pub struct Package {
    /// Its name on the package index.
    pub name: &'static str,
    /// The pinned version.
    pub version: &'static str,
    /// The kept files: the path inside the wheel, and the path inside the installation.
    pub files: &'static [(&'static str, &'static str)],
    /// Python version and ABI tag, if the wheel has them; any Python can download it.
    pub python: Option<(&'static str, &'static str)>,
    /// One for each kind of machine.
    pub wheels: &'static [Wheel],
}

impl Package {
    /// The wheel for this machine, if there is one.
    pub fn wheel(&self) -> Option<&'static Wheel> {
        self.wheels.iter().find(|wheel| wheel.arch == std::env::consts::ARCH && cfg!(target_os = "linux"))
    }

    /// Whether `folder` contains all files of the package with the right sizes.
    pub fn complete(&self, folder: &Path) -> bool {
        let fits = |(file, kept): (&str, &Kept)| {
            std::fs::metadata(folder.join(file)).is_ok_and(|meta| meta.is_file() && meta.len() == kept.bytes)
        };
        self.wheel().is_some() && self.kept().all(fits)
    }

    /// The files of an installation on this machine, by their path in it.
    pub fn kept(&self) -> impl Iterator<Item = (&'static str, &'static Kept)> {
        let kept = self.wheel().map_or(&[][..], |wheel| wheel.kept);
        self.files.iter().map(|(_, outside)| *outside).zip(kept)
    }
}

/// The packages of one build for one platform.
#[derive(Clone, Copy, Debug)]
pub struct Bundle {
    /// Its platform.
    pub platform: Platform,
    /// Its build.
    pub build: Build,
    /// The packages that compile programs; the plugin is the first file of the first package.
    pub plugin: &'static [Package],
    /// The packages of the libraries that the plugin opens to run programs, where these are not part of the plugin or of the driver.
    pub libraries: &'static [Package],
}

/// The parts of a plugin to install.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// Everything that running programs takes.
    #[default]
    All,
    /// Only what compiles programs. The libraries that run them may be installed later, or come from a Python environment.
    Compiler,
}

impl Bundle {
    /// The folder of the installation under the cache folder.
    pub fn folder(self, cache: &Path) -> PathBuf {
        cache.join("plugins").join(format!("{}-{}", self.plugin[0].name, self.plugin[0].version))
    }

    /// The plugin's path in the installation.
    pub fn file(self) -> &'static str {
        self.plugin[0].files[0].1
    }

    /// The plugin file, if all files that compile programs exist with the right sizes. Their contents are checked when the plugin is opened.
    pub fn installed(self, cache: &Path) -> Option<PathBuf> {
        let folder = self.folder(cache);
        self.complete(Parts::Compiler, &folder).then(|| folder.join(self.file()))
    }

    /// Whether `folder` contains all files of these parts with the right sizes.
    pub fn complete(self, parts: Parts, folder: &Path) -> bool {
        self.packages(parts).all(|package| package.complete(folder))
    }

    /// The packages of these parts.
    pub fn packages(self, parts: Parts) -> impl DoubleEndedIterator<Item = &'static Package> {
        let libraries = if parts == Parts::All { self.libraries } else { &[] };
        self.plugin.iter().chain(libraries)
    }

    /// The files of an installation of these parts on this machine, by their path in it.
    pub fn kept(self, parts: Parts) -> impl Iterator<Item = (&'static str, &'static Kept)> {
        self.packages(parts).flat_map(Package::kept)
    }

    /// The command that installs it.
    pub fn command(self) -> String {
        let build = if self.build == Build::default() { String::new() } else { format!(" --build {}", self.build) };
        format!("spiq plugin install {}{build}", self.platform)
    }

    /// Megabytes to download.
    pub fn megabytes(self) -> u64 {
        let wheels = self.packages(Parts::All).filter_map(Package::wheel);
        wheels.map(|wheel| wheel.bytes).sum::<u64>().div_ceil(1_000_000)
    }
}

/// An installation made by this library.
pub struct Installed {
    /// Its packages.
    pub bundle: Bundle,
    /// Its folder.
    pub folder: PathBuf,
}

/// The installation that contains `plugin`, judging by the names of its file and folders.
pub fn installed_as(plugin: &Path) -> Option<Installed> {
    let own = |bundle: Bundle| {
        let folder = plugin.ancestors().nth(Path::new(bundle.file()).components().count())?;
        let cache = folder.parent().filter(|plugins| plugins.ends_with("plugins"))?.parent()?;
        let folder = bundle.folder(cache);
        (folder.join(bundle.file()) == plugin).then_some(Installed { bundle, folder })
    };
    let builds = |platform| Build::ALL.into_iter().filter_map(move |build| of_build(platform, build));
    Platform::ALL.into_iter().flat_map(builds).find_map(own)
}

/// The packages of the default build for `platform`, if they exist for this machine.
pub fn of(platform: Platform) -> Option<Bundle> {
    of_build(platform, Build::default())
}

/// The packages of a build for `platform`, if they exist, for this machine.
pub fn of_build(platform: Platform, build: Build) -> Option<Bundle> {
    let (plugin, libraries) = match (platform, build) {
        (Platform::Cpu, Build::Xla) => (CPU, &[][..]),
        (Platform::Cpu, Build::Jaxlib011) => (CPU_OF_JAXLIB, &[][..]),
        (Platform::Cuda, Build::Xla) => (cuda_packages::PLUGIN, cuda_packages::LIBRARIES),
        (Platform::Tpu, Build::Xla) => (TPU, &[][..]),
        (Platform::Cuda | Platform::Tpu, Build::Jaxlib011) => return None,
    };
    let bundle = Bundle { platform, build, plugin, libraries };
    bundle.packages(Parts::All).all(|package| package.wheel().is_some()).then_some(bundle)
}

const CPU: &[Package] = &[Package {
    name: "xla-cpu-pjrt",
    version: "0.0.1",
    files: &[("xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so", "xla_cpu_pjrt.so")],
    python: None,
    wheels: &[
        Wheel {
            arch: "x86_64",
            tag: "manylinux_2_27_x86_64",
            sha256: "55837b6b7b47daa717f2d9a5a03563ea0ceaa338d06a81a1e2d3f060d960decc",
            bytes: 63_461_052,
            kept: &[Kept {
                bytes: 259_284_552,
                sha256: "88c3f28c5900f48ad4a82cab9e79bba9537809743395e341485f8794268820dc",
            }],
        },
        Wheel {
            arch: "aarch64",
            tag: "manylinux_2_27_aarch64",
            sha256: "8f613be6e891858f40d64f9799319502fff42689661944fc18a6ffd8210b30c9",
            bytes: 49_514_947,
            kept: &[Kept {
                bytes: 200_328_224,
                sha256: "fcf411f3e8ff635c2b2cf87215aa7016f460e66d236c3db08309e7486583532d",
            }],
        },
    ],
}];

const CPU_OF_JAXLIB: &[Package] = &[Package {
    name: "lammps-jax-pjrt-cpu",
    version: "0.11.2",
    files: &[("lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so", "pjrt_c_api_cpu_plugin.so")],
    python: None,
    wheels: &[Wheel {
        arch: "x86_64",
        tag: "manylinux_2_27_x86_64",
        sha256: "1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1",
        bytes: 62_711_338,
        kept: &[Kept {
            bytes: 201_600_336,
            sha256: "ad1309ac822b1b24d51b7f9947c7c9fa9ef5d67f390584cbc3d1fa2428fed9c2",
        }],
    }],
}];

const TPU: &[Package] = &[Package {
    name: "libtpu",
    version: "0.0.52",
    files: &[("libtpu/libtpu.so", "libtpu.so")],
    python: Some(("3.12", "cp312")),
    wheels: &[Wheel {
        arch: "x86_64",
        tag: "manylinux_2_31_x86_64",
        sha256: "f76ab1f4d697c346371c50058796f6baa93317b89be8cf8a1012715a2655120d",
        bytes: 137_064_515,
        kept: &[Kept {
            bytes: 467_479_448,
            sha256: "f86de4d04a058e6b5101f73e0824b95f27e2cec996d2b9191d9cffda75c03077",
        }],
    }],
}];
