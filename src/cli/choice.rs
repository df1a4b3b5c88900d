//! Named choices that several commands offer as flags.

use clap::ValueEnum;
use spiq::pjrt::Platform;
use spiq::provenance;
use spiq::quant::{self, Mode};

/// The device that runs programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// this machine's processor
    Cpu,
    /// an NVIDIA GPU
    #[value(alias = "gpu")]
    Cuda,
    /// a Google TPU
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
    /// according to the rules; spikes are integers and are never rounded
    Exact,
    /// like qwix, which rounds spikes as well
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

/// The element type of products in the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GradDtype {
    /// that of the operands
    F32,
    /// operands in bf16, sums in f32; exact for spikes
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

/// The element type of the products that no rule quantizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// that of the parameters
    F32,
    /// operands in bf16, sums in f32
    Bf16,
}

impl From<Precision> for quant::Precision {
    fn from(precision: Precision) -> quant::Precision {
        match precision {
            Precision::F32 => quant::Precision::F32,
            Precision::Bf16 => quant::Precision::Bf16,
        }
    }
}

/// The precision of products of f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MatmulPrecision {
    /// that of the device
    Default,
    /// f32 on every device
    Highest,
}

/// What training does at a step with NaN or infinite values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnNan {
    /// report where the value first appeared, and keep what was saved before
    Stop,
    /// undo the step, including the optimizer's state, and continue
    Skip,
    /// ignore it
    Continue,
}

impl From<OnNan> for provenance::OnNan {
    fn from(answer: OnNan) -> provenance::OnNan {
        match answer {
            OnNan::Stop => provenance::OnNan::Stop,
            OnNan::Skip => provenance::OnNan::Skip,
            OnNan::Continue => provenance::OnNan::Continue,
        }
    }
}

/// How rules affect the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rounding {
    /// quantization-aware training: gradients pass straight through the rounding
    Qat,
    /// post-training quantization: same outputs, no gradient
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
