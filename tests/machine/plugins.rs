//! Missing, broken or not yet installed plugins: each gives one clear sentence.

use std::path::{Path, PathBuf};

use crate::own_process::own_process;
use crate::skipped::skipped;
use spiq::ErrorKind;
use spiq::pjrt::{Client, Platform, Plugin, install, list};

#[track_caller]
fn refused(path: &Path, words: &str) {
    let error = Plugin::open(path).expect_err("not a plugin");
    assert_eq!(error.kind(), ErrorKind::Plugin, "{error}");
    let sentence = error.to_string();
    assert!(sentence.contains(words), "`{sentence}` does not say `{words}`");
    assert!(sentence.contains(&*path.to_string_lossy()) && !sentence.contains('\n'), "{sentence}");
}

/// A shared library that is not a plugin: this process's C library.
fn c_library() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.contains("/libc.so") || line.contains("/libc-"))?;
    line.split_whitespace().last().map(PathBuf::from)
}

#[test]
fn files_that_are_not_plugins() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    };
    refused(&folder.path().join("none.so"), "cannot read");
    refused(folder.path(), "is a folder");
    refused(&file("empty.so", b""), "is an empty file");
    if cfg!(target_os = "linux") {
        refused(&file("text.so", b"hello"), "is not a shared library");
        refused(&file("long.so", &[b'x'; 1000]), "is not a shared library");
        refused(&file("magic.so", b"\x7fELF"), "is not a shared library");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn libraries_that_are_not_plugins() {
    let Some(library) = c_library() else { return skipped("this process has no C library of its own") };
    refused(&library, "it has no GetPjrtApi");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (bytes, path) = (std::fs::read(&library).expect("the library"), folder.path().join("changed.so"));
    let mut of_other_machine = bytes.clone();
    // The machine field of the ELF header: 8 is MIPS.
    of_other_machine[18] = 8;
    std::fs::write(&path, of_other_machine).expect("a file");
    refused(&path, "machines, but this machine is");
    for size in [64, 100, 1000, bytes.len() / 2] {
        std::fs::write(&path, &bytes[..size]).expect("a file");
        let sentence = Plugin::open(&path).expect_err("cut short").to_string();
        assert!(sentence.contains("is cut short") || sentence.contains("is damaged"), "{sentence}");
    }
}

/// Runs one of the tests below in a process with other environment variables, and returns its output.
fn in_environment(test: &str, variables: &[(&str, &str)]) -> String {
    let mut command = own_process(module_path!(), test);
    for name in ["SPIQ_PJRT_PLUGIN", "PJRT_NAMES_AND_LIBRARY_PATHS", "TPU_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"]
    {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().expect("a process");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "a part of other tests"]
fn installs() {
    match install(Platform::Cpu, &mut |_| {}) {
        Ok(path) => println!("said: installed {}", path.display()),
        Err(error) => println!("said: {error}"),
    }
}

#[test]
#[ignore = "a part of other tests"]
fn opens() {
    for platform in Platform::ALL {
        match Client::open(platform) {
            Ok(client) => println!("said {platform}: {client:?}"),
            Err(error) => println!("said {platform}: {error}"),
        }
    }
    println!("said: {:?}", list());
}

#[track_caller]
fn says(output: &str, words: &str) {
    assert!(output.contains(words), "`{output}` does not say `{words}`");
}

#[test]
#[cfg(target_os = "linux")]
fn installing_without_python_or_network() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let cache_dir = ("SPIQ_CACHE_DIR", cache.path().to_str().expect("text"));
    says(&in_environment("installs", &[cache_dir, ("PATH", "/nowhere")]), "said: python3 is needed to fetch a plugin");
    // Nothing listens on the discard port.
    let (index, none) = ("http://127.0.0.1:9/simple", "");
    let offline = [
        cache_dir,
        ("PIP_CONFIG_FILE", "/dev/null"),
        ("PIP_INDEX_URL", index),
        ("PIP_EXTRA_INDEX_URL", none),
        ("PIP_FIND_LINKS", none),
    ];
    let output = in_environment("installs", &offline);
    says(
        &output,
        "said: cannot fetch the cpu plugin (xla-cpu-pjrt 0.0.1): there is no connection to the package index",
    );
    // No partial files are left.
    let left: Vec<_> =
        std::fs::read_dir(cache.path().join("plugins")).expect("the folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
#[cfg(target_os = "linux")]
fn plugins_that_variables_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache_dir = ("SPIQ_CACHE_DIR", folder.path().to_str().expect("text"));
    let named = in_environment("opens", &[cache_dir, ("SPIQ_PJRT_PLUGIN", "/no/such/file.so")]);
    says(&named, "said cpu: cannot read the PJRT plugin /no/such/file.so");
    says(&named, "(found through: SPIQ_PJRT_PLUGIN)");
    let of_jax = in_environment(
        "opens",
        &[cache_dir, ("PJRT_NAMES_AND_LIBRARY_PATHS", "cuda:/x/a.so"), ("TPU_LIBRARY_PATH", "/x/t.so")],
    );
    says(&of_jax, "said cuda: cannot read the PJRT plugin /x/a.so");
    says(&of_jax, "said tpu: cannot read the PJRT plugin /x/t.so");
    let nothing = in_environment("opens", &[cache_dir, ("PATH", "/nowhere"), ("HOME", "/nowhere")]);
    says(&nothing, "no cpu plugin is installed: run `spiq plugin install cpu` (");
}
