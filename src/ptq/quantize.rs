//! Quantizes a network's weights and reports the error of each.

use std::collections::BTreeMap;

use spiq_hlo::{Array, Function, Tensor, TensorType, trace};

use super::file::encode;
use super::program::{StoredNetwork, stored_of};
use crate::capacity;
use crate::compile::Program;
use crate::data::ArrayFile;
use crate::error::Result;
use crate::network::Network;
use crate::pjrt::{Client, Input, Platform};
use crate::quant::{QType, StoredWeight, check_counted, missing};
use crate::signature::Port;

/// Quantized weights, ready to be written, and a report per weight.
#[derive(Clone, Debug)]
pub struct Quantization {
    /// The file that [`read_weights`](super::read_weights) reads.
    pub file: ArrayFile,
    /// One row per weight.
    pub weights: Vec<WeightReport>,
    /// Bytes of all arrays before.
    pub before: usize,
    /// Bytes of all arrays after.
    pub after: usize,
}

/// The result of quantizing a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightReport {
    /// Its path, for example `core/layers/0/kernel`.
    pub path: String,
    /// Its quantized type.
    pub qtype: QType,
    /// Bytes before.
    pub before: usize,
    /// Bytes after, including scales and zero points.
    pub after: usize,
    /// The largest absolute error.
    pub max_error: f64,
    /// The RMS error, divided by the RMS of the weight.
    pub rms_error: f64,
}

/// Quantizes a network's weights by its rules. `params` holds the parameters by path, and the statistics for static scales.
///
/// # Errors
/// Of kind `Input`: missing or mismatched parameters or statistics, rules that quantize no weight; PJRT's errors.
pub fn quantize_weights(client: &Client, network: &Network, params: &BTreeMap<String, Array>) -> Result<Quantization> {
    let stored = StoredNetwork::of(network)?;
    check_counted(params)?;
    let wanted = |(name, ty): (&String, &TensorType)| checked(params, name, ty);
    let prepare = &stored.stored.prepare;
    let given: Vec<Array> =
        prepare.input_names().iter().zip(&prepare.input_types()).map(wanted).collect::<Result<_>>()?;
    let results = run(client, prepare, &given)?;
    let (mut arrays, mut weights, mut rest) = (BTreeMap::new(), Vec::new(), results.as_slice());
    let names = &mut stored.stored.parts.iter().map(|(name, _)| name);
    for weight in &stored.stored.weights {
        let (original, parts) = (&rest[0], &rest[1..=weight.parts]);
        arrays.extend(names.take(weight.parts).cloned().zip(parts.iter().cloned()));
        let taken = Taken { params, stored: &stored, path: &weight.path };
        weights.push(WeightReport { before: taken.bytes(), ..report(client, weight, original, parts)? });
        rest = &rest[1 + weight.parts..];
    }
    for Port { name, ty, .. } in stored.inputs() {
        if !arrays.contains_key(name) {
            arrays.insert(name.clone(), wanted((name, ty))?);
        }
    }
    let before = network.array_types().keys().filter_map(|path| params.get(path)).map(|a| a.bytes().len()).sum();
    let file = encode(network, &stored, arrays);
    for row in &mut weights {
        let own = format!("{}/", row.path);
        row.after = file.arrays.iter().filter(|(name, _)| name.starts_with(&own)).map(|(_, a)| a.bytes().len()).sum();
    }
    let after = file.arrays.values().map(|a| a.bytes().len()).sum();
    Ok(Quantization { file, weights, before, after })
}

/// The dequantized values of the parameters that a network's rules quantize as weights, by path; empty if there are none. If a layer
/// multiplies with several copies of a parameter, the value is their sum.
///
/// # Errors
/// As [`quantize_weights`], except that rules may quantize no weight.
pub fn rounded_weights(
    client: &Client,
    network: &Network,
    params: &BTreeMap<String, Array>,
) -> Result<BTreeMap<String, Array>> {
    let stored = match network.rules().is_empty() {
        true => return Ok(BTreeMap::new()),
        false => stored_of(network)?.0,
    };
    let prepare = &stored.prepare;
    let inputs: Vec<(&str, TensorType)> =
        prepare.input_names().iter().map(String::as_str).zip(prepare.input_types()).collect();
    let rounded = trace(&inputs, |given: &[Tensor]| {
        let Some(first) = given.first() else { return Vec::new() };
        let mut results = prepare.call(first.graph(), given).into_iter();
        let mut of = |weight: &StoredWeight| {
            // The original, followed by its parts.
            let parts: Vec<Tensor> = results.by_ref().take(1 + weight.parts).collect();
            weight.dequantize(&parts[1], &parts[2], parts.get(3))
        };
        stored.weights.iter().map(&mut of).collect()
    })?;
    let given: Vec<Array> = inputs.iter().map(|(name, ty)| checked(params, name, ty)).collect::<Result<_>>()?;
    let rounded = if stored.weights.is_empty() { Vec::new() } else { run(client, &rounded, &given)? };
    let types = network.parameter_types();
    let as_parameter = |(weight, rounded): (&StoredWeight, Array)| {
        Some((weight.path.clone(), as_parameter(&rounded, types.get(&weight.path)?)?))
    };
    Ok(stored.weights.iter().zip(rounded).filter_map(as_parameter).collect())
}

/// A weight in the shape of its parameter. A layer may multiply with a matrix of the same elements, or with one matrix per delay, in which
/// each element appears once.
fn as_parameter(weight: &Array, ty: &TensorType) -> Option<Array> {
    let (values, count) = (weight.to_f64(), ty.count());
    if count == 0 || !values.len().is_multiple_of(count) {
        return None;
    }
    let sum = |place: usize| values[place..].iter().step_by(count).sum::<f64>() as f32;
    Array::new(ty.dims.as_slice(), (0..count).map(sum).collect::<Vec<_>>()).ok()
}

/// The parameter of this name, checked to be of this type.
fn checked(params: &BTreeMap<String, Array>, name: &str, ty: &TensorType) -> Result<Array> {
    match params.get(name) {
        Some(array) if array.ty() == ty => Ok(array.clone()),
        _ => Err(missing(name, ty)),
    }
}

/// The parameters that a stored weight replaces.
struct Taken<'a> {
    params: &'a BTreeMap<String, Array>,
    stored: &'a StoredNetwork,
    path: &'a str,
}

impl Taken<'_> {
    /// Bytes of the layer's parameters that the network no longer reads: for a weight with a delay, both.
    fn bytes(&self) -> usize {
        let layer = self.path.rsplit_once('/').map_or("", |(layer, _)| layer);
        let is_read = |path: &String| self.stored.inputs().any(|port| port.name == *path);
        let own = |path: &String| path.rsplit_once('/').is_some_and(|(own, _)| own == layer) && !is_read(path);
        self.params.iter().filter(|(path, _)| own(path)).map(|(_, array)| array.bytes().len()).sum()
    }
}

fn run(client: &Client, function: &Function, inputs: &[Array]) -> Result<Vec<Array>> {
    let results = capacity::bytes(function.result_types().iter());
    let on_processor = client.platform() == Some(Platform::Cpu);
    capacity::check_running("quantizing this model", function.input_types().iter(), results, on_processor)?;
    let program = Program::named("quantize").compile(client, function)?;
    let buffers = inputs.iter().map(|a| client.to_device(a)).collect::<Result<Vec<_>>>()?;
    let outputs = program.execute(buffers.into_iter().map(Input::Donate).collect())?;
    outputs.iter().map(|buffer| buffer.to_array()).collect()
}

/// A weight's row; its size after quantization is only known once it is packed.
fn report(client: &Client, weight: &StoredWeight, original: &Array, parts: &[Array]) -> Result<WeightReport> {
    let inputs: Vec<_> = parts.iter().map(|part| ("", part.ty().clone())).collect();
    let again = trace(&inputs, |parts: &[Tensor]| vec![weight.dequantize(&parts[0], &parts[1], parts.get(2))]);
    let again = run(client, &again?, parts)?.remove(0).to_f64();
    let original_values = original.to_f64();
    let square = |sum: f64, x: f64| sum + x * x;
    let (mut max_error, mut sum) = (0.0f64, 0.0);
    for (a, b) in original_values.iter().zip(&again) {
        max_error = max_error.max((a - b).abs());
        sum = square(sum, a - b);
    }
    let size = original_values.iter().fold(0.0, |sum, x| square(sum, *x));
    // `max` ignores NaN; the sum propagates it.
    let max_error = if sum.is_nan() { f64::NAN } else { max_error };
    let rms_error = if size == 0.0 { sum.sqrt() } else { (sum / size).sqrt() };
    let before = original.bytes().len();
    Ok(WeightReport { path: weight.path.clone(), qtype: weight.qtype, before, after: 0, max_error, rms_error })
}
