//! Every reducer over axes and windows of 0, 1 and 2 elements, in every element type, compared with the same fold on the host: with so
//! few elements, the initial value shows.

use crate::evaluate::evaluate;
use spiq::{Array, DType, Tensor, TensorType, grad, trace};
use spiq_hlo::Window;

/// A reduction: of a tensor over axes, of two numbers, and its result for no elements.
struct Reduction {
    name: &'static str,
    of: fn(&Tensor, &[usize]) -> Tensor,
    one: fn(f64) -> f64,
    two: fn(f64, f64) -> f64,
    none: fn(DType) -> f64,
    takes: fn(DType) -> bool,
}

fn number(dtype: DType) -> bool {
    dtype != DType::Pred
}

fn signed(dtype: DType) -> bool {
    dtype.is_float() || dtype.integer_range().is_some_and(|(low, _)| low < 0)
}

/// The smallest and the largest value of a type.
fn ends(dtype: DType) -> (f64, f64) {
    match (dtype.integer_range(), dtype) {
        (Some((low, high)), _) => (low as f64, high as f64),
        (_, DType::F8E4M3FN) => (-448.0, 448.0),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    }
}

fn same(x: f64) -> f64 {
    x
}

const REDUCTIONS: [Reduction; 5] = [
    Reduction {
        name: "sum",
        of: |x, axes| x.reduce_sum(axes),
        one: same,
        two: |a, b| a + b,
        none: |_| 0.0,
        takes: number,
    },
    Reduction {
        name: "product",
        of: |x, axes| x.reduce_product(axes),
        one: same,
        two: |a, b| a * b,
        none: |_| 1.0,
        takes: number,
    },
    Reduction {
        name: "max",
        of: |x, axes| x.reduce_max(axes),
        one: same,
        two: f64::max,
        none: |dtype| ends(dtype).0,
        takes: |_| true,
    },
    Reduction {
        name: "min",
        of: |x, axes| x.reduce_min(axes),
        one: same,
        two: f64::min,
        none: |dtype| ends(dtype).1,
        takes: |_| true,
    },
    Reduction {
        name: "absmax",
        of: |x, axes| x.reduce_absmax(axes),
        one: f64::abs,
        two: |a, b| a.abs().max(b.abs()),
        none: |_| 0.0,
        takes: signed,
    },
];

/// Element types for which XLA's CPU compiler supports reductions.
const TYPES: [DType; 15] = [
    DType::Pred,
    DType::S8,
    DType::S16,
    DType::S32,
    DType::S64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::BF16,
    DType::F16,
    DType::F32,
    DType::F64,
    DType::F8E4M3FN,
    DType::F8E5M2,
];

/// Numbers that every signed type can hold, or every unsigned one.
fn values(dtype: DType) -> &'static [f64] {
    match dtype {
        DType::Pred => &[0.0, 1.0],
        _ if signed(dtype) => &[-3.0, -1.0, 0.0, 1.0, 3.0, -2.0],
        _ => &[0.0, 1.0, 3.0, 2.0],
    }
}

/// Each value alone, each pair, and empty rows; reduced over one axis, and over it and another of size 1.
#[test]
fn little_to_reduce_is_reduced_as_on_the_host() {
    let mut compared = 0;
    for dtype in TYPES {
        let all = values(dtype);
        let pairs: Vec<f64> = all.iter().flat_map(|&a| all.iter().flat_map(move |&b| [a, b])).collect();
        let array =
            |dims: &[usize], values: &[f64]| Array::from_f64(TensorType::new(dtype, dims), values).expect("fits");
        let singles = array(&[all.len(), 1, 1], all);
        let pairs_array = array(&[all.len() * all.len(), 2, 1], &pairs);
        let nothing = array(&[3, 0, 1], &[]);
        for reduction in REDUCTIONS.iter().filter(|reduction| (reduction.takes)(dtype)) {
            for axes in [&[1][..], &[1, 2], &[2, 1]] {
                let got = evaluate(&[&singles, &pairs_array, &nothing], |x| {
                    x.iter().map(|x| (reduction.of)(x, axes).reshape(&[x.dims()[0]])).collect()
                });
                let singly: Vec<f64> = all.iter().map(|&x| (reduction.one)(x)).collect();
                let paired: Vec<f64> = pairs.chunks(2).map(|pair| (reduction.two)(pair[0], pair[1])).collect();
                let none = vec![(reduction.none)(dtype); 3];
                for (got, want) in got.iter().zip([singly, paired, none]) {
                    let want = Array::from_f64(got.ty().clone(), &want).expect("as many");
                    assert_eq!(got.to_f64(), want.to_f64(), "{} of {dtype} over {axes:?}", reduction.name);
                    compared += want.to_f64().len();
                }
            }
        }
    }
    assert!(compared > 5000, "{compared}");
}

/// The same for booleans and for bits.
#[test]
fn truths_and_bits() {
    for dtype in [DType::Pred, DType::S8, DType::S32, DType::U8, DType::U32] {
        let all: &[i64] = if dtype == DType::Pred { &[0, 1] } else { &[0, 1, 5, 6, 127] };
        let pairs: Vec<f64> = all.iter().flat_map(|&a| all.iter().flat_map(move |&b| [a as f64, b as f64])).collect();
        let singles: Vec<f64> = all.iter().map(|&x| x as f64).collect();
        let array =
            |dims: &[usize], values: &[f64]| Array::from_f64(TensorType::new(dtype, dims), values).expect("fits");
        let inputs = [array(&[all.len(), 1], &singles), array(&[pairs.len() / 2, 2], &pairs), array(&[1, 0], &[])];
        let got =
            evaluate(&inputs.each_ref(), |x| x.iter().flat_map(|x| [x.reduce_and([1]), x.reduce_or([1])]).collect());
        let of_pairs = |f: fn(i64, i64) -> i64| {
            pairs.chunks(2).map(|pair| f(pair[0] as i64, pair[1] as i64) as f64).collect::<Vec<f64>>()
        };
        let ones = if signed(dtype) { -1.0 } else { ends(dtype).1 };
        let wanted = [singles.clone(), singles, of_pairs(|a, b| a & b), of_pairs(|a, b| a | b), vec![ones], vec![0.0]];
        for (i, (got, want)) in got.iter().zip(wanted).enumerate() {
            assert_eq!(got.to_f64(), want, "{dtype}, result {i}");
        }
    }
}

/// Windows of one and two elements, also over padding.
#[test]
fn windows_of_little() {
    for dtype in
        [DType::S8, DType::S32, DType::BF16, DType::F16, DType::F32, DType::F64, DType::F8E4M3FN, DType::F8E5M2]
    {
        let x = [-3.0, -1.0, -2.0, 3.0];
        let x = Array::from_f64(TensorType::new(dtype, [4]), &x).expect("four numbers");
        let padded = |size: usize| Window { padding: vec![(1, 1)], ..Window::new([size]) };
        let got = evaluate(&[&x], |x| {
            [1, 2].map(|size| [x[0].reduce_window_sum(&padded(size)), x[0].reduce_window_max(&padded(size))]).concat()
        });
        let low = ends(dtype).0;
        let wanted = [
            vec![0.0, -3.0, -1.0, -2.0, 3.0, 0.0],
            vec![low, -3.0, -1.0, -2.0, 3.0, low],
            vec![-3.0, -4.0, -3.0, 1.0, 3.0],
            vec![-3.0, -1.0, -1.0, 3.0, 3.0],
        ];
        for (i, (got, want)) in got.iter().zip(wanted).enumerate() {
            assert_eq!(got.to_f64(), want, "{dtype}, result {i}");
        }
    }
}

/// A type that is not numeric, or has no sign, is an error of the trace.
#[test]
fn what_cannot_be_reduced_is_refused() {
    let refused = |dtype, f: fn(&Tensor) -> Tensor| {
        let traced = trace(&[("x", TensorType::new(dtype, [2, 3]))], |x| vec![f(&x[0])]);
        traced.expect_err("it is refused").to_string()
    };
    assert!(refused(DType::F32, |x| x.reduce_and([1])).contains("integers or booleans, got f32[2,3]"));
    assert!(refused(DType::F32, |x| x.reduce_or([1])).contains("integers or booleans, got f32[2,3]"));
    assert!(refused(DType::Pred, |x| x.reduce_absmax([1])).contains("signed numbers, got pred[2,3]"));
}

/// The gradient of the largest magnitude: the sign, for one element as for two.
#[test]
fn the_gradient_of_the_largest_magnitude() {
    for (values, want) in [(vec![-0.25], vec![-1.0]), (vec![2.0], vec![1.0]), (vec![-3.0, 2.0], vec![-1.0, 0.0])] {
        let x = Array::new([1, values.len()], values).expect("a row");
        let got = evaluate(&[&x], |x| vec![grad(&x[0], |x| x.reduce_absmax([1]).sum())]);
        assert_eq!(got[0].to_vec::<f64>().expect("f64"), want);
    }
}
