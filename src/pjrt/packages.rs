//! The pinned packages that plugins are installed from, as data. Downloads nothing.

use std::path::{Path, PathBuf};

use super::abi::platform::Platform;

/// One file of the package index, for one kind of machine.
#[derive(Debug)]
pub struct Wheel {
    /// `std::env::consts::ARCH` of the machines that it is for.
    arch: &'static str,
    /// The platform tag that selects it.
    pub tag: &'static str,
    /// The checksum that pip verifies.
    pub sha256: &'static str,
    /// Its size, for the progress bar.
    pub bytes: u64,
    /// The sizes of the kept files, in the package's order: an installation is complete when they fit.
    sizes: &'static [u64],
}

/// A package at its pinned version and what is kept of it.
#[derive(Debug)]
pub struct Package {
    /// Its name on the package index.
    pub name: &'static str,
    /// The pinned version.
    pub version: &'static str,
    /// The kept files: the path inside the wheel, and the path inside the installation.
    pub files: &'static [(&'static str, &'static str)],
    /// Python version and ABI tag where the wheel has one; any Python may fetch it.
    pub python: Option<(&'static str, &'static str)>,
    wheels: &'static [Wheel],
}

impl Package {
    /// The wheel for this machine, if there is one.
    pub fn wheel(&self) -> Option<&'static Wheel> {
        self.wheels.iter().find(|wheel| wheel.arch == std::env::consts::ARCH && cfg!(target_os = "linux"))
    }

    fn complete(&self, folder: &Path) -> bool {
        let fits = |(file, size): (&(&str, &str), &u64)| {
            std::fs::metadata(folder.join(file.1)).is_ok_and(|meta| meta.is_file() && meta.len() == *size)
        };
        self.wheel().is_some_and(|wheel| self.files.iter().zip(wheel.sizes).all(fits))
    }
}

/// The packages of one platform; the first one holds the plugin as its first file.
#[derive(Clone, Copy, Debug)]
pub struct Bundle(pub &'static [Package]);

impl Bundle {
    /// The folder of the installation under the cache folder.
    pub fn folder(self, cache: &Path) -> PathBuf {
        cache.join("plugins").join(format!("{}-{}", self.0[0].name, self.0[0].version))
    }

    /// The plugin file, where all files of the bundle are installed in full.
    pub fn installed(self, cache: &Path) -> Option<PathBuf> {
        let folder = self.folder(cache);
        self.complete(&folder).then(|| folder.join(self.0[0].files[0].1))
    }

    /// Whether `folder` holds all files of the bundle in full.
    pub fn complete(self, folder: &Path) -> bool {
        self.0.iter().all(|package| package.complete(folder))
    }

    /// Megabytes to download.
    pub fn megabytes(self) -> u64 {
        self.0.iter().filter_map(Package::wheel).map(|wheel| wheel.bytes).sum::<u64>().div_ceil(1_000_000)
    }
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
            sizes: &[259_284_552],
        },
        Wheel {
            arch: "aarch64",
            tag: "manylinux_2_27_aarch64",
            sha256: "8f613be6e891858f40d64f9799319502fff42689661944fc18a6ffd8210b30c9",
            bytes: 49_514_947,
            sizes: &[200_328_224],
        },
    ],
}];

// The two NVIDIA packages hold the assembler and the device library: without them f8 programs crash the compiler.
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
                sizes: &[395_967_648],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_27_aarch64",
                sha256: "40758d042df8c06991b6a1a8016b56e9cefb1ed4c677c062125c3eb71c3dab97",
                bytes: 128_847_710,
                sizes: &[376_071_120],
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
                sizes: &[37_741_528],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_17_aarch64",
                sha256: "c7ff28f86a24effdc6c034fa15230c549a273e4771b10a7fec14996f8cf3307f",
                bytes: 32_455_430,
                sizes: &[31_548_264],
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
                sizes: &[464_132],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_17_aarch64",
                sha256: "c4376a291d72d22a315d9d2f69bdae8f8cd83a627f75bad395cee49a0fe65dc1",
                bytes: 59_234_185,
                sizes: &[464_132],
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
        sizes: &[467_479_448],
    }],
}];
