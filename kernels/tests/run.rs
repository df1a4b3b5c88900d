//! The interpreter on invalid input.

use spiq_hlo::DType;
use spiq_kernels::run::{Pool, Read, Task, Write, run_convolution, run_product, run_scan};
use spiq_kernels::{Convolved, FusedProduct, LaneProgram, Left, MaskedProduct, Slot, SparseConvolution};

/// A single thread.
pub struct Here;

impl Pool for Here {
    fn workers(&self) -> usize {
        1
    }

    fn run_all(&self, tasks: Vec<Task<'_>>) -> bool {
        tasks.into_iter().for_each(|task| task());
        true
    }
}

/// Sizes whose product overflows are rejected, like any buffer of the wrong size.
#[test]
fn sizes_beyond_all_memory_are_refused() {
    let misfit = Err("a kernel received buffers that do not match its program".to_owned());
    for (steps, lanes) in [(1 << 62, 8), (8, 1 << 62), (i64::MAX as usize, i64::MAX as usize), (1 << 32, 1 << 32)] {
        let program = LaneProgram {
            steps,
            lanes,
            slices: vec![DType::F32],
            carries: vec![Slot::Carry(0)],
            ..LaneProgram::default()
        };
        let mut last = [0.0];
        let run = |products: &[i64], inputs: Vec<Read>, last: &mut [f32]| {
            run_scan(&program.encode(), products, inputs, vec![Write::F32(last)], &Here)
        };
        assert_eq!(run(&[], vec![Read::F32(&[1.0]), Read::F32(&[1.0])], &mut last), misfit);
        let products = FusedProduct::encode(&[FusedProduct { slice: 0, columns: 1 << 62, width: 1, left: Left::Mask }]);
        let given = vec![Read::F32(&[1.0]), Read::Pred(&[1]), Read::F32(&[1.0])];
        assert_eq!(run(&products, given, &mut last), misfit);
    }
    let product = MaskedProduct { rows: 1 << 40, columns: 1 << 40, width: 1, over_rows: false };
    let told =
        run_product(&product.encode(), &[Read::Pred(&[1]), Read::F32(&[1.0])], &mut [Write::F32(&mut [0.0])], &Here);
    assert_eq!(told, Err("a kernel received buffers that do not match its product".to_owned()));
}

/// A convolution of buffers that do not fit it is refused; extreme distances are not met by any element.
#[test]
fn convolutions_check_their_buffers() {
    let sizes = SparseConvolution {
        images: 1,
        input: [1, 3],
        window: [1, 2],
        output: [1, 2],
        features: [1, 1],
        input_dilation: [1, 1],
        strides: [1, 1],
        dilation: [1, 1],
        padding: [0, 0],
        result: Convolved::Output,
    };
    let run = |sizes: &SparseConvolution, input: Read, factor: Read| {
        let mut out = [7.0; 2];
        run_convolution(&sizes.encode(), &[input, factor], &mut [Write::F32(&mut out)], &Here).map(|()| out)
    };
    let (mask, kernel) = (Read::Pred(&[1, 0, 1]), Read::F32(&[1.0, 10.0]));
    assert_eq!(run(&sizes, mask, kernel), Ok([1.0, 10.0]));
    assert_eq!(run(&sizes, Read::F32(&[0.5, 0.0, 2.0]), kernel), Ok([0.5, 20.0]));
    let misfit = Err("a kernel received buffers that do not match its convolution".to_owned());
    assert_eq!(run(&sizes, Read::Pred(&[1, 0]), kernel), misfit);
    assert_eq!(run(&sizes, Read::S32(&[1, 0, 1]), kernel), misfit);
    assert_eq!(run(&sizes, mask, Read::S8(&[1, 10])), misfit);
    assert_eq!(run(&SparseConvolution { images: usize::MAX >> 1, ..sizes }, mask, kernel), misfit);
    for padding in [i64::MIN, i64::MAX] {
        assert_eq!(run(&SparseConvolution { padding: [0, padding], ..sizes }, mask, kernel), Ok([0.0; 2]));
    }
    let far = i64::MAX as usize;
    let apart = SparseConvolution { input_dilation: [far; 2], strides: [far; 2], dilation: [far; 2], ..sizes };
    assert_eq!(run(&apart, mask, kernel).map(|out| out.iter().all(|sum| sum.is_finite())), Ok(true));
}

/// Neurons whose spikes reach the others of their row through a matrix, in the same step: 2 rows of 3 lanes.
#[test]
fn a_recurrent_loop_runs() {
    let text = "loop of 3 steps, 6 lanes, forward\n  slice x0: f32\n  slice x1: s32\n  r0 = greater(s0, 1.0)\n  \
                r1 = add(s0, x0)\n  r2 = add(r1, x1)\n  carry s0 = r2\n  write y0: pred = r0\n  write y1: f32 = r2";
    let program: LaneProgram = text.parse().expect("a program");
    let product: FusedProduct = "x1 is a recurrent product of r0, 3 columns, width 3".parse().expect("a product");
    let matrix = [1i8, 2, 3, 10, 20, 30, -1, -2, -3];
    let x = [0.5f32; 18];
    let (mut last, mut spikes, mut v) = ([0.0; 6], [0u8; 18], [0.0; 18]);
    let inputs = vec![Read::F32(&[0.0, 2.0, 0.0, 2.0, 0.0, 2.0]), Read::F32(&x), Read::S8(&matrix)];
    let outputs = vec![Write::F32(&mut last), Write::Pred(&mut spikes), Write::F32(&mut v)];
    run_scan(&program.encode(), &FusedProduct::encode(&[product]), inputs, outputs, &Here).expect("it fits");
    // Written by hand, step by step.
    let mut state = [0.0f32, 2.0, 0.0, 2.0, 0.0, 2.0];
    for step in 0..3 {
        let fired = state.map(|v| v > 1.0);
        for row in [0, 3] {
            for lane in 0..3 {
                let sum: i32 =
                    (0..3).filter(|other| fired[row + other]).map(|other| i32::from(matrix[3 * other + lane])).sum();
                state[row + lane] += 0.5 + sum as f32;
            }
        }
        assert_eq!(spikes[6 * step..6 * step + 6], fired.map(u8::from), "step {step}");
        assert_eq!(v[6 * step..6 * step + 6], state, "step {step}");
    }
    assert_eq!(last, state);
    let wrong: FusedProduct = "x1 is a recurrent product of r2, 3 columns, width 3".parse().expect("a product");
    let (mut last, mut spikes, mut v) = ([0.0; 6], [0u8; 18], [0.0; 18]);
    let inputs = vec![Read::F32(&[0.0; 6]), Read::F32(&x), Read::S8(&matrix)];
    let outputs = vec![Write::F32(&mut last), Write::Pred(&mut spikes), Write::F32(&mut v)];
    let refused = run_scan(&program.encode(), &FusedProduct::encode(&[wrong]), inputs, outputs, &Here);
    assert!(refused.is_err(), "an instruction before the spikes reads the product");
}

/// That many threads, simulated sequentially.
struct InTurn(usize);

impl Pool for InTurn {
    fn workers(&self) -> usize {
        self.0
    }

    fn run_all(&self, tasks: Vec<Task<'_>>) -> bool {
        Here.run_all(tasks)
    }
}

/// Bits of the bf16 number nearest to a number that is not NaN, ties to even.
fn bf16(number: f32) -> u16 {
    let bits = number.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The states after each step of a backward loop: rows of lanes whose states reach the row through a matrix in each step.
fn passed_back(narrow: bool, [steps, rows, width]: [usize; 3], workers: usize) -> [Vec<f32>; 2] {
    let lanes = rows * width;
    let window = "  r1 = abs(x0)\n  r2 = subtract(1.0, r1)\n  r3 = maximum(r2, 0.0)\n";
    let text = format!(
        "loop of {steps} steps, {lanes} lanes, backward\n  slice x0: f32\n  slice x1: f32\n  r0 = {}(s0)\n{window}  \
         r4 = multiply(r3, x1)\n  r5 = multiply_add(s0, 0.5, r4)\n  carry s0 = r5\n  write y0: f32 = r5",
        if narrow { "round_bf16" } else { "copy" }
    );
    let program: LaneProgram = text.parse().expect("a program");
    let product = format!("x1 is a product of r0, {width} columns, width {width}");
    let product: FusedProduct = product.parse().expect("a product");
    let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as u32 as f32 / 4e9 - 0.5;
    let x: Vec<f32> = (0..steps * lanes).map(|i| 4.0 * noise(i)).collect();
    let matrix: Vec<f32> = (0..width * width).map(|i| noise(i + 5) / (width as f32).sqrt()).collect();
    let halves: Vec<u16> = matrix.iter().map(|element| bf16(*element)).collect();
    let start: Vec<f32> = (0..lanes).map(|i| noise(i + 9)).collect();
    let (mut last, mut states) = (vec![0.0; lanes], vec![0.0; steps * lanes]);
    let matrix_read = if narrow { Read::Bf16(&halves) } else { Read::F32(&matrix) };
    let inputs = vec![Read::F32(&start), Read::F32(&x), matrix_read];
    let outputs = vec![Write::F32(&mut last), Write::F32(&mut states)];
    run_scan(&program.encode(), &FusedProduct::encode(&[product]), inputs, outputs, &InTurn(workers)).expect("it fits");
    // Written out, in f64.
    let wide = |half: u16| f64::from(f32::from_bits(u32::from(half) << 16));
    let element = |i: usize| if narrow { wide(halves[i]) } else { f64::from(matrix[i]) };
    let mut state: Vec<f64> = start.iter().map(|element| f64::from(*element)).collect();
    let mut expected = vec![0.0; steps * lanes];
    for step in (0..steps).rev() {
        let before: Vec<f64> =
            state.iter().map(|state| if narrow { wide(bf16(*state as f32)) } else { *state }).collect();
        for lane in 0..lanes {
            let (row, column) = (lane / width, lane % width);
            let sum: f64 = (0..width).map(|at| before[row * width + at] * element(column * width + at)).sum();
            let window = (1.0 - f64::from(x[step * lanes + lane]).abs()).max(0.0);
            state[lane] = state[lane] * 0.5 + window * sum;
            expected[step * lanes + lane] = state[lane] as f32;
        }
    }
    assert_eq!(last, states[..lanes]);
    [states, expected]
}

/// Results of a step, multiplied by a matrix in the same step: widths that are no whole vectors, and rows that are no whole blocks.
#[test]
fn results_of_a_step_reach_their_row_through_a_matrix() {
    for sizes in [[3, 2, 3], [4, 7, 16], [3, 13, 33], [2, 5, 130], [2, 40, 48]] {
        for narrow in [false, true] {
            let [states, expected] = passed_back(narrow, sizes, 1);
            // A state on the border of two bf16 numbers is rounded to one or the other.
            let near = if narrow { 2e-2 } else { 1e-5 };
            let far = states.iter().zip(&expected).find(|(a, b)| (*a - *b).abs() > near * (0.1 + b.abs()));
            assert!(far.is_none(), "{sizes:?}, bf16: {narrow}: {far:?}");
            assert!(states.iter().any(|state| state.abs() > 0.01), "{sizes:?}");
        }
    }
}

/// Enough lanes for several threads and tiles.
#[test]
fn products_of_results_do_not_depend_on_the_number_of_threads() {
    for sizes in [[5, 60, 200], [4, 17, 1030]] {
        for narrow in [false, true] {
            let [one, ..] = passed_back(narrow, sizes, 1);
            for workers in [2, 3, 16] {
                let [other, ..] = passed_back(narrow, sizes, workers);
                assert!(one == other, "{sizes:?}, bf16: {narrow}, {workers} threads");
            }
        }
    }
}

/// A product that an instruction for its own left factor reads, or a matrix that does not match, is refused.
#[test]
fn products_of_later_results_are_refused() {
    let text = "loop of 1 steps, 6 lanes, forward\n  slice x0: f32\n  r0 = add(s0, x0)\n  r1 = multiply(r0, 2.0)\n  \
                carry s0 = r1";
    let program: LaneProgram = text.parse().expect("a program");
    let run = |product: &str, matrix: &[f32]| {
        let product: FusedProduct = product.parse().expect("a product");
        let mut last = [0.0; 6];
        let inputs = vec![Read::F32(&[0.0; 6]), Read::F32(matrix)];
        run_scan(&program.encode(), &FusedProduct::encode(&[product]), inputs, vec![Write::F32(&mut last)], &Here)
    };
    let matrix = [0.5; 9];
    for product in ["x0 is a product of r0, 3 columns, width 3", "x0 is a product of r9, 3 columns, width 3"] {
        assert!(run(product, &matrix).is_err(), "{product}");
    }
    let ahead =
        "loop of 1 steps, 6 lanes, forward\n  slice x0: f32\n  r0 = copy(s0)\n  r1 = add(r0, x0)\n  carry s0 = r1";
    let program: LaneProgram = ahead.parse().expect("a program");
    let run = |product: &str, matrix: &[f32]| {
        let product: FusedProduct = product.parse().expect("a product");
        let mut last = [0.0; 6];
        let inputs = vec![Read::F32(&[0.0; 6]), Read::F32(matrix)];
        run_scan(&program.encode(), &FusedProduct::encode(&[product]), inputs, vec![Write::F32(&mut last)], &Here)
    };
    assert!(run("x0 is a product of r0, 3 columns, width 3", &matrix).is_ok());
    assert!(run("x0 is a product of r0, 3 columns, width 3", &matrix[..6]).is_err(), "too small");
    assert!(run("x0 is a product of r0, 3 columns, width 2", &matrix[..6]).is_err(), "not square");
    assert!(run("x0 is a product of r0, 4 columns, width 4", &[0.5; 16]).is_err(), "rows that do not fill the lanes");
}

/// A loop that accumulates its input, executed: 2 steps of 3 lanes.
#[test]
fn a_loop_runs() {
    let text =
        "loop of 2 steps, 3 lanes, forward\n  slice x0: s8\n  r0 = add(s0, x0)\n  carry s0 = r0\n  write y0: f32 = r0";
    let program: LaneProgram = text.parse().expect("a program");
    let (mut last, mut sums) = ([0.0; 3], [0.0; 6]);
    let inputs = vec![Read::F32(&[0.5, 1.5, 2.5]), Read::S8(&[1, 2, 3, -4, -5, -6])];
    run_scan(&program.encode(), &[], inputs, vec![Write::F32(&mut last), Write::F32(&mut sums)], &Here)
        .expect("it fits");
    assert_eq!((last, sums), ([-2.5, -1.5, -0.5], [1.5, 3.5, 5.5, -2.5, -1.5, -0.5]));
}
