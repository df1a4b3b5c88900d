//! Estimates the time of a run on an NVIDIA card, from the bytes that its operations move, the arithmetic of its products, and its launches.

use std::fmt;

use spiq_hlo::DType;

use super::hlo_text::{Instruction, Module};
use super::product::Product;
use super::report::Launches;

/// The lower bounds of a run's time, in seconds. A run takes the largest at least, and their sum if nothing overlaps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Operands and results of all operations at the card's memory bandwidth, without caches.
    pub memory: f64,
    /// Products at the rates of the matrix units for their types.
    pub products: f64,
    /// Starting and ending kernels and graphs.
    pub launches: f64,
    /// The bytes behind `memory`.
    pub bytes: u64,
}

/// Seconds that a kernel inside a graph takes at least, and that the launch of a graph takes: seen in profiles of an H200.
const OF_KERNEL: f64 = 1.5e-6;
const OF_GRAPH: f64 = 8e-6;

/// The speeds of a card, read from XLA's description.
#[derive(Debug, PartialEq)]
pub(super) struct Speeds {
    /// Bytes per second.
    bandwidth: f64,
    cores: f64,
    /// XLA's number of an element type, and multiplications per second on one core.
    rates: Vec<(u64, f64)>,
}

impl Speeds {
    /// The speeds in a `GpuTargetConfigProto` as text; `None` if it does not describe matrix units.
    pub(super) fn read(config: &str) -> Option<Speeds> {
        let (_, units) = config.split_once("matrix_unit_description {")?;
        let rates = units.split("rate_infos {").skip(1).map(|info| {
            let [clock, units, operations] =
                ["clock_rate_ghz", "units_per_core", "ops_per_clock"].map(|n| number(info, n));
            Some((number(info, "key")? as u64, 1e9 * clock? * units? * operations?))
        });
        Some(Speeds {
            bandwidth: number(config, "memory_bandwidth")?,
            cores: number(config, "core_count")?,
            rates: rates.collect::<Option<_>>()?,
        })
    }

    /// Multiplications per second for operands of a type; that of the slowest unit for types without one.
    fn rate(&self, dtype: DType) -> f64 {
        let listed = |key| self.rates.iter().find(|(of, _)| *of == key).map(|(_, rate)| *rate);
        let slowest = self.rates.iter().map(|(_, rate)| *rate).fold(f64::INFINITY, f64::min);
        self.cores * xla_number(dtype).and_then(listed).unwrap_or(slowest)
    }
}

/// The number after `name:`.
fn number(text: &str, name: &str) -> Option<f64> {
    let (_, rest) = text.split_once(&format!("{name}: "))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// `xla.PrimitiveType` of an element type that matrix units take.
fn xla_number(dtype: DType) -> Option<u64> {
    Some(match dtype {
        DType::S8 => 2,
        DType::U8 => 6,
        DType::F16 => 10,
        DType::F32 => 11,
        DType::F64 => 12,
        DType::BF16 => 16,
        DType::F8E5M2 => 19,
        DType::F8E4M3FN => 20,
        _ => return None,
    })
}

impl Estimate {
    pub(super) fn of(speeds: &Speeds, module: &Module, products: &[Product], launches: Option<Launches>) -> Estimate {
        let bytes = moved(module, module.entry());
        let Launches { launches, graphs } = launches.unwrap_or_default();
        Estimate {
            bytes,
            memory: bytes as f64 / speeds.bandwidth,
            products: products.iter().map(|one| one.multiplications() as f64 / speeds.rate(one.lhs.dtype)).sum(),
            launches: OF_KERNEL * launches as f64 + OF_GRAPH * graphs as f64,
        }
    }

    /// What bounds the run.
    fn bound(&self) -> &'static str {
        let parts = [(self.memory, "memory"), (self.products, "products"), (self.launches, "launches")];
        parts.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).map_or("", |(_, name)| name)
    }
}

/// `estimated time: 0.25 to 0.44 ms (1.2 GB of memory 0.25, products 0.09, launches 0.10), bound by memory`.
impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.memory, self.products, self.launches].map(|seconds| 1e3 * seconds);
        let largest = parts.into_iter().fold(0.0, f64::max);
        let [memory, products, launches] = parts;
        write!(
            f,
            "estimated time: {largest:.3} to {:.3} ms (memory {memory:.3} for {:.2} GB, products {products:.3}, launches {launches:.3}), bound by {}",
            parts.iter().sum::<f64>(),
            self.bytes as f64 / 1e9,
            self.bound()
        )
    }
}

/// Bytes of all operands and results; those of a loop count once per iteration.
fn moved(module: &Module, computation: &str) -> u64 {
    module.computation(computation).iter().map(|instruction| moved_by(module, computation, instruction)).sum()
}

fn moved_by(module: &Module, computation: &str, instruction: &Instruction) -> u64 {
    if let Some(body) = instruction.body() {
        return instruction.known_turns().unwrap_or(1) * moved(module, body);
    }
    if matches!(instruction.opcode, "parameter" | "constant" | "tuple" | "get-tuple-element" | "bitcast") {
        return 0;
    }
    let operands = instruction.operands.iter().filter_map(|name| module.find(computation, name));
    size(instruction.ty) + operands.map(|operand| size(operand.ty)).sum::<u64>()
}

/// Bytes of a type as XLA writes it: `f32[8,4]`, `(s8[2]{0}, f32[])`.
fn size(ty: &str) -> u64 {
    let arrays = ty.split(['(', ')', ' ']).filter_map(|part| part.split_once('['));
    let bytes = arrays.filter_map(|(dtype, rest)| {
        let dims = rest.split(']').next()?;
        let count: u64 = dims
            .split(',')
            .filter(|size| !size.is_empty())
            .map(|size| size.parse::<u64>().ok())
            .product::<Option<u64>>()?;
        Some((count * bits(dtype)).div_ceil(8))
    });
    bytes.sum()
}

/// Bits of an element, of XLA's name of its type: `bf16`, `s8`, `f8e4m3fn`, `pred`.
fn bits(dtype: &str) -> u64 {
    let digits = dtype.trim_start_matches(char::is_alphabetic);
    let leading: String = digits.chars().take_while(char::is_ascii_digit).collect();
    leading.parse().unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "gpu_device_info {
  core_count: 100
  memory_bandwidth: 2000000000000
  matrix_unit_description {
    rate_infos { key: 2 value { clock_rate_ghz: 2 units_per_core: 4 ops_per_clock: 1024 } }
    rate_infos { key: 16 value { clock_rate_ghz: 2 units_per_core: 4 ops_per_clock: 512 } }
  }";

    #[test]
    fn sizes_of_types() {
        assert_eq!(
            [size("f32[8,4]"), size("pred[3]"), size("s4[3]"), size("f8e4m3fn[5]"), size("f32[]")],
            [128, 3, 2, 5, 4]
        );
        assert_eq!(size("(s8[2]{0}, bf16[2,2]{1,0})"), 10);
    }

    #[test]
    fn rates_are_those_of_the_type() {
        let speeds = Speeds::read(CARD).expect("a card with matrix units");
        assert_eq!([speeds.rate(DType::S8), speeds.rate(DType::BF16)], [8.192e14, 4.096e14]);
        assert_eq!(speeds.rate(DType::S32), speeds.rate(DType::BF16), "the slowest");
        assert_eq!(Speeds::read("gpu_device_info { core_count: 1 }"), None);
    }

    #[test]
    fn a_loop_moves_its_bytes_in_each_iteration() {
        let text = r#"HloModule step
%body (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %fusion = f32[4]{0} fusion(%p), kind=kLoop, calls=%f
}

ENTRY %main (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  %add = f32[4]{0} fusion(%a), kind=kLoop, calls=%f
  ROOT %while = f32[4]{0} while(%add), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"3"}}
}
"#;
        let module = Module::parse(text);
        assert_eq!(moved(&module, module.entry()), 32 + 3 * 32);
        let speeds = Speeds::read(CARD).expect("a card with matrix units");
        let estimate = Estimate::of(&speeds, &module, &[], Some(Launches { launches: 4, graphs: 1 }));
        assert!(estimate.to_string().ends_with("bound by launches"), "{estimate}");
    }
}
