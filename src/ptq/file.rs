//! Quantized weights in a safetensors file: packed when written, distrusted when read. Knows nothing of how they are
//! computed.

use std::collections::BTreeMap;

use spiq_hlo::{Array, ArrayError, DType, Kind, TensorType};

use super::pack::{pack, packed_bits, packed_len, unpack};
use super::program::StoredNetwork;
use crate::data::ArrayFile;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::provenance::Provenance;
use crate::quant::{QType, StoredWeight, check_counted};
use crate::signature::Port;

/// The metadata entry that says that a file holds quantized weights, and its value.
const FORMAT: (&str, &str) = ("weights", "quantized 1");

/// The metadata entry with the type of the weight at a path.
fn qtype_key(path: &str) -> String {
    format!("qtype:{path}")
}

/// Whether a file holds quantized weights.
pub fn is_quantized(file: &ArrayFile) -> bool {
    file.metadata.contains_key(FORMAT.0)
}

/// The file of everything that a forward pass takes, by path. Beside the arrays it says the model, its rules, whose numerics
/// they are meant for, and the type of each weight (`qtype:core/layers/0/kernel`).
pub(super) fn encode(network: &Network, stored: &StoredNetwork, mut arrays: BTreeMap<String, Array>) -> ArrayFile {
    let mut metadata = BTreeMap::from([(FORMAT.0.to_owned(), FORMAT.1.to_owned())]);
    Provenance::of_network(network).write(&mut metadata);
    for weight in &stored.stored.weights {
        metadata.insert(qtype_key(&weight.path), weight.qtype.to_string());
        if let Some((values, bits)) = arrays.get_mut(&values_path(weight)).zip(packed_bits(weight.qtype)) {
            let packed = pack(narrowed(values, weight.qtype).bytes(), bits);
            *values = Array::new([packed.len()], packed).expect("one axis of bytes");
        }
    }
    ArrayFile { arrays, metadata }
}

fn values_path(weight: &StoredWeight) -> String {
    format!("{}/qvalue", weight.path)
}

/// What the network's forward pass from stored weights takes, by path, out of the file of a [`Quantization`](super::Quantization).
/// `source` names the file in messages.
///
/// # Errors
/// Of kind `Input` for a file that holds no quantized weights or does not fit the network and its rules: an array that is
/// missing, of another type or shape, or with a value that its type or a scale cannot have.
pub fn read_weights(file: &ArrayFile, network: &Network, source: &str) -> Result<BTreeMap<String, Array>> {
    let stored = StoredNetwork::of(network)?;
    decode(file, &stored).map_err(|error| Error::input(format!("{source}: {error}")))
}

fn decode(file: &ArrayFile, stored: &StoredNetwork) -> Result<BTreeMap<String, Array>> {
    match file.metadata.get(FORMAT.0).map(String::as_str) {
        Some(format) if format == FORMAT.1 => {}
        Some(other) => return Err(Error::input(format!("its format is `{other}`, but only `{}` is known", FORMAT.1))),
        None => return Err(Error::input("it holds no quantized weights; `spiq quantize` writes them")),
    }
    let weights = &stored.stored.weights;
    for weight in weights {
        let (found, wanted) = (file.metadata.get(&qtype_key(&weight.path)), weight.qtype.to_string());
        if found != Some(&wanted) {
            let found = found.map_or("of no known type", String::as_str);
            return Err(Error::input(format!("`{}` is {found}, but the rules want {wanted}", weight.path)));
        }
    }
    let mut arrays = BTreeMap::new();
    for Port { name, ty, .. } in stored.inputs() {
        let array = file.arrays.get(name).ok_or_else(|| Error::input(format!("it lacks `{name}` ({ty})")))?;
        let of = |part: &str| weights.iter().find(|weight| *name == format!("{}/{part}", weight.path));
        let wrong = |reason: String| Error::input(format!("`{name}` {reason}"));
        let array = match of("qvalue") {
            Some(weight) => values(array, ty, weight.qtype).map_err(wrong)?,
            None => same_type(array, ty).map_err(wrong)?,
        };
        if let Some(weight) = of("scale") {
            // Zeros in int1 have no values of their own, but the scale 0.
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

/// The values of a weight as the program takes them, or what is wrong with them, as the end of a sentence.
fn values(array: &Array, ty: &TensorType, qtype: QType) -> std::result::Result<Array, String> {
    let array = match packed_bits(qtype) {
        None => same_type(array, ty)?,
        Some(bits) => {
            let count = ty.dims.iter().product();
            let packed = same_type(array, &TensorType::new(DType::U8, [packed_len(count, bits)]))?;
            let signed = ty.dtype.kind() == Kind::Signed && qtype.range().0 < 0.0;
            let bytes = unpack(packed.bytes(), bits, count, signed);
            widened(bytes, ty, qtype).map_err(|e| e.to_string())?
        }
    };
    in_range(&array, qtype)?;
    Ok(array)
}

/// The elements of 4 bits of a type that the program keeps in wider ones.
fn narrow_float(qtype: QType) -> bool {
    matches!(qtype, QType::Mxfp4 | QType::Nvfp4)
}

/// Values whose low bits are those to pack.
fn narrowed(values: &Array, qtype: QType) -> Array {
    let ty = TensorType::new(DType::F4E2M1FN, values.dims());
    match narrow_float(qtype) {
        true => Array::from_f64(ty, &values.to_f64()).expect("as many values as before"),
        false => values.clone(),
    }
}

/// Unpacked bytes as the program takes them.
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
        false => Err(format!("has a value that {qtype} cannot have")),
    }
}
