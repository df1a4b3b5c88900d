//! NaN and infinity in maxima, minima, selects and metrics: JAX's results, for every float type.

use crate::device::cpu;
use spiq::nn::{Axes, integral_accuracy};
use spiq::{Array, DType, Tensor, TensorType, jit, trace};
use spiq_hlo::{Window, sort};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;
const FLOATS: [DType; 4] = [DType::F64, DType::F32, DType::BF16, DType::F16];

/// Runs `f` on rows of this element type.
fn run(dtype: DType, rows: &[&[f64]], f: impl Fn(&Tensor) -> Tensor) -> Vec<f64> {
    let ty = TensorType::new(dtype, [rows.len(), rows[0].len()]);
    let x = Array::from_f64(ty, &rows.concat()).unwrap();
    let client = cpu();
    jit(client, |x: Tensor| f(&x).convert(DType::F64)).call(&x).unwrap().to_f64()
}

#[track_caller]
fn same(got: &[f64], wanted: &[f64], what: &str) {
    let equal =
        |(a, b): (&f64, &f64)| a == b && a.is_sign_negative() == b.is_sign_negative() || a.is_nan() && b.is_nan();
    assert!(got.len() == wanted.len() && got.iter().zip(wanted).all(equal), "{what}: {got:?}, not {wanted:?}");
}

/// A row with its maximum, minimum, largest magnitude and position of the maximum.
type Row = (&'static [f64], f64, f64, f64, f64);

const ROWS: [Row; 9] = [
    (&[1.0, NAN, 3.0], NAN, NAN, NAN, 1.0),
    (&[NAN, 1.0, 3.0], NAN, NAN, NAN, 0.0),
    (&[1.0, 3.0, NAN], NAN, NAN, NAN, 2.0),
    (&[INF, NAN, NAN], NAN, NAN, NAN, 1.0),
    (&[NAN, NAN, NAN], NAN, NAN, NAN, 0.0),
    (&[-INF, 2.0, -3.0], 2.0, -INF, INF, 1.0),
    (&[-INF, -INF, -INF], -INF, -INF, INF, 0.0),
    (&[INF, -INF, INF], INF, -INF, INF, 0.0),
    (&[-3.0, 2.0, 2.0], 2.0, -3.0, 3.0, 1.0),
];

#[test]
fn reductions_keep_nan() {
    let rows = ROWS.map(|row| row.0);
    for dtype in FLOATS {
        let column = |f: fn(&Row) -> f64| ROWS.iter().map(f).collect::<Vec<_>>();
        same(&run(dtype, &rows, |x| x.reduce_max([1])), &column(|row| row.1), "maximum");
        same(&run(dtype, &rows, |x| x.reduce_min([1])), &column(|row| row.2), "minimum");
        same(&run(dtype, &rows, |x| x.reduce_absmax([1])), &column(|row| row.3), "largest magnitude");
        same(&run(dtype, &rows, |x| x.argmax(1)), &column(|row| row.4), "place of the maximum");
    }
}

/// Long rows are reduced in vectors and in parts; NaN propagates from any position.
#[test]
fn nan_is_found_anywhere_in_a_long_row() {
    const LENGTH: usize = 1000;
    let places = [0, 1, 7, 15, 16, 31, 32, 63, 64, 255, 256, 511, 512, 767, 998, 999];
    let row = |place: usize| (0..LENGTH).map(|i| if i == place { NAN } else { (i % 13) as f64 }).collect::<Vec<_>>();
    let rows: Vec<Vec<f64>> = places.map(row).to_vec();
    let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    let all = vec![NAN; places.len()];
    for dtype in FLOATS {
        same(&run(dtype, &rows, |x| x.reduce_max([1])), &all, "maximum");
        same(&run(dtype, &rows, |x| x.transpose(&[1, 0]).reduce_max([0])), &all, "maximum over the slow axis");
        same(&run(dtype, &rows, |x| x.reduce_min([1])), &all, "minimum");
        same(&run(dtype, &rows, |x| x.reduce_absmax([1])), &all, "largest magnitude");
        same(&run(dtype, &rows, |x| x.reduce_absmax([0, 1])), &[NAN], "largest magnitude of all");
        same(&run(dtype, &rows, |x| x.argmax(1)), &places.map(|place| place as f64), "place of the maximum");
    }
}

#[test]
fn the_larger_of_two_keeps_nan_and_orders_zeros() {
    let pairs: [[f64; 2]; 8] =
        [[1.0, NAN], [NAN, 1.0], [NAN, NAN], [INF, NAN], [0.0, -0.0], [-0.0, 0.0], [-INF, INF], [-1.0, -2.0]];
    let rows: Vec<&[f64]> = pairs.iter().map(<[f64; 2]>::as_slice).collect();
    let side = |x: &Tensor, i: usize| x.index_axis(1, i);
    for dtype in FLOATS {
        let larger = run(dtype, &rows, |x| side(x, 0).maximum(side(x, 1)));
        same(&larger, &[NAN, NAN, NAN, NAN, 0.0, 0.0, INF, -1.0], "larger");
        let smaller = run(dtype, &rows, |x| side(x, 0).minimum(side(x, 1)));
        same(&smaller, &[NAN, NAN, NAN, NAN, -0.0, -0.0, -INF, -2.0], "smaller");
        let clamped = run(dtype, &[&[NAN, INF, -INF, 0.5]], |x| x.clamp(-1.0, 1.0));
        same(&clamped, &[NAN, 1.0, -1.0, 0.5], "clamped");
        let sign = run(dtype, &[&[NAN, INF, -INF, 0.0, -0.0]], Tensor::sign);
        same(&sign, &[NAN, 1.0, -1.0, 0.0, -0.0], "sign");
    }
}

/// Window maxima, as in pools, and sorting: NaN last.
#[test]
fn windows_keep_nan_and_sorts_put_it_last() {
    for dtype in FLOATS {
        let row: &[f64] = &[1.0, NAN, 3.0, 2.0, 5.0, -INF];
        let pooled = run(dtype, &[row], |x| {
            let window = Window { strides: vec![1, 2], ..Window::new([1, 2]) };
            x.reduce_window_max(&window)
        });
        same(&pooled, &[NAN, 3.0, 5.0], "pooled");
        let sorted = run(dtype, &[row], |x| sort(&[x], 1, 1).swap_remove(0));
        same(&sorted, &[-INF, 1.0, 2.0, 3.0, 5.0, NAN], "sorted");
    }
}

/// Spyx: `jnp.argmax(jnp.sum(traces, 0), -1)`, which is the first NaN if there is one.
#[test]
fn the_class_of_a_row_with_nan_is_the_first_nan() {
    let inputs = [("t", TensorType::new(DType::F32, [1, 4, 3])), ("y", TensorType::new(DType::S32, [4]))];
    let f = trace(&inputs, |x| {
        let (share, classes) = integral_accuracy(&x[0].named("T B C"), &x[1].named("B"));
        vec![share, classes.into_tensor()]
    })
    .unwrap();
    let client = cpu();
    let program = spiq::Program::named("accuracy").compile(client, &f).unwrap();
    let traces = [[1.0, NAN, 2.0], [NAN, 1.0, 2.0], [1.0, 2.0, NAN], [INF, NAN, 0.0]].concat();
    let traces = Array::from_f64(inputs[0].1.clone(), &traces).unwrap();
    let out = client.run(&program, [&traces, &Array::new([4], vec![1i32; 4]).unwrap()]).unwrap();
    assert_eq!(out[1].to_f64(), [1.0, 0.0, 2.0, 1.0]);
    assert_eq!(out[0].to_f64(), [0.5]);
}

#[test]
fn the_largest_of_nothing_is_an_error() {
    let error = trace(&[("x", TensorType::new(DType::F32, [2, 0]))], |x| vec![x[0].argmax(1)]).unwrap_err();
    assert!(error.to_string().contains("axis 1 of f32[2,0] has no element"), "{error}");
}
