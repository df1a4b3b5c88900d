//! A custom neuron with a custom surrogate gradient, in a network whose products a rule quantizes to int8.
//!
//! `cargo run --release --example own_neuron`

use spiq::nn::{Init, Layer, Parameter, State, Step};
use spiq::prelude::*;
use spiq::trace_tree;

/// A leaky neuron whose threshold rises with each spike.
#[derive(Debug)]
struct Adaptive(usize);

impl Layer for Adaptive {
    fn kind(&self) -> &'static str {
        "Adaptive"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("beta", [self.0], Init::Constant(0.9))]
    }
    fn states(&self) -> Vec<State> {
        vec![State::new("potential", [self.0]), State::new("threshold", [self.0])]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        if input == [self.0] { Ok(input.to_vec()) } else { Err(format!("takes {} features", self.0)) }
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let (v, threshold) = (at.state("potential"), at.state("threshold"));
        let surrogate = Surrogate::custom(|x| 1.0 / (1.0 + (3.0 * x).pow(2.0)));
        let s = surrogate.spike(&(&v - 1.0 - &threshold));
        at.set_state("potential", at.parameter("beta") * v + x - &s);
        at.set_state("threshold", 0.9 * threshold + 0.3 * &s);
        s
    }
}

/// Parameters by path.
type Params<T = Tensor> = BTreeMap<String, T>;

/// The parameters after 10 steps, and the loss before each.
pub fn run() -> spiq::Result<(Params<Array>, Vec<Array>)> {
    let linear = |inputs, outputs| Linear::new(inputs, outputs).without_bias().into();
    let readout = Li { beta: Some(0.8), ..Li::new([4]) };
    let model = Sequential::new("core", [linear(12, 24), Adaptive(24).into(), linear(24, 4), readout.into()]);
    let params = model.init(&mut Rngs::new(0));
    let keys = Key::new(1).split(2);
    let x = keys[0].shaped([20, 16, 12]).bernoulli(0.3);
    let labels = keys[1].shaped([16]).randint::<i32>(0, 4);

    let forward = |(params, x): (Params, Tensor)| nn::run(&model, &params, &x.named("T B C")).0.into_tensor();
    let (forward, _) = trace_tree(&(model.parameter_types(), x.ty().clone()), forward)?;
    let rules = Rules::new(&linear_only_rules("int8", "int8"))?;
    let quantized = quantize(&forward, &rules, Mode::Qat, Numerics::Qwix, |name| name.starts_with("0/"))?.function;
    let loss = |params: &Params, (x, labels): (Tensor, Tensor)| {
        let traces = quantized.call(x.graph(), &(params.clone(), x.clone()).leaves()).swap_remove(0);
        integral_crossentropy(&traces.named("T B C"), &labels.named("B"))
    };
    let mut state = TrainState::new(&Client::cpu()?, &params, adam(5e-3), loss)?;
    let batch = (x, labels);
    let losses = (0..10).map(|_| state.step(&batch)).collect::<spiq::Result<Vec<_>>>()?;
    Ok((state.params()?, device_get(&losses)?))
}

#[allow(dead_code, reason = "a test calls `run`")]
fn main() -> spiq::Result<()> {
    println!("{:?}", run()?);
    Ok(())
}
