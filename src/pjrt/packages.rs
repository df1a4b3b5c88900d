//! The pinned packages of plugins, as data.

use std::path::{Path, PathBuf};

use super::abi::platform::Platform;

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

    fn complete(&self, folder: &Path) -> bool {
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

/// The packages of one platform; the plugin is the first file of the first package.
#[derive(Clone, Copy, Debug)]
pub struct Bundle(pub &'static [Package]);

impl Bundle {
    /// The folder of the installation under the cache folder.
    pub fn folder(self, cache: &Path) -> PathBuf {
        cache.join("plugins").join(format!("{}-{}", self.0[0].name, self.0[0].version))
    }

    /// The plugin file, if all files of the bundle exist with the right sizes. Their contents are checked when the plugin is opened.
    pub fn installed(self, cache: &Path) -> Option<PathBuf> {
        let folder = self.folder(cache);
        self.complete(&folder).then(|| folder.join(self.0[0].files[0].1))
    }

    /// Whether `folder` contains all files of the bundle with the right sizes.
    pub fn complete(self, folder: &Path) -> bool {
        self.0.iter().all(|package| package.complete(folder))
    }

    /// The files of an installation on this machine, by their path in it.
    pub fn kept(self) -> impl Iterator<Item = (&'static str, &'static Kept)> {
        self.0.iter().flat_map(Package::kept)
    }

    /// Megabytes to download.
    pub fn megabytes(self) -> u64 {
        self.0.iter().filter_map(Package::wheel).map(|wheel| wheel.bytes).sum::<u64>().div_ceil(1_000_000)
    }
}

/// The platform and the bundle whose installation contains `plugin`, judging by the names of its file and folder.
pub fn installed_as(plugin: &Path) -> Option<(Platform, Bundle)> {
    let folder = plugin.parent()?;
    let cache = folder.parent().filter(|plugins| plugins.ends_with("plugins"))?.parent()?;
    let own = |(_, bundle): &(Platform, Bundle)| bundle.folder(cache).join(bundle.0[0].files[0].1) == plugin;
    Platform::ALL.into_iter().filter_map(|platform| Some((platform, of(platform)?))).find(own)
}

/// The packages for `platform`, if they exist for this machine.
pub fn of(platform: Platform) -> Option<Bundle> {
    let bundle = Bundle(match platform {
        Platform::Cpu => CPU,
        Platform::Cuda => CUDA,
        Platform::Tpu => TPU,
    });
    bundle.0.iter().all(|package| package.wheel().is_some()).then_some(bundle)
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

// The two NVIDIA packages contain the assembler and the device library: without them f8 programs crash the compiler.
const CUDA: &[Package] = &[
    Package {
        name: "jax-cuda13-pjrt",
        version: "0.12.0.1",
        files: &[("jax_plugins/xla_cuda13/xla_cuda_plugin.so", "xla_cuda_plugin.so")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_27_x86_64",
                sha256: "5899bb6177eda86ea532afb9a26794f2bdd04966f6a01f9028266b16c2b6cf90",
                bytes: 134_922_808,
                kept: &[Kept {
                    bytes: 395_967_648,
                    sha256: "b6de513893c09af2c77e71afcef46d9706f8c259337cdef4cd5cae2353886f75",
                }],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_27_aarch64",
                sha256: "40758d042df8c06991b6a1a8016b56e9cefb1ed4c677c062125c3eb71c3dab97",
                bytes: 128_847_710,
                kept: &[Kept {
                    bytes: 376_071_120,
                    sha256: "b63ecc0361e3f8a9da9aad3df39e93a96092fb4ee20a174ccba2688fda4cb53f",
                }],
            },
        ],
    },
    Package {
        name: "nvidia-cuda-nvcc",
        version: "13.0.88",
        files: &[("nvidia/cu13/bin/ptxas", "bin/ptxas")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_17_x86_64",
                sha256: "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03",
                bytes: 37_384_532,
                kept: &[Kept {
                    bytes: 37_741_528,
                    sha256: "daba837a68265cae38c832d13399b61dab811891de9b8914defddef143b849f2",
                }],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_17_aarch64",
                sha256: "c7ff28f86a24effdc6c034fa15230c549a273e4771b10a7fec14996f8cf3307f",
                bytes: 32_455_430,
                kept: &[Kept {
                    bytes: 31_548_264,
                    sha256: "a1941a04ca4fd233b2fbe50c625b1e72b3d5f79ebe80209a272c85482dfbb487",
                }],
            },
        ],
    },
    Package {
        name: "nvidia-nvvm",
        version: "13.0.88",
        files: &[("nvidia/cu13/nvvm/libdevice/libdevice.10.bc", "nvvm/libdevice/libdevice.10.bc")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_12_x86_64",
                sha256: "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0",
                bytes: 61_601_415,
                kept: &[Kept {
                    bytes: 464_132,
                    sha256: "91334d6e12748f6cb5bbf0a1cd965a56bcd93dc4f496d2e5c5f8c6e523094356",
                }],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_17_aarch64",
                sha256: "c4376a291d72d22a315d9d2f69bdae8f8cd83a627f75bad395cee49a0fe65dc1",
                bytes: 59_234_185,
                kept: &[Kept {
                    bytes: 464_132,
                    sha256: "91334d6e12748f6cb5bbf0a1cd965a56bcd93dc4f496d2e5c5f8c6e523094356",
                }],
            },
        ],
    },
];

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
