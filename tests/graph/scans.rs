//! Runs scans: compares their first and second gradients with those of the unrolled steps.

use crate::run::Program;
use spiq::{Array, DType, TensorType};
use spiq_hlo::{Tensor, Tree, associative_scan, checkpoint, custom_vjp, grad, scan, scan_checkpointed, trace, vmap};

fn spike(v: &Tensor) -> Tensor {
    let step = |v: &Tensor| v.gt(0.0).convert(v.dtype());
    custom_vjp("spike", v, step, |v: &Tensor, _: &Tensor, ct: &Tensor| ct * (1.0 - v.abs()).maximum(0.0))
}

/// The unrolled steps of a scan.
fn unrolled<C: Tree>(init: C, xs: &Tensor, f: impl Fn(C, Tensor) -> (C, Tensor)) -> (C, Tensor) {
    let (mut carry, mut rows) = (init, Vec::new());
    for i in 0..xs.dims()[0] {
        let (next, y) = f(carry, xs.index_axis(0, i));
        rows.push(y.expand_dims(0));
        carry = next;
    }
    (carry, spiq_hlo::concatenate(&rows.iter().collect::<Vec<_>>(), 0))
}

const TYPES: [(&str, &[usize]); 4] = [("x", &[5, 2, 3]), ("w", &[3, 4]), ("u", &[4, 4]), ("beta", &[4])];

fn inputs() -> Vec<Array> {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    let array = |(_, dims): &(&str, &[usize])| {
        let values: Vec<f64> = (0..dims.iter().product()).map(|_| next()).collect();
        Array::new(*dims, values).expect("as many values as elements")
    };
    TYPES.iter().map(array).collect()
}

fn types() -> Vec<(&'static str, TensorType)> {
    TYPES.iter().map(|(name, dims)| (*name, TensorType::new(DType::F64, *dims))).collect()
}

fn run(f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Vec<Vec<f64>> {
    let function = trace(&types(), f).unwrap_or_else(|e| panic!("{e}"));
    let outputs = Program::new(&function).unwrap().run(&inputs()).unwrap();
    outputs.iter().map(Array::to_f64).collect()
}

/// Checks that two formulations give the same numbers.
#[track_caller]
fn check(one: impl FnOnce(&[Tensor]) -> Vec<Tensor>, other: impl FnOnce(&[Tensor]) -> Vec<Tensor>) {
    check_close(run(one), &run(other));
}

#[track_caller]
fn check_close(one: Vec<Vec<f64>>, other: &[Vec<f64>]) {
    assert_eq!(one.len(), other.len());
    for (a, b) in one.iter().flatten().zip(other.iter().flatten()) {
        assert!((a - b).abs() < 1e-10 * (1.0 + b.abs()), "{a} and {b}");
    }
    assert!(one.iter().flatten().any(|a| *a != 0.0), "all zero");
}

/// A step of a recurrent layer, with every kind of dependence that a body can have.
fn step(x: &[Tensor], (v, a): (Tensor, Tensor), row: Tensor) -> ((Tensor, Tensor), Tensor) {
    let current = row.dot(&x[1]) + a.dot(&x[2]);
    let fired = spike(&(&v - 0.3));
    let v = &v * x[3].logistic() + current.tanh() - &fired * 0.5;
    let y = &v * &fired + a.exp();
    ((v, (&a * 0.5 + &y * 0.1).sin()), y)
}

fn start(x: &[Tensor]) -> (Tensor, Tensor) {
    let zero = x[0].graph().zeros(TensorType::new(DType::F64, [2, 4]));
    (zero.clone(), zero + 0.1)
}

type Loss<'a> = &'a dyn Fn(&[Tensor]) -> Tensor;

fn scanned(x: &[Tensor]) -> Tensor {
    let ((v, _), y) = scan(&start(x), &x[0], |c, row| step(x, c, row));
    (&v * &v).sum() + y.sin().sum()
}

fn written_out(x: &[Tensor]) -> Tensor {
    let ((v, _), y) = unrolled(start(x), &x[0], |c, row| step(x, c, row));
    (&v * &v).sum() + y.sin().sum()
}

fn gradient(loss: Loss<'_>) -> impl FnOnce(&[Tensor]) -> Vec<Tensor> + '_ {
    move |x| grad(&x.to_vec(), |x| loss(x))
}

#[test]
fn a_gradient_is_that_of_the_unrolled_steps() {
    check(gradient(&scanned), gradient(&written_out));
}

/// The gradient of the gradient's squared norm.
fn second(loss: Loss<'_>) -> impl FnOnce(&[Tensor]) -> Vec<Tensor> + '_ {
    move |x| {
        let norm = |x: &Vec<Tensor>| {
            let squares = grad(x, |x| loss(x)).into_iter().map(|g| (&g * &g).sum());
            squares.reduce(|a, b| a + b).expect("four inputs")
        };
        grad(&x.to_vec(), norm)
    }
}

#[test]
fn a_second_gradient_is_that_of_the_unrolled_steps() {
    check(second(&scanned), second(&written_out));
}

#[test]
fn a_mapped_gradient_is_that_of_the_unrolled_steps() {
    fn mapped(loss: Loss<'_>) -> impl FnOnce(&[Tensor]) -> Vec<Tensor> + '_ {
        move |x| {
            let betas = spiq_hlo::concatenate(&[&x[2], &x[3].expand_dims(0)], 0);
            let each =
                |beta: Tensor| grad(&beta, |beta| loss(&[x[0].clone(), x[1].clone(), x[2].clone(), beta.clone()]));
            vec![vmap(&betas, each)]
        }
    }
    check(mapped(&scanned), mapped(&written_out));
}

/// A nested scan whose inner carry becomes part of the outer one.
#[test]
fn a_gradient_through_nested_scans_is_that_of_the_unrolled_steps() {
    let inner = |x: &[Tensor], c: Tensor, row: Tensor| ((&c * &x[3] + row.sum()).tanh(), c);
    let nested = |x: &[Tensor]| {
        let outer = |c: Tensor, rows: Tensor| {
            let (c, ys) = scan(&c, &rows, |c, row| inner(x, c, row));
            (c, ys.sum())
        };
        let (c, ys) = scan(&x[2].index_axis(0, 0), &x[0], outer);
        c.sum() + (&ys * &ys).sum()
    };
    let flat = |x: &[Tensor]| {
        let outer = |c: Tensor, rows: Tensor| {
            let (c, ys) = unrolled(c, &rows, |c, row| inner(x, c, row));
            (c, ys.sum())
        };
        let (c, ys) = unrolled(x[2].index_axis(0, 0), &x[0], outer);
        c.sum() + (&ys * &ys).sum()
    };
    check(gradient(&nested), gradient(&flat));
}

/// Only the second output and the first carry are read: the rest of the loop is removed, the results are unchanged.
#[test]
fn what_is_left_of_a_narrowed_scan_computes_the_same() {
    let one = |x: &[Tensor]| {
        let ((_, _, c), (_, y)) = scan(
            &(x[3].clone(), x[3].exp(), x[3].sin()),
            &(x[0].clone(), &x[0] * 2.0),
            |(a, b, c): (Tensor, Tensor, Tensor), (row, twice): (Tensor, Tensor)| {
                let y = &c + twice.sum();
                ((&a + row.sum(), &b * &a, y.tanh()), (a, y))
            },
        );
        vec![c, y]
    };
    let other = |x: &[Tensor]| {
        let (c, y) = unrolled(x[3].sin(), &x[0], |c, row| {
            let y = &c + (row * 2.0).sum();
            (y.tanh(), y)
        });
        vec![c, y]
    };
    check(one, other);
}

/// Affine maps compose to affine maps, so decaying sums are an associative scan; for all lengths up to five.
#[test]
fn an_associative_scan_is_the_scan_of_its_function() {
    fn each_length(x: &[Tensor], sums: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
        let decay = x[3].logistic().broadcast_to(&[2, 4]);
        let rows = x[0].dot(&x[1]);
        let all: Vec<Tensor> = (1..=5).map(|length| sums(&decay, &rows.slice_axis(0, 0, length))).collect();
        spiq_hlo::concatenate(&all.iter().collect::<Vec<_>>(), 0)
    }
    let parallel = |x: &[Tensor]| {
        let compose = |(a, x): &(Tensor, Tensor), (b, y): &(Tensor, Tensor)| (a * b, x * b + y);
        each_length(x, |decay, rows| {
            associative_scan(&(decay.broadcast_to(rows.dims()), rows.clone()), false, compose).1
        })
    };
    let serial = |x: &[Tensor]| {
        each_length(x, |decay, rows| scan(&decay.zeros_like(), rows, |v, row| (&v * decay + &row, &v * decay + row)).1)
    };
    check(|x| vec![parallel(x)], |x| vec![serial(x)]);
    check(gradient(&|x| parallel(x).sin().sum()), gradient(&|x| serial(x).sin().sum()));
}

#[test]
fn an_associative_scan_against_time_keeps_the_order_of_its_arguments() {
    let matrices = |x: &[Tensor]| x[0].dot(&x[1]).reshape(&[10, 2, 2]) + 0.5;
    let product = |a: &Tensor, b: &Tensor| {
        let dims =
            spiq_hlo::DotDims { lhs_batch: vec![0], rhs_batch: vec![0], lhs_contract: vec![2], rhs_contract: vec![1] };
        a.dot_general(b, &dims, DType::F64)
    };
    let parallel = |x: &[Tensor]| vec![associative_scan(&matrices(x), true, product)];
    let serial = |x: &[Tensor]| {
        let turned = matrices(x).reverse(&[0]);
        let one = x[0].graph().constant(&Array::new([2, 2], [1.0, 0.0, 0.0, 1.0]).unwrap());
        vec![scan(&one, &turned, |m, next| (m.dot(&next), m.dot(&next))).1.reverse(&[0])]
    };
    check(parallel, serial);
}

/// Five steps in segments of two or three, so with a remainder; also against time.
#[test]
fn a_checkpointed_scan_has_the_same_gradient() {
    let wanted = run(gradient(&written_out));
    for segment in [2, 3] {
        let loss = |x: &[Tensor]| {
            let ((v, _), y) = scan_checkpointed(&start(x), &x[0], Some(segment), |c, row| step(x, c, row));
            (&v * &v).sum() + y.sin().sum()
        };
        check_close(run(gradient(&loss)), &wanted);
    }
    // The backward pass of a scan is a scan against time, which is split from the other end.
    let function = trace(&types(), gradient(&scanned)).unwrap().checkpoint_scans(Some(2)).unwrap();
    check_close(run(|x| function.call(x[0].graph(), x)), &wanted);
}

#[test]
fn a_checkpoint_computes_the_same_and_so_do_its_gradients() {
    let plain = |x: &[Tensor]| (x[0].dot(&x[1]).tanh() * x[3].exp()).sin().sum();
    let again = |x: &[Tensor]| checkpoint(&x[..2].to_vec(), |y| (y[0].dot(&y[1]).tanh() * x[3].exp()).sin().sum());
    check(gradient(&again), gradient(&plain));
    check(second(&again), second(&plain));
}
