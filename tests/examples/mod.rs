//! The programs in examples/ compute the numbers of their JAX equivalents, and docs/examples.md lists how long both are.

mod lines;

use std::collections::BTreeMap;

use spiq::data::ArrayFile;
use spiq::{Array, Tree};

/// How far a number may be from JAX's, relative to the largest magnitude of its array.
const ROUNDING: f64 = 2e-5;

/// Compares each leaf with JAX's leaf at the same path.
#[track_caller]
fn compare(name: &str, results: &impl Tree<Array>, tolerance: f64) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/examples");
    let expected = ArrayFile::read(format!("{folder}/{name}.safetensors").as_ref()).unwrap().arrays;
    let results: BTreeMap<String, &Array> = results.by_path().into_iter().collect();
    assert_eq!(results.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}: paths");
    for (path, array) in results {
        let expected = &expected[&path];
        assert_eq!(array.dims(), expected.dims(), "{name}: {path}");
        let (a, b) = (array.to_f64(), expected.to_f64());
        let largest = b.iter().fold(0.0, |largest: f64, b| largest.max(b.abs()));
        let off = a.iter().zip(&b).fold(0.0, |off: f64, (a, b)| off.max((a - b).abs()));
        assert!(off <= tolerance * largest, "{name}: {path} is off by {off:e} of {largest:e}");
    }
}

/// One module and one test for each example.
macro_rules! examples {
    ($($file:literal $name:ident within $tolerance:expr;)*) => {
        $(
            #[path = $file]
            mod $name;
        )*
        mod runs {
            use super::ROUNDING;

            $(
                #[test]
                fn $name() {
                    super::compare(stringify!($name), &super::$name::run().unwrap(), $tolerance);
                }
            )*
        }
        /// The examples that a test compares with JAX.
        const COMPARED: &[&str] = &[$(stringify!($name)),*];
    };
}

examples! {
    "../../examples/conv_net.rs" conv_net within ROUNDING;
    "../../examples/custom_gradient.rs" custom_gradient within ROUNDING;
    "../../examples/hessian.rs" hessian within ROUNDING;
    "../../examples/linear_regression.rs" linear_regression within ROUNDING;
    "../../examples/mlp.rs" mlp within ROUNDING;
    "../../examples/own_data.rs" own_data within ROUNDING;
    "../../examples/own_loss.rs" own_loss within ROUNDING;
    "../../examples/own_neuron.rs" own_neuron within ROUNDING;
    "../../examples/per_example_gradients.rs" per_example_gradients within ROUNDING;
    "../../examples/random_numbers.rs" random_numbers within 0.0;
    "../../examples/rnn.rs" rnn within ROUNDING;
    "../../examples/save_and_load.rs" save_and_load within ROUNDING;
    "../../examples/transformer.rs" transformer within ROUNDING;
    "../../examples/two_devices.rs" two_devices within ROUNDING;
}
