//! The builds of the CPU plugin, and plugins that cannot call spiq's kernels.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::supply::{LIBRARY_BYTES, Place};
use crate::skipped::skipped;

/// Libraries of the right size in the places of both builds: this program, padded with zeros. Only opening one compares checksums.
fn with_both_builds() -> Place {
    let place = Place::new("exit 1");
    let plugins = place.cache().join("plugins");
    for (file, size) in [
        ("xla-cpu-pjrt-0.0.1/xla_cpu_pjrt.so", LIBRARY_BYTES),
        ("lammps-jax-pjrt-cpu-0.11.2/pjrt_c_api_cpu_plugin.so", 201_600_336),
    ] {
        let file = plugins.join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
        std::fs::copy(std::env::current_exe().expect("this program"), &file).expect("a copy");
        File::options().write(true).open(&file).and_then(|file| file.set_len(size)).expect("its size");
    }
    for folder in ["", "xla-cpu-pjrt-0.0.1", "lammps-jax-pjrt-cpu-0.11.2"] {
        std::fs::set_permissions(plugins.join(folder), Permissions::from_mode(0o700)).expect("its mode");
    }
    place
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (status.code(), stdout, stderr)
}

/// The builds in the order in which `plugin list` prints them.
fn listed(place: &Place) -> Vec<String> {
    let (_, list, _) = output(&mut place.command("plugin list"));
    let builds = list.lines().filter_map(|line| line.split_once("installed by spiq, build ")?.1.split(' ').next());
    builds.map(str::to_owned).collect()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_chosen_build_comes_first() {
    let place = with_both_builds();
    assert_eq!(listed(&place), ["xla", "jaxlib-0.11"]);
    let refused = |file: &str, command: &str| {
        let said = place.refused("train --out out");
        assert!(
            said.contains(file) && said.contains(&format!("`spiq plugin install cpu{command}` replaces it")),
            "{said}"
        );
    };
    refused("xla_cpu_pjrt.so", "");
    std::fs::write(place.cache().join("plugins/cpu-build"), "jaxlib-0.11\n").expect("the choice");
    assert_eq!(listed(&place), ["jaxlib-0.11", "xla"]);
    refused("pjrt_c_api_cpu_plugin.so", " --build jaxlib-0.11");
    let (_, doctor, _) = output(&mut place.command("doctor"));
    assert!(doctor.contains("cpu (installed by spiq, build jaxlib-0.11)"), "{doctor}");
    assert!(doctor.contains("cpu (installed by spiq, build xla, not used"), "{doctor}");
    // Without its files, the other one is used.
    std::fs::remove_dir_all(place.cache().join("plugins/lammps-jax-pjrt-cpu-0.11.2")).expect("the build");
    refused("xla_cpu_pjrt.so", "");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn builds_are_fetched_by_name() {
    let place =
        Place::new("for one; do [ \"$l\" = --requirement ] && cat \"$one\" >> \"$PLACE/asked\"; l=$one; done; exit 1");
    let said = place.refused("plugin install cpu --build jaxlib-0.11");
    assert!(said.contains("cannot fetch the cpu plugin (lammps-jax-pjrt-cpu 0.11.2)"), "{said}");
    assert!(said.contains("run `spiq plugin install cpu --build jaxlib-0.11`"), "{said}");
    let asked = std::fs::read_to_string(place.path("asked")).expect("pip was called");
    let pinned = "1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1";
    assert_eq!(asked, format!("lammps-jax-pjrt-cpu==0.11.2 --hash=sha256:{pinned}\n"));
    // A failed installation chooses nothing.
    assert_eq!(place.plugins(), ["lock"]);
    // The default is installed without being asked for.
    assert!(place.refused("train --out out").contains("(xla-cpu-pjrt 0.0.1)"));
    let (code, wheels, _) = output(&mut place.command("plugin wheels cpu --build jaxlib-0.11"));
    assert!(code == Some(0) && wheels.ends_with(" lammps-jax-pjrt-cpu==0.11.2\n"), "{wheels}");
}

#[test]
fn builds_that_do_not_exist() {
    let place = Place::new("exit 1");
    let said = place.refused("plugin install cuda13 --build xla");
    assert!(said.contains("only cpu has several builds; leave out --build"), "{said}");
    let said = place.refused("plugin install cpu --build jaxlib-0.12");
    assert!(said.contains("'jaxlib-0.12'") && said.contains("[possible values: xla, jaxlib-0.11]"), "{said}");
    if cfg!(not(target_arch = "x86_64")) {
        let said = place.refused("plugin install cpu --build jaxlib-0.11");
        assert!(said.contains("there is no build jaxlib-0.11 of the cpu plugin for"), "{said}");
    }
    assert_eq!(place.calls(), "");
}

/// A build that is there already is chosen without a network, and the choice stays.
#[test]
#[cfg(target_arch = "x86_64")]
fn an_installed_build_is_chosen_again() {
    let installed = spiq::pjrt::cache_dir().expect("a cache folder").join("plugins/lammps-jax-pjrt-cpu-0.11.2");
    let file = installed.join("pjrt_c_api_cpu_plugin.so");
    if !file.is_file() {
        return skipped("the build jaxlib-0.11 is not installed");
    }
    let place = with_both_builds();
    let plugins = place.cache().join("plugins");
    let own = plugins.join("lammps-jax-pjrt-cpu-0.11.2/pjrt_c_api_cpu_plugin.so");
    std::fs::remove_file(&own).and_then(|()| std::fs::copy(&file, &own)).expect("a copy");
    for _ in 0..2 {
        let (code, said, error) = output(&mut place.command("plugin install cpu --build jaxlib-0.11"));
        assert_eq!(code, Some(0), "{error}");
        assert!(said.starts_with("the cpu plugin (build jaxlib-0.11) is installed: "), "{said}");
        assert_eq!(listed(&place), ["jaxlib-0.11", "xla"]);
    }
    let other = place.path("other_cpu.so");
    File::create(&other).expect("a file");
    let (_, _, note) = output(place.command("plugin install cpu --build jaxlib-0.11").env("SPIQ_PJRT_PLUGIN", &other));
    assert!(note.contains("SPIQ_PJRT_PLUGIN names another plugin, which is used instead: "), "{note}");
    assert_eq!(place.calls().lines().filter(|call| call.contains(" download ")).count(), 0);
}

/// The library of `other_calls`; `None` without a Rust compiler.
fn other_calls(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("libother_calls_cpu.so");
    let compiler = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/other_calls/lib.rs");
    let mut command = Command::new(compiler);
    command.args(["--edition", "2024", "--crate-type", "cdylib", "-o"]).arg(&library).arg(source);
    command.status().is_ok_and(|status| status.success()).then_some(library)
}

/// Such a plugin reports success for every registration: without a check, programs with kernels would not compile.
#[test]
fn a_plugin_that_cannot_call_kernels_runs_without() {
    let place = Place::new("exit 1");
    let Some(library) = other_calls(&place.path("")) else { return skipped("no rustc compiles the plugin") };
    let real = spiq::pjrt::Client::cpu().expect("the processor's plugin").plugin().path();
    let train = |out: &str, plugin: &Path| {
        let mut command = place.command("train --steps 3 --time-steps 4 --out");
        command.arg(out).env("SPIQ_PJRT_PLUGIN", plugin).env("REAL", real);
        command
    };
    let params = |out: &str| std::fs::read(place.path(out).join("params.safetensors")).expect("parameters");
    let (code, _, said) = output(train("plain", real).env("SPIQ_NO_KERNELS", "1"));
    assert_eq!(code, Some(0), "{said}");
    for (calls, why) in [
        ("none", "it has no foreign functions"),
        ("1.0", "its foreign functions have version 1.0; spiq's kernels need 0.1 or a later 0.x"),
    ] {
        let (code, _, said) = output(train(calls, &library).env("CALLS", calls));
        assert_eq!(code, Some(0), "{said}");
        let lines = said.lines().filter(|line| line.contains("without spiq's kernels"));
        let expected = format!(
            "the plugin {} runs programs without spiq's kernels, slower, with other last bits: {why}",
            library.display()
        );
        assert_eq!(lines.collect::<Vec<_>>(), [expected], "{said}");
        assert!(params(calls) == params("plain"), "{calls}: other bits than those of XLA's loops");
    }
    let (_, _, said) = output(train("quiet", &library).env("CALLS", "none").env("SPIQ_NO_KERNELS", "1"));
    assert!(!said.contains("kernels"), "nobody asked for kernels: {said}");
}
