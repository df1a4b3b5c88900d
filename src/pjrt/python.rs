//! Runs the user's own `python3` such that nothing of the current folder runs with it, and nothing of it goes on after this process.

use std::path::Path;
use std::process::{Command, Stdio};

/// pip of the user's `python3`, run in `folder`, which must be empty of Python's files: what lies in the folder that it runs in, a
/// `pip.py` for example, Python may take for its own. `flag` is `-I` (nothing from outside of the Python installation: no
/// `PYTHONPATH`, no packages of the user's home) or `-E` (with those of the home).
pub fn pip(flag: &str, folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args([flag, "-m", "pip"]).current_dir(folder).stdin(Stdio::null());
    end_with_this_process(&mut command);
    command
}

/// How pip may be asked for, the strictest first: on some machines it is a package of the user's home.
pub const FLAGS: [&str; 2] = ["-I", "-E"];

/// Whether the user's `python3` has a pip.
pub fn has_pip() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let quiet = |mut command: Command| {
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    FLAGS.into_iter().any(|flag| quiet(pip(flag, folder.path())))
}

/// Runs a line of Python and gives what it prints. The folder is the root's: an entry of `PYTHONPATH` may be empty, which is the current
/// one.
pub fn printed_by(line: &str) -> String {
    let run =
        Command::new("python3").args(["-c", line]).current_dir("/").stdin(Stdio::null()).stderr(Stdio::null()).output();
    run.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// A command that is killed when this process ends, however that happens. Linux alone can do that.
fn end_with_this_process(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        use std::ffi::{c_int, c_ulong};
        use std::os::unix::process::CommandExt;

        /// `PR_SET_PDEATHSIG` of `sys/prctl.h`.
        const SIGNAL_OF_PARENTS_END: c_int = 1;
        const KILL: c_ulong = 9;
        unsafe extern "C" {
            fn prctl(option: c_int, ...) -> c_int;
            safe fn getppid() -> u32;
        }
        let this = std::process::id();
        let ask = move || {
            // SAFETY: the option takes one number.
            unsafe { prctl(SIGNAL_OF_PARENTS_END, KILL) };
            // Where this process ended before the call, no signal comes.
            match getppid() == this {
                true => Ok(()),
                false => Err(std::io::ErrorKind::Interrupted.into()),
            }
        };
        // SAFETY: between fork and exec, two system calls and nothing that allocates.
        unsafe { command.pre_exec(ask) };
    }
}
