//! The dot products and convolutions of a program as it is written. Knows nothing of compilers.

use std::sync::Arc;

use spiq_hlo::{Convolution, DotGeneral, Function, Node, Op, TensorType, Value};
use spiq_kernels::{FusedProduct, KernelCall, LaneProgram};

/// One dot product or convolution.
#[derive(Clone, Debug)]
pub(super) struct Product {
    /// Module path and number, unique in the program: what the compiler's operations are named after.
    pub(super) label: String,
    pub(super) op: &'static str,
    pub(super) lhs: TensorType,
    pub(super) rhs: TensorType,
    pub(super) out: TensorType,
    /// The operation with its attributes.
    pub(super) written: Arc<dyn Op>,
    pub(super) by: By,
}

impl Product {
    /// The module path alone.
    pub(super) fn path(&self) -> &str {
        path(&self.label)
    }

    /// `s8[128,64] x s8[64,10] -> s32`.
    pub(super) fn spelling(&self) -> String {
        format!("{} x {} -> {}", self.lhs, self.rhs, self.out.dtype)
    }

    /// Whether both sides are of a type with a unit of its own: 8 bits or fewer.
    pub(super) fn is_low_precision(&self) -> bool {
        self.lhs.dtype.bits() <= 8 && self.rhs.dtype.bits() <= 8
    }
}

/// Who computes a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The compiler's own code.
    Compiler,
    /// A kernel of this library, without multiplying.
    Kernel,
    /// A kernel of this library within the loop of neurons that alone reads it.
    Loop,
}

/// The products of a lowered and numbered function, in its order.
pub(super) fn written(function: &Function) -> Vec<Product> {
    let mut products = Vec::new();
    collect(function, &mut products);
    products
}

fn collect(function: &Function, products: &mut Vec<Product>) {
    for node in function.nodes() {
        let operands: Vec<TensorType> = node.operands.iter().map(|value| function.ty(*value).clone()).collect();
        let op = node.op.as_ref();
        let own = |by, name| Product {
            label: node.scope.to_string(),
            op: name,
            lhs: operands[0].clone(),
            rhs: operands[1].clone(),
            out: node.types[0].clone(),
            written: node.op.clone(),
            by,
        };
        match KernelCall::of(op) {
            Some(KernelCall::Product(_)) => products.push(own(By::Kernel, "dot_general")),
            Some(KernelCall::Loop(program, fused)) => products.extend(in_loop(function, node, &program, &fused)),
            None if op.downcast::<DotGeneral>().is_some() || op.downcast::<Convolution>().is_some() => {
                products.push(own(By::Compiler, op.name()));
            }
            None => {}
        }
        op.regions(&operands).iter().for_each(|body| collect(body, products));
    }
}

/// The products that a loop computes: their masks and matrices are its last operands.
fn in_loop(function: &Function, node: &Node, program: &LaneProgram, fused: &[FusedProduct]) -> Vec<Product> {
    let (_, pairs) = node.operands.split_at(node.operands.len() - 2 * fused.len());
    let product = |(pair, fused): (&[Value], &FusedProduct)| {
        let [lhs, rhs] = [pair[0], pair[1]].map(|value| function.ty(value).clone());
        Product {
            label: path_of(function, pair[1]).unwrap_or_else(|| path(&node.scope).to_owned()),
            op: "dot_general",
            out: TensorType::new(program.slices[fused.slice], [lhs.dims[0], fused.width]),
            lhs,
            rhs,
            written: node.op.clone(),
            by: By::Loop,
        }
    };
    pairs.chunks(2).zip(fused).map(product).collect()
}

/// Where a value was made: the module path of its operation, or that of a parameter's layer.
fn path_of(function: &Function, value: Value) -> Option<String> {
    let scope = path(&function.nodes()[value.node].scope);
    let name = function.input_names().get(value.node).and_then(|name| name.rsplit_once('/'));
    let found = if scope.is_empty() { name.map(|(layer, _)| layer) } else { Some(scope) };
    found.map(str::to_owned)
}

/// A module path without the number behind it.
fn path(label: &str) -> &str {
    label.split_once('#').map_or(label, |(path, _)| path)
}
