//! Nests of tensors (pytrees): tuples, vectors, options and maps, flattened and rebuilt.

use std::collections::BTreeMap;

use crate::graph::tensor::Tensor;

/// A nest of tensors with a fixed order of leaves: a pytree in JAX.
pub trait Tree: Sized {
    /// Calls `f` with each leaf and its path, for example `1/kernel`.
    fn each(&self, path: &str, f: &mut dyn FnMut(&str, &Tensor));

    /// The same nest with other leaves, in order.
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Tensor>) -> Self;

    /// The leaves in order.
    fn leaves(&self) -> Vec<Tensor> {
        let mut leaves = Vec::new();
        self.each("", &mut |_, t| leaves.push(t.clone()));
        leaves
    }

    /// The paths of the leaves in order.
    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.each("", &mut |p, _| paths.push(p.to_owned()));
        paths
    }

    /// The same nest with each leaf replaced.
    fn map(&self, f: impl FnMut(&Tensor) -> Tensor) -> Self {
        self.rebuild(&mut self.leaves().iter().map(f))
    }

    /// The nest with its leaves replaced by `leaves`, in order.
    ///
    /// # Panics
    /// When `leaves` is shorter than [`leaves`](Tree::leaves) of the nest.
    fn with_leaves(&self, leaves: Vec<Tensor>) -> Self {
        self.rebuild(&mut leaves.into_iter())
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

impl Tree for Tensor {
    fn each(&self, path: &str, f: &mut dyn FnMut(&str, &Tensor)) {
        f(path, self);
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Tensor>) -> Self {
        leaves.next().expect("as many leaves as places")
    }
}

impl<T: Tree> Tree for Vec<T> {
    fn each(&self, path: &str, f: &mut dyn FnMut(&str, &Tensor)) {
        self.iter().enumerate().for_each(|(i, t)| t.each(&join(path, &i.to_string()), f));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Tensor>) -> Self {
        self.iter().map(|t| t.rebuild(leaves)).collect()
    }
}

impl<T: Tree> Tree for Option<T> {
    fn each(&self, path: &str, f: &mut dyn FnMut(&str, &Tensor)) {
        self.iter().for_each(|t| t.each(path, f));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Tensor>) -> Self {
        self.as_ref().map(|t| t.rebuild(leaves))
    }
}

impl<T: Tree> Tree for BTreeMap<String, T> {
    fn each(&self, path: &str, f: &mut dyn FnMut(&str, &Tensor)) {
        self.iter().for_each(|(name, t)| t.each(&join(path, name), f));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Tensor>) -> Self {
        self.iter().map(|(name, t)| (name.clone(), t.rebuild(leaves))).collect()
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*);)*) => {$(
        impl<$($name: Tree),*> Tree for ($($name,)*) {
            #[allow(unused_variables, reason = "the empty tuple has no leaves")]
            fn each(&self, path: &str, f: &mut dyn FnMut(&str, &Tensor)) {
                $(self.$index.each(&join(path, stringify!($index)), f);)*
            }
            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple has no leaves")]
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = Tensor>) -> Self {
                ($(self.$index.rebuild(leaves),)*)
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
}
