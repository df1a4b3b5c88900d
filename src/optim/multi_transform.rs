//! A separate transformation for each group of parameters.

use std::collections::BTreeMap;

use spiq_hlo::{Array, Tensor, TensorType};

use super::transformation::{GradientTransformation, step, updates_by_step};
use super::tree::{of_folder, under};
use crate::by_path::{PathPattern, Tensors, Types};

/// A transformation per group of parameters, and one for the rest; a parameter belongs to the first group whose pattern matches its path.
/// The state of group `i` is under `i/`, that of the rest under the number of groups. Source: `optax.multi_transform`.
///
/// ```
/// use spiq::optim::{GradientTransformation, PathPattern, adam, multi_transform, sgd};
/// use spiq_hlo::{DType, TensorType};
/// let optimizer = multi_transform([(PathPattern::new("beta")?, sgd(0.1).into())], adam(1e-3));
/// let ty = |path: &str| (path.to_owned(), TensorType::new(DType::F32, [4]));
/// let state = optimizer.init(&[ty("core/layers/0/kernel"), ty("core/layers/1/beta")].into());
/// assert_eq!(
///     state.keys().collect::<Vec<_>>(),
///     ["0/count", "1/count", "1/mu/core/layers/0/kernel", "1/nu/core/layers/0/kernel"]
/// );
/// # Ok::<(), String>(())
/// ```
#[derive(Debug)]
pub struct MultiTransform {
    groups: Vec<(PathPattern, Box<dyn GradientTransformation>)>,
    rest: Box<dyn GradientTransformation>,
}

/// A [`MultiTransform`] of these groups.
pub fn multi_transform(
    groups: impl IntoIterator<Item = (PathPattern, Box<dyn GradientTransformation>)>,
    rest: impl Into<Box<dyn GradientTransformation>>,
) -> MultiTransform {
    MultiTransform { groups: groups.into_iter().collect(), rest: rest.into() }
}

impl MultiTransform {
    /// The transformations in order, that of the rest last.
    fn parts(&self) -> impl Iterator<Item = &dyn GradientTransformation> {
        self.groups.iter().map(|(_, part)| &**part).chain([&*self.rest])
    }

    /// The index of the part that a path belongs to.
    fn part(&self, path: &str) -> usize {
        self.groups.iter().position(|(pattern, _)| pattern.matches(path)).unwrap_or(self.groups.len())
    }

    /// The entries of a map that belong to a part.
    fn of_part<T: Clone>(&self, part: usize, map: &BTreeMap<String, T>) -> BTreeMap<String, T> {
        let own = map.iter().filter(|(path, _)| self.part(path) == part);
        own.map(|(path, value)| (path.clone(), value.clone())).collect()
    }

    fn step(&self, grads: &Tensors, state: &Tensors, params: &Tensors, value: Option<&Tensor>) -> (Tensors, Tensors) {
        let (mut updates, mut next) = (Tensors::new(), Tensors::new());
        for (i, part) in self.parts().enumerate() {
            let (grads, params, folder) = (self.of_part(i, grads), self.of_part(i, params), i.to_string());
            let (changed, after) = step(part, &grads, &of_folder(&folder, state), &params, value);
            updates.extend(changed);
            next.extend(under(&folder, &after));
        }
        (updates, next)
    }
}

impl GradientTransformation for MultiTransform {
    fn state_types(&self, params: &Types) -> Types {
        self.init(params).into_iter().map(|(path, array)| (path, array.ty().clone())).collect()
    }
    fn init(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, Array> {
        let mut state = BTreeMap::new();
        for (i, part) in self.parts().enumerate() {
            let own = self.of_part(i, params);
            // Without parameters there is no trace for the step count.
            if !own.is_empty() {
                state.extend(under(&i.to_string(), &part.init(&own)));
            }
        }
        state
    }
    updates_by_step!();
    fn describe(&self) -> String {
        let groups: Vec<String> =
            self.groups.iter().map(|(pattern, part)| format!("\"{}\": {}", pattern.text(), part.describe())).collect();
        format!("multi_transform({{{}}}, {})", groups.join(", "), self.rest.describe())
    }
}
