//! The interpreter on invalid input.

use spiq_hlo::DType;
use spiq_kernels::run::{Pool, Read, Task, Write, run_product, run_scan};
use spiq_kernels::{FusedProduct, LaneProgram, MaskedProduct, Slot};

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
        let products = FusedProduct::encode(&[FusedProduct { slice: 0, columns: 1 << 62, width: 1, needed: None }]);
        let given = vec![Read::F32(&[1.0]), Read::Pred(&[1]), Read::F32(&[1.0])];
        assert_eq!(run(&products, given, &mut last), misfit);
    }
    let product = MaskedProduct { rows: 1 << 40, columns: 1 << 40, width: 1, over_rows: false };
    let told =
        run_product(&product.encode(), &[Read::Pred(&[1]), Read::F32(&[1.0])], &mut [Write::F32(&mut [0.0])], &Here);
    assert_eq!(told, Err("a kernel received buffers that do not match its product".to_owned()));
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
