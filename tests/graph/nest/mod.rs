//! Nested transforms as data: how each level uses the values in scope. Two implementations: with the library's transforms, and written
//! out without them. `tests/reference/nests.py` is the same in JAX.

mod transformed;
mod unrolled;

use std::fmt;

use spiq_hlo::{Tensor, concatenate, grad, vjp};

pub use transformed::Transformed;
pub use unrolled::Unrolled;

/// The transform of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Grad,
    Vjp,
    Vmap,
    Scan,
    While,
    Switch,
    Checkpoint,
    CustomVjp,
    Jit,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::Grad,
        Kind::Vjp,
        Kind::Vmap,
        Kind::Scan,
        Kind::While,
        Kind::Switch,
        Kind::Checkpoint,
        Kind::CustomVjp,
        Kind::Jit,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Grad => "grad",
            Kind::Vjp => "vjp",
            Kind::Vmap => "vmap",
            Kind::Scan => "scan",
            Kind::While => "while",
            Kind::Switch => "switch",
            Kind::Checkpoint => "checkpoint",
            Kind::CustomVjp => "custom_vjp",
            Kind::Jit => "jit",
        }
    }

    /// Whether it differentiates its body, which a `while` does not support.
    fn differentiates(self) -> bool {
        matches!(self, Kind::Grad | Kind::Vjp | Kind::CustomVjp)
    }
}

/// A level: a transform, and the two values in scope that it uses (modulo their number).
#[derive(Clone, Copy)]
pub struct Level {
    pub kind: Kind,
    pub i: usize,
    pub j: usize,
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}, {})", self.kind.name(), self.i, self.j)
    }
}

/// Whether no `while` is differentiated from outside.
pub fn is_allowed(levels: &[Level]) -> bool {
    let first = levels.iter().position(|l| l.kind.differentiates()).unwrap_or(levels.len());
    levels[first..].iter().all(|l| l.kind != Kind::While)
}

pub fn has_while(levels: &[Level]) -> bool {
    levels.iter().any(|l| l.kind == Kind::While)
}

/// A function of the values in scope.
pub type Body<'a> = &'a dyn Fn(&[Tensor]) -> Tensor;

/// An implementation of the transforms.
pub trait Way {
    /// Applies `f` to each row.
    fn vmap(&self, rows: [&Tensor; 3], f: &dyn Fn(&Tensor) -> Tensor) -> Vec<Tensor>;
    /// The last carry and the sum of the steps' outputs.
    fn scan(
        &self,
        init: &Tensor,
        rows: [&Tensor; 2],
        f: &dyn Fn(&Tensor, &Tensor) -> (Tensor, Tensor),
    ) -> (Tensor, Tensor);
    /// Two steps.
    fn repeat(&self, init: &Tensor, f: &dyn Fn(&Tensor) -> Tensor) -> Tensor;
    /// `first` if the sum of `x` is not above that of `y`, else `second`.
    fn switch(&self, x: &Tensor, y: &Tensor, first: &dyn Fn() -> Tensor, second: &dyn Fn() -> Tensor) -> Tensor;
    fn checkpoint(&self, at: &Tensor, f: &dyn Fn(&Tensor) -> Tensor) -> Tensor;
    /// `f` with its own derivative given as a custom one.
    fn custom_vjp(&self, scope: &[Tensor], f: Body<'_>) -> Tensor;
    fn jit(&self, scope: &[Tensor], f: Body<'_>) -> Tensor;
}

/// An operation on two values; if both are outer values, it is recorded outside.
fn mix(x: &Tensor, y: &Tensor) -> Tensor {
    (x * y).sin() + x * 0.5
}

/// The innermost formula.
fn leaf(scope: &[Tensor]) -> Tensor {
    let n = scope.len();
    (&scope[n - 1] * &scope[n - 2]).tanh() + &scope[0] * &scope[n / 2]
}

fn with(scope: &[Tensor], more: &[&Tensor]) -> Vec<Tensor> {
    scope.iter().chain(more.iter().copied()).cloned().collect()
}

/// The scope with values replaced at two places, and their mix appended: computed from outer values only, between the differentiated
/// value and the inner levels.
fn replaced(scope: &[Tensor], places: [usize; 2], values: [&Tensor; 2]) -> Vec<Tensor> {
    let mut scope = scope.to_vec();
    for (place, value) in places.into_iter().zip(values) {
        scope[place] = value.clone();
    }
    let mixed = mix(&scope[places[0]], &scope[places[1]]);
    with(&scope, &[&mixed])
}

/// Runs the levels on the values in scope, which all have the same shape.
pub fn run(way: &dyn Way, levels: &[Level], scope: &[Tensor]) -> Tensor {
    let Some((level, rest)) = levels.split_first() else { return leaf(scope) };
    let inner = |scope: &[Tensor]| run(way, rest, scope);
    let (i, j) = (level.i % scope.len(), level.j % scope.len());
    let outer = mix(&scope[i], &scope[j]);
    let scope = with(scope, &[&outer]);
    let (x, y) = (&scope[i], &scope[j]);
    match level.kind {
        Kind::Grad => {
            let slope = grad(x, |p| (inner(&replaced(&scope, [i, i], [p, p])) * y).sum());
            slope.sin() + &outer
        }
        Kind::Vjp => {
            let (p, q) = (x.identity(), y.identity());
            let result = inner(&replaced(&scope, [i, j], [&p, &q]));
            let slopes = vjp(&[result], &[Some(outer.clone())], &[p, q]);
            // If both places are the same, the second replaces both.
            if i == j { slopes[1].sin() } else { slopes[0].sin() + &slopes[1] }
        }
        Kind::Vmap => {
            let rows = way.vmap([x, y, &outer], &|v| inner(&with(&scope, &[v])));
            &rows[0] - &rows[1] * 0.5 + &rows[2] * 0.25
        }
        Kind::Scan => {
            let step = |c: &Tensor, x: &Tensor| {
                let result = inner(&with(&scope, &[c, x]));
                (c * 0.5 + result.sin(), result * x)
            };
            let (last, sum) = way.scan(x, [y, &outer], &step);
            last + sum * 0.5
        }
        Kind::While => way.repeat(x, &|c| inner(&with(&scope, &[c])).sin() + c * 0.25),
        Kind::Switch => {
            let other = || inner(&with(&scope, &[&(&outer * 2.0)])).sin();
            way.switch(x, y, &|| inner(&scope), &other)
        }
        Kind::Checkpoint => way.checkpoint(x, &|p| inner(&replaced(&scope, [i, i], [p, p]))),
        Kind::CustomVjp => way.custom_vjp(&scope, &|scope| inner(&replaced(scope, [i, j], [&scope[i], &scope[j]]))),
        Kind::Jit => way.jit(&scope, &inner),
    }
}

/// Stacks tensors of one shape.
fn stacked(rows: &[&Tensor]) -> Tensor {
    let rows: Vec<Tensor> = rows.iter().map(|row| row.expand_dims(0)).collect();
    concatenate(&rows.iter().collect::<Vec<_>>(), 0)
}
