//! Compile options, and their encoding for PJRT.

use super::abi::api::Value;
use super::abi::platform::Platform;
use super::abi::proto::Writer;
use spiq_hlo::TensorType;

/// Size limit, in bytes, of the largest array of a program that the CPU executes sequentially.
const IN_ORDER: usize = 1 << 15;

/// Compile options. The default is one replica on the first device, with both caches.
///
/// ```
/// use spiq::pjrt::{CompileOptions, Value};
/// let options = CompileOptions::default().with_flag("xla_gpu_enable_triton_gemm", Value::Bool(false));
/// assert_eq!(options.flags.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CompileOptions {
    /// Number of copies of the program, which run on different data.
    pub replicas: usize,
    /// Number of devices that share one copy.
    pub partitions: usize,
    /// The id of the device to run on; `None`: the first one. Only for one replica and one partition.
    pub device: Option<i32>,
    /// XLA flags for this program only, without `--`, in this order.
    pub flags: Vec<(String, Value)>,
    /// The types of the program's inputs, for plugins that do not report them. Inputs are checked against them before each run.
    pub inputs: Option<Vec<TensorType>>,
    /// Whether compiled programs are cached, in memory and on disk. `SPIQ_NO_CACHE=1` also disables the disk cache.
    pub cache: bool,
}

impl Default for CompileOptions {
    fn default() -> CompileOptions {
        CompileOptions { replicas: 1, partitions: 1, device: None, flags: Vec::new(), inputs: None, cache: true }
    }
}

impl CompileOptions {
    /// Adds an XLA flag.
    pub fn with_flag(mut self, name: impl Into<String>, value: Value) -> CompileOptions {
        self.flags.push((name.into(), value));
        self
    }

    /// Adapts the options to a platform and to the size in bytes of the program's largest array. The CPU executes a small program
    /// sequentially: handing an operation to another thread would cost more than the operation.
    pub(crate) fn for_largest(self, platform: Option<Platform>, bytes: usize) -> CompileOptions {
        match platform == Some(Platform::Cpu) && bytes <= IN_ORDER {
            true => self.with_flag("xla_cpu_enable_concurrency_optimized_scheduler", Value::Bool(false)),
            false => self,
        }
    }

    /// Encodes an `xla.CompileOptionsProto`. `always` are the flags of every program; those that this program sets itself are left out.
    /// `base` are the options that all of these modify (`xla.DebugOptions`); empty for the plugin's own.
    pub(super) fn encode(&self, always: &[(String, Value)], base: &[u8]) -> Vec<u8> {
        let mut build = Writer::default();
        build.number(4, self.replicas as u64).number(5, self.partitions as u64);
        if let Some(device) = self.device {
            build.number(1, u64::from(device.unsigned_abs())).bytes(9, &assignment(device));
        }
        if !base.is_empty() {
            build.bytes(3, base);
        }
        let mut options = Writer::default();
        options.bytes(3, &build.finish());
        let own = |name: &str| self.flags.iter().any(|(own, _)| own == name);
        for (name, value) in self.flags.iter().chain(always.iter().filter(|(name, _)| !own(name))) {
            let entry = Writer::default().bytes(1, name.as_bytes()).bytes(2, &encode_flag(value)).finish();
            options.bytes(7, &entry);
        }
        options.finish()
    }
}

/// `xla.DeviceAssignmentProto` of one device.
fn assignment(device: i32) -> Vec<u8> {
    let devices = Writer::default().numbers(1, [u64::from(device.unsigned_abs())]).finish();
    Writer::default().number(1, 1).number(2, 1).bytes(3, &devices).finish()
}

/// `xla.OptionOverrideProto`.
fn encode_flag(value: &Value) -> Vec<u8> {
    let mut flag = Writer::default();
    match value {
        Value::Text(text) => flag.bytes(1, text.as_bytes()),
        Value::Bool(bool) => flag.number(2, u64::from(*bool)),
        Value::Int(int) => flag.number(3, *int as u64),
        Value::Float(float) => flag.double(4, *float),
        Value::Ints(_) => flag.bytes(1, value.to_string().as_bytes()),
    };
    flag.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_message() {
        assert_eq!(CompileOptions::default().encode(&[], &[]), [0x1a, 4, 0x20, 1, 0x28, 1]);
    }

    #[test]
    fn small_programs_run_in_order_on_the_processor() {
        let named = |platform, bytes| CompileOptions::default().for_largest(platform, bytes).flags.len();
        let cpu = Some(Platform::Cpu);
        assert_eq!([named(cpu, IN_ORDER), named(cpu, IN_ORDER + 1)], [1, 0]);
        assert_eq!([named(Some(Platform::Cuda), 1), named(None, 1)], [0, 0]);
    }

    #[test]
    fn a_programs_own_flag_wins() {
        let (on, off) = (Value::Bool(true), Value::Bool(false));
        let always = [("a".to_owned(), off.clone())];
        let own = CompileOptions::default().with_flag("a", on.clone());
        assert_eq!(own.encode(&always, &[]), own.encode(&[], &[]));
        let other = CompileOptions::default().with_flag("b", on);
        assert_eq!(other.encode(&always, &[]), other.clone().with_flag("a", off).encode(&[], &[]));
    }
}
