//! A model over time as a function of parameters and input. Knows no particular layer.

use spiq_hlo::{Function, Graph, GraphErrors, TensorType};

use super::axes::Axes;
use super::run::run;
use super::sequential::Sequential;

/// Letters of the axes of an input, of as many as it has.
const LETTERS: [&str; 5] = ["T", "B", "H", "W", "C"];

impl Sequential {
    /// The model's [`run`] over an input of type `x` as a function: the parameters in the order of their paths, then x
    /// [T, B, …], to the traces [T, B, …].
    ///
    /// # Errors
    /// Those of [`run`], under the caller's line.
    ///
    /// ```
    /// use spiq::nn::{Li, Linear, Sequential};
    /// use spiq::{DType, TensorType};
    /// let model = Sequential::new("core", [Linear::new(32, 10).without_bias().into(), Li::new([10]).into()]);
    /// let forward = model.trace(&TensorType::new(DType::F32, [16, 8, 32]))?;
    /// assert_eq!(forward.input_names(), ["core/layers/0/kernel", "core/layers/1/beta", "x"]);
    /// assert_eq!(forward.result_types()[0].to_string(), "f32[16,8,10]");
    /// # Ok::<(), spiq::GraphErrors>(())
    /// ```
    #[track_caller]
    pub fn trace(&self, x: &TensorType) -> Result<Function, GraphErrors> {
        // Not `spiq_hlo::trace`: its closure would be the caller of `run`.
        let graph = Graph::new();
        let types = self.parameter_types();
        let parameters = types.into_iter().map(|(path, ty)| (path.clone(), graph.input(path, ty))).collect();
        let axes = match x.rank() {
            3 => "T B C".to_owned(),
            rank => LETTERS[..rank.min(LETTERS.len())].join(" "),
        };
        let (traces, _) = run(self, &parameters, &graph.input("x", x.clone()).named(&axes));
        graph.finish(&[traces.into_tensor()])
    }
}
