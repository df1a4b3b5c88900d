//! Printed programs, compared with the files in `emit/`. `UPDATE_EXPECT=1` rewrites them; review the diff.

use expect_test::expect_file;
use spiq_hlo::{
    Array, ConvDims, Convolution, DType, DotDims, Function, PrintOptions, Tensor, TensorType, custom_vjp, grad, scan,
    sort, switch, trace, value_and_grad, vmap, while_loop,
};

fn traced(inputs: &[(&str, TensorType)], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Function {
    let function = trace(inputs, f).unwrap_or_else(|e| panic!("{e}"));
    function.verify().unwrap_or_else(|e| panic!("{e}"));
    function
}

fn f32(dims: &[usize]) -> TensorType {
    TensorType::new(DType::F32, dims)
}

/// Compares the lowered program.
#[track_caller]
fn check(name: &str, inputs: &[(&str, TensorType)], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) {
    let lowered = traced(inputs, f).lower().unwrap_or_else(|e| panic!("{e}")).simplify();
    lowered.verify().unwrap_or_else(|e| panic!("{e}"));
    show(name, &lowered);
}

#[track_caller]
fn show(name: &str, function: &Function) {
    let path = format!("{}/tests/emit/{name}.mlir", env!("CARGO_MANIFEST_DIR"));
    expect_file![path].assert_eq(&function.stablehlo(name, &PrintOptions::default()));
}

#[test]
fn a_perceptron_and_its_gradient() {
    let inputs = [("x", f32(&[8, 4])), ("w1", f32(&[4, 16])), ("w2", f32(&[16, 3])), ("y", f32(&[8, 3]))];
    check("perceptron", &inputs, |x| {
        let loss = |(w1, w2): &(Tensor, Tensor)| {
            let logits = x[0].dot(w1).maximum(0.0).dot(w2);
            ((logits.log_softmax(-1) * &x[3]).sum().negate() / 8.0, ())
        };
        let ((loss, ()), (d1, d2)) = value_and_grad(&(x[1].clone(), x[2].clone()), loss);
        vec![loss, d1, d2]
    });
}

/// A step whose derivative is a triangle.
#[track_caller]
fn spike(v: &Tensor) -> Tensor {
    let step = |v: &Tensor| v.gt(0.0).convert(v.dtype());
    custom_vjp("spike", v, step, |v: &Tensor, _: &Tensor, ct: &Tensor| ct * (1.0 - v.abs()).maximum(0.0))
}

/// The gradient of the spike count of leaky integrate-and-fire neurons after a dot product.
fn lif_gradient() -> Function {
    let inputs = [("x", f32(&[16, 8, 4])), ("w", f32(&[4, 6])), ("beta", f32(&[6]))];
    traced(&inputs, |x| {
        let (dw, dbeta) = grad(&(x[1].clone(), x[2].clone()), |(w, beta)| {
            let start = x[0].graph().zeros(f32(&[8, 6]));
            let step = |v: Tensor, x: Tensor| {
                let fired = spike(&(&v - 1.0));
                let v = &v * beta + x.dot(w) - &fired;
                (v, fired)
            };
            scan(&start, &x[0], step).1.sum()
        });
        vec![dw, dbeta]
    })
}

#[test]
fn neurons_over_time_and_their_gradient() {
    show("lif_scan", &lif_gradient().simplify());
    show("lif_while", &lif_gradient().lower().unwrap_or_else(|e| panic!("{e}")).simplify());
}

#[test]
fn a_while_with_captures() {
    check("while", &[("x", f32(&[3])), ("limit", f32(&[]))], |x| {
        let start = (x[0].clone(), x[0].graph().scalar(DType::S32, 0.0));
        let (x, steps) = while_loop(&start, |(v, _)| v.sum().lt(&x[1]), |(v, n)| (v * 2.0 + &x[1], n + 1.0));
        vec![x, steps]
    });
}

#[test]
fn a_case_and_its_gradient() {
    check("case", &[("which", TensorType::scalar(DType::S32)), ("x", f32(&[3])), ("y", f32(&[3]))], |x| {
        vec![grad(&x[1], |v| {
            let branches: Vec<Box<dyn FnOnce() -> Tensor + '_>> =
                vec![Box::new(|| (v * &x[2]).sum()), Box::new(|| v.exp().sum())];
            switch(&x[0], branches)
        })]
    });
}

#[test]
fn dots() {
    let s8 = |dims: &[usize]| TensorType::new(DType::S8, dims);
    let inputs = [("a", f32(&[2, 3, 4])), ("b", f32(&[4, 2, 5])), ("q", s8(&[8, 64])), ("r", s8(&[64, 10]))];
    check("dots", &inputs, |x| {
        let batched = DotDims { lhs_batch: vec![0], rhs_batch: vec![1], lhs_contract: vec![2], rhs_contract: vec![0] };
        vec![x[0].dot_general(&x[1], &batched, DType::F32), x[2].dot_general(&x[3], &DotDims::matmul(2), DType::S32)]
    });
}

/// Numbers that are easy to print incorrectly.
#[test]
fn constants_of_all_types() {
    let float = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 0.1, -2.5, 448.0, 1e-3];
    let int = [-128.0, -8.0, -2.0, -1.0, 0.0, 1.0, 3.0, 1e30];
    check("constants", &[], |_| {
        let graph = spiq_hlo::Graph::new();
        let constant = |&dtype: &DType| {
            let values = if dtype.is_float() { float } else { int };
            graph.constant(&Array::from_f64(TensorType::new(dtype, [8]), &values).expect("eight values"))
        };
        let ramp: Vec<f32> = (0..20).map(|i| i as f32 / 4.0).collect();
        let long = graph.constant(&Array::new([4, 5], ramp).expect("twenty values"));
        let bits: Vec<bool> = (0..18).map(|i| i % 3 == 0).collect();
        let flags = graph.constant(&Array::new([18], bits).expect("eighteen values"));
        let wide = graph.constant(&Array::new([2], [u64::MAX, 1 << 60]).expect("two values"));
        let none = graph.constant(&Array::new([0, 2], Vec::<f32>::new()).expect("no values"));
        let full = graph.full(f32(&[3, 3]), f64::NAN);
        DType::ALL.iter().map(constant).chain([long, flags, wide, none, full]).collect()
    });
}

#[test]
fn sorting_and_gathering() {
    check("sort", &[("x", f32(&[4, 5])), ("i", TensorType::new(DType::S32, [2]))], |x| {
        let sorted = sort(&[&x[0], &x[0].exp()], -1, 2);
        vec![sorted[1].clone(), grad(&x[0], |x2| x2.take_clipped(&x[1], 0).sum())]
    });
}

#[test]
fn a_mapped_scan() {
    check("mapped_scan", &[("x", f32(&[3, 5, 2])), ("decay", f32(&[]))], |x| {
        let integrate = |rows: Tensor| scan(&rows.index_axis(0, 0), &rows, |v, row| (&v * &x[1] + row, v)).1;
        vec![vmap(&x[0], integrate)]
    });
}

#[test]
fn full_precision_is_asked_of_every_product() {
    let function =
        traced(&[("x", f32(&[2, 2])), ("images", f32(&[1, 4, 4, 2])), ("kernel", f32(&[3, 3, 2, 2]))], |x| {
            let convolved = Convolution::new(ConvDims::features_last(4), DType::F32);
            vec![x[0].dot(&x[0]), x[1].convolution(&x[2], &convolved)]
        });
    let text = |full_precision| {
        let options = PrintOptions { full_precision, ..PrintOptions::default() };
        function.stablehlo("products", &options)
    };
    let counts = |text: &str| ["DEFAULT", "HIGHEST"].map(|word| text.matches(&format!("<precision {word}>")).count());
    assert_eq!(counts(&text(false)), [4, 0], "{}", text(false));
    assert_eq!(counts(&text(true)), [0, 4], "{}", text(true));
}

#[test]
fn module_paths_and_lines() {
    let function =
        traced(&[("x", f32(&[2]))], |x| vec![x[0].graph().scope("core/layers/0", || x[0].exp()), x[0].tanh()]);
    let text = function
        .stablehlo("locations", &PrintOptions { locations: true, donated: vec![(0, 1)], ..PrintOptions::default() });
    assert!(text.contains("%arg0: tensor<2xf32> {tf.aliasing_output = 1 : i32}"), "{text}");
    assert!(text.contains(": tensor<2xf32> loc(\"core/layers/0\"(\"hlo/tests/emit.rs\":"), "{text}");
    assert!(text.contains("stablehlo.tanh %arg0 : tensor<2xf32> loc(\"hlo/tests/emit.rs\":"), "{text}");
}
