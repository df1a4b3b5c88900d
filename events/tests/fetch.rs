//! Downloads from a local server that breaks off, does not support ranges, or has other contents.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use md5::{Digest, Md5};
use spiq_events::{Archive, Known, Names, Progress, Spikes, Step, fetch, open, write_spikes};

/// The server's response to one request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Whole,
    /// Closes the connection after this many bytes.
    BreaksOff(usize),
    /// Like a server without support for ranges.
    WithoutRanges,
    NotThere,
}

/// A server that gives these answers in order; returns its address and the log of requested paths and ranges.
fn server(contents: Vec<u8>, answers: &[Answer]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/mirror/", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (log, answers) = (Arc::clone(&asked), answers.to_vec());
    thread::spawn(move || {
        for (stream, answer) in listener.incoming().zip(answers) {
            // The client may disconnect early.
            _ = serve(stream.unwrap(), &contents, answer, &log);
        }
    });
    (address, asked)
}

fn serve(mut stream: TcpStream, contents: &[u8], answer: Answer, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let path = lines.next().unwrap()?.split(' ').nth(1).unwrap().to_owned();
    let mut from = 0;
    for line in lines.map_while(|line| line.ok().filter(|line| !line.is_empty())) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
    }
    log.lock().unwrap().push(format!("{path} from {from}"));
    let (status, from) = match answer {
        Answer::NotThere => {
            return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        Answer::WithoutRanges => ("200 OK".to_owned(), 0),
        _ if from > 0 => (
            format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", contents.len() - 1, contents.len()),
            from,
        ),
        _ => ("200 OK".to_owned(), 0),
    };
    let body = &contents[from..];
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    let sent = if let Answer::BreaksOff(bytes) = answer { &body[..bytes] } else { body };
    stream.write_all(sent)
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a file in SHD's layout with two samples.
fn recordings() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let spikes =
        (0..2u16).map(|label| Ok(Spikes { times: vec![0.5; 2000], units: vec![label; 2000], label, speaker: 0 }));
    write_spikes(&path, &Names { channels: 700, ..Names::default() }, spikes).unwrap();
    fs::read(path).unwrap()
}

fn zipped(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive
        .start_file(name, zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored))
        .unwrap();
    archive.write_all(bytes).unwrap();
    archive.finish().unwrap().into_inner()
}

/// A data set of one archive.
fn known(file: &'static str, holds: &'static str, md5: String) -> Known {
    let archive = Archive { url: "http://127.0.0.1:1/none", file, md5: md5.leak(), holds };
    Known { name: "small", title: "Small", archives: Box::leak(Box::new([archive])) }
}

fn fetched(known: &Known, folder: &Path, mirror: &str) -> Result<(), String> {
    fetch(known, folder, Some(mirror), &mut |_| ()).map_err(|error| error.to_string().replace(mirror, "MIRROR/"))
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_download_that_broke_off_goes_on_where_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let archive = zipped("small.h5", &recordings());
    let known = known("small.h5.zip", "small.h5", md5(&archive));
    let (mirror, asked) = server(archive, &[Answer::BreaksOff(1000), Answer::BreaksOff(500), Answer::Whole]);
    for kept in [1000, 1500] {
        let said = fetched(&known, folder.path(), &mirror).unwrap_err();
        assert!(said.starts_with("cannot download MIRROR/small.h5.zip: "), "{said}");
        assert!(said.ends_with(&format!("; {kept} bytes are kept, fetch it again to resume")), "{said}");
        assert_eq!(files(folder.path()), ["small.h5.zip.part"]);
    }
    fetched(&known, folder.path(), &mirror).unwrap();
    assert_eq!(*asked.lock().unwrap(), [0, 1000, 1500].map(|from| format!("/mirror/small.h5.zip from {from}")));
    assert_eq!(files(folder.path()), ["small.h5"]);
    assert_eq!(open(&folder.path().join("small.h5")).unwrap().count(), 2);
    // Existing files are not downloaded again.
    fetched(&known, folder.path(), &mirror).unwrap();
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[test]
fn a_server_without_ranges_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = recordings();
    let archive = zipped("small.h5", &bytes);
    // The md5 of the file inside is accepted as well as that of the archive.
    let known = known("small.h5.zip", "small.h5", md5(&bytes));
    let (mirror, asked) = server(archive, &[Answer::BreaksOff(1000), Answer::WithoutRanges, Answer::WithoutRanges]);
    fetched(&known, folder.path(), &mirror).unwrap_err();
    fetched(&known, folder.path(), &mirror).unwrap();
    assert_eq!(*asked.lock().unwrap(), [0, 1000, 0].map(|from| format!("/mirror/small.h5.zip from {from}")));
    assert_eq!(fs::read(folder.path().join("small.h5")).unwrap(), bytes);
}

#[test]
fn what_has_another_md5_is_deleted() {
    for contents in [zipped("small.h5", b"something else"), b"<html>moved</html>".to_vec()] {
        let folder = tempfile::tempdir().unwrap();
        let known = known("small.h5.zip", "small.h5", "0".repeat(32));
        let sum = md5(&contents);
        let (mirror, _) = server(contents, &[Answer::Whole]);
        assert_eq!(
            fetched(&known, folder.path(), &mirror).unwrap_err(),
            format!(
                "the md5 of MIRROR/small.h5.zip is {sum}, but must be {}; it was deleted: fetch it again, or from a mirror",
                "0".repeat(32)
            )
        );
        assert!(files(folder.path()).is_empty());
    }
}

#[test]
fn what_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let known = known("small.h5.zip", "small.h5", "0".repeat(32));
    let (mirror, _) = server(Vec::new(), &[Answer::NotThere]);
    let said = fetched(&known, folder.path(), &mirror).unwrap_err();
    assert_eq!(said, "cannot download MIRROR/small.h5.zip: The requested URL returned error: 404");
}

#[test]
fn each_kind_of_archive_is_unpacked() {
    let bytes = recordings();
    let gzipped = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut tar = tar::Builder::new(Vec::new());
    let mut head = tar::Header::new_gnu();
    head.set_size(bytes.len() as u64);
    tar.append_data(&mut head, "folder/shd_test.h5", bytes.as_slice()).unwrap();
    let tar = gzipped(&tar.into_inner().unwrap());
    for (file, holds, archive) in [("a.h5.gz", "a.h5", gzipped(&bytes)), ("folder.tar.gz", "folder", tar)] {
        let folder = tempfile::tempdir().unwrap();
        let known = known(file, holds, md5(&archive));
        let (mirror, _) = server(archive.clone(), &[Answer::Whole]);
        let mut steps: Vec<Progress> = Vec::new();
        fetch(&known, folder.path(), Some(&mirror), &mut |progress| steps.push(progress)).unwrap();
        let last = |step| steps.iter().rfind(|progress| progress.step == step).map(|last| (last.done, last.total));
        let size = archive.len() as u64;
        assert_eq!(last(Step::Download), Some((size, Some(size))), "{file}");
        assert_eq!(last(Step::Verify), Some((size, Some(size))));
        assert!(last(Step::Unpack).is_some());
        assert_eq!(open(folder.path().join(holds).as_path()).unwrap().count(), 2);
    }
}

#[test]
fn an_archive_without_the_data_set_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // A name that leads out of the folder is ignored.
    let archive = zipped("../small.h5", b"");
    let known = known("small.h5.zip", "small.h5", md5(&archive));
    let (mirror, _) = server(archive, &[Answer::Whole]);
    assert_eq!(fetched(&known, folder.path(), &mirror).unwrap_err(), "small.h5.zip does not contain small.h5");
    assert_eq!(files(folder.path()), ["small.h5.zip.part"]);
    assert!(!folder.path().parent().unwrap().join("small.h5").exists());
}
