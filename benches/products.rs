//! A matrix product in f32, int8 and bf16: the pure throughput of the native units.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use spiq::pjrt::{Client, Executable, Input};
use spiq::random::Key;
use spiq::{Array, DType, DotDims, Program, TensorType, trace};

/// Rows, inner dimension, columns.
const SIZES: [[usize; 3]; 2] = [[512, 128, 128], [4096, 1024, 1024]];
/// Element types of the operands and of the sum.
const TYPES: [(DType, DType); 3] = [(DType::F32, DType::F32), (DType::BF16, DType::F32), (DType::S8, DType::S32)];

fn product(client: &Client, [rows, inner, columns]: [usize; 3], (operands, sum): (DType, DType)) -> Executable {
    let inputs = [("a", TensorType::new(operands, [rows, inner])), ("b", TensorType::new(operands, [inner, columns]))];
    let function = trace(&inputs, |x| vec![x[0].dot_general(&x[1], &DotDims::matmul(2), sum)]);
    Program::named("product").compile(client, &function.expect("a product")).expect("a program")
}

/// A matrix of small whole numbers, which are exact in every type.
fn matrix(dtype: DType, dims: [usize; 2]) -> Array {
    let values: Vec<f64> = Key::new(0).bits8(dims[0] * dims[1]).iter().map(|byte| f64::from(byte % 8)).collect();
    Array::from_f64(TensorType::new(dtype, dims), &values).expect("a value for each element")
}

fn products(criterion: &mut Criterion) {
    let client = Client::cpu().expect("a client");
    for size in SIZES {
        let [rows, inner, columns] = size;
        let mut group = criterion.benchmark_group(format!("product {rows}x{inner}x{columns}"));
        group.throughput(Throughput::Elements((rows * inner * columns) as u64)).sample_size(20);
        for types in TYPES {
            let program = product(&client, size, types);
            let on_device = |dims| client.to_device(&matrix(types.0, dims)).expect("a buffer");
            let (a, b) = (on_device([rows, inner]), on_device([inner, columns]));
            group.bench_function(BenchmarkId::from_parameter(types.0), |bencher| {
                bencher.iter(|| {
                    let sums = program.execute(vec![Input::Borrow(&a), Input::Borrow(&b)]).expect("a run");
                    sums[0].wait().expect("a product");
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
