//! The names under which a runtime knows the kernels, and what they are told besides their operands.

/// The target of an elementwise loop over time. It is told a [`LaneProgram`](crate::LaneProgram) and, where it computes
/// products, their [`FusedProduct`](crate::FusedProduct)s.
pub const ELEMENTWISE_SCAN: &str = "spiq_elementwise_scan";

/// The target of a masked product. It is told a [`MaskedProduct`](crate::MaskedProduct); its operands are the mask
/// `[rows, columns]` in bytes, where every byte but 0 is set, and the matrix.
pub const MASKED_PRODUCT: &str = "spiq_masked_product";

/// The key of the encoded loop or product.
pub const PROGRAM: &str = "program";

/// The key of the encoded products that a loop computes.
pub const PRODUCTS: &str = "products";
