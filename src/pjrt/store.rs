//! Compiled programs on disk, under a key of all that they depend on. Knows nothing of what they are.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::abi::api::Value;
use super::folders::{cache_dir, variable};
use super::options::CompileOptions;

/// Beyond this many bytes the entries that were not used for longest are deleted.
const LIMIT: u64 = 512 << 20;

/// All that a compiled program depends on, as a checksum.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// `always` and `xla_flags` are the flags of every program; `context` tells plugin and devices apart.
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

/// This machine's processor: programs compiled for one may not run on another.
static PROCESSOR: LazyLock<String> = LazyLock::new(|| {
    // One processor's entry is enough, and the file is slow to read on machines with many.
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
    /// The store in `folder`, or in the cache folder; none where `SPIQ_NO_CACHE` says so or no folder is known.
    pub fn new(folder: Option<PathBuf>) -> Option<Store> {
        if variable("SPIQ_NO_CACHE").is_some_and(|value| value != "0") {
            return None;
        }
        let folder = folder.or_else(|| cache_dir().ok().map(|dir| dir.join("executables")))?;
        Some(Store { folder })
    }

    /// The folder; it may not exist yet.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bytes under a key.
    pub fn read(&self, key: &Key) -> Option<Vec<u8>> {
        let mut file = File::options().read(true).write(true).open(self.folder.join(key.file_name())).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        // The time of change is the time of last use, for `trim`.
        drop(file.set_modified(SystemTime::now()));
        Some(bytes)
    }

    /// Keeps bytes under a key: written beside their place and renamed, so that no reader sees half of them. An entry that
    /// cannot be written costs time in the next run and nothing else, so errors are not reported.
    pub fn write(&self, key: &Key, bytes: &[u8]) {
        drop(self.try_write(key, bytes));
        drop(trim(&self.folder, LIMIT));
    }

    fn try_write(&self, key: &Key, bytes: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.persist(self.folder.join(key.file_name()))?;
        Ok(())
    }
}

/// Deletes the files that were not used for longest until the rest fits.
fn trim(folder: &Path, limit: u64) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        files.push((meta.modified()?, meta.len(), entry.path()));
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files {
        if total <= limit {
            break;
        }
        std::fs::remove_file(path)?;
        total -= size;
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
}
