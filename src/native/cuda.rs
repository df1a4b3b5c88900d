//! What XLA's NVIDIA compiler makes of a program's products, judged by the kernels' own instructions. Knows no other compiler.

use std::collections::HashMap;

use super::cuda_cards;
use super::hlo_text::{Instruction, Module};
use super::product::Product;
use super::report::{Report, Row};
use super::thunks;
use super::{Compiled, advice};
use crate::error::Result;
use crate::pjrt::{Platform, Plugin, Topology, Value};

pub(super) fn report(card: &str, compiled: &Compiled) -> Result<Report> {
    let plugin = Plugin::of(Platform::Cuda)?;
    let card = cuda_cards::find(plugin.path(), card)?;
    let described = [("topology", "1x1x1"), ("target_config", card.config.as_str())];
    let described = described.map(|(name, text)| (name.to_owned(), Value::Text(text.to_owned())));
    let topology = Topology::new(plugin, "", &described)?;
    // Without a card nothing is tuned by trial: the cost model chooses better tiles than the fixed default. The assembly is
    // written only where the emitter's name matches.
    let options = compiled
        .options
        .clone()
        .with_flag("xla_gpu_experimental_cost_model_gemm_tiling_default", Value::Bool(true))
        .with_flag("xla_dump_emitter_re", Value::Text("ptx".to_owned()));
    let (ahead, dump) = topology.dump(&compiled.text, &options)?;
    let (hlo, assembly) = (dump.optimized_hlo()?, dump.ptx()?);
    let module = Module::parse(&hlo);
    let kernels = kernels(&assembly);
    let rows = compiled.products.iter().map(|product| row(product, &module, &kernels)).collect();
    let launches = dump.thunks()?.map(|text| thunks::count(&text, &loops(&hlo)));
    Ok(Report { target: card.name, rows, memory: ahead.memory().ok(), launches })
}

/// The lengths of the loops in the order of the program, 0 where one is not known.
fn loops(hlo: &str) -> Vec<u64> {
    let length = |line: &str| {
        let (_, rest) = line.split_once("\"known_trip_count\":{\"n\":\"")?;
        rest.split('"').next()?.parse().ok()
    };
    hlo.lines().filter(|line| line.contains(" while(")).map(|line| length(line).unwrap_or(0)).collect()
}

/// The assembly of each kernel by its name.
fn kernels(assembly: &[String]) -> HashMap<&str, &str> {
    assembly.iter().flat_map(|text| text.split(".entry ").skip(1)).filter_map(|part| part.split_once('(')).collect()
}

fn row(product: &Product, module: &Module, kernels: &HashMap<&str, &str>) -> Row {
    let low_precision = product.is_low_precision();
    let found = module.product(&product.label).map(|(place, i)| module.caller(place).map_or(i, |(_, caller)| caller));
    let library = module.instructions().find(|(_, i)| i.op_name() == product.label && i.opcode == "custom-call");
    let (unit, cost, native) = match (library, found) {
        (Some((_, call)), _) => library_call(call, product),
        (None, Some(fusion)) => fused(fusion, kernels, product),
        (None, None) => ("merged into another operation".to_owned(), String::new(), true),
    };
    let advice = match (native, low_precision) {
        (true, true) => String::new(),
        (false, true) if unit.starts_with("loop") => advice::plain_loop(product),
        (false, true) => advice::materialize(),
        (_, false) => advice::full_precision(product),
    };
    Row {
        path: product.path().to_owned(),
        op: product.op,
        written: product.spelling(),
        unit,
        cost,
        native,
        low_precision,
        advice,
    }
}

/// A product handed to cuBLAS or cuDNN.
fn library_call(call: &Instruction, product: &Product) -> (String, String, bool) {
    let target = call.target().unwrap_or_default();
    let float8 = target.contains("$f8");
    let native = !product.lhs.dtype.is_float() || float8 || !product.is_low_precision();
    let library = if target.contains("cudnn") { "cuDNN" } else { "cuBLAS" };
    (format!("{library}, {}", product.lhs.dtype), target.to_owned(), native)
}

/// A product inside a kernel that XLA generates: its instructions tell the unit.
fn fused(fusion: &Instruction, kernels: &HashMap<&str, &str>, product: &Product) -> (String, String, bool) {
    let code = kernels.get(fusion.name.replace(['.', '-'], "_").as_str()).copied().unwrap_or_default();
    let unit = code.lines().find_map(tensor_core);
    let native = match &unit {
        Some(unit) => !product.is_low_precision() || reads(unit, product),
        None => !product.is_low_precision(),
    };
    (unit.unwrap_or_else(|| "loop over elements".to_owned()), fusion.name.to_owned(), native)
}

/// The matrix instruction in a line of assembly: `wgmma s32.s8.s8`.
fn tensor_core(line: &str) -> Option<String> {
    let instruction = line.split_whitespace().next()?;
    let name = ["wgmma.mma_async", "tcgen05.mma", "mma.sync"].into_iter().find(|name| instruction.starts_with(name))?;
    let short = name.split('.').next().unwrap_or(name);
    let types: Vec<&str> = instruction.trim_end_matches(';').split('.').filter(|part| is_type(part)).collect();
    Some(format!("{short} {}", types.join(".")))
}

fn is_type(part: &str) -> bool {
    matches!(
        part,
        "s32" | "s8" | "u8" | "s4" | "u4" | "f64" | "f32" | "f16" | "bf16" | "tf32" | "e4m3" | "e5m2" | "e2m1"
    )
}

/// Whether a matrix instruction reads the types that the product is written in.
fn reads(unit: &str, product: &Product) -> bool {
    let name = match product.lhs.dtype.name() {
        "f8E4M3FN" => "e4m3",
        "f8E5M2" => "e5m2",
        "f4E2M1FN" => "e2m1",
        name => name,
    };
    unit.split([' ', '.']).any(|part| part == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pjrt::{CompileOptions, find};

    /// LLVM is told with the program how to divide: XLA's own way is approximate.
    #[test]
    fn f32_is_divided_exactly() {
        if find(Platform::Cuda).is_none() {
            eprintln!("SKIPPED: there is no cuda plugin; `spiq plugin install cuda13` fetches it");
            return;
        }
        let plugin = Plugin::of(Platform::Cuda).expect("a plugin");
        let card = cuda_cards::find(plugin.path(), "h100").expect("a known card");
        let described = [("topology", "1x1x1"), ("target_config", card.config.as_str())];
        let described = described.map(|(name, text)| (name.to_owned(), Value::Text(text.to_owned())));
        let topology = Topology::new(plugin, "", &described).expect("a topology");
        let f32 = "tensor<64xf32>";
        let text = format!(
            "func.func @main(%x: {f32}, %y: {f32}) -> {f32} {{ %z = stablehlo.divide %x, %y : {f32}\n return %z : {f32} }}"
        );
        let options = CompileOptions::default().with_flag("xla_dump_emitter_re", Value::Text("ptx".to_owned()));
        let assembly = topology.dump(&text, &options).expect("compiled").1.ptx().expect("assembly").concat();
        assert!(assembly.contains("div.rn.f32") && !assembly.contains("div.full"), "{assembly}");
    }

    #[test]
    fn matrix_instructions() {
        let line = "\twgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {%r1, %r2}, %rd1, %rd2, p;";
        assert_eq!(tensor_core(line).as_deref(), Some("wgmma s32.s8.s8"));
        let line = "mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32 {%r1}, {%r2};";
        assert_eq!(tensor_core(line).as_deref(), Some("mma s32.s8.s8.s32"));
        assert_eq!(tensor_core("add.s32 %r1, %r2, %r3;"), None);
    }
}
