//! Training with user-defined parts: a layer, a chain of gradient transformations, a loss and a metric.
//!
//! `cargo run --release --example own_training`

use std::path::Path;

use spiq::nn::{Init, IntegralCrossentropy, Layer, Parameter, SampleLoss, Step};
use spiq::optim::{Optimizer, adam, chain, clip_by_global_norm, cosine_decay_schedule};
use spiq::prelude::*;
use spiq::train::{Length, Loss, Metric, Options, Summary};

/// Multiplies each feature by a learned number.
#[derive(Debug)]
struct Gain(usize);

impl Layer for Gain {
    fn kind(&self) -> &'static str {
        "Gain"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("gain", [self.0], Init::Ones)]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        if input == [self.0] { Ok(input.to_vec()) } else { Err(format!("takes {} features", self.0)) }
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        x * at.parameter("gain")
    }
}

/// Trains on the built-in digits.
pub fn train(out: &Path, epochs: usize) -> spiq::Result<Summary> {
    let layers = [Linear::new(64, 48).into(), Gain(48).into(), Lif::new([48]).into(), Linear::new(48, 10).into()];
    let model = Sequential::new("core", layers.into_iter().chain([Li::new([10]).into()]));
    let (train, test) = Dataset::digits().split()?;
    let options = Options {
        optimizer: Optimizer::of_steps(|steps| {
            chain([clip_by_global_norm(1.0).into(), adam(cosine_decay_schedule(4e-3, steps)).into()])
        }),
        loss: Loss::new("integral_crossentropy(smoothing=0.1)", |outputs, labels| {
            IntegralCrossentropy { smoothing: 0.1 }.loss(&outputs.traces, labels)
        }),
        metric: Metric::new("largest_sum", |outputs, _| {
            outputs.traces.tensor().reduce_sum([0]).reduce_max([1]) // one number per sample
        }),
        length: Length::Epochs(epochs),
        ..Options::new(model, train, test, out)
    };
    train::run(&Client::cpu()?, &options, &false.into(), &mut |_| {})
}

#[allow(dead_code, reason = "a test calls `train`")]
fn main() -> spiq::Result<()> {
    let summary = train(Path::new("runs/own"), 5)?;
    println!("the largest sum is {:.2} on average; {:.0} steps/s", summary.test_accuracy, summary.steps_per_second);
    Ok(())
}
