//! Signatures of compiled programs, and their serialized format.

use sha2::{Digest, Sha256};
use spiq_hlo::{DType, TensorType};

use super::abi::proto::{self, Value, Writer};
use super::element_type;
use crate::error::{Error, Result};

/// Inputs, outputs and donations of a compiled program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// The types of the inputs; `None` where neither the plugin nor the caller provides them.
    pub inputs: Option<Vec<TensorType>>,
    /// The types of the outputs.
    pub outputs: Vec<TensorType>,
    /// The inputs that alias an output when they are donated.
    pub donated: Vec<usize>,
}

/// Identifies the format of [`pack`]; a change to the format needs a new mark.
const MARK: &[u8; 8] = b"spiqexe1";
const CHECKSUM: usize = 32;

impl Signature {
    /// Checks the types of inputs.
    ///
    /// # Errors
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for a wrong number of inputs, or for the first one whose type differs.
    pub fn check<'a>(&self, given: impl ExactSizeIterator<Item = &'a TensorType>) -> Result<()> {
        let Some(wanted) = &self.inputs else { return Ok(()) };
        if wanted.len() != given.len() {
            return Err(Error::input(format!(
                "the program takes {} inputs, and {} were given",
                wanted.len(),
                given.len()
            )));
        }
        let wrong = wanted.iter().zip(given).enumerate().find(|(_, (wanted, given))| wanted != given);
        wrong.map_or(Ok(()), |(i, (wanted, given))| {
            Err(Error::input(format!("input {i} of the program is {wanted}, and {given} was given")))
        })
    }

    /// Reads inputs and donations from an optimized program, `xla.HloModuleProtoWithConfig` or `xla.HloModuleProto`.
    pub fn read_program(&mut self, program: &[u8], with_config: bool) -> Result<()> {
        let module = match with_config {
            true => find(program, 1).map_or(&[][..], Value::bytes),
            false => program,
        };
        if let Some(shape) = find(module, 4) {
            self.inputs = Some(all(shape.bytes(), 1).map(|input| read_shape(input.bytes())).collect::<Result<_>>()?);
        }
        let aliases = find(module, 8).map_or(&[][..], Value::bytes);
        self.donated = all(aliases, 1).map(|entry| find(entry.bytes(), 2).map_or(0, Value::number) as usize).collect();
        self.donated.sort_unstable();
        Ok(())
    }
}

/// The `xla.DebugOptions` in the configuration of an `xla.HloModuleProtoWithConfig`.
pub fn debug_options(program: &[u8]) -> Option<&[u8]> {
    Some(find(find(program, 2)?.bytes(), 14)?.bytes())
}

/// Reads an `xla.ShapeProto`.
fn read_shape(shape: &[u8]) -> Result<TensorType> {
    let dtype = element_type::from_xla(find(shape, 2).map_or(0, Value::number))?;
    let dims: Vec<usize> = all(shape, 3).flat_map(Value::numbers).map(|dim| dim as usize).collect();
    Ok(TensorType::new(dtype, dims))
}

fn find(message: &[u8], field: u64) -> Option<Value<'_>> {
    proto::fields(message).find(|(number, _)| *number == field).map(|(_, value)| value)
}

fn all(message: &[u8], field: u64) -> impl Iterator<Item = Value<'_>> {
    proto::fields(message).filter(move |(number, _)| *number == field).map(|(_, value)| value)
}

/// A compiled program as bytes: a mark, a checksum, the signature, and the plugin's serialized executable.
///
/// Plugins trust these bytes, so damaged ones must not reach them.
pub fn pack(signature: &Signature, program: &[u8]) -> Vec<u8> {
    let mut body = Writer::default();
    if let Some(inputs) = &signature.inputs {
        body.number(1, 1);
        for ty in inputs {
            body.bytes(2, &write_type(ty));
        }
    }
    for ty in &signature.outputs {
        body.bytes(3, &write_type(ty));
    }
    body.numbers(4, signature.donated.iter().map(|&i| i as u64)).bytes(5, program);
    let body = body.finish();
    [&MARK[..], &Sha256::digest(&body)[..], &body].concat()
}

/// The reverse of [`pack`].
///
/// # Errors
/// [`ErrorKind::Input`](crate::ErrorKind::Input) when the bytes are damaged or in another format.
pub fn unpack(bytes: &[u8]) -> Result<(Signature, &[u8])> {
    let damaged = || Error::input("these bytes are not a compiled program, or they are damaged");
    let (sum, body) = bytes.strip_prefix(MARK).and_then(|rest| rest.split_at_checked(CHECKSUM)).ok_or_else(damaged)?;
    if Sha256::digest(body)[..] != *sum {
        return Err(damaged());
    }
    let types =
        |field| all(body, field).map(|ty| read_type(ty.bytes()).ok_or_else(damaged)).collect::<Result<Vec<_>>>();
    let inputs = find(body, 1).map(|_| types(2)).transpose()?;
    let donated = all(body, 4).flat_map(Value::numbers).map(|i| i as usize).collect();
    let program = find(body, 5).ok_or_else(damaged)?.bytes();
    Ok((Signature { inputs, outputs: types(3)?, donated }, program))
}

fn write_type(ty: &TensorType) -> Vec<u8> {
    let mut message = Writer::default();
    message.bytes(1, ty.dtype.name().as_bytes()).numbers(2, ty.dims.iter().map(|&dim| dim as u64)).finish()
}

fn read_type(message: &[u8]) -> Option<TensorType> {
    let dtype = DType::from_name(std::str::from_utf8(find(message, 1)?.bytes()).ok()?)?;
    let dims: Vec<usize> = all(message, 2).flat_map(Value::numbers).map(|dim| dim as usize).collect();
    Some(TensorType::new(dtype, dims))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Signature {
        let ty = |dims: &[usize]| TensorType::new(DType::S4, dims);
        Signature { inputs: Some(vec![ty(&[]), ty(&[2, 300])]), outputs: vec![ty(&[0])], donated: vec![1] }
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        for signature in
            [sample(), Signature::default(), Signature { inputs: Some(Vec::new()), ..Signature::default() }]
        {
            let bytes = pack(&signature, b"program");
            assert_eq!(unpack(&bytes).expect("just packed"), (signature, &b"program"[..]));
        }
    }

    #[test]
    fn damage_is_seen() {
        let bytes = pack(&sample(), b"program");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(unpack(&damaged).is_err(), "a changed byte {at}");
            assert!(unpack(&bytes[..at]).is_err(), "only {at} bytes");
        }
    }

    #[test]
    fn inputs_are_compared() {
        let given = [TensorType::scalar(DType::S4), TensorType::new(DType::S4, [2, 301])];
        let message = sample().check(given.iter()).expect_err("another shape").to_string();
        assert_eq!(message, "input 1 of the program is s4[2,300], and s4[2,301] was given");
        let message = sample().check(given[..1].iter()).expect_err("one is missing").to_string();
        assert_eq!(message, "the program takes 2 inputs, and 1 were given");
    }
}
