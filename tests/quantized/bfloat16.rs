//! Products in bf16 compared with sums of rounded operands on the host, forward and backward, also in loops split along time.

use crate::device::cpu;
use half::bf16;
use spiq::quant::products_in_bf16;
use spiq::random::Key;
use spiq::{Array, DType, Function, Program, TensorType, scan, trace, value_and_grad};

const STEPS: usize = 3;
const ROWS: usize = 4;
const INNER: usize = 5;
const COLUMNS: usize = 2;

fn rounded(x: f32) -> f64 {
    f64::from(bf16::from_f32(x).to_f32())
}

/// The sum over time of x w, weighted by c, and its gradients with respect to x and w; the product is in the loop.
fn gradient(cut: bool) -> Function {
    let f32s = |dims: &[usize]| TensorType::new(DType::F32, dims);
    let inputs = [("x", f32s(&[STEPS, ROWS, INNER])), ("w", f32s(&[INNER, COLUMNS])), ("c", f32s(&[ROWS, COLUMNS]))];
    let forward = trace(&inputs, |v| {
        let zero = v[0].graph().zeros(TensorType::scalar(DType::F32));
        vec![scan(&zero, &v[0], |sum, x| (sum + (x.dot(&v[1]) * &v[2]).sum(), ())).0]
    });
    let narrow = products_in_bf16(&forward.expect("a trace")).expect("a transform");
    let narrow = if cut { narrow.split_time(STEPS).expect("a cut") } else { narrow };
    let whole = trace(&inputs, |v| {
        let ((loss, ()), grads) = value_and_grad(&v[..2].to_vec(), |xw| {
            (narrow.call(v[2].graph(), &[xw.as_slice(), &v[2..]].concat()).swap_remove(0), ())
        });
        [vec![loss], grads].concat()
    });
    whole.expect("a gradient")
}

#[test]
fn operands_are_rounded_and_sums_are_not() {
    let draw = |key: i64, dims: &[usize]| {
        Array::new(dims, Key::new(key).normal(dims.iter().product())).expect("a value for each element")
    };
    let given = [draw(0, &[STEPS, ROWS, INNER]), draw(1, &[INNER, COLUMNS]), draw(2, &[ROWS, COLUMNS])];
    let [x, w, c] = given.each_ref().map(|array| array.to_vec::<f32>().expect("f32"));
    let (mut loss, mut dx, mut dw) = (0.0, vec![0.0; x.len()], vec![0.0; w.len()]);
    for row in 0..STEPS * ROWS {
        for column in 0..COLUMNS {
            let weight = c[row % ROWS * COLUMNS + column];
            for inner in 0..INNER {
                let (at_x, at_w) = (row * INNER + inner, inner * COLUMNS + column);
                loss += f64::from(weight) * rounded(x[at_x]) * rounded(w[at_w]);
                dx[at_x] += rounded(weight) * rounded(w[at_w]);
                dw[at_w] += rounded(weight) * rounded(x[at_x]);
            }
        }
    }
    let client = cpu();
    for cut in [false, true] {
        let program = Program::named("bf16").compile(client, &gradient(cut)).expect("a program");
        let results = client.run(&program, &given).expect("a run");
        for (result, wanted) in results.iter().zip([&vec![loss], &dx, &dw]) {
            for (got, wanted) in result.to_f64().iter().zip(wanted) {
                // Rounding the operands changes results by 1e-3 or more, f32 summation by less than this.
                assert!((got - wanted).abs() < 2e-5, "{got} instead of {wanted}");
            }
        }
    }
}
