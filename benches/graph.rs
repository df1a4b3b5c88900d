//! Benchmarks of the stages before the compiler: tracing, quantizing and splitting, differentiating, and printing a network.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use spiq::bench::Shape;
use spiq::network::Network;
use spiq::quant::{Mode, linear_only_rules};
use spiq::{DType, Program, TensorType};

fn graph(criterion: &mut Criterion) {
    let shape: Shape = "128,64,128,128,20".parse().expect("a shape");
    let x = TensorType::new(DType::F32, [shape.time, shape.batch, shape.inputs]);
    let network = Network::new(shape.model(), linear_only_rules("int8", "int8")).expect("a network");
    let forward = network.forward(&x, Mode::Qat).expect("a forward pass");
    let gradient = forward.gradient().expect("a gradient");
    let program = Program::named("gradient");
    criterion.bench_function("trace", |bencher| bencher.iter(|| black_box(network.trace(&x))));
    criterion.bench_function("trace, quantize, cut", |bencher| {
        bencher.iter(|| black_box(network.forward(&x, Mode::Qat)));
    });
    criterion.bench_function("differentiate", |bencher| bencher.iter(|| black_box(forward.gradient())));
    criterion.bench_function("lower, simplify, print", |bencher| bencher.iter(|| black_box(program.text(&gradient))));
}

criterion_group!(benches, graph);
criterion_main!(benches);
