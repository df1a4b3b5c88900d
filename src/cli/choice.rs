//! Choices by name that several commands offer. Knows nothing of what they lead to.

use clap::ValueEnum;
use spiq::pjrt::Platform;
use spiq::provenance;
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
    /// by the rules; spikes are integers and stay as they are
    Exact,
    /// as qwix does, its rounding of spikes included
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

/// What training does at a step of which a number is not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnNan {
    /// say where the number began, and keep what was saved before
    Stop,
    /// leave parameters and the optimizer's state as they were before the step, and go on
    Skip,
    /// take no notice
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
