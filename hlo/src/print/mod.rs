//! Prints a function as StableHLO text, deterministically.
//!
//! Invariant: does not depend on any particular operation.

pub(crate) mod literal;

use std::fmt::Write;

use crate::graph::function::{Function, Node, Value};
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// Additional content of the printed text.
#[derive(Clone, Debug, Default)]
pub struct PrintOptions {
    /// Print the module path and line of each operation, as `loc(…)`.
    pub locations: bool,
    /// Parameters donated to a result: (parameter, result).
    pub donated: Vec<(usize, usize)>,
    /// Ask for dot products and convolutions of f32 in full f32 (`precision HIGHEST`). By default, NVIDIA cards compute them in tf32 and
    /// TPUs in bf16.
    pub full_precision: bool,
}

/// The attribute of dot products and convolutions that says how exact they are.
pub(crate) const PRECISION_CONFIG: &str = "precision_config";

impl Function {
    /// The function as a StableHLO module with it as `@main`. Lower it before compiling: operations that StableHLO lacks (scans, custom
    /// gradients) are printed in the dialect `spiq`.
    pub fn stablehlo(&self, name: &str, options: &PrintOptions) -> String {
        Printer { text: String::new(), next: 0, options }.module(self, name)
    }
}

struct Printer<'a> {
    text: String,
    next: usize,
    options: &'a PrintOptions,
}

/// Names of a function's values: one per node; `#` distinguishes outputs.
struct Names<'a> {
    function: &'a Function,
    nodes: Vec<String>,
}

impl Names<'_> {
    fn of(&self, value: Value) -> String {
        let base = &self.nodes[value.node];
        if self.function.nodes[value.node].types.len() > 1 { format!("{base}#{}", value.output) } else { base.clone() }
    }

    fn list(&self, values: &[Value]) -> String {
        values.iter().map(|&v| self.of(v)).collect::<Vec<_>>().join(", ")
    }
}

fn types(types: &[TensorType]) -> String {
    types.iter().map(TensorType::mlir).collect::<Vec<_>>().join(", ")
}

impl Printer<'_> {
    fn module(mut self, function: &Function, name: &str) -> String {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let inputs: Vec<String> = (0..function.inputs.len()).map(|i| self.input(function, i)).collect();
        let results = types(&function.result_types());
        let _ = writeln!(self.text, "module @{name} {{");
        let _ = writeln!(self.text, "  func.func public @main({}) -> ({results}) {{", inputs.join(", "));
        let names = (0..function.inputs.len()).map(|i| format!("%arg{i}")).collect();
        self.body(function, names, "    ", "func.return");
        self.text.push_str("  }\n}\n");
        self.text
    }

    /// The value of an attribute, with the precision asked for.
    fn precise(&self, name: &str, value: &str) -> String {
        let raised = self.options.full_precision && name == PRECISION_CONFIG;
        if raised { value.replace("DEFAULT", "HIGHEST") } else { value.to_owned() }
    }

    fn input(&self, function: &Function, index: usize) -> String {
        let mut text = format!("%arg{index}: {}", function.nodes[index].types[0].mlir());
        if let Some((_, result)) = self.options.donated.iter().find(|(input, _)| *input == index) {
            let _ = write!(text, " {{tf.aliasing_output = {result} : i32}}");
        }
        text
    }

    fn body(&mut self, function: &Function, inputs: Vec<String>, indent: &str, end: &str) {
        let mut names = Names { function, nodes: inputs };
        for node in &function.nodes[function.inputs.len()..] {
            let name = format!("%{}", self.next);
            self.next += 1;
            self.node(node, &name, &names, indent);
            names.nodes.push(name);
        }
        let results = names.list(&function.results);
        let types = types(&function.result_types());
        let colon = if function.results.is_empty() { "" } else { " : " };
        let _ = writeln!(self.text, "{indent}{end} {results}{colon}{types}");
    }

    fn node(&mut self, node: &Node, name: &str, names: &Names, indent: &str) {
        let operand_types: Vec<TensorType> = node.operands.iter().map(|&v| names.function.ty(v).clone()).collect();
        let mut attrs: Vec<String> =
            node.op.attrs().iter().map(|(k, v)| format!("{k} = {}", self.precise(k, v))).collect();
        if node.op.is_row_major() {
            attrs.push(format!("operand_layouts = {}", row_major(&operand_types)));
            attrs.push(format!("result_layouts = {}", row_major(&node.types)));
        }
        let regions = node.op.regions(&operand_types);
        let count = node.types.len();
        let _ = write!(self.text, "{indent}{name}{} = ", if count > 1 { format!(":{count}") } else { String::new() });
        let dialect = if node.op.is_stablehlo(&operand_types) { "stablehlo" } else { "spiq" };
        let mnemonic = format!("{dialect}.{}", node.op.name());
        let same = !operand_types.is_empty() && count == 1 && operand_types.iter().all(|t| *t == node.types[0]);
        // A select of booleans has operands of one type by coincidence, and no short form.
        let by_chance = operand_types.len() == 3 && node.types[0].dtype == DType::Pred;
        if same && !by_chance && attrs.is_empty() && regions.is_empty() {
            // The short form of an operation whose operands and result share one type.
            let _ = write!(self.text, "{mnemonic} {} : {}", names.list(&node.operands), node.types[0].mlir());
        } else {
            let printed = node.op.implicit_operands().unwrap_or(node.operands.len());
            let _ = write!(self.text, "\"{mnemonic}\"({})", names.list(&node.operands[..printed]));
            self.regions(node, &regions, names, indent);
            if !attrs.is_empty() {
                let _ = write!(self.text, " {{{}}}", attrs.join(", "));
            }
            let _ = write!(self.text, " : ({}) -> ", types(&operand_types[..printed]));
            let results = types(&node.types);
            let _ = if count == 1 { write!(self.text, "{results}") } else { write!(self.text, "({results})") };
        }
        self.location(node);
        self.text.push('\n');
    }

    fn regions(&mut self, node: &Node, regions: &[Function], names: &Names, indent: &str) {
        let inner = format!("{indent}  ");
        for (i, region) in regions.iter().enumerate() {
            self.text.push_str(if i == 0 { " ({\n" } else { "}, {\n" });
            let inputs = match node.op.implicit_operands() {
                Some(from) => node.operands[from..].iter().map(|&v| names.of(v)).collect(),
                None => self.block(region, indent),
            };
            self.body(region, inputs, &inner, "stablehlo.return");
            self.text.push_str(indent);
        }
        if !regions.is_empty() {
            self.text.push_str("})");
        }
    }

    /// Declares a region's parameters as block arguments.
    fn block(&mut self, region: &Function, indent: &str) -> Vec<String> {
        let names: Vec<String> = (0..region.inputs.len()).map(|i| format!("%arg{}_{i}", self.next)).collect();
        self.next += 1;
        let input_types = region.input_types();
        let typed: Vec<String> = names.iter().zip(&input_types).map(|(n, t)| format!("{n}: {}", t.mlir())).collect();
        let _ = writeln!(self.text, "{indent}^bb0({}):", typed.join(", "));
        names
    }

    fn location(&mut self, node: &Node) {
        if !self.options.locations {
            return;
        }
        let (file, line, column) = (node.place.file(), node.place.line(), node.place.column());
        let file = file.replace('\\', "/").replace('"', "'");
        let place = format!("\"{file}\":{line}:{column}");
        let _ = match node.scope.is_empty() {
            true => write!(self.text, " loc({place})"),
            false => write!(self.text, " loc(\"{}\"({place}))", node.scope.replace('"', "'")),
        };
    }
}

/// The layouts of row-major arrays of these types.
fn row_major(types: &[TensorType]) -> String {
    let one = |ty: &TensorType| {
        let axes: Vec<String> = (0..ty.rank()).rev().map(|axis| axis.to_string()).collect();
        match ty.rank() {
            0 => "dense<> : tensor<0xindex>".to_owned(),
            rank => format!("dense<[{}]> : tensor<{rank}xindex>", axes.join(", ")),
        }
    };
    format!("[{}]", types.iter().map(one).collect::<Vec<_>>().join(", "))
}
