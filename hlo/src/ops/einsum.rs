//! Einstein summation of two operands, implemented with dot products.

use crate::graph::error::Violation;
use crate::graph::tensor::Tensor;
use crate::ops::dot_general::DotDims;
use crate::ops::sample::Sample;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// Products of two tensors, summed over the axes that are absent from the result: `"bij,jk->bik"`. JAX: `jnp.einsum` with two operands.
///
/// Each letter names an axis. Without `->`, the result has the letters that occur once, in alphabetical order. `...` matches unnamed
/// axes, aligned at the end; without `->`, the result begins with them. A letter that occurs twice in one operand takes the diagonal.
/// An axis of size 1 broadcasts. The result has the element type of `lhs`.
///
/// # Errors
/// Recorded in the trace: subscripts with invalid syntax or that do not match the operands.
///
/// ```
/// use spiq_hlo::{einsum, trace, DType, TensorType};
/// let inputs = [("q", TensorType::new(DType::F32, [8, 5, 16])), ("k", TensorType::new(DType::F32, [8, 7, 16]))];
/// let f = trace(&inputs, |x| vec![einsum("bqd,bkd->bqk", &x[0], &x[1])])?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[8,5,7]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn einsum(subscripts: &str, lhs: &Tensor, rhs: &Tensor) -> Tensor {
    if lhs.is_poison() || rhs.is_poison() {
        return if lhs.is_poison() { lhs.clone() } else { rhs.clone() };
    }
    match Subscripts::parse(subscripts, lhs.ty(), rhs.ty()) {
        Ok(names) => names.product(lhs, rhs),
        Err(message) => lhs.fail(NAME, Violation::new("", format!("`{subscripts}`: {message}"))),
    }
}

const NAME: &str = "einsum";

/// Names of the axes of both operands and of the result.
struct Subscripts {
    operands: [Vec<char>; 2],
    result: Vec<char>,
}

/// Axes that `...` matches are named, starting with the last axis, by private-use characters from this one on.
const UNNAMED: char = '\u{E000}';

impl Subscripts {
    fn parse(text: &str, lhs: &TensorType, rhs: &TensorType) -> Result<Subscripts, String> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (named, result) =
            text.split_once("->").map_or((text.as_str(), None), |(named, result)| (named, Some(result)));
        let parts: Vec<&str> = named.split(',').collect();
        let [left, right] = parts[..] else {
            return Err("expected the subscripts of two operands, separated by one comma".to_owned());
        };
        let operands = [axes(left, lhs)?, axes(right, rhs)?];
        let all = operands.concat();
        let mut unnamed: Vec<char> = all.iter().filter(|name| **name >= UNNAMED).copied().collect();
        unnamed.sort_unstable_by(|a, b| b.cmp(a));
        unnamed.dedup();
        let result = match result {
            Some(text) => expand(text, &unnamed)?,
            None => [unnamed, once(&all)].concat(),
        };
        if let Some(name) = result.iter().find(|name| !all.contains(name)) {
            return Err(format!("no operand has the axis `{name}` of the result"));
        }
        if (1..result.len()).any(|i| result[..i].contains(&result[i])) {
            return Err("the result names an axis twice".to_owned());
        }
        let names = Subscripts { operands, result };
        names.check_sizes([lhs, rhs])?;
        Ok(names)
    }

    /// Axes with the same name must have equal sizes; in different operands one of them may have size 1.
    fn check_sizes(&self, types: [&TensorType; 2]) -> Result<(), String> {
        let named = |side: usize| {
            let sizes = self.operands[side].iter().copied().zip(types[side].dims.iter().copied());
            sizes.map(move |(name, size)| (name, size, side))
        };
        let all: Vec<(char, usize, usize)> = named(0).chain(named(1)).collect();
        for (i, &(name, size, side)) in all.iter().enumerate() {
            let clashes = |&&(other, there, of): &&(char, usize, usize)| {
                other == name && there != size && (of == side || (there != 1 && size != 1))
            };
            if let Some((_, other, _)) = all[i + 1..].iter().find(clashes) {
                let shown = if name >= UNNAMED { "...".to_owned() } else { name.to_string() };
                let [lhs, rhs] = types;
                return Err(format!("the axis `{shown}` of {lhs} and {rhs} has sizes {size} and {other}"));
            }
        }
        Ok(())
    }

    #[track_caller]
    fn product(&self, lhs: &Tensor, rhs: &Tensor) -> Tensor {
        let [mut left, mut right] = [(lhs, &self.operands[0]), (rhs, &self.operands[1])]
            .map(|(tensor, names)| Named { tensor: tensor.clone(), names: names.clone() }.diagonal());
        left.meet(&mut right);
        let left = left.only(|name| right.names.contains(&name) || self.result.contains(&name));
        let right = right.only(|name| left.names.contains(&name) || self.result.contains(&name));
        let is_shared = |name: &&char| left.names.contains(name) && right.names.contains(name);
        let batch: Vec<char> = self.result.iter().filter(is_shared).copied().collect();
        let mut contract: Vec<char> = left.names.iter().filter(is_shared).copied().collect();
        contract.retain(|name| !batch.contains(name));
        contract.sort_unstable();
        let free = |of: &Named| of.names.iter().filter(|name| !is_shared(name)).copied().collect::<Vec<_>>();
        let (left_free, right_free) = (free(&left), free(&right));
        // With the operands exchanged, the result may need no transpose. JAX does the same.
        if [&batch[..], &right_free, &left_free].concat() == self.result {
            return right.dot(&left, &batch, &contract);
        }
        let names = [batch.clone(), left_free, right_free].concat();
        let order: Vec<usize> = self.result.iter().map(|name| place(&names, *name)).collect();
        left.dot(&right, &batch, &contract).transpose(&order)
    }
}

/// A tensor and the names of its axes.
struct Named {
    tensor: Tensor,
    names: Vec<char>,
}

impl Named {
    /// Takes the diagonal of axes with the same name.
    fn diagonal(mut self) -> Named {
        while let Some(second) = (1..self.names.len()).find(|&i| self.names[..i].contains(&self.names[i])) {
            let first = place(&self.names, self.names[second]);
            let ty = self.tensor.ty().with_dtype(DType::S32);
            let [i, j] = [first, second].map(|axis| self.tensor.graph().iota(ty.clone(), axis));
            let diagonal = i.eq(&j).select(&self.tensor, &self.tensor.zeros_like());
            self = Named { tensor: diagonal.reduce_sum([second]), names: without(&self.names, second) };
        }
        self
    }

    /// Drops axes of size 1 that have another size in the other operand.
    fn meet(&mut self, other: &mut Named) {
        for name in self.names.clone() {
            let Some(there) = other.names.iter().position(|n| *n == name) else { continue };
            let here = place(&self.names, name);
            match (self.tensor.dims()[here], other.tensor.dims()[there]) {
                (a, b) if a == b => {}
                (1, _) => self.squeeze(here),
                _ => other.squeeze(there),
            }
        }
    }

    fn squeeze(&mut self, axis: usize) {
        let dims = without(self.tensor.dims(), axis);
        *self = Named { tensor: self.tensor.reshape(&dims), names: without(&self.names, axis) };
    }

    /// Sums over the axes that are not kept.
    fn only(self, keep: impl Fn(char) -> bool) -> Named {
        let gone: Vec<usize> = (0..self.names.len()).filter(|&i| !keep(self.names[i])).collect();
        if gone.is_empty() {
            return self;
        }
        let names = self.names.iter().copied().filter(|name| keep(*name)).collect();
        Named { tensor: self.tensor.reduce_sum(&gone), names }
    }

    #[track_caller]
    fn dot(&self, other: &Named, batch: &[char], contract: &[char]) -> Tensor {
        let at = |of: &Named, names: &[char]| names.iter().map(|name| place(&of.names, *name)).collect();
        let dims = DotDims {
            lhs_batch: at(self, batch),
            rhs_batch: at(other, batch),
            lhs_contract: at(self, contract),
            rhs_contract: at(other, contract),
        };
        self.tensor.dot_in(NAME, &other.tensor, dims)
    }
}

fn place(names: &[char], name: char) -> usize {
    names.iter().position(|n| *n == name).expect("a known name")
}

fn without<T: Clone>(list: &[T], index: usize) -> Vec<T> {
    [&list[..index], &list[index + 1..]].concat()
}

/// The names of an operand's axes.
fn axes(text: &str, ty: &TensorType) -> Result<Vec<char>, String> {
    let named = text.replace("...", "").chars().count();
    let fits = if text.contains("...") { named <= ty.rank() } else { named == ty.rank() };
    if !fits {
        return Err(format!("`{text}` names {named} axes, but {ty} has {}", ty.rank()));
    }
    let unnamed: Vec<char> = (UNNAMED..).take(ty.rank() - named).collect();
    expand(text, &unnamed.into_iter().rev().collect::<Vec<_>>())
}

/// The names in `text`, with `...` replaced by `unnamed`.
fn expand(text: &str, unnamed: &[char]) -> Result<Vec<char>, String> {
    let parts: Vec<&str> = text.split("...").collect();
    if parts.len() > 2 {
        return Err("`...` occurs twice in one term".to_owned());
    }
    if let Some(wrong) = parts.concat().chars().find(|c| !c.is_ascii_alphabetic()) {
        return Err(format!("`{wrong}` is not a letter"));
    }
    let parts: Vec<Vec<char>> = parts.iter().map(|part| part.chars().collect()).collect();
    Ok(parts.join(unnamed))
}

/// The letters that occur once, in alphabetical order.
fn once(all: &[char]) -> Vec<char> {
    let occurs_once = |name: &&char| **name < UNNAMED && all.iter().filter(|n| n == name).count() == 1;
    let mut names: Vec<char> = all.iter().filter(occurs_once).copied().collect();
    names.sort_unstable();
    names
}

pub(crate) fn samples() -> Vec<Sample> {
    let sample = |subscripts: &'static str, left: &[usize], right: &[usize]| {
        Sample::new(format!("einsum {subscripts}"), move |x| vec![einsum(subscripts, &x[0], &x[1])])
            .input(DType::F64, left, -1.0, 1.0)
            .input(DType::F64, right, -1.0, 1.0)
    };
    vec![
        sample("bij,bjk->kbi", &[2, 3, 4], &[2, 4, 3]),
        sample("...i,ij", &[2, 3, 4], &[4, 2]),
        sample("iik,jk->j", &[3, 3, 2], &[2, 2]),
        sample("ij,jk->k", &[3, 1], &[4, 2]),
    ]
}
