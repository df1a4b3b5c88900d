//! The libraries of NVIDIA's plugin: an installation has all that the plugin opens, and missing ones are named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use spiq::pjrt::{Place, Platform, Source, find, libraries};
use tempfile::TempDir;

use crate::skipped::skipped;

/// Names of libraries in the plugin, and those of them that no program of this library needs. Those of cuDNN's functions stand for its own,
/// which the plugin computes.
const NAMES: [&str; 9] =
    ["cudart", "cublas", "cublasLt", "nccl", "cupti", "nvJitLink", "cufft", "cusolver", "cusparse"];
const FUNCTION_OF_CUDNN: &str = "cudnnCreate";
const UNUSED: [&str; 3] = ["cufft", "cusolver", "cusparse"];
/// What cuDNN and cuBLAS open.
const OF_OTHERS: [&str; 3] = ["nvrtc", "nvrtc-builtins", "cudnn_graph"];

/// The folder of an installation with all libraries, and its plugin; reports the skip if there is none.
fn installed() -> Option<(PathBuf, PathBuf)> {
    let plugin = find(Platform::Cuda).filter(|found| found.source == Source::Cache)?.path;
    let all = libraries(&plugin);
    let folder = match &all.first()?.place {
        Place::Beside(folder) => folder.clone(),
        _ => return None,
    };
    let complete = all.iter().all(|one| one.place == Place::Beside(folder.clone()));
    complete.then_some((folder, plugin))
}

fn installed_or_skipped() -> Option<(PathBuf, PathBuf)> {
    let found = installed();
    if found.is_none() {
        skipped("there is no cuda plugin with libraries; `spiq plugin install cuda13` fetches it");
    }
    found
}

/// The libraries in an installation, with their folders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let lib = |name: &str| std::fs::read_dir(folder.join("nvidia").join(name).join("lib")).expect("a folder").flatten();
    ["cu13", "cudnn", "nccl"].into_iter().flat_map(lib).map(|entry| entry.path()).collect()
}

/// Those of some texts that end before a zero byte or, in a list of folders, before a colon.
fn found<'a>(bytes: &[u8], texts: &[&'a str]) -> BTreeSet<&'a str> {
    let pieces = bytes.split(|byte| matches!(byte, 0 | b':'));
    let ends =
        |piece: &'_ [u8]| texts.iter().filter(|text| piece.ends_with(text.as_bytes())).copied().collect::<Vec<_>>();
    pieces.flat_map(ends).collect()
}

#[test]
fn an_installation_has_every_library_that_the_plugin_names() {
    let Some((folder, plugin)) = installed_or_skipped() else { return };
    let bytes = std::fs::read(&plugin).expect("the plugin");
    let files = files(&folder);
    let has = |name: &str| {
        let start = format!("lib{name}.so");
        files.iter().any(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)))
    };
    for name in NAMES {
        assert_eq!(has(name), !UNUSED.contains(&name), "{name}");
    }
    assert!(has("cudnn") && OF_OTHERS.into_iter().all(has), "{files:?}");
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    let within = |lib: &Path| format!("$ORIGIN/../../{}", lib.strip_prefix(&folder).expect("within").display());
    let folders: Vec<String> = folders.into_iter().map(within).collect();
    assert_eq!(folders.len(), 3, "{folders:?}");
    let texts: Vec<&str> =
        NAMES.into_iter().chain([FUNCTION_OF_CUDNN]).chain(folders.iter().map(String::as_str)).collect();
    // If one is not found, the plugin has changed, and so may have what it opens.
    assert_eq!(found(&bytes, &texts), texts.iter().copied().collect());
}

/// A cache with parts of the installation, and the environment of a machine without Python.
struct Machine(TempDir);

impl Machine {
    fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().expect("a temporary folder"));
        std::fs::create_dir(machine.path("home")).expect("a folder");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts those files of an installation into the cache of this machine that `keep` selects by their path.
    fn install(&self, folder: &Path, keep: impl Fn(&str) -> bool) {
        let name = folder.file_name().expect("its name");
        let target = self.path("cache/plugins").join(name);
        for file in all_files(folder) {
            let part = file.strip_prefix(folder).expect("within");
            if keep(&part.to_string_lossy()) {
                let to = target.join(part);
                create_private(to.parent().expect("a folder"));
                std::fs::hard_link(&file, &to).or_else(|_| std::fs::copy(&file, &to).map(drop)).expect("a copy");
            }
        }
    }

    /// A library with the driver's name, so that libraries are looked for.
    fn add_driver(&self) {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("the mappings");
        let some =
            maps.lines().filter_map(|line| line.split_whitespace().last()).find(|path| path.contains("/libm.so"));
        std::fs::create_dir(self.path("driver")).expect("a folder");
        std::fs::copy(some.expect("libm is mapped"), self.path("driver/libcuda.so.1")).expect("a copy");
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        for name in ["SPIQ_PJRT_PLUGIN", "PJRT_NAMES_AND_LIBRARY_PATHS", "VIRTUAL_ENV", "CONDA_PREFIX"] {
            command.env_remove(name);
        }
        command.env("PATH", "/nowhere").env("HOME", self.path("home")).env("SPIQ_CACHE_DIR", self.path("cache"));
        command.env("LD_LIBRARY_PATH", self.path("driver"));
        command
    }

    fn output(&self, line: &str) -> String {
        let Output { stdout, stderr, .. } = self.command(line).output().expect("the command starts");
        String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
    }

    /// The libraries that the linker opens when a client is created, and the command's messages.
    fn opened(&self, change: impl Fn(&mut Command)) -> (BTreeSet<String>, String) {
        let mut command = self.command("inspect --stage hlo --device cuda --model model.toml");
        std::fs::create_dir_all(self.path("linker")).expect("a folder");
        std::fs::write(self.path("model.toml"), MODEL).expect("a file");
        command.env("LD_DEBUG", "libs").env("LD_DEBUG_OUTPUT", self.path("linker/libs"));
        change(&mut command);
        // Without a card it ends with an error, but its libraries are open by then.
        let said = command.output().expect("the command starts").stderr;
        let logs = std::fs::read_dir(self.path("linker")).expect("the folder").flatten();
        let text: String = logs.map(|log| std::fs::read_to_string(log.path()).expect("a log")).collect();
        let opened = text.lines().filter_map(|line| Some(line.split_once("calling init: ")?.1.trim().to_owned()));
        (opened.collect(), String::from_utf8_lossy(&said).into_owned())
    }
}

const MODEL: &str = r#"
name = "m"
layers = [{ type = "Linear", in_features = 4, out_features = 2 }, { type = "LI", layer_shape = 2 }]
"#;

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

fn create_private(folder: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).expect("folders");
}

fn is_library(file: &str) -> bool {
    file.contains("/lib/lib")
}

#[test]
fn missing_libraries_are_named() {
    let Some((folder, _)) = installed_or_skipped() else { return };
    let machine = Machine::new();
    machine.install(&folder, |file| !is_library(file) || file.contains("cudart") || file.contains("cudnn_ops"));
    let doctor = machine.output("doctor");
    let wanted = [
        "no NVIDIA driver",
        "libraries: nvidia-cuda-runtime: beside the plugin",
        "missing: libcublasLt.so.13, libcublas.so.13 (needed for all programs): run `spiq plugin install cuda13`",
        "missing: libnccl.so.2 (needed for programs on several cards)",
        "libcudnn_graph.so.9",
    ];
    assert!(wanted.iter().all(|words| doctor.contains(words)), "{doctor}");
    assert!(!doctor.contains("libcudnn_ops.so.9"), "{doctor}");
    assert!(!doctor.contains("libraries of the cuda plugin are missing"), "nothing to do without a driver: {doctor}");
    machine.add_driver();
    let doctor = machine.output("doctor");
    assert!(doctor.contains("libraries of the cuda plugin are missing (libcublasLt.so.13, "), "{doctor}");
    let command = machine.command("train --device cuda --out out").output().expect("the command starts");
    let said = String::from_utf8_lossy(&command.stderr);
    let sentence =
        "error: the cuda plugin lacks libraries of NVIDIA's: libcublasLt.so.13, libcublas.so.13, libcudnn.so.9,";
    assert!(said.contains(sentence) && said.contains("run `spiq plugin install cuda13`"), "{said}");
    assert_eq!(command.status.code(), Some(2));
}

/// Without a driver, the plugin opens the runtime by itself.
#[test]
fn the_plugin_finds_the_libraries_beside_it() {
    let Some((folder, _)) = installed_or_skipped() else { return };
    let machine = Machine::new();
    machine.install(&folder, |_| true);
    let (opened, _) = machine.opened(|_| {});
    let runtime = machine.path("cache/plugins").join(folder.file_name().expect("a name"));
    let runtime = runtime.join("nvidia/cu13/lib/libcudart.so.13").canonicalize().expect("a file");
    assert!(opened.iter().any(|path| Path::new(path).canonicalize().is_ok_and(|path| path == runtime)), "{opened:?}");
}

/// A Python environment with NVIDIA's packages, and a plugin without libraries.
#[test]
fn libraries_of_a_python_environment_are_opened() {
    let Some((folder, _)) = installed_or_skipped() else { return };
    let machine = Machine::new();
    machine.install(&folder, |file| !is_library(file));
    machine.add_driver();
    let site = machine.path("venv/lib/python3.12/site-packages");
    std::fs::create_dir_all(&site).expect("folders");
    std::os::unix::fs::symlink(folder.join("nvidia"), site.join("nvidia")).expect("a link");
    let doctor = machine.command("doctor").env("VIRTUAL_ENV", machine.path("venv")).output().expect("it starts");
    let doctor = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.contains(&format!("libraries: all: a Python package ({})", site.display())), "{doctor}");
    let (opened, said) = machine.opened(|command| {
        command.env("VIRTUAL_ENV", machine.path("venv"));
    });
    // The plugin's message if it looked for the runtime before it was opened.
    assert!(said.contains("No visible GPU devices") && !said.contains("cudart_stub"), "{said}");
    for name in ["cu13/lib/libcudart.so.13", "cu13/lib/libnvrtc-builtins.so.13.0", "cudnn/lib/libcudnn.so.9"] {
        let path = site.join("nvidia").join(name);
        assert!(opened.contains(&path.to_string_lossy().into_owned()), "{name}: {opened:?}");
    }
}
