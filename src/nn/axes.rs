//! Tensors with named axes, so that time and batch cannot be mixed up.

use std::fmt;

use spiq_hlo::{Tensor, Violation};

/// The meaning of an axis, written as a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Axis {
    /// `T`: time steps.
    Time,
    /// `B`: independent samples.
    Batch,
    /// `C`: features, units or classes.
    Channel,
    /// `H`: rows of an image.
    Height,
    /// `W`: columns of an image.
    Width,
}

impl Axis {
    const ALL: [Axis; 5] = [Axis::Time, Axis::Batch, Axis::Channel, Axis::Height, Axis::Width];

    /// The letter of the axis.
    pub fn letter(self) -> char {
        match self {
            Axis::Time => 'T',
            Axis::Batch => 'B',
            Axis::Channel => 'C',
            Axis::Height => 'H',
            Axis::Width => 'W',
        }
    }

    /// The axes of a model's input or output of this rank: `T B C` for features, `T B W C` for sequences, `T B H W C` for
    /// images.
    pub fn of_rank(rank: usize) -> Vec<Axis> {
        match rank {
            0..=2 => vec![Axis::Time, Axis::Batch][..rank].to_vec(),
            3 => vec![Axis::Time, Axis::Batch, Axis::Channel],
            4 => vec![Axis::Time, Axis::Batch, Axis::Width, Axis::Channel],
            _ => vec![Axis::Time, Axis::Batch, Axis::Height, Axis::Width, Axis::Channel],
        }
    }

    /// The axis with this letter, if any.
    pub fn from_letter(letter: char) -> Option<Axis> {
        Axis::ALL.into_iter().find(|axis| axis.letter() == letter)
    }
}

/// A tensor with a name for each axis; printed as `[T 16, B 8, C 32]`. Created by [`Axes::named`].
#[derive(Clone, Debug)]
pub struct Named {
    tensor: Tensor,
    axes: Vec<Axis>,
}

/// Names the axes of a tensor.
pub trait Axes {
    /// The tensor with its axes named, outermost first: `x.named("T B C")`.
    ///
    /// # Errors
    /// Recorded in the trace: a letter that names no [`Axis`] or appears twice, or a number of letters other than the rank.
    ///
    /// ```
    /// use spiq::nn::Axes;
    /// use spiq_hlo::{DType, TensorType, trace};
    /// let wrong = trace(&[("x", TensorType::new(DType::F32, [16, 8]))], |x| vec![x[0].named("T B C").into_tensor()]);
    /// assert!(wrong.unwrap_err().to_string().starts_with("named: \"T B C\" names 3 axes, but f32[16,8] has 2"));
    /// ```
    #[track_caller]
    fn named(&self, names: &str) -> Named;
}

impl Axes for Tensor {
    #[track_caller]
    fn named(&self, names: &str) -> Named {
        match parse(names) {
            Ok(axes) => Named::new(self, axes),
            Err(violation) => Named { tensor: failed(self, "named", violation), axes: Vec::new() },
        }
    }
}

/// Records an error about `tensor` and returns poison; poison is returned without a further error.
#[track_caller]
pub(super) fn failed(tensor: &Tensor, op: &str, violation: Violation) -> Tensor {
    if tensor.is_poison() { tensor.clone() } else { tensor.graph().fail(op, violation) }
}

fn parse(names: &str) -> Result<Vec<Axis>, Violation> {
    let mut axes = Vec::new();
    for name in names.split_whitespace() {
        let mut letters = name.chars();
        let axis = letters.next().and_then(Axis::from_letter).filter(|_| letters.next().is_none());
        match axis {
            Some(axis) if !axes.contains(&axis) => axes.push(axis),
            Some(_) => return Err(Violation::new("", format!("{names:?} names the axis {name} twice"))),
            None => {
                let known = Axis::ALL.map(|a| format!("{} ({a:?})", a.letter())).join(", ");
                return Err(Violation::new("", format!("{names:?}: {name:?} is not an axis; the axes are {known}")));
            }
        }
    }
    Ok(axes)
}

/// Axes as they are written: `T B C`.
pub(crate) fn letters(axes: &[Axis]) -> String {
    axes.iter().map(|a| a.letter().to_string()).collect::<Vec<_>>().join(" ")
}

impl Named {
    /// A tensor with these axes.
    #[track_caller]
    pub(super) fn new(tensor: &Tensor, axes: Vec<Axis>) -> Named {
        if tensor.is_poison() || tensor.rank() == axes.len() {
            return Named { tensor: tensor.clone(), axes };
        }
        let (given, rank) = (axes.len(), tensor.rank());
        let message = format!("{:?} names {given} axes, but {} has {rank}", letters(&axes), tensor.ty());
        Named { tensor: failed(tensor, "named", Violation::new("", message)), axes }
    }

    /// The tensor without its names.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The tensor without its names.
    pub fn into_tensor(self) -> Tensor {
        self.tensor
    }

    /// The names, outermost first.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The position of an axis, if the tensor has it.
    pub fn position(&self, axis: Axis) -> Option<usize> {
        self.axes.iter().position(|a| *a == axis)
    }

    /// The size of an axis, if the tensor has it.
    pub fn size(&self, axis: Axis) -> Option<usize> {
        self.position(axis).and_then(|i| self.tensor.dims().get(i).copied())
    }

    /// The tensor with its axes in another order: `traces.to_axes("B T C")`.
    ///
    /// # Errors
    /// Recorded in the trace: names other than those of the tensor.
    #[track_caller]
    pub fn to_axes(&self, names: &str) -> Named {
        let axes = match parse(names) {
            Ok(axes) => axes,
            Err(violation) => return self.fail("to_axes", violation),
        };
        let order: Vec<usize> = axes.iter().filter_map(|&axis| self.position(axis)).collect();
        if order.len() != self.axes.len() || axes.len() != self.axes.len() {
            let message = format!("{self} does not have the axes {names:?}; give the same names in another order");
            return self.fail("to_axes", Violation::new("", message));
        }
        Named { tensor: self.tensor.transpose(&order), axes }
    }

    #[track_caller]
    fn fail(&self, op: &str, violation: Violation) -> Named {
        Named { tensor: failed(&self.tensor, op, violation), axes: self.axes.clone() }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sized = self.axes.iter().zip(self.tensor.dims());
        let parts: Vec<String> = sized.map(|(axis, size)| format!("{} {size}", axis.letter())).collect();
        write!(f, "[{}]", parts.join(", "))
    }
}
