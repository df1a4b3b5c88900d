//! A kernel call as an operation of a graph: the encoding of its parameters.

use std::fmt;

use spiq_hlo::{CustomCall, Op};

use super::fused_product::FusedProduct;
use super::lane_program::LaneProgram;
use super::masked_product::MaskedProduct;
use super::sparse_convolution::SparseConvolution;
use super::target::{ELEMENTWISE_SCAN, MASKED_PRODUCT, PRODUCTS, PROGRAM, SPARSE_CONVOLUTION};

/// The parameters of a kernel, besides its operands.
#[derive(Clone, Debug, PartialEq)]
pub enum KernelCall {
    /// An elementwise loop over time, and the products that it computes.
    Loop(LaneProgram, Vec<FusedProduct>),
    /// A masked product.
    Product(MaskedProduct),
    /// A sparse convolution.
    Convolution(SparseConvolution),
}

/// Named lists of integers, as in [`CustomCall`].
type Config = Vec<(&'static str, Vec<i64>)>;

impl KernelCall {
    /// The kernel that an operation calls, if it is a kernel call.
    pub fn of(op: &dyn Op) -> Option<KernelCall> {
        let call = op.downcast::<CustomCall>()?;
        KernelCall::read(call.target, |key| {
            call.config.iter().find(|(name, _)| *name == key).map(|(_, words)| words.as_slice())
        })
    }

    /// Decodes the configuration of the kernel `target`; `None` if it is not a valid kernel configuration.
    pub fn read<'a>(target: &str, config: impl Fn(&str) -> Option<&'a [i64]>) -> Option<KernelCall> {
        let program = config(PROGRAM)?;
        match target {
            ELEMENTWISE_SCAN => {
                let products = FusedProduct::decode(config(PRODUCTS).unwrap_or_default())?;
                Some(KernelCall::Loop(LaneProgram::decode(program)?, products))
            }
            MASKED_PRODUCT => Some(KernelCall::Product(MaskedProduct::decode(program)?)),
            SPARSE_CONVOLUTION => Some(KernelCall::Convolution(SparseConvolution::decode(program)?)),
            _ => None,
        }
    }

    /// The call target.
    pub fn target(&self) -> &'static str {
        match self {
            KernelCall::Loop(..) => ELEMENTWISE_SCAN,
            KernelCall::Product(_) => MASKED_PRODUCT,
            KernelCall::Convolution(_) => SPARSE_CONVOLUTION,
        }
    }

    /// The configuration that [`read`](KernelCall::read) decodes.
    pub fn config(&self) -> Config {
        match self {
            KernelCall::Loop(program, products) if products.is_empty() => vec![(PROGRAM, program.encode())],
            KernelCall::Loop(program, products) => {
                vec![(PROGRAM, program.encode()), (PRODUCTS, FusedProduct::encode(products))]
            }
            KernelCall::Product(product) => vec![(PROGRAM, product.encode())],
            KernelCall::Convolution(sizes) => vec![(PROGRAM, sizes.encode())],
        }
    }
}

impl fmt::Display for KernelCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelCall::Loop(program, products) => {
                write!(f, "{program}")?;
                products.iter().try_for_each(|product| write!(f, "\n  {product}"))
            }
            KernelCall::Product(product) => write!(f, "{product}"),
            KernelCall::Convolution(sizes) => write!(f, "{sizes}"),
        }
    }
}
