//! A convolution whose input is 0 in most places, such as spikes: a sum of slices of the kernel. Its gradient with respect to the kernel has the same
//! form.

use std::fmt;

/// The sizes of a convolution of images that are 0 in most places. Sizes of images are rows and columns; a convolution along one axis has one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparseConvolution {
    /// Number of images.
    pub images: usize,
    /// Rows and columns of an input image.
    pub input: [usize; 2],
    /// Rows and columns of the kernel.
    pub window: [usize; 2],
    /// Rows and columns of an output image.
    pub output: [usize; 2],
    /// Features of the input and of the output.
    pub features: [usize; 2],
    /// Distances between the input's elements, with zeros in between.
    pub input_dilation: [usize; 2],
    /// Distances between the positions of the window.
    pub strides: [usize; 2],
    /// Distances between elements of the kernel on the image.
    pub dilation: [usize; 2],
    /// Zeros before the first row and column; negative numbers crop.
    pub padding: [i64; 2],
    /// What is computed from the input `[images, input rows, input columns, input features]`: a mask in bytes, or numbers.
    pub result: Convolved,
}

/// What a sparse convolution computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convolved {
    /// The output `[images, output rows, output columns, output features]`. The second operand is the kernel `[window rows, window columns, input
    /// features, output features]`.
    Output,
    /// The gradient of the kernel, with its shape: a sum over images. The second operand is the gradient of the output, with its shape.
    KernelGradient,
}

/// Changes with the meaning of the encoding, so that cached programs with an older encoding no longer match.
const VERSION: i64 = 1;

impl SparseConvolution {
    /// Encodes the sizes as integers; [`decode`](SparseConvolution::decode) is the inverse.
    pub fn encode(&self) -> Vec<i64> {
        let SparseConvolution {
            images,
            input,
            window,
            output,
            features,
            input_dilation,
            strides,
            dilation,
            padding,
            result,
        } = *self;
        let pairs = [input, window, output, features, input_dilation, strides, dilation]
            .into_iter()
            .flatten()
            .map(|size| size as i64);
        let head = [VERSION, i64::from(result == Convolved::KernelGradient), images as i64];
        head.into_iter().chain(pairs).chain(padding).collect()
    }

    /// Decodes sizes; `None` for invalid words.
    pub fn decode(words: &[i64]) -> Option<SparseConvolution> {
        let (&[VERSION, gradient, images], rest) = words.split_first_chunk()? else { return None };
        let ([input, window, output, features, input_dilation, strides, dilation, padding], []) = rest.as_chunks::<2>()
        else {
            return None;
        };
        let size = |word: i64| usize::try_from(word).ok();
        let pair = |words: &[i64; 2]| Some([size(words[0])?, size(words[1])?]);
        let apart = |words| pair(words).filter(|pair| !pair.contains(&0));
        let result = [Convolved::Output, Convolved::KernelGradient].into_iter().nth(size(gradient)?)?;
        Some(SparseConvolution {
            images: size(images)?,
            input: pair(input)?,
            window: pair(window)?,
            output: pair(output)?,
            features: pair(features)?,
            input_dilation: apart(input_dilation)?,
            strides: apart(strides)?,
            dilation: apart(dilation)?,
            padding: *padding,
            result,
        })
    }

    /// Number of elements of the input, the kernel and the output; `None` beyond all memory.
    pub fn counts(&self) -> Option<[usize; 3]> {
        let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        let [inputs, outputs] = self.features;
        Some([
            product(&[&[self.images, inputs], &self.input[..]].concat())?,
            product(&[&[inputs, outputs], &self.window[..]].concat())?,
            product(&[&[self.images, outputs], &self.output[..]].concat())?,
        ])
    }
}

/// `sparse convolution of 8 images of 34x34x2, window 5x5, to 30x30x12`, followed by strides, dilation
/// and padding where there are any, and `, gradient of the kernel` for a gradient.
impl fmt::Display for SparseConvolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([rows, columns], [high, wide], [below, right]) = (self.input, self.window, self.output);
        let [inputs, outputs] = self.features;
        write!(f, "sparse convolution of {} images of {rows}x{columns}x{inputs}, window {high}x{wide}, ", self.images)?;
        write!(f, "to {below}x{right}x{outputs}")?;
        for (name, [down, across]) in
            [("input dilation", self.input_dilation), ("strides", self.strides), ("dilation", self.dilation)]
        {
            if [down, across] != [1, 1] {
                write!(f, ", {name} {down}x{across}")?;
            }
        }
        if self.padding != [0, 0] {
            write!(f, ", padding {}x{}", self.padding[0], self.padding[1])?;
        }
        if self.result == Convolved::KernelGradient { write!(f, ", gradient of the kernel") } else { Ok(()) }
    }
}
