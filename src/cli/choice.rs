//! Choices by name that several commands offer. Knows nothing of what they lead to.

use clap::ValueEnum;
use spiq::pjrt::Platform;
use spiq::quant::{self, Mode};

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
    /// as qwix does, to the last bit, its rounding of spikes included
    Qwix,
}

impl From<Numerics> for quant::Numerics {
    fn from(numerics: Numerics) -> quant::Numerics {
        match numerics {
            Numerics::Qwix => quant::Numerics::Qwix,
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
