//! The structure of trees: what remains without the leaves, where two trees differ, and static values.

use std::any::Any;
use std::fmt;
use std::ops::Deref;

use crate::graph::tree::{Leaf, Part, Tree};

/// A value in a tree that is part of the compiled program instead of its input, such as a flag or a number of layers. JAX: a static
/// argument, or a static field.
///
/// A jitted function is compiled again for another value.
///
/// ```
/// use spiq_hlo::{Static, Tensor, Tree};
/// let inputs = |training| (Vec::<Tensor>::new(), Static(training));
/// assert_ne!(inputs(true).structure(), inputs(false).structure());
/// assert!(*inputs(true).1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Static<V>(pub V);

impl<V> Deref for Static<V> {
    type Target = V;
    fn deref(&self) -> &V {
        &self.0
    }
}

impl<L: Leaf, V: StaticValue + Clone> Tree<L> for Static<V> {
    type With<M: Leaf> = Static<V>;
    fn each<'a>(&'a self, path: &str, f: &mut dyn FnMut(&str, Part<'a, L>)) {
        f(path, Part::Static(&self.0));
    }
    fn try_map<M: Leaf, E>(&self, _: &str, _: &mut dyn FnMut(&str, &L) -> Result<M, E>) -> Result<Static<V>, E> {
        Ok(self.clone())
    }
    fn again<M: Leaf, N: Leaf>(tree: Static<V>) -> Static<V> {
        tree
    }
}

/// A value that can be [`Static`]; implemented for every type that can be cloned, compared and printed, and sent between threads.
pub trait StaticValue: fmt::Debug + Any + Send + Sync {
    /// Whether the other value has the same type and is equal.
    fn is(&self, other: &dyn StaticValue) -> bool;
    /// A copy.
    fn boxed(&self) -> Box<dyn StaticValue>;
}

impl<V: Clone + PartialEq + fmt::Debug + Send + Sync + 'static> StaticValue for V {
    fn is(&self, other: &dyn StaticValue) -> bool {
        (other as &dyn Any).downcast_ref::<V>() == Some(self)
    }
    fn boxed(&self) -> Box<dyn StaticValue> {
        Box::new(self.clone())
    }
}

/// Two trees differ. `Display` is one sentence, with the path of the first difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeError(pub(crate) String);

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TreeError {}

/// What remains of a tree without its leaves. JAX: a `PyTreeDef`.
#[derive(Debug, PartialEq)]
pub struct Structure(Vec<(String, Piece)>);

#[derive(Debug)]
enum Piece {
    Leaf,
    Node(usize),
    Static(Box<dyn StaticValue>),
}

impl PartialEq for Piece {
    fn eq(&self, other: &Piece) -> bool {
        match (self, other) {
            (Piece::Leaf, Piece::Leaf) => true,
            (Piece::Node(size), Piece::Node(other)) => size == other,
            (Piece::Static(value), Piece::Static(other)) => value.is(&**other),
            _ => false,
        }
    }
}

impl Structure {
    pub(crate) fn of<L: Leaf>(tree: &impl Tree<L>) -> Structure {
        let mut pieces = Vec::new();
        tree.each("", &mut |path, part| {
            let piece = match part {
                Part::Leaf(_) => Piece::Leaf,
                Part::Node(size) => Piece::Node(size),
                Part::Static(value) => Piece::Static(value.boxed()),
            };
            pieces.push((path.to_owned(), piece));
        });
        Structure(pieces)
    }

    /// Checks that both are equal. `own` and `others` name the two trees in the message, each with its article.
    ///
    /// # Errors
    /// The first path at which they differ.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use spiq_hlo::{Array, Tree};
    /// let named = |name: &str| BTreeMap::from([(name.to_owned(), Array::scalar(0.0f32))]);
    /// let error = named("w").structure().check(&named("v").structure(), "the file", "the model").unwrap_err();
    /// assert_eq!(error.to_string(), "the file has `w`, which the model lacks");
    /// ```
    pub fn check(&self, other: &Structure, own: &str, others: &str) -> Result<(), TreeError> {
        if self == other {
            return Ok(());
        }
        let lacks = |a: &Structure, b: &Structure| a.contents().find(|p| !b.contents().any(|q| q == *p)).map(shown);
        let message = match (lacks(self, other), lacks(other, self)) {
            (Some(path), _) => format!("{own} has {path}, which {others} lacks"),
            (_, Some(path)) => format!("{own} lacks {path}, which {others} has"),
            _ => self.difference(other, own, others),
        };
        Err(TreeError(message))
    }

    /// The paths of leaves and static values.
    fn contents(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, piece)| !matches!(piece, Piece::Node(_))).map(|(path, _)| path.as_str())
    }

    /// The first difference of structures with the same paths.
    fn difference(&self, other: &Structure, own: &str, others: &str) -> String {
        let differ = self.0.iter().zip(&other.0).find(|(a, b)| a != b);
        match differ {
            Some(((path, a), (at, b))) if path == at => {
                format!("{} is {a} in {own} and {b} in {others}", shown(path))
            }
            Some(((path, a), _)) => format!("{own} has {a} at {}, which {others} lacks", shown(path)),
            None => format!("{own} and {others} differ in their numbers of entries"),
        }
    }
}

/// A path in a message.
fn shown(path: &str) -> String {
    if path.is_empty() { "the root".to_owned() } else { format!("`{path}`") }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Leaf => f.write_str("a leaf"),
            Piece::Node(1) => f.write_str("a node of 1 entry"),
            Piece::Node(size) => write!(f, "a node of {size} entries"),
            Piece::Static(value) => write!(f, "{value:?}"),
        }
    }
}
