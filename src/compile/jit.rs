//! Functions of trees of tensors that are called on trees of arrays: traced and compiled once for each combination of input types,
//! structures and static values.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use spiq_hlo::{Array, Function, Graph, GraphErrors, Leaf, Structure, Tensor, TensorType, Tree};

use super::debug_nans::{Wanted, first_nan};
use super::program::Program;
use super::sharding::Sharding;
use crate::error::{Error, ErrorKind, Result};
use crate::pjrt::{Buffer, Client, CompileOptions, Executable, Input, Mesh};
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

/// Traces `f` on a tree of parameters with these types, named by their paths. Returns the function and the tree of its results' types.
///
/// # Errors
/// Every invalid call in `f`, each with its line.
///
/// ```
/// use spiq::{DType, Tensor, TensorType, trace_tree};
/// let types = (TensorType::new(DType::F32, [8, 3]), TensorType::new(DType::F32, [3]));
/// let (function, result) = trace_tree(&types, |(x, w): (Tensor, Tensor)| x.dot(&w))?;
/// assert_eq!(function.input_names(), ["0", "1"]);
/// assert_eq!(result.to_string(), "f32[8]");
/// # Ok::<(), spiq::GraphErrors>(())
/// ```
#[track_caller]
pub fn trace_tree<X: Tree, Y: Tree>(
    types: &X::With<TensorType>,
    f: impl FnOnce(X) -> Y,
) -> std::result::Result<(Function, Y::With<TensorType>), GraphErrors> {
    places::name_cells();
    let graph = Graph::new();
    let Ok(inputs) =
        types.try_map::<Tensor, std::convert::Infallible>("", &mut |path, ty| Ok(graph.input(path, ty.clone())));
    let outputs = f(inputs);
    let function = graph.finish(&outputs.leaves())?;
    Ok((function, outputs.map_to(|leaf| leaf.ty().clone())))
}

/// A function that is traced and compiled on the first call with inputs of given types. JAX: `jax.jit`.
pub struct Jit<F, X: Tree, Y: Tree> {
    client: Client,
    function: F,
    compiled: Mutex<Vec<Arc<Compiled<Y>>>>,
    debugs: Option<Wanted>,
    sharding: Sharding,
    inputs: PhantomData<fn(X)>,
}

/// A program, and the inputs that it is for.
struct Compiled<Y: Tree> {
    structure: Structure,
    types: Vec<TensorType>,
    device: Option<i32>,
    program: Executable,
    outputs: Y::With<TensorType>,
}

/// Makes a function of tensors callable on arrays. Its argument and its result are trees: a tensor, a tuple, a struct with
/// `#[derive(Tree)]`, …
///
/// A [`Static`](crate::Static) value is part of the program: the function is compiled again for another value, for another structure of
/// its argument (the length of a `Vec`, the names of a map), and for other types.
///
/// ```
/// use spiq::{Array, Static, Tensor, jit, pjrt::Client};
/// let scaled = jit(&Client::cpu()?, |(x, Static(negate)): (Tensor, Static<bool>)| if negate { -2.0 * x } else { 2.0 * x });
/// let x = Array::new([3], [1.0f32, 2.0, 3.0])?;
/// assert_eq!(scaled.call(&(x.clone(), Static(false)))?.to_vec::<f32>()?, [2.0, 4.0, 6.0]);
/// assert_eq!(scaled.call(&(x, Static(true)))?.to_vec::<f32>()?, [-2.0, -4.0, -6.0]);
/// # Ok::<(), spiq::Error>(())
/// ```
pub fn jit<X: Tree, Y: Tree, F: Fn(X) -> Y>(client: &Client, function: F) -> Jit<F, X, Y> {
    Jit {
        client: client.clone(),
        function,
        compiled: Mutex::default(),
        debugs: None,
        sharding: Sharding::default(),
        inputs: PhantomData,
    }
}

impl<X: Tree, Y: Tree, F: Fn(X) -> Y> Jit<F, X, Y> {
    /// The same function, which checks its results for NaN, or for the other values of `wanted`; if it finds one, the error names the
    /// operation where the first one originated. JAX: `jax_debug_nans`. Calls on the device are not checked.
    ///
    /// ```
    /// use spiq::{Array, Tensor, compile::Wanted, jit, pjrt::Client};
    /// let root = jit(&Client::cpu()?, |x: Tensor| x.sqrt() * 2.0).debugging_nans(Wanted::Nan);
    /// assert_eq!(root.call(&Array::new([1], [4.0f32])?)?.to_vec::<f32>()?, [4.0]);
    /// let error = root.call(&Array::new([1], [-4.0f32])?).unwrap_err().to_string();
    /// assert!(error.starts_with("the first NaN is a result of sqrt (f32[1]), made at "), "{error}");
    /// # Ok::<(), spiq::Error>(())
    /// ```
    #[must_use]
    pub fn debugging_nans(self, wanted: Wanted) -> Jit<F, X, Y> {
        Jit { debugs: Some(wanted), ..self }
    }

    /// The same function on several devices of the client, which [divide](Sharding::dividing) some of its inputs: those at a path of its
    /// argument, or below it. It takes whole arrays and returns whole results, those of one device, except that sums of floats over a
    /// divided axis are added in another order. JAX: `jax.pmap`, or `jax.jit` with sharded inputs.
    ///
    /// ```
    /// use spiq::pjrt::{Client, ClientOptions, Platform};
    /// use spiq::{Array, Tensor, compile::Sharding, jit};
    /// let options = ClientOptions { cpu_devices: 2, ..ClientOptions::default() };
    /// let client = Client::open_with(Platform::Cpu, &options, &mut |_| {})?;
    /// // The samples, at path 1 of the pair, are divided along their first axis; the weights are on both devices.
    /// let sharding = Sharding::over(2).dividing("1", 0);
    /// let sum = jit(&client, |(w, x): (Tensor, Tensor)| x.dot(&w).reduce_sum([0])).over(sharding);
    /// let (w, x) = (Array::new([2, 1], [1.0f32, 10.0])?, Array::new([4, 2], [1.0f32; 8])?);
    /// assert_eq!(sum.call(&(w, x))?.to_vec::<f32>()?, [44.0]);
    /// # Ok::<(), spiq::Error>(())
    /// ```
    #[must_use]
    pub fn over(self, sharding: Sharding) -> Jit<F, X, Y> {
        Jit { sharding, compiled: Mutex::default(), ..self }
    }

    /// Runs the function on host arrays.
    ///
    /// # Errors
    /// Kind `Graph` with every invalid call in the function and its line; errors from PJRT; kind `NotFinite` for a value that is
    /// [looked for](Jit::debugging_nans).
    pub fn call(&self, inputs: &X::With<Array>) -> Result<Y::With<Array>> {
        let compiled = self.compiled(inputs, Array::ty, None)?;
        let results = match self.sharding.devices {
            1 => self.client.run(&compiled.program, by_reference(inputs))?,
            devices => self.run_on_each(&Mesh::new(&self.client, devices)?, &compiled.program, inputs)?,
        };
        if let Some(wanted) = self.debugs.filter(|wanted| results.iter().any(|result| wanted.is_in(result))) {
            return Err(self.origin(inputs, wanted)?);
        }
        Ok(Y::again(compiled.outputs.with_leaves(results)?))
    }

    /// Runs the function on buffers, which stay valid, on the device that holds them, and returns its results there, without waiting for
    /// them.
    ///
    /// # Errors
    /// As [`call`](Jit::call); inputs on different devices. Later errors are reported when the results are read.
    ///
    /// ```
    /// use spiq::{Array, Tensor, jit, pjrt::Client};
    /// let client = Client::cpu()?;
    /// let double = jit(&client, |x: Tensor| 2.0 * x);
    /// let x = client.to_device(&Array::new([2], [1.0f32, 2.0])?)?;
    /// let y = double.call_on_device(&double.call_on_device(&x)?)?;
    /// assert_eq!(y.to_array()?.to_vec::<f32>()?, [4.0, 8.0]);
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn call_on_device(&self, inputs: &X::With<Buffer>) -> Result<Y::With<Buffer>> {
        if self.sharding.devices > 1 {
            return Err(Error::input("a function over several devices takes arrays of the host: use `call`"));
        }
        let compiled = self.compiled(inputs, Buffer::ty, self.device_of(inputs)?)?;
        let buffers = by_reference(inputs).map(Input::Borrow).collect();
        Ok(Y::again(compiled.outputs.with_leaves(compiled.program.execute(buffers)?)?))
    }

    /// The program for inputs of these types, compiled on first use.
    ///
    /// # Errors
    /// As [`call`](Jit::call).
    pub fn program(&self, types: &X::With<TensorType>) -> Result<Executable> {
        Ok(self.compiled(types, |ty| ty, None)?.program.clone())
    }

    /// The results of a program of several devices, from the first of them.
    fn run_on_each(&self, mesh: &Mesh, program: &Executable, inputs: &X::With<Array>) -> Result<Vec<Array>> {
        let mut lists: Vec<Vec<Input<'_>>> = mesh.local().iter().map(|_| Vec::new()).collect();
        for (path, array) in inputs.by_path() {
            let buffers = match self.sharding.axis_below(&path) {
                Some(axis) => mesh.split(array, axis)?,
                None => mesh.replicate(array)?,
            };
            lists.iter_mut().zip(buffers).for_each(|(list, buffer)| list.push(Input::Donate(buffer)));
        }
        program.execute_on_each(lists)?[0].iter().map(Buffer::to_array).collect()
    }

    /// The division of the inputs at these paths.
    fn sharding_of<'a>(&self, paths: impl Iterator<Item = &'a String>) -> Sharding {
        let axes = paths.filter_map(|path| Some((path.clone(), self.sharding.axis_below(path)?)));
        Sharding { axes: axes.collect(), ..self.sharding }
    }

    /// The device that holds all inputs; `None` where the client has only one.
    fn device_of(&self, inputs: &X::With<Buffer>) -> Result<Option<i32>> {
        if self.client.devices().len() < 2 {
            return Ok(None);
        }
        let mut first: Option<(String, i32)> = None;
        for (path, buffer) in inputs.by_path() {
            let id = buffer.device()?.id();
            match &first {
                Some((other, on)) if *on != id => {
                    let message = format!(
                        "`{path}` is on device {id} and `{other}` on device {on}; copy one with Buffer::copy_to"
                    );
                    return Err(Error::input(message));
                }
                Some(_) => {}
                None => first = Some((path, id)),
            }
        }
        Ok(first.map(|(_, id)| id))
    }

    /// The error that names the operation which made the first non-finite value.
    fn origin(&self, inputs: &X::With<Array>, wanted: Wanted) -> Result<Error> {
        let (function, _) = trace_tree(&X::again(inputs.map_to(|array| array.ty().clone())), &self.function)?;
        let arrays: Vec<Array> = inputs.leaves();
        let found = first_nan(&self.client, &function, &arrays, wanted)?;
        Ok(Error::new(ErrorKind::NotFinite, match found {
            Some(found) => found.to_string(),
            None => "a result is not finite, but all values are when each one is checked: the compiler then optimizes the program differently".to_owned(),
        }))
    }

    fn compiled<L: Leaf>(
        &self,
        inputs: &X::With<L>,
        ty: impl Fn(&L) -> &TensorType,
        device: Option<i32>,
    ) -> Result<Arc<Compiled<Y>>> {
        let (structure, types) = (inputs.structure(), X::again(inputs.map_to(|leaf| ty(leaf).clone())));
        let leaves = types.leaves();
        let mut known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) =
            known.iter().find(|one| one.device == device && one.structure == structure && one.types == leaves)
        {
            return Ok(found.clone());
        }
        let (function, outputs) = trace_tree(&types, &self.function)?;
        let (options, sharding) =
            (CompileOptions { device, ..CompileOptions::default() }, self.sharding_of(function.input_names().iter()));
        let program = Program { options, sharding, ..Program::named("jit") };
        let program = program.compile(&self.client, &function)?;
        let compiled = Arc::new(Compiled { structure, types: leaves, device, program, outputs });
        known.push(compiled.clone());
        Ok(compiled)
    }
}

fn by_reference<L: Leaf>(tree: &impl Tree<L>) -> impl Iterator<Item = &L> {
    tree.by_path().into_iter().map(|(_, leaf)| leaf)
}
