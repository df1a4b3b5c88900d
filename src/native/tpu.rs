//! How the TPU compiler compiles a program's products, judged by its cycle estimates.

use std::collections::HashMap;

use spiq_hlo::{Convolution, DType, DotGeneral, Function, TensorType, trace};

use super::cycles::{CYCLES, Cycles};
use super::hlo_text::Module;
use super::product::Product;
use super::report::{Report, Row};
use super::{Compiled, advice};
use crate::compile::Program;
use crate::error::{Error, Result};
use crate::pjrt::{CompileOptions, Platform, Plugin, Topology};

pub(super) fn report(name: &str, compiled: &Compiled) -> Result<Report> {
    let topology = Topology::new(Plugin::of(Platform::Tpu)?, name, &[])?;
    let (ahead, dump) = topology.dump(&compiled.text, &compiled.options)?;
    let hlo = dump.after_codegen()?.map_or_else(|| dump.optimized_hlo(), Ok)?;
    let module = Module::parse(&hlo);
    let mut alone = Alone { topology: &topology, known: HashMap::new() };
    let rows = compiled.products.iter().map(|product| row(product, &module, &mut alone)).collect::<Result<_>>()?;
    Ok(Report {
        target: format!("TPU {name}"),
        rows,
        memory: ahead.memory().ok(),
        loops: compiled.loops.clone(),
        cycles: Some(Cycles::of(&module)),
        estimate: None,
        launches: None,
    })
}

fn row(product: &Product, module: &Module, alone: &mut Alone) -> Result<Row> {
    let found = module.product(&product.label);
    let cycles = found.and_then(|(place, i)| i.note(CYCLES).or_else(|| module.caller(place)?.1.note(CYCLES)));
    let low_precision = product.is_low_precision();
    let (unit, native, advice) = match (found, cycles) {
        (None, _) => ("fused into another operation".to_owned(), true, String::new()),
        (Some(_), None) => ("vector unit".to_owned(), !low_precision, advice::plain_loop(product)),
        (Some(_), Some(_)) if !low_precision => ("bf16".to_owned(), true, advice::full_precision(product)),
        (Some(_), Some(cycles)) => judge(product, cycles, alone)?,
    };
    Ok(Row {
        path: product.path().to_owned(),
        op: product.op,
        written: product.spelling(),
        unit,
        cost: cycles.map(|c| format!("{c} cycles")).unwrap_or_default(),
        native,
        low_precision,
        advice,
    })
}

/// Judges the rate of a product by its cycles, since the types in the optimized program do not reveal it: compares them with those of
/// the same product compiled alone, with operands from memory, as written and in bf16.
fn judge(product: &Product, cycles: u64, alone: &mut Alone) -> Result<(String, bool, String)> {
    let (own, bf16) = (alone.cycles(product, false)?, alone.cycles(product, true)?);
    let dtype = product.lhs.dtype.name();
    let (Some(own), Some(bf16)) = (own, bf16) else {
        return Ok((dtype.to_owned(), true, String::new()));
    };
    // A chip without the unit takes as long in both types. Small products are memory-bound, whatever their type.
    let gains = own * 5 < bf16 * 4;
    let limit = if gains { (own as f64 * bf16 as f64).sqrt() } else { own as f64 * 1.25 };
    let native = (cycles as f64) < limit;
    let large = bf16 > SMALL;
    Ok(match (gains, native) {
        (true, true) => (dtype.to_owned(), true, String::new()),
        (true, false) => (format!("{dtype} at the bf16 rate"), false, advice::materialize()),
        (false, _) if large && product.lhs.dtype.is_float() => {
            (format!("{dtype} at the bf16 rate"), false, advice::other_float(product))
        }
        (false, true) => (format!("{dtype}, memory-bound"), true, String::new()),
        (false, false) => (format!("{dtype}, slower than alone"), false, advice::materialize()),
    })
}

/// Minimum number of bf16 cycles at which a product is large enough to distinguish units.
const SMALL: u64 = 100_000;

/// Cycles of products compiled alone.
struct Alone<'a> {
    topology: &'a Topology,
    known: HashMap<String, Option<u64>>,
}

impl Alone<'_> {
    /// Cycles of the product with operands from memory, as written or in bf16.
    fn cycles(&mut self, product: &Product, bf16: bool) -> Result<Option<u64>> {
        let function = single(product, bf16)?;
        let text = Program::named("alone").text(&function)?;
        if let Some(&cycles) = self.known.get(&text) {
            return Ok(cycles);
        }
        let options = CompileOptions { inputs: Some(function.input_types()), ..CompileOptions::default() };
        let hlo = self.topology.dump(&text, &options)?.1.after_codegen()?.unwrap_or_default();
        let module = Module::parse(&hlo);
        let noted: Vec<u64> = module
            .instructions()
            .filter(|(_, i)| i.opcode == "convolution" || i.opcode == "dot" || i.attributes.contains("kind=kOutput"))
            .filter_map(|(_, i)| i.note(CYCLES))
            .collect();
        let cycles = noted.into_iter().max();
        self.known.insert(text, cycles);
        Ok(cycles)
    }
}

/// A program with a single product.
fn single(product: &Product, bf16: bool) -> Result<Function> {
    let side = |ty: &TensorType| if bf16 { ty.with_dtype(DType::BF16) } else { ty.clone() };
    let out = if bf16 { DType::BF16 } else { product.out.dtype };
    let inputs = [("lhs", side(&product.lhs)), ("rhs", side(&product.rhs))];
    let function = trace(&inputs, |x| {
        let graph = x[0].graph();
        let operands = [&x[0], &x[1]];
        match (product.written.downcast::<DotGeneral>(), product.written.downcast::<Convolution>()) {
            (Some(dot), _) => vec![graph.apply(DotGeneral { out, ..dot.clone() }, &operands)],
            (_, Some(conv)) => vec![graph.apply(Convolution { out, ..conv.clone() }, &operands)],
            _ => unreachable!("a product is a dot product or a convolution"),
        }
    });
    function.map_err(Error::from)
}
