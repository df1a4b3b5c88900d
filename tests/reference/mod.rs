//! Reads the reference values: the cases of a file, their arguments and arrays.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use spiq::{Array, DType, TensorType};

/// The cases of one reference file.
pub struct Reference {
    cases: BTreeMap<String, Value>,
    arrays: BTreeMap<String, Array>,
}

/// A call with its arguments and results.
pub struct Case<'a> {
    /// Its name in the file, for messages.
    pub name: &'a str,
    arguments: &'a Value,
    file: &'a Reference,
}

impl Reference {
    /// The file `tests/reference/NAME.safetensors`.
    pub fn load(name: &str) -> Reference {
        let path = format!("{}/tests/reference/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).expect("a reference file");
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
        let cases = &header.metadata().as_ref().expect("metadata")["cases"];
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        let arrays = tensors.iter().map(|(name, view)| (name.to_owned(), array(&view))).collect();
        Reference { cases: serde_json::from_str(cases).expect("JSON of the cases"), arrays }
    }

    /// The case with this name.
    pub fn case(&self, name: &str) -> Case<'_> {
        let (name, arguments) = self.cases.get_key_value(name).unwrap_or_else(|| panic!("no case {name}"));
        Case { name, arguments, file: self }
    }

    /// The cases of a kind, at least one.
    pub fn cases(&self, kind: &str) -> impl Iterator<Item = Case<'_>> {
        let prefix = format!("{kind}/");
        assert!(self.cases.keys().any(|name| name.starts_with(&prefix)), "no case of {kind}");
        let chosen = self.cases.iter().filter(move |(name, _)| name.starts_with(&prefix));
        chosen.map(|(name, arguments)| Case { name, arguments, file: self })
    }
}

impl Case<'_> {
    /// All arguments.
    pub fn arguments(&self) -> &Value {
        self.arguments
    }

    /// An argument; `Null` where it is absent.
    pub fn get(&self, argument: &str) -> &Value {
        &self.arguments[argument]
    }

    /// An integer argument.
    pub fn int(&self, argument: &str) -> i64 {
        self.get(argument).as_i64().unwrap_or_else(|| panic!("{}: {argument} is an integer", self.name))
    }

    /// A number argument.
    pub fn float(&self, argument: &str) -> f32 {
        self.get(argument).as_f64().unwrap_or_else(|| panic!("{}: {argument} is a number", self.name)) as f32
    }

    /// A shape argument, or a number for a shape of one axis.
    pub fn shape(&self, argument: &str) -> Vec<usize> {
        let size = |value: &Value| value.as_u64().expect("a size") as usize;
        self.get(argument)
            .as_array()
            .map_or_else(|| vec![size(self.get(argument))], |list| list.iter().map(size).collect())
    }

    /// Number of elements of the argument `shape`.
    pub fn count(&self) -> usize {
        self.shape("shape").iter().product()
    }

    /// One of the case's arrays.
    pub fn array(&self, name: &str) -> &Array {
        self.find(name).unwrap_or_else(|| panic!("no array {}/{name}", self.name))
    }

    /// One of the case's arrays, if present.
    pub fn find(&self, name: &str) -> Option<&Array> {
        self.file.arrays.get(&format!("{}/{name}", self.name))
    }
}

fn array(view: &safetensors::tensor::TensorView<'_>) -> Array {
    let dtype = match view.dtype() {
        Dtype::BOOL => DType::Pred,
        Dtype::I8 => DType::S8,
        Dtype::I16 => DType::S16,
        Dtype::I32 => DType::S32,
        Dtype::I64 => DType::S64,
        Dtype::U8 => DType::U8,
        Dtype::U16 => DType::U16,
        Dtype::U32 => DType::U32,
        Dtype::U64 => DType::U64,
        Dtype::BF16 => DType::BF16,
        Dtype::F16 => DType::F16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        other => panic!("{other:?} in a reference file"),
    };
    Array::from_bytes(TensorType::new(dtype, view.shape()), view.data()).expect("bytes of the shape")
}
