//! The XLA options for every program of a platform: all those that change values or must be set are defined here.
//! Options for single programs are in their own [`CompileOptions`](super::CompileOptions).
//!
//! | plugin | option | value | passed | reason |
//! |---|---|---|---|---|
//! | CPU | `xla_cpu_enable_fast_min_max` | `false` | with the program | by default XLA's maximum and minimum may drop NaN; StableHLO and JAX, which also disables this, return NaN |
//! | CPU | `xla_cpu_experimental_ynn_fusion_type` | the plugin's own without reductions | with the program | newer plugins compute reductions with YNNPACK, whose maxima of long rows drop NaN whatever the option above |
//! | CUDA | `xla_gpu_enable_fast_min_max` | `false` | with the program | the same |
//! | CUDA | `xla_gpu_cuda_data_dir` | next to the plugin | with the program | without NVIDIA's assembler and device library XLA compiles wrong code or crashes |
//! | CUDA | `xla_gpu_enable_command_buffer` | all kinds but conditionals | with the program | loops become parts of CUDA graphs: a training step is one launch instead of thousands; values are unchanged |
//! | CUDA | `xla_gpu_command_buffer_unroll_loops` | `true` | with the program | required for graphs to include loops of a known length |
//! | CPU, CUDA | `xla_backend_extra_options` | `-disable-loop-idiom-hashrecognize` | with the program | LLVM's search for checksums in loops (HashRecognize) never terminates on threefry, which dropout and encoders use |
//! | CUDA | `xla_backend_extra_options` | `-nvptx-prec-divf32=2` | with the program | XLA divides f32 approximately on NVIDIA cards; a scale that is off by one ulp breaks rounding ties differently from the CPU, which shifts weights by a whole quantization level; divisions in the kernels that XLA generates through Triton remain approximate |
//!
//! In the programs known to compile forever, exact maxima alone also keep LLVM from that search; both options are set because
//! nothing guarantees this for other programs.
//!
//! An option in the program's [`CompileOptions`](super::CompileOptions) overrides the one here. LLVM options are a map, which PJRT takes
//! in a different way (see `llvm`). Each is added to the LLVM options from `XLA_FLAGS`, or from the file that it names, unless it is already
//! there. All but the operations for YNNPACK, which are the same in all programs of a version of spiq, are part of the compile cache's keys.
//!
//! Other options that change values have the same defaults in plugins and in JAX and are not set: `xla_cpu_enable_fast_math`
//! `false`, `xla_allow_excess_precision` `true` (results of bf16 may keep more bits between operations), `xla_gpu_ftz` `false`.

use super::abi::api::Value;
use super::abi::platform::Platform;

/// The folder where XLA finds NVIDIA's tools.
const CUDA_DIR: &str = "xla_gpu_cuda_data_dir";

/// The kinds of operations that XLA:CPU passes to YNNPACK: a list, which options by name cannot shorten.
const YNN: &str = "xla_cpu_experimental_ynn_fusion_type";

/// Its number in `xla.DebugOptions`, and that of reductions in the list (`LIBRARY_FUSION_TYPE_REDUCE`).
const YNN_REDUCTIONS: (u64, u64) = (422, 3);

/// A list among the plugin's own options and the number to remove from it, unless the user's `XLA_FLAGS` set the list.
pub(super) fn removed(platform: Option<Platform>, user: &str) -> Option<(u64, u64)> {
    (platform == Some(Platform::Cpu) && !user.contains(YNN)).then_some(YNN_REDUCTIONS)
}

/// Options for LLVM, the backends' compiler.
const LLVM: &str = "xla_backend_extra_options";

/// Names and values.
pub(super) type ForLlvm = &'static [(&'static str, &'static str)];

/// Only options that the platform's LLVM knows: CPU plugins built without NVIDIA's back end end the process at an unknown one.
const FOR_CPU: ForLlvm = &[("-disable-loop-idiom-hashrecognize", "")];
const FOR_CUDA: ForLlvm = &[FOR_CPU[0], ("-nvptx-prec-divf32", "2")];

/// The operations allowed in CUDA graphs. Not conditionals: a loop with one inside fails when it runs (`CUDA_ERROR_NOT_SUPPORTED`).
const IN_GRAPHS: &str = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,WHILE";

/// Options of each program of a platform. `cuda_dir` is the folder where XLA finds NVIDIA's tools.
pub(super) fn of_programs(platform: Option<Platform>, cuda_dir: Option<&str>) -> Vec<(String, Value)> {
    let cuda_dir = cuda_dir.map(|dir| (CUDA_DIR.to_owned(), Value::Text(dir.to_owned())));
    let keep_nan = |name: &str| (name.to_owned(), Value::Bool(false));
    match platform {
        Some(Platform::Cpu) => vec![keep_nan("xla_cpu_enable_fast_min_max")],
        Some(Platform::Cuda) => {
            let graphs = [
                ("xla_gpu_enable_command_buffer".to_owned(), Value::Text(IN_GRAPHS.to_owned())),
                ("xla_gpu_command_buffer_unroll_loops".to_owned(), Value::Bool(true)),
            ];
            cuda_dir.into_iter().chain([keep_nan("xla_gpu_enable_fast_min_max")]).chain(graphs).collect()
        }
        Some(Platform::Tpu) | None => Vec::new(),
    }
}

/// LLVM options of each program of a platform.
pub(super) fn for_llvm(platform: Option<Platform>) -> ForLlvm {
    match platform {
        Some(Platform::Cpu) => FOR_CPU,
        Some(Platform::Cuda) => FOR_CUDA,
        _ => &[],
    }
}

/// The value of `XLA_FLAGS` that adds these options to the user's `flags`.
pub(super) fn as_xla_flags(flags: &str, options: ForLlvm) -> String {
    let option = |(name, value): &(&str, &str)| match value.is_empty() {
        true => (*name).to_owned(),
        false => format!("{name}={value}"),
    };
    let missing: Vec<String> = options.iter().filter(|(name, _)| !of_user(flags, name)).map(option).collect();
    match missing[..] {
        [] => flags.to_owned(),
        _ => {
            let separator = if flags.is_empty() { "" } else { " " };
            format!("{flags}{separator}--{LLVM}={}", missing.join(","))
        }
    }
}

/// Whether the user's flags set this LLVM option.
fn of_user(flags: &str, name: &str) -> bool {
    let lists =
        flags.split_whitespace().filter_map(|flag| flag.trim_start_matches('-').strip_prefix(LLVM)?.strip_prefix('='));
    lists.flat_map(|list| list.split(',')).any(|option| option.split('=').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn becomes(platform: Platform, flags: &str) -> String {
        as_xla_flags(flags, for_llvm(Some(platform)))
    }

    #[test]
    fn the_users_own_flags_stay() {
        let hash = "--xla_backend_extra_options=-disable-loop-idiom-hashrecognize";
        let ours = format!("{hash},-nvptx-prec-divf32=2");
        assert_eq!(becomes(Platform::Cpu, ""), hash);
        assert_eq!(becomes(Platform::Cuda, ""), ours);
        assert_eq!(becomes(Platform::Cuda, "--xla_a=1"), format!("--xla_a=1 {ours}"));
        assert_eq!(becomes(Platform::Tpu, ""), "");
        for kept in
            ["flags.txt", "--xla_backend_extra_options=-x", "--xla_backend_extra_options=-nvptx-prec-divf32-not=2"]
        {
            assert_eq!(becomes(Platform::Cuda, kept), format!("{kept} {ours}"));
        }
        let own = "--xla_backend_extra_options=-x,-nvptx-prec-divf32=1";
        assert_eq!(becomes(Platform::Cuda, own), format!("{own} {hash}"));
        assert_eq!(becomes(Platform::Cuda, &ours), ours);
        assert_eq!(becomes(Platform::Cpu, hash), hash);
    }

    #[test]
    fn each_platform_has_its_own() {
        let cuda =
            ["xla_gpu_enable_fast_min_max", "xla_gpu_enable_command_buffer", "xla_gpu_command_buffer_unroll_loops"];
        let names = |platform, dir| of_programs(platform, dir).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(Some(Platform::Cpu), Some("/x")), ["xla_cpu_enable_fast_min_max"]);
        assert_eq!(names(Some(Platform::Cuda), Some("/x")), [&[CUDA_DIR], &cuda[..]].concat());
        assert_eq!(names(Some(Platform::Cuda), None), cuda);
        assert!(names(Some(Platform::Tpu), None).is_empty());
    }
}
