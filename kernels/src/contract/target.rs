//! Names under which kernels are registered with a runtime, and the keys of their configuration.

/// The target of an elementwise loop over time. Its configuration is a [`LaneProgram`](crate::LaneProgram) and, if it computes products,
/// their [`FusedProduct`](crate::FusedProduct)s.
pub const ELEMENTWISE_SCAN: &str = "spiq_elementwise_scan";

/// The target of a masked product. Its configuration is a [`MaskedProduct`](crate::MaskedProduct); its operands are the mask
/// `[rows, columns]` in bytes, where every nonzero byte is set, and the matrix.
pub const MASKED_PRODUCT: &str = "spiq_masked_product";

/// The target of a sparse convolution. Its configuration is a [`SparseConvolution`](crate::SparseConvolution); its operands are the input,
/// in bytes, where every nonzero byte is 1, or in numbers, and the kernel or the gradient of the output.
pub const SPARSE_CONVOLUTION: &str = "spiq_sparse_convolution";

/// The key of the encoded loop, product or convolution.
pub const PROGRAM: &str = "program";

/// The key of the encoded products fused into a loop.
pub const PRODUCTS: &str = "products";
