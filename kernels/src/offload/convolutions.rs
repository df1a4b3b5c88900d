//! Finds convolutions of images that are 0 in most places, which are sums of slices of the kernel, and replaces them by kernel calls: convolutions of
//! spikes, and of the gradients behind them, which are 0 where no later neuron was in the window of its surrogate.

use spiq_hlo::{Axes, Convolution, DType, Tensor, TensorType};

use super::products::{adds, call, in_bytes};
use crate::contract::call::KernelCall;
use crate::contract::sparse_convolution::{Convolved, SparseConvolution};

/// The convolution as a call, if its input is a mask or a gradient and its window moves along one or two axes.
pub(super) fn convolution(conv: &Convolution, [input, factor]: [&Tensor; 2], result: &TensorType) -> Option<Tensor> {
    let fits = conv.groups == 1 && adds(factor.dtype(), conv.out) && matches!(conv.strides.len(), 1 | 2);
    if !fits || [input.ty(), factor.ty(), result].iter().any(|ty| ty.count() == 0) {
        return None;
    }
    let roles = Roles::of(conv);
    let sizes = roles.sizes(conv, [input.dims(), factor.dims(), &result.dims]);
    let images = in_bytes(input).or_else(|| is_gradient(input, factor).then(|| input.clone()))?.transpose(&roles.input);
    let dims: Vec<usize> = roles.result.iter().map(|axis| result.dims[*axis]).collect();
    let ty = TensorType::new(conv.out, dims);
    let call = call(KernelCall::Convolution(sizes), ty, &images, &factor.transpose(&roles.factor));
    let place = |axis| roles.result.iter().position(|of| *of == axis).expect("a permutation of the axes");
    Some(call.transpose(&(0..roles.result.len()).map(place).collect::<Vec<_>>()))
}

/// Whether a convolution computes the gradient of its input from one that a loop of neurons computes. Other numbers may be 0 nowhere, and XLA's
/// convolution multiplies zeros by infinities.
fn is_gradient(input: &Tensor, factor: &Tensor) -> bool {
    is_reversed(factor) && is_from_loop(input)
}

fn is_from_loop(tensor: &Tensor) -> bool {
    let origin = tensor.origin();
    match origin.op.name() {
        "scan" => true,
        "reshape" | "convert" | "transpose" | "broadcast_in_dim" | "pad" => is_from_loop(&origin.operands[0]),
        // The gradient of pooling: a number or 0.
        "select" => is_from_loop(&origin.operands[1]),
        _ => false,
    }
}

/// Whether the kernel is reversed, as in the gradient of a convolution's input.
fn is_reversed(factor: &Tensor) -> bool {
    let origin = factor.origin();
    match origin.op.name() {
        "reverse" => matches!(factor.dtype(), DType::F32 | DType::BF16),
        "convert" => is_reversed(&origin.operands[0]) && factor.dtype() == DType::BF16,
        _ => false,
    }
}

/// What a convolution computes, and its axes in the order of a [`SparseConvolution`].
struct Roles {
    result: Vec<usize>,
    input: Vec<usize>,
    factor: Vec<usize>,
    convolved: Convolved,
}

impl Roles {
    /// The first axis of the mask in memory counts images, the last one features. In the gradient of a kernel, images and features are exchanged: the
    /// sum is over images, and the window has the size of the output.
    fn of(conv: &Convolution) -> Roles {
        let (input, kernel, output) = (&conv.dims.input, &conv.dims.kernel, &conv.dims.output);
        let around = |first: &[usize], axes: &Axes, last: &[usize]| [first, &axes.window[..], last].concat();
        if input.feature < input.outer {
            return Roles {
                input: around(&[input.feature], input, &[input.outer]),
                factor: around(&[kernel.feature], kernel, &[kernel.outer]),
                result: around(&[], output, &[output.outer, output.feature]),
                convolved: Convolved::KernelGradient,
            };
        }
        Roles {
            input: around(&[input.outer], input, &[input.feature]),
            factor: around(&[], kernel, &[kernel.feature, kernel.outer]),
            result: around(&[output.outer], output, &[output.feature]),
            convolved: Convolved::Output,
        }
    }

    fn sizes(&self, conv: &Convolution, [input, factor, result]: [&[usize]; 3]) -> SparseConvolution {
        // The sizes along the window's axes; one axis is that of columns.
        let along = |dims: &[usize], axes: &Axes| match axes.window[..] {
            [rows, columns] => [dims[rows], dims[columns]],
            _ => [1, dims[axes.window[0]]],
        };
        let apart = |list: &[usize]| *list.first_chunk().unwrap_or(&[1, list[0]]);
        // Sizes, and the distances on the image.
        let of_factor = (along(factor, &conv.dims.kernel), apart(&conv.kernel_dilation));
        let of_result = (along(result, &conv.dims.output), apart(&conv.strides));
        let ((window, dilation), (output, strides)) = match self.convolved {
            Convolved::Output => (of_factor, of_result),
            Convolved::KernelGradient => (of_result, of_factor),
        };
        let before: Vec<i64> = conv.padding.iter().map(|(before, _)| *before).collect();
        let ends = |dims: &[usize], order: &[usize]| (dims[order[0]], dims[order[order.len() - 1]]);
        let (images, features) = ends(input, &self.input);
        SparseConvolution {
            images,
            input: along(input, &conv.dims.input),
            window,
            output,
            features: [features, result[conv.dims.output.feature]],
            input_dilation: apart(&conv.input_dilation),
            strides,
            dilation,
            padding: *before.first_chunk().unwrap_or(&[0, before[0]]),
            result: self.convolved,
        }
    }
}
