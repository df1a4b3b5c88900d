//! Functions of tensors that are called on arrays: traced and compiled once for each combination of input types.

use std::collections::HashMap;
use std::sync::Mutex;

use spiq_hlo::{Array, Function, GraphErrors, Tensor, TensorType};

use super::debug_nans::{Wanted, first_nan};
use super::program::Program;
use crate::error::{Error, ErrorKind, Result};
use crate::pjrt::{Client, Executable};
use crate::places;

/// Traces `f` on parameters of these names and types, as [`spiq_hlo::trace`] does; errors name the lines of notebook cells.
///
/// # Errors
/// Every invalid call in `f`, each with its line.
///
/// ```
/// use spiq::{DType, TensorType, trace};
/// let f = trace(&[("x", TensorType::new(DType::F32, [8]))], |x| vec![(&x[0] * 2.0).exp()])?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[8]");
/// # Ok::<(), spiq::GraphErrors>(())
/// ```
#[track_caller]
pub fn trace(
    inputs: &[(&str, TensorType)],
    f: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> std::result::Result<Function, GraphErrors> {
    places::name_cells();
    spiq_hlo::trace(inputs, f)
}

/// A function that is traced and compiled on the first call with inputs of given types. JAX: `jax.jit`.
pub struct Jit<F> {
    client: Client,
    function: F,
    compiled: Mutex<HashMap<Vec<TensorType>, Executable>>,
    debugs: Option<Wanted>,
}

/// Makes a function of tensors callable on arrays.
///
/// ```
/// use spiq::{Array, jit, pjrt::Client};
/// let double = jit(&Client::cpu()?, |x| vec![&x[0] * 2.0]);
/// let y = double.call(&[Array::new([3], [1.0f32, 2.0, 3.0])?])?;
/// assert_eq!(y[0].to_vec::<f32>()?, [2.0, 4.0, 6.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn jit<F: Fn(&[Tensor]) -> Vec<Tensor>>(client: &Client, function: F) -> Jit<F> {
    Jit { client: client.clone(), function, compiled: Mutex::default(), debugs: None }
}

impl<F: Fn(&[Tensor]) -> Vec<Tensor>> Jit<F> {
    /// The same function, which checks its results for NaN, or for the other values of `wanted`; if it finds one, the error names the
    /// operation where the first one originated. JAX: `jax_debug_nans`.
    ///
    /// ```
    /// use spiq::{Array, compile::Wanted, jit, pjrt::Client};
    /// let root = jit(&Client::cpu()?, |x| vec![x[0].sqrt() * 2.0]).debugging_nans(Wanted::Nan);
    /// assert_eq!(root.call(&[Array::new([1], [4.0f32])?])?[0].to_vec::<f32>()?, [4.0]);
    /// let error = root.call(&[Array::new([1], [-4.0f32])?]).unwrap_err().to_string();
    /// assert!(error.starts_with("the first NaN is a result of sqrt (f32[1]), made at "), "{error}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn debugging_nans(self, wanted: Wanted) -> Jit<F> {
        Jit { debugs: Some(wanted), ..self }
    }

    /// Runs the function on host arrays.
    ///
    /// # Errors
    /// Kind `Graph` with every invalid call in the function and its line; errors from PJRT; kind `NotFinite` for a value that is
    /// [looked for](Jit::debugging_nans).
    pub fn call(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        let types: Vec<TensorType> = inputs.iter().map(|a| a.ty().clone()).collect();
        let results = self.client.run(&self.program(&types)?, inputs)?;
        match self.debugs.filter(|wanted| results.iter().any(|result| wanted.is_in(result))) {
            None => Ok(results),
            Some(wanted) => match first_nan(&self.client, &self.traced(&types)?, inputs, wanted)? {
                Some(found) => Err(Error::new(ErrorKind::NotFinite, found.to_string())),
                None => Err(Error::new(
                    ErrorKind::NotFinite,
                    "a result is not finite, but all values are when each one is checked: the compiler then optimizes the program differently",
                )),
            },
        }
    }

    fn traced(&self, types: &[TensorType]) -> Result<Function> {
        let inputs: Vec<(&str, TensorType)> = types.iter().map(|ty| ("", ty.clone())).collect();
        Ok(trace(&inputs, &self.function)?)
    }

    /// The program for inputs of these types, compiled on first use.
    ///
    /// # Errors
    /// As [`call`](Jit::call).
    pub fn program(&self, types: &[TensorType]) -> Result<Executable> {
        let mut compiled = self.compiled.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(program) = compiled.get(types) {
            return Ok(program.clone());
        }
        let function = self.traced(types)?;
        let program = Program::named("jit").compile(&self.client, &function)?;
        compiled.insert(types.to_vec(), program.clone());
        Ok(program)
    }
}
