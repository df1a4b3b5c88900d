//! Runs the user's own `python3` such that nothing of the current folder runs with it, and nothing of it goes on after this process.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// pip of the user's `python3`, run in `folder`, which must be empty of Python's files: what lies in the folder that it runs in, a
/// `pip.py` for example, Python may take for its own. `flag` is `-I` (nothing from outside of the Python installation: no
/// `PYTHONPATH`, no packages of the user's home) or `-E` (with those of the home).
pub fn pip(flag: &str, folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args([flag, "-m", "pip"]).current_dir(folder).stdin(Stdio::null());
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

/// A process and those that it starts: `python3` may be a script that starts another one. They end with this process, however it
/// ends, or when this is dropped.
pub struct Running {
    child: Child,
    /// Waits for the end of this process, since one that is killed can do nothing more. There is none where there is no `/bin/sh`.
    guard: Option<Child>,
}

/// Reads the number of a group of processes, waits until nobody can write to its input, and ends the group.
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
        // In groups of their own: Ctrl-C is for this process, whose end is theirs.
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

    /// How it ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = matches!(self.child.try_wait(), Ok(Some(_)));
        if let Some(mut guard) = self.guard.take() {
            // A group that has ended has given its number back.
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
