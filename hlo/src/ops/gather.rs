//! Windows of a tensor at computed indices: gather reads them, scatter writes them.

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::function::Function;
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local, Split};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::ops::sample::Sample;
use crate::print::literal::array_i64;
use crate::types::array::Array;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// How indices address windows of an operand, for gather's reads and scatter's writes.
///
/// Source: the specification's gather; each field's name there follows in parentheses (scatter's names differ).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WindowDims {
    /// Axes of the result (for scatter: of the updates) that span a window (`offset_dims`).
    pub window: Vec<usize>,
    /// Axes of the operand along which a window has one element, and which it drops (`collapsed_slice_dims`).
    pub collapsed: Vec<usize>,
    /// Axes of the operand that are batched with axes of the indices (`operand_batching_dims`).
    pub operand_batch: Vec<usize>,
    /// The corresponding batch axes of the indices (`start_indices_batching_dims`).
    pub indices_batch: Vec<usize>,
    /// The axis of the operand that each component of an index addresses (`start_index_map`).
    pub start: Vec<usize>,
    /// The axis of the indices that holds an index's components; the rank of the indices if each index is one number
    /// (`index_vector_dim`).
    pub index_axis: usize,
}

/// The labels of one operation's constraints, in the order in which [`WindowDims::check`] checks them.
type Labels = [&'static str; 17];
const GATHER: Labels =
    ["C1", "C2", "C3", "C4", "C6", "C7", "C8", "C10", "C11", "C13", "C14", "C15", "C16", "C17", "C18", "C19", "C5"];
const SCATTER: Labels =
    ["C2", "C22", "C19", "C7", "C9", "C10", "C11", "C12", "C13", "C14", "C15", "C16", "C17", "C18", "C20", "C21", "C8"];

impl WindowDims {
    /// Whole slices at single indices along `axis` of an operand, for [`Tensor::take`].
    fn along(axis: usize, operand_rank: usize, indices_rank: usize) -> WindowDims {
        let before = 0..axis;
        let after = axis + indices_rank..operand_rank + indices_rank - 1;
        WindowDims {
            window: before.chain(after).collect(),
            collapsed: vec![axis],
            start: vec![axis],
            index_axis: indices_rank,
            ..WindowDims::default()
        }
    }

    /// One window with all axes of the operand, at one index vector.
    pub(crate) fn at(rank: usize) -> WindowDims {
        WindowDims { window: (0..rank).collect(), start: (0..rank).collect(), ..WindowDims::default() }
    }

    fn check(&self, labels: &Labels, operand: &TensorType, indices: &TensorType) -> Result<(), Violation> {
        let (rank, indices_rank) = (operand.rank(), indices.rank());
        let result_rank =
            (indices_rank + self.window.len()).saturating_sub(usize::from(self.index_axis < indices_rank));
        let components = indices.dims.get(self.index_axis).copied().unwrap_or(1);
        let parts = self.window.len() + self.collapsed.len() + self.operand_batch.len();
        let (left, right) = (&self.operand_batch, &self.indices_batch);
        let gone = [&self.collapsed[..], left].concat();
        let named = [&self.start[..], left].concat();
        let size = |ty: &TensorType, axis: usize| ty.dims.get(axis).copied();
        let paired = left.iter().zip(right).all(|(&o, &i)| size(operand, o) == size(indices, i));
        let ascending = |axes: &[usize]| axes.is_sorted();
        let below = |axes: &[usize], rank: usize| axes.iter().all(|&a| a < rank);
        let rules: [(bool, String); 17] = [
            (parts == rank, format!("the dimension numbers cover {parts} axes of {operand}")),
            (self.index_axis <= indices_rank, format!("axis {} is not an axis of {indices}", self.index_axis)),
            (self.start.len() == components, format!("{:?} is addressed by {components} components", self.start)),
            (ascending(&self.window) && distinct(&self.window), format!("{:?} does not ascend", self.window)),
            (distinct(&gone), format!("{gone:?} names an axis of {operand} twice")),
            (ascending(&self.collapsed), format!("{:?} does not ascend", self.collapsed)),
            (below(&self.collapsed, rank), format!("{:?} are not all axes of {operand}", self.collapsed)),
            (ascending(left), format!("{left:?} does not ascend")),
            (below(left, rank), format!("{left:?} are not all axes of {operand}")),
            (distinct(right), format!("{right:?} names an axis of {indices} twice")),
            (below(right, indices_rank), format!("{right:?} are not all axes of {indices}")),
            (!right.contains(&self.index_axis), format!("{right:?} contains the axis of the components")),
            (left.len() == right.len(), format!("{left:?} pairs with {right:?}")),
            (paired, format!("{left:?} of {operand} pairs with {right:?} of {indices}")),
            (distinct(&named), format!("{named:?} names an axis of {operand} twice")),
            (below(&self.start, rank), format!("{:?} are not all axes of {operand}", self.start)),
            (below(&self.window, result_rank), format!("{:?} are not all below {result_rank}", self.window)),
        ];
        match rules.into_iter().zip(labels).find(|((holds, _), _)| !holds) {
            Some(((_, message), label)) => Err(Violation::new(label, message)),
            None => Ok(()),
        }
    }

    /// The shape of all windows together: the sizes of the indices' axes, with those of a window inserted at its axes.
    fn combine(&self, indices: &[usize], window: &[usize]) -> Vec<usize> {
        let (mut window, rank) = (window.iter(), self.places(indices).len() + self.window.len());
        let mut places = self.places(indices).into_iter();
        let size = |axis| if self.window.contains(&axis) { window.next().copied() } else { places.next() };
        (0..rank).filter_map(size).collect()
    }

    /// Sizes of the indices' axes without the component axis.
    fn places(&self, indices: &[usize]) -> Vec<usize> {
        (0..indices.len()).filter(|a| *a != self.index_axis).map(|a| indices[a]).collect()
    }

    /// The axis of the result that corresponds to an axis of the indices; `None` for the component axis.
    fn place(&self, axis: usize, indices_rank: usize) -> Option<usize> {
        let number = (0..indices_rank).filter(|a| *a != self.index_axis).position(|a| a == axis)?;
        (0..).filter(|a| !self.window.contains(a)).nth(number)
    }

    /// The axis of the indices that corresponds to an axis of the result.
    fn axis_at(&self, place: usize, indices_rank: usize) -> Option<usize> {
        (0..indices_rank).find(|&axis| self.place(axis, indices_rank) == Some(place))
    }

    /// The division of the indices, given that of a batch axis of the operand.
    fn of_indices(&self, operand: Split) -> Option<Split> {
        let pair = self.operand_batch.iter().position(|&axis| axis == operand.axis)?;
        Some(operand.at(self.indices_batch[pair]))
    }

    /// The division of the operand, given that of a batch axis of the indices.
    fn of_operand(&self, indices: Split) -> Option<Split> {
        let pair = self.indices_batch.iter().position(|&axis| axis == indices.axis)?;
        Some(indices.at(self.operand_batch[pair]))
    }

    /// The axes of the operand that a window keeps.
    fn kept(&self, operand_rank: usize) -> Vec<usize> {
        (0..operand_rank).filter(|a| !self.collapsed.contains(a) && !self.operand_batch.contains(a)).collect()
    }

    /// The largest index of each component at which a window of these sizes is in bounds, in the shape of the indices.
    fn limits(&self, operand: &[usize], sizes: &[usize], indices: &Tensor) -> Tensor {
        let limits: Vec<f64> = self.start.iter().map(|&a| (operand[a] - sizes[a]) as f64).collect();
        let scalar = self.index_axis == indices.rank();
        let ty = TensorType::new(indices.dtype(), if scalar { vec![] } else { vec![limits.len()] });
        let limits = Array::from_f64(ty, &limits).expect("a limit per component");
        let axes: &[usize] = if scalar { &[] } else { &[self.index_axis] };
        indices.graph().constant(&limits).broadcast_in_dim(indices.dims(), axes)
    }

    /// The dimension numbers for a mapped operand, mapped indices, or both; the new axes are the leading ones.
    fn mapped(&self, operand: bool, indices: bool) -> WindowDims {
        let by = |axes: &[usize], more: bool| axes.iter().map(|a| a + usize::from(more)).collect::<Vec<_>>();
        let front = |axes: Vec<usize>, more: bool| [&vec![0; usize::from(more)][..], &axes].concat();
        WindowDims {
            // An axis of the operand alone is part of every window.
            window: front(by(&self.window, true), !indices),
            collapsed: by(&self.collapsed, operand),
            operand_batch: front(by(&self.operand_batch, operand), operand && indices),
            indices_batch: front(by(&self.indices_batch, indices), operand && indices),
            start: by(&self.start, operand),
            index_axis: self.index_axis + usize::from(indices),
        }
    }

    fn attribute(&self, dialect: &str, names: [&str; 5]) -> String {
        let lists = [&self.window, &self.collapsed, &self.operand_batch, &self.indices_batch, &self.start];
        let shown = names.iter().zip(lists).filter(|(_, list)| !list.is_empty());
        let mut parts: Vec<String> = shown.map(|(name, list)| format!("{name} = {list:?}")).collect();
        parts.push(format!("index_vector_dim = {}", self.index_axis));
        format!("#stablehlo.{dialect}<{}>", parts.join(", "))
    }
}

fn distinct(axes: &[usize]) -> bool {
    (1..axes.len()).all(|i| !axes[..i].contains(&axes[i]))
}

fn check_indices(indices: &TensorType, constraint: &'static str) -> Result<(), Violation> {
    if indices.dtype.is_integer() {
        return Ok(());
    }
    Err(Violation::new(constraint, format!("the indices are {indices}, not integers")))
}

/// Windows of the first operand at the indices in the second.
#[derive(Clone, Debug, PartialEq)]
struct Gather {
    dims: WindowDims,
    sizes: Vec<usize>,
}

impl Gather {
    #[track_caller]
    fn on(&self, x: &Tensor, indices: &Tensor) -> Tensor {
        x.graph().apply(self.clone(), &[x, indices])
    }

    /// The windows on one of several devices, which divide an axis of the operand that each window covers.
    fn within_windows(&self, local: &Local, split: Split) -> Option<Vec<Laid>> {
        let dims = local.dims(0);
        let kept = self.dims.kept(dims.len()).iter().position(|&axis| axis == split.axis)?;
        (self.sizes[split.axis] == dims[split.axis]).then_some(())?;
        let sizes = split.part(&self.sizes, local.devices());
        let op = Gather { dims: self.dims.clone(), sizes };
        Local::one(op.on(&local.ins[0].tensor, &local.whole(1)), split.at(self.dims.window[kept]))
    }
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let (x, indices) = (&operands[0], &operands[1]);
        check_indices(indices, "I2")?;
        self.dims.check(&GATHER, x, indices)?;
        if self.sizes.len() != x.rank() {
            return Err(Violation::new(
                "C20",
                format!("the window sizes {:?} do not have one entry per axis of {x}", self.sizes),
            ));
        }
        if (0..x.rank()).any(|a| self.sizes[a] > x.dims[a]) {
            return Err(Violation::new("C21", format!("a window of {:?} does not fit into {x}", self.sizes)));
        }
        for (label, axes) in [("C9", &self.dims.collapsed), ("C12", &self.dims.operand_batch)] {
            if let Some(axis) = axes.iter().find(|&&a| self.sizes[a] > 1) {
                return Err(Violation::new(label, format!("a window of {:?} drops axis {axis} of {x}", self.sizes)));
            }
        }
        let window: Vec<usize> = self.dims.kept(x.rank()).into_iter().map(|a| self.sizes[a]).collect();
        Ok(vec![x.with_dims(self.dims.combine(&indices.dims, &window))])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        let names = [
            "offset_dims",
            "collapsed_slice_dims",
            "operand_batching_dims",
            "start_indices_batching_dims",
            "start_index_map",
        ];
        vec![("dimension_numbers", self.dims.attribute("gather", names)), ("slice_sizes", array_i64(&self.sizes))]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, x, indices) = (reverse.ct(), &reverse.ins[0], &reverse.ins[1]);
        // A gather clamps windows that are out of bounds; a scatter would drop them.
        let inside = indices.clamp(indices.zeros_like(), self.dims.limits(x.dims(), &self.sizes, indices));
        vec![Some(x.zeros_like().scatter_add(&inside, ct, &self.dims)), None]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let dims = self.dims.mapped(mapped.mapped[0], mapped.mapped[1]);
        let sizes = match mapped.mapped {
            [true, true] => [&[1], &self.sizes[..]].concat(),
            [true, _] => [&[mapped.size], &self.sizes[..]].concat(),
            _ => self.sizes.clone(),
        };
        Some(vec![mapped.ins[0].gather(&mapped.ins[1], &dims, &sizes)])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let (operand, rank) = (local.split(0), local.dims(1).len());
        let Some(split) = operand.and_then(|split| self.dims.of_indices(split)).or(local.split(1)) else {
            return self.within_windows(local, operand?);
        };
        let to = split.at(self.dims.place(split.axis, rank)?);
        let x = match self.dims.of_operand(split) {
            Some(batch) => local.part(0, batch),
            None if operand.is_none() => local.whole(0),
            None => return None,
        };
        Local::one(self.on(&x, &local.part(1, split)), to)
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.ins[0]]
    }
}

/// The first operand with the windows of the third written or added at the indices in the second.
#[derive(Clone, Debug, PartialEq)]
struct Scatter {
    dims: WindowDims,
    add: bool,
}

impl Scatter {
    /// The size of a window along each axis of the operand.
    fn sizes(&self, operand_rank: usize, updates: &[usize]) -> Vec<usize> {
        let mut sizes = vec![1; operand_rank];
        self.dims
            .kept(operand_rank)
            .into_iter()
            .zip(&self.dims.window)
            .for_each(|(to, &from)| sizes[to] = updates[from]);
        sizes
    }

    /// Whether each update is in bounds, in the shape of the updates.
    fn inside(&self, x: &Tensor, indices: &Tensor, updates: &Tensor) -> Tensor {
        let limits = self.dims.limits(x.dims(), &self.sizes(x.rank(), updates.dims()), indices);
        let fits = indices.ge(0.0).and(indices.le(&limits));
        let fits = if self.dims.index_axis < indices.rank() { fits.reduce_and([self.dims.index_axis]) } else { fits };
        let axes: Vec<usize> = (0..updates.rank()).filter(|a| !self.dims.window.contains(a)).collect();
        fits.broadcast_in_dim(updates.dims(), &axes)
    }

    #[track_caller]
    fn on(&self, x: &Tensor, indices: &Tensor, updates: &Tensor) -> Tensor {
        x.graph().apply(self.clone(), &[x, indices, updates])
    }
}

impl Op for Scatter {
    fn name(&self) -> &'static str {
        "scatter"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let [x, indices, updates] = operands else { unreachable!("scatter has three operands") };
        check_indices(indices, "I2")?;
        self.dims.check(&SCATTER, x, indices)?;
        if updates.dtype != x.dtype {
            return Err(Violation::new("C6", format!("the updates {updates} differ from {x} in element type")));
        }
        let places = self.dims.places(&indices.dims);
        let window: Vec<usize> = self.dims.kept(x.rank()).into_iter().map(|a| x.dims[a]).collect();
        let largest = self.dims.combine(&indices.dims, &window);
        let fits = |a: usize| match self.dims.window.contains(&a) {
            true => updates.dims[a] <= largest[a],
            false => updates.dims[a] == largest[a],
        };
        if updates.rank() != largest.len() || !(0..largest.len()).all(fits) {
            let message = format!("the updates {updates} do not match windows of {x} at {places:?} positions");
            return Err(Violation::new("C4", message));
        }
        Ok(vec![x.clone()])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        let names = [
            "update_window_dims",
            "inserted_window_dims",
            "input_batching_dims",
            "scatter_indices_batching_dims",
            "scatter_dims_to_operand_dims",
        ];
        vec![("scatter_dimension_numbers", self.dims.attribute("scatter", names))]
    }
    fn regions(&self, operands: &[TensorType]) -> Vec<Function> {
        let graph = Graph::new();
        let scalar = TensorType::scalar(operands[0].dtype);
        let (old, new) = (graph.input("", scalar.clone()), graph.input("", scalar));
        let result = if self.add { old.add(&new) } else { new };
        vec![graph.finish(&[result]).expect("two scalars of one type")]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, [x, indices, updates]) = (reverse.ct(), reverse.ins) else {
            unreachable!("scatter has three operands")
        };
        let dx = || if self.add { ct.clone() } else { self.on(ct, indices, &updates.zeros_like()) };
        let read = || {
            let windows = ct.gather(indices, &self.dims, &self.sizes(x.rank(), updates.dims()));
            self.inside(x, indices, updates).select(&windows, &windows.zeros_like())
        };
        vec![reverse.needs[0].then(dx), None, reverse.needs[2].then(read)]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let (x, updates) = (mapped.operand(0), mapped.operand(2));
        let op = Scatter { dims: self.dims.mapped(true, mapped.mapped[1]), add: self.add };
        Some(vec![op.on(&x, &mapped.ins[1], &updates)])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let (dims, rank) = (&self.dims, local.dims(1).len());
        let of_updates = |split: Split| dims.axis_at(split.axis, rank).map(|axis| split.at(axis));
        let others = || local.split(2).and_then(of_updates).or(local.split(0).and_then(|split| dims.of_indices(split)));
        let split = local.split(1).or_else(others)?;
        let updates = split.at(dims.place(split.axis, rank)?);
        let part = |x: &Tensor| self.on(x, &local.part(1, split), &local.part(2, updates));
        if let Some(batch) = dims.of_operand(split) {
            return Local::one(part(&local.part(0, batch)), batch);
        }
        // Each device adds its windows to zeros; the sum of all is added to the operand.
        (self.add && local.split(0).is_none()).then_some(())?;
        let x = local.whole(0);
        let sum = part(&x.zeros_like()).sum_over_devices(local.devices());
        Some(vec![Laid::whole(x + sum)])
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.of_any(&[0, 2]).filter(|_| !self.add)]
    }
}

impl Tensor {
    /// Windows of size `sizes` at the integer `indices`, clamped to the bounds. Spec: gather.
    #[track_caller]
    pub fn gather(&self, indices: &Tensor, dims: &WindowDims, sizes: &[usize]) -> Tensor {
        self.graph().apply(Gather { dims: dims.clone(), sizes: sizes.to_vec() }, &[self, indices])
    }

    /// This tensor with windows added at the integer `indices`; windows out of bounds are dropped. Spec: scatter.
    #[track_caller]
    #[doc(alias = "index_add")]
    #[doc(alias = "segment_sum")]
    pub fn scatter_add(&self, indices: &Tensor, updates: &Tensor, dims: &WindowDims) -> Tensor {
        Scatter { dims: dims.clone(), add: true }.on(self, indices, updates)
    }

    /// This tensor with windows written at the integer `indices`; windows out of bounds are dropped. If windows overlap, neither the value
    /// nor the derivative is defined. Spec: scatter.
    #[track_caller]
    pub fn scatter(&self, indices: &Tensor, updates: &Tensor, dims: &WindowDims) -> Tensor {
        Scatter { dims: dims.clone(), add: false }.on(self, indices, updates)
    }

    /// Slices at the integer `indices` along `axis` (negative: counted from the end), whose axes replace `axis` in the result. JAX:
    /// `jnp.take(mode="clip")`.
    ///
    /// Indices below 0 are clamped to 0, those past the end to the last. [`take`](Tensor::take) counts negative ones from the end.
    #[track_caller]
    pub fn take_clipped(&self, indices: &Tensor, axis: isize) -> Tensor {
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(violation) => return self.fail("take", violation),
        };
        let mut sizes = self.dims().to_vec();
        // An axis without elements has none to take, so shape inference rejects it.
        sizes[axis] = 1;
        self.gather(indices, &WindowDims::along(axis, self.rank(), indices.rank()), &sizes)
    }
}

/// Index vectors as a constant, one per row.
fn rows(like: &Tensor, rows: &[[i32; 2]]) -> Tensor {
    let flat: Vec<i32> = rows.iter().flatten().copied().collect();
    like.graph().constant(&Array::new([rows.len(), 2], flat).expect("two components per row"))
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let windows = || WindowDims { window: vec![1, 2], start: vec![0, 1], index_axis: 1, ..WindowDims::default() };
    // The last window is out of bounds: gather clamps it, scatter drops it.
    let places = |x: &Tensor| rows(x, &[[0, 1], [2, 0], [0, 9]]);
    let apart = |x: &Tensor| rows(x, &[[0, 1], [2, 0], [3, 3]]);
    let paired = || WindowDims {
        window: vec![2],
        collapsed: vec![1],
        operand_batch: vec![0],
        indices_batch: vec![0],
        start: vec![1],
        index_axis: 2,
    };
    vec![
        Sample::new("gather", move |x| vec![x[0].gather(&places(&x[0]), &windows(), &[2, 2]).exp()]).input(
            f,
            [4, 5],
            -1.0,
            1.0,
        ),
        Sample::new("gather with batch", move |x| vec![x[0].gather(&x[1], &paired(), &[1, 1, 3]).exp()])
            .input(f, [2, 4, 3], -1.0, 1.0)
            .input(DType::S32, [2, 5], -1.0, 5.0),
        Sample::new("take_clipped", |x| vec![x[0].take_clipped(&x[1], 1).exp()]).input(f, [2, 5, 3], -1.0, 1.0).input(
            DType::S32,
            [2, 2],
            0.0,
            4.0,
        ),
        Sample::new("scatter add", move |x| vec![x[0].scatter_add(&places(&x[0]), &x[1], &windows()).exp()])
            .input(f, [4, 5], -1.0, 1.0)
            .input(f, [3, 2, 2], -1.0, 1.0),
        Sample::new("scatter", move |x| vec![x[0].scatter(&apart(&x[0]), &x[1], &windows()).exp()])
            .input(f, [5, 5], -1.0, 1.0)
            .input(f, [3, 2, 2], -1.0, 1.0),
        Sample::new("scatter add with batch", move |x| vec![x[0].scatter_add(&x[1], &x[2], &paired()).exp()])
            .input(f, [2, 4, 3], -1.0, 1.0)
            .input(DType::S32, [2, 5], -1.0, 4.0)
            .input(f, [2, 5, 3], -1.0, 1.0),
    ]
}
