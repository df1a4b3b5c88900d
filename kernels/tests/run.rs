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
