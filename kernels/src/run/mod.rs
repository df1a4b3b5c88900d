//! The CPU interpreter: loops over time in one pass over memory, masked products as sums of rows.
//!
//! Invariant: does not depend on plugins, threads or the passes that find kernels.
//!
//! A scan is a [`LaneProgram`] with its memory. It is divided into tiles, ranges of lanes that can run on any thread in any order because
//! lanes are independent; results do not depend on the number of threads.

mod convolution;
mod dots;
mod events;
#[cfg(test)]
mod in_turn;
mod memory;
mod operations;
mod overlap;
mod peak;
mod product;
mod recurrent;
mod registers;
mod results;
mod rows;
mod sampled;
mod scan;
mod slices;
mod sums;
mod tile;

pub use memory::{Read, Write};
pub use operations::operations;
pub use peak::additions_per_second;

use crate::contract::fused_product::{FusedProduct, Left};
use crate::contract::lane_program::LaneProgram;
use crate::contract::masked_product::MaskedProduct;
use crate::contract::sparse_convolution::{Convolved, SparseConvolution};
use crate::vector::{self, Work};
use recurrent::Recurrent;
use results::Results;
use sampled::Sampled;
use scan::{Scan, Sequence};
use sums::Sums;

/// A part of a kernel's work, ready to run on any thread.
pub type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

/// The threads available to a kernel.
pub trait Pool {
    /// Number of threads.
    fn workers(&self) -> usize;

    /// Runs tasks in any order and returns when all are done. Returns whether all completed without a panic.
    fn run_all(&self, tasks: Vec<Task<'_>>) -> bool;
}

/// Runs parts in any order, with this CPU's widest vector instructions. Returns whether all completed without a panic.
fn run_parts<W: Work>(pool: &dyn Pool, parts: impl IntoIterator<Item = W>) -> bool {
    pool.run_all(parts.into_iter().map(|part| Box::new(move || vector::run(part)) as Task).collect())
}

/// Number of elements below which another thread is not worth waking.
const SMALL: usize = 1 << 15;

/// Runs a loop over time. `words` encode the program; the inputs are its constants, initial carries and sequences, the outputs its final
/// carries and stacked rows. `products` encode the [`FusedProduct`]s, sequences that the loop computes itself; the factors of each are
/// the last inputs.
///
/// # Errors
/// One sentence about an invalid program or about memory that does not match it.
pub fn run_scan(
    words: &[i64],
    products: &[i64],
    mut inputs: Vec<Read>,
    mut outputs: Vec<Write>,
    pool: &dyn Pool,
) -> Result<(), String> {
    let program = LaneProgram::decode(words).ok_or("a kernel received an invalid program")?;
    let misfit = || "a kernel received buffers that do not match its program".to_owned();
    let products = FusedProduct::decode(products).ok_or("a kernel received invalid products")?;
    let elements = program.steps.checked_mul(program.lanes).ok_or_else(misfit)?;
    let carries = program.carries.len();
    if inputs.len() < program.consts.len() + carries || outputs.len() < carries {
        return Err(misfit());
    }
    let rows = outputs.split_off(carries);
    let mut starts = inputs.split_off(program.consts.len());
    let mut slices: Vec<Sequence> = starts.split_off(carries).into_iter().map(Sequence::Memory).collect();
    put_sums(&mut slices, &products, [program.steps, program.lanes]).ok_or_else(misfit)?;
    let mut states = Vec::with_capacity(carries);
    for (start, state) in starts.into_iter().zip(outputs) {
        match (start, state) {
            (Read::F32(start), Write::F32(state)) if start.len() == state.len() => {
                state.copy_from_slice(start);
                states.push(state);
            }
            _ => return Err(misfit()),
        }
    }
    let workers = if elements < SMALL { 1 } else { pool.workers() };
    let scan = Scan::new(&program, inputs, slices).ok_or_else(misfit)?;
    let tiles = scan.tiles(states, rows, workers).ok_or_else(misfit)?;
    ended(run_parts(pool, tiles))
}

/// Inserts the fused products among the sequences; their operands are the last sequences.
fn put_sums(slices: &mut Vec<Sequence>, products: &[FusedProduct], sizes: [usize; 2]) -> Option<()> {
    let count: usize = products.iter().map(FusedProduct::operands).sum();
    let mut factors = slices.split_off(slices.len().checked_sub(count)?).into_iter();
    let mut factor = || match factors.next()? {
        Sequence::Memory(factor) => Some(factor),
        _ => None,
    };
    for product in products {
        let shape = [product.columns, product.width];
        let sequence = match product.left {
            Left::Mask => Sequence::Sums(Sums::new([factor()?, factor()?], shape, sizes)?),
            Left::Sampled(needed) => Sequence::Sampled(Sampled::new([factor()?, factor()?], shape, sizes, needed)?),
            Left::Spikes(of) => Sequence::Recurrent(Recurrent::new(factor()?, shape, sizes[1], of)?),
            Left::Results(of) => Sequence::Results(Results::new(factor()?, shape, sizes[1], of)?),
        };
        (product.slice <= slices.len()).then(|| slices.insert(product.slice, sequence))?;
    }
    Some(())
}

/// Runs a masked product. `words` encode its sizes; the inputs are the mask and the matrix.
///
/// # Errors
/// As for [`run_scan`].
pub fn run_product(words: &[i64], inputs: &[Read], outputs: &mut [Write], pool: &dyn Pool) -> Result<(), String> {
    let product = MaskedProduct::decode(words).ok_or("a kernel received an invalid product")?;
    let misfit = || "a kernel received buffers that do not match its product".to_owned();
    let ([mask, matrix], [out]) = (inputs, outputs) else { return Err(misfit()) };
    let sizes = |count: usize, width: usize| count.checked_mul(width).ok_or_else(misfit);
    let fits = matches!(mask, Read::S8(_) | Read::Pred(_))
        && mask.len() == sizes(product.rows, product.columns)?
        && matrix.len() == sizes(product.summed(), product.width)?
        && out.len() == sizes(product.kept(), product.width)?
        && !out.is_empty();
    if !fits {
        return Err(misfit());
    }
    ended(match (matrix, out) {
        (Read::S8(matrix), Write::S32(out)) => product::run(&product, *mask, matrix, out, pool),
        (Read::F32(matrix), Write::F32(out)) => product::run(&product, *mask, matrix, out, pool),
        (Read::Bf16(matrix), Write::F32(out)) => product::run(&product, *mask, matrix, out, pool),
        _ => return Err(misfit()),
    })
}

/// Runs a sparse convolution. `words` encode its sizes; the inputs are the images, and the kernel or the gradient of the output.
///
/// # Errors
/// As for [`run_scan`].
pub fn run_convolution(words: &[i64], inputs: &[Read], outputs: &mut [Write], pool: &dyn Pool) -> Result<(), String> {
    let sizes = SparseConvolution::decode(words).ok_or("a kernel received an invalid convolution")?;
    let misfit = || "a kernel received buffers that do not match its convolution".to_owned();
    let ([input, factor], [out]) = (inputs, outputs) else { return Err(misfit()) };
    let [images, kernel, output] = sizes.counts().ok_or_else(misfit)?;
    let (given, result) = match sizes.result {
        Convolved::Output => (kernel, output),
        Convolved::KernelGradient => (output, kernel),
    };
    let fits = match factor {
        Read::S8(_) => matches!(input, Read::S8(_) | Read::Pred(_)),
        _ => !matches!(input, Read::S32(_)),
    };
    let fits = fits
        && [input.len(), factor.len(), out.len()] == [images, given, result]
        && ![images, given, result].contains(&0);
    if !fits {
        return Err(misfit());
    }
    ended(match (factor, out) {
        (Read::S8(factor), Write::S32(out)) => convolution::run(&sizes, *input, factor, out, pool),
        (Read::F32(factor), Write::F32(out)) => convolution::run(&sizes, *input, factor, out, pool),
        (Read::Bf16(factor), Write::F32(out)) => convolution::run(&sizes, *input, factor, out, pool),
        _ => return Err(misfit()),
    })
}

fn ended(all: bool) -> Result<(), String> {
    if all { Ok(()) } else { Err("a kernel panicked".to_owned()) }
}
