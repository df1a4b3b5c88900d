//! The pinned packages of NVIDIA's plugin: what compiles programs, and the libraries that run them.
//!
//! Files keep their paths in a folder of Python packages. The plugin looks for its libraries there, relative to its own path.

use super::packages::{Kept, Package, Wheel};

/// The plugin, NVIDIA's assembler and its device library: without the latter two, f8 programs crash the compiler.
pub const PLUGIN: &[Package] = &[
    Package {
        name: "jax-cuda13-pjrt",
        version: "0.12.0.1",
        files: &[same("jax_plugins/xla_cuda13/xla_cuda_plugin.so")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_27_x86_64",
                sha256: "5899bb6177eda86ea532afb9a26794f2bdd04966f6a01f9028266b16c2b6cf90",
                bytes: 134_922_808,
                kept: &[kept(395_967_648, "b6de513893c09af2c77e71afcef46d9706f8c259337cdef4cd5cae2353886f75")],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_27_aarch64",
                sha256: "40758d042df8c06991b6a1a8016b56e9cefb1ed4c677c062125c3eb71c3dab97",
                bytes: 128_847_710,
                kept: &[kept(376_071_120, "b63ecc0361e3f8a9da9aad3df39e93a96092fb4ee20a174ccba2688fda4cb53f")],
            },
        ],
    },
    Package {
        name: "nvidia-cuda-nvcc",
        version: "13.0.88",
        files: &[same("nvidia/cu13/bin/ptxas")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_17_x86_64",
                sha256: "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03",
                bytes: 37_384_532,
                kept: &[kept(37_741_528, "daba837a68265cae38c832d13399b61dab811891de9b8914defddef143b849f2")],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_17_aarch64",
                sha256: "c7ff28f86a24effdc6c034fa15230c549a273e4771b10a7fec14996f8cf3307f",
                bytes: 32_455_430,
                kept: &[kept(31_548_264, "a1941a04ca4fd233b2fbe50c625b1e72b3d5f79ebe80209a272c85482dfbb487")],
            },
        ],
    },
    Package {
        name: "nvidia-nvvm",
        version: "13.0.88",
        files: &[same("nvidia/cu13/nvvm/libdevice/libdevice.10.bc")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_12_x86_64",
                sha256: "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0",
                bytes: 61_601_415,
                kept: &[kept(464_132, "91334d6e12748f6cb5bbf0a1cd965a56bcd93dc4f496d2e5c5f8c6e523094356")],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_17_aarch64",
                sha256: "c4376a291d72d22a315d9d2f69bdae8f8cd83a627f75bad395cee49a0fe65dc1",
                bytes: 59_234_185,
                kept: &[kept(464_132, "91334d6e12748f6cb5bbf0a1cd965a56bcd93dc4f496d2e5c5f8c6e523094356")],
            },
        ],
    },
];

/// The libraries that the plugin opens when a program needs them. Versions are those that `jax-cuda13-plugin` allows beside this plugin, with
/// minor version 13.0 where there is no reason for a later one: any driver that runs CUDA 13 runs them. XLA can also open cuSOLVER, cuSPARSE,
/// cuFFT and NVSHMEM; no program of this library uses these.
pub const LIBRARIES: &[Package] = &[
    // Memory, streams and launches: every program opens it.
    Package {
        name: "nvidia-cuda-runtime",
        version: "13.0.96",
        files: &[same("nvidia/cu13/lib/libcudart.so.13")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_17_x86_64",
                sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
                bytes: 2_243_632,
                kept: &[kept(704_288, "96c42e418cec19054186b9429c321603cc190bf26a18104e19408117a2a817b0")],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_17_aarch64",
                sha256: "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
                bytes: 2_261_060,
                kept: &[kept(707_752, "7bdba2b5b08cbdc85203c41cc94598adedb1bcfea7cb574ca693ac73599e4e63")],
            },
        ],
    },
    // Matrix products. Versions below 13.2 may compute wrong results on Blackwell cards when several streams run.
    Package {
        name: "nvidia-cublas",
        version: "13.2.2.2",
        files: &[same("nvidia/cu13/lib/libcublasLt.so.13"), same("nvidia/cu13/lib/libcublas.so.13")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_27_x86_64",
                sha256: "77466d8d568b1750389a0632580e256552bf8d21ae40223e871ac8fb381020c8",
                bytes: 401_083_449,
                kept: &[
                    kept(502_605_048, "82ced05138be3a1e4d6802dcd4290569932601578f10f6f40f3f15fd525390f4"),
                    kept(54_190_264, "89b60e079abfb9ebcc7a57aedfa4d5d575efe40f9abfc18d868b0c69a295ec74"),
                ],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_27_aarch64",
                sha256: "178c9d61959c1184603951703c947b2007989cf7fea6b216cf1a31c104fbdeac",
                bytes: 502_487_700,
                kept: &[
                    kept(573_430_576, "5af2ae59e652871dfc32fda727c0ede03fce740ca8c06b38b28a59644b35b247"),
                    kept(61_914_312, "f0993dea3451082be0e2c780f68600b27688dbea364c7031ae77e16ab3f9ed8c"),
                ],
            },
        ],
    },
    // Convolutions; a client opens it to read its version. XLA was built with 9.12 and accepts no older one. `libcudnn_adv` (attention, recurrent
    // layers) is left out: no program of this library contains such a call, and no other part links it.
    Package {
        name: "nvidia-cudnn-cu13",
        version: "9.15.1.9",
        files: &[
            same("nvidia/cudnn/lib/libcudnn.so.9"),
            same("nvidia/cudnn/lib/libcudnn_graph.so.9"),
            same("nvidia/cudnn/lib/libcudnn_ops.so.9"),
            same("nvidia/cudnn/lib/libcudnn_cnn.so.9"),
            same("nvidia/cudnn/lib/libcudnn_heuristic.so.9"),
            same("nvidia/cudnn/lib/libcudnn_engines_precompiled.so.9"),
            same("nvidia/cudnn/lib/libcudnn_engines_runtime_compiled.so.9"),
        ],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_27_x86_64",
                sha256: "ebc9a647918df0d7298d67cfaf41579fd4c78ead9aba246f5ad9414d61b9ec4c",
                bytes: 351_298_418,
                kept: &[
                    kept(125_144, "7ee289e52563f78db59910fe9af6acb7b502d250ad4b7c2d3e4a0bc10616d456"),
                    kept(4_457_352, "e80f394870a8567fa421b7991ff3f3ab668dfba7d8705872f9ed11e3b36b448b"),
                    kept(37_758_712, "41beb128587b3ecb0b7f52b716ecdcfd52572953e956b3473f57ef4e811ec471"),
                    kept(4_204_152, "18d90cbbb52de316766c00bd77314f992b901809b535b221c7de08914b7c1c87"),
                    kept(56_629_720, "d1a7d1672d3a58d411ee3584073e23251c649e76809873e4311a8aa34056d0be"),
                    kept(234_908_152, "49b0c2627085e027948bd8660e2ca00ab8dad5e8dbce9a701b8063d94fc6f7cb"),
                    kept(27_290_312, "7bc19c4c54061bcc8c2eb19c0986b23933bfefa2aa53cec310d5cd304ca20471"),
                ],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_27_aarch64",
                sha256: "44cd2ec83c3ef62a7357614bd02ce7f3dac35ffcbb04ad20999e730741f0ba17",
                bytes: 415_636_241,
                kept: &[
                    kept(124_928, "08c7e4a6d2445dc7fece75c3c49f09eca922f5c24999ab52e8a24611a0a84a6a"),
                    kept(3_864_712, "b0834983671b6de4af4d48e7f5cb9bb9c0012947e9659deb11ed28a5d0ec5497"),
                    kept(40_708_960, "b28c20a65cea1cd4864f9385b4351d529c2507b59506a5e3737d175bd057af33"),
                    kept(2_436_528, "b1fdd23114163a4ef63a23c68ce489cd7e23401becab05b2b614caee98f519b6"),
                    kept(52_826_832, "40cfe616b4cf058771a30f7f5fde1397eccf9d6df8ba1852d700d273a726c728"),
                    kept(263_210_872, "886dbe1a16868e0dc50f0146f49ac99bb2d56cfe3a01abd5f5d9ec0273adfc1f"),
                    kept(24_921_624, "1a0024f40346314ab1947edc0d5c0a0963cb28c643a940e1d255cf4c9e9db46c"),
                ],
            },
        ],
    },
    // cuDNN and cuBLAS compile some of their kernels with it.
    Package {
        name: "nvidia-cuda-nvrtc",
        version: "13.0.88",
        files: &[same("nvidia/cu13/lib/libnvrtc-builtins.so.13.0"), same("nvidia/cu13/lib/libnvrtc.so.13")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_12_x86_64",
                sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
                bytes: 90_215_200,
                kept: &[
                    kept(4_380_616, "91dcd944d01da9c0f08fff5d779db136a47f6d62bdb63bae900d2f481e92c3a2"),
                    kept(109_338_064, "a49e67e8e74590f1e98de55c39c6287efd3f59e3c3797464d7bbe0fe01349b11"),
                ],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_17_aarch64",
                sha256: "d27f20a0ca67a4bb34268a5e951033496c5b74870b868bacd046b1b8e0c3267b",
                bytes: 43_015_449,
                kept: &[
                    kept(4_380_456, "84f1c5031bfe1146375b367b2c7fb8d31ea00430be7172177eeb5d04ab813b69"),
                    kept(99_505_944, "64db9c3fc128f4a57a22c314fda08831a8e3a725d439a70076a0fb98f7bea1b7"),
                ],
            },
        ],
    },
    // XLA links the kernels that it compiles in parallel.
    Package {
        name: "nvidia-nvjitlink",
        version: "13.0.88",
        files: &[same("nvidia/cu13/lib/libnvJitLink.so.13")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_12_x86_64",
                sha256: "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
                bytes: 40_713_933,
                kept: &[kept(98_806_736, "931347fa77d9fd5511059e04627f122b1ee33e409f22c3273ddddbe065713a3a")],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_17_aarch64",
                sha256: "e931536ccc7d467a98ba1d8b89ff7fa7f1fa3b13f2b0069118cd7f47bff07d0c",
                bytes: 38_768_748,
                kept: &[kept(89_258_944, "2ad249d2d60c87ea4941f5ce7ce1b06d4096032e95381c237f929cdaa5c7d5cc")],
            },
        ],
    },
    // Programs on several cards.
    Package {
        name: "nvidia-nccl-cu13",
        version: "2.28.9",
        files: &[same("nvidia/nccl/lib/libnccl.so.2")],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_18_x86_64",
                sha256: "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42",
                bytes: 196_493_177,
                kept: &[kept(217_995_896, "1c8618b866734cbdd5401715d6178be763ece283b7f808ecf86dedab211162c1")],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_18_aarch64",
                sha256: "01c873ba1626b54caa12272ed228dc5b2781545e0ae8ba3f432a8ef1c6d78643",
                bytes: 196_561_677,
                kept: &[kept(219_355_704, "ad593e48bb6240e88426297db30a2b04a43712ed479064ac0691e27f5d7f4a25")],
            },
        ],
    },
    // Profiles.
    Package {
        name: "nvidia-cuda-cupti",
        version: "13.0.85",
        files: &[
            same("nvidia/cu13/lib/libcupti.so.13"),
            same("nvidia/cu13/lib/libnvperf_host.so"),
            same("nvidia/cu13/lib/libnvperf_target.so"),
        ],
        python: None,
        wheels: &[
            Wheel {
                arch: "x86_64",
                tag: "manylinux_2_25_x86_64",
                sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
                bytes: 10_715_597,
                kept: &[
                    kept(4_152_208, "e2f9ed861fe27c492b8bb52b5e3220ef5120f3edcda36312e96b7fd8a186be3e"),
                    kept(32_405_040, "efac1e754623c6cf52dbd7748451b94c9dedcae0a54e4666ec5d22db60068db3"),
                    kept(5_304_944, "93ba51d66be962f38a6e6cbb25d587b40b8d2218b49ec619ebebbe8f4f4bf128"),
                ],
            },
            Wheel {
                arch: "aarch64",
                tag: "manylinux_2_25_aarch64",
                sha256: "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
                bytes: 10_310_827,
                kept: &[
                    kept(3_850_656, "a55e03ccab21830f5b9d1ca7a02ecd59c557e0d54c769a181ad1140a3cff8ac1"),
                    kept(31_998_144, "f86ee6074eb7bb6e0987b50cc73f57df9318d0dfe1a35164182c709fb62d7fc7"),
                    kept(5_127_544, "56a41e50ec880119cb48b96ab84f544450fb4476cfb6a8ed31297e75ed76cbba"),
                ],
            },
        ],
    },
];

/// A file that keeps its path.
const fn same(path: &'static str) -> (&'static str, &'static str) {
    (path, path)
}

const fn kept(bytes: u64, sha256: &'static str) -> Kept {
    Kept { bytes, sha256 }
}
