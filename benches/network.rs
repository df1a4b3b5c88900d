//! Forward pass and training step of two networks in each arithmetic: what `spiq bench` measures, with criterion's comparison to the
//! previous run.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use spiq::bench::{Arithmetic, Data, Shape, Subject, Workload};
use spiq::pjrt::Client;

const SHAPES: [&str; 2] = ["16,8,32,64,10", "128,64,128,128,20"];

fn network(criterion: &mut Criterion) {
    let client = Client::cpu().expect("a client");
    for text in SHAPES {
        let workload = Workload::from(text.parse::<Shape>().expect("a shape"));
        let data = Data::new(&client, &workload).expect("data");
        for arithmetic in Arithmetic::of(&client) {
            let mut subject = Subject::new(&client, &workload, arithmetic, None, &data).expect("programs");
            let mut group = criterion.benchmark_group(text);
            group.sample_size(10);
            group.bench_function(BenchmarkId::new("forward", arithmetic), |bencher| {
                bencher.iter(|| subject.run_forward(&data).expect("a run"));
            });
            group.bench_function(BenchmarkId::new("step", arithmetic), |bencher| {
                bencher.iter(|| subject.run_step(&data).expect("a run"));
            });
        }
    }
}

criterion_group!(benches, network);
criterion_main!(benches);
