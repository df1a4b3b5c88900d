//! `spiq data` on the command line.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use spiq::data::{Binning, Dataset, Reading};
use tempfile::TempDir;

fn spiq(folder: &TempDir, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
    command.args(line.split_whitespace()).current_dir(folder.path()).stdin(Stdio::null());
    command.output().expect("the command starts")
}

#[track_caller]
fn printed(folder: &TempDir, line: &str) -> String {
    let output = spiq(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The standard error of a command that must exit with code 2.
#[track_caller]
fn refused(folder: &TempDir, line: &str) -> String {
    let output = spiq(folder, line);
    assert_eq!(output.status.code(), Some(2), "{line}");
    String::from_utf8(output.stderr).unwrap().trim_end().to_owned()
}

fn made() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let line = "data make --output made.h5 --samples 20 --events 100 --classes 3 --channels 40 --seed 1";
    assert_eq!(printed(&folder, line), "wrote 20 samples to made.h5\n");
    folder
}

#[test]
fn a_converted_file_is_what_the_recordings_are() {
    let folder = made();
    let flags = "--bins 10 --dt 0.1 --channels 20";
    let said = printed(&folder, &format!("data convert made.h5 --output made.safetensors {flags}"));
    assert_eq!(said, "wrote u8[20,10,20] to made.safetensors\n");
    let load = |name: &str, reading| {
        Dataset::read(&folder.path().join(name), &reading, None, &mut |_, _| ()).unwrap().split().unwrap()
    };
    let binning = Binning { bins: Some(10), dt: Some(0.1), channels: Some(20), ..Binning::default() };
    let recordings = load("made.h5", Reading { binning, ..Reading::default() });
    assert!(recordings == load("made.safetensors", Reading::default()), "other samples, labels or parts");
    assert_eq!([recordings.0.count(), recordings.1.count()], [16, 4]);
    let again = refused(&folder, "data convert made.safetensors --output again.safetensors --bins 3");
    assert_eq!(again, "error: made.safetensors already holds arrays; there is nothing to convert");
}

#[test]
fn the_same_seed_makes_the_same_file() {
    let folder = made();
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    let again = "data make --samples 20 --events 100 --classes 3 --channels 40";
    printed(&folder, &format!("{again} --seed 1 -o same.h5"));
    printed(&folder, &format!("{again} --seed 2 -o other.h5"));
    assert!(read("made.h5") == read("same.h5") && read("made.h5") != read("other.h5"));
}

#[test]
fn info_counts_what_is_there() {
    let folder = made();
    let object: Value = serde_json::from_str(&printed(&folder, "data info made.h5 --json --picture info.svg")).unwrap();
    assert_eq!(
        (object["format"].as_str(), object["samples"].as_u64(), object["train"].as_u64()),
        (Some("SHD"), Some(20), Some(16))
    );
    let sum = |list: &str, of: &dyn Fn(&Value) -> Option<u64>| {
        object[list].as_array().unwrap().iter().filter_map(of).sum::<u64>()
    };
    assert_eq!(sum("classes", &|class| class["samples"].as_u64()), 20);
    assert_eq!(sum("speakers", &|speaker| speaker["samples"].as_u64()), 20);
    assert_eq!(Some(sum("events_by_channel", &Value::as_u64)), object["events"].as_u64());
    let longest = object["seconds_of_a_sample"]["max"].as_f64().unwrap();
    assert!((0.5..=1.0).contains(&longest), "{longest}");
    let drawn = std::fs::read_to_string(folder.path().join("info.svg")).unwrap();
    assert!(drawn.contains("Events by channel") && drawn.contains("Samples per class"));
    let text = printed(&folder, "data info made.h5");
    assert!(
        text.starts_with("made.h5: SHD, 20 samples (16 to train, 4 to test)\n40 channels, 3 classes, 10 speakers\n"),
        "{text}"
    );
}

#[test]
fn a_recording_is_drawn() {
    let folder = made();
    let said = printed(&folder, "data show made.h5 --sample 3");
    assert!(said.starts_with("sample 3, class ") && said.ends_with("40 channels\nwrote sample-3.svg\n"), "{said}");
    let raster = std::fs::read_to_string(folder.path().join("sample-3.svg")).unwrap();
    assert!(raster.contains("sample 3, class "));
    let camera = Path::new(env!("CARGO_MANIFEST_DIR")).join("events/tests/reference/sample_nmnist.bin");
    printed(&folder, &format!("data show {} --picture strip.svg", camera.display()));
    let strip = std::fs::read_to_string(folder.path().join("strip.svg")).unwrap();
    assert!(strip.contains("4325 events in 0.311 s (blue: brighter, red: darker)") && strip.contains("272 to 311 ms"));
    assert_eq!(refused(&folder, "data show made.h5 --sample 20"), "error: made.h5 has no sample 20: it has 20, from 0");
}

#[test]
fn what_is_wrong_is_said_in_a_line() {
    let folder = made();
    let said = refused(&folder, "data info shd");
    assert!(said.starts_with("error: the data set shd is not at shd: `spiq data fetch shd` downloads it, or place these files there: shd_train.h5 (from "), "{said}");
    let said = refused(&folder, "data fetch shd --url http://127.0.0.1:1/none");
    assert!(said.contains("cannot download http://127.0.0.1:1/none/shd_train.h5.zip: "), "{said}");
    assert_eq!(refused(&folder, "data make -o a.h5 --train 501"), "error: --train 501 is more than the 500 samples");
    let said = refused(&folder, "data convert made.h5 -o a.safetensors --channels 41");
    assert_eq!(said, "error: channels can only be summed into fewer: 41 is not between 1 and 40");
    assert!(!folder.path().join("a.safetensors").exists());
}

/// The headers of a request.
fn request(stream: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    lines.map_while(|line| line.ok().filter(|line| !line.is_empty())).collect()
}

#[test]
fn a_download_goes_on_after_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!("data fetch shd --url http://{}", listener.local_addr().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
    let mut running = command.args(line.split(' ')).current_dir(folder.path()).stderr(Stdio::null()).spawn().unwrap();
    // The server sends a thousand bytes of a million.
    let (mut stream, _) = listener.accept().unwrap();
    request(&stream);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").unwrap();
    stream.write_all(&[7; 1000]).unwrap();
    let part = folder.path().join("shd/shd_train.h5.zip.part");
    let begin = Instant::now();
    while std::fs::metadata(&part).map_or(0, |part| part.len()) < 1000 {
        assert!(begin.elapsed() < Duration::from_secs(60), "the bytes do not come");
        std::thread::sleep(Duration::from_millis(10));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let asked = request(&stream);
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        // The download restarts from the beginning if the server refuses to resume.
        let (mut stream, _) = listener.accept().unwrap();
        request(&stream);
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        asked
    });
    let said = refused(&folder, &line);
    assert!(said.ends_with("error: 404; 1000 bytes are kept, fetch it again to resume"), "{said}");
    assert!(asked.join().unwrap().contains(&"Range: bytes=1000-".to_owned()));
}
