//! Writes quantized weights to a safetensors file, packed, and reads them with validation.

use std::collections::BTreeMap;

use spiq_hlo::{Array, ArrayError, DType, Kind, TensorType};

use super::pack::{pack, packed_bits, packed_len, unpack};
use super::program::StoredNetwork;
use super::sparse::{compress, expand, followed};
use crate::data::ArrayFile;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::provenance::Provenance;
use crate::quant::{QType, StoredWeight, check_counted};
use crate::signature::Port;

/// The metadata entry that marks a file of quantized weights, and its value.
const FORMAT: (&str, &str) = ("weights", "quantized 1");

/// The metadata key for the type of the weight at a path.
fn qtype_key(path: &str) -> String {
    format!("qtype:{path}")
}

/// Whether a file holds quantized weights.
pub fn is_quantized(file: &ArrayFile) -> bool {
    file.metadata.contains_key(FORMAT.0)
}

/// Builds the file of all inputs of a forward pass, by path. Besides the arrays it contains the model, its rules, the numerics they apply
/// to, and the type of each weight (`qtype:core/layers/0/kernel`).
pub(super) fn encode(network: &Network, stored: &StoredNetwork, mut arrays: BTreeMap<String, Array>) -> ArrayFile {
    let mut metadata = BTreeMap::from([(FORMAT.0.to_owned(), FORMAT.1.to_owned())]);
    Provenance::of_network(network).write(&mut metadata);
    for weight in &stored.stored.weights {
        metadata.insert(qtype_key(&weight.path), weight.qtype.to_string());
        let Some(values) = arrays.get_mut(&values_path(weight)) else { continue };
        let (elements, bits) = (narrowed(values, weight.qtype), packed_bits(weight.qtype));
        let packed = |elements: &[u8]| bits.map_or_else(|| elements.to_vec(), |bits| pack(elements, bits));
        let in_bytes = |bytes: Vec<u8>| Array::new([bytes.len()], bytes).expect("one axis of bytes");
        let (dense, (kept, gaps)) = (packed(elements.bytes()), compress(elements.bytes()));
        let sparse = packed(&kept);
        if sparse.len() + gaps.len() < dense.len() {
            *values = in_bytes(sparse);
            arrays.insert(gaps_path(weight), in_bytes(gaps));
        } else if bits.is_some() {
            *values = in_bytes(dense);
        }
    }
    ArrayFile { arrays, metadata }
}

fn values_path(weight: &StoredWeight) -> String {
    format!("{}/qvalue", weight.path)
}

/// The path of the zero counts between the values of a weight, if it is stored sparse.
fn gaps_path(weight: &StoredWeight) -> String {
    format!("{}/gaps", weight.path)
}

/// Reads the inputs of the network's forward pass from stored weights, by path, from the file of a [`Quantization`](super::Quantization).
/// `source` is the file's name in messages.
///
/// # Errors
/// Of kind `Input` for a file without quantized weights or one that does not fit the network and its rules: an array that is missing, of
/// another type or shape, or with a value that its type does not allow or a scale that is not positive.
pub fn read_weights(file: &ArrayFile, network: &Network, source: &str) -> Result<BTreeMap<String, Array>> {
    let stored = StoredNetwork::of(network)?;
    decode(file, &stored).map_err(|error| Error::input(format!("{source}: {error}")))
}

fn decode(file: &ArrayFile, stored: &StoredNetwork) -> Result<BTreeMap<String, Array>> {
    match file.metadata.get(FORMAT.0).map(String::as_str) {
        Some(format) if format == FORMAT.1 => {}
        Some(other) => {
            return Err(Error::input(format!("its format is `{other}`, but only `{}` is supported", FORMAT.1)));
        }
        None => return Err(Error::input("it holds no quantized weights; `spiq quantize` writes them")),
    }
    let weights = &stored.stored.weights;
    for weight in weights {
        let (found, wanted) = (file.metadata.get(&qtype_key(&weight.path)), weight.qtype.to_string());
        if found != Some(&wanted) {
            let found = found.map_or("of unknown type", String::as_str);
            return Err(Error::input(format!("`{}` is {found}, but the rules require {wanted}", weight.path)));
        }
    }
    let mut arrays = BTreeMap::new();
    for Port { name, ty, .. } in stored.inputs() {
        let array = file.arrays.get(name).ok_or_else(|| Error::input(format!("it lacks `{name}` ({ty})")))?;
        let of = |part: &str| weights.iter().find(|weight| *name == format!("{}/{part}", weight.path));
        let wrong = |reason: String| Error::input(format!("`{name}` {reason}"));
        let array = match of("qvalue") {
            Some(weight) => values(array, file.arrays.get(&gaps_path(weight)), ty, weight.qtype).map_err(wrong)?,
            None => same_type(array, ty).map_err(wrong)?,
        };
        if let Some(weight) = of("scale") {
            // An int1 weight has no value 0; all-zero weights have the scale 0 instead.
            let usable =
                |scale: &f64| scale.is_finite() && (*scale > 0.0 || weight.qtype == QType::Int1 && *scale == 0.0);
            if !array.to_f64().iter().all(usable) {
                return Err(wrong("has a scale that is not a positive number".into()));
            }
        }
        if let Some(weight) = of("zero_point") {
            in_range(&array, weight.qtype).map_err(wrong)?;
        }
        arrays.insert(name.clone(), array);
    }
    check_counted(&arrays)?;
    Ok(arrays)
}

/// The values of a weight in the form that the program takes, or the end of an error message.
fn values(array: &Array, gaps: Option<&Array>, ty: &TensorType, qtype: QType) -> std::result::Result<Array, String> {
    let all: usize = ty.dims.iter().product();
    let gaps = match gaps {
        Some(gaps) if gaps.dtype() == DType::U8 && gaps.dims().len() == 1 => Some(gaps.bytes()),
        Some(gaps) => return Err(format!("has gaps of the type {}, but they are bytes, u8[N]", gaps.ty())),
        None => None,
    };
    let count = gaps.map_or(all, followed);
    let bytes = match (packed_bits(qtype), gaps) {
        (None, None) => return same_type(array, ty).and_then(|array| in_range(&array, qtype).map(|()| array)),
        (None, Some(_)) => same_type(array, &TensorType::new(DType::U8, [count]))?.bytes().to_vec(),
        (Some(bits), _) => {
            let packed = same_type(array, &TensorType::new(DType::U8, [packed_len(count, bits)]))?;
            let signed = ty.dtype.kind() == Kind::Signed && qtype.range().0 < 0.0;
            unpack(packed.bytes(), bits, count, signed)
        }
    };
    let bytes = match gaps {
        Some(gaps) => {
            expand(&bytes, gaps, all).ok_or_else(|| format!("has gaps that do not fit its {all} elements"))?
        }
        None => bytes,
    };
    let array = match packed_bits(qtype) {
        Some(_) => widened(bytes, ty, qtype).map_err(|e| e.to_string())?,
        None => Array::from_bytes(ty.clone(), bytes).map_err(|e| e.to_string())?,
    };
    in_range(&array, qtype)?;
    Ok(array)
}

/// Whether the elements are 4-bit floats that the program stores in a wider type.
fn narrow_float(qtype: QType) -> bool {
    matches!(qtype, QType::Mxfp4 | QType::Nvfp4)
}

/// The values in a form whose low bits can be packed.
fn narrowed(values: &Array, qtype: QType) -> Array {
    let ty = TensorType::new(DType::F4E2M1FN, values.dims());
    match narrow_float(qtype) {
        true => Array::from_f64(ty, &values.to_f64()).expect("as many values as before"),
        false => values.clone(),
    }
}

/// Unpacked bytes in the form that the program takes.
fn widened(bytes: Vec<u8>, ty: &TensorType, qtype: QType) -> std::result::Result<Array, ArrayError> {
    match narrow_float(qtype) {
        true => {
            let narrow = Array::from_bytes(ty.with_dtype(DType::F4E2M1FN), bytes)?;
            Array::from_f64(ty.clone(), &narrow.to_f64())
        }
        false => Array::from_bytes(ty.clone(), bytes),
    }
}

fn same_type(array: &Array, ty: &TensorType) -> std::result::Result<Array, String> {
    if array.ty() == ty {
        Ok(array.clone())
    } else {
        Err(format!("is {}, but the model and its rules need {ty}", array.ty()))
    }
}

fn in_range(array: &Array, qtype: QType) -> std::result::Result<(), String> {
    let (low, high) = qtype.range();
    let possible = |value: &f64| match qtype {
        QType::Nf4 => (0.0..16.0).contains(value),
        QType::Int1 => value.abs() == 1.0,
        _ => (low..=high).contains(value),
    };
    match array.to_f64().iter().all(possible) {
        true => Ok(()),
        false => Err(format!("has a value that {qtype} cannot represent")),
    }
}
