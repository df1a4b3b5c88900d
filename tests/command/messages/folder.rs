//! The files that the cases read, and the command in their folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use spiq::data::ArrayFile;
use spiq::{Array, DType, TensorType};
use tempfile::TempDir;

use super::cases::Case;

/// A folder with the files.
pub struct Folder(TempDir);

const MODEL: &str =
    "layers = [\n{ type = \"Linear\", in_features = 12, out_features = 3 },\n{ type = \"LI\", layer_shape = 3 },\n]\n";

/// Steps before the run's checkpoint.
const TRAIN: &str = "train --model model.toml --data data.safetensors --rules int8 --time-steps 2 --steps 2 --out run";

fn labels(values: &[i32]) -> Array {
    Array::new([values.len()], values).expect("labels")
}

fn numbers(dtype: DType, dims: &[usize]) -> Array {
    let ty = TensorType::new(dtype, dims);
    // Neither a pixel nor a class.
    let number = match dtype {
        DType::S8 => -9.0,
        DType::F32 => 0.5,
        _ => 9.0,
    };
    Array::from_f64(ty.clone(), &vec![number; ty.count()]).expect("numbers")
}

/// Files of arrays: the name, the samples with their name, the labels, an entry of the metadata.
type Arrays = (&'static str, Option<(&'static str, Array)>, Option<Array>, Option<(&'static str, &'static str)>);

fn array_files() -> Vec<Arrays> {
    let images = || Some(("images", numbers(DType::U8, &[66, 12])));
    let classes: Vec<i32> = [0, 1, 2].repeat(22);
    let all = || Some(labels(&classes));
    let first = |label| Some(labels(&[&[label], &classes[1..]].concat()));
    vec![
        ("data", images(), all(), None),
        ("negative", images(), first(-1), None),
        ("seven", images(), first(7), None),
        ("few", images(), Some(labels(&[0, 1, 2])), None),
        ("float", images(), Some(numbers(DType::F32, &[66])), None),
        ("unlabelled", images(), None, None),
        ("pixels", Some(("pixels", numbers(DType::U8, &[66, 12]))), all(), None),
        ("signed", Some(("images", numbers(DType::S8, &[66, 12]))), all(), None),
        ("wide", Some(("images", numbers(DType::U8, &[66, 13]))), all(), None),
        ("single", Some(("images", numbers(DType::U8, &[1, 12]))), Some(labels(&[0])), None),
        ("none", Some(("images", numbers(DType::U8, &[0, 12]))), Some(labels(&[])), None),
        ("silent", Some(("inputs", numbers(DType::U8, &[4, 0, 12]))), Some(labels(&[0, 1, 2, 0])), None),
        ("train", images(), all(), Some(("train", "67"))),
        ("max", images(), all(), Some(("max", "-3"))),
    ]
}

impl Folder {
    pub fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        for (name, samples, labels, entry) in array_files() {
            let samples = samples.map(|(name, array)| (name.to_owned(), array));
            let arrays = samples.into_iter().chain(labels.map(|labels| ("labels".to_owned(), labels))).collect();
            let metadata = entry.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
            let file = ArrayFile { arrays, metadata };
            file.write(&folder.path(&format!("{name}.safetensors"))).expect("a file");
        }
        let whole = std::fs::read(folder.path("data.safetensors")).expect("a file");
        folder.write("cut.safetensors", &whole[..whole.len() - 40]);
        folder.write("text.safetensors", b"hello");
        folder.write("text.h5", b"hello");
        folder.write("model.toml", MODEL.as_bytes());
        std::fs::create_dir(folder.path("folder")).expect("a folder");
        folder.runs();
        folder
    }

    /// Runs, whole and damaged.
    fn runs(&self) {
        let (code, printed) = self.start(TRAIN, &[]);
        assert_eq!(code, Some(0), "{printed}");
        for (name, files) in
            [("damaged", &["checkpoint.safetensors", "params.safetensors"][..]), ("unfinished", &["metrics.jsonl"])]
        {
            std::fs::create_dir(self.path(name)).expect("a folder");
            for entry in std::fs::read_dir(self.path("run")).expect("a folder").flatten() {
                let file = entry.file_name().to_string_lossy().into_owned();
                let mut bytes = std::fs::read(entry.path()).expect("a file");
                if name == "damaged" && files.contains(&file.as_str()) {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                }
                if name == "damaged" || files.contains(&file.as_str()) {
                    self.write(&format!("{name}/{file}"), &bytes);
                }
            }
        }
        let mut params = ArrayFile::read(&self.path("run/params.safetensors")).expect("parameters");
        let (name, array) = params.arrays.first_key_value().expect("an array");
        let (name, mut values) = (name.clone(), array.to_f64());
        values[0] = f64::NAN;
        let nan = Array::from_f64(array.ty().clone(), &values).expect("numbers");
        params.arrays.insert(name.clone(), nan);
        params.write(&self.path("nan.safetensors")).expect("a file");
        params.arrays.remove(&name);
        params.write(&self.path("without.safetensors")).expect("a file");
        let (code, printed) = self.start("quantize --params run/params.safetensors --output stored.safetensors", &[]);
        assert_eq!(code, Some(0), "{printed}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("a file");
    }

    /// Names that no message may contain: those of the folder, of the sources, of the home folder, of temporary files.
    pub fn private_names(&self) -> Vec<String> {
        let home = std::env::var("HOME").ok().filter(|home| Path::new(home).components().count() > 1);
        let folder = self.0.path().to_string_lossy().into_owned();
        [
            Some(folder),
            Some(env!("CARGO_MANIFEST_DIR").to_owned()),
            home,
            Some(".spiq-".to_owned()),
            Some("/tmp".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Writes the files of a case and runs its command.
    pub fn run(&self, case: &Case) -> (Option<i32>, String) {
        for (name, text) in case.files {
            self.write(name, text.as_bytes());
        }
        self.start(case.line, case.environment)
    }

    fn start(&self, line: &str, environment: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
        let words = line.strip_prefix("spiq ").unwrap_or(line);
        command.args(words.split_whitespace()).envs(environment.iter().copied()).current_dir(self.0.path());
        let output = command.stdin(Stdio::null()).output().expect("the command starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
