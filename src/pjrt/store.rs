//! The disk cache of compiled programs, keyed by everything that they depend on.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::abi::api::Value;
use super::folders::{cache_dir, create_private, variable};
use super::options::CompileOptions;
use super::owner;
use crate::error::Result;

/// Size limit in bytes; beyond it the least recently used entries are deleted.
const LIMIT: u64 = 512 << 20;

/// A checksum of everything that a compiled program depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// `always` and `xla_flags` are the flags of every program; `context` identifies plugin and devices.
    pub fn new(
        text: &str,
        options: &CompileOptions,
        always: &[(String, Value)],
        xla_flags: &str,
        context: &str,
    ) -> Key {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(text.as_bytes());
        add(&options.encode(always, &[]));
        add(format!("{:?}", options.inputs).as_bytes());
        add(context.as_bytes());
        add(PROCESSOR.as_bytes());
        add(xla_flags.as_bytes());
        Key(hash.finalize().into())
    }

    fn file_name(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// This machine's CPU: programs compiled for one CPU may not run on another.
static PROCESSOR: LazyLock<String> = LazyLock::new(|| {
    // One core's entry is enough, and the file is slow to read on machines with many.
    let mut start = Vec::new();
    let read = File::open("/proc/cpuinfo").map(|file| file.take(8192).read_to_end(&mut start));
    drop(read);
    let text = String::from_utf8_lossy(&start);
    let telling =
        |line: &&str| ["vendor_id", "model name", "flags", "CPU part", "Features"].iter().any(|k| line.starts_with(k));
    let lines: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).filter(telling).collect();
    format!("{} {}", std::env::consts::ARCH, lines.join(" "))
});

/// A folder of compiled programs.
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in `folder`, or in the cache folder; `None` if `SPIQ_NO_CACHE` disables it or there is no cache folder.
    ///
    /// # Errors
    /// Kind `Input` if others may write to the folder: it contains code.
    pub fn new(folder: Option<PathBuf>) -> Result<Option<Store>> {
        if variable("SPIQ_NO_CACHE").is_some_and(|value| value != "0") {
            return Ok(None);
        }
        if folder.is_none() {
            owner::check_cache()?;
        }
        let Some(folder) = folder.or_else(|| cache_dir().ok().map(|dir| dir.join("executables"))) else {
            return Ok(None);
        };
        owner::check(&folder)?;
        Ok(Some(Store { folder }))
    }

    /// The folder; it may not exist yet.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bytes stored under a key. The folder may be read-only.
    pub fn read(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.folder.join(key.file_name());
        // Opening a pipe could block forever.
        let mut file = path.metadata().ok().filter(std::fs::Metadata::is_file).and_then(|_| File::open(&path).ok())?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        // The modification time records the last use, for `trim`. If it cannot be set, nothing can be removed either.
        drop(file.set_modified(SystemTime::now()));
        Some(bytes)
    }

    /// Stores bytes under a key: writes a temporary file and renames it, so that no reader sees a partial entry. A failed write only
    /// costs time in the next run, so errors are not reported.
    pub fn write(&self, key: &Key, bytes: &[u8]) {
        drop(self.try_write(key, bytes));
        drop(trim(&self.folder, LIMIT));
    }

    fn try_write(&self, key: &Key, bytes: &[u8]) -> std::io::Result<()> {
        create_private(&self.folder).map_err(std::io::Error::other)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.persist(self.folder.join(key.file_name()))?;
        Ok(())
    }
}

/// Deletes the least recently used files until the rest fits. Skips entries that are not files, that another process removes meanwhile,
/// or that cannot be removed.
fn trim(folder: &Path, limit: u64) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)?.flatten() {
        let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file);
        if let Some((modified, size)) = meta.and_then(|meta| Some((meta.modified().ok()?, meta.len()))) {
            files.push((modified, size, entry.path()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files {
        if total <= limit {
            break;
        }
        if std::fs::remove_file(path).is_ok() {
            total -= size;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_depends_on_everything() {
        let plain = CompileOptions::default();
        let flag = plain.clone().with_flag("a", Value::Bool(true));
        let always = [("b".to_owned(), Value::Bool(true))];
        let keys = [
            Key::new("x", &plain, &[], "", "p"),
            Key::new("y", &plain, &[], "", "p"),
            Key::new("x", &flag, &[], "", "p"),
            Key::new("x", &plain, &always, "", "p"),
            Key::new("x", &plain, &[], "--c", "p"),
            Key::new("x", &plain, &[], "", "q"),
        ];
        let names: std::collections::BTreeSet<_> = keys.iter().map(Key::file_name).collect();
        assert_eq!(names.len(), keys.len());
    }

    #[test]
    fn the_oldest_go_first() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (age, name) in ["new", "old", "older"].iter().enumerate() {
            let file = File::create(folder.path().join(name)).expect("a file");
            file.set_len(100).expect("its size");
            file.set_modified(SystemTime::now() - Duration::from_secs(60 * age as u64)).expect("its time");
        }
        trim(folder.path(), 150).expect("a readable folder");
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).expect("the folder").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["new"]);
    }

    /// A folder older than all files, and a dangling link, are skipped.
    #[test]
    #[cfg(unix)]
    fn what_cannot_be_removed_is_passed_over() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("sub")).expect("a folder");
        std::os::unix::fs::symlink("/nowhere", folder.path().join("link")).expect("a link");
        for (age, name) in ["new", "old"].iter().enumerate() {
            let file = File::create(folder.path().join(name)).expect("a file");
            file.set_len(100).expect("its size");
            file.set_modified(SystemTime::now() - Duration::from_secs(60 * age as u64)).expect("its time");
        }
        let long_ago = SystemTime::now() - Duration::from_secs(9_000_000);
        File::open(folder.path().join("sub")).and_then(|sub| sub.set_modified(long_ago)).expect("its time");
        trim(folder.path(), 150).expect("a readable folder");
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).expect("the folder").flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["link", "new", "sub"]);
    }

    fn store(folder: &Path) -> Store {
        Store { folder: folder.to_owned() }
    }

    #[test]
    #[cfg(unix)]
    fn a_cache_that_may_only_be_read_is_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = Key::new("x", &CompileOptions::default(), &[], "", "p");
        store(folder.path()).write(&key, b"a program");
        let file = folder.path().join(key.file_name());
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o400)).expect("its mode");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o500)).expect("its mode");
        assert_eq!(store(folder.path()).read(&key).as_deref(), Some(&b"a program"[..]));
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).expect("its mode");
    }

    /// The same for root, for whom permissions do not matter: the executable of a running program cannot be opened for writing.
    #[test]
    #[cfg(target_os = "linux")]
    fn an_entry_that_cannot_be_opened_for_writing_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key = Key::new("x", &CompileOptions::default(), &[], "", "p");
        let entry = folder.path().join(key.file_name());
        std::fs::copy("/bin/sleep", &entry).expect("a copy");
        let mut running = std::process::Command::new(&entry).arg("60").spawn().expect("a program");
        let (writable, read) = (File::options().write(true).open(&entry).is_ok(), store(folder.path()).read(&key));
        running.kill().and_then(|()| running.wait()).expect("it ends");
        assert_eq!((writable, read), (false, std::fs::read("/bin/sleep").ok()));
    }

    #[test]
    #[cfg(unix)]
    fn what_others_may_write_to_is_no_store() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).expect("its mode");
        let refused = Store::new(Some(folder.path().to_owned())).err().expect("others may write");
        assert!(refused.to_string().contains("chmod -R go-w"), "{refused}");
    }
}
