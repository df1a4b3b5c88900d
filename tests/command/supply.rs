//! Third-party programs and files that the command runs: pip, packages, plugins. Each test has its own fake `python3`.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::skipped::skipped;

/// File sizes for this platform and architecture, from the pinned packages.
const WHEEL_BYTES: u64 = if cfg!(target_arch = "x86_64") { 63_461_052 } else { 49_514_947 };
pub const LIBRARY_BYTES: u64 = if cfg!(target_arch = "x86_64") { 259_284_552 } else { 200_328_224 };
const INSTALL: &str = "plugin install cpu";
const MODEL: &str = r#"
name = "m"
layers = [{ type = "Linear", in_features = 4, out_features = 2 }, { type = "LI", layer_shape = 2 }]
"#;

/// A working folder with a `python3` in `bin`, and an empty cache.
pub struct Place(TempDir);

impl Place {
    /// `python` is the script run as `python3`; it receives the folder in `$PLACE` and pip's `--dest` in `$dest`.
    pub fn new(python: &str) -> Place {
        let place = Place(tempfile::tempdir().expect("a temporary folder"));
        let script = format!(
            "#!/bin/sh\necho \"$PWD $@\" >> \"$PLACE/calls\"\nfor one; do [ \"$last\" = --dest ] && dest=$one; last=$one; done\n{python}\n"
        );
        std::fs::create_dir(place.path("bin")).expect("a folder");
        let path = place.path("bin/python3");
        std::fs::write(&path, script).expect("a script");
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        command.env("PATH", path).env("PLACE", self.0.path()).env("SPIQ_CACHE_DIR", self.cache());
        for name in ["SPIQ_PJRT_PLUGIN", "PJRT_NAMES_AND_LIBRARY_PATHS", "VIRTUAL_ENV", "CONDA_PREFIX", "PIP_INDEX_URL"]
        {
            command.env_remove(name);
        }
        command.env("HOME", self.0.path());
        command
    }

    /// Runs a command line that must fail with one line, and returns that line.
    #[track_caller]
    pub fn refused(&self, line: &str) -> String {
        let Output { status, stderr, .. } = self.command(line).output().expect("the command starts");
        let said = String::from_utf8(stderr).expect("UTF-8");
        assert_eq!(status.code(), Some(2), "{said}");
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && said.ends_with(&format!("{}\n", errors[0])), "{said}");
        said
    }

    /// The calls of `python3`, with their working folders.
    pub fn calls(&self) -> String {
        std::fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    /// The entries of the plugin folder.
    pub fn plugins(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.cache().join("plugins")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

/// Waits until a condition holds.
#[track_caller]
fn soon(what: &str, is_true: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not yet: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_of_the_current_folder_is_run() {
    // The machine's own python3, if any; nothing listens on the discard port.
    let place = Place::new("exit 1");
    std::fs::remove_file(place.path("bin/python3")).expect("the script");
    for module in ["pip.py", "site.py", "sitecustomize.py", "sys.py"] {
        std::fs::write(place.path(module), "open('RAN', 'w')\n").expect("a file");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for line in [INSTALL, "doctor", "plugin list", "plugin install cpu --index http://127.0.0.1:9/simple"] {
        let mut command = place.command(line);
        command.env("PATH", &path).env("PYTHONPATH", ":").env("PIP_CONFIG_FILE", "/dev/null");
        command.env("PIP_INDEX_URL", "http://127.0.0.1:9/simple").env("PIP_FIND_LINKS", "").env("PIP_RETRIES", "0");
        let output = command.output().expect("the command starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(if line.contains("install") { 2 } else { 0 }), "{line}: {said}");
        assert!(!place.path("RAN").exists(), "{line} ran a file of the current folder");
    }
}

#[test]
fn pip_is_called_apart_and_told_of_mirrors() {
    let place = Place::new("exit 1");
    place.refused(INSTALL);
    let own = place.0.path().canonicalize().expect("the folder");
    let call = place.calls();
    let (folder, arguments) = call.trim().split_once(' ').expect("a call");
    assert!(arguments.starts_with("-I -m pip download ") && !arguments.contains("--index-url"), "{call}");
    assert!(Path::new(folder).starts_with(own.join("cache/plugins")), "{call}");

    let mut command = place.command(INSTALL);
    command.env("PIP_INDEX_URL", "https://mirror.example/a").output().expect("the command starts");
    assert!(place.calls().lines().last().expect("a call").contains("--index-url https://mirror.example/a"));
    let mut command = place.command("plugin install cpu --index https://mirror.example/b");
    command.env("PIP_INDEX_URL", "https://mirror.example/a").output().expect("the command starts");
    let call = place.calls().lines().last().expect("a call").to_owned();
    assert!(call.contains("--index-url https://mirror.example/b") && !call.contains("example/a"), "{call}");
    place.refused("plugin install cpu --index https://mirror.example/b --from a.whl");
}

/// On some machines pip is installed in the user's home, which `-I` ignores.
#[test]
fn pip_of_the_users_home_is_found() {
    let place = Place::new(
        "[ \"$1\" = -I ] && { echo /usr/bin/python3: No module named pip >&2; exit 1; }\necho ERROR: reached >&2; exit 1",
    );
    assert!(place.refused(INSTALL).contains("pip says `ERROR: reached`"));
    let place = Place::new("echo /usr/bin/python3: No module named pip >&2; exit 1");
    assert!(place.refused(INSTALL).contains("python3 has no pip; install it"));
    assert_eq!(place.calls().lines().count(), 2);
}

#[test]
fn what_pip_leaves_is_not_believed() {
    let wheel = "truncate -s SIZE \"$dest/xla_cpu_pjrt-0.0.1-py3-none-any.whl\"; exit 0";
    for (size, expected) in [(1000, "it has 1000 bytes, not"), (WHEEL_BYTES, "its sha256 is ")] {
        let place = Place::new(&wheel.replace("SIZE", &size.to_string()));
        let said = place.refused(INSTALL);
        assert!(said.contains(expected) && said.contains("it was not unpacked"), "{said}");
        assert_eq!(place.plugins(), ["lock"]);
        // Nor by a command that installs the plugin implicitly.
        assert!(
            place.refused("inspect --target cpu").contains("--model")
                || place.refused("train --out out").contains(expected)
        );
        assert!(!place.path("out").exists());
    }
    assert!(Place::new("exit 0").refused(INSTALL).contains("pip downloaded nothing"));
}

#[test]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn the_packages_of_cuda_and_their_sizes_are_printed() {
    let place = Place::new("exit 1");
    let said = place.refused("plugin install cuda13");
    let first = said.lines().next().expect("a line");
    assert!(first.starts_with("10 packages: 1.") && first.ends_with(" GB on disk"), "{said}");
    assert!(said.contains("(nvidia-cuda-cupti 13.0.85)"), "the plugin comes last: {said}");
    assert_eq!(place.calls().lines().filter(|call| call.contains(" download ")).count(), 1, "{}", place.calls());
    assert_eq!(place.plugins(), ["lock"]);
    let said = place.refused("plugin install cuda13 --compiler-only");
    assert!(said.starts_with("3 packages: 2") && said.contains(" MB to download, 4"), "{said}");
    assert!(place.refused("plugin install cpu --compiler-only").contains("only cuda13 has libraries"));
    let lines = |line: &str| {
        let output = place.command(line).output().expect("the command starts");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (all, few) = (lines("plugin wheels cuda13"), lines("plugin wheels cuda13 --compiler-only"));
    assert_eq!((all.len(), few.len()), (10, 3));
    assert!(all.starts_with(&few) && all.iter().any(|line| line.ends_with(" nvidia-cudnn-cu13==9.15.1.9")), "{all:?}");
}

#[test]
fn pip_ends_with_the_command_that_is_killed() {
    // On some machines `python3` is a script that starts another one.
    let place = Place::new("sleep 600 & echo $! > \"$PLACE/pid.new\"; mv \"$PLACE/pid.new\" \"$PLACE/pid\"; wait");
    let mut killed = place.command(INSTALL).stderr(Stdio::null()).spawn().expect("the command starts");
    soon("pip runs", || place.path("pid").exists());
    let pid = std::fs::read_to_string(place.path("pid")).expect("a number").trim().to_owned();
    killed.kill().and_then(|()| killed.wait()).expect("SIGKILL");
    // The process that adopts the orphan may leave it as a zombie.
    let lives = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
    soon("pip has ended", || !lives());
    assert!(
        place.plugins().iter().any(|name| name.starts_with(".installing-")),
        "it was killed before it could clean up"
    );
    // The next run removes the leftovers.
    std::fs::write(place.path("bin/python3"), "#!/bin/sh\nexit 1\n").expect("a script");
    place.refused(INSTALL);
    assert_eq!(place.plugins(), ["lock"]);
}

#[test]
fn a_wait_for_anothers_installation_is_said() {
    let place = Place::new("exit 1");
    std::fs::create_dir_all(place.cache().join("plugins")).expect("a folder");
    std::fs::set_permissions(place.cache(), Permissions::from_mode(0o700)).expect("its mode");
    std::fs::set_permissions(place.cache().join("plugins"), Permissions::from_mode(0o700)).expect("its mode");
    let lock = File::create(place.cache().join("plugins/lock")).expect("a file");
    lock.lock().expect("nobody else holds it");
    let said = place.path("said");
    let mut waiting = place
        .command("train --out out")
        .stderr(File::create(&said).expect("a file"))
        .spawn()
        .expect("the command starts");
    soon("it says so", || {
        std::fs::read_to_string(&said).is_ok_and(|said| said == "waiting for another process that installs a plugin\n")
    });
    assert!(!place.calls().contains(" download "), "it did not wait");
    drop(lock);
    assert_eq!(waiting.wait().expect("an end").code(), Some(2));
}

#[test]
fn a_cache_that_others_may_write_to_is_refused() {
    let place = Place::new("exit 1");
    for (folder, mode) in [("cache", 0o777), ("cache/plugins", 0o775), ("cache/executables", 0o1777)] {
        std::fs::create_dir_all(place.path(folder)).expect("a folder");
        std::fs::set_permissions(place.path(folder), Permissions::from_mode(mode)).expect("its mode");
        for line in [INSTALL, "train --out out"] {
            // Installation does not use the folder of compiled programs.
            if (folder, line) != ("cache/executables", INSTALL) {
                let said = place.refused(line);
                assert!(said.contains("others may write to") && said.contains("chmod -R go-w"), "{said}");
            }
        }
        let doctor = place.command("doctor").output().expect("the command starts");
        assert!(String::from_utf8_lossy(&doctor.stdout).contains("chmod -R go-w"));
        std::fs::set_permissions(place.path(folder), Permissions::from_mode(0o755)).expect("its mode");
    }
    assert!(place.calls().lines().all(|call| !call.contains(" download ")), "{}", place.calls());
}

#[test]
fn a_changed_library_is_not_opened() {
    let place = Place::new("exit 1");
    let installed = place.cache().join("plugins/xla-cpu-pjrt-0.0.1/xla_cpu_pjrt.so");
    let folder = installed.parent().expect("a folder");
    std::fs::create_dir_all(folder).expect("folders");
    for folder in folder.ancestors().take(3) {
        std::fs::set_permissions(folder, Permissions::from_mode(0o700)).expect("its mode");
    }
    // A library of the right size: this executable, padded with zeros.
    std::fs::copy(std::env::current_exe().expect("this program"), &installed).expect("a copy");
    let file = File::options().write(true).open(&installed).expect("the copy");
    assert!(file.metadata().expect("a file").len() < LIBRARY_BYTES);
    file.set_len(LIBRARY_BYTES).expect("its size");
    let said = place.refused("train --out out");
    assert!(said.contains("the sha256 of") && said.contains("`spiq plugin install cpu` replaces it"), "{said}");
    assert!(!folder.join(".verified").exists() && !place.path("out").exists());
    // The same if the plugin folder is a link.
    let elsewhere = place.path("elsewhere");
    std::fs::rename(place.cache().join("plugins"), &elsewhere).expect("another place");
    std::os::unix::fs::symlink(&elsewhere, place.cache().join("plugins")).expect("a link");
    assert!(place.refused("train --out out").contains("the sha256 of"));
    // The same file, named by a variable.
    let named =
        place.command("train --out out").env("SPIQ_PJRT_PLUGIN", &installed).output().expect("the command starts");
    let said = String::from_utf8_lossy(&named.stderr);
    assert!(named.status.code() == Some(2) && said.contains("the sha256 of"), "{said}");
    // Installation would replace it, but there is no pip here.
    assert!(place.refused(INSTALL).contains("cannot fetch the cpu plugin"));
}

#[test]
fn a_plugin_of_an_environment_is_named_once() {
    let place = Place::new("exit 1");
    let found = spiq::pjrt::Client::cpu().expect("the processor's plugin").plugin().path();
    let command = || {
        let mut command = place.command("inspect --model model.toml --stage hlo");
        command.env("SPIQ_PJRT_PLUGIN", found);
        command
    };
    std::fs::write(place.path("model.toml"), MODEL).expect("a file");
    let output = command().output().expect("the command starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let line = format!("plugin for cpu: {} (named by SPIQ_PJRT_PLUGIN)", found.display());
    assert_eq!(said.lines().filter(|one| *one == line).count(), 1, "{said}");
}

/// Untrusted files that may never end, or may be arbitrarily long.
#[test]
fn what_need_not_end_is_not_read() {
    let place = Place::new("exit 1");
    let made = Command::new("mkfifo").arg(place.path("pipe")).status().expect("mkfifo");
    assert!(made.success());
    // Sparse files take no disk space.
    File::create(place.path("long.toml")).and_then(|file| file.set_len(1 << 40)).expect("a file");
    File::create(place.path("long.safetensors")).and_then(|file| file.set_len(1 << 40)).expect("a file");
    std::fs::write(place.path("m.toml"), MODEL).expect("a file");
    for path in ["/dev/zero", "pipe", "."] {
        for line in [
            "train --out out --model PATH",
            "train --out out --rules PATH",
            "train --out out --data PATH",
            "train --out out --init PATH",
            "sweep --out out --space PATH",
            "data info PATH",
            "inspect --stage trace --model PATH",
            "predict --model m.toml --params PATH --data m.toml --output p.safetensors",
            "plugin install cpu --from PATH",
        ] {
            // Folders of recordings are valid data.
            if path != "." || !line.contains("data") {
                let said = place.refused(&line.replace("PATH", path));
                assert!(
                    said.contains("is not a regular file") || path == "." && said.contains("folder"),
                    "{line}: {said}"
                );
            }
        }
    }
    for line in [
        "train --out out --model long.toml",
        "inspect --stage trace --model long.toml",
        "sweep --out out --space long.toml",
    ] {
        assert!(place.refused(line).contains("larger than 64 MiB, too large for a text file"), "{line}");
    }
    let said = place.refused("train --out out --data long.safetensors");
    assert!(said.contains("is not a usable safetensors file"), "{said}");
    assert!(!place.path("out").exists());
}

/// If XLA cannot write its program, it continues and leaves an empty or partial file.
#[test]
fn a_full_disk_for_what_xla_writes_is_said() {
    let place = Place::new("exit 1");
    let found = spiq::pjrt::Client::cpu().expect("the processor's plugin").plugin().path();
    std::fs::write(place.path("small.toml"), MODEL).expect("a file");
    // XLA writes more than a megabyte for this one.
    let layer = r#"{ type = "Linear", in_features = 2, out_features = 2 }, "#;
    let deep = format!("name = \"m\"\nlayers = [{}{{ type = \"LI\", layer_shape = 2 }}]", layer.repeat(200));
    std::fs::write(place.path("deep.toml"), deep).expect("a file");
    std::fs::create_dir(place.path("full")).expect("a folder");
    // A separate disk, which disappears with the process.
    let on_a_disk_of = |size: &str, model: &str| {
        let script = format!(
            "mount -t tmpfs -o size={size} none full && exec {} inspect --model {model}.toml --stage hlo",
            env!("CARGO_BIN_EXE_spiq")
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", &script]).current_dir(place.0.path());
        command.env("TMPDIR", place.path("full")).env("SPIQ_PJRT_PLUGIN", found).env("SPIQ_CACHE_DIR", place.cache());
        command.output().expect("unshare")
    };
    let roomy = on_a_disk_of("64m", "small");
    if !roomy.status.success() {
        return skipped("no disk can be mounted here");
    }
    assert!(String::from_utf8_lossy(&roomy.stdout).starts_with("HloModule"));
    for (size, model, expected) in
        [("64k", "small", "there is no room in"), ("1100k", "deep", "did not write its program in full")]
    {
        let output = on_a_disk_of(size, model);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{size}: {said}");
        let error = said.lines().last().unwrap_or_default();
        assert!(error.starts_with("error: ") && error.contains(expected) && error.contains("TMPDIR"), "{size}: {said}");
    }
}
