//! How a program is divided over devices.

use std::collections::BTreeMap;

use spiq_hlo::{Division, Function, Sharded};

use crate::collectives;
use crate::error::{Error, Result};

/// How a program runs on several devices: each holds a part of the divided inputs and all of the others.
///
/// Results are whole on each device, except that a result that takes the memory of a divided input ([`Program::donated`]) is divided like
/// it. So a training step keeps divided parameters divided, with their optimizer state.
///
/// [`Program::donated`]: super::Program::donated
///
/// ```
/// use spiq::compile::{Program, Sharding};
/// use spiq::{DType, TensorType, trace};
/// let x = TensorType::new(DType::F32, [8, 3]);
/// let function = trace(&[("x", x)], |x| vec![x[0].reduce_sum([0])])?;
/// let program = Program { sharding: Sharding::over(4).dividing("x", 0), ..Program::named("sum") };
/// assert!(program.text(&function)?.contains("stablehlo.all_reduce"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharding {
    /// The number of devices, of all processes together.
    pub devices: usize,
    /// The axis along which an input is divided, by its name.
    pub axes: BTreeMap<String, usize>,
}

impl Default for Sharding {
    /// A single device.
    fn default() -> Sharding {
        Sharding::over(1)
    }
}

impl Sharding {
    /// This many devices, which divide no input.
    pub fn over(devices: usize) -> Sharding {
        Sharding { devices, axes: BTreeMap::new() }
    }

    /// The same, with an input divided along an axis.
    #[must_use]
    pub fn dividing(mut self, input: impl Into<String>, axis: usize) -> Sharding {
        self.axes.insert(input.into(), axis);
        self
    }

    /// Checks that the devices can share batches of a size evenly; `flag` is where the size is given.
    ///
    /// # Errors
    /// Kind `Input`, with the nearest sizes that fit.
    pub fn check_batch(&self, batch: usize, flag: &str) -> Result<()> {
        let devices = self.devices;
        if devices > 0 && batch.is_multiple_of(devices) {
            return Ok(());
        }
        let fewer = batch.checked_div(devices).unwrap_or(0) * devices;
        let sizes = match fewer {
            0 => format!("{devices} or a multiple"),
            _ => format!("{fewer} or {}", fewer + devices),
        };
        Err(Error::input(format!(
            "{devices} devices cannot share batches of {batch} samples evenly; give a batch size of {sizes} ({flag})"
        )))
    }

    /// The axis that divides the input at a path: that of the path itself, or of a path above it.
    pub(super) fn axis_below(&self, path: &str) -> Option<usize> {
        let above = |named: &str| {
            named.is_empty() || path.strip_prefix(named).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.axes.iter().find(|(named, _)| above(named)).map(|(_, axis)| *axis)
    }

    /// The function of one device, given the inputs that are donated to results, and what it has to gather. A single device's function is the
    /// function itself.
    ///
    /// # Errors
    /// Kind `Graph` for an input that cannot be divided evenly.
    pub fn apply(&self, function: &Function, donated: &[(usize, usize)]) -> Result<Sharded> {
        if self.devices == 1 {
            return Ok(Sharded { function: function.clone(), gathered: Vec::new() });
        }
        Ok(function.divide(&self.division(function, donated))?)
    }

    /// The function of one of several processes, each of which compiles a separate program for its only device and exchanges data with the
    /// others by custom calls.
    pub(super) fn apply_for(
        &self,
        process: usize,
        function: &Function,
        donated: &[(usize, usize)],
    ) -> Result<Function> {
        if self.devices == 1 {
            return Ok(function.clone());
        }
        let sharded = function.divide(&Division { device: Some(process), ..self.division(function, donated) })?;
        collectives::between_processes(&sharded.function)
    }

    /// The axes that divide the inputs and results of a function.
    fn division(&self, function: &Function, donated: &[(usize, usize)]) -> Division {
        let inputs: Vec<_> = function.input_names().iter().map(|name| self.axes.get(name).copied()).collect();
        let mut results = vec![None; function.result_types().len()];
        donated.iter().for_each(|&(input, result)| results[result] = inputs[input]);
        Division { devices: self.devices, device: None, inputs, results }
    }
}
