//! Where a dense product overtakes row sums: milliseconds of a product of spikes by the density of the spikes, as row sums (this library's kernel) and
//! as XLA's dense product. Prints a table and draws `docs/density.svg`.
//!
//! ```sh
//! cargo bench --bench density
//! ```

use std::time::Instant;

use spiq::display::{Curve, curves};
use spiq::pjrt::{Buffer, Client, Executable, Input};
use spiq::random::Key;
use spiq::{Array, DType, DotDims, Program, TensorType, trace};

/// Rows, inner dimension, columns: the product of the hidden layers of L, `spiq bench --shape 96,128,700,1024,20`.
const SIZE: [usize; 3] = [12288, 1024, 1024];
const DENSITIES: [f64; 8] = [0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0];
/// The type of the matrix, and of the sums.
const TYPES: [(DType, DType); 3] = [(DType::S8, DType::S32), (DType::BF16, DType::F32), (DType::F32, DType::F32)];
/// Runs of which the shortest counts.
const RUNS: usize = 7;

/// A matrix type, and its milliseconds as row sums at each density and as a dense product.
struct Row {
    dtype: DType,
    sums: Vec<f64>,
    dense: f64,
}

fn measured(client: &Client, (dtype, sum): (DType, DType), masks: &[Buffer]) -> Row {
    let [rows, inner, columns] = SIZE;
    let inputs = [("s", TensorType::new(DType::Pred, [rows, inner])), ("w", TensorType::new(dtype, [inner, columns]))];
    let product = |x: &[spiq::Tensor]| x[0].convert(dtype).dot_general(&x[1], &DotDims::matmul(2), sum);
    let function = trace(&inputs, |x| vec![product(x)]).expect("a product");
    let compiled = |program: Program| program.compile(client, &function).expect("a program");
    let kernel = compiled(Program::named("row_sums"));
    let plain = compiled(Program { without_kernels: true, ..Program::named("dense") });
    let weights = client.to_device(&weights(dtype, [inner, columns])).expect("a buffer");
    let sums = masks.iter().map(|mask| shortest(&kernel, mask, &weights)).collect();
    Row { dtype, sums, dense: shortest(&plain, &masks[0], &weights) }
}

fn shortest(program: &Executable, mask: &Buffer, weights: &Buffer) -> f64 {
    let run = |_| {
        let start = Instant::now();
        let sums = program.execute(vec![Input::Borrow(mask), Input::Borrow(weights)]).expect("a run");
        sums[0].wait().expect("a product");
        1e3 * start.elapsed().as_secs_f64()
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

/// Small whole numbers, which are exact in every type.
fn weights(dtype: DType, dims: [usize; 2]) -> Array {
    let values: Vec<f64> = Key::new(0).bits8(dims[0] * dims[1]).iter().map(|byte| f64::from(byte % 8)).collect();
    Array::from_f64(TensorType::new(dtype, dims), &values).expect("a value for each element")
}

fn mask(density: f64) -> Array {
    let count = SIZE[0] * SIZE[1];
    let bits = Key::new(1).bits8(2 * count);
    let bound = (density * 65536.0) as u32;
    let spikes =
        bits.chunks_exact(2).map(|b| f64::from(u32::from(b[0]) << 8 | u32::from(b[1]) < bound)).collect::<Vec<_>>();
    Array::from_f64(TensorType::new(DType::Pred, [SIZE[0], SIZE[1]]), &spikes).expect("a value for each element")
}

fn main() {
    let client = Client::cpu().expect("a client");
    let masks: Vec<Buffer> = DENSITIES.iter().map(|p| client.to_device(&mask(*p)).expect("a buffer")).collect();
    let rows: Vec<Row> = TYPES.iter().map(|types| measured(&client, *types, &masks)).collect();
    println!("| matrix | {} | dense |", DENSITIES.map(|density| density.to_string()).join(" | "));
    println!("|{}", "---|".repeat(DENSITIES.len() + 2));
    for Row { dtype, sums, dense } in &rows {
        let cells: Vec<String> = sums.iter().map(|ms| format!("{ms:.1}")).collect();
        println!("| {dtype} | {} | {dense:.1} |", cells.join(" | "));
    }
    let lines = rows.iter().flat_map(|Row { dtype, sums, dense }| {
        let sums = DENSITIES.iter().copied().zip(sums.iter().copied());
        let dense = DENSITIES.iter().map(|density| (*density, *dense));
        [Curve::new(format!("{dtype}, row sums"), sums), Curve::new(format!("{dtype}, dense (XLA)"), dense)]
    });
    let title = format!("Product of spikes, {} × {} × {}", SIZE[0], SIZE[1], SIZE[2]);
    let picture = curves(&title, "density of the spikes", "milliseconds", &lines.collect::<Vec<_>>());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/density.svg");
    std::fs::write(path, picture.svg()).expect("docs can be written");
}
