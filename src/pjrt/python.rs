//! Runs the user's `python3`, isolated from the current folder; its processes end with this process.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// pip of the user's `python3`, run in `folder`, which must contain no Python files: Python may import modules from the current
/// folder, for example a `pip.py`. `flag` is `-I` (isolated: no `PYTHONPATH`, no packages from the user's home) or `-E` (with
/// packages from the home).
pub fn pip(flag: &str, folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args([flag, "-m", "pip"]).current_dir(folder).stdin(Stdio::null());
    command
}

/// The flags to try for pip, strictest first: on some machines pip is a package in the user's home.
pub const FLAGS: [&str; 2] = ["-I", "-E"];

/// Whether the user's `python3` has pip.
pub fn has_pip() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let quiet = |mut command: Command| {
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    FLAGS.into_iter().any(|flag| quiet(pip(flag, folder.path())))
}

/// Runs a line of Python and returns its output. Runs in `/` because an empty entry in `PYTHONPATH` means the current folder.
pub fn printed_by(line: &str) -> String {
    let run =
        Command::new("python3").args(["-c", line]).current_dir("/").stdin(Stdio::null()).stderr(Stdio::null()).output();
    run.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// A process and its children: `python3` may be a script that starts another process. They end when this is dropped or when this
/// process ends, in whatever way.
pub struct Running {
    child: Child,
    /// Waits for the end of this process, because a killed process cannot clean up. `None` where there is no `/bin/sh`.
    guard: Option<Child>,
}

/// Reads a process group number, waits until all writers of its input have closed it, and kills the group.
const GUARD: &str = "read group && while read more; do :; done; kill -s KILL -- \"-$group\" 2>/dev/null";

impl Running {
    /// Starts a command.
    pub fn start(mut command: Command) -> io::Result<Running> {
        let group = |command: &mut Command| {
            #[cfg(unix)]
            std::os::unix::process::CommandExt::process_group(command, 0);
        };
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", GUARD]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Separate process groups: Ctrl-C goes to this process, and they end with it.
        group(&mut guard);
        group(&mut command);
        let mut guard = if cfg!(unix) { guard.spawn().ok() } else { None };
        let child = command.spawn();
        if let (Some(input), Ok(child)) = (guard.as_mut().and_then(|guard| guard.stdin.as_mut()), &child) {
            drop(writeln!(input, "{}", child.id()).and_then(|()| input.flush()));
        }
        match child {
            Ok(child) => Ok(Running { child, guard }),
            Err(error) => {
                guard.into_iter().for_each(|mut guard| drop(guard.kill().and_then(|()| guard.wait())));
                Err(error)
            }
        }
    }

    /// The exit status, if the process has ended.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = matches!(self.child.try_wait(), Ok(Some(_)));
        if let Some(mut guard) = self.guard.take() {
            // The number of an ended group may have been reused.
            if ended {
                drop(guard.kill());
            }
            drop(guard.stdin.take());
            drop(guard.wait());
        }
        if !ended {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
