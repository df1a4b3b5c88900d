//! XLA's options that every program of a platform is compiled with: all that change values or must be set, in this one place.
//! What single programs need besides is in their own options.
//!
//! | plugin | option | value | passed | reason |
//! |---|---|---|---|---|
//! | CPU | `xla_cpu_enable_fast_min_max` | `false` | with the program | XLA's default lets a maximum or minimum drop NaN; StableHLO and JAX, which switches it off, too, give NaN |
//! | CUDA | `xla_gpu_enable_fast_min_max` | `false` | with the program | the same |
//! | CUDA | `xla_gpu_cuda_data_dir` | beside the plugin | with the program | without NVIDIA's assembler and device library XLA compiles wrong code or crashes |
//! | CUDA | `xla_gpu_enable_command_buffer` | all kinds | with the program | loops and conditions become parts of CUDA graphs: a training step is one launch instead of thousands; values stay |
//! | CUDA | `xla_gpu_command_buffer_unroll_loops` | `true` | with the program | a graph takes in loops of a known length only so |
//! | CPU, CUDA | `xla_backend_extra_options` | `-disable-loop-idiom-hashrecognize` | with the program | LLVM's search for checksums in loops (HashRecognize) never ends on threefry, so on dropout and encoders |
//! | CUDA | `xla_backend_extra_options` | `-nvptx-prec-divf32=2` | with the program | XLA divides f32 approximately on NVIDIA cards; a scale off by one unit in the last place decides ties of rounding otherwise than the processor, and with them whole levels of weights; divisions in kernels that XLA makes through Triton stay approximate |
//!
//! In the programs that are known to have compiled without end, exact maxima alone keep LLVM from that search, too; both are set,
//! since nothing says that this holds for others.
//!
//! An option of the program's own [`CompileOptions`](super::CompileOptions) wins over the one here. Options for LLVM are a map, which
//! PJRT takes in its own way (`llvm`). Each is added to those that `XLA_FLAGS`, or a file that it names, gives LLVM, unless it is one of
//! them. All are a part of the compile cache's keys.
//!
//! Other options that change values have the same defaults in plugins and in JAX and are not set: `xla_cpu_enable_fast_math`
//! `false`, `xla_allow_excess_precision` `true` (results of bf16 may keep more bits between operations), `xla_gpu_ftz` `false`.

use super::abi::api::Value;
use super::abi::platform::Platform;

/// Where XLA finds NVIDIA's tools.
const CUDA_DIR: &str = "xla_gpu_cuda_data_dir";

/// Options for the back end's compiler, LLVM.
const LLVM: &str = "xla_backend_extra_options";

/// Names and values.
pub(super) type ForLlvm = &'static [(&'static str, &'static str)];

/// The same for all platforms: each ignores what it does not know.
const FOR_LLVM: ForLlvm = &[("-disable-loop-idiom-hashrecognize", ""), ("-nvptx-prec-divf32", "2")];

/// What CUDA graphs may hold.
const IN_GRAPHS: &str = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,WHILE,CONDITIONAL";

/// Options of each program of a platform. `cuda_dir` is where XLA finds NVIDIA's tools.
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

/// LLVM's options for each program of a platform.
pub(super) fn for_llvm(platform: Option<Platform>) -> ForLlvm {
    match platform {
        Some(Platform::Cpu | Platform::Cuda) => FOR_LLVM,
        _ => &[],
    }
}

/// What `XLA_FLAGS` would say for these options to be beside the user's `flags`.
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

/// Whether the user's flags name an option of LLVM's.
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
        let ours = "--xla_backend_extra_options=-disable-loop-idiom-hashrecognize,-nvptx-prec-divf32=2";
        assert_eq!(becomes(Platform::Cpu, ""), ours);
        assert_eq!(becomes(Platform::Cuda, "--xla_a=1"), format!("--xla_a=1 {ours}"));
        assert_eq!(becomes(Platform::Tpu, ""), "");
        for kept in
            ["flags.txt", "--xla_backend_extra_options=-x", "--xla_backend_extra_options=-nvptx-prec-divf32-not=2"]
        {
            assert_eq!(becomes(Platform::Cpu, kept), format!("{kept} {ours}"));
        }
        let own = "--xla_backend_extra_options=-x,-nvptx-prec-divf32=1";
        let all = format!("{own} --xla_backend_extra_options=-disable-loop-idiom-hashrecognize");
        assert_eq!(becomes(Platform::Cpu, own), all);
        assert_eq!(becomes(Platform::Cpu, ours), ours);
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
