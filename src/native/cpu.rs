//! How XLA:CPU compiles a program's products.

use super::hlo_text::Module;
use super::product::{By, Product};
use super::report::{Report, Row};
use super::{Compiled, advice};
use crate::error::Result;
use crate::pjrt::Client;

pub(super) fn report(client: &Client, compiled: &Compiled) -> Result<Report> {
    let (memory, dump) = client.dump(&compiled.text, &compiled.options)?;
    let hlo = dump.optimized_hlo()?;
    let module = Module::parse(&hlo);
    let flags = processor_flags();
    let rows = compiled.products.iter().map(|product| row(product, &module, &flags)).collect();
    Ok(Report {
        target: "this machine's CPU".to_owned(),
        rows,
        memory,
        loops: compiled.loops.clone(),
        cycles: None,
        estimate: None,
        launches: None,
    })
}

fn row(product: &Product, module: &Module, flags: &str) -> Row {
    let found = if product.by == By::Compiler { module.product(&product.label) } else { None };
    let dtypes = found.map(|(place, i)| module.operand_dtypes(place, i)).unwrap_or_default();
    let (unit, native) = match (&product.by, dtypes.first()) {
        (By::Kernel, _) => ("sparse row sums".to_owned(), true),
        (By::Loop, _) if product.lhs.dtype.is_float() => ("sums in the neuron loop".to_owned(), true),
        (By::Loop, _) => ("sparse row sums in the neuron loop".to_owned(), true),
        (By::Compiler, None) => ("fused into another operation".to_owned(), true),
        (By::Compiler, Some(&dtype)) => unit(dtype, flags),
    };
    let low_precision = product.is_low_precision();
    let native = native && !(low_precision && dtypes.first().is_some_and(|d| d.ends_with("32") || d.ends_with("16")));
    let advice = match (native, low_precision) {
        (false, true) if product.lhs.dtype.is_float() => advice::other_float(product),
        _ => String::new(),
    };
    Row {
        path: product.path().to_owned(),
        op: product.op,
        written: product.spelling(),
        unit,
        cost: String::new(),
        native,
        low_precision,
        advice,
    }
}

/// The CPU instructions used for products of an element type, and whether they are native to that type.
fn unit(dtype: &str, flags: &str) -> (String, bool) {
    let has = |names: &[&str]| names.iter().any(|name| flags.split_whitespace().any(|flag| flag == *name));
    let (name, native) = match dtype {
        "s8" | "u8" if has(&["amx_int8"]) => ("AMX int8", true),
        "s8" | "u8" if has(&["avx512_vnni", "avx_vnni", "asimddp", "i8mm"]) => ("VNNI int8", true),
        "bf16" if has(&["amx_bf16"]) => ("AMX bf16", true),
        "bf16" if has(&["avx512_bf16", "bf16"]) => ("AVX bf16", true),
        "f32" | "f64" => ("vector", true),
        _ => ("vector, widened", false),
    };
    (format!("{dtype}, {name}"), native)
}

/// The CPU features listed by the operating system's kernel; empty if it lists none.
fn processor_flags() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    line.unwrap_or_default().to_owned()
}
