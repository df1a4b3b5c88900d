//! Choices by name that several commands offer. Knows nothing of what they lead to.

use std::collections::BTreeMap;

use clap::ValueEnum;
use spiq::pjrt::Platform;
use spiq::quant::{self, Mode};
use spiq::{Error, Result};

/// Where programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// this machine's processor
    Cpu,
    /// an NVIDIA graphics processor
    #[value(alias = "gpu")]
    Cuda,
    /// a tensor processor of Google's
    Tpu,
}

impl From<Device> for Platform {
    fn from(device: Device) -> Platform {
        match device {
            Device::Cpu => Platform::Cpu,
            Device::Cuda => Platform::Cuda,
            Device::Tpu => Platform::Tpu,
        }
    }
}

/// How numbers are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Numerics {
    /// by the rules; spikes are integers and stay as they are
    Exact,
    /// as qwix does, to the last bit, its rounding of spikes included
    Qwix,
}

impl From<Numerics> for quant::Numerics {
    fn from(numerics: Numerics) -> quant::Numerics {
        match numerics {
            Numerics::Exact => quant::Numerics::Exact,
            Numerics::Qwix => quant::Numerics::Qwix,
        }
    }
}

/// How numbers are rounded: as a flag says, else as in the run that a file's metadata are from, else by the rules.
///
/// # Errors
/// Of kind `Input` when the metadata name no rounding that there is. `source` names the file.
pub fn numerics(flag: Option<Numerics>, metadata: &BTreeMap<String, String>, source: &str) -> Result<quant::Numerics> {
    match (flag, metadata.get("numerics")) {
        (Some(numerics), _) => Ok(numerics.into()),
        (None, None) => Ok(quant::Numerics::default()),
        (None, Some(name)) => quant::Numerics::from_name(name).ok_or_else(|| {
            Error::input(format!(
                "{source}: its metadata name the numerics `{name}`, which is unknown; give --numerics"
            ))
        }),
    }
}

/// The element type of the products on the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GradDtype {
    /// that of the operands
    F32,
    /// operands in bf16, sums in f32; spikes lose nothing by it
    Bf16,
}

impl From<GradDtype> for quant::Gradients {
    fn from(dtype: GradDtype) -> quant::Gradients {
        match dtype {
            GradDtype::F32 => quant::Gradients::Full,
            GradDtype::Bf16 => quant::Gradients::Bf16,
        }
    }
}

/// What rules do to the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rounding {
    /// quantization-aware training: gradients pass straight through the rounding
    Qat,
    /// post-training quantization: the same outputs, no gradient
    Ptq,
}

impl From<Rounding> for Mode {
    fn from(rounding: Rounding) -> Mode {
        match rounding {
            Rounding::Qat => Mode::Qat,
            Rounding::Ptq => Mode::Ptq,
        }
    }
}
