//! Sizes at their edges, through the built command: data sets, flags of every command that takes a number, models and rules of 10⁵ parts, files
//! that no memory holds. Each is computed or refused in one sentence, in bounded time.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use spiq::data::ArrayFile;
use spiq::random::Key;
use spiq::{Array, DType, TensorType};
use tempfile::TempDir;

/// What one case may take. A machine that does other things is slow.
const LIMIT: Duration = Duration::from_secs(60);

/// What a sentence may take: lists in it are cut.
const LONGEST: usize = 1200;

struct Folder(TempDir);

impl Folder {
    /// One with a model of three classes and data for it.
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        folder.write("m.toml", &model(3));
        folder.data("d.safetensors", &[66, 12], &[0, 1, 2].repeat(22));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    /// Samples of this shape, [N, features] as images and [N, T, features] as spikes.
    fn data(&self, name: &str, dims: &[usize], labels: &[i64]) {
        let ty = TensorType::new(DType::U8, dims);
        let samples = Array::from_f64(ty.clone(), &vec![9.0; ty.count()]).expect("samples");
        let labels = Array::new([labels.len()], labels).expect("labels");
        let samples_name = if dims.len() == 2 { "images" } else { "inputs" };
        let arrays = [(samples_name.to_owned(), samples), ("labels".to_owned(), labels)].into();
        ArrayFile { arrays, ..ArrayFile::default() }.write(&self.path(name)).expect("a file");
    }

    /// Runs a command, which ends in time, with 0 or with 2 and one sentence; whether it was 0, and what was printed on standard error.
    #[track_caller]
    fn run(&self, line: &str) -> (bool, String) {
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        let output = command.output().expect("the command starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(begun.elapsed() < LIMIT, "{line}: {:?}", begun.elapsed());
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        match output.status.code() {
            Some(0) => assert!(errors.is_empty(), "{line}: {said}"),
            Some(2) => {
                assert!(errors.len() == 1 && said.lines().last() == Some(errors[0]), "{line}: {said}");
                assert!(errors[0].len() < LONGEST, "{line}: {} bytes: {said}", errors[0].len());
            }
            code => panic!("{line}: {code:?}: {said}"),
        }
        (output.status.success(), said)
    }

    /// The sentence with which a command is refused.
    #[track_caller]
    fn refuses(&self, line: &str, expected: &str) {
        let (done, said) = self.run(line);
        assert!(!done && said.contains(expected), "{line}: {said}");
    }
}

fn model(classes: usize) -> String {
    format!(
        "layers = [{{ type = \"Linear\", in_features = 12, out_features = {classes} }}, \
         {{ type = \"LI\", layer_shape = {classes} }}]"
    )
}

/// Numbers of samples, steps, classes, and labels, drawn: trained for a step, or refused.
#[test]
fn data_of_few_samples_steps_and_classes_are_trained_or_refused() {
    const LABELS: [i64; 10] = [0, 1, 2, 3, -1, 255, 65_536, i32::MAX as i64, i32::MAX as i64 + 1, i64::MIN];
    let folder = Folder::new();
    let (mut trained, mut refused) = (0, 0);
    for case in 0..24u32 {
        let key = Key::new(3).fold_in(case);
        let draw = |place: u32, of: usize| key.fold_in(place).bits64(1)[0] as usize % of;
        let (count, steps, classes) =
            ([0, 1, 1, 2, 66][draw(0, 5)], [None, Some(0), Some(1), Some(2)][draw(1, 4)], [1, 2, 3][draw(2, 3)]);
        let odd = if case % 3 == 0 { LABELS[draw(3, LABELS.len())] } else { 0 };
        let dims: Vec<usize> = [count].into_iter().chain(steps).chain([12]).collect();
        let labels: Vec<i64> =
            (0..count).map(|place| if place == 0 { odd } else { (place % classes) as i64 }).collect();
        folder.data("e.safetensors", &dims, &labels);
        folder.write("e.toml", &model(classes));
        let batch = [1, count.max(1)][draw(4, 2)];
        let settings = format!("--steps 1 --time-steps 2 --batch-size {batch}");
        let line = format!("train --model e.toml --data e.safetensors {settings} --out e --overwrite");
        let (done, said) = folder.run(&line);
        let is_right = count > 0 && steps != Some(0) && (0..classes as i64).contains(&odd);
        assert_eq!(done, is_right, "{dims:?} {odd} of {classes}: {said}");
        *(if done { &mut trained } else { &mut refused }) += 1;
    }
    assert!(trained >= 4 && refused >= 8, "{trained} trained, {refused} refused");
}

/// Numeric flags of every command except `train`, which has a separate test.
#[test]
fn every_number_of_a_flag_is_taken_or_refused() {
    let folder = Folder::new();
    let (trained, said) =
        folder.run("train --model m.toml --data d.safetensors --steps 2 --time-steps 2 --rules int8 --out run");
    assert!(trained, "{said}");
    // What is not refused comes as far as a result that cannot be written, but where nothing is.
    let commands: [(&str, &[&str]); 6] = [
        (
            "predict --run run --data d.safetensors --output m.toml/o",
            &["--batch-size", "--time-steps", "--seed", "--bins", "--channels"],
        ),
        (
            "quantize --params run/params.safetensors --calibrate d.safetensors --output m.toml/o",
            &["--batch-size", "--time-steps", "--seed"],
        ),
        ("inspect --model m.toml --stage trace", &["--batch-size", "--time-steps", "--time-tile"]),
        ("evaluate run --picture m.toml/p.svg", &["--top-k"]),
        ("data make --output m.toml/o.h5", &["--samples", "--events", "--classes", "--channels", "--train", "--first"]),
        (
            "sweep --model m.toml --data d.safetensors --grid seed=1,2 --out m.toml/s",
            &["--random", "--steps", "--batch-size"],
        ),
    ];
    let mut refused_by_their_value = 0;
    for (line, flags) in commands {
        for flag in flags {
            for value in ["-1", "0", "1", "65536", "2147483647", "2147483648", "18446744073709551616", "nan", "1.5"] {
                let (_, said) = folder.run(&format!("{line} {flag} {value}"));
                assert!(!said.contains("unexpected argument"), "{line} {flag} {value}: {said}");
                refused_by_their_value += usize::from(said.contains(value));
            }
        }
    }
    assert!(refused_by_their_value > 50, "{refused_by_their_value}");
}

/// 10⁵ layers, rules, keys, brackets; expressions that take memory or time.
#[test]
fn texts_of_many_parts_are_refused_in_time() {
    let folder = Folder::new();
    let many = |part: &dyn Fn(usize) -> String| (0..100_000).fold(String::new(), |text, number| text + &part(number));
    folder.write("layers.toml", &"[[layers]]\ntype = \"LI\"\nlayer_shape = 3\n".repeat(100_000));
    folder.refuses("inspect --model layers.toml --stage trace", "the model has 100000 layers, but at most 10000 are ");
    folder.write("keys.toml", &format!("[[layers]]\ntype = \"LI\"\n{}", many(&|number| format!("k{number} = 1\n"))));
    folder.refuses(
        "inspect --model keys.toml --stage trace",
        "unknown key `k0` in core/layers/0 (LI); it takes type, layer_shape",
    );
    folder.write("deep.toml", &format!("layers = {}", "[".repeat(100_000)));
    folder.refuses("inspect --model deep.toml --stage trace", "deep.toml:1: ");
    let rule = |path: &str| format!("[[rules]]\nmodule_path = \"{path}\"\nweight_qtype = \"int8\"\n");
    folder.write("rules.toml", &many(&|number| rule(&format!("core/layers/{number}"))));
    folder.refuses(
        "inspect --model m.toml --rules rules.toml --stage quantize",
        "rule 2 (module_path `core/layers/1`) matches no operation",
    );
    for (pattern, expected) in [
        ("((a{1000}){1000}){1000}".to_owned(), "is not a regular expression"),
        ("(.*)*(.*)*(.*)*b".to_owned(), "matches no operation"),
        ("(a|b)?".repeat(20_000), "matches no operation"),
    ] {
        folder.write("pattern.toml", &rule(&pattern));
        folder.refuses("inspect --model m.toml --rules pattern.toml --stage quantize", expected);
    }
    let mut chain = String::new();
    for layer in 0..40 {
        let _ =
            write!(chain, "[[layers]]\ntype = \"Linear\"\nin_features = {}\nout_features = 12\n", [12, 12][layer % 2]);
    }
    folder.write("chain.toml", &chain);
    folder.write("one.toml", &rule("nowhere"));
    // Of 40 paths the first are listed.
    folder.refuses("inspect --model chain.toml --rules one.toml --stage quantize", "core/layers/11 and 28 more)");
}

/// A file of arrays that no memory holds, which takes no room on the disk.
fn write_vast(path: &Path) -> std::io::Result<()> {
    const BYTES: u64 = 1 << 42;
    let entry = |name: &str, from: u64| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[{from},{BYTES}]}}", (BYTES - from) / 4)
    };
    let header = format!("{{{}}}", entry("core/layers/0/kernel", 0));
    let mut file = File::create(path)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    file.set_len(8 + header.len() as u64 + BYTES)
}

/// Every command refuses what cannot fit in the same sentence, before memory is taken.
#[test]
fn what_no_memory_holds_is_refused_by_every_command() {
    let folder = Folder::new();
    if !Path::new("/proc/meminfo").exists() {
        println!("SKIPPED: the system does not report its free memory");
        return;
    }
    if let Err(error) = write_vast(&folder.path("vast.safetensors")) {
        println!("SKIPPED: the disk holds no sparse file of 4 TB: {error}");
        return;
    }
    let reading = "reading vast.safetensors takes at least 4398.0 GB of memory (all of its arrays), but ";
    for line in [
        "predict --model m.toml --params vast.safetensors --data d.safetensors --output o.safetensors",
        "predict --model m.toml --params vast.safetensors --data vast.safetensors --output o.safetensors",
        "quantize --model m.toml --params vast.safetensors --rules int8 --output q.safetensors",
        "train --model m.toml --data vast.safetensors",
        "train --model m.toml --data d.safetensors --init vast.safetensors",
    ] {
        folder.refuses(line, reading);
    }
    // 17 TB of parameters would take seconds to draw.
    folder.refuses("train --data speech --bins 2000000000 --dt 0.001", "give fewer bins or fewer channels");
}
