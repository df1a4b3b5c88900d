//! Trees (JAX: pytrees): nests of tuples, arrays, vectors, options, maps and structs, whose leaves have one type.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::graph::error::Violation;
use crate::graph::structure::{StaticValue, Structure, TreeError};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::types::array::Array;
use crate::types::tensor_type::TensorType;

/// A type of leaves: [`Tensor`] in a trace, [`Array`] on the host, [`TensorType`], and buffers on a device.
///
/// A type that implements it is a tree of one leaf.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a type of leaves: those are `Tensor`, `Array`, `TensorType` and `Buffer`"
)]
pub trait Leaf: Sized + 'static {}

impl Leaf for Tensor {}
impl Leaf for Array {}
impl Leaf for TensorType {}

/// Where a leaf was.
struct Place;

impl Leaf for Place {}

/// A part of a tree, as [`Tree::each`] visits it.
pub enum Part<'a, L> {
    /// A leaf.
    Leaf(&'a L),
    /// A vector, array, option or map with this many entries; its entries follow.
    Node(usize),
    /// A value that is part of the program instead of its input.
    Static(&'a dyn StaticValue),
}

/// A tree whose leaves are all of type `L`. JAX: a pytree.
///
/// Trees are leaves, tuples, `[T; N]`, `Vec<T>`, `Option<T>` and `BTreeMap<String, T>` of trees, structs with
/// `#[derive(Tree)]`, and [`Static`](crate::Static) values, which have no leaves. A struct has one type parameter, the type of its
/// leaves, so that one definition serves for the tensors of a trace, for host arrays and for buffers on a device:
///
/// ```text
/// #[derive(Tree)]
/// struct Linear<T = Tensor> { kernel: T, bias: Option<T> }
/// ```
///
/// Each leaf has a path: the names and indices that lead to it, divided by `/`: `layers/0/kernel`, as
/// `jax.tree_util.keystr(path, simple=True, separator="/")` prints it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tree with leaves of type `{L}`",
    note = "trees are leaves, tuples, arrays, Vec, Option, BTreeMap<String, _> and structs with #[derive(Tree)] of trees",
    note = "a value that is part of the compiled program, such as a number or a flag, is wrapped in `Static`"
)]
pub trait Tree<L: Leaf = Tensor>: Sized {
    /// The same tree with leaves of another type.
    type With<M: Leaf>: Tree<M, With<L> = Self>;

    /// Calls `f` with each part and its path, in order. `path` is the path of the tree itself, `""` for a whole tree.
    fn each<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, Part<'a, L>));

    /// The tree with each leaf replaced by the result of `f` for its path and itself.
    ///
    /// # Errors
    /// The first error of `f`.
    fn try_map<M: Leaf, E>(&self, path: &str, f: &mut dyn FnMut(&str, &L) -> Result<M, E>) -> Result<Self::With<M>, E>;

    /// The identity: to replace leaves twice is to replace them once, which the compiler cannot see for a tree of unknown type.
    fn again<M: Leaf, N: Leaf>(tree: <Self::With<M> as Tree<M>>::With<N>) -> Self::With<N>;

    /// The leaves in order.
    fn leaves(&self) -> Vec<L>
    where
        L: Clone,
    {
        self.by_path().into_iter().map(|(_, leaf)| leaf.clone()).collect()
    }

    /// The leaves in order, each with its path.
    fn by_path(&self) -> Vec<(String, &L)> {
        let mut found = Vec::new();
        self.each("", &mut |path, part| {
            if let Part::Leaf(leaf) = part {
                found.push((path.to_owned(), leaf));
            }
        });
        found
    }

    /// The paths of the leaves in order.
    fn paths(&self) -> Vec<String> {
        self.by_path().into_iter().map(|(path, _)| path).collect()
    }

    /// The tree with each leaf replaced. JAX: `jax.tree.map`.
    fn map(&self, mut f: impl FnMut(&L) -> L) -> Self {
        // `With<L>` of a tree of unknown type is not known to be the tree; `With<Place>::With<L>` is.
        let mut leaves = Vec::new();
        let places = self.map_to(|leaf| {
            leaves.push(f(leaf));
            Place
        });
        let mut leaves = leaves.into_iter();
        places.map_to(|_| leaves.next().expect("as many leaves as places"))
    }

    /// The tree with each leaf replaced by one of another type, for example an array by its type.
    fn map_to<M: Leaf>(&self, mut f: impl FnMut(&L) -> M) -> Self::With<M> {
        let Ok(tree) = self.try_map::<M, Infallible>("", &mut |_, leaf| Ok(f(leaf)));
        tree
    }

    /// The tree with its leaves replaced by `leaves`, in order.
    ///
    /// # Errors
    /// Another number of leaves.
    fn with_leaves<M: Leaf>(&self, leaves: Vec<M>) -> Result<Self::With<M>, TreeError> {
        let (places, given) = (self.by_path().len(), leaves.len());
        let wrong = || TreeError(format!("the tree takes {places} leaves, not {given}"));
        if places != given {
            return Err(wrong());
        }
        let mut leaves = leaves.into_iter();
        self.try_map("", &mut |_, _| leaves.next().ok_or_else(wrong))
    }

    /// Everything of the tree but its leaves: the paths, the numbers of entries, the static values.
    fn structure(&self) -> Structure {
        Structure::of(self)
    }
}

/// The tree with `leaves` in order; one poison stands for all outputs of a failed operation.
///
/// # Panics
/// When there are leaves in `like`, but none in `leaves`.
pub(crate) fn filled<T: Tree>(like: &T, leaves: &[Tensor]) -> T {
    let mut leaves = leaves.iter().chain(leaves.first().into_iter().cycle());
    like.map(|_| leaves.next().expect("an operation has outputs").clone())
}

/// Applies `f` to each leaf of `a` and the leaf of `b` at the same path. JAX: `jax.tree.map(f, a, b)`.
///
/// # Errors
/// Recorded in the trace: trees of different structure, with the first path at which they differ.
///
/// ```
/// use spiq_hlo::{grad, trace, zip_map, DType, TensorType, Tree};
/// let w = TensorType::new(DType::F32, [3]);
/// trace(&[("w", w.clone()), ("v", w)], |x| {
///     let params = (x[0].clone(), x[1].clone());
///     let slopes = grad(&params, |(w, v)| (w * v).sum());
///     zip_map(&params, &slopes, |p, g| p - 0.1 * g).leaves()
/// })?;
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn zip_map<T: Tree>(a: &T, b: &T, mut f: impl FnMut(&Tensor, &Tensor) -> Tensor) -> T {
    let others = b.leaves();
    let mut others = others.iter();
    match (a.structure().check(&b.structure(), "the first tree", "the second"), a.leaves().first()) {
        (Err(error), Some(any)) => {
            let poison = any.graph().fail("zip_map", Violation::new("", error.to_string()));
            a.map(|_| poison.clone())
        }
        _ => a.map(|leaf| others.next().map_or_else(|| leaf.clone(), |other| f(leaf, other))),
    }
}

/// The leaves of `tree`, or a poison for each leaf of `like` if its structure differs: then the error is recorded with these names of
/// the two.
pub(crate) fn leaves_like<T: Tree>(
    like: &T,
    tree: &T,
    graph: &Graph,
    op: &str,
    (own, other): (&str, &str),
) -> Vec<Tensor> {
    match tree.structure().check(&like.structure(), own, other) {
        Ok(()) => tree.leaves(),
        Err(error) => {
            let poison = graph.fail_results(op, Violation::new("", error.to_string()));
            vec![poison; like.by_path().len()]
        }
    }
}

/// The path of an entry of a tree.
pub fn join_path(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

impl<L: Leaf> Tree<L> for L {
    type With<M: Leaf> = M;
    fn each<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, Part<'a, L>)) {
        f(path, Part::Leaf(self));
    }
    fn try_map<M: Leaf, E>(&self, path: &str, f: &mut dyn FnMut(&str, &L) -> Result<M, E>) -> Result<M, E> {
        f(path, self)
    }
    fn again<M: Leaf, N: Leaf>(tree: N) -> N {
        tree
    }
}

/// Entries in a row, by index.
macro_rules! rows {
    ($of:ident<$t:ident $(, $n:ident)?>, $with:ty, |$entries:ident| $collect:expr, |$tree:ident| $again:expr) => {
        impl<L: Leaf, $t: Tree<L> $(, const $n: usize)?> Tree<L> for $of!($t $(, $n)?) {
            type With<M: Leaf> = $with;
            fn each<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, Part<'a, L>)) {
                f(path, Part::Node(self.len()));
                self.iter().enumerate().for_each(|(i, t)| t.each(&join_path(path, &i.to_string()), f));
            }
            fn try_map<M: Leaf, E>(
                &self,
                path: &str,
                f: &mut dyn FnMut(&str, &L) -> Result<M, E>,
            ) -> Result<Self::With<M>, E> {
                let entries = self.iter().enumerate().map(|(i, t)| t.try_map(&join_path(path, &i.to_string()), f));
                let $entries = entries.collect::<Result<Vec<_>, E>>()?;
                Ok($collect)
            }
            fn again<M: Leaf, N: Leaf>(tree: <Self::With<M> as Tree<M>>::With<N>) -> Self::With<N> {
                let $tree = tree;
                $again
            }
        }
    };
}

macro_rules! vector {
    ($t:ident) => { Vec<$t> };
}
macro_rules! array {
    ($t:ident, $n:ident) => {
        [$t; $n]
    };
}

rows!(vector<T>, Vec<T::With<M>>, |entries| entries, |tree| tree.into_iter().map(T::again::<M, N>).collect());
rows!(
    array<T, SIZE>,
    [T::With<M>; SIZE],
    |entries| match entries.try_into() {
        Ok(entries) => entries,
        Err(_) => unreachable!("as many entries as the array has"),
    },
    |tree| tree.map(T::again::<M, N>)
);

impl<L: Leaf, T: Tree<L>> Tree<L> for Option<T> {
    type With<M: Leaf> = Option<T::With<M>>;
    fn each<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, Part<'a, L>)) {
        f(path, Part::Node(usize::from(self.is_some())));
        self.iter().for_each(|t| t.each(path, f));
    }
    fn try_map<M: Leaf, E>(&self, path: &str, f: &mut dyn FnMut(&str, &L) -> Result<M, E>) -> Result<Self::With<M>, E> {
        self.as_ref().map(|t| t.try_map(path, f)).transpose()
    }
    fn again<M: Leaf, N: Leaf>(tree: <Self::With<M> as Tree<M>>::With<N>) -> Self::With<N> {
        tree.map(T::again::<M, N>)
    }
}

impl<L: Leaf, T: Tree<L>> Tree<L> for BTreeMap<String, T> {
    type With<M: Leaf> = BTreeMap<String, T::With<M>>;
    fn each<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, Part<'a, L>)) {
        f(path, Part::Node(self.len()));
        self.iter().for_each(|(name, t)| t.each(&join_path(path, name), f));
    }
    fn try_map<M: Leaf, E>(&self, path: &str, f: &mut dyn FnMut(&str, &L) -> Result<M, E>) -> Result<Self::With<M>, E> {
        self.iter().map(|(name, t)| Ok((name.clone(), t.try_map(&join_path(path, name), f)?))).collect()
    }
    fn again<M: Leaf, N: Leaf>(tree: <Self::With<M> as Tree<M>>::With<N>) -> Self::With<N> {
        tree.into_iter().map(|(name, t)| (name, T::again::<M, N>(t))).collect()
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*);)*) => {$(
        impl<L: Leaf, $($name: Tree<L>),*> Tree<L> for ($($name,)*) {
            type With<M: Leaf> = ($($name::With<M>,)*);
            #[allow(unused_variables, reason = "the empty tuple has no leaves")]
            fn each<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, Part<'a, L>)) {
                $(self.$index.each(&join_path(path, stringify!($index)), f);)*
            }
            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple has no leaves")]
            fn try_map<M: Leaf, Fault>(
                &self,
                path: &str,
                f: &mut dyn FnMut(&str, &L) -> Result<M, Fault>,
            ) -> Result<Self::With<M>, Fault> {
                Ok(($(self.$index.try_map(&join_path(path, stringify!($index)), f)?,)*))
            }
            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple has no leaves")]
            fn again<M: Leaf, N: Leaf>(tree: <Self::With<M> as Tree<M>>::With<N>) -> Self::With<N> {
                ($($name::again::<M, N>(tree.$index),)*)
            }
        }
    )*};
}

tuples! {
    ();
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
}
