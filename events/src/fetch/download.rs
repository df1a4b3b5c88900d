//! Downloads one address to one file, resuming at the file's end.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Said, Step};
use crate::error::{Error, Result};

/// curl's exit code if the server does not support ranges.
const NO_RANGES: i32 = 33;
/// curl's exit code if the server refuses, for example because no bytes follow the end of the file.
const REFUSED: i32 = 22;

/// Downloads the missing rest of a file. A failure keeps the bytes received so far.
pub fn to(path: &Path, url: &str, said: &mut Said) -> Result<()> {
    let begun = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let failed = match attempt(path, url, begun, said)? {
        Outcome::Done => return Ok(()),
        // Restarts if the server cannot resume or has nothing after that offset.
        Outcome::Failed(NO_RANGES | REFUSED, _) if begun > 0 => match attempt(path, url, 0, said)? {
            Outcome::Done => return Ok(()),
            Outcome::Failed(_, message) => message,
        },
        Outcome::Failed(_, message) => message,
    };
    let kept = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let goes_on = match kept {
        0 => String::new(),
        kept => format!("; {kept} bytes are kept, fetch it again to resume"),
    };
    Err(Error::input(format!("cannot download {url}: {failed}{goes_on}")))
}

enum Outcome {
    Done,
    /// curl's exit code and message.
    Failed(i32, String),
}

/// Pipes the bytes through this process, so that curl ends with it.
fn attempt(path: &Path, url: &str, begun: u64, said: &mut Said) -> Result<Outcome> {
    let cannot = |cause| Error::file("write", path, cause);
    let head = tempfile::NamedTempFile::new().map_err(cannot)?;
    let mut child = start(url, begun, head.path())?;
    let mut out = child.stdout.take().expect("it is piped");
    let (mut file, mut done, mut buffer) = (None, begun, vec![0; 1 << 16]);
    let mut total = None;
    loop {
        let count = out.read(&mut buffer).map_err(|cause| Error::file("download to", path, cause))?;
        if count == 0 {
            break;
        }
        if file.is_none() {
            // Opened at the first bytes: an earlier failure leaves the file unchanged.
            let options = || OpenOptions::new().append(true).open(path);
            file = Some(if begun > 0 { options() } else { File::create(path) }.map_err(cannot)?);
            total = length(head.path()).map(|length| begun + length);
        }
        file.iter_mut().try_for_each(|file| file.write_all(&buffer[..count])).map_err(cannot)?;
        done += count as u64;
        said(Step::Download, done, total);
    }
    file.iter_mut().try_for_each(|file| file.sync_all()).map_err(cannot)?;
    let ended = child.wait_with_output().map_err(|cause| Error::file("run", Path::new("curl"), cause))?;
    if ended.status.success() {
        if file.is_none() && begun == 0 {
            File::create(path).map_err(cannot)?;
        }
        return Ok(Outcome::Done);
    }
    let message = String::from_utf8_lossy(&ended.stderr);
    let line = message.lines().next().unwrap_or("curl failed").trim();
    let line = line.split_once(") ").filter(|_| line.starts_with("curl: (")).map_or(line, |(_, line)| line);
    Ok(Outcome::Failed(ended.status.code().unwrap_or(-1), line.to_owned()))
}

fn start(url: &str, begun: u64, head: &Path) -> Result<Child> {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--location", "--silent", "--show-error", "--no-buffer", "--connect-timeout", "30"]);
    // A connection without data for a minute is dead.
    curl.args(["--speed-limit", "1", "--speed-time", "60", "--dump-header"]).arg(head);
    if begun > 0 {
        curl.arg("--continue-at").arg(begun.to_string());
    }
    // After `--` an address cannot be parsed as a flag.
    curl.arg("--").arg(url).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    curl.spawn().map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => Error::input(format!(
            "downloads need the program curl, which was not found; install it, or download {url} yourself"
        )),
        _ => Error::file("run", Path::new("curl"), cause),
    })
}

/// The remaining length, from the last response header (earlier ones are redirects).
fn length(head: &Path) -> Option<u64> {
    let text = fs::read_to_string(head).ok()?;
    let lengths = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    lengths.reduce(|_, last| last)
}
